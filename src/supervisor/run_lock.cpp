#include "supervisor/run_lock.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include "sys/file.hpp"

namespace compose::supervisor {

Result<std::optional<sys::FileLock>> try_project_lock(const state::Paths& paths, const std::string& project) {
  const std::string path = paths.lock(project);
  for (;;) {
    TRY(sys::make_directories(paths.run_project(project), 0700));
    auto lock = sys::FileLock::try_acquire(path);
    if (!lock) {
      if (lock.error().sys_errno() == ENOENT) continue;  // the directory went between the two calls
      return std::move(lock).error();
    }
    if (!*lock) return std::optional<sys::FileLock>{};
    struct stat held{};
    struct stat named{};
    if (::fstat((*lock)->fd(), &held) != 0) return os_error("looking at {}", path);
    if (::stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino && held.st_dev == named.st_dev) {
      return *std::move(lock);
    }
  }
}

std::vector<std::string> supervise_arguments(const std::string& program, const state::Paths& paths,
                                             const std::string& project) {
  return {program, "supervise", "--project", project, "--root", paths.root(), "--run-root", paths.run_root()};
}

Result<UniqueFd> open_null() {
  UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  if (!null.valid()) return os_error("opening /dev/null");
  return null;
}

}  // namespace compose::supervisor
