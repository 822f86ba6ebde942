#pragma once
// A supervisor that vanished without a goodbye is started again by one of its monitors: whoever gets the project's lock
// passes it on, so that there is never a moment without its holder and never two supervisors.
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace compose::runtime::monitor {

class Respawner {
 public:
  /// `argv` empty: never respawns.
  Respawner(std::vector<std::string> argv, std::string lock_path);
  /// The supervisor is gone: arms `timer` (a timerfd) with a jitter of 50-500 ms, so that not all monitors of a project
  /// come at once. False: there is nothing to try.
  bool lost(int timer);
  /// The timer has expired: takes the lock and spawns, or leaves it to the lock's holder. Arms the timer again to look
  /// whether that one has come. False: given up (5 attempts within 60 s).
  bool try_respawn(int timer);

 private:
  std::vector<std::string> argv_;
  std::string lock_path_;
  std::deque<std::int64_t> attempts_;  ///< milliseconds of the monotonic clock
};

}  // namespace compose::runtime::monitor
