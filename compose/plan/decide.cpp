#include "compose/plan/decide.hpp"

#include <algorithm>

#include "base/strings.hpp"

namespace compose::plan {
namespace {

class Decider {
 public:
  Decider(const Desired& desired, const Observed& observed, const Options& options)
      : desired_{desired}, project_{desired.project}, observed_{observed}, options_{options} {}

  Result<Decisions> run() {
    TRY(choose_services());
    TRY(look_at_networks());
    TRY(look_at_volumes());
    for (const auto& name : decisions_.order) TRY(decide_service(project_.services.at(name)));
    decide_bystanders();
    find_orphans();
    return std::move(decisions_);
  }

 private:
  std::string place(const std::string& path) const {
    const auto position = project_.where(path);
    return position.known() ? position.to_string() + ": " : "";
  }

  // ---- which services ----

  Result<void> choose_services() {
    for (const auto& [name, service] : project_.services) {
      auto& edges = decisions_.edges[name];
      for (const auto& [dependency, how] : service.depends_on) {
        if (project_.services.contains(dependency)) edges.push_back(dependency);
      }
    }
    for (const auto& name : options_.services) TRY(check_selected(name));
    std::vector<std::string> chosen = options_.services;
    if (chosen.empty()) {
      for (const auto& [name, service] : project_.services) chosen.push_back(name);
    }
    selected_.insert(chosen.begin(), chosen.end());
    if (!options_.no_deps) chosen = closure(decisions_.edges, chosen);
    decisions_.order = dependencies_first(decisions_.edges, chosen);
    for (const auto& [name, count] : options_.scale) {
      if (!project_.services.contains(name)) {
        return make_error(Errc::not_found, "--scale: no such service \"{}\"", name);
      }
    }
    return {};
  }

  Result<void> check_selected(const std::string& name) const {
    if (project_.services.contains(name)) return {};
    if (project_.disabled_services.contains(name)) {
      const auto& profiles = project_.disabled_services.at(name).profiles;
      return make_error(Errc::not_found, "{}service \"{}\" is not active: enable its profile with --profile {}",
                        place("services." + name), name, profiles.empty() ? "\"*\"" : profiles.front());
    }
    std::vector<std::string> known;
    for (const auto& [other, service] : project_.services) known.push_back(other);
    const auto near = nearest(name, known);
    return make_error(Errc::not_found, "no such service: {}{}", name,
                      near ? fmt::format(", did you mean \"{}\"?", *near) : "");
  }

  bool in_scope(const std::string& service) const {
    return std::ranges::find(decisions_.order, service) != decisions_.order.end();
  }

  std::int64_t wanted_count(const model::Service& service) const {
    if (const auto found = options_.scale.find(service.name); found != options_.scale.end()) {
      return std::max<std::int64_t>(found->second, 0);
    }
    if (service.deploy && service.deploy->mode.starts_with("global")) return 1;
    if (service.scale) return *service.scale;
    return service.deploy && service.deploy->replicas ? *service.deploy->replicas : 1;
  }

  // ---- networks and volumes ----

  Result<void> look_at_networks() {
    for (const auto& name : decisions_.order) {
      for (const auto& [key, attachment] : project_.services.at(name).networks) {
        const auto found = project_.networks.find(key);
        if (found != project_.networks.end()) decisions_.networks[key].network = &found->second;
      }
    }
    std::set<std::string> replaced;
    for (auto& [key, state] : decisions_.networks) {
      const auto found = std::ranges::find(observed_.networks, state.network->name, &ObservedNetwork::name);
      state.exists = found != observed_.networks.end();
      if (state.network->external) {
        if (!state.exists) {
          return make_error(
              Errc::not_found,
              "{1}network \"{0}\" is declared as external, but it does not exist: make it with \"compose network "
              "create {0}\"",
              state.network->name, place("networks." + key));
        }
        continue;
      }
      if (!state.exists) continue;
      if (!found->owned) {
        decisions_.warnings.push_back(fmt::format(
            "network \"{}\" exists but was not made for this project; it is used as it is", state.network->name));
      } else if (!found->hash.empty() && found->hash != network_hash(*state.network)) {
        state.replace = options_.recreate != Recreate::never;
        if (state.replace) replaced.insert(state.network->name);
      }
    }
    // Everybody has to leave a network that is replaced.
    std::vector<std::string> more = decisions_.order;
    for (const auto& container : observed_.containers) {
      const bool affected =
          std::ranges::any_of(container.networks, [&](const auto& n) { return replaced.contains(n); });
      if (affected && project_.services.contains(container.service)) more.push_back(container.service);
    }
    decisions_.order = dependencies_first(decisions_.edges, more);
    return {};
  }

  Result<void> look_at_volumes() {
    std::set<std::string> used;
    for (const auto& name : decisions_.order) {
      for (const auto& mount : project_.services.at(name).volumes) {
        const auto found = project_.volumes.find(mount.source);
        if (mount.type == "volume" && found != project_.volumes.end()) used.insert(found->first);
      }
    }
    for (const auto& key : used) {
      const model::Volume& volume = project_.volumes.at(key);
      const auto found = std::ranges::find(observed_.volumes, volume.name, &ObservedVolume::name);
      if (found == observed_.volumes.end()) {
        if (!volume.external) {
          decisions_.missing_volumes.insert(key);
          continue;
        }
        return make_error(Errc::not_found, "{}volume \"{}\" is declared as external, but it does not exist",
                          place("volumes." + key), volume.name);
      }
      if (!volume.external && !found->hash.empty() && found->hash != volume_hash(volume)) {
        decisions_.warnings.push_back(
            fmt::format("{}volume \"{}\" exists with other options; it is kept, since its data would be lost (remove "
                        "it to apply them)",
                        place("volumes." + key), volume.name));
      }
    }
    return {};
  }

  // ---- what happens to each container ----

  Result<void> decide_service(const model::Service& service) {
    const std::int64_t wanted = wanted_count(service);
    if (wanted > 1 && !service.container_name.empty()) {
      return make_error(Errc::invalid, "{}service \"{}\" cannot have {} replicas: container_name \"{}\" names only one",
                        place("services." + service.name + ".container_name"), service.name, wanted,
                        service.container_name);
    }
    std::vector<const ObservedContainer*> existing;
    for (const auto& container : observed_.containers) {
      if (container.service == service.name && !container.one_off) existing.push_back(&container);
    }
    // After a crash in the middle of a rolling update two may hold one place: the one that is as it should be stays.
    const std::string hash = expected_hash(service);
    std::ranges::stable_sort(existing, {}, [&](const ObservedContainer* container) {
      return std::pair{container->number, container->config_hash != hash};
    });

    auto& replicas = decisions_.replicas[service.name];
    std::set<int> taken;
    for (const auto* container : existing) {
      const bool half_made = container->state == State::creating || container->state == State::removing;
      if (container->extra) {
        decisions_.surplus.push_back({container, "left by an update"});
        continue;
      }
      if (half_made || static_cast<std::int64_t>(replicas.size()) >= wanted || taken.contains(container->number)) {
        decisions_.surplus.push_back({container, half_made ? "left half-made" : fmt::format("scaled to {}", wanted)});
        continue;
      }
      taken.insert(container->number);
      Replica replica = replica_of(service, container->number);
      replica.old = container;
      replica.name = container->name;
      decide_existing(replica);
      replicas.push_back(std::move(replica));
    }
    for (int number = 1; static_cast<std::int64_t>(replicas.size()) < wanted; ++number) {
      if (taken.contains(number)) continue;
      Replica replica = replica_of(service, number);
      replica.create = true;
      replica.start = !options_.no_start && !service.schedule;
      replica.cause = "missing";
      replicas.push_back(std::move(replica));
    }
    std::ranges::sort(replicas, {}, &Replica::number);
    return {};
  }

  Replica replica_of(const model::Service& service, int number) const {
    Replica replica;
    replica.service = &service;
    replica.number = number;
    replica.name = container_name(project_, service, number);
    return replica;
  }

  std::string expected_hash(const model::Service& service) const {
    const auto found = desired_.hashes.find(service.name);
    return found != desired_.hashes.end() ? found->second : model::config_hash(project_, service);
  }

  // Why the container is recreated, or "".
  std::string recreate_cause(const Replica& replica) const {
    if (options_.recreate == Recreate::never) return {};
    const model::Service& service = *replica.service;
    const bool selected = selected_.contains(service.name);
    if (options_.recreate == Recreate::always && selected) return "forced";
    if (options_.always_recreate_deps && !selected) return "forced as a dependency";
    if (replica.old->config_hash != expected_hash(service)) return "config changed";
    const auto image = desired_.images.find(service.name);
    if (image != desired_.images.end() && !image->second.empty() && image->second != replica.old->image_id) {
      return "image changed";
    }
    for (const auto& [key, state] : decisions_.networks) {
      if (state.replace && is_on(*replica.old, *state.network)) {
        return fmt::format("network {} changed", key);
      }
    }
    for (const auto& other : shares_with(service)) {
      if (any_of(other, &Replica::recreated)) return fmt::format("uses {}, which is recreated", other);
    }
    return {};
  }

  void decide_existing(Replica& replica) const {
    if (std::string cause = recreate_cause(replica); !cause.empty()) {
      replica.create = true;
      replica.start = !options_.no_start && !replica.service->schedule;
      replica.cause = std::move(cause);
      return;
    }
    if (options_.no_start) return;
    switch (replica.old->state) {
      case State::running:
      case State::restarting:
        for (const auto& other : shares_with(*replica.service)) {
          // Its namespace ended with the other's last run.
          if (any_of(other, [](const Replica& r) { return r.start; })) bounce(replica, "uses " + other);
        }
        return;
      case State::paused:
        replica.unpause = true;
        replica.cause = "paused";
        return;
      case State::exited:
        if (stays_completed(replica) || replica.service->schedule) return;
        replica.start = true;
        replica.cause = fmt::format("exited with code {}", replica.old->exit_code);
        return;
      case State::created:
      case State::creating:
      case State::removing:
        replica.start = !replica.service->schedule;
        replica.cause = "created";
        return;
    }
  }

  // It has done its work. Naming the service runs it again.
  bool stays_completed(const Replica& replica) const {
    const model::Service& service = *replica.service;
    if (!completed(*replica.old) || std::ranges::find(options_.services, service.name) != options_.services.end()) {
      return false;
    }
    if (is_one_shot(project_, service.name)) return true;
    return !options_.run_ended_again && !restarts_after_success(service) && replica.old->ended_this_boot;
  }

  static void bounce(Replica& replica, std::string cause) {
    replica.bounce = true;
    replica.start = true;
    replica.stop_early = true;
    replica.cause = std::move(cause);
  }

  template <typename Predicate>
  bool any_of(const std::string& service, Predicate predicate) const {
    const auto found = decisions_.replicas.find(service);
    return found != decisions_.replicas.end() && std::ranges::any_of(found->second, predicate);
  }

  // Running containers that are not asked for or did not change, but depend on one that is recreated: those that
  // share its namespaces, and those that say `restart: true`.
  void decide_bystanders() {
    if (options_.no_start) return;
    for (const auto& name : dependencies_first(decisions_.edges, names_of_all_services())) {
      const model::Service& service = project_.services.at(name);
      if (!in_scope(name)) add_bystanders(service);
      for (const auto& [dependency, how] : service.depends_on) {
        const auto shared = shares_with(service);
        const bool shares = std::ranges::find(shared, dependency) != shared.end();
        if (!shares && !how.restart) continue;
        const bool restarted =
            any_of(dependency, [&](const Replica& r) { return r.recreated() || r.bounce || (shares && r.start); });
        if (!restarted) continue;
        for (auto& replica : decisions_.replicas[name]) {
          if (replica.old == nullptr || !is_up(*replica.old)) continue;
          replica.stop_early = true;
          if (!replica.create && !replica.bounce) bounce(replica, "depends on " + dependency + ", which is restarted");
        }
      }
    }
    std::erase_if(decisions_.replicas, [&](const auto& entry) {
      return !in_scope(entry.first) && std::ranges::none_of(entry.second, [](const Replica& r) { return r.bounce; });
    });
    for (auto& [name, replicas] : decisions_.replicas) {
      for (auto& replica : replicas) {
        replica.stop_early = replica.stop_early || leaves_network(replica);
        const auto& deploy = replica.service->deploy;
        const bool rolls = replica.recreated() && !replica.stop_early && is_up(*replica.old) && replica.start;
        if (!rolls || !deploy) continue;
        const auto& config =
            options_.rollback && deploy->rollback_config ? deploy->rollback_config : deploy->update_config;
        if (config) replica.update = &*config;
      }
    }
  }

  void add_bystanders(const model::Service& service) {
    for (const auto& container : observed_.containers) {
      if (container.service != service.name || container.one_off || !is_up(container)) continue;
      Replica replica = replica_of(service, container.number);
      replica.old = &container;
      replica.name = container.name;
      decisions_.replicas[service.name].push_back(std::move(replica));
    }
  }

  bool leaves_network(const Replica& replica) const {
    return replica.recreated() && std::ranges::any_of(decisions_.networks, [&](const auto& entry) {
             return entry.second.replace && is_on(*replica.old, *entry.second.network);
           });
  }

  std::vector<std::string> names_of_all_services() const {
    std::vector<std::string> names;
    for (const auto& [name, service] : project_.services) names.push_back(name);
    return names;
  }

  void find_orphans() {
    std::vector<std::string> names;
    for (const auto& container : observed_.containers) {
      const bool known =
          project_.services.contains(container.service) || project_.disabled_services.contains(container.service);
      if (known || container.one_off) continue;
      decisions_.orphans.push_back(&container);
      names.push_back(container.name);
    }
    if (names.empty() || options_.remove_orphans) return;
    decisions_.warnings.push_back(
        fmt::format("Found orphan containers ([{}]) for this project. If you removed or renamed this service in your "
                    "compose file, you can run this command with the --remove-orphans flag to clean it up.",
                    join(names, " ")));
  }

  const Desired& desired_;
  const model::Project& project_;
  const Observed& observed_;
  const Options& options_;
  std::set<std::string> selected_;  // named by the user, or all
  Decisions decisions_;
};

}  // namespace

bool is_on(const ObservedContainer& container, const model::Network& network) {
  return std::ranges::find(container.networks, network.name) != container.networks.end();
}

Result<Decisions> decide(const Desired& desired, const Observed& observed, const Options& options) {
  return Decider{desired, observed, options}.run();
}

}  // namespace compose::plan
