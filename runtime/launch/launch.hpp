#pragma once
// Starts a container from its plan. The caller must be single-threaded (it clones) and becomes the container's parent.
//
// The two halves meet on a SOCK_SEQPACKET pair: parent.cpp makes the control groups, clones, makes the interfaces and
// sends "go"; child.cpp meanwhile builds the root, and then turns into the container's program.
#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "net/endpoint/endpoint.hpp"
#include "runtime/cgroup/cgroup.hpp"
#include "runtime/launch/plan.hpp"

namespace compose::runtime::launch {

/// Descriptors that become 0, 1 and 2 of the container; unused where the plan asks for a terminal.
struct Stdio {
  int input = 0, output = 1, error = 2;
};

struct Options {
  Stdio stdio;
  /// Listening SOCK_SEQPACKET socket: the container waits for a connection there before it runs its program, and
  /// reports a failure to exec on it (`create` and `start`). -1: it runs at once.
  int start_listener = -1;
  bool hold = false;        ///< it waits for release() before it runs its program
  int preserve_fds = 0;     ///< descriptors from 3 on that the program inherits
  bool new_keyring = true;  ///< a session keyring of its own
  bool no_pivot = false;
  /// What the container's terminal shows goes to a terminal or a file of the caller's, which ends its lines: this one adds
  /// no carriage returns.
  bool relayed_terminal = false;
};

/// A failure in words, with what a shell would make of it.
struct Failure {
  std::string message;
  int sys_errno = 0;
  int exit_code = 125;  ///< 127 no such command, 126 not executable, 125 all else
};

struct Notice {
  enum class Kind : std::uint8_t {
    terminal,  ///< `terminal` is the master of the container's pseudo-terminal
    resolver,  ///< `resolver` holds the sockets behind 127.0.0.11
    ready,     ///< everything is set up, it waits for start
    running,   ///< its program runs
    failed,    ///< `failure`; the container's process is gone
  };
  Kind kind = Kind::failed;
  UniqueFd terminal;
  net::endpoint::ResolverSockets resolver;
  Failure failure;
};

class Launch {
 public:
  /// Creates the control group and the process, and leaves it building its root. When this fails nothing is left.
  /// `plan` must live as long as the object.
  static Result<Launch> begin(const LaunchPlan& plan, const Options& options);
  Launch(Launch&&) noexcept;
  Launch& operator=(Launch&&) noexcept;
  ~Launch();

  pid_t pid() const;
  int pidfd() const;
  UniqueFd take_pidfd();
  /// Readable when receive() has something.
  int fd() const;
  /// The next news; nothing if `wait` is false and there is none. After `running` or `failed` it is over, and after
  /// `ready` unless the process is held.
  Result<std::optional<Notice>> receive(bool wait);
  /// Lets a process go on that Options::hold keeps at `ready`.
  Result<void> release();
  /// Kills the process, waits for it and removes the control group and interfaces: for the caller that cannot go on.
  void abandon();

 private:
  struct State;
  explicit Launch(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// The other end of Options::start_listener: lets a created container run. A failure to exec is the error (Failure in
/// words); `exit_code` then gets the code.
Result<void> start_created(const LaunchPlan& plan, pid_t pid, const std::string& start_socket, int& exit_code);

}  // namespace compose::runtime::launch
