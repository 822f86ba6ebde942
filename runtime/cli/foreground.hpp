#pragma once
// Waiting for a process as its terminal's or pipes' owner: signals are passed on, a terminal is relayed.
#include <sys/types.h>

#include <string>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::runtime::cli {

/// Blocks the signals that Foreground will pass on; call before the process is made, so that none is lost.
void block_signals();

/// Waits for the child `pid` and gives its exit status, 128+n after a signal. With `terminal` (a pty's master) copies
/// between it and our standard streams meanwhile; a terminal of ours is raw for that time and its size follows.
Result<int> wait_in_foreground(pid_t pid, int pidfd, UniqueFd terminal);

/// Hands a pty's master to a console socket (runc's docs/terminals.md).
/// Hands the pidfd of a new process to who listens at `path`.
Result<void> send_pidfd(const std::string& path, int pidfd);
Result<void> send_to_console_socket(const std::string& path, const UniqueFd& terminal);

/// Rows and columns of our own terminal, 0 0 without one.
void own_terminal_size(std::uint16_t& rows, std::uint16_t& columns);

}  // namespace compose::runtime::cli
