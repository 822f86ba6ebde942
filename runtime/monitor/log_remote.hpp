#pragma once
// A container's output on its way to journald or syslog, line by line.
#include <array>
#include <cstdint>
#include <ctime>
#include <deque>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "runtime/monitor/log_settings.hpp"

namespace compose::runtime::monitor {

/// One entry as it goes over the wire: `text` is a line without its end. Pure.
std::string journal_entry(const RemoteLogSettings& settings, bool to_stderr, std::string_view text, bool partial);
std::string syslog_entry(const RemoteLogSettings& settings, bool to_stderr, std::string_view text, const timespec& now,
                         int pid);

class RemoteLog {
 public:
  explicit RemoteLog(RemoteLogSettings settings) : settings_{std::move(settings)} {}
  /// Connects; an address that does not answer is an error here, later it only costs what is sent meanwhile.
  Result<void> open();
  /// A piece of a stream as it was read; a line is sent when its end has come, at the latest after 16 KiB.
  void write(bool to_stderr, std::string_view bytes, const timespec& now);
  /// The streams have ended: sends what is left, waiting for the service at most `milliseconds`.
  void finish(const timespec& now, int milliseconds);

  /// -1: not connected.
  int fd() const { return socket_.get(); }
  /// Something waits for the socket to be writable; flush() then.
  bool waits() const { return !queue_.empty(); }
  void flush();
  /// The container has to wait, too.
  bool blocks() const { return settings_.buffer == 0 && queued_ > kHeld; }

 private:
  static constexpr std::size_t kHeld = std::size_t{64} << 10;
  Result<UniqueFd> connect() const;
  void line(bool to_stderr, std::string_view text, bool partial, const timespec& now);
  enum class Sent : std::uint8_t { yes, later, never };
  Sent send(std::string& entry);
  Sent send_as_file(std::string_view entry);
  bool reconnect();

  RemoteLogSettings settings_;
  UniqueFd socket_;
  bool stream_ = false;
  std::array<std::string, 2> open_;  ///< of each stream, a line without its end
  std::deque<std::string> queue_;
  std::size_t queued_ = 0;
  time_t last_attempt_ = 0;
};

}  // namespace compose::runtime::monitor
