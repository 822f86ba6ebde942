#include "runtime/rootfs/copy_up.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>

#include "base/unique_fd.hpp"

namespace compose::runtime::rootfs {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

Result<void> copy_file(int from, int to, const char* name, const struct stat& status) {
  const UniqueFd source{::openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
  const UniqueFd target{::openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
  if (!source.valid() || !target.valid()) return os_error("copy {}", name);
  for (;;) {
    const ssize_t sent = ::sendfile(target.get(), source.get(), nullptr, std::size_t{1} << 20);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return os_error("copy {}", name);
    if (sent == 0) break;
  }
  if (::fchown(target.get(), status.st_uid, status.st_gid) != 0) return os_error("set the owner of {}", name);
  if (::fchmod(target.get(), status.st_mode & 07777) != 0) return os_error("set the mode of {}", name);
  return {};
}

Result<void> copy_entry(int from, int to, const char* name) {
  struct stat status{};
  if (::fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return os_error("stat {}", name);
  if (S_ISREG(status.st_mode)) {
    TRY(copy_file(from, to, name, status));
  } else if (S_ISDIR(status.st_mode)) {
    if (::mkdirat(to, name, 0700) != 0) return os_error("make directory {}", name);
    const UniqueFd source{::openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    const UniqueFd target{::openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!source.valid() || !target.valid()) return os_error("open directory {}", name);
    TRY(copy_directory(source.get(), target.get()).with("{}", name));
  } else if (S_ISLNK(status.st_mode)) {
    std::array<char, 4096> text{};
    const ssize_t size = ::readlinkat(from, name, text.data(), text.size() - 1);
    if (size < 0 || ::symlinkat(text.data(), to, name) != 0) return os_error("copy link {}", name);
    if (::fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) != 0) return os_error("chown {}", name);
  } else if (::mknodat(to, name, status.st_mode, status.st_rdev) != 0) {
    return os_error("make node {}", name);
  }
  const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
  ::utimensat(to, name, times.data(), AT_SYMLINK_NOFOLLOW);
  return {};
}

}  // namespace

Result<void> copy_directory(int from, int to) {
  const int readable = ::openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (readable < 0) return os_error("read directory");
  const std::unique_ptr<DIR, CloseDirectory> directory{::fdopendir(readable)};
  struct stat status{};
  if (::fstat(readable, &status) != 0) return os_error("stat directory");
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = static_cast<const char*>(entry->d_name);
    if (name == "." || name == "..") continue;
    TRY(copy_entry(readable, to, name.c_str()));
  }
  // Last, so that a directory without write permission can be filled.
  if (::fchownat(to, ".", status.st_uid, status.st_gid, 0) != 0) return os_error("set the owner");
  if (::fchmodat(to, ".", status.st_mode & 07777, 0) != 0) return os_error("set the mode");
  return {};
}

}  // namespace compose::runtime::rootfs
