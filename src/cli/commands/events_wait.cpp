// compose events and compose wait: what the supervisor tells as it happens.
#include <poll.h>
#include <signal.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/human.hpp"
#include "cli/session.hpp"

namespace compose::cli {
namespace {

using nlohmann::json;

struct EventOptions {
  bool as_json = false;
  std::string since;
  std::string until;
};

/// "2026-08-20 10:00:00.123456 container start ID (image=…, name=…)"
std::string event_line(const json& event) {
  std::string time = event.value("time", "");
  if (time.size() >= 26) time = time.substr(0, 10) + " " + time.substr(11, 15);
  std::string attributes = "name=" + event.value("name", "");
  if (event.contains("image")) attributes = "image=" + event.value("image", "") + ", " + attributes;
  if (event.contains("exit_code")) attributes = fmt::format("exitCode={}, ", event.value("exit_code", 0)) + attributes;
  std::string action = event.value("action", "");
  if (action == "health_status") action += ": " + event.value("health", "");
  return fmt::format("{} container {} {} ({})\n", time, action, event.value("id", ""), attributes);
}

std::string event_json(const json& event) {
  nlohmann::ordered_json attributes = {{"name", event.value("name", "")}};
  if (event.contains("image")) attributes["image"] = event["image"];
  if (event.contains("exit_code")) attributes["exitCode"] = fmt::format("{}", event.value("exit_code", 0));
  std::string action = event.value("action", "");
  if (action == "health_status") action += ": " + event.value("health", "");
  const nlohmann::ordered_json object = {{"action", action},
                                         {"attributes", attributes},
                                         {"id", event.value("id", "")},
                                         {"service", event.value("service", "")},
                                         {"time", event.value("time", "")},
                                         {"type", "container"}};
  return object.dump() + "\n";
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
  std::optional<WallTime> until;
  if (!options.until.empty()) {
    TRY_ASSIGN(until, parse_when(options.until, std::chrono::system_clock::now()).with("--until"));
  }
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = services, .name_is_enough = true}));
  TRY_ASSIGN(auto client, supervisor::Client::connect(context.paths(), scope.name, supervisor::Spawn::if_absent));
  TRY(client.send({{"op", "events"}, {"services", services}}));
  TRY_ASSIGN(Signals signals, Signals::take({SIGINT, SIGTERM}));
  TRY_ASSIGN(const UniqueFd alarm, alarm_at(until));
  while (true) {
    pollfd polled[] = {{client.fd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}, {alarm.get(), POLLIN, 0}};
    if (::poll(polled, 3, -1) < 0 && errno != EINTR) return os_error("waiting for events");
    if (signals.next() != 0) return 128 + SIGINT;
    if (polled[2].revents != 0) return 0;
    while (true) {
      auto event = next_event(client);
      if (!event) return 0;  // the supervisor has ended: nothing runs, nothing more can happen
      if (!event->has_value()) break;
      if ((*event)->value("event", "") != "container") continue;
      TRY(print(options.as_json ? event_json(**event) : event_line(**event)));
    }
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
                   {"since", 0, &options->since, "Also events after this time", "TIME", false,
                    "past events are not kept; follow them from before"},
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
