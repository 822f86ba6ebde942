#pragma once
// The supervisor's own log: one line an event, for the person who asks what it did and when.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>

namespace spdlog {
class logger;
}

namespace compose::supervisor {

class Log {
 public:
  /// Appends to `path`; at a megabyte the file becomes its `.1` ("supervisor.1.log") and a new one begins. A
  /// log that cannot be written is no reason to stop.
  explicit Log(const std::string& path);
  /// Removes the files of the log at `path`.
  static void remove(const std::string& path);
  Log(Log&&) noexcept;
  Log& operator=(Log&&) noexcept;
  ~Log();

  template <typename... Args>
  void write(fmt::format_string<Args...> format, Args&&... args) {
    line(fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  void line(std::string_view text);
  std::shared_ptr<spdlog::logger> logger_;  ///< none: nowhere to write
};

}  // namespace compose::supervisor
