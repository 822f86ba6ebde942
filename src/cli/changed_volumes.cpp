#include "cli/changed_volumes.hpp"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/prompt.hpp"
#include "cli/session.hpp"
#include "compose/plan/reconcile.hpp"
#include "container/volume.hpp"

namespace compose::cli {
namespace {

/// The services of the project whose containers have a volume.
Result<std::set<std::string>> users_of(const Context& context, const std::string& project, const std::string& volume) {
  TRY_ASSIGN(const auto containers, state::list_containers(context.paths(), project));
  std::set<std::string> users;
  for (const auto& container : containers)
    if (std::any_of(container.mounts.begin(), container.mounts.end(),
                    [&](const state::MountRecord& mount) { return mount.type == "volume" && mount.name == volume; }))
      users.insert(container.service);
  return users;
}

}  // namespace

Result<void> replace_changed_volumes(Context& context, const model::Project& project, bool yes) {
  for (const auto& [key, volume] : project.volumes) {
    if (volume.external) continue;
    TRY_ASSIGN(const auto found, container::find_volume(context.paths(), volume.name));
    if (!found || found->hash.empty() || found->hash == plan::volume_hash(volume)) continue;
    bool agreed = yes;
    if (!agreed && is_terminal(STDIN_FILENO) && !context.options().dry_run) {
      TRY_ASSIGN(agreed, confirm(fmt::format("volume \"{}\" exists with other options than the files ask for. Make it "
                                             "anew, its data will be lost",
                                             volume.name)));
    }
    if (!agreed) continue;
    ProgressEvent event{.kind = "Volume", .name = volume.name, .text = "Removing"};
    context.progress().event(event);
    if (!context.options().dry_run) {
      TRY_ASSIGN(const auto users, users_of(context, project.name, volume.name));
      const nlohmann::json request{
          {"op", "rm"}, {"services", users}, {"options", {{"stop", true}, {"volumes", false}}}};
      if (!users.empty()) TRY(ask(context, project.name, request, {.operation = "rm"}));
      TRY(container::remove_volume(context.paths(), volume.name));
    }
    event.text = "Removed";
    event.status = ProgressEvent::Status::done;
    context.progress().event(event);
  }
  return {};
}

}  // namespace compose::cli
