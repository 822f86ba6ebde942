// The second half: operations for what was decided (decide.hpp), and their order.
#include "compose/plan/reconcile.hpp"

#include <algorithm>
#include <utility>

#include "compose/plan/decide.hpp"
#include "compose/plan/graph.hpp"

namespace compose::plan {
namespace {

using Node = Graph::Node;

// A container without a health check counts as good when it has run for this long, as under Swarm, whose default for
// `monitor` this is.
constexpr Duration kMonitor = std::chrono::seconds{5};
constexpr Duration kDrain = std::chrono::seconds{10};  // the default of stop_grace_period

// The operations of one replica; kNone where there is none.
struct Nodes {
  Node stop = Graph::kNone;
  Node remove = Graph::kNone;
  Node create = Graph::kNone;
  Node start = Graph::kNone;
};

class Ordering {
 public:
  Ordering(const model::Project& project, const Decisions& decisions, const Options& options)
      : project_{project},
        options_{options},
        decisions_{decisions},
        gates_{graph_},
        pre_starts_{graph_, project.name} {}

  Plan run() {
    emit_orphans();
    emit_networks();
    emit_volumes();
    for_each_replica([&](const Replica& replica) { emit_creation(replica); });
    for_each_replica([&](const Replica& replica) { emit_running(replica); });
    for_each_replica([&](const Replica& replica) { emit_early_stop(replica); });
    for (const auto& [name, replicas] : decisions_.replicas) emit_rollout(replicas);
    emit_surplus();
    emit_network_replacement();
    if (options_.wait && !options_.no_start) emit_final_waits();
    Plan plan = std::move(graph_).finish();
    plan.rollouts = std::move(rollouts_);
    return plan;
  }

 private:
  // Dependencies first.
  template <typename Visit>
  void for_each_replica(Visit visit) {
    std::vector<std::string> names;
    for (const auto& [name, replicas] : decisions_.replicas) names.push_back(name);
    for (const auto& name : dependencies_first(decisions_.edges, names)) {
      for (const auto& replica : replicas_of(name)) visit(replica);
    }
  }

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
    if (!options_.remove_orphans) return;
    for (const auto* container : decisions_.orphans) {
      orphan_removals_.push_back(emit_removal(*container, "no such service any more"));
    }
  }

  void emit_networks() {
    for (const auto& [key, state] : decisions_.networks) {
      if (state.network->external || (state.exists && !state.replace)) continue;
      Op op;
      op.kind = OpKind::create_network;
      op.name = state.network->name;
      op.key = key;
      op.cause = state.replace ? "config changed" : "missing";
      network_nodes_[key] = graph_.add(std::move(op));
    }
  }

  void emit_volumes() {
    for (const auto& key : decisions_.missing_volumes) {
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
      if (const auto found = network_nodes_.find(key); found != network_nodes_.end()) nodes.push_back(found->second);
    }
    for (const auto& mount : service.volumes) {
      const auto found = volume_nodes_.find(mount.source);
      if (mount.type == "volume" && found != volume_nodes_.end()) nodes.push_back(found->second);
    }
    return nodes;
  }

  void emit_creation(const Replica& replica) {
    const model::Service& service = *replica.service;
    Nodes& nodes = nodes_[&replica];
    if (starts_first(replica)) {
      // The old one goes when the new one has taken its place: emit_rollout.
      nodes.create = graph_.add(create_op(replica));
      for (const Node node : material(service)) graph_.after(nodes.create, node);
      for (const Node orphan : orphan_removals_) graph_.after(nodes.create, orphan);
      return;
    }
    if (replica.stops()) nodes.stop = graph_.add(container_op(OpKind::stop_container, replica, replica.cause));
    if (!replica.create) return;
    if (replica.old != nullptr) {
      Op remove = container_op(OpKind::remove_container, replica, "replaced");
      remove.remove_volumes = options_.renew_anon_volumes;
      nodes.remove = graph_.add(std::move(remove));
      graph_.after(nodes.remove, nodes.stop);
    }
    nodes.create = graph_.add(create_op(replica));
    graph_.after(nodes.create, nodes.remove);
    for (const Node node : material(service)) {
      graph_.after(nodes.create, node);
      if (!replica.stop_early) graph_.after(nodes.stop, node);
    }
    for (const Node orphan : orphan_removals_) graph_.after(nodes.create, orphan);
    // In the order of the dependencies: the first container of a volume gives it its content.
    for (const auto& [dependency, how] : service.depends_on) {
      for (const auto& other : replicas_of(dependency)) {
        graph_.after(nodes.create, nodes_[&other].create, how.required);
      }
    }
  }

  Op create_op(const Replica& replica) const {
    Op op = container_op(OpKind::create_container, replica, replica.cause);
    op.name = container_name(project_, *replica.service, replica.number);
    if (replica.old != nullptr) {
      op.replaces = replica.old->id;
      if (!options_.renew_anon_volumes) op.anonymous_volumes = replica.old->anonymous_volumes;
      op.incoming = starts_first(replica);
    }
    return op;
  }

  Member member(const Replica& replica) {
    const auto* observed = replica.create ? nullptr : replica.old;
    return {replica.name, replica.service->name, replica.number, observed, nodes_[&replica].start};
  }

  void emit_running(const Replica& replica) {
    if (!replica.starts()) return;
    const auto kind = replica.unpause ? OpKind::unpause_container : OpKind::start_container;
    // Waits are added before the start they hold back, so that the numbers read in order.
    std::vector<std::pair<Node, bool>> conditions;
    for (const auto& [dependency, how] : replica.service->depends_on) {
      if (options_.no_deps && !replica.bounce) continue;
      for (const auto& other : replicas_of(dependency)) {
        conditions.emplace_back(gates_.ready(member(other), how.condition, "needed by " + replica.service->name),
                                how.required);
      }
    }
    Nodes& nodes = nodes_[&replica];
    if (!replica.unpause) add_pre_start(replica, conditions);
    nodes.start = graph_.add(container_op(kind, replica, replica.create ? "created" : replica.cause));
    graph_.after(nodes.start, nodes.create);
    graph_.after(nodes.start, nodes.stop);
    for (const Node orphan : orphan_removals_) graph_.after(nodes.start, orphan);
    for (const auto& [node, required] : conditions) {
      graph_.after(nodes.start, node, required);
      if (!replica.stop_early) graph_.after(nodes.stop, node, required);
    }
  }

  // While the old container still runs: when it fails, nothing was lost.
  void add_pre_start(const Replica& replica, std::vector<std::pair<Node, bool>>& conditions) {
    const model::Service& service = *replica.service;
    if (service.pre_start.empty()) return;
    std::vector<bool> per_replica;
    for (const auto& hook : service.pre_start) per_replica.push_back(hook.per_replica);
    auto ready = conditions;
    for (const Node node : material(service)) ready.emplace_back(node, true);
    for (const Node orphan : orphan_removals_) ready.emplace_back(orphan, true);
    conditions.emplace_back(pre_starts_.before(service.name, replica.number, per_replica, ready), true);
  }

  const std::vector<Replica>& replicas_of(const std::string& service) const {
    static const std::vector<Replica> kNone;
    const auto found = decisions_.replicas.find(service);
    return found == decisions_.replicas.end() ? kNone : found->second;
  }

  // Both at once need two addresses: a service that has a fixed one is stopped first, whatever it says.
  // And who lives in its namespaces cannot live in those of two.
  bool starts_first(const Replica& replica) const {
    if (replica.update == nullptr || replica.update->order != "start-first") return false;
    const model::Service& service = *replica.service;
    for (const auto& [name, other] : project_.services) {
      const auto shared = shares_with(other);
      if (std::ranges::find(shared, service.name) != shared.end()) return false;
    }
    return service.mac_address.empty() && std::ranges::none_of(service.networks, [](const auto& entry) {
             const model::ServiceNetwork& network = entry.second;
             return !network.ipv4_address.empty() || !network.ipv6_address.empty() || !network.mac_address.empty();
           });
  }

  static bool has_health_check(const model::Service& service) {
    const auto& check = service.healthcheck;
    return check && !check->disable && !check->test.empty() && check->test.front() != "NONE";
  }

  // deploy.update_config: `parallelism` containers at a time (0: all), each batch `delay` after the one before has
  // become healthy and has stayed so for `monitor`.
  void emit_rollout(const std::vector<Replica>& replicas) {
    std::vector<const Replica*> updated;
    for (const Replica& replica : replicas) {
      if (replica.update != nullptr) updated.push_back(&replica);
    }
    if (updated.empty()) return;
    const model::UpdateConfig& config = *updated.front()->update;
    const std::string& service = updated.front()->service->name;
    RolloutPolicy& policy = rollouts_[service];
    policy.replicas = static_cast<int>(updated.size());
    policy.max_failure_ratio = config.max_failure_ratio;
    if (config.failure_action == "continue") policy.action = RolloutPolicy::Action::go_on;
    if (config.failure_action == "rollback" && !options_.rollback) policy.action = RolloutPolicy::Action::rollback;
    const std::size_t parallelism = config.parallelism.value_or(1);
    const std::size_t batch = parallelism == 0 ? updated.size() : static_cast<std::size_t>(parallelism);
    std::vector<Node> last, present;
    for (std::size_t i = 0; i < updated.size(); ++i) {
      if (i % batch == 0) last = std::exchange(present, {});
      const auto [first, final] = emit_update(*updated[i], replicas.size());
      if (!last.empty()) graph_.op(first).delay = config.delay;
      for (const Node node : last) graph_.after(first, node, false);
      present.insert(present.end(), final.begin(), final.end());
    }
  }

  // The operations around those of emit_creation and emit_running; the first and the last of them.
  std::pair<Node, std::vector<Node>> emit_update(const Replica& replica, std::size_t replicas) {
    const model::Service& service = *replica.service;
    Nodes& nodes = nodes_[&replica];
    const bool first = starts_first(replica);
    const Node healthy = gates_.ready(member(replica), model::Condition::healthy, "rolling update");
    Op monitor = container_op(OpKind::monitor_container, replica, "rolling update");
    monitor.name = container_name(project_, service, replica.number);
    monitor.container_id.clear();
    const Duration least = has_health_check(service) ? Duration{} : kMonitor;
    monitor.duration = replica.update->monitor > Duration{} ? replica.update->monitor : least;
    Op drain = container_op(OpKind::drain_container, replica, "rolling update");
    drain.container_id = replica.old->id;
    drain.duration = service.stop_grace_period.value_or(kDrain);
    std::vector<Node> mine{nodes.create, nodes.start, healthy};
    Node begin = nodes.create;
    std::vector<Node> final;
    if (first) {
      Op hand_over = container_op(OpKind::hand_over, replica, "healthy");
      hand_over.name = container_name(project_, service, replica.number);
      hand_over.container_id.clear();
      hand_over.replaces = replica.old->id;
      // It is watched before anybody depends on it: what fails in this time costs no request.
      const Node watched = graph_.add(std::move(monitor));
      graph_.after(watched, healthy);
      const Node handed = graph_.add(std::move(hand_over));
      graph_.after(handed, watched);
      const Node drained = graph_.add(std::move(drain));
      graph_.after(drained, handed);
      nodes.stop = graph_.add(container_op(OpKind::stop_container, replica, "replaced"));
      graph_.after(nodes.stop, drained);
      Op remove = container_op(OpKind::remove_container, replica, "replaced");
      remove.remove_volumes = options_.renew_anon_volumes;
      nodes.remove = graph_.add(std::move(remove));
      graph_.after(nodes.remove, nodes.stop);
      mine.insert(mine.end(), {handed, drained, nodes.stop, nodes.remove, watched});
      final = {nodes.remove};
    } else {
      begin = nodes.stop;
      // With nobody to take over, time for the connections that stand would be time without the service.
      if (replicas > 1) {
        const Node drained = graph_.add(std::move(drain));
        graph_.move_edges(nodes.stop, drained);
        graph_.after(nodes.stop, drained);
        mine.push_back(drained);
        begin = drained;
      }
      const Node watched = graph_.add(std::move(monitor));
      graph_.after(watched, healthy);
      mine.insert(mine.end(), {nodes.stop, nodes.remove, watched});
      final = {watched};
    }
    for (const Node node : mine) {
      if (node != Graph::kNone) graph_.op(node).rollout = service.name;
    }
    return {begin, final};
  }

  // What must be down before something it depends on goes down.
  void emit_early_stop(const Replica& replica) {
    const Node stop = nodes_[&replica].stop;
    if (!replica.stop_early || stop == Graph::kNone) return;
    for (const auto& [dependency, how] : replica.service->depends_on) {
      for (const auto& other : replicas_of(dependency)) graph_.after(nodes_[&other].stop, stop);
    }
  }

  void emit_surplus() {
    for (const auto& [container, cause] : decisions_.surplus) {
      const Node remove = emit_removal(*container, cause);
      surplus_nodes_[container] = remove;
      for (const auto& replica : replicas_of(container->service)) {
        if (replica.number != container->number) continue;
        // It may hold the name or the address of the one that is made, and the ports of the one that is started.
        graph_.after(nodes_[&replica].create, remove);
        graph_.after(nodes_[&replica].start, remove);
      }
    }
  }

  // A network is made anew once everybody has left it.
  void emit_network_replacement() {
    for (const auto& [key, state] : decisions_.networks) {
      if (!state.replace) continue;
      Op op;
      op.kind = OpKind::remove_network;
      op.name = state.network->name;
      op.key = key;
      op.cause = "config changed";
      const Node remove = graph_.add(std::move(op));
      graph_.after(network_nodes_[key], remove);
      for (const auto& [container, removal] : surplus_nodes_) {
        if (is_on(*container, *state.network)) graph_.after(remove, removal);
      }
      for (const auto& [replica, nodes] : nodes_) {
        if (replica->old != nullptr && is_on(*replica->old, *state.network)) graph_.after(remove, nodes.remove);
      }
    }
  }

  void emit_final_waits() {
    for (const auto& name : decisions_.order) {
      const bool one_shot = is_one_shot(project_, name);
      for (const auto& replica : replicas_of(name)) {
        if (!replica.starts() && replica.old != nullptr && completed(*replica.old)) continue;
        if (replica.service->schedule) continue;
        const auto condition = one_shot ? model::Condition::completed_successfully : model::Condition::healthy;
        gates_.ready(member(replica), condition, "--wait");
      }
    }
  }

  const model::Project& project_;
  const Options& options_;
  const Decisions& decisions_;
  Graph graph_;
  Gates gates_;
  PreStarts pre_starts_;
  std::map<const Replica*, Nodes> nodes_;
  std::map<std::string, RolloutPolicy> rollouts_;
  std::map<const ObservedContainer*, Node> surplus_nodes_;
  std::map<std::string, Node> network_nodes_;  // by key, those that are made
  std::map<std::string, Node> volume_nodes_;
  std::vector<Node> orphan_removals_;
};

}  // namespace

Result<Plan> reconcile(const Desired& desired, const Observed& observed, const Options& options) {
  TRY_ASSIGN(Decisions decisions, decide(desired, observed, options));
  Plan plan = Ordering{desired.project, decisions, options}.run();
  plan.warnings = std::move(decisions.warnings);
  return plan;
}

}  // namespace compose::plan
