#pragma once
// FileLock: flock(2) on a file of its own. The lock belongs to the open file description, so it survives exec in a
// child that inherits the descriptor and is released by the kernel when the last holder dies.
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::sys {

class FileLock {
 public:
  /// Creates the file if needed and waits for the exclusive lock.
  static Result<FileLock> acquire(const std::string& path);
  /// As above without waiting: nothing when somebody else holds it.
  static Result<std::optional<FileLock>> try_acquire(const std::string& path);
  /// Takes over a descriptor that holds the lock already.
  static FileLock adopt(UniqueFd fd) { return FileLock{std::move(fd)}; }

  int fd() const { return fd_.get(); }

 private:
  explicit FileLock(UniqueFd fd) : fd_{std::move(fd)} {}
  UniqueFd fd_;
};

}  // namespace compose::sys
