// The plans for what exists: they need no project, the observed containers carry their dependencies.
#include <algorithm>
#include <set>

#include "compose/plan/graph.hpp"
#include "compose/plan/reconcile.hpp"

namespace compose::plan {
namespace {

using Node = Graph::Node;
using Containers = std::vector<const ObservedContainer*>;

ServiceGraph service_graph(const Observed& observed) {
  ServiceGraph graph;
  for (const auto& container : observed.containers) {
    auto& edges = graph[container.service];
    const auto add = [&](const std::string& service) {
      if (std::ranges::find(edges, service) == edges.end()) edges.push_back(service);
    };
    for (const auto& [service, how] : container.depends_on) add(service);
    for (const auto& service : container.shares_with) add(service);
  }
  return graph;
}

// Grouped by service, dependencies first, then by number.
Containers in_order(const ServiceGraph& graph, Containers containers) {
  std::vector<std::string> services;
  for (const auto* container : containers) services.push_back(container->service);
  const auto order = dependencies_first(graph, services);
  const auto rank = [&](const ObservedContainer* container) {
    return std::pair{std::ranges::find(order, container->service) - order.begin(), container->number};
  };
  std::ranges::stable_sort(containers, {}, rank);
  return containers;
}

bool chosen(const std::vector<std::string>& services, const ObservedContainer& container) {
  return services.empty() || std::ranges::find(services, container.service) != services.end();
}

template <typename Predicate>
Containers pick(const Observed& observed, Predicate predicate) {
  Containers result;
  for (const auto& container : observed.containers) {
    if (predicate(container)) result.push_back(&container);
  }
  return result;
}

Op container_op(OpKind kind, const ObservedContainer& container, std::string cause) {
  Op op;
  op.kind = kind;
  op.name = container.name;
  op.service = container.service;
  op.replica = container.number;
  op.container_id = container.id;
  op.cause = std::move(cause);
  return op;
}

using Nodes = std::map<const ObservedContainer*, Node>;

// Stops `containers`, those that depend on others first.
Nodes add_stops(Graph& graph, const ServiceGraph& services, const Containers& containers, const std::string& cause,
                std::optional<std::chrono::seconds> timeout) {
  Nodes stops;
  std::map<std::string, std::vector<Node>> by_service;
  for (auto it = containers.rbegin(); it != containers.rend(); ++it) {
    if (!is_up(**it)) continue;
    Op op = container_op(OpKind::stop_container, **it, cause);
    op.timeout = timeout;
    stops[*it] = graph.add(std::move(op));
    by_service[(*it)->service].push_back(stops[*it]);
  }
  const auto stopped = [&](const std::string& service) { return by_service.contains(service); };
  for (const auto& [service, nodes] : by_service) {
    for (const auto& dependency : nearest_dependencies(services, service, stopped)) {
      for (const Node later : by_service.at(dependency)) {
        for (const Node earlier : nodes) graph.after(later, earlier);
      }
    }
  }
  return stops;
}

// Starts `containers` (in the order of dependencies) when the conditions of what they depend on hold; `others` are
// those that are left as they are but may be waited for.
void add_starts(Graph& graph, const Containers& containers, const Containers& others, const Nodes& stops,
                const std::function<std::string(const ObservedContainer&)>& cause, const Selection& selection) {
  std::set<std::string> waited_for;  // services whose end somebody waits for
  for (const auto& group : {containers, others}) {
    for (const auto* container : group) {
      for (const auto& [dependency, how] : container->depends_on) {
        if (how.condition == model::Condition::completed_successfully) waited_for.insert(dependency);
      }
    }
  }
  Gates gates{graph};
  PreStarts pre_starts{graph, selection.project};
  std::map<std::string, std::vector<Member>> members;
  for (const auto* other : others) {
    members[other->service].push_back({other->name, other->service, other->number, other, Graph::kNone});
  }
  for (const auto* container : containers) {
    std::vector<std::pair<Node, bool>> conditions;
    for (const auto& [dependency, how] : container->depends_on) {
      for (const auto& member : members[dependency]) {
        conditions.emplace_back(gates.ready(member, how.condition, "needed by " + container->service), how.required);
      }
    }
    const auto kind = container->state == State::paused && !stops.contains(container) ? OpKind::unpause_container
                                                                                      : OpKind::start_container;
    if (kind == OpKind::start_container) {
      const auto ready = conditions;
      conditions.emplace_back(pre_starts.before(container->service, container->number, container->pre_start, ready),
                              true);
    }
    const Node start = graph.add(container_op(kind, *container, cause(*container)));
    if (const auto stop = stops.find(container); stop != stops.end()) graph.after(start, stop->second);
    for (const auto& [node, required] : conditions) graph.after(start, node, required);
    members[container->service].push_back({container->name, container->service, container->number, container, start});
  }
  if (!selection.wait) return;
  for (const auto& [service, list] : members) {
    const bool wanted =
        selection.services.empty() || std::ranges::find(selection.services, service) != selection.services.end();
    for (const auto& member : list) {
      const bool one_shot = waited_for.contains(service);
      if (!wanted && member.start == Graph::kNone) continue;
      if (member.observed != nullptr && member.start == Graph::kNone && completed(*member.observed)) continue;
      gates.ready(member, one_shot ? model::Condition::completed_successfully : model::Condition::healthy, "--wait");
    }
  }
}

bool waited_for_completion(const Observed& observed, const std::string& service) {
  return std::ranges::any_of(observed.containers, [&](const auto& container) {
    const auto found = container.depends_on.find(service);
    return found != container.depends_on.end() && found->second.condition == model::Condition::completed_successfully;
  });
}

// A one-shot that has done its work is only run again when it is named.
bool stays_completed(const Observed& observed, const ObservedContainer& container, const Selection& selection) {
  return completed(container) && waited_for_completion(observed, container.service) &&
         (selection.restore || selection.services.empty() || !chosen(selection.services, container));
}

Plan simple_plan(const Containers& containers, OpKind kind, const std::string& cause, const std::string& signal = {}) {
  Graph graph;
  for (const auto* container : containers) {
    Op op = container_op(kind, *container, cause);
    op.signal = signal;
    graph.add(std::move(op));
  }
  return std::move(graph).finish();
}

Nodes add_removals(Graph& graph, const Containers& containers, const Nodes& stops, const std::string& cause,
                   bool volumes) {
  Nodes removals;
  for (auto it = containers.rbegin(); it != containers.rend(); ++it) {
    Op op = container_op(OpKind::remove_container, **it, cause);
    op.remove_volumes = volumes;
    const Node node = graph.add(std::move(op));
    if (const auto stop = stops.find(*it); stop != stops.end()) graph.after(node, stop->second);
    removals[*it] = node;
  }
  return removals;
}

// The project's own networks and volumes, when the whole project goes down.
void add_material_removals(Graph& graph, const Observed& observed, const Nodes& removals, const DownOptions& options,
                           std::vector<std::string>& warnings) {
  for (const auto& network : observed.networks) {
    if (!network.owned) continue;
    const auto uses = [&](const ObservedContainer& container) {
      return std::ranges::find(container.networks, network.name) != container.networks.end();
    };
    const auto user = std::ranges::find_if(
        observed.containers, [&](const auto& container) { return uses(container) && !removals.contains(&container); });
    if (user != observed.containers.end()) {
      warnings.push_back(fmt::format("network \"{}\" is still used by \"{}\" and stays", network.name, user->name));
      continue;
    }
    Op op;
    op.kind = OpKind::remove_network;
    op.name = network.name;
    op.key = network.key;
    op.cause = "down";
    const Node node = graph.add(std::move(op));
    for (const auto& [container, removal] : removals) {
      if (uses(*container)) graph.after(node, removal);
    }
  }
  if (!options.volumes) return;
  std::set<std::string> attached;  // anonymous volumes that go with their containers
  for (const auto& container : observed.containers) {
    for (const auto& [target, name] : container.anonymous_volumes) attached.insert(name);
  }
  for (const auto& volume : observed.volumes) {
    // An earlier `down` has left those whose containers are gone.
    if (!volume.owned || (volume.anonymous && attached.contains(volume.name))) continue;
    Op op;
    op.kind = OpKind::remove_volume;
    op.name = volume.name;
    op.key = volume.key;
    op.cause = "down --volumes";
    const Node node = graph.add(std::move(op));
    for (const auto& [container, removal] : removals) graph.after(node, removal);
  }
}

}  // namespace

Plan plan_down(const model::Project* project, const Observed& observed, const DownOptions& options) {
  const ServiceGraph services = service_graph(observed);
  std::vector<std::string> warnings;
  const Containers containers = in_order(services, pick(observed, [&](const ObservedContainer& container) {
                                           if (!chosen(options.services, container)) return false;
                                           if (project == nullptr || options.remove_orphans || container.one_off)
                                             return true;
                                           return project->services.contains(container.service) ||
                                                  project->disabled_services.contains(container.service);
                                         }));
  Graph graph;
  const Nodes stops = add_stops(graph, services, containers, "down", options.timeout);
  const Nodes removals = add_removals(graph, containers, stops, "down", options.volumes);
  if (options.services.empty()) add_material_removals(graph, observed, removals, options, warnings);
  Plan plan = std::move(graph).finish();
  plan.warnings = std::move(warnings);
  return plan;
}

Plan plan_start(const Observed& observed, const Selection& selection) {
  const ServiceGraph services = service_graph(observed);
  std::vector<std::string> wanted = selection.services;
  if (!wanted.empty() && !selection.no_deps) wanted = closure(services, wanted);
  const auto startable = [&](const ObservedContainer& container) {
    const bool down =
        container.state == State::created || container.state == State::exited || container.state == State::paused;
    const bool due = !container.scheduled || (!selection.services.empty() && chosen(selection.services, container));
    return down && due && !container.one_off && chosen(wanted, container) &&
           !stays_completed(observed, container, selection);
  };
  const Containers containers = in_order(services, pick(observed, startable));
  const Containers others = pick(observed, [&](const ObservedContainer& container) {
    return !container.one_off && !selection.no_deps && !startable(container);
  });
  Graph graph;
  add_starts(
      graph, containers, others, {},
      [](const ObservedContainer& container) -> std::string {
        if (container.state == State::paused) return "paused";
        return container.state == State::created ? "created" : fmt::format("exited with code {}", container.exit_code);
      },
      selection);
  return std::move(graph).finish();
}

Plan plan_stop(const Observed& observed, const Selection& selection) {
  const ServiceGraph services = service_graph(observed);
  Graph graph;
  add_stops(graph, services,
            in_order(services, pick(observed,
                                    [&](const ObservedContainer& container) {
                                      return !container.one_off && chosen(selection.services, container);
                                    })),
            "stop", selection.timeout);
  return std::move(graph).finish();
}

Plan plan_restart(const Observed& observed, const Selection& selection) {
  const ServiceGraph services = service_graph(observed);
  std::set<std::string> wanted{selection.services.begin(), selection.services.end()};
  if (wanted.empty()) {
    for (const auto& container : observed.containers) wanted.insert(container.service);
  }
  // Dependents that ask for it, theirs in turn; and those that live in the namespaces of what is restarted.
  for (bool grown = true; grown;) {
    grown = false;
    for (const auto& container : observed.containers) {
      if (!is_up(container)) continue;
      const bool asks = !selection.no_deps && std::ranges::any_of(container.depends_on, [&](const auto& entry) {
        return entry.second.restart && wanted.contains(entry.first);
      });
      const bool shares = std::ranges::any_of(container.shares_with, [&](const auto& s) { return wanted.contains(s); });
      if (asks || shares) grown = wanted.insert(container.service).second || grown;
    }
  }
  const Containers containers =
      in_order(services, pick(observed, [&](const ObservedContainer& container) {
                 return !container.one_off && wanted.contains(container.service) &&
                        container.state != State::creating && (!container.scheduled || is_up(container)) &&
                        container.state != State::removing && !stays_completed(observed, container, selection);
               }));
  Graph graph;
  const Nodes stops = add_stops(graph, services, containers, "restart", selection.timeout);
  const Containers none;
  add_starts(
      graph, containers, none, stops, [](const ObservedContainer&) -> std::string { return "restart"; }, selection);
  return std::move(graph).finish();
}

Plan plan_kill(const Observed& observed, const Selection& selection, const std::string& signal) {
  return simple_plan(pick(observed,
                          [&](const ObservedContainer& container) {
                            return is_up(container) && chosen(selection.services, container);
                          }),
                     OpKind::kill_container, "kill", signal);
}

Plan plan_pause(const Observed& observed, const Selection& selection) {
  return simple_plan(pick(observed,
                          [&](const ObservedContainer& container) {
                            return container.state == State::running && !container.one_off &&
                                   chosen(selection.services, container);
                          }),
                     OpKind::pause_container, "pause");
}

Plan plan_unpause(const Observed& observed, const Selection& selection) {
  return simple_plan(pick(observed,
                          [&](const ObservedContainer& container) {
                            return container.state == State::paused && !container.one_off &&
                                   chosen(selection.services, container);
                          }),
                     OpKind::unpause_container, "unpause");
}

Plan plan_rm(const Observed& observed, const RmOptions& options) {
  const ServiceGraph services = service_graph(observed);
  const Containers containers = in_order(services, pick(observed, [&](const ObservedContainer& container) {
                                           return !container.one_off && chosen(options.services, container) &&
                                                  (options.stop || !is_up(container));
                                         }));
  Graph graph;
  const Nodes stops = add_stops(graph, services, containers, "rm", options.timeout);
  add_removals(graph, containers, stops, "rm", options.volumes);
  return std::move(graph).finish();
}

}  // namespace compose::plan
