#pragma once
// Whether and when a container that ended is started again. Pure; the caller keeps the state and the clock.
//
// `restart` follows Docker's restart manager (moby, daemon restartmanager): 100 ms before the first restart, doubled
// each time up to one minute, back to 100 ms after a run of 10 s or more. `deploy.restart_policy` (Compose
// Specification, deploy.md) wins over `restart`: its delay is constant, its attempts are counted afresh when a run
// lasted at least `window`. A job (deploy.mode replicated-job, global-job) is done after a success, whatever they say.
// x-restart-on-unhealthy (or the label autoheal=true, which others use for it) makes an end that we brought about
// because the container was unhealthy a failure that is always restarted, with the policy's delays and limits.
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/units.hpp"
#include "compose/model/service.hpp"

namespace compose::supervisor::policy {

using TimePoint = std::chrono::steady_clock::time_point;

struct RestartSpec {
  enum class Condition : std::uint8_t { never, on_failure, always, unless_stopped };
  Condition condition = Condition::never;
  std::optional<std::uint64_t> max_attempts;  ///< restarts; nullopt = no limit
  std::optional<Duration> delay;              ///< constant; nullopt = Docker's back-off
  std::optional<Duration> window;             ///< a run this long makes the next failure the first
  bool on_unhealthy = false;
  bool operator==(const RestartSpec&) const = default;
};

/// The policy of a service. Errc::invalid: `restart` is none of no, always, unless-stopped, on-failure[:N].
Result<RestartSpec> restart_spec(const model::Service& service);

/// Of one container since it was last started by somebody's wish. Value-initialized then.
struct RestartState {
  std::uint64_t attempts = 0;    ///< restarts done (shown as the restart count)
  Duration last_delay{};         ///< the delay before the last restart; 0 = none yet
  std::uint64_t short_runs = 0;  ///< runs of less than 10 s in a row
  bool operator==(const RestartState&) const = default;
};

struct Ended {
  int exit_code = 0;            ///< 128 + n for a signal
  bool stop_requested = false;  ///< somebody asked for it: stop, kill, down
  bool unhealthy = false;       ///< it was stopped for being unhealthy: a failure, whatever its exit code
  bool start_failed = false;    ///< it never ran (command not found, …); counts as a failure of exit_code
  Duration ran_for{};
};

struct Decision {
  enum class Kind : std::uint8_t {
    stay_down,  ///< the policy does not ask for a restart
    restart,    ///< after `delay`
    give_up,    ///< the policy would restart but its attempts are used up
  };
  Kind kind = Kind::stay_down;
  Duration delay{};
  RestartState next;        ///< the state from here on
  bool crash_loop = false;  ///< restarting for the third time or more without a run of 10 s
  std::string reason;       ///< for people: "exited with code 1; restart 3 in 400ms (on-failure)"
};

Decision next(const RestartSpec& spec, const RestartState& state, const Ended& ended);

/// Whether a container of this policy is to run again when its supervisor comes back after the host was restarted
/// (moby: always, and unless-stopped when it was not stopped; on-failure when its last exit was a failure).
bool restart_at_boot(const RestartSpec& spec, bool stop_requested, int exit_code);

}  // namespace compose::supervisor::policy
