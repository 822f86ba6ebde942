#pragma once
// The supervisor's own log: one line an event, for the person who asks what it did and when.
#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/unique_fd.hpp"

namespace compose::supervisor {

class Log {
 public:
  /// Appends to `path`; starts over when the file has grown past a megabyte. A log that cannot be written is no
  /// reason to stop.
  explicit Log(const std::string& path);

  template <typename... Args>
  void write(fmt::format_string<Args...> format, Args&&... args) {
    line(fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  void line(std::string_view text);
  UniqueFd file_;
};

}  // namespace compose::supervisor
