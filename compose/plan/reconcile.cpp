#include "compose/plan/reconcile.hpp"

#include <algorithm>
#include <set>

#include "base/strings.hpp"
#include "compose/plan/graph.hpp"

namespace compose::plan {
namespace {

using Node = Graph::Node;

// One container of a service as it is and as it shall be.
struct Replica {
  const model::Service* service = nullptr;
  int number = 1;
  std::string name;
  const ObservedContainer* old = nullptr;

  bool create = false;  // with `old`: in its place
  bool start = false;
  bool unpause = false;
  bool bounce = false;      // stopped and started again as it is
  bool stop_early = false;  // it cannot live while what it depends on is replaced
  std::string cause;

  Node stop_node = Graph::kNone;
  Node remove_node = Graph::kNone;
  Node create_node = Graph::kNone;
  Node start_node = Graph::kNone;

  bool recreated() const { return create && old != nullptr; }
  bool stops() const { return (recreated() || bounce) && old != nullptr && is_up(*old); }
  bool starts() const { return start || unpause; }
};

struct NetworkState {
  const model::Network* network = nullptr;
  const ObservedNetwork* observed = nullptr;
  bool replace = false;
  std::vector<Node> leavers;  // removals that must have ended before the network can be replaced
  Node create_node = Graph::kNone;
};

bool is_on(const ObservedContainer& container, const model::Network& network) {
  return std::ranges::find(container.networks, network.name) != container.networks.end();
}

class Reconciler {
 public:
  Reconciler(const Desired& desired, const Observed& observed, const Options& options)
      : desired_{desired}, project_{desired.project}, observed_{observed}, options_{options}, gates_{graph_} {}

  Result<Plan> run() {
    TRY(choose_services());
    TRY(look_at_networks());
    TRY(look_at_volumes());
    for (const auto& name : order_) TRY(decide(project_.services.at(name)));
    decide_bystanders();
    emit_orphans();
    emit_networks();
    emit_volumes();
    for (const auto& name : all_names()) emit_creation(replicas_[name]);
    for (const auto& name : all_names()) emit_running(replicas_[name]);
    emit_early_stops();
    emit_surplus();
    emit_network_replacement();
    if (options_.wait && !options_.no_start) emit_final_waits();
    Plan plan = std::move(graph_).finish();
    plan.warnings = std::move(warnings_);
    return plan;
  }

 private:
  std::string place(const std::string& path) const {
    const auto position = project_.where(path);
    return position.known() ? position.to_string() + ": " : "";
  }

  // ---- which services ----

  Result<void> choose_services() {
    for (const auto& [name, service] : project_.services) {
      auto& edges = edges_[name];
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
    if (!options_.no_deps) chosen = closure(edges_, chosen);
    order_ = dependencies_first(edges_, chosen);
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

  bool in_scope(const std::string& service) const { return std::ranges::find(order_, service) != order_.end(); }

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
    for (const auto& name : order_) {
      for (const auto& [key, attachment] : project_.services.at(name).networks) {
        const auto found = project_.networks.find(key);
        if (found != project_.networks.end()) networks_[key].network = &found->second;
      }
    }
    std::set<std::string> replaced;
    for (auto& [key, state] : networks_) {
      const auto found = std::ranges::find(observed_.networks, state.network->name, &ObservedNetwork::name);
      if (found != observed_.networks.end()) state.observed = &*found;
      if (state.network->external) {
        if (state.observed == nullptr) {
          return make_error(Errc::not_found, "{}network \"{}\" is declared as external, but it does not exist",
                            place("networks." + key), state.network->name);
        }
        continue;
      }
      if (state.observed == nullptr) continue;
      if (!state.observed->owned) {
        warnings_.push_back(fmt::format("network \"{}\" exists but was not made for this project; it is used as it is",
                                        state.network->name));
      } else if (!state.observed->hash.empty() && state.observed->hash != network_hash(*state.network)) {
        state.replace = options_.recreate != Recreate::never;
        if (state.replace) replaced.insert(state.network->name);
      }
    }
    // Everybody has to leave a network that is replaced.
    std::vector<std::string> more = order_;
    for (const auto& container : observed_.containers) {
      const bool affected =
          std::ranges::any_of(container.networks, [&](const auto& n) { return replaced.contains(n); });
      if (affected && project_.services.contains(container.service)) more.push_back(container.service);
    }
    order_ = dependencies_first(edges_, more);
    return {};
  }

  Result<void> look_at_volumes() {
    for (const auto& name : order_) {
      for (const auto& mount : project_.services.at(name).volumes) {
        const auto found = project_.volumes.find(mount.source);
        if (mount.type == "volume" && found != project_.volumes.end()) volumes_.insert(found->first);
      }
    }
    for (const auto& key : volumes_) {
      const model::Volume& volume = project_.volumes.at(key);
      const auto found = std::ranges::find(observed_.volumes, volume.name, &ObservedVolume::name);
      if (found == observed_.volumes.end()) {
        if (!volume.external) {
          missing_volumes_.insert(key);
          continue;
        }
        return make_error(Errc::not_found, "{}volume \"{}\" is declared as external, but it does not exist",
                          place("volumes." + key), volume.name);
      }
      if (!volume.external && !found->hash.empty() && found->hash != volume_hash(volume)) {
        warnings_.push_back(
            fmt::format("{}volume \"{}\" exists with other options; it is kept, since its data would be lost (remove "
                        "it to apply them)",
                        place("volumes." + key), volume.name));
      }
    }
    return {};
  }

  // ---- what happens to each container ----

  Result<void> decide(const model::Service& service) {
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
    std::ranges::stable_sort(existing, {}, &ObservedContainer::number);

    auto& replicas = replicas_[service.name];
    std::set<int> taken;
    for (const auto* container : existing) {
      const bool half_made = container->state == State::creating || container->state == State::removing;
      if (half_made || static_cast<std::int64_t>(replicas.size()) >= wanted || taken.contains(container->number)) {
        surplus_.emplace_back(container, half_made ? "left half-made" : fmt::format("scaled to {}", wanted));
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
      replica.start = !options_.no_start;
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
    for (const auto& [key, state] : networks_) {
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
      replica.start = !options_.no_start;
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
        if (completed(*replica.old) && is_one_shot(project_, replica.service->name)) return;
        replica.start = true;
        replica.cause = fmt::format("exited with code {}", replica.old->exit_code);
        return;
      case State::created:
      case State::creating:
      case State::removing:
        replica.start = true;
        replica.cause = "created";
        return;
    }
  }

  static void bounce(Replica& replica, std::string cause) {
    replica.bounce = true;
    replica.start = true;
    replica.stop_early = true;
    replica.cause = std::move(cause);
  }

  template <typename Predicate>
  bool any_of(const std::string& service, Predicate predicate) const {
    const auto found = replicas_.find(service);
    return found != replicas_.end() && std::ranges::any_of(found->second, predicate);
  }

  // Running containers that are not asked for or did not change, but depend on one that is recreated: those that
  // share its namespaces, and those that say `restart: true`.
  void decide_bystanders() {
    if (options_.no_start) return;
    for (const auto& name : dependencies_first(edges_, names_of_all_services())) {
      const model::Service& service = project_.services.at(name);
      if (!in_scope(name)) add_bystander(service);
      for (const auto& [dependency, how] : service.depends_on) {
        const auto shared = shares_with(service);
        const bool shares = std::ranges::find(shared, dependency) != shared.end();
        if (!shares && !how.restart) continue;
        const bool restarted =
            any_of(dependency, [&](const Replica& r) { return r.recreated() || r.bounce || (shares && r.start); });
        if (!restarted) continue;
        for (auto& replica : replicas_[name]) {
          if (replica.old == nullptr || !is_up(*replica.old)) continue;
          replica.stop_early = true;
          if (!replica.create && !replica.bounce) bounce(replica, "depends on " + dependency + ", which is restarted");
        }
      }
    }
    std::erase_if(replicas_, [&](const auto& entry) {
      return !in_scope(entry.first) && std::ranges::none_of(entry.second, [](const Replica& r) { return r.bounce; });
    });
    for (auto& [name, replicas] : replicas_) {
      for (auto& replica : replicas) replica.stop_early = replica.stop_early || leaves_network(replica);
    }
  }

  void add_bystander(const model::Service& service) {
    for (const auto& container : observed_.containers) {
      if (container.service != service.name || container.one_off || !is_up(container)) continue;
      Replica replica = replica_of(service, container.number);
      replica.old = &container;
      replica.name = container.name;
      replicas_[service.name].push_back(std::move(replica));
    }
  }

  bool leaves_network(const Replica& replica) const {
    return replica.recreated() && std::ranges::any_of(networks_, [&](const auto& entry) {
             return entry.second.replace && is_on(*replica.old, *entry.second.network);
           });
  }

  std::vector<std::string> names_of_all_services() const {
    std::vector<std::string> names;
    for (const auto& [name, service] : project_.services) names.push_back(name);
    return names;
  }

  std::vector<std::string> all_names() const {
    std::vector<std::string> names;
    for (const auto& [name, replicas] : replicas_) names.push_back(name);
    return dependencies_first(edges_, names);
  }

  // ---- operations ----

  Op container_op(OpKind kind, const Replica& replica, std::string cause) const {
    Op op;
    op.kind = kind;
    op.name = replica.name;
    op.service = replica.service->name;
    op.replica = replica.number;
    op.cause = std::move(cause);
    const bool of_old = kind == OpKind::stop_container || kind == OpKind::remove_container || !replica.create;
    if (replica.old != nullptr && of_old) op.container_id = replica.old->id;
    if (kind == OpKind::stop_container) op.timeout = options_.timeout;
    return op;
  }

  Op container_op(OpKind kind, const ObservedContainer& container, std::string cause) const {
    Op op;
    op.kind = kind;
    op.name = container.name;
    op.service = container.service;
    op.replica = container.number;
    op.container_id = container.id;
    op.cause = std::move(cause);
    if (kind == OpKind::stop_container) op.timeout = options_.timeout;
    return op;
  }

  Node emit_removal(const ObservedContainer& container, const std::string& cause) {
    Node stop = Graph::kNone;
    if (is_up(container)) stop = graph_.add(container_op(OpKind::stop_container, container, cause));
    const Node remove = graph_.add(container_op(OpKind::remove_container, container, cause));
    graph_.after(remove, stop);
    return remove;
  }

  void emit_orphans() {
    std::vector<std::string> names;
    for (const auto& container : observed_.containers) {
      const bool known =
          project_.services.contains(container.service) || project_.disabled_services.contains(container.service);
      if (known || container.one_off) continue;
      if (options_.remove_orphans) {
        orphan_removals_.push_back(emit_removal(container, "no such service any more"));
      } else {
        names.push_back(container.name);
      }
    }
    if (!names.empty()) {
      warnings_.push_back(
          fmt::format("Found orphan containers ([{}]) for this project. If you removed or renamed this service in your "
                      "compose file, you can run this command with the --remove-orphans flag to clean it up.",
                      join(names, " ")));
    }
  }

  void emit_networks() {
    for (auto& [key, state] : networks_) {
      if (state.network->external || (state.observed != nullptr && !state.replace)) continue;
      Op op;
      op.kind = OpKind::create_network;
      op.name = state.network->name;
      op.key = key;
      op.cause = state.replace ? "config changed" : "missing";
      state.create_node = graph_.add(std::move(op));
    }
  }

  void emit_volumes() {
    for (const auto& key : missing_volumes_) {
      Op op;
      op.kind = OpKind::create_volume;
      op.name = project_.volumes.at(key).name;
      op.key = key;
      op.cause = "missing";
      volume_nodes_[key] = graph_.add(std::move(op));
    }
  }

  // Networks and volumes of a service that this plan makes.
  std::vector<Node> material(const model::Service& service) const {
    std::vector<Node> nodes;
    for (const auto& [key, attachment] : service.networks) {
      if (const auto found = networks_.find(key); found != networks_.end()) nodes.push_back(found->second.create_node);
    }
    for (const auto& mount : service.volumes) {
      const auto found = volume_nodes_.find(mount.source);
      if (mount.type == "volume" && found != volume_nodes_.end()) nodes.push_back(found->second);
    }
    return nodes;
  }

  void emit_creation(std::vector<Replica>& replicas) {
    for (auto& replica : replicas) {
      const model::Service& service = *replica.service;
      if (replica.stops()) {
        replica.stop_node = graph_.add(container_op(OpKind::stop_container, replica, replica.cause));
      }
      if (!replica.create) continue;
      if (replica.old != nullptr) {
        Op remove = container_op(OpKind::remove_container, replica, "replaced");
        remove.remove_volumes = options_.renew_anon_volumes;
        replica.remove_node = graph_.add(std::move(remove));
        graph_.after(replica.remove_node, replica.stop_node);
      }
      Op create = container_op(OpKind::create_container, replica, replica.cause);
      create.name = container_name(project_, service, replica.number);
      if (replica.old != nullptr) {
        create.replaces = replica.old->id;
        if (!options_.renew_anon_volumes) create.anonymous_volumes = replica.old->anonymous_volumes;
      }
      replica.create_node = graph_.add(std::move(create));
      graph_.after(replica.create_node, replica.remove_node);
      for (const Node node : material(service)) {
        graph_.after(replica.create_node, node);
        if (!replica.stop_early) graph_.after(replica.stop_node, node);
      }
      for (const Node orphan : orphan_removals_) graph_.after(replica.create_node, orphan);
      // In the order of the dependencies: the first container of a volume gives it its content.
      for (const auto& [dependency, how] : service.depends_on) {
        for (const auto& other : replicas_of(dependency)) {
          graph_.after(replica.create_node, other.create_node, how.required);
        }
      }
    }
  }

  static Member member(const Replica& replica) {
    const auto* observed = replica.create ? nullptr : replica.old;
    return {replica.name, replica.service->name, replica.number, observed, replica.start_node};
  }

  void emit_running(std::vector<Replica>& replicas) {
    for (auto& replica : replicas) {
      if (!replica.starts()) continue;
      const auto kind = replica.unpause ? OpKind::unpause_container : OpKind::start_container;
      const std::string cause = replica.create ? "created" : replica.cause;
      // Waits are added before the start they hold back, so that the numbers read in order.
      std::vector<std::pair<Node, bool>> conditions;
      for (const auto& [dependency, how] : replica.service->depends_on) {
        if (options_.no_deps && !replica.bounce) continue;
        for (const auto& other : replicas_of(dependency)) {
          conditions.emplace_back(gates_.ready(member(other), how.condition, "needed by " + replica.service->name),
                                  how.required);
        }
      }
      replica.start_node = graph_.add(container_op(kind, replica, cause));
      graph_.after(replica.start_node, replica.create_node);
      graph_.after(replica.start_node, replica.stop_node);
      for (const Node orphan : orphan_removals_) graph_.after(replica.start_node, orphan);
      for (const auto& [node, required] : conditions) {
        graph_.after(replica.start_node, node, required);
        if (!replica.stop_early) graph_.after(replica.stop_node, node, required);
      }
    }
  }

  const std::vector<Replica>& replicas_of(const std::string& service) const {
    static const std::vector<Replica> kNone;
    const auto found = replicas_.find(service);
    return found == replicas_.end() ? kNone : found->second;
  }

  // What must be down before something it depends on goes down.
  void emit_early_stops() {
    for (const auto& [name, replicas] : replicas_) {
      for (const auto& replica : replicas) {
        if (!replica.stop_early || replica.stop_node == Graph::kNone) continue;
        for (const auto& [dependency, how] : replica.service->depends_on) {
          for (const auto& other : replicas_of(dependency)) graph_.after(other.stop_node, replica.stop_node);
        }
      }
    }
  }

  void emit_network_replacement() {
    for (auto& [key, state] : networks_) {
      if (!state.replace) continue;
      Op op;
      op.kind = OpKind::remove_network;
      op.name = state.network->name;
      op.key = key;
      op.cause = "config changed";
      const Node remove = graph_.add(std::move(op));
      graph_.after(state.create_node, remove);
      for (const Node leaver : state.leavers) graph_.after(remove, leaver);
      for (const auto& [name, replicas] : replicas_) {
        for (const auto& replica : replicas) {
          if (replica.old != nullptr && is_on(*replica.old, *state.network)) graph_.after(remove, replica.remove_node);
        }
      }
    }
  }

  void emit_surplus() {
    for (const auto& [container, cause] : surplus_) {
      const Node remove = emit_removal(*container, cause);
      for (const auto& replica : replicas_of(container->service)) {
        // It may hold the name or the address of the one that is made.
        if (replica.number == container->number) graph_.after(replica.create_node, remove);
      }
      for (auto& [key, state] : networks_) {
        if (state.replace && is_on(*container, *state.network)) state.leavers.push_back(remove);
      }
    }
  }

  void emit_final_waits() {
    for (const auto& name : order_) {
      const bool one_shot = is_one_shot(project_, name);
      for (const auto& replica : replicas_of(name)) {
        const auto condition = one_shot ? model::Condition::completed_successfully : model::Condition::healthy;
        gates_.ready(member(replica), condition, "--wait");
      }
    }
  }

  const Desired& desired_;
  const model::Project& project_;
  const Observed& observed_;
  const Options& options_;
  Graph graph_;
  Gates gates_;
  ServiceGraph edges_;
  std::set<std::string> selected_;
  std::vector<std::string> order_;  // the services to look at, dependencies first
  std::map<std::string, std::vector<Replica>> replicas_;
  std::vector<std::pair<const ObservedContainer*, std::string>> surplus_;
  std::map<std::string, NetworkState> networks_;
  std::set<std::string> volumes_;
  std::set<std::string> missing_volumes_;
  std::map<std::string, Node> volume_nodes_;
  std::vector<Node> orphan_removals_;
  std::vector<std::string> warnings_;
};

}  // namespace

Result<Plan> reconcile(const Desired& desired, const Observed& observed, const Options& options) {
  return Reconciler{desired, observed, options}.run();
}

}  // namespace compose::plan
