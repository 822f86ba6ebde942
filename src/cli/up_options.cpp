#include "cli/up_options.hpp"

#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "cli/pulls.hpp"

namespace compose::cli {
namespace {

/// "SERVICE=N" → {service: n}
Result<nlohmann::json> parse_scale(const model::Project& project, const Strings& scales) {
  nlohmann::json object = nlohmann::json::object();
  for (const std::string& scale : scales) {
    const std::size_t equals = scale.find('=');
    const auto count = parse_unsigned(std::string_view{scale}.substr(equals == std::string::npos ? 0 : equals + 1));
    if (equals == std::string::npos || equals == 0 || !count)
      return make_error(Errc::invalid, "invalid scale specifier \"{}\": write SERVICE=NUMBER", scale);
    const std::string service = scale.substr(0, equals);
    if (!project.services.contains(service)) return make_error(Errc::not_found, "no such service: {}", service);
    object[service] = *count;
  }
  return object;
}

/// Images of pre_start steps that differ from their service's, found (or fetched) as if each step were a service; the
/// supervisor looks for them under the step's name.
Result<void> resolve_hook_images(Context& context, const model::Project& project, const Strings& services,
                                 const ImageSettings& how, std::map<std::string, std::string>& images) {
  model::Project steps = project;
  Strings names;
  for (const std::string& name : services) {
    const model::Service& service = project.services.at(name);
    for (std::size_t i = 0; i < service.pre_start.size(); ++i) {
      const std::string& image = service.pre_start[i].image;
      if (image.empty() || image == service.image) continue;
      model::Service& step = steps.services[names.emplace_back(fmt::format("{}.pre_start[{}]", name, i))];
      step.name = names.back();
      step.image = image;
      step.pull_policy = service.build ? "" : service.pull_policy;
    }
  }
  if (names.empty()) return {};
  TRY_ASSIGN(auto found, resolve_images(context, steps, names, how));
  images.merge(found);
  return {};
}

}  // namespace

std::vector<Flag> creation_flags(UpOptions& o) {
  return {
      {"build", 0, &o.build, "Build images first, also those that are there"},
      {"force-recreate", 0, &o.force_recreate, "Replace containers even if nothing changed"},
      {"no-build", 0, &o.no_build, "Do not build, not even what is missing"},
      {"no-recreate", 0, &o.no_recreate, "Keep containers that exist even if something changed"},
      {"pull", 0, &o.pull, "Which images to get anew: always, missing, never, build", "POLICY"},
      {"quiet-pull", 0, &o.quiet_pull, "No progress of pulls"},
      {"remove-orphans", 0, &o.remove_orphans, "Remove containers of services the files do not have"},
      {"scale", 0, &o.scale, "How many containers of a service; overrides the files", "SERVICE=N"},
      {"yes", 'y', &o.yes, "Answer yes to every question"},
  };
}

Result<void> check_options(const UpOptions& options) {
  const auto conflict = [](std::string_view a, std::string_view b) {
    return make_error(Errc::invalid, "{} and {} are incompatible", a, b);
  };
  if (options.build && options.no_build) return conflict("--build", "--no-build");
  if (options.force_recreate && options.no_recreate) return conflict("--force-recreate", "--no-recreate");
  if (options.renew_anon_volumes && options.no_recreate) return conflict("--renew-anon-volumes", "--no-recreate");
  if (options.always_recreate_deps && options.no_recreate) return conflict("--always-recreate-deps", "--no-recreate");
  if (options.abort_on_container_exit && options.abort_on_container_failure)
    return conflict("--abort-on-container-exit", "--abort-on-container-failure");
  const bool aborts = options.abort_on_container_exit || options.abort_on_container_failure;
  const bool attaches = aborts || !options.attach.empty() || options.attach_dependencies || options.watch;
  if (aborts && options.watch)
    return make_error(Errc::invalid,
                      "--watch restarts containers, so it cannot be combined with --abort-on-container-exit, "
                      "--abort-on-container-failure or --exit-code-from");
  if (options.detach && attaches)
    return make_error(Errc::invalid,
                      "--detach cannot be combined with --abort-on-container-exit, --abort-on-container-failure, "
                      "--attach, --attach-dependencies or --watch");
  if (options.wait && attaches)
    return make_error(Errc::invalid, "--wait cannot be combined with --abort-on-container-exit, --attach or --watch");
  if (!options.attach.empty() && options.attach_dependencies)
    return make_error(Errc::invalid, "cannot combine --attach and --attach-dependencies");
  if (const auto known = wants_pull(options.pull, true, "", {}); !known)
    return Error{known.error()}.add_context("--pull");
  return {};
}

Result<nlohmann::json> apply_request(Context& context, const model::Project& project, const Strings& services,
                                     const UpOptions& options, std::string_view operation) {
  TRY_ASSIGN(nlohmann::json scale, parse_scale(project, options.scale));
  const Strings concerned = options.no_deps && !services.empty() ? services : with_dependencies(project, services);
  const ImageSettings how{.build = options.build,
                          .no_build = options.no_build,
                          .pull = options.pull,
                          .quiet_pull = options.quiet_pull,
                          .quiet_build = options.quiet_build,
                          .stop = options.stop};
  TRY_ASSIGN(auto images, resolve_images(context, project, concerned, how));
  TRY(resolve_hook_images(context, project, concerned, how, images));
  nlohmann::json settings = {
      {"services", services},
      {"force_recreate", options.force_recreate},
      {"no_recreate", options.no_recreate},
      {"no_deps", options.no_deps},
      {"always_recreate_deps", options.always_recreate_deps},
      {"renew_anon_volumes", options.renew_anon_volumes},
      {"remove_orphans", options.remove_orphans || environment_bool("COMPOSE_REMOVE_ORPHANS")},
      {"no_start", options.no_start},
      {"wait", options.wait},
      {"wait_timeout", options.wait_timeout},
      {"scale", std::move(scale)},
  };
  if (options.timeout) settings["timeout"] = *options.timeout;
  if (context.options().dry_run) settings["dry_run"] = true;
  return nlohmann::json{{"op", operation},
                        {"project", model::project_to_json(project)},
                        {"images", std::move(images)},
                        {"options", std::move(settings)}};
}

}  // namespace compose::cli
