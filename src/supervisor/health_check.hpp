#pragma once
// Runs the health probes of one running container.
#include <functional>
#include <memory>
#include <string>

#include "state/records.hpp"
#include "supervisor/context.hpp"
#include "supervisor/policy/health.hpp"
#include "supervisor/probe.hpp"

namespace compose::supervisor {

class HealthCheck {
 public:
  /// `on_result` is called after every probe; true: the status changed. It may destroy the check.
  HealthCheck(const Context& context, const state::ContainerRecord& record, std::function<void(bool)> on_result);

  const policy::HealthMachine& machine() const { return machine_; }
  /// What to write down of it.
  state::HealthRecord record() const;

 private:
  void schedule();
  void probe();
  void end(const ProbeOutcome& outcome);

  const Context& context_;
  std::string id_;
  policy::HealthMachine machine_;
  std::function<void(bool)> on_result_;
  state::Time probe_started_;
  async::Timer timer_;
  std::unique_ptr<Probe> probe_;
};

}  // namespace compose::supervisor
