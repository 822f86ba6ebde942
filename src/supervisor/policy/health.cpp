#include "supervisor/policy/health.hpp"

#include <algorithm>

namespace compose::supervisor::policy {
namespace {

constexpr Duration kShortestGap = std::chrono::milliseconds{100};
constexpr std::size_t kKeptResults = 5;
constexpr std::size_t kKeptOutput = 4096;

// Docker takes a duration of 0 for "not given".
void take(Duration& into, const std::optional<Duration>& value) {
  if (value && *value > Duration::zero()) into = *value;
}

std::vector<std::string> probe_command(const std::vector<std::string>& test, const std::vector<std::string>& shell) {
  if (test.empty() || test[0] == "NONE") return {};
  if (test[0] == "CMD-SHELL") {
    std::vector<std::string> command = shell;
    command.insert(command.end(), test.begin() + 1, test.end());
    return command.size() > shell.size() ? command : std::vector<std::string>{};
  }
  return {test.begin() + (test[0] == "CMD" ? 1 : 0), test.end()};
}

}  // namespace

std::optional<HealthSpec> health_spec(const std::optional<model::Healthcheck>& healthcheck,
                                      const std::vector<std::string>& shell) {
  if (!healthcheck || healthcheck->disable) return std::nullopt;
  HealthSpec spec;
  spec.command = probe_command(healthcheck->test, shell);
  if (spec.command.empty()) return std::nullopt;
  take(spec.interval, healthcheck->interval);
  take(spec.timeout, healthcheck->timeout);
  take(spec.start_period, healthcheck->start_period);
  take(spec.start_interval, healthcheck->start_interval);
  if (healthcheck->retries.value_or(0) > 0) spec.retries = *healthcheck->retries;
  return spec;
}

HealthMachine::HealthMachine(HealthSpec spec, TimePoint started)
    : spec_{std::move(spec)}, started_{started}, next_probe_{started}, last_counted_{started} {}

std::optional<HealthMachine::Status> HealthMachine::record(ProbeResult result, TimePoint now) {
  if (result.timed_out) {
    if (result.exit_code == 0) result.exit_code = -1;
    if (!result.output.empty() && !result.output.ends_with('\n')) result.output += '\n';
    result.output += "health check exceeded its timeout of " + format_duration(spec_.timeout);
  }
  if (result.output.size() > kKeptOutput) result.output.resize(kKeptOutput);
  const bool healthy = result.exit_code == 0;
  const Duration took = std::max<Duration>(result.finished - result.started, Duration::zero());
  log_.push_back(std::move(result));
  if (log_.size() > kKeptResults) log_.pop_front();

  const Status before = status_;
  if (healthy) {
    succeeded_once_ = true;
    failing_streak_ = 0;
    status_ = Status::healthy;
  } else if (succeeded_once_ || (now >= started_ + spec_.start_period && now - last_counted_ >= spec_.interval)) {
    last_counted_ = now;
    if (++failing_streak_ >= spec_.retries) status_ = Status::unhealthy;
  }
  schedule(now, took);
  return status_ == before ? std::nullopt : std::optional{status_};
}

void HealthMachine::schedule(TimePoint now, Duration took) {
  if (succeeded_once_ || status_ != Status::starting) {
    next_probe_ = now + spec_.interval;
    return;
  }
  const Duration densest = std::max<Duration>(kShortestGap, (now - started_) / 4);
  const Duration gap = std::min(densest, std::min(spec_.start_interval, spec_.interval));
  next_probe_ = now + std::max(gap, std::min(took, spec_.interval));
  // A failure must not be counted later than Docker would: probe at the moment it counts.
  const TimePoint counts = std::max(started_ + spec_.start_period, last_counted_ + spec_.interval);
  if (counts > now && counts < next_probe_) next_probe_ = counts;
}

std::string_view to_string(HealthMachine::Status status) {
  switch (status) {
    case HealthMachine::Status::starting:
      return "starting";
    case HealthMachine::Status::healthy:
      return "healthy";
    case HealthMachine::Status::unhealthy:
      return "unhealthy";
  }
  return "starting";
}

}  // namespace compose::supervisor::policy
