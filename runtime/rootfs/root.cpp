// The root itself: overlay or directory, pivot_root, flags.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/strings.hpp"
#include "runtime/rootfs/mount_calls.hpp"
#include "runtime/rootfs/mounts.hpp"
#include "runtime/rootfs/prepared.hpp"
#include "sys/file.hpp"
#include "sys/user_namespace.hpp"

namespace compose::runtime::rootfs {
namespace {

Result<UniqueFd> open_path(const std::string& path, const char* what) {
  UniqueFd fd{::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (!fd.valid()) return os_error("{} {}", what, path);
  return fd;
}

std::string fd_path(const UniqueFd& fd) { return fmt::format("/proc/self/fd/{}", fd.get()); }

}  // namespace

/// Layers are named by descriptors: mount(2) takes one page of options, which a few dozen full paths would overflow,
/// no character of a path needs escaping, and the container's /proc/mounts does not show the host's folders.
Result<void> mount_overlay(const launch::Overlay& overlay, const std::string& target) {
  std::vector<UniqueFd> fds;
  // A user namespace may not say what it cannot have anyway.
  std::string options =
      !sys::in_initial_user_namespace() ? "userxattr,lowerdir=" : "redirect_dir=off,metacopy=off,index=off,lowerdir=";
  for (std::size_t i = 0; i < overlay.lower.size(); ++i) {
    TRY_ASSIGN(UniqueFd fd, open_path(overlay.lower[i], "layer"));
    if (i != 0) options += ':';
    options += fd_path(fd);
    fds.push_back(std::move(fd));
  }
  if (overlay.upper.empty() && overlay.lower.size() == 1) {
    options += ":" + fd_path(fds.front());  // the kernel wants two layers when nothing is writable
  }
  if (!overlay.upper.empty()) {
    TRY_ASSIGN(UniqueFd upper, open_path(overlay.upper, "upper directory"));
    TRY_ASSIGN(UniqueFd work, open_path(overlay.work, "work directory"));
    options += ",upperdir=" + fd_path(upper) + ",workdir=" + fd_path(work);
    fds.push_back(std::move(upper));
    fds.push_back(std::move(work));
  }
  if (::mount("overlay", target.c_str(), "overlay", 0, options.c_str()) != 0) {
    return os_error("mount overlay of {} layers on {}", overlay.lower.size(), target);
  }
  return {};
}

namespace {

/// The mount point that `path` is on.
Result<std::string> mount_point_of(const std::string& path) {
  TRY_ASSIGN(const std::string mountinfo, sys::read_file("/proc/self/mountinfo"));
  std::string best = "/";
  for (const auto& line : split(mountinfo, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() < 5) continue;
    const std::string& point = words[4];
    const bool above = path == point || (path.starts_with(point) && path[point.size()] == '/');
    if (above && point.size() > best.size()) best = point;
  }
  return best;
}

/// New mounts must not spread to the host. As slaves they cannot; where the configuration wants propagation back to the
/// host, at least the mount that holds the root must be private (pivot_root(2) demands it too).
Result<void> cut_off(const launch::LaunchPlan& plan) {
  const std::uint64_t wanted = plan.root_propagation;
  const bool shared = (wanted & MS_SHARED) != 0;
  const std::uint64_t flags = wanted == 0 || (wanted & MS_UNBINDABLE) != 0 ? MS_SLAVE | MS_REC : wanted | MS_REC;
  if (!shared && ::mount(nullptr, "/", nullptr, flags, nullptr) != 0) {
    return os_error("make the mounts independent of the host's");
  }
  if (!shared) return {};
  TRY_ASSIGN(const std::string parent, mount_point_of(plan.root));
  if (::mount(nullptr, parent.c_str(), nullptr, MS_PRIVATE, nullptr) != 0) return os_error("make {} private", parent);
  return {};
}

/// A root that was mounted beforehand. The way to its path may be closed to the container's user namespace; any place
/// in the new mount namespace does, since pivot() ends with nothing else left.
Result<UniqueFd> attach_root(const launch::LaunchPlan& plan, const UniqueFd& tree) {
  UniqueFd target{::open(plan.root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (!target.valid()) target.reset(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  TRY(set_mount_propagation(tree.get(), MS_PRIVATE | MS_REC));
  TRY(attach_mount(tree.get(), target.get()).with("root.path"));
  UniqueFd root{::fcntl(tree.get(), F_DUPFD_CLOEXEC, 3)};
  if (!root.valid()) return os_error("root");
  return root;
}

}  // namespace

Result<UniqueFd> mount_root(const launch::LaunchPlan& plan, const Prepared& prepared) {
  TRY(cut_off(plan));
  if (prepared.root.valid()) return attach_root(plan, prepared.root);
  if (plan.overlay) {
    TRY(mount_overlay(*plan.overlay, plan.root));
  } else {
    TRY_ASSIGN(const UniqueFd tree, clone_mount(AT_FDCWD, plan.root, /*recursive=*/true).with("root.path"));
    TRY_ASSIGN(const UniqueFd target, open_path(plan.root, "root.path"));
    // A slave goes on receiving what is mounted below its path on the host; it was made one by cut_off().
    const bool receives = (plan.root_propagation & MS_SLAVE) != 0;
    if (!receives) TRY(set_mount_propagation(tree.get(), MS_PRIVATE | MS_REC));
    TRY(attach_mount(tree.get(), target.get()).with("root.path"));
  }
  return open_path(plan.root, "root");
}

namespace {

/// Without pivot_root(2) the host's mounts stay, out of sight but there: with a whole proc or sysfs among them the
/// kernel would let the container's user namespaces mount one without masks (mount_namespaces(7)).
Result<void> remove_kernel_files() {
  TRY_ASSIGN(const std::string mountinfo, sys::read_file("/proc/self/mountinfo"));
  std::vector<std::string> points;
  for (const auto& line : split(mountinfo, '\n')) {
    const auto dash = line.find(" - ");
    const auto words = split(line, ' ');
    if (dash == std::string::npos || words.size() < 5) continue;
    const std::string_view type = std::string_view{line}.substr(dash + 3);
    if (type.starts_with("proc ") || type.starts_with("sysfs ")) points.push_back(words[4]);
  }
  std::string root(4096, '\0');
  const ssize_t size = ::readlink("/proc/self/cwd", root.data(), root.size());
  if (size < 0) return os_error("--no-pivot: find the root");
  root.resize(static_cast<std::size_t>(size));
  for (auto point = points.rbegin(); point != points.rend(); ++point) {
    if (*point == root || point->starts_with(root + "/")) continue;
    if (::umount2(point->c_str(), MNT_DETACH) == 0) continue;
    // It is locked in a user namespace: covered it is as good as gone.
    if (errno != EINVAL && errno != EPERM) return os_error("--no-pivot: unmount {}", *point);
    if (::mount("tmpfs", point->c_str(), "tmpfs", MS_RDONLY, "size=0") != 0) {
      return os_error("--no-pivot: cover {}", *point);
    }
  }
  return {};
}

}  // namespace

Result<void> pivot(int root, bool no_pivot) {
  if (::fchdir(root) != 0) return os_error("enter the root");
  if (no_pivot) {
    TRY(remove_kernel_files());
    if (::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0) return os_error("move the root");
    if (::chroot(".") != 0 || ::chdir("/") != 0) return os_error("chroot");
    return {};
  }
  const UniqueFd old{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (!old.valid()) return os_error("open the host's root");
  // pivot_root(2), "pivot_root(".", ".")": the old root then lies on top of the new one.
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return os_error("pivot_root");
  if (::fchdir(old.get()) != 0) return os_error("enter the host's root");
  // Its unmounting must not reach the host.
  if (::mount(nullptr, ".", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) return os_error("detach the host's root");
  if (::umount2(".", MNT_DETACH) != 0) return os_error("unmount the host's root");
  if (::chdir("/") != 0) return os_error("enter the root");
  return {};
}

Result<void> finish_root(const launch::LaunchPlan& plan) {
  if (plan.root_propagation != 0 && ::mount(nullptr, "/", nullptr, plan.root_propagation, nullptr) != 0) {
    return os_error("linux.rootfsPropagation");
  }
  if (!plan.readonly_root) return {};
  const UniqueFd root{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  return set_mount_attributes(root.get(), MOUNT_ATTR_RDONLY, 0, /*recursive=*/false).with("root.readonly");
}

}  // namespace compose::runtime::rootfs
