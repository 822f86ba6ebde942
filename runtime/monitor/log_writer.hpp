#pragma once
// The container's log file, rotated by size: log, log.1, log.2 …, the older ones compressed (log.2.gz) if that is
// wanted. Nothing that somebody else does (reading, copying, a full disk) makes the container wait here.
#include <array>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "runtime/monitor/log_compressor.hpp"
#include "runtime/monitor/log_settings.hpp"

namespace compose::runtime::monitor {

class LogWriter {
 public:
  explicit LogWriter(LogFileSettings settings);
  /// Opens (appends).
  Result<void> open();
  /// Writes a piece of a stream as it was read. Text without a line's end becomes a partial line, which the next piece
  /// of that stream goes on with. What a full disk does not take is lost; the first line that fits again is preceded by
  /// one that says so.
  void write(bool to_stderr, std::string_view bytes, const timespec& now);
  /// The streams have ended: what waits for its rest is written.
  void finish(const timespec& now);
  /// Bytes of output that could not be written since the start.
  std::uint64_t lost() const { return lost_; }

 private:
  void line(bool to_stderr, std::string_view text, bool complete);
  void text_line(bool to_stderr, std::string_view text, bool complete);
  void json_line(bool to_stderr, std::string_view text, bool complete);
  char* begin_line(std::size_t size);
  void end_line(char* end, std::size_t source, bool at_line_end);
  void flush();
  void rotate();
  void tell_loss(const timespec& now);

  LogFileSettings settings_;
  LogCompressor compressor_;
  UniqueFd fd_;
  std::uint64_t size_ = 0;  ///< of the file
  std::uint64_t lost_ = 0, untold_ = 0;
  bool at_line_start_ = true;
  std::array<std::string, 2> held_;  ///< json: the beginning of a character, per stream
  std::unique_ptr<char[]> buffer_;
  char* end_ = nullptr;
  std::size_t pending_source_ = 0;  ///< bytes of output that the buffer stands for
  std::string time_;
};

}  // namespace compose::runtime::monitor
