#pragma once
// Processes: posix_spawn with chosen descriptors, pidfds, identity of a process beyond its pid.
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::sys {

struct SpawnOptions {
  std::string program;                                  ///< a path, no search in PATH
  std::vector<std::string> arguments;                   ///< argv, argv[0] included
  std::optional<std::vector<std::string>> environment;  ///< "K=V"; nothing: inherited
  /// {ours, theirs}: our descriptor becomes that number in the child. Everything else above 2 is closed there.
  std::vector<std::pair<int, int>> fds;
  bool new_session = false;       ///< setsid(2)
  bool new_group = false;         ///< a process group of its own
  std::string working_directory;  ///< empty: inherited
};

struct Child {
  pid_t pid = -1;
  UniqueFd pidfd;
};

/// posix_spawn(3): does not copy the parent's memory, is safe beside threads. Signal mask and dispositions are reset
/// in the child. A program that does not exist is reported here.
Result<Child> spawn(const SpawnOptions& options);

struct ExitStatus {
  int code = 0;    ///< of exit(2), or 128 + signal
  int signal = 0;  ///< 0 when it exited by itself
};
/// Waits for a child and reaps it.
Result<ExitStatus> wait_child(pid_t pid);
/// As wait_child without waiting: nothing while it runs.
Result<std::optional<ExitStatus>> try_wait_child(pid_t pid);

Result<UniqueFd> open_pidfd(pid_t pid);
/// pidfd_send_signal(2).
Result<void> send_signal(int pidfd, int signal);
/// Field 22 of /proc/PID/stat, in clock ticks since boot: with the pid it names a process for ever. 0: no such process.
std::uint64_t process_start_time(pid_t pid);
/// /proc/sys/kernel/random/boot_id.
std::string boot_id();

}  // namespace compose::sys
