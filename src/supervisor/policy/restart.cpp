#include "supervisor/policy/restart.hpp"

#include <algorithm>

#include "base/strings.hpp"

namespace compose::supervisor::policy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kFirstDelay = milliseconds{100};
constexpr Duration kLongestDelay = seconds{60};
constexpr Duration kLongRun = seconds{10};
constexpr std::uint64_t kCrashLoop = 3;

const char* name(RestartSpec::Condition condition) {
  switch (condition) {
    case RestartSpec::Condition::never:
      return "no";
    case RestartSpec::Condition::on_failure:
      return "on-failure";
    case RestartSpec::Condition::always:
      return "always";
    case RestartSpec::Condition::unless_stopped:
      return "unless-stopped";
  }
  return "no";
}

Result<RestartSpec> from_deploy(const model::RestartPolicy& policy) {
  RestartSpec spec;
  if (policy.condition.empty() || policy.condition == "any") {
    spec.condition = RestartSpec::Condition::always;
  } else if (policy.condition == "on-failure") {
    spec.condition = RestartSpec::Condition::on_failure;
  } else if (policy.condition != "none") {
    return make_error(Errc::invalid, "deploy.restart_policy.condition: \"{}\" is none of none, on-failure, any",
                      policy.condition);
  }
  spec.max_attempts = policy.max_attempts;
  spec.delay = policy.delay;
  spec.window = policy.window;
  return spec;
}

Result<RestartSpec> from_restart(const std::string& text) {
  RestartSpec spec;
  if (text.empty() || text == "no") return spec;
  if (text == "always") {
    spec.condition = RestartSpec::Condition::always;
    return spec;
  }
  if (text == "unless-stopped") {
    spec.condition = RestartSpec::Condition::unless_stopped;
    return spec;
  }
  const auto parts = split(text, ':');
  if (parts[0] == "on-failure" && parts.size() <= 2) {
    spec.condition = RestartSpec::Condition::on_failure;
    if (parts.size() == 1) return spec;
    // Docker reads "on-failure:0" as without limit.
    if (const auto attempts = parse_unsigned(parts[1])) {
      if (*attempts > 0) spec.max_attempts = *attempts;
      return spec;
    }
  }
  return make_error(Errc::invalid, "restart: \"{}\" is none of no, always, unless-stopped, on-failure[:times]", text);
}

Duration delay_before(const RestartSpec& spec, const RestartState& state, Duration ran_for) {
  if (spec.delay) return *spec.delay;
  if (ran_for >= kLongRun || state.last_delay <= Duration::zero()) return kFirstDelay;
  return std::min(state.last_delay * 2, kLongestDelay);
}

std::string how_it_ended(const Ended& ended) {
  if (ended.start_failed) return fmt::format("could not start (exit code {})", ended.exit_code);
  if (ended.unhealthy) return fmt::format("was unhealthy and stopped (exit code {})", ended.exit_code);
  return fmt::format("exited with code {}", ended.exit_code);
}

}  // namespace

Result<RestartSpec> restart_spec(const model::Service& service) {
  const bool by_deploy = service.deploy && service.deploy->restart_policy;
  TRY_ASSIGN(RestartSpec spec,
             by_deploy ? from_deploy(*service.deploy->restart_policy) : from_restart(service.restart));
  const bool job = service.deploy && service.deploy->mode.ends_with("-job");
  if (job && spec.condition != RestartSpec::Condition::never) spec.condition = RestartSpec::Condition::on_failure;
  const auto label = service.labels.find("autoheal");
  spec.on_unhealthy = service.restart_on_unhealthy || (label != service.labels.end() && label->second == "true");
  return spec;
}

Decision next(const RestartSpec& spec, const RestartState& state, const Ended& ended) {
  Decision decision;
  decision.next = state;
  const std::string how = how_it_ended(ended);
  if (ended.stop_requested) {
    decision.reason = how + "; it was stopped on request";
    return decision;
  }
  const bool failed = ended.exit_code != 0 || ended.start_failed || ended.unhealthy;
  const bool asked_for = ended.unhealthy && spec.on_unhealthy;
  if (asked_for) {
    // Falls through to the counting below, also with `restart: no`.
  } else if (spec.condition == RestartSpec::Condition::never ||
             (spec.condition == RestartSpec::Condition::on_failure && !failed)) {
    decision.reason = fmt::format("{}; not restarted (restart: {})", how, name(spec.condition));
    return decision;
  }
  if (spec.window && ended.ran_for >= *spec.window) decision.next.attempts = 0;
  if (spec.max_attempts && decision.next.attempts >= *spec.max_attempts) {
    decision.kind = Decision::Kind::give_up;
    decision.reason = fmt::format("{}; given up after {} restarts", how, decision.next.attempts);
    return decision;
  }
  decision.kind = Decision::Kind::restart;
  decision.delay = delay_before(spec, state, ended.ran_for);
  decision.next.attempts += 1;
  decision.next.last_delay = decision.delay;
  decision.next.short_runs = ended.ran_for >= kLongRun ? 0 : state.short_runs + 1;
  decision.crash_loop = decision.next.short_runs >= kCrashLoop;
  decision.reason = fmt::format("{}; restart {} in {} (restart: {})", how, decision.next.attempts,
                                format_duration(decision.delay), name(spec.condition));
  return decision;
}

bool restart_at_boot(const RestartSpec& spec, bool stop_requested, int exit_code) {
  switch (spec.condition) {
    case RestartSpec::Condition::never:
      return false;
    case RestartSpec::Condition::on_failure:
      return exit_code != 0 && !stop_requested;
    case RestartSpec::Condition::always:
      return true;
    case RestartSpec::Condition::unless_stopped:
      return !stop_requested;
  }
  return false;
}

}  // namespace compose::supervisor::policy
