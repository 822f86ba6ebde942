// compose up, create, scale: bring the project to the state the files describe.
#include <nlohmann/json.hpp>

#include "cli/attached.hpp"
#include "cli/changed_volumes.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/session.hpp"
#include "cli/up_options.hpp"
#include "cli/watcher.hpp"

namespace compose::cli {
namespace {

Result<int> up(Context& context, UpOptions options, const Strings& services) {
  if (options.wait_timeout != 0) options.wait = true;
  if (!options.exit_code_from.empty() && !options.abort_on_container_failure) options.abort_on_container_exit = true;
  TRY(check_options(options));
  TRY_ASSIGN(const model::Project project, context.load_project({.services = services}));
  if (project.services.empty()) return make_error(Errc::invalid, "no service selected");
  if (!options.exit_code_from.empty() && !project.services.contains(options.exit_code_from))
    return make_error(Errc::not_found, "no such service: {}", options.exit_code_from);
  for (const Strings* names : {&options.attach, &options.no_attach})
    for (const std::string& name : *names)
      if (!project.services.contains(name)) return make_error(Errc::not_found, "no such service: {}", name);
  const bool attached = !options.detach && !options.wait && !options.no_start && !context.options().dry_run;
  if (options.watch && !attached)
    return make_error(Errc::invalid, "--watch needs an up that stays: leave out --no-start and --dry-run");
  if (options.watch) TRY(Watcher::check(project, services));  // before anything is started
  TRY(replace_changed_volumes(context, project, options.yes));
  TRY_ASSIGN(nlohmann::json request, apply_request(context, project, services, options, "apply"));
  if (attached) request["options"]["run_ended_again"] = true;
  if (attached) return up_attached(context, project, services, options, std::move(request));
  TRY_ASSIGN(const auto outcome, ask(context, project.name, request, {.operation = "up"}));
  return outcome.exit_code;
}

Result<int> create(Context& context, const UpOptions& options, const Strings& services) {
  TRY(check_options(options));
  TRY_ASSIGN(const model::Project project, context.load_project({.services = services}));
  TRY(replace_changed_volumes(context, project, options.yes));
  TRY_ASSIGN(const nlohmann::json request, apply_request(context, project, services, options, "create"));
  TRY_ASSIGN(const auto outcome, ask(context, project.name, request, {.operation = "create"}));
  return outcome.exit_code;
}

Result<int> scale(Context& context, UpOptions options, const Strings& scales) {
  Strings services;
  for (const std::string& one : scales) services.push_back(one.substr(0, one.find('=')));
  options.scale = scales;
  TRY_ASSIGN(const model::Project project, context.load_project({.services = services}));
  TRY_ASSIGN(const nlohmann::json request, apply_request(context, project, services, options, "apply"));
  TRY_ASSIGN(const auto outcome, ask(context, project.name, request, {.operation = "scale"}));
  return outcome.exit_code;
}

}  // namespace

Command up_command() {
  auto options = std::make_shared<UpOptions>();
  UpOptions& o = *options;
  Command command{.name = "up", .usage = "[OPTIONS] [SERVICE...]", .summary = "Create and start containers"};
  command.details =
      "Without -d it shows what the containers write until they have ended. Ctrl-C stops them (exit code 130), a "
      "second "
      "one kills them.";
  command.flags = creation_flags(o);
  const std::vector<Flag> own = {
      {"abort-on-container-exit", 0, &o.abort_on_container_exit, "Stop all as soon as one container ends"},
      {"abort-on-container-failure", 0, &o.abort_on_container_failure, "Stop all as soon as one container fails"},
      {"always-recreate-deps", 0, &o.always_recreate_deps, "Also replace what the services depend on"},
      {"attach", 0, &o.attach, "Show only the output of this service", "SERVICE"},
      {"attach-dependencies", 0, &o.attach_dependencies, "Also show the output of what the services depend on"},
      {"detach", 'd', &o.detach, "Return when the containers are started"},
      {"exit-code-from", 0, &o.exit_code_from, "Exit with this service's code; implies --abort-on-container-exit",
       "SERVICE"},
      {"menu", 0, &o.menu, "Keys while attached: d detach, w watch, r restart, l filter, s stop, ? help"},
      {"no-attach", 0, &o.no_attach, "Do not show the output of this service", "SERVICE"},
      {"no-color", 0, &o.no_color, "Prefixes without colours"},
      {"no-deps", 0, &o.no_deps, "Leave services that these depend on alone"},
      {"no-log-prefix", 0, &o.no_log_prefix, "Lines without a prefix"},
      {"no-start", 0, &o.no_start, "Create only"},
      {"quiet-build", 0, &o.quiet_build, "No output of builds"},
      {"renew-anon-volumes", 'V', &o.renew_anon_volumes, "New anonymous volumes instead of the old ones"},
      {"timeout", 't', &o.timeout, "Seconds between the stop signal and SIGKILL", "SECONDS"},
      {"timestamps", 0, &o.timestamps, "Show when each line was written"},
      {"wait", 0, &o.wait, "Return when the services run, or are healthy"},
      {"wait-timeout", 0, &o.wait_timeout, "Seconds to wait at most, 0 = no limit", "SECONDS"},
      {"watch", 'w', &o.watch, "Bring changes of the sources into the containers (develop.watch)"},
  };
  command.flags.insert(command.flags.end(), own.begin(), own.end());
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) { return up(context, *options, services); };
  return command;
}

Command create_command() {
  auto options = std::make_shared<UpOptions>();
  Command command{
      .name = "create", .usage = "[OPTIONS] [SERVICE...]", .summary = "Create containers, do not start them"};
  command.flags = creation_flags(*options);
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) { return create(context, *options, services); };
  return command;
}

namespace {

Command make_scale(std::string_view name) {
  auto options = std::make_shared<UpOptions>();
  Command command{.name = name, .usage = "[SERVICE=N...]", .summary = "Set how many containers a service has"};
  command.flags = {{"no-deps", 0, &options->no_deps, "Leave services that these depend on alone"}};
  command.min_args = 1;
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& scales) { return scale(context, *options, scales); };
  return command;
}

}  // namespace

Command scale_command() { return make_scale("scale"); }
Command alpha_scale_command() { return make_scale("alpha scale"); }

}  // namespace compose::cli
