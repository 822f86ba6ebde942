// start, stop, restart, kill, pause, unpause, rm, down: commands the supervisor carries out on what exists.
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/prompt.hpp"
#include "cli/session.hpp"

namespace compose::cli {
namespace {

using nlohmann::json;

struct Options {
  std::optional<int> timeout;
  bool no_deps = false;
  bool wait = false;
  int wait_timeout = 0;
  bool remove_orphans = false;
  std::string signal = "SIGKILL";
  bool all = false;
  bool force = false;
  bool stop = false;
  bool volumes = false;
};

/// Asks for `operation` on the services. A project without containers needs no supervisor: it gets the message
/// `nothing` ("" = none), and without one an error.
Result<int> operate(Context& context, const Strings& services, std::string_view operation, json options,
                    std::optional<std::string_view> nothing) {
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = services, .name_is_enough = true}));
  TRY_ASSIGN(const auto containers, context.containers(scope, {.services = services, .one_off = true}));
  if (containers.empty() && !nothing)
    return make_error(Errc::not_found, "no container found for project \"{}\": make them with \"{} up\"", scope.name,
                      context.program());
  if (containers.empty()) {
    if (!nothing->empty()) context.progress().line(*nothing);
    return 0;
  }
  if (context.options().dry_run) options["dry_run"] = true;
  json request{{"op", operation}, {"services", services}, {"options", std::move(options)}};
  if (scope.project) request["project"] = model::project_to_json(*scope.project);
  TRY_ASSIGN(const auto outcome, ask(context, scope.name, request, {.operation = operation}));
  return outcome.exit_code;
}

json with_timeout(const Options& options) {
  json object = json::object();
  if (options.timeout) object["timeout"] = *options.timeout;
  return object;
}

Flag timeout_flag(Options& options) {
  return {"timeout", 't', &options.timeout, "Seconds between the stop signal and SIGKILL", "SECONDS"};
}

Result<int> remove_containers(Context& context, const Options& options, const Strings& services) {
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = services, .name_is_enough = true}));
  TRY_ASSIGN(auto containers, context.containers(scope, {.services = services}));
  if (!options.stop)
    std::erase_if(containers, [](const auto& one) { return one.phase == state::Phase::running || one.restarting; });
  if (containers.empty()) {
    context.progress().line("No stopped containers");
    return 0;
  }
  if (!options.force) {
    Strings names;
    for (const auto& container : containers) names.push_back(container.name);
    TRY_ASSIGN(const bool agreed, confirm(fmt::format("Going to remove {}", join(names, ", "))));
    if (!agreed) return 0;
  }
  json how = {{"stop", options.stop}, {"volumes", options.volumes}, {"force", true}};
  return operate(context, services, "rm", std::move(how), "");
}

}  // namespace

Command start_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "start", .usage = "[SERVICE...]", .summary = "Start containers that exist"};
  command.flags = {{"wait", 0, &options->wait, "Wait until they run, or are healthy"},
                   {"wait-timeout", 0, &options->wait_timeout, "Seconds to wait at most, 0 = no limit", "SECONDS"}};
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) {
    json how = {{"wait", options->wait || options->wait_timeout != 0}, {"wait_timeout", options->wait_timeout}};
    return operate(context, services, "start", std::move(how), std::nullopt);
  };
  return command;
}

Command stop_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "stop", .usage = "[OPTIONS] [SERVICE...]", .summary = "Stop containers, keep them"};
  command.flags = {timeout_flag(*options)};
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) {
    return operate(context, services, "stop", with_timeout(*options), "");
  };
  return command;
}

Command restart_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "restart", .usage = "[OPTIONS] [SERVICE...]", .summary = "Stop and start containers"};
  command.details = "Changes in the files do not come into effect: use up for that.";
  command.flags = {{"no-deps", 0, &options->no_deps, "Leave services that depend on them alone"},
                   timeout_flag(*options)};
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) {
    json how = with_timeout(*options);
    how["no_deps"] = options->no_deps;
    return operate(context, services, "restart", std::move(how), "No containers to restart");
  };
  return command;
}

Command kill_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "kill", .usage = "[OPTIONS] [SERVICE...]", .summary = "Send a signal to containers"};
  command.flags = {
      {"remove-orphans", 0, &options->remove_orphans, "Also remove containers of services the files do not have"},
      {"signal", 's', &options->signal, "The signal, by name or number", "SIGNAL"}};
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) -> Result<int> {
    TRY_ASSIGN(const int code,
               operate(context, services, "kill", json{{"signal", options->signal}}, "No containers to kill"));
    if (!options->remove_orphans && !environment_bool("COMPOSE_REMOVE_ORPHANS")) return code;
    TRY_ASSIGN(const ProjectScope scope, context.scope({.name_is_enough = true}));
    if (scope.project) TRY(remove_orphans(context, *scope.project));
    return code;
  };
  return command;
}

Command pause_command() {
  Command command{.name = "pause", .usage = "[SERVICE...]", .summary = "Freeze containers"};
  command.complete = Complete::services;
  command.run = [](Context& context, const Strings& services) {
    return operate(context, services, "pause", json::object(), "No containers to pause");
  };
  return command;
}

Command unpause_command() {
  Command command{.name = "unpause", .usage = "[SERVICE...]", .summary = "Thaw frozen containers"};
  command.complete = Complete::services;
  command.run = [](Context& context, const Strings& services) {
    return operate(context, services, "unpause", json::object(), "No containers to unpause");
  };
  return command;
}

Command rm_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "rm", .usage = "[OPTIONS] [SERVICE...]", .summary = "Remove stopped containers"};
  command.flags = {{"all",
                    'a',
                    &options->all,
                    "Old: containers made by run are always removed too",
                    {},
                    true,
                    {},
                    "has no effect, containers made by run are always included"},
                   {"force", 'f', &options->force, "Do not ask"},
                   {"stop", 's', &options->stop, "Stop them first if needed"},
                   {"volumes", 'v', &options->volumes, "Also remove their anonymous volumes"}};
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) {
    return remove_containers(context, *options, services);
  };
  return command;
}

}  // namespace compose::cli
