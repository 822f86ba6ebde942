// compose pull and push, image pull and image push.
#include <set>

#include "base/strings.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/pulls.hpp"
#include "cli/service_images.hpp"
#include "image/store.hpp"

namespace compose::cli {
namespace {

/// An image and the services that want it.
struct Wanted {
  Transfer transfer;
  Strings services;
  bool buildable = false;
};

struct PullOptions {
  bool ignore_buildable = false;
  bool ignore_failures = false;
  bool include_deps = false;
  bool flag = false;
  std::string policy;
  bool quiet = false;
};

/// The services a command is about, with those they depend on when that is asked for.
Strings chosen(const model::Project& project, const Strings& services, bool include_deps) {
  if (services.empty() || include_deps) return with_dependencies(project, services);
  return services;
}

Wanted& entry_for(std::vector<Wanted>& all, const std::string& image, const std::string& platform) {
  for (Wanted& wanted : all) {
    if (wanted.transfer.image == image && wanted.transfer.platform == platform) return wanted;
  }
  all.push_back({.transfer = {.image = image, .platform = platform}, .services = {}});
  return all.back();
}

/// "compose.yaml:3:5: service "web": …", a line for each service of a failed transfer.
void explain(const model::Project& project, const Wanted& wanted, Strings& messages) {
  for (const std::string& service : wanted.services) {
    const auto position = project.where("services." + service + ".image");
    const std::string where = position.known() ? position.to_string() + ": " : std::string{};
    messages.push_back(fmt::format("{}service \"{}\": {}", where, service, wanted.transfer.error->message()));
  }
}

std::vector<Transfer> transfers_of(const std::vector<Wanted>& all) {
  std::vector<Transfer> transfers;
  for (const Wanted& wanted : all) transfers.push_back(wanted.transfer);
  return transfers;
}

void dry_run(Context& context, const std::vector<Wanted>& all, const std::string& text) {
  for (const Wanted& wanted : all) {
    context.progress().event(
        {.kind = "Image", .name = wanted.transfer.image, .text = text, .status = ProgressEvent::Status::done});
  }
}

Result<int> pull(Context& context, const PullOptions& options, const Strings& services) {
  if (!options.policy.empty() && options.policy != "missing" && options.policy != "always")
    return make_error(Errc::invalid, "unknown --policy \"{}\" (missing, always)", options.policy);
  TRY_ASSIGN(const model::Project project, context.load_project({.services = services}));
  TRY_ASSIGN(const image::Store store, image::Store::open(context.paths().root()));
  std::set<std::string> built;  // by a service of the project: pulling them would fail, or fetch another's image
  for (const auto& [name, service] : project.services)
    if (service.build) built.insert(image_name(context, project, service));
  std::vector<Wanted> all;
  if (!options.quiet) context.progress().begin("pull");
  const auto skip = [&](const std::string& what, const std::string& text) {
    if (!options.quiet)
      context.progress().event({.kind = "", .name = what, .text = text, .status = ProgressEvent::Status::warning});
  };
  for (const std::string& name : chosen(project, services, options.include_deps)) {
    const model::Service& service = project.services.at(name);
    if (service.provider) continue;
    if (service.image.empty()) {
      skip(name, "Skipped - No image to be pulled");
      continue;
    }
    if (service.build && options.ignore_buildable) {
      skip(name, "Skipped - Image can be built");
      continue;
    }
    if (!service.build && built.contains(service.image)) {
      skip(name, "Skipped - Image is built by another service");
      continue;
    }
    if (service.pull_policy == "never" || service.pull_policy == "build") {
      skip(name, fmt::format("Skipped - pull_policy is {}", service.pull_policy));
      continue;
    }
    const std::string& policy = options.policy;
    if (policy == "missing" || (policy.empty() && (service.pull_policy == "missing"))) {
      TRY_ASSIGN(const auto found, store.find(service.image));
      if (found) {
        skip(name, "Skipped - Image is already present locally");
        continue;
      }
    }
    Wanted& wanted = entry_for(all, service.image, service.platform);
    wanted.services.push_back(name);
    wanted.buildable = wanted.buildable || service.build.has_value();
  }
  if (context.options().dry_run) {
    dry_run(context, all, "Pulled");
    context.progress().end();
    return 0;
  }
  std::vector<Transfer> transfers = transfers_of(all);
  Registries registries{context};
  const Result<void> ran = registries.pull(transfers, options.quiet);
  context.progress().end();
  TRY(Result<void>{ran});
  Strings failures;
  Strings to_build;
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].transfer = transfers[i];
    if (!all[i].transfer.error) continue;
    if (all[i].buildable) {
      to_build.insert(to_build.end(), all[i].services.begin(), all[i].services.end());
    } else {
      explain(project, all[i], failures);
    }
  }
  if (!to_build.empty()) {
    context.warn(fmt::format("some images must be built from source: run \"{} build {}\"", context.program(),
                             join(to_build, " ")));
  }
  if (failures.empty()) return 0;
  if (options.ignore_failures) {
    for (const std::string& failure : failures) context.warn(failure);
    return 0;
  }
  return Error{Errc::failed, join(failures, "\n")};
}

struct PushOptions {
  bool ignore_failures = false;
  bool include_deps = false;
  bool quiet = false;
};

Result<int> push(Context& context, const PushOptions& options, const Strings& services) {
  TRY_ASSIGN(const model::Project project, context.load_project({.services = services}));
  std::vector<Wanted> all;
  if (!options.quiet) context.progress().begin("push");
  for (const std::string& name : chosen(project, services, options.include_deps)) {
    const model::Service& service = project.services.at(name);
    if (!service.build || service.image.empty()) {
      if (!options.quiet && service.build) {
        context.progress().event({.kind = "",
                                  .name = name,
                                  .text = "Skipped - the service names no image to push as",
                                  .status = ProgressEvent::Status::warning});
      }
      continue;
    }
    Strings names = service.build->tags;
    names.insert(names.begin(), service.image);
    for (const std::string& image : names) entry_for(all, image, "").services.push_back(name);
  }
  if (context.options().dry_run) {
    dry_run(context, all, "Pushed");
    context.progress().end();
    return 0;
  }
  std::vector<Transfer> transfers = transfers_of(all);
  Registries registries{context};
  const Result<void> ran = registries.push(transfers, options.quiet);
  context.progress().end();
  TRY(Result<void>{ran});
  Strings failures;
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].transfer = transfers[i];
    if (all[i].transfer.error) explain(project, all[i], failures);
  }
  if (failures.empty()) return 0;
  if (!options.ignore_failures) return Error{Errc::failed, join(failures, "\n")};
  for (const std::string& failure : failures) context.warn(failure);
  return 0;
}

/// image pull, image push: what docker pull and docker push do.
Result<int> move_images(Context& context, const Strings& names, const std::string& platform, bool quiet, bool push) {
  std::vector<Transfer> transfers;
  for (const std::string& name : names) transfers.push_back({.image = name, .platform = platform});
  if (!quiet) context.progress().begin(push ? "push" : "pull");
  Registries registries{context};
  const Result<void> ran = push ? registries.push(transfers, quiet) : registries.pull(transfers, quiet);
  context.progress().end();
  TRY(Result<void>{ran});
  Strings failures;
  for (const Transfer& transfer : transfers) {
    if (transfer.error) {
      failures.push_back(transfer.error->message());
    } else if (quiet || push) {
      TRY(print(quiet ? transfer.image + "\n" : fmt::format("{}: digest: {}\n", transfer.image, transfer.digest)));
    } else {
      TRY(print(fmt::format("Digest: {}\nStatus: {} for {}\n", transfer.digest,
                            transfer.changed ? "Downloaded newer image" : "Image is up to date", transfer.image)));
    }
  }
  if (failures.empty()) return 0;
  return Error{Errc::failed, join(failures, "\n")};
}

}  // namespace

Command pull_command() {
  auto options = std::make_shared<PullOptions>();
  PullOptions& o = *options;
  Command command{.name = "pull", .usage = "[OPTIONS] [SERVICE...]", .summary = "Pull the services' images"};
  command.details = "Registries, mirrors, certificates and credentials: docs/registries.md.";
  constexpr std::string_view kNoEffect = "has no effect: see the global --parallel";
  command.flags = {{"ignore-buildable", 0, &o.ignore_buildable, "Leave out services that can be built"},
                   {"ignore-pull-failures", 0, &o.ignore_failures, "Images that cannot be pulled are only a warning"},
                   {"include-deps", 0, &o.include_deps, "Also what the services depend on"},
                   {"no-parallel", 0, &o.flag, "", {}, true, {}, kNoEffect},
                   {"parallel", 0, &o.flag, "", {}, true, {}, kNoEffect},
                   {"policy", 0, &o.policy, "Which images: missing or always", "POLICY"},
                   {"quiet", 'q', &o.quiet, "No progress"}};
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) { return pull(context, *options, services); };
  return command;
}

Command push_command() {
  auto options = std::make_shared<PushOptions>();
  PushOptions& o = *options;
  Command command{
      .name = "push", .usage = "[OPTIONS] [SERVICE...]", .summary = "Push the images services are built as"};
  command.flags = {{"ignore-push-failures", 0, &o.ignore_failures, "Images that cannot be pushed are only a warning"},
                   {"include-deps", 0, &o.include_deps, "Also what the services depend on"},
                   {"quiet", 'q', &o.quiet, "No progress"}};
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) { return push(context, *options, services); };
  return command;
}

Command image_pull_command() {
  struct Options {
    std::string platform;
    bool quiet = false;
  };
  auto options = std::make_shared<Options>();
  Command command{.name = "image pull", .usage = "[OPTIONS] NAME[:TAG|@DIGEST]...", .summary = "Pull images"};
  command.flags = {{"platform", 0, &options->platform, "Not this machine's platform, e.g. linux/arm64", "PLATFORM"},
                   {"quiet", 'q', &options->quiet, "Only the names"}};
  command.min_args = 1;
  command.run = [options](Context& context, const Strings& names) {
    return move_images(context, names, options->platform, options->quiet, false);
  };
  return command;
}

Command image_push_command() {
  auto quiet = std::make_shared<bool>(false);
  Command command{.name = "image push", .usage = "[OPTIONS] NAME[:TAG]...", .summary = "Push images"};
  command.flags = {{"quiet", 'q', quiet.get(), "Only the names"}};
  command.min_args = 1;
  command.complete = Complete::images;
  command.run = [quiet](Context& context, const Strings& names) {
    return move_images(context, names, "", *quiet, true);
  };
  return command;
}

}  // namespace compose::cli
