#pragma once
// Starts the services with `x-schedule` when they are due. `up` makes such a service's container and leaves it; each
// run starts that container, so there never are two runs at once, `logs` shows all of them, and a run is as safe from
// crashes as every other container. `stop` suspends a schedule, `up` and `start` resume it, `down` ends it.
//
// A run is noted before it starts: a crash in between loses it and never doubles it.
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "state/jobs.hpp"
#include "supervisor/containers.hpp"
#include "supervisor/policy/cron.hpp"

namespace compose::supervisor {

class Scheduler {
 public:
  /// `run` starts a service in its turn and tells when that failed.
  using Run = std::function<void(const std::string& service, Done done)>;
  Scheduler(const Context& context, Containers& containers, Run run)
      : context_{context}, containers_{containers}, run_{std::move(run)} {}

  /// After the adoption: what has become due meanwhile is run, or noted as missed, as each schedule says.
  Result<void> start();
  void changed(const Container& container);
  /// Containers may have come or gone.
  void arm();
  /// Services (empty: all) are stopped, or started, by a person.
  void suspend(const std::vector<std::string>& services, bool suspended);
  /// There is a schedule: the supervisor stays although nothing runs.
  bool active() const;

 private:
  struct Plan {
    std::string text;
    policy::Cron cron;
    policy::TimeZone zone;
    bool waiting = false;  ///< due while the run before went on (overlap: queue, replace)
  };
  std::vector<Container*> scheduled() const;
  void take_up(const Container& container);
  void fire_due();
  void fire(Container& container, state::JobRecord& job, Plan& plan);
  void begin(const std::string& service, state::Time due);
  void note(state::JobRecord& job, state::JobRun run);
  void save();

  const Context& context_;
  Containers& containers_;
  Run run_;
  state::Jobs jobs_;
  std::map<std::string, Plan> plans_;
  async::Timer timer_;
  bool arming_ = false;
  bool started_ = false;
};

/// What is wrong with a schedule, "" = nothing; names the part.
std::string schedule_problem(const model::Schedule& schedule);

}  // namespace compose::supervisor
