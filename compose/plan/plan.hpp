#pragma once
// A plan: the operations that bring a project from what is (Observed) to what its files say, in an order that obeys
// depends_on. A plan is a value; it is made by pure functions (reconcile.hpp) and walked by the supervisor, which
// takes no decision of its own: an operation may begin when everything it comes after has ended.
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/units.hpp"
#include "compose/plan/observed.hpp"

namespace compose::plan {

enum class OpKind : std::uint8_t {
  create_network,
  create_volume,
  create_container,
  start_container,
  stop_container,  ///< stop signal, grace period, SIGKILL; done when the container has ended
  kill_container,  ///< Op::signal at once; does not wait for the end
  pause_container,
  unpause_container,
  remove_container,  ///< a container that has ended, with its files
  remove_network,
  remove_volume,
  wait_healthy,    ///< done when the container's health check passes; without one, when it runs
  wait_completed,  ///< done when the container has ended with exit code 0, failed on any other
  hand_over,          ///< Op::replaces leaves names and ports to the container, in one step
  drain_container,    ///< out of names and ports; done when its connections have ended, or after Op::duration
  monitor_container,  ///< done when it has run, not unhealthy, for Op::duration
  run_pre_start,   ///< a container of its own for Op::step of the service's pre_start, to its end with exit code 0
};

/// "create_network", "wait_healthy", …
std::string_view to_string(OpKind kind);

/// One edge of the graph.
struct After {
  int op = 0;            ///< Op::number of an earlier operation
  bool required = true;  ///< false: this operation goes on when that one failed (depends_on with required: false)
  bool operator==(const After&) const = default;
};

struct Op {
  int number = 0;  ///< from 1, its place in Plan::ops; every After refers to a smaller one
  OpKind kind{};
  std::string name;     ///< the real name: container "shop-web-1", network "shop_default", volume "shop_data"
  std::string service;  ///< of a container; "" else
  int replica = 0;      ///< the container's number within its service, from 1
  std::string key;      ///< of a network or volume: its key in the project; "" when the project does not know it
  /// The existing container's id; "" for one that this plan creates (then look it up by service and replica).
  std::string container_id;
  std::string cause;  ///< why, for people: "config changed", "missing", "web depends on it"
  std::vector<After> after;

  /// create_container: target path -> name of the anonymous volume taken over from the container it replaces.
  std::map<std::string, std::string> anonymous_volumes;
  /// create_container: id of the container it replaces (removed by an earlier operation), "" when none.
  std::string replaces;
  /// remove_container: its anonymous volumes go too.
  bool remove_volumes = false;
  /// stop_container: seconds to wait before SIGKILL; nullopt = the service's stop_grace_period.
  std::optional<std::chrono::seconds> timeout;
  /// create_container: it runs beside the one it replaces until hand_over.
  bool incoming = false;
  /// The service whose rolling update this is a part of (Plan::rollouts), "" = none.
  std::string rollout;
  Duration duration{};  ///< drain_container, monitor_container
  Duration delay{};     ///< it begins this long after all it comes after has ended
  /// kill_container
  std::string signal;
  /// run_pre_start: which entry, from 0; replica 0 = for the service as a whole
  int step = 0;

  bool operator==(const Op&) const = default;
};

/// What to do about containers of a rolling update that fail (deploy.update_config, rollback_config).
struct RolloutPolicy {
  enum class Action : std::uint8_t { pause, go_on, rollback };
  int replicas = 0;  ///< how many are updated
  double max_failure_ratio = 0;
  Action action = Action::pause;
  bool operator==(const RolloutPolicy&) const = default;
};

struct Plan {
  std::vector<Op> ops;  ///< in an order that could be executed one by one
  std::map<std::string, RolloutPolicy> rollouts;  ///< by service
  /// For the user, before anything happens ("found orphan containers (…)").
  std::vector<std::string> warnings;

  /// Nothing to do: no operation but waiting.
  bool empty() const;
  /// One line each: `[1,2?] -> #3 container:web:1 create (config changed)`; `2?` = may fail.
  std::string to_text() const;
  /// {"operations":[{"number","kind","name","service","cause","after":[…]}…],"warnings":[…]}
  std::string to_json() const;
  bool operator==(const Plan&) const = default;
};

}  // namespace compose::plan
