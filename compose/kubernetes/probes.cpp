// Health checks as probes. Docker's defaults (30 s, 30 s, 3 times; every 5 s while it starts) are written out, because
// those of Kubernetes are others.
#include "compose/kubernetes/context.hpp"

namespace compose::kubernetes {
namespace {

using Seconds = std::chrono::seconds;

Value exec_of(const Strings& test, Place place) {
  Strings command;
  if (test[0] == "CMD-SHELL") {
    command = {"/bin/sh", "-c"};
    command.insert(command.end(), test.begin() + 1, test.end());
  } else {
    command.assign(test.begin() + (test[0] == "CMD" ? 1 : 0), test.end());
  }
  return object({{"command", texts(command, place)}});
}

void note_rounded(Context& context, const std::string& path, const std::optional<Duration>& duration) {
  if (duration && !whole_seconds(*duration)) context.report.approximated(path, "whole seconds, rounded up");
}

// Swarm replaces a task that is unhealthy; plain containers stay as they are unless they are to be restarted.
bool swarm_restarts(const model::Service& service) {
  if (!service.deploy || !service.deploy->restart_policy) return false;
  return service.deploy->restart_policy->condition != "none";
}

void note_restart_on_unhealthy(Context& context, const std::string& name, const char* why) {
  if (context.service(name).restart_on_unhealthy)
    context.report.dropped("services." + name + ".x-restart-on-unhealthy", why);
}

}  // namespace

void put_probes(Context& context, const Workload& workload, const std::string& name, Value& container) {
  const model::Service& service = context.service(name);
  const std::string path = "services." + name + ".healthcheck";
  const auto& check = service.healthcheck && (!service.healthcheck->test.empty() || service.healthcheck->disable)
                          ? service.healthcheck
                          : context.image(name).healthcheck;
  if (!check || check->disable || check->test.empty() || check->test[0] == "NONE") {
    note_restart_on_unhealthy(context, name, "without a health check it means nothing");
    if (service.healthcheck && !service.healthcheck->disable && service.healthcheck->test.empty())
      context.report.dropped(path,
                             "the image's check is not known here: have the image on this host, or write the test out");
    if (service.healthcheck && (service.healthcheck->disable || !service.healthcheck->test.empty()))
      context.report.approximated(path, "no probe: Kubernetes never runs the image's own check");
    return;
  }
  if (workload.kind == Kind::job || workload.kind == Kind::cron_job) {
    note_restart_on_unhealthy(context, name, "a Job is not ready, it completes");
    context.report.dropped(path, "a Job is not ready, it completes");
    return;
  }
  // A service's own numbers count over those of its image.
  const model::Healthcheck& own = service.healthcheck ? *service.healthcheck : *check;
  const auto pick = [&](auto member, auto standard) {
    if (own.*member) return *(own.*member);
    return (*check).*member ? *((*check).*member) : standard;
  };
  const Duration interval = pick(&model::Healthcheck::interval, Duration{Seconds{30}});
  const Duration timeout = pick(&model::Healthcheck::timeout, Duration{Seconds{30}});
  const Duration start_period = pick(&model::Healthcheck::start_period, Duration{});
  const Duration start_interval = pick(&model::Healthcheck::start_interval, Duration{Seconds{5}});
  const auto retries = static_cast<std::int64_t>(pick(&model::Healthcheck::retries, std::uint64_t{3}));

  const auto probe = [&](Duration period, std::int64_t failures, const char* times) {
    return object({{"exec", exec_of(check->test, context.at(path + ".test"))},
                   {"periodSeconds", number(kubernetes::seconds(period), context.at(path + times))},
                   {"timeoutSeconds", number(kubernetes::seconds(timeout), context.at(path + ".timeout"))},
                   {"failureThreshold", number(failures, context.at(path + ".retries"))}});
  };
  put(container, "readinessProbe", probe(interval, std::max<std::int64_t>(1, retries), ".interval"));
  if (start_period > Duration::zero()) {
    const std::int64_t period = kubernetes::seconds(start_interval);
    // Until the start period ends failures do not count, after it `retries` of them do.
    const std::int64_t tries = (kubernetes::seconds(start_period) + period - 1) / period;
    put(container, "startupProbe", probe(start_interval, std::max<std::int64_t>(1, tries), ".start_interval"));
    if (kubernetes::seconds(start_period) % period != 0 || !whole_seconds(start_period))
      context.report.approximated(path + ".start_period", fmt::format("{} tries, {} s apart", tries, period));
  } else if (own.start_interval) {
    context.report.dropped(path + ".start_interval", "without start_period it means nothing");
  }
  if (service.restart_on_unhealthy && swarm_restarts(service))
    context.report.approximated("services." + name + ".x-restart-on-unhealthy",
                                "deploy.restart_policy does so already");
  if (service.restart_on_unhealthy || swarm_restarts(service))
    put(container, "livenessProbe", probe(interval, std::max<std::int64_t>(1, retries), ".interval"));
  note_rounded(context, path + ".interval", own.interval);
  note_rounded(context, path + ".timeout", own.timeout);
  if (start_period > Duration::zero()) note_rounded(context, path + ".start_interval", own.start_interval);
}

}  // namespace compose::kubernetes
