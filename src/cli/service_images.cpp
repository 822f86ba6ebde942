#include "cli/service_images.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>

#include "base/strings.hpp"
#include "cli/builds.hpp"
#include "cli/pulls.hpp"
#include "image/reference.hpp"
#include "image/store.hpp"

namespace compose::cli {
namespace {

/// Stands for an image that --dry-run did not build.
const char kNoImage[] = "";

Error missing_images(const Context& context, const model::Project& project, const Strings& services, bool no_build,
                     const std::map<std::string, std::string>& causes) {
  Strings messages;
  for (const std::string& name : services) {
    const model::Service& service = service_of(project, name);
    const std::string image = image_name(context, project, service);
    const auto position = project.where("services." + name + (service.build ? ".build" : ".image"));
    const std::string where = position.known() ? position.to_string() + ": " : std::string{};
    const auto cause = causes.find(name);
    const std::string why = cause == causes.end() ? std::string{} : ": " + cause->second;
    const std::string next =
        service.build && no_build
            ? fmt::format("build it with \"{} build {}\"", context.program(), name)
            : fmt::format("{}bring it here with \"{} image load -i ARCHIVE\" or \"{} image import ROOTFS.tar {}\"",
                          cause == causes.end() ? "pull it, or " : "try again, or ", context.program(),
                          context.program(), image);
    messages.push_back(
        fmt::format("{}service \"{}\": image \"{}\" is not on this host{}; {}", where, name, image, why, next));
  }
  return Error{Errc::not_found, join(messages, "\n")};
}

/// Whether the image may come from a registry before it is built: a name without a registry is one's own.
bool pull_before_build(const model::Service& service, const std::string& policy) {
  if (service.image.empty()) return false;
  if (!policy.empty()) return true;
  const auto reference = image::parse_reference(service.image);
  return reference && reference->domain != "docker.io";
}

/// What resolve_images has found out so far.
struct Resolution {
  std::map<std::string, std::string> images;  ///< service -> id
  Strings to_build;
  Strings to_pull;
  Strings missing;
  std::map<std::string, std::string> causes;  ///< service -> why its pull failed
};

Result<Resolution> sort_services(Context& context, image::Store& store, const model::Project& project,
                                 const Strings& services, const ImageSettings& settings) {
  Resolution result;
  for (const std::string& name : services) {
    const model::Service& service = service_of(project, name);
    if (service.provider) continue;
    const std::string policy = settings.pull.empty() ? service.pull_policy : settings.pull;
    const std::string image = image_name(context, project, service);
    TRY_ASSIGN(const auto found, store.find(image));
    const bool can_build = service.build && !settings.no_build;
    const auto pull =
        wants_pull(policy, found.has_value(), found ? found->last_tagged : "", std::chrono::system_clock::now());
    if (!pull) return Error{pull.error()}.add_context(fmt::format("service \"{}\"", name));
    if (can_build && (settings.build || policy == "build")) {
      result.to_build.push_back(name);
    } else if (*pull && !service.image.empty() && (!service.build || pull_before_build(service, policy))) {
      result.to_pull.push_back(name);
    } else if (found) {
      result.images[name] = found->id;
    } else if (can_build) {
      result.to_build.push_back(name);
    } else {
      result.missing.push_back(name);
    }
  }
  return result;
}

/// Images that services of the project will be built as.
std::set<std::string> coming_images(const Context& context, const model::Project& project, const Strings& to_build) {
  std::set<std::string> coming;
  for (const std::string& name : to_build) {
    const model::Service& service = service_of(project, name);
    coming.insert(familiar(image_name(context, project, service)));
    for (const std::string& tag : service.build->tags) coming.insert(familiar(tag));
  }
  return coming;
}

void say_done(Context& context, const std::string& image, const char* what) {
  context.progress().event({.kind = "Image", .name = image, .text = what, .status = ProgressEvent::Status::done});
}

/// Pulls what is to be pulled. What cannot be had that way is built, or missing.
Result<void> pull_services(Context& context, image::Store& store, const model::Project& project,
                           const ImageSettings& settings, Resolution& result) {
  std::vector<Transfer> transfers;
  std::map<std::string, std::size_t> places;  // service -> its transfer
  for (const std::string& name : result.to_pull) {
    const model::Service& service = service_of(project, name);
    const auto same = std::find_if(transfers.begin(), transfers.end(), [&](const Transfer& other) {
      return other.image == service.image && other.platform == service.platform;
    });
    places[name] = static_cast<std::size_t>(same - transfers.begin());
    if (same == transfers.end()) transfers.push_back({.image = service.image, .platform = service.platform});
  }
  if (context.options().dry_run) {
    for (const std::string& name : result.to_pull) {
      say_done(context, service_of(project, name).image, "Pulled");
      TRY_ASSIGN(const auto found, store.find(service_of(project, name).image));
      result.images[name] = found ? found->id : kNoImage;
    }
    return {};
  }
  if (transfers.empty()) return {};
  if (!settings.quiet_pull) context.progress().begin("pull");
  const Result<void> ran = Registries{context}.pull(transfers, settings.quiet_pull);
  context.progress().end();
  TRY(Result<void>{ran});
  for (const std::string& name : result.to_pull) {
    const Transfer& transfer = transfers[places[name]];
    if (!transfer.error) {
      result.images[name] = transfer.image_id;
    } else if (service_of(project, name).build && !settings.no_build) {
      result.to_build.push_back(name);
    } else {
      result.missing.push_back(name);
      result.causes[name] = transfer.error->message();
    }
  }
  return {};
}

/// Files of this host that secrets and configs are made of, looked for before minutes go into images.
Result<void> look_for_files(const model::Project& project, const Strings& services) {
  const auto look = [&](const model::Service& service, const auto& references, const auto& objects,
                        std::string_view kind) -> Result<void> {
    for (const model::FileReference& reference : references) {
      const auto object = objects.find(reference.source);
      if (object == objects.end() || object->second.file.empty()) continue;
      if (::access(object->second.file.c_str(), F_OK) == 0 || errno != ENOENT) continue;
      const auto position = project.where(fmt::format("{}s.{}", kind, reference.source));
      return make_error(Errc::not_found, "{}{} \"{}\" of service \"{}\": there is no file {}",
                        position.known() ? position.to_string() + ": " : "", kind, reference.source, service.name,
                        object->second.file);
    }
    return {};
  };
  for (const std::string& name : services) {
    const model::Service& service = service_of(project, name);
    TRY(look(service, service.secrets, project.secrets, "secret"));
    TRY(look(service, service.configs, project.configs, "config"));
  }
  return {};
}

}  // namespace

std::string familiar(const std::string& name) {
  const auto reference = image::parse_reference(name);
  return reference ? reference->familiar() : name;
}

const model::Service& service_of(const model::Project& project, const std::string& name) {
  const auto found = project.services.find(name);
  return found != project.services.end() ? found->second : project.disabled_services.at(name);
}

std::string image_name(const Context& context, const model::Project& project, const model::Service& service) {
  if (!service.image.empty()) return service.image;
  return project.name + (context.options().compatibility.value_or(false) ? "_" : "-") + service.name;
}

Strings with_dependencies(const model::Project& project, const Strings& services) {
  std::set<std::string> wanted;
  Strings open = services;
  if (services.empty())
    for (const auto& [name, service] : project.services) open.push_back(name);
  while (!open.empty()) {
    const std::string name = std::move(open.back());
    open.pop_back();
    const auto found = project.services.find(name);
    if (found == project.services.end() || !wanted.insert(name).second) continue;
    for (const auto& [dependency, how] : found->second.depends_on) open.push_back(dependency);
  }
  return {wanted.begin(), wanted.end()};
}

Result<std::map<std::string, std::string>> resolve_images(Context& context, const model::Project& project,
                                                          const Strings& services, const ImageSettings& settings) {
  TRY_ASSIGN(image::Store store, image::Store::open(context.paths().root()));
  TRY_ASSIGN(Resolution result, sort_services(context, store, project, services, settings));
  if (!result.to_build.empty() || !result.to_pull.empty()) TRY(look_for_files(project, services));
  // What a build makes is not fetched from elsewhere.
  const std::set<std::string> coming = coming_images(context, project, result.to_build);
  const auto is_coming = [&](const std::string& name) {
    return coming.contains(familiar(image_name(context, project, service_of(project, name))));
  };
  std::erase_if(result.to_pull, [&](const std::string& name) {
    if (is_coming(name)) result.missing.push_back(name);
    return is_coming(name);
  });
  TRY(pull_services(context, store, project, settings, result));
  Strings hopeless;
  std::copy_if(result.missing.begin(), result.missing.end(), std::back_inserter(hopeless),
               [&](const std::string& name) { return !is_coming(name); });
  if (!hopeless.empty()) return missing_images(context, project, hopeless, settings.no_build, result.causes);
  if (context.options().dry_run) {
    for (const std::string& name : result.to_build) {
      const std::string image = image_name(context, project, service_of(project, name));
      say_done(context, image, "Built");
      TRY_ASSIGN(const auto present, store.find(image));
      result.images[name] = present ? present->id : kNoImage;
    }
    result.to_build.clear();
  }
  const BuildSettings how{.quiet = settings.quiet_build, .one_platform = true, .stop = settings.stop};
  TRY_ASSIGN(auto built, build_services(context, project, result.to_build, how));
  result.images.merge(built);
  for (const std::string& name : result.missing) {  // these use an image that another service has built
    TRY_ASSIGN(const auto image, store.find(image_name(context, project, service_of(project, name))));
    if (!image && !context.options().dry_run)
      return missing_images(context, project, {name}, settings.no_build, result.causes);
    result.images[name] = image ? image->id : kNoImage;
  }
  return result.images;
}

}  // namespace compose::cli
