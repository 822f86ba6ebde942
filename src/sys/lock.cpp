#include "sys/lock.hpp"

#include <fcntl.h>
#include <sys/file.h>

namespace compose::sys {
namespace {

Result<UniqueFd> open_lock(const std::string& path) {
  UniqueFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!fd.valid()) return os_error("open lock {}", path);
  return fd;
}

}  // namespace

Result<FileLock> FileLock::acquire(const std::string& path) {
  TRY_ASSIGN(UniqueFd fd, open_lock(path));
  if (retry_eintr([&] { return ::flock(fd.get(), LOCK_EX); }) != 0) return os_error("lock {}", path);
  return FileLock{std::move(fd)};
}

Result<std::optional<FileLock>> FileLock::try_acquire(const std::string& path) {
  TRY_ASSIGN(UniqueFd fd, open_lock(path));
  if (retry_eintr([&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB); }) != 0) {
    if (errno == EWOULDBLOCK) return std::optional<FileLock>{};
    return os_error("lock {}", path);
  }
  return std::optional<FileLock>{FileLock{std::move(fd)}};
}

}  // namespace compose::sys
