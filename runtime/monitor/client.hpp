#pragma once
// The supervisor's end of a monitor: start one, find one again, hear what happens to its container.
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "net/endpoint/endpoint.hpp"
#include "runtime/monitor/request.hpp"

namespace compose::runtime::monitor {

struct Event {
  enum class Kind : std::uint8_t {
    created,        ///< the process exists, not yet the container's program; pid and start_time are set
    started,        ///< the container's own program runs; pid and start_time are set
    failed,         ///< it could not be started: message, sys_errno, exit_code_hint; nothing is left, no exit.json
    exited,         ///< it ended: exit_code (128+n after a signal), signal, oom_killed; exit.json is on disk
    stream_closed,  ///< all output has been read and logged (comes before or after exited)
    lost,           ///< the monitor has gone without telling an exit
  };
  Kind kind = Kind::lost;
  pid_t pid = 0;
  std::uint64_t start_time = 0;  ///< field 22 of /proc/PID/stat, clock ticks since boot
  int exit_code = 0;
  int signal = 0;
  bool oom_killed = false;
  std::string message;     ///< failed: step and cause
  int sys_errno = 0;       ///< failed: its errno, 0 if none
  int exit_code_hint = 0;  ///< failed: 127 command not found, 126 not executable, else 125
  std::chrono::system_clock::time_point at;
};

/// One connection to one monitor. Destroying it without goodbye() makes the monitor look for a new supervisor.
class Client {
 public:
  /// Starts a monitor with its container; returns as soon as the monitor process runs, events follow.
  static Result<Client> spawn(const Request& request);
  /// Takes up a running monitor (or one whose container has ended and that waits to be heard): its present state
  /// follows as events (started, and exited if it has). Errc::not_found: nobody listens there any more.
  static Result<Client> connect(const std::string& monitor_sock);

  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  /// Becomes readable when receive() has something; non-blocking.
  int fd() const;
  /// The next event, or nothing at present. After `lost` the client is spent.
  Result<std::optional<Event>> receive();
  /// Sends `signo` to the container's first process; Errc::not_found when it has ended.
  Result<void> signal(int signo);
  /// SIGKILL to everything in the container.
  Result<void> kill_all();
  /// Lets a container that Request::hold keeps run its program, now or as soon as it is set up.
  Result<void> run();
  Result<void> resize(std::uint16_t rows, std::uint16_t columns);
  /// Says that this supervisor ends on purpose: the monitor does not start another one.
  Result<void> goodbye();
  /// UDP and TCP listening sockets of the container's resolver (127.0.0.11), handed over with `started`; once.
  std::optional<net::endpoint::ResolverSockets> take_resolver_sockets();
  /// The container's log is to be begun anew (`log.path` was moved away by somebody).
  Result<void> reopen_log();

 private:
  struct State;
  explicit Client(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace compose::runtime::monitor
