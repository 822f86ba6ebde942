// compose down: everything `up` made goes; named volumes stay unless -v.
#include <nlohmann/json.hpp>
#include <set>

#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/service_images.hpp"
#include "cli/session.hpp"
#include "image/store.hpp"

namespace compose::cli {
namespace {

using nlohmann::json;

struct Options {
  bool remove_orphans = false;
  std::string rmi;
  std::optional<int> timeout;
  bool volumes = false;
};

/// --rmi: "all" images the services use, or "local" ones that were built without a name of their own.
Result<void> remove_images(Context& context, const ProjectScope& scope, const std::set<std::string>& used,
                           const std::string& which) {
  TRY_ASSIGN(image::Store store, image::Store::open(context.paths().root()));
  std::set<std::string> names = which == "all" ? used : std::set<std::string>{};
  if (scope.project)
    for (const auto& [name, service] : scope.project->services)
      if (which == "all" || service.image.empty()) names.insert(image_name(context, *scope.project, service));
  for (const std::string& name : names) {
    TRY_ASSIGN(const auto image, store.find(name));
    if (!image) continue;
    ProgressEvent event{.kind = "Image", .name = name, .text = "Removing"};
    context.progress().event(event);
    const auto removed = context.options().dry_run ? Result<image::Removal>{image::Removal{}} : store.remove(name);
    event.status = removed ? ProgressEvent::Status::done : ProgressEvent::Status::warning;
    event.text = removed ? "Removed" : "Kept";
    if (!removed) event.details = removed.error().message();
    context.progress().event(event);
  }
  return {};
}

Result<int> down(Context& context, const Options& options, const Strings& services) {
  if (!options.rmi.empty() && options.rmi != "all" && options.rmi != "local")
    return make_error(Errc::invalid, "invalid value for --rmi: \"{}\" (all, local)", options.rmi);
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = services, .name_is_enough = true}));
  TRY_ASSIGN(const auto containers, context.containers(scope, {.services = services, .one_off = true}));
  std::set<std::string> used;
  for (const auto& container : containers) used.insert(container.image_ref);
  json how = {{"volumes", options.volumes},
              {"remove_orphans", options.remove_orphans || environment_bool("COMPOSE_REMOVE_ORPHANS")},
              {"services", services}};
  if (options.timeout) how["timeout"] = *options.timeout;
  if (context.options().dry_run) how["dry_run"] = true;
  json request{{"op", "down"}, {"options", std::move(how)}};
  if (scope.project) request["project"] = model::project_to_json(*scope.project);
  std::size_t steps = 0;
  TRY_ASSIGN(const auto outcome, ask(context, scope.name, request, {.operation = "down", .on_step = [&] { ++steps; }}));
  if (!options.rmi.empty()) TRY(remove_images(context, scope, used, options.rmi));
  if (steps == 0 && options.rmi.empty())
    context.warn(fmt::format("No resource found to remove for project \"{}\".", scope.name));
  return outcome.exit_code;
}

}  // namespace

Command down_command() {
  auto options = std::make_shared<Options>();
  Command command{
      .name = "down", .usage = "[OPTIONS] [SERVICE...]", .summary = "Stop and remove containers and networks"};
  command.flags = {
      {"remove-orphans", 0, &options->remove_orphans, "Also remove containers of services the files do not have"},
      {"rmi", 0, &options->rmi, "Also remove images: local (built without a name of their own) or all", "WHICH"},
      {"timeout", 't', &options->timeout, "Seconds between the stop signal and SIGKILL", "SECONDS"},
      {"volumes", 'v', &options->volumes, "Also remove the project's volumes with their data"}};
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) { return down(context, *options, services); };
  return command;
}

}  // namespace compose::cli
