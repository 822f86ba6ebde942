// compose image …: the images of this host.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/ids.hpp"
#include "base/strings.hpp"
#include "base/units.hpp"
#include "build/builder.hpp"
#include "build/cache_usage.hpp"
#include "cli/commands/all.hpp"
#include "cli/commands/image_use.hpp"
#include "cli/context.hpp"
#include "cli/human.hpp"
#include "cli/listing.hpp"
#include "cli/prompt.hpp"
#include "image/reference.hpp"
#include "image/store.hpp"

namespace compose::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string short_image_id(const std::string& id) { return short_id(id.substr(id.find(':') + 1)); }

Result<image::Store> open_store(const Context& context) { return image::Store::open(context.paths().root()); }

Result<image::Image> must_find(const image::Store& store, const std::string& name) {
  TRY_ASSIGN(auto image, store.find(name));
  if (!image) return make_error(Errc::not_found, "no such image: {}", name);
  return *std::move(image);
}

struct ListOptions {
  bool quiet = false;
  bool no_trunc = false;
  std::string format = "table";
};

Result<int> list(const Context& context, const ListOptions& options, const Strings& names) {
  TRY_ASSIGN(const image::Store store, open_store(context));
  TRY_ASSIGN(const auto images, store.list());
  const WallTime now = std::chrono::system_clock::now();
  std::vector<Json> rows;
  for (const image::Image& image : images) {
    const std::string id = options.no_trunc ? image.id : short_image_id(image.id);
    const Strings references = image.names.empty() ? Strings{""} : image.names;
    for (const std::string& name : references) {
      const auto reference = image::parse_reference(name);
      const std::string repository = reference ? reference->familiar_name() : "<none>";
      if (!names.empty() && names[0] != repository && names[0] != name) continue;
      rows.push_back({{"ID", id},
                      {"Repository", repository},
                      {"Tag", reference ? reference->tag : "<none>"},
                      {"CreatedSince", ago(image.config.created, now)},
                      {"CreatedAt", image.config.created},
                      {"Size", format_bytes(image.size)}});
    }
  }
  if (options.quiet) {
    std::string text;
    for (const Json& row : rows) text += row["ID"].get<std::string>() + "\n";
    TRY(print(text));
    return 0;
  }
  const Listing listing{{{"REPOSITORY", "Repository"},
                         {"TAG", "Tag"},
                         {"IMAGE ID", "ID"},
                         {"CREATED", "CreatedSince"},
                         {"SIZE", "Size"}}};
  TRY_ASSIGN(const std::string text, render_listing(listing, options.format, rows));
  TRY(print(text));
  return 0;
}

Json inspect_json(const image::Image& image, const std::vector<image::Layer>& layers) {
  const image::ImageConfig& config = image.config;
  Json container = {{"User", config.user},
                    {"Env", config.env},
                    {"Cmd", nullptr},
                    {"Entrypoint", nullptr},
                    {"WorkingDir", config.working_dir},
                    {"Labels", config.labels},
                    {"StopSignal", config.stop_signal}};
  if (config.cmd) container["Cmd"] = *config.cmd;
  if (config.entrypoint) container["Entrypoint"] = *config.entrypoint;
  for (const std::string& port : config.exposed_ports) container["ExposedPorts"][port] = Json::object();
  for (const std::string& volume : config.volumes) container["Volumes"][volume] = Json::object();
  if (config.healthcheck) {
    const auto& check = *config.healthcheck;
    container["Healthcheck"] = {{"Test", check.test},
                                {"Interval", check.interval.count()},
                                {"Timeout", check.timeout.count()},
                                {"StartPeriod", check.start_period.count()},
                                {"Retries", check.retries}};
  }
  Json directories = Json::array();
  for (const image::Layer& layer : layers)
    directories.push_back({{"ChainID", layer.chain_id}, {"Size", layer.size}, {"Dir", layer.dir}});
  return {{"Id", image.id},
          {"RepoTags", image.names},
          {"RepoDigests", image.repo_digests},
          {"Created", config.created},
          {"Author", config.author},
          {"Architecture", config.architecture},
          {"Variant", config.variant},
          {"Os", config.os},
          {"Size", image.size},
          {"Config", container},
          {"RootFS", {{"Type", "layers"}, {"Layers", config.diff_ids}}},
          {"Layers", directories},
          {"Metadata", {{"LastTagTime", image.last_tagged}}}};
}

Result<int> inspect(const Context& context, const std::string& format, const Strings& names) {
  TRY_ASSIGN(const image::Store store, open_store(context));
  Json all = Json::array();
  for (const std::string& name : names) {
    TRY_ASSIGN(const auto image, must_find(store, name));
    TRY_ASSIGN(const auto layers, store.layers(image));
    all.push_back(inspect_json(image, layers));
  }
  if (format.empty() || format == "json") {
    TRY(print(all.dump(4) + "\n"));
    return 0;
  }
  TRY_ASSIGN(const std::string text, render_listing({}, format, std::vector<Json>{all.begin(), all.end()}));
  TRY(print(text));
  return 0;
}

struct HistoryOptions {
  bool no_trunc = false;
  bool quiet = false;
  std::optional<bool> human;  ///< sizes in MB and times as ages; true unless --human=false
  std::string format;
};

Result<int> history(const Context& context, const HistoryOptions& options, const std::string& name) {
  const bool no_trunc = options.no_trunc;
  const bool human = options.human.value_or(true);
  TRY_ASSIGN(const image::Store store, open_store(context));
  TRY_ASSIGN(const auto image, must_find(store, name));
  TRY_ASSIGN(const auto lines, store.history(image));
  const WallTime now = std::chrono::system_clock::now();
  std::vector<Json> rows;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto& line = lines[i];
    std::string by = line.entry.created_by;
    constexpr std::size_t kWidth = 45;
    if (!no_trunc && by.size() > kWidth) by = std::string{clip_width(by, kWidth - 1)} + "…";
    const std::string id = no_trunc ? image.id : short_image_id(image.id);
    rows.push_back({{"ID", i == 0 ? id : "<missing>"},
                    {"CreatedSince", human ? ago(line.entry.created, now) : line.entry.created},
                    {"CreatedAt", line.entry.created},
                    {"CreatedBy", by},
                    {"Size", human ? format_bytes(line.size) : std::to_string(line.size)},
                    {"Comment", line.entry.comment}});
  }
  if (options.quiet) {
    for (const Json& row : rows) TRY(print(row["ID"].get<std::string>() + "\n"));
    return 0;
  }
  const Listing listing{{{"IMAGE", "ID"},
                         {"CREATED", "CreatedSince"},
                         {"CREATED BY", "CreatedBy"},
                         {"SIZE", "Size"},
                         {"COMMENT", "Comment"}}};
  TRY_ASSIGN(const std::string text, render_listing(listing, options.format, rows));
  TRY(print(text));
  return 0;
}

std::string removal_text(const image::Removal& removal) {
  std::string text;
  for (const std::string& name : removal.untagged) text += "Untagged: " + name + "\n";
  for (const std::string& id : removal.deleted) text += "Deleted: " + id + "\n";
  return text;
}

Result<int> remove(const Context& context, bool force, const Strings& names) {
  TRY_ASSIGN(image::Store store, open_store(context));
  TRY_ASSIGN(const Strings in_use, images_in_use(context));
  for (const std::string& name : names) {
    TRY(must_find(store, name));
    TRY_ASSIGN(const auto removal, store.remove(name, force, in_use));
    TRY(print(removal_text(removal)));
  }
  return 0;
}

struct PruneFlags {
  bool all = false;
  bool build_cache = false;
  bool force = false;
};

Result<int> prune(const Context& context, const PruneFlags& flags) {
  const bool all = flags.all;
  if (!flags.force) {
    TRY_ASSIGN(const bool agreed, confirm(all ? "This removes all images no container uses. Go on"
                                              : "This removes all images without a name. Go on"));
    if (!agreed) return 0;
  }
  TRY_ASSIGN(image::Store store, open_store(context));
  image::PruneOptions options;
  options.all = all;
  TRY_ASSIGN(options.keep, images_in_use(context));
  TRY(build::sweep(store, context.paths().run_root()));
  std::uint64_t reclaimed = 0;
  if (flags.build_cache) {
    TRY_ASSIGN(const build::CacheUsage cache, build::cache_usage(store));
    TRY(build::drop_cache(store));
    reclaimed = cache.size;
  }
  TRY_ASSIGN(const auto report, store.prune(options));
  reclaimed += report.reclaimed;
  TRY(print(removal_text(report.removal) + fmt::format("Total reclaimed space: {}\n", format_bytes(reclaimed))));
  return 0;
}

}  // namespace

Command image_ls_command() {
  auto options = std::make_shared<ListOptions>();
  Command command{.name = "image ls", .usage = "[OPTIONS] [REPOSITORY[:TAG]]", .summary = "List images"};
  command.flags = {{"format", 0, &options->format, "table, json or a Go template", "FORMAT"},
                   {"no-trunc", 0, &options->no_trunc, "Whole ids"},
                   {"quiet", 'q', &options->quiet, "Only ids"}};
  command.max_args = 1;
  command.run = [options](Context& context, const Strings& names) { return list(context, *options, names); };
  return command;
}

Command image_inspect_command() {
  auto format = std::make_shared<std::string>();
  Command command{.name = "image inspect", .usage = "[OPTIONS] IMAGE...", .summary = "Show images in detail"};
  command.flags = {{"format", 'f', format.get(), "json or a Go template", "FORMAT"}};
  command.min_args = 1;
  command.complete = Complete::images;
  command.run = [format](Context& context, const Strings& names) { return inspect(context, *format, names); };
  return command;
}

Command image_history_command() {
  auto options = std::make_shared<HistoryOptions>();
  Command command{
      .name = "image history", .usage = "[OPTIONS] IMAGE", .summary = "Show the steps an image was made in"};
  command.flags = {{"format", 0, &options->format, "table, json or a Go template", "FORMAT"},
                   {"human", 'H', &options->human, "Sizes and times as people say them (default; --human=false)"},
                   {"no-trunc", 0, &options->no_trunc, "Whole commands and ids"},
                   {"quiet", 'q', &options->quiet, "Only ids"}};
  command.min_args = command.max_args = 1;
  command.complete = Complete::images;
  command.run = [options](Context& context, const Strings& names) { return history(context, *options, names[0]); };
  return command;
}

Command image_import_command() {
  auto options = std::make_shared<image::ImportOptions>();
  Command command{.name = "image import",
                  .usage = "[OPTIONS] FILE|- [NAME[:TAG]]",
                  .summary = "Make an image of a root file system's tar archive"};
  command.flags = {{"change", 'c', &options->changes,
                    "Dockerfile instruction to apply: CMD, ENTRYPOINT, ENV, EXPOSE, …", "INSTRUCTION"},
                   {"message", 'm', &options->message, "Comment for the history", "TEXT"},
                   {"architecture", 0, &options->architecture, "Architecture if it is not this machine's", "ARCH"}};
  command.min_args = 1;
  command.max_args = 2;
  command.complete = Complete::files;
  command.run = [options](Context& context, const Strings& arguments) -> Result<int> {
    if (arguments.size() == 2) options->name = arguments[1];
    TRY_ASSIGN(image::Store store, open_store(context));
    TRY_ASSIGN(const auto image, store.import_rootfs(arguments[0], *options));
    TRY(print(image.id + "\n"));
    return 0;
  };
  return command;
}

Command image_load_command() {
  struct Options {
    std::string input = "-";
    bool quiet = false;
  };
  auto options = std::make_shared<Options>();
  Command command{.name = "image load", .usage = "[OPTIONS]", .summary = "Read images from an archive"};
  command.flags = {{"input", 'i', &options->input, "Archive or OCI layout to read; - is standard input", "FILE"},
                   {"quiet", 'q', &options->quiet, "No output"}};
  command.max_args = 0;
  command.run = [options](Context& context, const Strings&) -> Result<int> {
    if (options->input == "-" && is_terminal(STDIN_FILENO))
      return make_error(Errc::invalid, "give an archive with -i FILE or on standard input");
    TRY_ASSIGN(image::Store store, open_store(context));
    TRY_ASSIGN(const auto images, store.load(options->input));
    for (const auto& image : images) {
      if (options->quiet) continue;
      for (const std::string& name : image.names) TRY(print(fmt::format("Loaded image: {}\n", name)));
      if (image.names.empty()) TRY(print(fmt::format("Loaded image ID: {}\n", image.id)));
    }
    return 0;
  };
  return command;
}

Command image_save_command() {
  auto output = std::make_shared<std::string>("-");
  Command command{.name = "image save", .usage = "[OPTIONS] IMAGE...", .summary = "Write images to an archive"};
  command.flags = {{"output", 'o', output.get(), "File to write; - is standard output", "FILE"}};
  command.min_args = 1;
  command.complete = Complete::images;
  command.run = [output](Context& context, const Strings& names) -> Result<int> {
    if (*output == "-" && is_terminal(STDOUT_FILENO))
      return make_error(Errc::invalid, "an archive is not written to a terminal: use -o FILE or redirect");
    TRY_ASSIGN(const image::Store store, open_store(context));
    for (const std::string& name : names) TRY(must_find(store, name));
    TRY(store.save(names, *output));
    return 0;
  };
  return command;
}

Command image_tag_command() {
  Command command{.name = "image tag", .usage = "IMAGE NAME[:TAG]", .summary = "Give an image another name"};
  command.min_args = command.max_args = 2;
  command.complete = Complete::images;
  command.run = [](Context& context, const Strings& names) -> Result<int> {
    TRY_ASSIGN(image::Store store, open_store(context));
    TRY(must_find(store, names[0]));
    TRY(store.tag(names[0], names[1]));
    return 0;
  };
  return command;
}

Command image_rm_command() {
  auto force = std::make_shared<bool>(false);
  Command command{.name = "image rm", .usage = "[OPTIONS] IMAGE...", .summary = "Remove images"};
  command.flags = {{"force", 'f', force.get(), "Also when an id has several names"}};
  command.min_args = 1;
  command.complete = Complete::images;
  command.run = [force](Context& context, const Strings& names) { return remove(context, *force, names); };
  return command;
}

Command image_prune_command() {
  auto options = std::make_shared<PruneFlags>();
  Command command{.name = "image prune", .usage = "[OPTIONS]", .summary = "Remove images nothing uses"};
  command.flags = {
      {"all", 'a', &options->all, "Also images that have a name"},
      {"build-cache", 0, &options->build_cache, "Also results of build steps and what RUN --mount=type=cache keeps"},
      {"force", 'f', &options->force, "Do not ask"}};
  command.max_args = 0;
  command.run = [options](Context& context, const Strings&) { return prune(context, *options); };
  return command;
}

}  // namespace compose::cli
