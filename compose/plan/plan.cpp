#include "compose/plan/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"

namespace compose::plan {
namespace {

struct Words {
  std::string_view kind;
  std::string_view object;
  std::string_view verb;
};

Words words(OpKind kind) {
  switch (kind) {
    case OpKind::create_network:
      return {"create_network", "network", "create"};
    case OpKind::create_volume:
      return {"create_volume", "volume", "create"};
    case OpKind::create_container:
      return {"create_container", "container", "create"};
    case OpKind::start_container:
      return {"start_container", "container", "start"};
    case OpKind::stop_container:
      return {"stop_container", "container", "stop"};
    case OpKind::kill_container:
      return {"kill_container", "container", "kill"};
    case OpKind::pause_container:
      return {"pause_container", "container", "pause"};
    case OpKind::unpause_container:
      return {"unpause_container", "container", "unpause"};
    case OpKind::remove_container:
      return {"remove_container", "container", "remove"};
    case OpKind::remove_network:
      return {"remove_network", "network", "remove"};
    case OpKind::remove_volume:
      return {"remove_volume", "volume", "remove"};
    case OpKind::wait_healthy:
      return {"wait_healthy", "container", "wait healthy"};
    case OpKind::wait_completed:
      return {"wait_completed", "container", "wait completed"};
    case OpKind::hand_over:
      return {"hand_over", "container", "hand over"};
    case OpKind::drain_container:
      return {"drain_container", "container", "drain"};
    case OpKind::monitor_container:
      return {"monitor_container", "container", "monitor"};
    case OpKind::run_pre_start:
      return {"run_pre_start", "container", "run pre_start"};
  }
  return {};
}

std::string target(const Op& op) {
  const auto object = words(op.kind).object;
  if (op.kind == OpKind::run_pre_start && op.replica == 0) return fmt::format("service:{}", op.service);
  if (!op.service.empty()) return fmt::format("{}:{}:{}", object, op.service, op.replica);
  return fmt::format("{}:{}", object, op.key.empty() ? op.name : op.key);
}

bool is_wait(const Op& op) { return op.kind == OpKind::wait_healthy || op.kind == OpKind::wait_completed; }

}  // namespace

std::string_view to_string(OpKind kind) { return words(kind).kind; }

bool Plan::empty() const { return std::ranges::all_of(ops, is_wait); }

std::string Plan::to_text() const {
  std::string text;
  for (const auto& op : ops) {
    std::vector<std::string> after;
    for (const auto& edge : op.after) after.push_back(fmt::format("{}{}", edge.op, edge.required ? "" : "?"));
    text +=
        fmt::format("[{}] -> #{} {} {} ({})\n", join(after, ","), op.number, target(op), words(op.kind).verb, op.cause);
  }
  return text;
}

std::string Plan::to_json() const {
  using nlohmann::ordered_json;
  ordered_json operations = ordered_json::array();
  for (const auto& op : ops) {
    ordered_json entry = {{"number", op.number}, {"kind", to_string(op.kind)}, {"name", op.name}};
    if (!op.service.empty()) entry["service"] = op.service;
    if (op.replica != 0) entry["replica"] = op.replica;
    if (op.kind == OpKind::run_pre_start) entry["step"] = op.step;
    if (!op.key.empty()) entry["key"] = op.key;
    if (!op.container_id.empty()) entry["id"] = op.container_id;
    entry["cause"] = op.cause;
    entry["after"] = ordered_json::array();
    for (const auto& edge : op.after) entry["after"].push_back({{"number", edge.op}, {"required", edge.required}});
    operations.push_back(std::move(entry));
  }
  return ordered_json{{"operations", std::move(operations)}, {"warnings", warnings}}.dump(2) + "\n";
}

}  // namespace compose::plan
