#pragma once
// The messages between the two halves of a start: one letter, then its content.
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "runtime/launch/launch.hpp"
#include "sys/message.hpp"

namespace compose::runtime::launch::sync {

inline constexpr char kGo = 'G';        ///< parent: maps and interfaces are there; the pid in the host's namespace
inline constexpr char kBorn = 'B';      ///< child: its network namespace may get its interfaces now
inline constexpr char kContinue = 'C';  ///< parent: hooks have run
inline constexpr char kHooks = 'H';     ///< child: run prestart and createRuntime now
inline constexpr char kTerminal = 'T';  ///< child: + descriptor
inline constexpr char kResolver = 'D';  ///< child: + two descriptors
inline constexpr char kListener = 'L';  ///< child: + the seccomp listener
inline constexpr char kReady = 'R';     ///< child: waits for start
inline constexpr char kExec = 'X';      ///< child: the next thing is execve; the end of the stream means it worked
inline constexpr char kFailed = 'F';    ///< child: Failure

/// sys::receive_message for a peer that may leave with a message of ours unread: the kernel then reports ECONNRESET
/// once, ahead of what the peer had still sent.
Result<sys::Message> receive(int socket, std::size_t limit = 16384);

/// Hands the notification descriptor of a filter to the program behind linux.seccomp.listenerPath, with the
/// specification's container process state (config-linux.md, "Container Process State").
Result<void> send_listener(const ProcessPlan& process, int listener, pid_t pid, const std::string& state);

std::string encode(const Failure& failure);
Failure decode_failure(std::string_view message);

}  // namespace compose::runtime::launch::sync
