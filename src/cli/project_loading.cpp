#include "cli/project_loading.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/strings.hpp"
#include "compose/load/disk_files.hpp"

extern char** environ;  // NOLINT(readability-identifier-naming): environ(7)

namespace compose::cli {
namespace {

std::string current_directory() {
  char* path = ::getcwd(nullptr, 0);
  if (path == nullptr) return "/";
  std::string text{path};
  std::free(path);
  return text;
}

std::map<std::string, std::string> process_environment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text{*entry};
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos && equals != 0)
      variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

/// What the loader reports: warnings and errors with their excerpts.
void show_report(Context& context, const load::LoadResult& result) {
  if (result.diagnostics.all().empty()) return;
  std::string report = result.report();
  while (!report.empty() && report.back() == '\n') report.pop_back();
  if (result.ok()) {
    context.progress().line(report);
  } else {
    context.progress().failure(report);
  }
}

/// Names with "_" as Compose v1 had them. A container keeps such a name only where the service has one container.
Result<void> apply_compatibility(model::Project& project) {
  for (auto& [name, service] : project.services) {
    if (!service.container_name.empty()) continue;
    if (service.replicas() > 1)
      return make_error(Errc::unsupported, "--compatibility: service \"{}\" has {} containers, old names work for one",
                        name, service.replicas());
    service.container_name = fmt::format("{}_{}_1", project.name, name);
  }
  return {};
}

Error unknown_service(const model::Project& project, const std::string& name) {
  Strings known;
  for (const auto* services : {&project.services, &project.disabled_services})
    for (const auto& [service, unused] : *services) known.push_back(service);
  std::string message = fmt::format("no such service: {}", name);
  if (const auto guess = nearest(name, known)) message += fmt::format(" (did you mean \"{}\"?)", *guess);
  return Error{Errc::not_found, std::move(message)};
}

/// Profiles that must be active for the named services to take part; none when they do already.
Result<Strings> profiles_for(const model::Project& project, const Strings& services) {
  Strings profiles;
  for (const std::string& name : services) {
    if (project.services.contains(name)) continue;
    const auto disabled = project.disabled_services.find(name);
    if (disabled == project.disabled_services.end()) return unknown_service(project, name);
    profiles.insert(profiles.end(), disabled->second.profiles.begin(), disabled->second.profiles.end());
  }
  return profiles;
}

}  // namespace

load::Options load_options(const GlobalOptions& global) {
  load::Options options;
  options.files = global.files;
  options.env = process_environment();
  options.working_dir = current_directory();
  options.project_name = global.project_name;
  options.project_directory = global.project_directory;
  options.profiles = global.profiles;
  options.env_files = global.env_files;
  options.keep_unused = global.all_resources;
  return options;
}

Result<load::LoadResult> load_checked(Context& context, const load::Options& options) {
  load::DiskFiles files;
  load::LoadResult result = load::load(options, files);
  show_report(context, result);
  if (!result.ok()) return Error{Errc::invalid, {}};
  for (const std::string& file : result.files) context.trace("loaded " + file);
  return result;
}

Result<model::Project> Context::load_project(const ProjectNeeds& needs) {
  load::Options options = load_options(*this);
  load::DiskFiles files;
  load::LoadResult result = load::load(options, files);
  if (result.ok() && result.project) {
    TRY_ASSIGN(const Strings profiles, profiles_for(*result.project, needs.services));
    if (!profiles.empty()) {
      options.profiles = result.profiles;
      options.profiles.insert(options.profiles.end(), profiles.begin(), profiles.end());
      load::DiskFiles again;
      result = load::load(options, again);
    }
  }
  show_report(*this, result);
  if (!result.ok() || !result.project) return Error{Errc::invalid, {}};
  for (const std::string& file : result.files) trace("loaded " + file);
  model::Project project = *std::move(result.project);
  if (options_.compatibility.value_or(false)) TRY(apply_compatibility(project));
  return project;
}

Result<ProjectScope> Context::scope(const ProjectNeeds& needs) {
  const load::Options options = load_options(*this);
  load::DiskFiles files;
  load::LoadResult result = load::load(options, files);
  if (result.ok() && result.project) {
    show_report(*this, result);
    ProjectScope scope{result.project->name, *std::move(result.project)};
    if (options_.compatibility.value_or(false)) TRY(apply_compatibility(*scope.project));
    return scope;
  }
  std::string name = options_.project_name;
  if (name.empty()) name = environment_text("COMPOSE_PROJECT_NAME");
  if (needs.name_is_enough && result.files.empty() && !name.empty()) return ProjectScope{std::move(name), std::nullopt};
  show_report(*this, result);
  return Error{Errc::invalid, {}};
}

}  // namespace compose::cli
