// compose build: the images of services that have a `build` section.
#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "build/builder.hpp"
#include "cli/builds.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/pulls.hpp"
#include "cli/service_images.hpp"

namespace compose::cli {
namespace {

struct Options {
  BuildSettings settings;
  bool with_dependencies = false;
  bool check = false;
  bool print = false;
  bool push = false;
  std::string text;
  bool flag = false;
};

/// The services to build, dependencies included when asked; named ones must exist and have something to build.
Result<Strings> chosen(const model::Project& project, const Options& options, const Strings& services) {
  Strings names = services.empty() || options.with_dependencies ? with_dependencies(project, services) : services;
  std::erase_if(names, [&](const std::string& name) { return !project.services.at(name).build; });
  return names;
}

Result<int> check(const model::Project& project, const Strings& names) {
  std::size_t warnings = 0;
  bool failed = false;
  for (const std::string& name : names) {
    build::BuildRequest request;
    request.build = *project.services.at(name).build;
    const auto report = build::check_dockerfile(request);
    failed = failed || !report;
    if (report) warnings += report->warnings;
    TRY(print(report ? report->text : fmt::format("{}: {}\n", name, report.error().message())));
  }
  if (failed) return 1;
  if (warnings == 0) {
    TRY(print("Check complete, no warnings found.\n"));
    return 0;
  }
  TRY(print(warnings == 1 ? "Check complete, 1 warning has been found!\n"
                          : fmt::format("Check complete, {} warnings have been found!\n", warnings)));
  return 1;
}

/// The build as a file for docker buildx bake.
Result<int> print_bake(const Context& context, const model::Project& project, const Strings& names) {
  nlohmann::ordered_json targets = nlohmann::ordered_json::object();
  for (const std::string& name : names) {
    const model::Service& service = project.services.at(name);
    nlohmann::ordered_json target = {{"context", service.build->context}};
    if (!service.build->dockerfile.empty()) target["dockerfile"] = service.build->dockerfile;
    if (!service.build->dockerfile_inline.empty()) target["dockerfile-inline"] = service.build->dockerfile_inline;
    for (const auto& [key, value] : service.build->args)
      if (value) target["args"][key] = *value;
    const model::Build& build = *service.build;
    if (!build.labels.empty()) target["labels"] = build.labels;
    if (!build.target.empty()) target["target"] = build.target;
    if (!build.additional_contexts.empty()) target["contexts"] = build.additional_contexts;
    if (!build.cache_from.empty()) target["cache-from"] = build.cache_from;
    if (!build.cache_to.empty()) target["cache-to"] = build.cache_to;
    if (!build.platforms.empty()) target["platforms"] = build.platforms;
    if (!build.entitlements.empty()) target["entitlements"] = build.entitlements;
    if (!build.network.empty()) target["network"] = build.network;
    if (build.no_cache) target["no-cache"] = true;
    if (!build.no_cache_filter.empty()) target["no-cache-filter"] = build.no_cache_filter;
    if (build.pull) target["pull"] = true;
    if (build.shm_size) target["shm-size"] = std::to_string(*build.shm_size);
    for (const auto& [id, path] : build.ssh) target["ssh"].push_back(path.empty() ? id : id + "=" + path);
    for (const model::FileReference& secret : build.secrets) {
      const auto source = project.secrets.find(secret.source);
      const std::string id = secret.target.empty() ? secret.source : secret.target;
      if (source != project.secrets.end() && !source->second.file.empty())
        target["secret"].push_back("id=" + id + ",type=file,src=" + source->second.file);
    }
    Strings tags = service.build->tags;
    tags.insert(tags.begin(), image_name(context, project, service));
    target["tags"] = tags;
    target["output"] = Strings{"type=docker"};
    targets[name] = std::move(target);
  }
  const nlohmann::ordered_json bake = {{"group", {{"default", {{"targets", names}}}}}, {"target", targets}};
  TRY(print(bake.dump(2) + "\n"));
  return 0;
}

/// --push: under the name of the service's image, and its tags.
Result<void> push_built(Context& context, const model::Project& project, const Strings& names, bool quiet) {
  std::vector<Transfer> transfers;
  for (const std::string& name : names) {
    const model::Service& service = project.services.at(name);
    if (service.image.empty()) continue;
    transfers.push_back({.image = service.image});
    for (const std::string& tag : service.build->tags) transfers.push_back({.image = tag});
  }
  if (!quiet) context.progress().begin("push");
  const Result<void> ran = Registries{context}.push(transfers, quiet);
  context.progress().end();
  TRY(Result<void>{ran});
  Strings failures;
  for (const Transfer& transfer : transfers)
    if (transfer.error) failures.push_back(transfer.error->message());
  if (failures.empty()) return {};
  return Error{Errc::failed, join(failures, "\n")};
}

Result<int> build(Context& context, const Options& options, const Strings& services) {
  TRY_ASSIGN(const model::Project project, context.load_project({.services = services}));
  TRY_ASSIGN(const Strings names, chosen(project, options, services));
  if (names.empty()) {
    context.progress().line("No services to build");
    return 0;
  }
  if (options.check) return check(project, names);
  if (options.print) return print_bake(context, project, names);
  if (context.options().dry_run) {
    for (const std::string& name : names)
      context.progress().event({.kind = "Image",
                                .name = image_name(context, project, project.services.at(name)),
                                .text = "Built",
                                .status = ProgressEvent::Status::done});
    return 0;
  }
  TRY_ASSIGN(const auto images, build_services(context, project, names, options.settings));
  if (options.push) TRY(push_built(context, project, names, options.settings.quiet));
  if (options.settings.quiet)
    for (const auto& [service, id] : images) TRY(print(id + "\n"));
  return 0;
}

}  // namespace

Command build_command() {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  Command command{.name = "build", .usage = "[OPTIONS] [SERVICE...]", .summary = "Build or rebuild images"};
  constexpr std::string_view kNoEffect = "has no effect: our builder has no such mode";
  command.flags = {
      {"build-arg", 0, &o.settings.build_args, "Set a build argument", "NAME=VALUE"},
      {"builder", 0, &o.text, "Which builder to use", "NAME", false,
       "there is one builder, built in; nothing can be chosen"},
      {"check", 0, &o.check, "Only check the Dockerfiles"},
      {"compress", 0, &o.flag, "", {}, true, {}, kNoEffect},
      {"force-rm", 0, &o.flag, "", {}, true, {}, kNoEffect},
      {"memory", 'm', &o.text, "Memory limit of the build", "BYTES", false,
       "build steps have no memory limit of their own; use a cgroup around the command"},
      {"no-cache", 0, &o.settings.no_cache, "Do not use results of earlier builds"},
      {"no-rm", 0, &o.flag, "", {}, true, {}, kNoEffect},
      {"parallel",
       0,
       &o.flag,
       "",
       {},
       true,
       {},
       "has no effect: builds always run in parallel, see the global --parallel"},
      {"print", 0, &o.print, "Print the build as a bake file, do not build"},
      {"provenance", 0, &o.settings.provenance, "Attestation of the build's origin; only \"false\" can be had",
       "VALUE"},
      {"pull", 0, &o.settings.pull, "Ask for newer base images"},
      {"push", 0, &o.push, "Push what was built"},
      {"quiet", 'q', &o.settings.quiet, "Only the ids of the images"},
      {"sbom", 0, &o.settings.sbom, "Bill of materials; only \"false\" can be had", "VALUE"},
      {"ssh", 0, &o.settings.ssh, "Agent for RUN --mount=type=ssh: default, or ID=SOCKET", "ID"},
      {"with-dependencies", 0, &o.with_dependencies, "Also what the services depend on"},
  };
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) { return build(context, *options, services); };
  return command;
}

}  // namespace compose::cli
