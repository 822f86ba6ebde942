// compose why: the cause that a service does not run, from what is on disk; needs no supervisor.
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "compose/plan/attributes.hpp"
#include "state/why.hpp"

namespace compose::cli {
namespace {

using state::WhyInput;

std::uint64_t free_bytes(const std::string& folder) {
  struct statvfs status{};
  for (std::string path = folder; !path.empty(); path.resize(path.rfind('/'))) {
    if (::statvfs(path.c_str(), &status) == 0) return status.f_bavail * status.f_frsize;
    if (path.rfind('/') == std::string::npos) break;
  }
  return UINT64_MAX;
}

/// The container that is judged is the one whose lines count.
void add_lines(const Context& context, WhyInput& input) {
  for (const auto& record : input.containers) {
    auto lines = state::last_lines(context.paths(), record);
    if (!lines.empty()) input.lines = std::move(lines);
    if (record.phase != state::Phase::running) break;
  }
}

/// One that was only taken back with the others, when the command failed: its record would say that it runs.
bool ran_well(const state::ContainerRecord& record) {
  const std::string& health = record.health.status;
  return record.phase == state::Phase::running && (health.empty() || health == "healthy");
}

Result<WhyInput> collect(Context& context, const ProjectScope& scope, const std::string& service) {
  WhyInput input;
  input.service = service;
  TRY_ASSIGN(auto records, state::list_containers(context.paths(), scope.name));
  std::erase_if(records, [&](const auto& record) { return record.service != service || record.one_off; });
  input.containers = std::move(records);
  // What has failed comes first.
  std::ranges::stable_sort(input.containers, {}, [](const auto& r) { return r.phase == state::Phase::running; });
  add_lines(context, input);
  auto events = state::load_events(context.paths(), scope.name);
  if (events) input.events = *std::move(events);
  input.failure = state::load_failure(context.paths(), scope.name);
  if (input.containers.empty() && input.failure) {
    for (const auto& one : input.failure->containers) {
      if (one.record.service != service || ran_well(one.record)) continue;
      input.containers.push_back(one.record);
      input.lines = one.lines;
    }
  }
  if (!input.containers.empty()) {
    input.attributes = plan::attributes_from_json(input.containers.front().made_from);
  } else if (scope.project && scope.project->services.contains(service)) {
    input.attributes = plan::attributes_of(scope.project->services.at(service));
  }
  input.folder = context.paths().containers(scope.name);
  input.free_bytes = free_bytes(input.folder);
  return input;
}

/// What changed since the service last worked, one line each.
Strings changes_since_it_worked(Context& context, const ProjectScope& scope, const WhyInput& input) {
  Strings lines;
  if (input.containers.empty() || state::has_worked(input.containers.front())) return lines;
  const std::string worked = state::load_worked(context.paths(), scope.name, input.service);
  if (worked.empty()) return lines;
  for (const auto& change : plan::changes_between(plan::attributes_from_json(worked), input.attributes)) {
    std::string place;
    if (scope.project) {
      const auto position = scope.project->where("services." + input.service + "." + change.path);
      if (position.known()) place = "  " + position.to_string();
    }
    lines.push_back(fmt::format("{}: {}{}", change.path, plan::change_text(change), place));
  }
  return lines;
}

Result<void> tell(Context& context, const ProjectScope& scope, const std::string& service,
                  std::set<std::string>& told) {
  if (!told.insert(service).second) return {};
  TRY_ASSIGN(const WhyInput input, collect(context, scope, service));
  const state::Verdict verdict = state::judge(input);
  std::string text = service + ": " + verdict.headline + "\n";
  for (const std::string& line : verdict.details) text += "  " + line + "\n";
  const Strings changes = changes_since_it_worked(context, scope, input);
  if (!changes.empty()) text += "  changed since it last worked:\n";
  for (const std::string& line : changes) text += "    " + line + "\n";
  TRY(print(text));
  for (const std::string& other : verdict.ask) TRY(tell(context, scope, other, told));
  return {};
}

Result<int> why(Context& context, Strings services) {
  // The files may be what is wrong: then what is known of the project is enough.
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = services, .name_is_enough = true}));
  if (services.empty()) {
    std::set<std::string> names;
    if (scope.project) {
      for (const auto& [name, service] : scope.project->services) names.insert(name);
    }
    TRY_ASSIGN(const auto records, state::list_containers(context.paths(), scope.name));
    for (const auto& record : records) {
      if (!record.one_off) names.insert(record.service);
    }
    services.assign(names.begin(), names.end());
  }
  std::set<std::string> told;
  for (const std::string& service : services) TRY(tell(context, scope, service, told));
  return 0;
}

}  // namespace

Command why_command() {
  Command command{.name = "why", .usage = "[SERVICE...]", .summary = "Say why a service does not run"};
  command.details =
      "Names the cause: exit code or signal, a memory limit, the failing health check with its output, the command "
      "that "
      "stopped it and who gave it, the dependency that failed, a full disk; then its last lines and what changed since "
      "it last worked.";
  command.complete = Complete::services;
  command.run = [](Context& context, const Strings& services) { return why(context, services); };
  return command;
}

}  // namespace compose::cli
