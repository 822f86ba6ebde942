// compose job ls, run, history: services with x-schedule.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/units.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/listing.hpp"
#include "cli/session.hpp"
#include "state/jobs.hpp"

namespace compose::cli {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

struct Options {
  std::string format = "table";
  bool detach = false;
};

/// "2026-03-29T01:30:00Z"
std::string shown(state::Time time) {
  return time == state::Time{} ? "" : state::format_time(time).substr(0, 19) + "Z";
}

std::string took(const state::JobRun& run) {
  if (run.started == state::Time{} || run.finished == state::Time{}) return "";
  return format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(run.finished - run.started));
}

std::string result_of(const state::JobRun& run) {
  if (run.started == state::Time{}) return run.note.empty() ? "starting" : run.note;
  return run.finished == state::Time{} ? "running" : fmt::format("exit code {}", run.exit_code);
}

std::string or_default(const std::string& text, const char* fallback) { return text.empty() ? fallback : text; }

Result<int> list(Context& context, const Options& options) {
  TRY_ASSIGN(const ProjectScope scope, context.scope({.name_is_enough = true}));
  TRY_ASSIGN(const auto containers, context.containers(scope, {}));
  TRY_ASSIGN(const auto jobs, state::load_jobs(context.paths(), scope.name));
  std::vector<ordered_json> rows;
  for (const state::ContainerRecord& container : containers) {
    const model::Schedule& schedule = container.schedule;
    if (schedule.cron.empty() || container.number != 1) continue;
    const auto found = jobs.find(container.service);
    const state::JobRecord job = found == jobs.end() ? state::JobRecord{} : found->second;
    rows.push_back({{"Service", container.service},
                    {"Schedule", schedule.cron},
                    {"TimeZone", or_default(schedule.timezone, "UTC")},
                    {"Overlap", or_default(schedule.overlap, "skip")},
                    {"Missed", or_default(schedule.missed, "skip")},
                    {"Next", job.suspended ? "suspended" : shown(job.due)},
                    {"Last", job.history.empty() ? "" : result_of(job.history.back())}});
  }
  const Listing listing{{{"SERVICE", "Service"},
                         {"SCHEDULE", "Schedule"},
                         {"TIME ZONE", "TimeZone"},
                         {"NEXT", "Next"},
                         {"LAST", "Last"}}};
  TRY_ASSIGN(const std::string text, render_listing(listing, options.format, rows));
  TRY(print(text));
  return 0;
}

Result<int> history(Context& context, const Options& options, const Strings& services) {
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = services, .name_is_enough = true}));
  TRY_ASSIGN(const auto jobs, state::load_jobs(context.paths(), scope.name));
  TRY_ASSIGN(const auto containers, context.containers(scope, {.services = services}));
  for (const std::string& service : services) {
    const bool known = std::any_of(containers.begin(), containers.end(), [&](const state::ContainerRecord& one) {
      return one.service == service && !one.schedule.cron.empty();
    });
    if (!known) return make_error(Errc::not_found, "service \"{}\" has no schedule that is up", service);
  }
  std::vector<ordered_json> rows;
  for (const auto& [service, job] : jobs) {
    if (!services.empty() && std::find(services.begin(), services.end(), service) == services.end()) continue;
    for (const state::JobRun& run : job.history) {
      rows.push_back({{"Service", service},
                      {"Scheduled", run.scheduled == state::Time{} ? "by hand" : shown(run.scheduled)},
                      {"Started", shown(run.started)},
                      {"Duration", took(run)},
                      {"ExitCode", run.exit_code},
                      {"Result", result_of(run)}});
    }
  }
  const Listing listing{{{"SERVICE", "Service"},
                         {"SCHEDULED", "Scheduled"},
                         {"STARTED", "Started"},
                         {"DURATION", "Duration"},
                         {"RESULT", "Result"}}};
  TRY_ASSIGN(const std::string text, render_listing(listing, options.format, rows));
  TRY(print(text));
  return 0;
}

Result<int> run_now(Context& context, const Options& options, const std::string& service) {
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = {service}, .name_is_enough = true}));
  TRY_ASSIGN(const auto containers, context.containers(scope, {.services = {service}}));
  if (containers.empty() || containers.front().schedule.cron.empty()) {
    return make_error(Errc::not_found, "service \"{}\" has no schedule that is up: \"{} up {}\" makes it", service,
                      context.program(), service);
  }
  if (containers.front().phase == state::Phase::running)
    return make_error(Errc::busy, "service \"{}\" runs already", service);
  const json request{{"op", "start"}, {"services", {service}}, {"options", json::object()}};
  TRY(ask(context, scope.name, request, {.operation = "job run"}));
  if (options.detach) return 0;
  const json wait{{"op", "wait"}, {"services", {service}}, {"options", json::object()}};
  TRY_ASSIGN(const auto outcome, ask(context, scope.name, wait, {.operation = "wait", .show_progress = false}));
  return outcome.exit_code;
}

}  // namespace

Command job_ls_command() {
  auto options = std::make_shared<Options>();
  Command command{
      .name = "job ls", .usage = "[OPTIONS]", .summary = "List services with a schedule and their next runs"};
  command.flags = {{"format", 0, &options->format, "table, json or a Go template", "FORMAT"}};
  command.max_args = 0;
  command.run = [options](Context& context, const Strings&) { return list(context, *options); };
  return command;
}

Command job_history_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "job history", .usage = "[OPTIONS] [SERVICE...]", .summary = "Show past runs"};
  command.details = "Kept are the last 100 runs of each service, until the project goes down.";
  command.flags = {{"format", 0, &options->format, "table, json or a Go template", "FORMAT"}};
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) { return history(context, *options, services); };
  return command;
}

Command job_run_command() {
  auto options = std::make_shared<Options>();
  Command command{
      .name = "job run", .usage = "[OPTIONS] SERVICE", .summary = "Run a scheduled service now, exit with its code"};
  command.flags = {{"detach", 'd', &options->detach, "Return when it has started"}};
  command.min_args = command.max_args = 1;
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) {
    return run_now(context, *options, services.front());
  };
  return command;
}

}  // namespace compose::cli
