#pragma once
// Puts operations and their order together; used by the planners only.
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "compose/plan/plan.hpp"

namespace compose::plan {

class Graph {
 public:
  using Node = int;
  static constexpr Node kNone = -1;

  Node add(Op op);
  /// `later` waits for `earlier`; kNone on either side is no edge. A required edge wins over one that is not.
  void after(Node later, Node earlier, bool required = true);
  /// What `from` waits for, `to` waits for from now on.
  void move_edges(Node from, Node to);
  Op& op(Node node) { return nodes_.at(static_cast<std::size_t>(node)).op; }

  /// Numbers the operations in an order that obeys every edge, the earlier added first. (Dependency cycles are refused
  /// by the loader; should one come through, the edge that closes it is dropped.)
  Plan finish() &&;

 private:
  struct Entry {
    Op op;
    std::map<Node, bool> after;
  };
  std::vector<Entry> nodes_;
};

/// A container that is to be there, for those who wait for it.
struct Member {
  std::string name;
  std::string service;
  int number = 1;
  const ObservedContainer* observed = nullptr;  ///< null: made by this plan
  Graph::Node start = Graph::kNone;             ///< the operation that starts it; kNone: it is left as it is
};

/// Makes the wait operations for depends_on, one for each container and condition.
class Gates {
 public:
  explicit Gates(Graph& graph) : graph_{graph} {}

  /// What must have ended before the condition holds for `member`; kNone when it holds already. `reason` becomes
  /// part of the wait operation's cause ("needed by web").
  Graph::Node ready(const Member& member, model::Condition condition, const std::string& reason);

 private:
  using Key = std::pair<std::string, OpKind>;
  Graph::Node wait(const Member& member, OpKind kind, const std::string& reason);

  Graph& graph_;
  std::map<Key, Graph::Node> waits_;
  std::map<Key, std::vector<std::string>> reasons_;
};

/// Makes the run_pre_start operations of services, in declared order: once for each service, or for each of its
/// containers that is started (per_replica).
class PreStarts {
 public:
  PreStarts(Graph& graph, std::string project) : graph_{graph}, project_{std::move(project)} {}

  /// The last of them for one container; kNone without any. `ready` must have ended before the first.
  Graph::Node before(const std::string& service, int number, const std::vector<bool>& per_replica,
                     const std::vector<std::pair<Graph::Node, bool>>& ready);

 private:
  Graph::Node add(const std::string& service, int number, int step);

  Graph& graph_;
  std::string project_;
  std::map<std::pair<std::string, int>, Graph::Node> common_;  // service and step
};

/// Whether it ran to its end by itself with exit code 0.
bool completed(const ObservedContainer& container);
/// running, paused or about to be restarted: it must be stopped before it can be removed.
bool is_up(const ObservedContainer& container);

/// Edges of a service graph: service -> services it depends on.
using ServiceGraph = std::map<std::string, std::vector<std::string>>;

/// All services reachable from `roots`, the roots included.
std::vector<std::string> closure(const ServiceGraph& graph, const std::vector<std::string>& roots);
/// `services` with each after those it depends on; otherwise in the given order.
std::vector<std::string> dependencies_first(const ServiceGraph& graph, const std::vector<std::string>& services);
/// The services of `among` that `service` depends on, directly or through services outside `among`.
std::vector<std::string> nearest_dependencies(const ServiceGraph& graph, const std::string& service,
                                              const std::function<bool(const std::string&)>& among);

}  // namespace compose::plan
