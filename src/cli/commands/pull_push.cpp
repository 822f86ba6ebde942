// compose pull and push. Images come from archives and builds, not from registries: pull says what is missing, push
// says what to do instead.
#include <set>

#include "base/strings.hpp"
#include "cli/builds.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "image/store.hpp"

namespace compose::cli {
namespace {

struct PullOptions {
  bool ignore_buildable = false;
  bool ignore_failures = false;
  bool include_deps = false;
  bool flag = false;
  std::string policy;
  bool quiet = false;
};

Result<int> pull(Context& context, const PullOptions& options, const Strings& services) {
  if (!options.policy.empty() && options.policy != "missing" && options.policy != "always")
    return make_error(Errc::invalid, "unknown --policy \"{}\" (missing, always)", options.policy);
  if (options.policy == "always")
    return make_error(Errc::unsupported,
                      "--policy always: images are not pulled from registries; load them with \"image load\"");
  TRY_ASSIGN(const model::Project project, context.load_project({.services = services}));
  Strings names = services;
  if (services.empty() || options.include_deps) names = with_dependencies(project, services);
  TRY_ASSIGN(const image::Store store, image::Store::open(context.paths().root()));
  Strings missing;
  std::set<std::string> seen;
  if (!options.quiet) context.progress().begin("pull");
  for (const std::string& name : names) {
    const model::Service& service = project.services.at(name);
    if (service.build && (options.ignore_buildable || service.image.empty())) continue;
    const std::string image = image_name(context, project, service);
    if (!seen.insert(image).second) continue;
    TRY_ASSIGN(const auto found, store.find(image));
    ProgressEvent event{.kind = "Image", .name = image, .text = "Present", .status = ProgressEvent::Status::done};
    if (!found) {
      event.text = "Missing";
      event.status =
          service.build || options.ignore_failures ? ProgressEvent::Status::warning : ProgressEvent::Status::error;
      if (!service.build)
        missing.push_back(
            fmt::format("{}: service \"{}\": image \"{}\" is not on this host: bring it here with \"{} image load -i "
                        "ARCHIVE\" (images are not pulled from registries)",
                        project.where("services." + name + ".image").to_string(), name, image, context.program()));
    }
    if (!options.quiet) context.progress().event(event);
  }
  context.progress().end();
  if (missing.empty() || options.ignore_failures) return 0;
  return Error{Errc::not_found, join(missing, "\n")};
}

}  // namespace

Command pull_command() {
  auto options = std::make_shared<PullOptions>();
  PullOptions& o = *options;
  Command command{.name = "pull", .usage = "[OPTIONS] [SERVICE...]", .summary = "Check that images are there"};
  command.details = "Images are not pulled from registries: this says which ones have to be loaded or imported.";
  constexpr std::string_view kNoEffect = "has no effect: nothing is downloaded";
  command.flags = {{"ignore-buildable", 0, &o.ignore_buildable, "Leave out services that can be built"},
                   {"ignore-pull-failures", 0, &o.ignore_failures, "Missing images are no error"},
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
  struct Options {
    bool flag = false;
    bool quiet = false;
  };
  auto options = std::make_shared<Options>();
  constexpr std::string_view kReason =
      "images are not pushed to registries; write them to an archive with \"image save\"";
  Command command{.name = "push", .usage = "[OPTIONS] [SERVICE...]", .summary = "Images cannot be pushed"};
  command.details = kReason;
  command.flags = {{"ignore-push-failures", 0, &options->flag, "", {}, false, kReason},
                   {"include-deps", 0, &options->flag, "", {}, false, kReason},
                   {"quiet", 'q', &options->flag, "", {}, false, kReason}};
  command.complete = Complete::services;
  command.run = [kReason](Context&, const Strings&) -> Result<int> {
    return make_error(Errc::unsupported, "{}", kReason);
  };
  return command;
}

}  // namespace compose::cli
