#pragma once
// Walks a plan: an operation begins when those it comes after have ended. Takes no decision of its own but one: after
// a failure it begins nothing new (or, tidying up, goes on with the rest).
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "compose/plan/plan.hpp"
#include "supervisor/addresses.hpp"
#include "supervisor/application.hpp"
#include "supervisor/containers.hpp"
#include "supervisor/progress.hpp"

namespace compose::supervisor {

struct Work {
  plan::Plan plan;
  ApplicationPtr application;     ///< what create operations are made from; may be null without them
  std::map<int, Place> one_offs;  ///< create operation -> what is special about its container
  std::function<void(const std::string& name, const std::string& step, const std::string& line)> on_hook_line;
  bool hooks = true;                 ///< stops run pre_stop
  bool keep_going = false;           ///< a failed operation stops only those that come after it
  bool leave_volumes = false;        ///< anonymous ones that stay are left to the next container at the place
  bool release_project = false;      ///< addresses are given up all together, before the networks go
  std::optional<Duration> deadline;  ///< for the whole
};

/// A rolling update that failed more than it may.
struct FailedUpdate {
  Failure failure;
  plan::RolloutPolicy::Action action{};
};

/// What an execution did, for the answer and for undoing it.
struct Report {
  std::optional<Failure> failure;
  bool cancelled = false;
  std::set<std::string> created_containers;  ///< ids
  std::set<std::string> started_containers;
  std::set<std::string> created_networks;  ///< names
  std::set<std::string> created_volumes;
  std::vector<std::string> warnings;
  std::map<std::string, FailedUpdate> failed_updates;  ///< by service
};

class Executor {
 public:
  using OnProgress = std::function<void(const Progress&)>;
  using OnEnd = std::function<void(Report)>;

  Executor(const Context& context, Containers& containers, Addresses& addresses, Work work, OnProgress on_progress);
  ~Executor();

  /// `on_end` is called once and may destroy the executor.
  void run(OnEnd on_end);
  /// Begins nothing new and stops waiting; what has begun is brought to its end.
  void cancel(const std::string& reason);

 private:
  enum class State : std::uint8_t { waiting, running, done, failed, skipped };
  struct Step {
    State state = State::waiting;
    std::optional<state::ContainerRecord> record;  // create: made ahead, addresses are leased for it
    async::Timer timer;                            // a delay, or the time it is monitored
    std::string container_id;                      // of the container it works on, once known
  };

  void advance();
  bool ready(const plan::Op& op) const;
  bool hopeless(const plan::Op& op) const;
  bool tolerable(const plan::Op& op) const;
  void begin(const plan::Op& op);
  void finish(int number, Result<void> result);
  void fail(const plan::Op& op, const Error& error);
  bool fail_update(const plan::Op& op, const Error& error);
  bool given_up(const plan::Op& op) const;
  void skip_waits(const std::function<bool(const plan::Op&)>& which);
  void dispatch(const plan::Op& op);
  void end_if_done();

  void create_network(const plan::Op& op);
  void create_volume(const plan::Op& op);
  void create_container(const plan::Op& op);
  void start_container(const plan::Op& op);
  void remove_container(const plan::Op& op);
  void remove_network(const plan::Op& op);
  void remove_volume(const plan::Op& op);
  void run_pre_start(const plan::Op& op);
  void end_pre_start(int number, const std::string& id);
  void hand_over(const plan::Op& op);
  void monitor(const plan::Op& op);
  void wait(const plan::Op& op);
  void look_at_waits(Container& container);
  std::optional<Result<void>> waited(const plan::Op& op, const Container& container) const;

  std::optional<Failure> check_ports();
  Result<void> make_records();
  Result<void> make_record_of(const plan::Op& op);
  void acquire_addresses();
  bool starts_at_once(const plan::Op& create) const;
  const Place* one_off_of(const plan::Op& start) const;
  const Container* volume_source(const std::string& source) const;
  Container* target(const plan::Op& op) const;
  std::string position(const plan::Op& op, const Error& error) const;
  void show(const plan::Op& op, State state) const;
  bool replaced_later(const plan::Op& op) const;
  Result<void> take_volumes(const state::ContainerRecord& record);
  bool started_here(const plan::Op& create) const;
  bool addresses_wanted(const state::ContainerRecord& old) const;

  const Context& context_;
  Containers& containers_;
  Addresses& addresses_;
  Work work_;
  OnProgress on_progress_;
  OnEnd on_end_;
  std::vector<Step> steps_;  // steps_[i] belongs to plan.ops[i]
  Report report_;
  std::map<std::string, std::set<int>> failed_replicas_;  // of rolling updates
  bool stopping_ = false;
  bool advancing_ = false;
  bool again_ = false;
  bool addresses_acquired_ = false;
  bool project_released_ = false;
  int subscription_ = 0;
  std::string records_position_;  // of the service whose record could not be made
  async::Timer deadline_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace compose::supervisor
