// compose events, from the journal that the supervisor writes, and compose wait.
#include <poll.h>
#include <signal.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/human.hpp"
#include "cli/session.hpp"
#include "state/events.hpp"

namespace compose::cli {
namespace {

using nlohmann::json;

struct EventOptions {
  bool as_json = false;
  std::string since;
  std::string until;
};

bool concerns(const state::ContainerEvent& event, const Strings& services) {
  if (event.action == "request") return false;
  return services.empty() || std::ranges::find(services, event.service) != services.end();
}

std::string action_of(const state::ContainerEvent& event) {
  const auto health = event.attributes.find("health");
  return event.action == "health_status" && health != event.attributes.end() ? event.action + ": " + health->second
                                                                             : event.action;
}

/// "2026-08-20 10:00:00.123456 container start ID (image=…, name=…)", the time in the local zone.
std::string event_line(const state::ContainerEvent& event) {
  const auto since_epoch = event.at.time_since_epoch();
  const std::time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(since_epoch).count();
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  const auto micro = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count() % 1'000'000;
  Strings attributes;
  for (const auto& [name, value] : event.attributes) {
    if (name != "health") attributes.push_back(name + "=" + value);
  }
  attributes.push_back("name=" + event.name);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06} container {} {} ({})\n", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, micro,
                     action_of(event), event.id, join(attributes, ", "));
}

std::string event_json(const state::ContainerEvent& event) {
  nlohmann::ordered_json attributes = nlohmann::ordered_json::object();
  for (const auto& [name, value] : event.attributes) {
    if (name != "health") attributes[name] = value;
  }
  attributes["name"] = event.name;
  const nlohmann::ordered_json object = {
      {"action", action_of(event)},           {"attributes", attributes}, {"id", event.id}, {"service", event.service},
      {"time", state::format_time(event.at)}, {"type", "container"}};
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

/// Readable at `at`; never without a time.
Result<UniqueFd> alarm_at(const std::optional<WallTime>& at) {
  UniqueFd timer{::timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC)};
  if (!timer.valid()) return os_error("making a timer");
  if (!at) return timer;
  const auto since_epoch = std::chrono::duration_cast<std::chrono::nanoseconds>(at->time_since_epoch()).count();
  itimerspec spec{};
  spec.it_value.tv_sec = since_epoch / 1'000'000'000;
  spec.it_value.tv_nsec = since_epoch % 1'000'000'000;
  if (::timerfd_settime(timer.get(), TFD_TIMER_ABSTIME, &spec, nullptr) != 0) return os_error("setting a timer");
  return timer;
}

Result<int> events(Context& context, const EventOptions& options, const Strings& services) {
  const WallTime now = std::chrono::system_clock::now();
  std::optional<WallTime> since, until;
  if (!options.since.empty()) {
    TRY_ASSIGN(since, parse_when(options.since, now).with("--since"));
  }
  if (!options.until.empty()) {
    TRY_ASSIGN(until, parse_when(options.until, now).with("--until"));
  }
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = services, .name_is_enough = true}));
  TRY_ASSIGN(auto follower, state::EventFollower::open(context.paths(), scope.name));
  Result<void> printed;
  const auto show = [&](const state::ContainerEvent& event) {
    if (!printed || !concerns(event, services) || (until && event.at > *until)) return;
    printed = print(options.as_json ? event_json(event) : event_line(event));
  };
  state::Time shown_until{};  // what comes from the journal and from the follower is shown once
  if (since) {
    TRY_ASSIGN(const auto past, state::load_events(context.paths(), scope.name));
    for (const auto& event : past) {
      if (event.at >= *since) show(event);
      shown_until = std::max(shown_until, event.at);
    }
  }
  TRY(std::move(printed));
  if (until && *until <= now) return 0;
  TRY_ASSIGN(Signals signals, Signals::take({SIGINT, SIGTERM}));
  TRY_ASSIGN(const UniqueFd alarm, alarm_at(until));
  while (true) {
    TRY(follower.drain([&](const state::ContainerEvent& event) {
      if (event.at > shown_until) show(event);
    }));
    TRY(std::move(printed));
    printed = {};
    pollfd polled[] = {{follower.fd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}, {alarm.get(), POLLIN, 0}};
    if (::poll(polled, 3, -1) < 0 && errno != EINTR) return os_error("waiting for events");
    if (signals.next() != 0) return 128 + SIGINT;
    if (polled[2].revents != 0) return 0;
  }
}

Result<int> wait(Context& context, bool down_project, const Strings& services) {
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = services, .name_is_enough = true}));
  TRY_ASSIGN(const auto containers, context.containers(scope, {.services = services}));
  if (containers.empty()) return make_error(Errc::not_found, "no containers for project \"{}\"", scope.name);
  const json request{{"op", "wait"}, {"services", services}, {"options", json::object()}};
  TRY_ASSIGN(const auto outcome, ask(context, scope.name, request, {.operation = "wait", .show_progress = false}));
  const json result = json::parse(outcome.json, nullptr, false);
  TRY(print(fmt::format("container \"{}\" exited with status code {}\n", result.value("name", services[0]),
                        outcome.exit_code)));
  if (down_project) {
    json how{{"op", "down"}, {"options", json::object()}};
    if (scope.project) how["project"] = model::project_to_json(*scope.project);
    TRY(ask(context, scope.name, how, {.operation = "down"}));
  }
  return outcome.exit_code;
}

}  // namespace

Command events_command() {
  auto options = std::make_shared<EventOptions>();
  Command command{.name = "events", .usage = "[OPTIONS] [SERVICE...]", .summary = "Show what happens to containers"};
  command.flags = {{"json", 0, &options->as_json, "One JSON object per line"},
                   {"since", 0, &options->since, "Also events after this time", "TIME"},
                   {"until", 0, &options->until, "End at this time", "TIME"}};
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) { return events(context, *options, services); };
  return command;
}

Command wait_command() {
  auto down = std::make_shared<bool>(false);
  Command command{.name = "wait",
                  .usage = "SERVICE [SERVICE...] [OPTIONS]",
                  .summary = "Wait until containers end, exit with their code"};
  command.flags = {{"down-project", 0, down.get(), "Then remove the project"}};
  command.min_args = 1;
  command.complete = Complete::services;
  command.run = [down](Context& context, const Strings& services) { return wait(context, *down, services); };
  return command;
}

}  // namespace compose::cli
