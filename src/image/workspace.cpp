#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ids.hpp"
#include "image/store_internal.hpp"
#include "sys/file.hpp"

namespace compose::image {

namespace {

constexpr std::string_view kLockSuffix = ".lock";

/// True when the locked file still is the one at `path`: a sweep may have removed it between open and lock.
bool still_there(int fd, const std::string& path) {
  struct stat ours{};
  struct stat there{};
  return ::fstat(fd, &ours) == 0 && ::stat(path.c_str(), &there) == 0 && ours.st_ino == there.st_ino &&
         ours.st_dev == there.st_dev;
}

}  // namespace

Result<Workspace> Workspace::create(const std::string& tmp_dir) {
  while (true) {
    const std::string path = tmp_dir + "/" + random_id().substr(0, 24);
    const std::string lock_path = path + std::string{kLockSuffix};
    TRY_ASSIGN(sys::FileLock lock, sys::FileLock::acquire(lock_path));
    if (!still_there(lock.fd(), lock_path)) continue;
    if (::mkdir(path.c_str(), 0700) != 0) return os_error("make directory \"{}\"", path);
    return Workspace{path, std::move(lock)};
  }
}

Workspace::~Workspace() {
  if (!lock_) return;
  // What cannot be removed now is swept by the next prune.
  (void)sys::remove_tree(path_);
  ::unlink((path_ + std::string{kLockSuffix}).c_str());
}

Result<int> Workspace::sweep(const std::string& tmp_dir) {
  int removed = 0;
  TRY_ASSIGN(const std::vector<std::string> names, sys::list_directory(tmp_dir));
  for (const std::string& name : names) {
    if (name.ends_with(kLockSuffix)) continue;
    const std::string path = tmp_dir + "/" + name;
    if (sys::exists(fmt::format("{}/{}", path, kStepMark))) continue;
    const std::string lock_path = path + std::string{kLockSuffix};
    TRY_ASSIGN(const std::optional<sys::FileLock> lock, sys::FileLock::try_acquire(lock_path));
    if (!lock || !still_there(lock->fd(), lock_path)) continue;
    TRY(sys::remove_tree(path));
    ::unlink(lock_path.c_str());
    ++removed;
  }
  for (const std::string& name : names) {
    const std::string path = tmp_dir + "/" + name;
    if (!name.ends_with(kLockSuffix) || sys::exists(path.substr(0, path.size() - kLockSuffix.size()))) continue;
    TRY_ASSIGN(const std::optional<sys::FileLock> lock, sys::FileLock::try_acquire(path));
    if (lock) ::unlink(path.c_str());
  }
  return removed;
}

}  // namespace compose::image
