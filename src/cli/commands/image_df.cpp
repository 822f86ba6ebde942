// compose image df: what the image store takes up.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/ids.hpp"
#include "base/units.hpp"
#include "build/cache_usage.hpp"
#include "cli/commands/all.hpp"
#include "cli/commands/image_use.hpp"
#include "cli/human.hpp"
#include "cli/listing.hpp"
#include "image/reference.hpp"
#include "image/store.hpp"

namespace compose::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  bool verbose = false;
  std::string format;
};

/// "12.3MB (40%)", as docker system df has it.
std::string share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? format_bytes(part) : fmt::format("{} ({}%)", format_bytes(part), part * 100 / whole);
}

std::vector<Json> summary(const image::StoreUsage& usage, const build::CacheUsage& cache) {
  const auto row = [](const char* type, std::size_t total, std::size_t active, std::uint64_t size,
                      std::uint64_t reclaimable) {
    return Json{{"Type", type},
                {"TotalCount", std::to_string(total)},
                {"Active", std::to_string(active)},
                {"Size", format_bytes(size)},
                {"Reclaimable", share(reclaimable, size)}};
  };
  const std::uint64_t build_size = usage.build_size + cache.size;
  return {row("Images", usage.images.size(), usage.active_images, usage.images_size, usage.images_reclaimable),
          row("Build Cache", std::max(cache.records, usage.build_layers), 0, build_size, build_size),
          row("Unfinished", usage.unfinished, 0, usage.unfinished_size, usage.unfinished_size)};
}

std::vector<Json> details(const image::StoreUsage& usage) {
  const WallTime now = std::chrono::system_clock::now();
  std::vector<Json> rows;
  for (const image::ImageUsage& one : usage.images) {
    const Strings names = one.image.names.empty() ? Strings{""} : one.image.names;
    for (const std::string& name : names) {
      const auto reference = image::parse_reference(name);
      rows.push_back({{"Repository", reference ? reference->familiar_name() : "<none>"},
                      {"Tag", reference ? reference->tag : "<none>"},
                      {"ID", short_id(one.image.id.substr(one.image.id.find(':') + 1))},
                      {"CreatedSince", ago(one.image.config.created, now)},
                      {"Size", format_bytes(one.image.size)},
                      {"SharedSize", format_bytes(one.shared)},
                      {"UniqueSize", format_bytes(one.unique)},
                      {"Containers", std::to_string(one.containers)}});
    }
  }
  return rows;
}

Result<int> df(const Context& context, const Options& options) {
  TRY_ASSIGN(const image::Store store, image::Store::open(context.paths().root()));
  TRY_ASSIGN(const Strings in_use, images_in_use(context));
  TRY_ASSIGN(const image::StoreUsage usage, store.usage(in_use));
  TRY_ASSIGN(const build::CacheUsage cache, build::cache_usage(store));
  const Listing short_list{{{"TYPE", "Type"},
                            {"TOTAL", "TotalCount"},
                            {"ACTIVE", "Active"},
                            {"SIZE", "Size"},
                            {"RECLAIMABLE", "Reclaimable"}}};
  const Listing long_list{{{"REPOSITORY", "Repository"},
                           {"TAG", "Tag"},
                           {"IMAGE ID", "ID"},
                           {"CREATED", "CreatedSince"},
                           {"SIZE", "Size"},
                           {"SHARED SIZE", "SharedSize"},
                           {"UNIQUE SIZE", "UniqueSize"},
                           {"CONTAINERS", "Containers"}}};
  TRY_ASSIGN(const std::string text, options.verbose
                                         ? render_listing(long_list, options.format, details(usage))
                                         : render_listing(short_list, options.format, summary(usage, cache)));
  TRY(print(text));
  return 0;
}

}  // namespace

Result<Strings> images_in_use(const Context& context) {
  Strings ids;
  TRY_ASSIGN(const auto projects, state::list_projects(context.paths()));
  for (const auto& project : projects) {
    TRY_ASSIGN(const auto containers, state::list_containers(context.paths(), project.name));
    for (const auto& container : containers) ids.push_back(container.image_id);
  }
  return ids;
}

Command image_df_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "image df", .usage = "[OPTIONS]", .summary = "Show what images take up, and what could go"};
  command.details =
      "What is reclaimable goes with \"image prune --all\", the build cache with \"image prune --build-cache\", "
      "unfinished "
      "work of killed processes with any prune.";
  command.flags = {{"format", 0, &options->format, "table, json or a Go template", "FORMAT"},
                   {"verbose", 'v', &options->verbose, "One line for each image"}};
  command.max_args = 0;
  command.run = [options](Context& context, const Strings&) { return df(context, *options); };
  return command;
}

}  // namespace compose::cli
