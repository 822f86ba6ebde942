#pragma once
// One container in the supervisor's memory: its record and everything that lives only while a supervisor does.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "container/prepare.hpp"
#include "runtime/monitor/client.hpp"
#include "state/records.hpp"
#include "supervisor/context.hpp"
#include "supervisor/health_check.hpp"
#include "supervisor/hooks.hpp"
#include "supervisor/policy/restart.hpp"

namespace compose::supervisor {

struct Container {
  enum class Activity : std::uint8_t {
    idle,      ///< no monitor: created, ended, or waiting for its restart
    starting,  ///< its files are made or its monitor has not said "started" yet
    running,
    ending,  ///< it has ended, its monitor has not
    removing,
  };

  state::ContainerRecord record;
  std::unique_ptr<container::Created> created;  ///< until its first start, if that follows at once
  Activity activity = Activity::idle;

  std::optional<runtime::monitor::Client> monitor;
  async::Watch monitor_watch;  // after the monitor it watches: it ends first
  std::unique_ptr<HealthCheck> health;
  std::unique_ptr<Hooks> post_start;
  std::unique_ptr<Hooks> pre_stop;

  policy::RestartState restarts;
  async::Timer restart_timer;  ///< to the moment its next run is set up, then to its start
  bool set_up_due = false;     ///< the next run may be set up, the old monitor is not over
  bool restart_due = false;    ///< the delay is over, the old monitor is not
  bool held = false;           ///< starting: set up, or about to be, before the delay is over; its program does not run
  async::Timer kill_timer;
  async::Timer drain_timer;
  bool wait_attach = false;     ///< its program runs only once somebody has attached
  bool gated = false;           ///< the delay is over, what it depends on is not ready
  bool stop_requested = false;  ///< by stop, kill or down: its end is no failure
  bool unhealthy = false;       ///< it is being stopped for that
  bool hook_failed = false;     ///< it is being stopped because post_start failed
  std::optional<Error> start_error;
  Done on_started;
  std::vector<Done> on_ended;

  bool up() const { return activity == Activity::running; }
  /// Something will still happen to it without anybody asking.
  bool busy() const { return activity != Activity::idle || static_cast<bool>(restart_timer) || restart_due || gated; }
};

}  // namespace compose::supervisor
