#include "compose/load/disk_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/unique_fd.hpp"

namespace compose::load {
namespace {

// Files of a project are read whole; nothing that is meant to be one is larger.
constexpr std::size_t kMostBytes = 256U << 20U;

Result<std::string> read_all(int fd, const std::string& path) {
  std::string content;
  std::size_t used = 0;
  for (;;) {
    if (content.size() - used < 32768) content.resize(content.size() * 2 + 65536);
    const ssize_t n = retry_eintr([&] { return ::read(fd, content.data() + used, content.size() - used); });
    if (n < 0) return os_error("read {}", path);
    if (n == 0) break;
    used += static_cast<std::size_t>(n);
    if (used > kMostBytes) return make_error(Errc::invalid, "{} is larger than {} MiB", path, kMostBytes >> 20U);
  }
  content.resize(used);
  return content;
}

}  // namespace

Result<std::string> DiskFiles::read(const std::string& path) {
  if (path == "-") {
    if (!stdin_read_) {
      TRY_ASSIGN(stdin_, read_all(STDIN_FILENO, "standard input"));
      stdin_read_ = true;
    }
    return stdin_;
  }
  const UniqueFd fd{retry_eintr([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY); })};
  if (!fd.valid()) return os_error("open {}", path);
  return read_all(fd.get(), path);
}

FileKind DiskFiles::kind(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return FileKind::missing;
  if (S_ISREG(status.st_mode)) return FileKind::file;
  return S_ISDIR(status.st_mode) ? FileKind::directory : FileKind::other;
}

std::string DiskFiles::real_path(const std::string& path) {
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return path;
  std::string out(resolved);
  std::free(resolved);
  return out;
}

}  // namespace compose::load
