#include "supervisor/log.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>

#include "state/records.hpp"

namespace compose::supervisor {

namespace {
constexpr off_t kTooLong = off_t{1} << 20;
}

Log::Log(const std::string& path) : file_{::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)} {
  struct stat status{};
  if (file_.valid() && ::fstat(file_.get(), &status) == 0 && status.st_size > kTooLong) {
    [[maybe_unused]] const int ignored = ::ftruncate(file_.get(), 0);
  }
}

void Log::line(std::string_view text) {
  if (!file_.valid()) return;
  const std::string whole = fmt::format("{} {}\n", state::format_time(std::chrono::system_clock::now()), text);
  [[maybe_unused]] const ssize_t ignored = ::write(file_.get(), whole.data(), whole.size());
}

}  // namespace compose::supervisor
