#include "runtime/monitor/log_writer.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/file.hpp"

namespace compose::runtime::monitor {

std::string format_time(const timespec& time) {
  tm parts{};
  ::gmtime_r(&time.tv_sec, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, time.tv_nsec);
}

LogWriter::LogWriter(std::string path, std::uint64_t max_size, int max_files)
    : path_{std::move(path)}, max_size_{max_size}, max_files_{max_files < 1 ? 1 : max_files} {}

Result<void> LogWriter::open() {
  if (path_.empty()) return {};
  UniqueFd fd{::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640)};
  if (!fd.valid()) return os_error("open log {}", path_);
  struct stat status{};
  size_ = ::fstat(fd.get(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
  fd_ = std::move(fd);
  return {};
}

void LogWriter::rotate() {
  if (max_files_ == 1) {
    ::unlink(path_.c_str());
  } else {
    for (int i = max_files_ - 1; i > 1; --i) {
      ::rename(fmt::format("{}.{}", path_, i - 1).c_str(), fmt::format("{}.{}", path_, i).c_str());
    }
    ::rename(path_.c_str(), (path_ + ".1").c_str());
  }
  (void)open();
}

void LogWriter::write(std::string_view stream, std::string_view bytes, const timespec& now) {
  if (!fd_.valid()) return;
  const std::string prefix = format_time(now) + ' ' + std::string{stream};
  std::string text;
  text.reserve(bytes.size() + 256);
  while (!bytes.empty()) {
    const auto end = bytes.find('\n');
    const std::string_view line = bytes.substr(0, end);
    text += prefix;
    text += end == std::string_view::npos ? " P " : " F ";
    text += line;
    text += '\n';
    at_line_start_ = end != std::string_view::npos;
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
  }
  // A line is kept in one file, unless it is longer than a file may be.
  const bool full = max_size_ != 0 && size_ != 0 && size_ + text.size() > max_size_;
  if (full && (at_line_start_ || size_ > 2 * max_size_)) rotate();
  if (sys::write_all(fd_.get(), text)) size_ += text.size();
}

}  // namespace compose::runtime::monitor
