#include "supervisor/observer.hpp"

#include <algorithm>

#include "compose/plan/reconcile.hpp"
#include "container/volume.hpp"
#include "supervisor/planning.hpp"

namespace compose::supervisor {

namespace {

plan::State state_of(const Container& container) {
  const state::ContainerRecord& record = container.record;
  if (container.activity == Container::Activity::removing) return plan::State::removing;
  if (record.phase == state::Phase::running) return record.paused ? plan::State::paused : plan::State::running;
  if (record.restarting) return plan::State::restarting;
  if (container.activity == Container::Activity::starting) return plan::State::running;
  return record.phase == state::Phase::exited ? plan::State::exited : plan::State::created;
}

bool external_network(const Application* application, const std::string& name) {
  return application != nullptr && std::ranges::any_of(application->project.networks, [&](const auto& item) {
           return item.second.external && item.second.name == name;
         });
}

bool external_volume(const Application* application, const std::string& name) {
  return application != nullptr && std::ranges::any_of(application->project.volumes, [&](const auto& item) {
           return item.second.external && item.second.name == name;
         });
}

}  // namespace

Result<plan::Observed> observe(const Context& context, const Containers& containers, Addresses& addresses,
                               const Application* application) {
  plan::Observed observed;
  for (const auto& [id, container] : containers.all()) {
    observed.containers.push_back(observe_record(container->record, state_of(*container), application));
  }
  TRY_ASSIGN(const auto networks, addresses.list());
  for (const net::Network& network : networks) {
    const bool owned = network.spec.project == context.project;
    if (!owned && !external_network(application, network.spec.name)) continue;
    const auto hash = network.spec.labels.find(kHashLabel);
    observed.networks.push_back(
        {network.spec.name, network.spec.key, owned, hash == network.spec.labels.end() ? std::string{} : hash->second});
  }
  TRY_ASSIGN(const auto volumes, container::list_volumes(context.paths));
  for (const container::VolumeInfo& volume : volumes) {
    const bool owned = volume.project == context.project;
    if (!owned && !external_volume(application, volume.name)) continue;
    observed.volumes.push_back({volume.name, volume.key, owned, volume.anonymous, volume.hash});
  }
  return observed;
}

}  // namespace compose::supervisor
