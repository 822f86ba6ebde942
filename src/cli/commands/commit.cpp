// compose commit: an image of a container's files, on top of the image it was made from.
#include <fcntl.h>
#include <unistd.h>

#include "base/strings.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "container/effective.hpp"
#include "image/config_instructions.hpp"
#include "image/layer_tar.hpp"
#include "image/store_internal.hpp"
#include "runtime/cgroup/cgroup.hpp"
#include "sys/file.hpp"

namespace compose::cli {
namespace {

struct Options {
  std::string author;
  Strings changes;
  int index = 0;
  std::string message;
  bool pause = true;
};

/// Freezes a running container until it goes out of scope.
class Frozen {
 public:
  static Result<Frozen> freeze(const state::ContainerRecord& container) {
    TRY_ASSIGN(const auto layout, runtime::cgroup::detect_layout());
    auto group = runtime::cgroup::Group::open(layout, state::Paths::cgroup(container.project, container.id));
    TRY(group.freeze());
    return Frozen{std::move(group)};
  }
  Frozen(Frozen&&) = default;
  ~Frozen() { static_cast<void>(group_.thaw().ok()); }

 private:
  explicit Frozen(runtime::cgroup::Group group) : group_{std::move(group)} {}
  runtime::cgroup::Group group_;
};

Result<void> apply_changes(image::ImageConfig& config, const Strings& changes) {
  image::InstructionContext context;
  for (const std::string& change : changes) {
    const std::size_t blank = change.find(' ');
    std::string keyword = change.substr(0, blank);
    for (char& c : keyword)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (!image::is_config_instruction(keyword))
      return make_error(Errc::invalid, "--change \"{}\": unknown instruction", change);
    TRY(image::apply_instruction(
            config, keyword, blank == std::string::npos ? "" : trim(std::string_view{change}.substr(blank)), context)
            .with("--change"));
  }
  return {};
}

/// What the service says over the image's configuration, as `docker commit` keeps the container's own settings.
void take_settings(image::ImageConfig& config, const model::Service& service) {
  if (service.entrypoint) {
    config.entrypoint = *service.entrypoint;
    // An entrypoint of its own drops the image's command.
    if (!service.entrypoint->empty()) config.cmd.reset();
  }
  if (service.command) config.cmd = *service.command;
  for (const auto& [name, value] : service.environment) {
    if (value) {
      config.set_env(name, *value);
    } else {
      std::erase_if(config.env, [&](const std::string& one) { return one.starts_with(name + "="); });
    }
  }
  if (!service.user.empty()) config.user = service.user;
  if (!service.working_dir.empty()) config.working_dir = service.working_dir;
  if (!service.stop_signal.empty()) config.stop_signal = service.stop_signal;
  for (const auto& [name, value] : service.labels) config.labels[name] = value;
  for (const std::string& port : container::effective_exposed_ports(service, config)) config.exposed_ports.insert(port);
}

/// The container's own files as a layer on those of its image.
Result<image::Layer> add_layer(const Context& context, image::Store::Internal& store,
                               const state::ContainerRecord& container, const image::ImageConfig& config) {
  TRY_ASSIGN(const image::Workspace workspace, store.workspace());
  const std::string tar = workspace.path() + "/layer.tar";
  UniqueFd out{::open(tar.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  if (!out.valid()) return os_error("writing {}", tar);
  const auto sink = [&](std::string_view bytes) { return sys::write_all(out.get(), bytes); };
  const std::string upper = context.paths().container(container.project, container.id) + "/upper";
  TRY(image::write_canonical_tar(upper, sink).with("reading the files of container {}", container.name));
  if (::lseek(out.get(), 0, SEEK_SET) != 0) return os_error("reading {}", tar);
  TRY_ASSIGN(const auto parents, store.layers_of(config));
  return store.unpack_layer(image::read_fd(std::move(out)), parents, {});
}

Result<int> commit(Context& context, const Options& options, const Strings& arguments) {
  std::vector<image::Reference> names;
  if (arguments.size() > 1) {
    TRY_ASSIGN(image::Reference name, image::parse_reference(arguments[1]));
    names.push_back(std::move(name));
  }
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = {arguments[0]}, .name_is_enough = true}));
  TRY_ASSIGN(const auto container, context.container(scope, arguments[0], options.index, true));
  ProgressEvent event{.kind = "Container", .name = container.name, .text = "Committing"};
  context.progress().event(event);
  TRY_ASSIGN(image::Store store, image::Store::open(context.paths().root()));
  TRY_ASSIGN(const auto base, store.find(container.image_id));
  if (!base)
    return make_error(Errc::not_found, "the image of container {} is not on this host any more", container.name);
  std::optional<Frozen> frozen;
  if (options.pause && container.phase == state::Phase::running && !container.paused) {
    TRY_ASSIGN(Frozen now, Frozen::freeze(container));
    frozen.emplace(std::move(now));
  }
  TRY_ASSIGN(const auto use, store.internal().use());
  image::ImageConfig config = base->config;
  TRY_ASSIGN(const image::Layer layer, add_layer(context, store.internal(), container, config));
  frozen.reset();
  config.diff_ids.push_back(layer.diff_id);
  config.created = image::now_rfc3339();
  if (!options.author.empty()) config.author = options.author;
  if (scope.project)
    if (const auto service = scope.project->services.find(container.service); service != scope.project->services.end())
      take_settings(config, service->second);
  TRY(apply_changes(config, options.changes));
  config.history.push_back({config.created, join(container.command, " "), options.author, options.message, false});
  TRY_ASSIGN(const auto image, store.internal().add_image(image::to_json(config), names));
  event.text = fmt::format("Committed as {}", image.id);
  event.status = ProgressEvent::Status::done;
  context.progress().event(event);
  return 0;
}

}  // namespace

Command commit_command() {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  Command command{.name = "commit",
                  .usage = "[OPTIONS] SERVICE [REPOSITORY[:TAG]]",
                  .summary = "Make an image of a container's files"};
  command.details = "Volumes are not part of the image.";
  command.flags = {{"author", 'a', &o.author, "The image's author", "TEXT"},
                   {"change", 'c', &o.changes, "Dockerfile instruction to apply: CMD, ENV, …", "INSTRUCTION"},
                   {"index", 0, &o.index, "Container number N of the service"},
                   {"message", 'm', &o.message, "Comment for the history", "TEXT"},
                   {"pause", 'p', &o.pause, "Freeze the container meanwhile"}};
  command.min_args = 1;
  command.max_args = 2;
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& arguments) { return commit(context, *options, arguments); };
  return command;
}

}  // namespace compose::cli
