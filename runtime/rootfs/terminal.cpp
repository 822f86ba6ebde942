#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "runtime/rootfs/mount_calls.hpp"
#include "runtime/rootfs/mounts.hpp"
#include "runtime/rootfs/paths.hpp"

namespace compose::runtime::rootfs {

Result<Terminal> open_terminal(int root, bool relayed) {
  auto ptmx = open_in_root(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY);
  // Without a devpts of its own (dev bound from the host, say) the container gets one of the host's.
  if (!ptmx) ptmx = open_in_root(root, "/dev/ptmx", O_RDWR | O_NOCTTY);
  if (!ptmx) return std::move(ptmx).error();
  struct statfs status{};
  if (::fstatfs(ptmx->get(), &status) != 0 || status.f_type != DEVPTS_SUPER_MAGIC) {
    return make_error(Errc::invalid, "terminal: /dev/pts of the container is not a devpts file system");
  }
  int unlock = 0;
  if (::ioctl(ptmx->get(), TIOCSPTLCK, &unlock) != 0) return os_error("terminal: unlock");
  // The peer by its master, never by a path that the image could have bent (CVE-2025-52565).
  UniqueFd slave{::ioctl(ptmx->get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)};
  if (!slave.valid()) return os_error("terminal: open its other end");
  termios settings{};
  if (relayed && ::tcgetattr(slave.get(), &settings) == 0) {
    settings.c_oflag &= ~static_cast<tcflag_t>(ONLCR);
    if (::tcsetattr(slave.get(), TCSANOW, &settings) != 0) return os_error("terminal: set it up");
  }
  return Terminal{std::move(*ptmx), std::move(slave)};
}

Result<void> mount_console(int root, const Terminal& terminal) {
  TRY_ASSIGN(const Entry entry, entry_in_root(root, "/dev/console").with("mount \"/dev/console\""));
  const UniqueFd made{
      ::openat(entry.parent.get(), "console", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
  const UniqueFd target{::openat(entry.parent.get(), "console", O_PATH | O_NOFOLLOW | O_CLOEXEC)};
  struct stat status{};
  if (!target.valid() || ::fstat(target.get(), &status) != 0) return os_error("mount \"/dev/console\"");
  if (S_ISLNK(status.st_mode))
    return make_error(Errc::invalid, "mount \"/dev/console\": the image has a symbolic link there");
  TRY_ASSIGN(const UniqueFd tree, clone_mount(terminal.slave.get(), "", false).with("mount \"/dev/console\""));
  return attach_mount(tree.get(), target.get()).with("mount \"/dev/console\"");
}

}  // namespace compose::runtime::rootfs
