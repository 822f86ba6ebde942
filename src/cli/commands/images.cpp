// compose images: the images that the project's containers use.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/ids.hpp"
#include "base/units.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/human.hpp"
#include "cli/listing.hpp"
#include "image/reference.hpp"
#include "image/store.hpp"

namespace compose::cli {
namespace {

struct Options {
  std::string format = "table";
  bool quiet = false;
};

std::string platform_of(const image::ImageConfig& config) {
  return config.os + "/" + config.architecture + (config.variant.empty() ? "" : "/" + config.variant);
}

std::string short_image_id(const std::string& id) { return short_id(id.substr(id.find(':') + 1)); }

nlohmann::ordered_json row_of(const state::ContainerRecord& container, const std::optional<image::Image>& image,
                              WallTime now, bool table) {
  const auto reference = image::parse_reference(container.image_ref);
  nlohmann::ordered_json row = {
      {"ID", table ? short_image_id(container.image_id) : container.image_id},
      {"ContainerName", container.name},
      {"Repository", reference ? reference->familiar_name() : container.image_ref},
      {"Tag", reference ? reference->tag : ""},
      {"Platform", image ? platform_of(image->config) : ""},
      {"Size", 0},
      {"Created", image ? image->config.created : ""},
      {"LastTagTime", image ? image->last_tagged : ""},
  };
  if (!table) {
    row["Size"] = image ? image->size : 0;
  } else {
    row["Size"] = image ? format_bytes(image->size) : "N/A";
    row["Created"] = image ? ago(image->config.created, now) : "N/A";
  }
  return row;
}

Result<int> list(Context& context, const Options& options, const Strings& services) {
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = services, .name_is_enough = true}));
  TRY_ASSIGN(auto containers, context.containers(scope, {.services = services}));
  std::sort(containers.begin(), containers.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  if (options.quiet) {
    std::set<std::string> ids;
    for (const auto& container : containers) ids.insert(container.image_id.substr(container.image_id.find(':') + 1));
    for (const std::string& id : ids) TRY(print(id + "\n"));
    return 0;
  }
  TRY_ASSIGN(const image::Store store, image::Store::open(context.paths().root()));
  const WallTime now = std::chrono::system_clock::now();
  std::vector<nlohmann::ordered_json> rows;
  for (const auto& container : containers) {
    TRY_ASSIGN(const auto image, store.find(container.image_id));
    rows.push_back(row_of(container, image, now, options.format != "json"));
  }
  const Listing listing{{{"CONTAINER", "ContainerName"},
                         {"REPOSITORY", "Repository"},
                         {"TAG", "Tag"},
                         {"PLATFORM", "Platform"},
                         {"IMAGE ID", "ID"},
                         {"SIZE", "Size"},
                         {"CREATED", "Created"}},
                        {},
                        JsonShape::array};
  TRY_ASSIGN(const std::string text, render_listing(listing, options.format, rows));
  TRY(print(text));
  return 0;
}

}  // namespace

Command images_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "images", .usage = "[OPTIONS] [SERVICE...]", .summary = "List the images the containers use"};
  command.flags = {{"format", 0, &options->format, "table, json or a Go template", "FORMAT"},
                   {"quiet", 'q', &options->quiet, "Only ids"}};
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) { return list(context, *options, services); };
  return command;
}

}  // namespace compose::cli
