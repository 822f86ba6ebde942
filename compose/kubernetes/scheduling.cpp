// Where pods run, and how new ones replace old ones.
#include <algorithm>

#include "base/strings.hpp"
#include "compose/kubernetes/context.hpp"

namespace compose::kubernetes {
namespace {

// "node.labels.zone == east" and "node.hostname != a", as swarm writes them.
struct Constraint {
  std::string key;
  bool equal = true;
  std::string value;
};

std::string node_key(std::string_view name) {
  if (name.starts_with("node.labels.")) return std::string{name.substr(12)};
  if (name.starts_with("engine.labels.")) return std::string{name.substr(14)};
  if (name == "node.hostname") return "kubernetes.io/hostname";
  if (name == "node.platform.os") return "kubernetes.io/os";
  if (name == "node.platform.arch") return "kubernetes.io/arch";
  return {};
}

std::optional<Constraint> parse_constraint(const std::string& text) {
  for (const std::string_view sign : {"==", "!="}) {
    const std::size_t at = text.find(sign);
    if (at == std::string::npos) continue;
    const std::string name{trim(std::string_view{text}.substr(0, at))};
    const std::string value{trim(std::string_view{text}.substr(at + 2))};
    const std::string key = node_key(name);
    if (key.empty() || !valid_label(key, value)) return std::nullopt;
    return Constraint{key, sign == "==", value};
  }
  return std::nullopt;
}

// "linux/arm64/v8" → the labels every node has.
void put_platform(Context& context, const std::string& path, const std::string& platform, Value& chosen) {
  const Strings parts = split(platform, '/');
  if (!parts.empty() && !parts[0].empty()) put(chosen, "kubernetes.io/os", text(parts[0], context.at(path)));
  if (parts.size() > 1) put(chosen, "kubernetes.io/arch", text(parts[1], context.at(path)));
  if (parts.size() > 2) context.report.approximated(path, "the variant of the architecture is not told apart");
}

Value same_pods(const Context& context, const Workload& workload) {
  return object({{"labelSelector", object({{"matchLabels", selector(context, workload)}})},
                 {"topologyKey", text("kubernetes.io/hostname")}});
}

// Pods that share a volume which one node at a time can mount stay on one node.
Value together(Context& context, const Workload& workload) {
  Value terms = Value::sequence();
  if (context.options.shared_volumes != SharedVolumes::same_node) return terms;
  for (const auto& [volume, users] : context.users)
    if (users.contains(workload.leader) && users.size() > 1)
      append(terms,
             object({{"labelSelector", object({{"matchLabels", object({{volume_label(volume), text("true")}})}})},
                     {"topologyKey", text("kubernetes.io/hostname")}}));
  return terms;
}

std::string fixed_host_port(const Context& context, const Workload& workload) {
  for (const std::string& member : workload.members)
    for (const model::Port& port : context.service(member).ports)
      if (port.mode == "host" && !port.published.empty() && port.published != "0") return port.published;
  return {};
}

void note_update(Context& context, const std::string& path, const std::string& why) {
  context.report.approximated(path + ".parallelism", why);
  context.report.approximated(path + ".order", why);
}

}  // namespace

void put_scheduling(Context& context, const Workload& workload, Value& pod) {
  const model::Service& service = context.service(workload.leader);
  const std::string path = "services." + workload.leader;
  Value chosen = Value::mapping();
  Value affinity = Value::mapping();
  if (!service.platform.empty()) put_platform(context, path + ".platform", service.platform, chosen);
  put(affinity, "podAffinity",
      object({{"requiredDuringSchedulingIgnoredDuringExecution", together(context, workload)}}));
  if (service.deploy && service.deploy->placement) {
    const model::Placement& placement = *service.deploy->placement;
    const std::string at = path + ".deploy.placement";
    Value expressions = Value::sequence();
    for (std::size_t i = 0; i < placement.constraints.size(); ++i) {
      const std::string& line = placement.constraints[i];
      const auto constraint = parse_constraint(line);
      const Place place = context.at(fmt::format("{}.constraints[{}]", at, i));
      if (!constraint) {
        context.report.dropped(
            at + ".constraints",
            fmt::format("\"{}\": only labels, hostname and platform of nodes have a counterpart", line));
      } else if (constraint->equal && chosen.get(constraint->key) == nullptr) {
        put(chosen, constraint->key, text(constraint->value, place));
      } else {
        append(expressions, object({{"key", text(constraint->key, place)},
                                    {"operator", text(constraint->equal ? "In" : "NotIn")},
                                    {"values", texts({constraint->value})}}));
      }
    }
    if (!expressions.items().empty())
      put(affinity, "nodeAffinity",
          object({{"requiredDuringSchedulingIgnoredDuringExecution",
                   object({{"nodeSelectorTerms", list({object({{"matchExpressions", std::move(expressions)}})})}})}}));
    Value spread = Value::sequence();
    for (std::size_t i = 0; i < placement.preferences.size(); ++i) {
      const std::string key = node_key(placement.preferences[i]);
      const std::string where = fmt::format("{}.preferences[{}].spread", at, i);
      if (key.empty()) {
        context.report.dropped(where, "only labels and hostname of nodes have a counterpart");
        continue;
      }
      append(spread, object({{"maxSkew", number(1)},
                             {"topologyKey", text(key, context.at(where))},
                             {"whenUnsatisfiable", text("ScheduleAnyway")},
                             {"labelSelector", object({{"matchLabels", selector(context, workload)}})}}));
    }
    put(pod, "topologySpreadConstraints", std::move(spread));
    if (placement.max_replicas_per_node == std::uint64_t{1}) {
      put(affinity, "podAntiAffinity",
          object({{"requiredDuringSchedulingIgnoredDuringExecution",
                   list({same_pods(context, workload)}, context.at(at + ".max_replicas_per_node"))}}));
    } else if (placement.max_replicas_per_node) {
      context.report.dropped(at + ".max_replicas_per_node",
                             "only 1 has a counterpart: spread the pods with placement.preferences");
    }
  }
  put(pod, "nodeSelector", std::move(chosen));
  put(pod, "affinity", std::move(affinity));
}

Value rollout(Context& context, const Workload& workload, Value& spec) {
  const model::Service& service = context.service(workload.leader);
  const std::string path = "services." + workload.leader + ".deploy.update_config";
  const model::UpdateConfig* update =
      service.deploy && service.deploy->update_config ? &*service.deploy->update_config : nullptr;
  const std::string key = workload.kind == Kind::deployment ? "strategy" : "updateStrategy";
  std::string why;
  if (workload.kind == Kind::deployment &&
      (keeps_one_pod(context, workload, why) || !fixed_host_port(context, workload).empty())) {
    if (why.empty())
      why = fmt::format("port {} of the node is free for one pod at a time", fixed_host_port(context, workload));
    put(spec, key, object({{"type", text("Recreate")}}));
    if (update != nullptr) note_update(context, path, "Recreate: " + why);
    return {};
  }
  if (update == nullptr) return {};
  if (update->delay > Duration::zero())
    put(spec, "minReadySeconds", number(seconds(update->delay), context.at(path + ".delay")));
  if (update->monitor > Duration::zero() && workload.kind == Kind::deployment) {
    // The deadline must be later than minReadySeconds (apps/v1 validation).
    const std::int64_t deadline =
        std::max(seconds(update->monitor), update->delay > Duration::zero() ? seconds(update->delay) + 1 : 1);
    put(spec, "progressDeadlineSeconds", number(deadline, context.at(path + ".monitor")));
  } else if (update->monitor > Duration::zero()) {
    context.report.dropped(path + ".monitor", fmt::format("a {} has no deadline", kind_name(workload.kind)));
  }
  if (workload.kind == Kind::stateful_set) {
    note_update(context, path, "a StatefulSet replaces one pod after the other");
    return {};
  }
  const auto parallelism = static_cast<std::int64_t>(update->parallelism.value_or(1));
  const Value step = parallelism == 0 ? text("100%", context.at(path + ".parallelism"))
                                      : number(parallelism, context.at(path + ".parallelism"));
  const bool start_first = update->order == "start-first";
  put(spec, key,
      object({{"type", text("RollingUpdate")},
              {"rollingUpdate", object({{"maxSurge", start_first ? step : number(0)},
                                        {"maxUnavailable", start_first ? number(0) : step}},
                                       context.at(path + ".order"))}}));
  return {};
}

}  // namespace compose::kubernetes
