#include "supervisor/application.hpp"

#include <nlohmann/json.hpp>

#include "base/schema.hpp"
#include "compose/plan/reconcile.hpp"
#include "container/prepare.hpp"
#include "supervisor/scheduler.hpp"
#include "sys/file.hpp"

namespace compose::supervisor {

using nlohmann::json;

namespace {

constexpr int kDesiredSchema = 1;

/// Fills `application.loaded`. A service that the command does not touch comes without an image.
bool find_images(const image::Store& store, Application& application, Failure& failure) {
  for (const auto& [service, id] : application.images) {
    if (id.empty() || application.loaded.contains(id)) continue;  // "": a dry run did not build it
    auto image = store.find(id);
    if (image && *image) {
      application.loaded.emplace(id, **std::move(image));
      continue;
    }
    failure = missing_image(application.project, service, image ? "it is not in the store" : image.error().message());
    return false;
  }
  for (const auto& [name, service] : application.project.services) {
    for (const model::Mount& mount : service.volumes) {
      if (mount.type != "image" || application.mounted.contains(mount.source)) continue;
      auto image = store.find(mount.source);
      if (image && *image) application.mounted.emplace(mount.source, **std::move(image));
    }
  }
  return true;
}

}  // namespace

Failure missing_image(const model::Project& project, const std::string& service, const std::string& why) {
  const auto known = project.services.find(service);
  const std::string name = known == project.services.end() ? "" : known->second.image;
  return {fmt::format("service \"{}\": image \"{}\": {}", service, name, why),
          project.where("services." + service + ".image").to_string()};
}

ApplicationPtr make_application(const image::Store& store, const std::string& project_json,
                                const std::map<std::string, std::string>& images, Failure& failure) {
  auto application = std::make_shared<Application>();
  auto project = model::project_from_json(project_json);
  if (!project) {
    failure.message = "reading the project: " + project.error().message();
    return nullptr;
  }
  application->project = *std::move(project);
  application->images = images;
  if (!find_images(store, *application, failure)) return nullptr;
  for (const auto& [name, service] : application->project.services) {
    const auto problem = service.schedule ? schedule_problem(*service.schedule) : std::string{};
    if (!problem.empty()) {
      failure = {fmt::format("service \"{}\": x-schedule: {}", name, problem),
                 application->project.where("services." + name + ".x-schedule").to_string()};
      return nullptr;
    }
    auto hash = container::service_hash(application->project, service);
    if (!hash) {
      failure = {fmt::format("service \"{}\": {}", name, hash.error().message()),
                 application->project.where("services." + name).to_string()};
      return nullptr;
    }
    application->hashes[name] = *std::move(hash);
    application->attributes[name] = plan::attributes_of(service);
    if (auto digests = container::granted_digests(application->project, service)) {
      application->attributes[name].merge(*digests);
    }
  }
  return application;
}

Result<sys::StagedFile> stage_desired(const state::Paths& paths, const std::string& project,
                                      const DesiredText& desired) {
  const json object = {{"schema", kDesiredSchema}, {"project", desired.project_json}, {"images", desired.images}};
  TRY(sys::make_directories(paths.project(project), 0700));
  // It may hold what secrets came from the environment.
  return sys::StagedFile::write(paths.desired(project), object.dump(-1, ' ', false, json::error_handler_t::replace),
                                0600)
      .with("noting what project \"{}\" is to be", project);
}

Result<std::optional<DesiredText>> load_desired(const state::Paths& paths, const std::string& project) {
  const std::string path = paths.desired(project);
  auto text = sys::read_file(path);
  if (!text) {
    if (text.error().code() == Errc::not_found) return std::optional<DesiredText>{};
    return std::move(text).error();
  }
  try {
    const json object = json::parse(*text);
    TRY(check_schema(object.value("schema", 0), kDesiredSchema).with("reading {}", path));
    DesiredText desired;
    object.at("project").get_to(desired.project_json);
    object.at("images").get_to(desired.images);
    return std::optional{std::move(desired)};
  } catch (const json::exception& e) {
    return make_error(Errc::corrupt, "reading {}: {}", path, e.what());
  }
}

net::NetworkSpec network_spec(const model::Project& project, const std::string& key) {
  net::NetworkSpec spec;
  spec.project = project.name;
  spec.key = key;
  const auto it = project.networks.find(key);
  if (it == project.networks.end()) {
    spec.name = project.name + "_" + key;
    return spec;
  }
  const model::Network& network = it->second;
  spec.name = network.name;
  spec.driver = network.driver;
  spec.internal = network.internal;
  spec.attachable = network.attachable;
  spec.enable_ipv4 = network.enable_ipv4.value_or(true);
  spec.enable_ipv6 = network.enable_ipv6.value_or(false);
  for (const model::IpamPool& pool : network.ipam.config) {
    spec.pools.push_back({pool.subnet, pool.ip_range, pool.gateway, pool.aux_addresses});
  }
  spec.labels = network.labels;
  spec.labels["com.docker.compose.project"] = project.name;
  spec.labels["com.docker.compose.network"] = key;
  spec.labels[kHashLabel] = plan::network_hash(network);
  spec.options = network.driver_opts;
  return spec;
}

}  // namespace compose::supervisor
