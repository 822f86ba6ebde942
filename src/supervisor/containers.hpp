#pragma once
// The containers of the project: starts, stops and removes them, hears their monitors, applies restart policies and
// health. Mechanism and policy of single containers; what is to be done and in which order comes from a plan.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "runtime/launch/plan.hpp"
#include "supervisor/addresses.hpp"
#include "supervisor/container.hpp"
#include "supervisor/context.hpp"
#include "supervisor/names.hpp"
#include "supervisor/policy/dependency.hpp"

namespace compose::supervisor {

/// `action` is one of protocol.hpp's container actions.
using OnEvent = std::function<void(const Container&, const std::string& action)>;

class Containers {
 public:
  Containers(const Context& context, Addresses& addresses, Names& names, OnEvent on_event);
  ~Containers();

  Container* find(const std::string& id);
  /// The container at this place of a service, one-off ones apart.
  Container* find_replica(const std::string& service, int number);
  const std::map<std::string, std::unique_ptr<Container>>& all() const { return containers_; }
  /// Takes up a container whose files are made.
  Container& add(state::ContainerRecord record);

  /// Done when its own program runs, or with the reason why not; then nothing of the attempt is left.
  void start(Container& container, Done done);
  /// Stop signal, `grace` (nothing: the container's own), SIGKILL. Done when it and its monitor have ended. A pending
  /// restart is called off. Before it, with `hooks`, the commands of pre_stop: when one fails the container runs on and
  /// `done` gets the reason. Who asks a virtual address is led past it and answered before the signal.
  void stop(Container& container, std::optional<Duration> grace, Done done, bool hooks = true);
  /// Sends a signal. SIGKILL, SIGTERM and the container's stop signal count as a stop: no policy restarts it then.
  Result<void> kill(Container& container, int signal);
  void pause(Container& container, bool freeze, Done done);
  /// Files, cgroups and ports of a container that is idle. With `keep_lease` the next one at its place gets its
  /// addresses. The Container is gone when `done` is called.
  void remove(Container& container, bool keep_lease, Done done);

  /// The incoming container takes the place of `old` (null: it has gone): its names, its published ports, its own name.
  Result<void> hand_over(Container& incoming, Container* old);
  /// Done when the connections others have to the container have ended, or after `limit` at the latest.
  void drain(Container& container, Duration limit, Done done);

  /// Called after every change of any container's state or health; may stop or start containers.
  int subscribe(std::function<void(Container&)> on_change);
  void unsubscribe(int id);

  /// A line that a hook wrote; set before anything is started.
  std::function<void(const Container&, const std::string& step, const std::string& line)> on_hook_line;

  /// Takes up what the last supervisor left: connects to monitors, reads exits, cleans up what is half-made.
  Result<void> adopt();
  /// The host was restarted since they ran: the containers (ids) that their policies want to run again. Given once.
  std::vector<std::string> take_to_restore() { return std::exchange(to_restore_, {}); }
  /// Tells every monitor that this supervisor leaves on purpose.
  void say_goodbye();
  /// Something will still happen to one of them, or be written about it.
  bool busy() const;
  /// What policies see of the project's containers, one-off ones apart.
  std::vector<policy::Member> members() const;

  /// What a person needs to see of a container that failed: its last probe's output and its last log lines.
  std::string last_output(const Container& container) const;

 private:
  struct Launch;
  void launch(Container& container, bool hold = false);
  void run_held(Container& container);
  void call_off(Container& container);
  void set_log(const state::ContainerRecord& record, runtime::monitor::Request& request) const;
  Result<std::shared_ptr<Launch>> prepare_launch(Container& container);
  void launched(const std::string& id, Launch& launch);
  void fail_start(Container& container, Error error, int exit_code);
  Result<void> join_namespaces(const state::ContainerRecord& record, Launch& launch);
  Result<state::ContainerRecord> running_container(const std::string& target) const;
  Result<const runtime::launch::HostFacts*> facts();

  void watch(Container& container);
  void hear(const std::string& id);
  void handle(Container& container, const runtime::monitor::Event& event);
  void on_started(Container& container, const runtime::monitor::Event& event);
  void on_exited(Container& container, const runtime::monitor::Event& event);
  void on_lost(Container& container);
  void end_lost(Container& container, bool started);
  void end(Container& container);
  struct DrainTimes;
  void await_connections(Container& container, const DrainTimes& times, Done done);
  void quit(Container& container, Duration grace);
  void signal_stop(Container& container, Duration grace);
  void run_post_start(Container& container);
  void post_start_ended(const std::string& id, const Result<void>& result);
  void run_pre_stop(Container& container, Duration grace);
  Hooks::OnLine hook_line(const std::string& id);
  void begin_health(Container& container);
  void on_probe(Container& container, bool changed);
  void decide_restart(Container& container, policy::Ended end);
  void restart(Container& container);
  void restart_after(Container& container, Duration delay);
  void set_up_ahead(Container& container);
  std::string awaited(const Container& container) const;
  void look_at_gates();
  void cancel_restart(Container& container);
  void update_names(const Container& container);

  void adopt_one(state::ContainerRecord record, pid_t monitor);
  void end_monitor(const Container& container, pid_t monitor);
  void adopt_ended(Container& container);
  void adopt_from_before_boot(Container& container);
  void remove_leftovers(const std::string& id);
  void kill_group(const std::string& path);

  void save(const Container& container);
  void save_again();
  void changed(Container& container);

  const Context& context_;
  Addresses& addresses_;
  Names& names_;
  OnEvent on_event_;
  std::map<std::string, std::unique_ptr<Container>> containers_;
  std::map<int, std::function<void(Container&)>> subscribers_;
  int next_subscriber_ = 0;
  bool looking_at_gates_ = false;
  std::set<std::string> gated_;  ///< ids of all that are gated, and of some that were
  std::set<std::string> unsaved_;  // whose records on disk are behind: there was no room for them
  static constexpr Duration kFirstSaveAgain = std::chrono::seconds{1};
  Duration save_delay_ = kFirstSaveAgain;  // doubles from try to try
  async::Timer save_timer_;
  std::vector<std::string> to_restore_;
  std::optional<runtime::launch::HostFacts> facts_;
};

/// Kills whatever is in a cgroup, waits up to two seconds for the last of it, and removes the group.
Result<void> end_group(const runtime::cgroup::Layout& layout, const std::string& path);

policy::Member member_of(const Container& container);
policy::RestartSpec restart_spec_of(const state::RestartRecord& record);

/// The number of a signal's name ("SIGTERM", "term", "RTMIN+3", "15"); Errc::invalid.
Result<int> parse_signal(const std::string& text);

}  // namespace compose::supervisor
