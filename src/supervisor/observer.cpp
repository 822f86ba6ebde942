#include "supervisor/observer.hpp"

#include <algorithm>

#include "compose/plan/reconcile.hpp"
#include "container/volume.hpp"
#include "sys/process.hpp"

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

plan::Health health_of(const std::string& status) {
  if (status == "starting") return plan::Health::starting;
  if (status == "healthy") return plan::Health::healthy;
  return status == "unhealthy" ? plan::Health::unhealthy : plan::Health::none;
}

plan::ObservedContainer observe_one(const Container& container, const Application* application) {
  const state::ContainerRecord& record = container.record;
  plan::ObservedContainer seen;
  seen.id = record.id;
  seen.name = record.name;
  seen.service = record.service;
  seen.number = record.number;
  seen.config_hash = record.config_hash;
  seen.image_id = record.image_id;
  seen.state = state_of(container);
  seen.exit_code = record.exit_code;
  seen.health = health_of(record.health.status);
  seen.one_off = record.one_off;
  seen.extra = record.role != state::Role::plain;
  seen.stop_requested = record.stopped_by_user;
  seen.started_before = record.started_at != state::Time{};
  seen.ended_this_boot = record.phase == state::Phase::exited && record.boot_id == sys::boot_id();
  for (const state::MountRecord& mount : record.mounts) {
    if (mount.anonymous) seen.anonymous_volumes[mount.target] = mount.name;
  }
  for (const state::NetworkRecord& network : record.networks) seen.networks.push_back(network.name);
  seen.depends_on = record.depends_on;
  seen.shares_with = record.shares_with;
  seen.pre_start = record.pre_start;
  seen.scheduled = !record.schedule.cron.empty();
  if (application != nullptr) {
    const auto service = application->project.services.find(record.service);
    if (service != application->project.services.end()) seen.depends_on = service->second.depends_on;
  }
  return seen;
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
    observed.containers.push_back(observe_one(*container, application));
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
