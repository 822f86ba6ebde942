#include "supervisor/health_check.hpp"

namespace compose::supervisor {

using policy::HealthMachine;

namespace {

policy::HealthSpec spec_of(const state::HealthcheckRecord& record) {
  return {record.test, record.interval, record.timeout, record.start_period, record.start_interval, record.retries};
}

/// When the container was started, on the clock the machine counts with.
HealthMachine::TimePoint steady(state::Time started) {
  return std::chrono::steady_clock::now() -
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::system_clock::now() - started);
}

}  // namespace

HealthCheck::HealthCheck(const Context& context, const state::ContainerRecord& record,
                         std::function<void(bool)> on_result)
    : context_{context},
      id_{record.id},
      machine_{spec_of(record.healthcheck), steady(record.started_at)},
      on_result_{std::move(on_result)} {
  schedule();
}

state::HealthRecord HealthCheck::record() const {
  state::HealthRecord record;
  record.status = policy::to_string(machine_.status());
  record.failing_streak = static_cast<int>(machine_.failing_streak());
  for (const policy::ProbeResult& result : machine_.log()) {
    record.log.push_back({result.started, result.finished, result.exit_code, result.output});
  }
  return record;
}

void HealthCheck::schedule() {
  const auto wait = machine_.next_probe() - std::chrono::steady_clock::now();
  timer_ = context_.loop.call_after(std::max(Duration::zero(), std::chrono::duration_cast<Duration>(wait)),
                                    [this] { probe(); });
}

void HealthCheck::probe() {
  probe_started_ = std::chrono::system_clock::now();
  auto command = exec_command(context_);
  if (!command) return end({125, false, command.error().message()});
  command->arguments.push_back(id_);
  command->arguments.insert(command->arguments.end(), machine_.spec().command.begin(), machine_.spec().command.end());
  command->timeout = machine_.spec().timeout;
  auto probe = Probe::start(context_.loop, *command, [this](const ProbeOutcome& outcome) { end(outcome); });
  if (!probe) return end({125, false, probe.error().message()});
  probe_ = *std::move(probe);
}

void HealthCheck::end(const ProbeOutcome& outcome) {
  policy::ProbeResult result;
  result.started = probe_started_;
  result.finished = std::chrono::system_clock::now();
  result.exit_code = outcome.timed_out ? -1 : outcome.exit_code;
  result.timed_out = outcome.timed_out;
  result.output = outcome.timed_out ? fmt::format("the probe took longer than {} and was killed",
                                                  format_duration(machine_.spec().timeout))
                                    : outcome.output;
  const auto changed = machine_.record(std::move(result), std::chrono::steady_clock::now());
  schedule();
  // The report may end this check.
  const auto report = on_result_;
  report(changed.has_value());
}

}  // namespace compose::supervisor
