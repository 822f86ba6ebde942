#pragma once
// The protocol on the monitor's sockets (SOCK_SEQPACKET; one letter, then numbers as codec.hpp writes them). A running
// monitor may be older than the supervisor that finds it, so letters and layouts here never change their meaning; new
// ones may be added, and both sides ignore letters they do not know.
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "runtime/monitor/client.hpp"

namespace compose::runtime::monitor::wire {

// To the monitor.
inline constexpr char kSupervise = 'S';  ///< I am the supervisor now; the present state is sent as events
inline constexpr char kAttach = 'A';     ///< send me the output from now on
inline constexpr char kSignal = 'K';     ///< number
inline constexpr char kKillAll = 'Q';
inline constexpr char kResize = 'W';   ///< rows, columns
inline constexpr char kGoodbye = 'B';  ///< the supervisor leaves on purpose
inline constexpr char kAck = 'Y';      ///< the exit (or failure) has been heard
inline constexpr char kInput = 'I';    ///< + bytes for standard input
inline constexpr char kEndInput = 'Z';
inline constexpr char kReopenLog = 'L';
inline constexpr char kRun = 'R';  ///< what Request::hold keeps may run

// From the monitor.
inline constexpr char kEvent = 'E';   ///< Event; with `started` two descriptors may come: the resolver's UDP and TCP
inline constexpr char kOutput = '1';  ///< + bytes of standard output (or of the terminal)
inline constexpr char kErrors = '2';  ///< + bytes of standard error

inline constexpr std::size_t kMaxMessage = 16384;  ///< in either direction

std::string encode(const Event& event);
Result<Event> decode_event(std::string_view message);

std::string encode_numbers(char letter, std::uint64_t first, std::uint64_t second = 0);
struct Numbers {
  std::uint64_t first = 0, second = 0;
};
std::optional<Numbers> decode_numbers(std::string_view message);

}  // namespace compose::runtime::monitor::wire
