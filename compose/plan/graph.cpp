#include "compose/plan/graph.hpp"

#include <algorithm>
#include <set>

#include "base/strings.hpp"

namespace compose::plan {

Graph::Node Graph::add(Op op) {
  nodes_.push_back({std::move(op), {}});
  return static_cast<Node>(nodes_.size()) - 1;
}

void Graph::after(Node later, Node earlier, bool required) {
  if (later == kNone || earlier == kNone || later == earlier) return;
  bool& edge = nodes_.at(static_cast<std::size_t>(later)).after[earlier];
  edge = edge || required;
}

void Graph::move_edges(Node from, Node to) {
  auto& edges = nodes_.at(static_cast<std::size_t>(from)).after;
  for (const auto& [earlier, required] : std::exchange(edges, {})) after(to, earlier, required);
}

namespace {

// A set of operation numbers.
class Numbers {
 public:
  explicit Numbers(std::size_t count) : words_(count / 64 + 1) {}
  bool contains(int number) const { return (words_[word(number)] >> bit(number) & 1U) != 0; }
  void insert(int number) { words_[word(number)] |= std::uint64_t{1} << bit(number); }
  void insert_all(const Numbers& other) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
  }

 private:
  static std::size_t word(int number) { return static_cast<std::size_t>(number) / 64; }
  static unsigned bit(int number) { return static_cast<unsigned>(number) % 64; }
  std::vector<std::uint64_t> words_;
};

// Drops every edge that others imply: `1` in "[1,2]" when #2 itself comes after #1.
void reduce(Plan& plan) {
  const std::size_t count = plan.ops.size() + 1;
  std::vector<Numbers> earlier(count, Numbers{count});   // all that an operation comes after, by any edges
  std::vector<Numbers> required(count, Numbers{count});  // by required edges alone
  for (auto& op : plan.ops) {
    const auto own = static_cast<std::size_t>(op.number);
    const std::vector<After> edges = op.after;
    std::erase_if(op.after, [&](const After& edge) {
      return std::ranges::any_of(edges, [&](const After& other) {
        const auto via = static_cast<std::size_t>(other.op);
        return edge.required ? other.required && required[via].contains(edge.op) : earlier[via].contains(edge.op);
      });
    });
    for (const auto& edge : edges) {
      const auto from = static_cast<std::size_t>(edge.op);
      earlier[own].insert(edge.op);
      earlier[own].insert_all(earlier[from]);
      if (!edge.required) continue;
      required[own].insert(edge.op);
      required[own].insert_all(required[from]);
    }
  }
}

}  // namespace

Plan Graph::finish() && {
  std::vector<std::size_t> missing(nodes_.size());
  std::vector<std::vector<std::size_t>> followers(nodes_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    missing[i] = nodes_[i].after.size();
    for (const auto& [earlier, required] : nodes_[i].after) followers[static_cast<std::size_t>(earlier)].push_back(i);
  }
  std::set<std::size_t> ready;
  std::set<std::size_t> blocked;
  for (std::size_t i = 0; i < nodes_.size(); ++i) (missing[i] == 0 ? ready : blocked).insert(i);

  Plan plan;
  std::map<Node, int> numbers;
  while (!ready.empty() || !blocked.empty()) {
    auto& from = ready.empty() ? blocked : ready;
    const std::size_t next = *from.begin();
    from.erase(from.begin());
    Op op = std::move(nodes_[next].op);
    op.number = static_cast<int>(plan.ops.size()) + 1;
    for (const auto& [earlier, required] : nodes_[next].after) {
      if (const auto found = numbers.find(earlier); found != numbers.end())
        op.after.push_back({found->second, required});
    }
    std::ranges::sort(op.after, {}, &After::op);
    numbers[static_cast<Node>(next)] = op.number;
    plan.ops.push_back(std::move(op));
    for (const std::size_t follower : followers[next]) {
      if (--missing[follower] == 0 && blocked.erase(follower) > 0) ready.insert(follower);
    }
  }
  reduce(plan);
  return plan;
}

Graph::Node Gates::ready(const Member& member, model::Condition condition, const std::string& reason) {
  const bool left_alone = member.start == Graph::kNone;
  switch (condition) {
    case model::Condition::started:
      return member.start;
    case model::Condition::healthy:
      if (left_alone && member.observed != nullptr && member.observed->health == Health::healthy) return Graph::kNone;
      return wait(member, OpKind::wait_healthy, reason);
    case model::Condition::completed_successfully:
      if (left_alone && member.observed != nullptr && completed(*member.observed)) return Graph::kNone;
      return wait(member, OpKind::wait_completed, reason);
  }
  return member.start;
}

Graph::Node Gates::wait(const Member& member, OpKind kind, const std::string& reason) {
  const Key key{member.name, kind};
  auto& reasons = reasons_[key];  // "needed by web", "--wait"
  if (std::ranges::find(reasons, reason) == reasons.end()) reasons.push_back(reason);
  const auto [found, is_new] = waits_.try_emplace(key, Graph::kNone);
  if (is_new) {
    Op op;
    op.kind = kind;
    op.name = member.name;
    op.service = member.service;
    op.replica = member.number;
    if (member.observed != nullptr) op.container_id = member.observed->id;
    found->second = graph_.add(std::move(op));
    graph_.after(found->second, member.start);
  }
  graph_.op(found->second).cause = join(reasons, ", ");
  return found->second;
}

Graph::Node PreStarts::add(const std::string& service, int number, int step) {
  Op op;
  op.kind = OpKind::run_pre_start;
  op.name = fmt::format("{}-{}-pre_start-{}", project_, service, step + 1);
  if (number != 0) op.name += fmt::format("-{}", number);
  op.service = service;
  op.replica = number;
  op.step = step;
  op.cause = fmt::format("pre_start[{}]", step);
  return graph_.add(std::move(op));
}

Graph::Node PreStarts::before(const std::string& service, int number, const std::vector<bool>& per_replica,
                              const std::vector<std::pair<Graph::Node, bool>>& ready) {
  Graph::Node last = Graph::kNone;
  for (int step = 0; step < static_cast<int>(per_replica.size()); ++step) {
    Graph::Node node = Graph::kNone;
    if (per_replica[static_cast<std::size_t>(step)]) {
      node = add(service, number, step);
    } else {
      const auto [found, is_new] = common_.try_emplace({service, step}, Graph::kNone);
      if (is_new) found->second = add(service, 0, step);
      node = found->second;
    }
    for (const auto& [earlier, required] : ready) graph_.after(node, earlier, required);
    graph_.after(node, last);
    last = node;
  }
  return last;
}

bool completed(const ObservedContainer& container) {
  return container.state == State::exited && container.started_before && container.exit_code == 0 &&
         !container.stop_requested;
}

bool is_up(const ObservedContainer& container) {
  return container.state == State::running || container.state == State::paused || container.state == State::restarting;
}

namespace {

void visit(const ServiceGraph& graph, const std::string& service, std::set<std::string>& seen,
           std::vector<std::string>& order) {
  if (!seen.insert(service).second) return;
  if (const auto found = graph.find(service); found != graph.end()) {
    for (const auto& dependency : found->second) visit(graph, dependency, seen, order);
  }
  order.push_back(service);
}

}  // namespace

std::vector<std::string> closure(const ServiceGraph& graph, const std::vector<std::string>& roots) {
  std::set<std::string> seen;
  std::vector<std::string> order;
  for (const auto& root : roots) visit(graph, root, seen, order);
  return order;
}

std::vector<std::string> dependencies_first(const ServiceGraph& graph, const std::vector<std::string>& services) {
  std::vector<std::string> order = closure(graph, services);
  const std::set<std::string> wanted{services.begin(), services.end()};
  std::erase_if(order, [&](const std::string& service) { return !wanted.contains(service); });
  return order;
}

std::vector<std::string> nearest_dependencies(const ServiceGraph& graph, const std::string& service,
                                              const std::function<bool(const std::string&)>& among) {
  std::vector<std::string> result;
  std::set<std::string> seen{service};
  std::vector<std::string> open{service};
  while (!open.empty()) {
    const std::string current = open.back();
    open.pop_back();
    const auto found = graph.find(current);
    if (found == graph.end()) continue;
    for (const auto& dependency : found->second) {
      if (!seen.insert(dependency).second) continue;
      (among(dependency) ? result : open).push_back(dependency);
    }
  }
  return result;
}

}  // namespace compose::plan
