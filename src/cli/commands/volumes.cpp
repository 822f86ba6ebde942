// compose volumes: the volumes of the project.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/strings.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/listing.hpp"
#include "container/volume.hpp"

namespace compose::cli {
namespace {

struct Options {
  std::string format = "table";
  bool quiet = false;
};

/// Real names of the volumes the services mount, as far as files and containers tell.
Result<std::set<std::string>> used_by(Context& context, const ProjectScope& scope, const Strings& services) {
  std::set<std::string> names;
  TRY_ASSIGN(const auto containers, context.containers(scope, {.services = services, .one_off = true}));
  for (const auto& container : containers)
    for (const auto& mount : container.mounts)
      if (mount.type == "volume") names.insert(mount.name);
  return names;
}

Result<int> list(Context& context, const Options& options, const Strings& services) {
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = services, .name_is_enough = true}));
  TRY_ASSIGN(const auto used, used_by(context, scope, services));
  TRY_ASSIGN(const auto volumes, container::list_volumes(context.paths()));
  std::vector<nlohmann::ordered_json> rows;
  std::string names;
  for (const container::VolumeInfo& volume : volumes) {
    const bool wanted =
        services.empty() ? volume.project == scope.name || used.contains(volume.name) : used.contains(volume.name);
    if (!wanted) continue;
    Strings labels;
    for (const auto& [key, value] : volume.labels) labels.push_back(key + "=" + value);
    names += volume.name + "\n";
    rows.push_back({{"Availability", "N/A"},
                    {"Driver", volume.driver},
                    {"Group", "N/A"},
                    {"Labels", join(labels, ",")},
                    {"Links", "N/A"},
                    {"Mountpoint", context.paths().volume_data(volume.name)},
                    {"Name", volume.name},
                    {"Scope", "local"},
                    {"Size", "N/A"},
                    {"Status", "N/A"}});
  }
  if (options.quiet) {
    TRY(print(names));
    return 0;
  }
  const Listing listing{{{"DRIVER", "Driver"}, {"VOLUME NAME", "Name"}}};
  TRY_ASSIGN(const std::string text, render_listing(listing, options.format, rows));
  TRY(print(text));
  return 0;
}

}  // namespace

Command volumes_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "volumes", .usage = "[OPTIONS] [SERVICE...]", .summary = "List the project's volumes"};
  command.flags = {{"format", 0, &options->format, "table, json or a Go template", "FORMAT"},
                   {"quiet", 'q', &options->quiet, "Only names"}};
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) { return list(context, *options, services); };
  return command;
}

}  // namespace compose::cli
