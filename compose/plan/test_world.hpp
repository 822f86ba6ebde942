#pragma once
// A small project and what exists of it, for the tests of the planners.
#include <string>

#include "compose/plan/reconcile.hpp"

namespace compose::plan {

inline constexpr auto kStarted = model::Condition::started;
inline constexpr auto kHealthy = model::Condition::healthy;
inline constexpr auto kCompleted = model::Condition::completed_successfully;

struct World {
  model::Project project;
  Observed observed;
  std::map<std::string, std::string> images;
  std::map<std::string, std::string> hashes;
  Options options;

  World() { project.name = "shop"; }

  model::Service& service(const std::string& name) {
    auto& service = project.services[name];
    service.name = name;
    images[name] = "sha256:1";
    hashes[name] = "v1";
    return service;
  }
  /// `name` depends on `on`.
  model::Dependency& depends(const std::string& name, const std::string& on, model::Condition condition = kStarted) {
    auto& dependency = project.services.at(name).depends_on[on];
    dependency.condition = condition;
    return dependency;
  }
  model::Network& network(const std::string& key) {
    auto& network = project.networks[key];
    network.name = "shop_" + key;
    return network;
  }
  model::Volume& volume(const std::string& key) {
    auto& volume = project.volumes[key];
    volume.name = "shop_" + key;
    return volume;
  }

  /// An up-to-date container of a service.
  ObservedContainer& container(const std::string& service, State state = State::running, int number = 1) {
    ObservedContainer container;
    container.id = service + std::to_string(number);
    container.name = "shop-" + service + "-" + std::to_string(number);
    container.service = service;
    container.number = number;
    container.config_hash = "v1";
    container.image_id = "sha256:1";
    container.state = state;
    container.started_before = state != State::created;
    if (const auto found = project.services.find(service); found != project.services.end()) {
      container.depends_on = found->second.depends_on;
      container.shares_with = shares_with(found->second);
      for (const auto& [key, attachment] : found->second.networks) container.networks.push_back("shop_" + key);
    }
    observed.containers.push_back(std::move(container));
    return observed.containers.back();
  }
  void existing_network(const std::string& key) {
    observed.networks.push_back({"shop_" + key, key, true, network_hash(project.networks[key])});
  }
  void existing_volume(const std::string& key) {
    observed.volumes.push_back({"shop_" + key, key, true, false, volume_hash(project.volumes[key])});
  }

  Result<Plan> plan() const { return reconcile({project, images, hashes}, observed, options); }
  std::string text() const {
    const auto made = plan();
    return made.ok() ? made->to_text() : "error: " + made.error().message();
  }
};

}  // namespace compose::plan
