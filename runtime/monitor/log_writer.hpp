#pragma once
// The container's log: CRI text lines ("<RFC 3339 nanoseconds> stdout F text"), rotated by size.
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::runtime::monitor {

/// "2026-01-31T12:00:00.000000001Z"
std::string format_time(const timespec& time);

class LogWriter {
 public:
  /// `max_size` in bytes, 0: unlimited; `max_files` counts the log itself ("log") and its older ones ("log.1", …).
  LogWriter(std::string path, std::uint64_t max_size, int max_files);
  /// Opens (appends); an empty path keeps nothing.
  Result<void> open();
  /// Writes a piece of a stream as it was read. Text without a line's end becomes a partial line (tag P), which the
  /// next piece of that stream goes on with. A full disk loses the piece, never blocks the container.
  void write(std::string_view stream, std::string_view bytes, const timespec& now);

 private:
  void rotate();
  std::string path_;
  std::uint64_t max_size_;
  int max_files_;
  UniqueFd fd_;
  std::uint64_t size_ = 0;
  bool at_line_start_ = true;
};

}  // namespace compose::runtime::monitor
