// Who may speak to whom (NetworkPolicy), how many pods may be away (PodDisruptionBudget), and the right to look at
// Jobs.
#include <algorithm>

#include "base/strings.hpp"
#include "compose/kubernetes/context.hpp"

namespace compose::kubernetes {
namespace {

Value members_of(const Context& context, const std::string& network) {
  return object({{"matchLabels", object({{network_label(network), text("true")},
                                         {kPartOfLabel, text(dns_label(context.project.name))}})}});
}

// To the cluster's resolver, wherever it runs.
Value dns_rule() {
  return object({{"ports", list({object({{"port", number(53)}, {"protocol", text("UDP")}}),
                                 object({{"port", number(53)}, {"protocol", text("TCP")}})})},
                 {"to", list({object({{"namespaceSelector", empty_mapping()}})})}});
}

Value namespace_peer() {
  Value peer = Value::mapping();
  put_always(peer, "namespaceSelector", empty_mapping());
  return peer;
}

void export_network(Context& context, const std::string& name, const model::Network& network) {
  const std::string path = "networks." + name;
  const Place place = context.at(path);
  const Value members = members_of(context, name);
  Value egress = Value::sequence();
  if (network.internal) {
    append(egress, object({{"to", list({object({{"podSelector", members}})})}}));
    Value dns = dns_rule();
    put_always(dns, "to", list({namespace_peer()}));
    append(egress, std::move(dns));
  } else {
    append(egress, empty_mapping());
  }
  Value metadata = context.metadata(dns_label("network-" + name), "", place);
  put(metadata, "annotations", object({{fmt::format("{}network", kPrefix), text(name)}}));
  put_labels(metadata, network.labels, context, path + ".labels");
  egress.place = context.at(path + ".internal");
  Value spec = object({{"podSelector", members},
                       {"policyTypes", texts({"Ingress", "Egress"})},
                       {"ingress", list({object({{"from", list({object({{"podSelector", members}})})}})})},
                       {"egress", std::move(egress)}});
  context.add("networks", "networking.k8s.io/v1", "NetworkPolicy", std::move(metadata),
              object({{"spec", std::move(spec)}}), place);
}

void export_networks(Context& context) {
  std::set<std::string> used;
  for (const auto& [name, unused] : context.leader_of)
    for (const auto& [network, place] : context.service(name).networks) used.insert(network);
  for (const auto& [name, network] : context.project.networks) {
    context.note_name("networks", name, network.name, false);
    if (used.contains(name)) export_network(context, name, network);
  }
}

// What is published may be reached from everywhere.
void open_published(Context& context, const Workload& workload) {
  Value ports = Value::sequence();
  std::set<std::pair<std::uint16_t, std::string>> seen;
  const bool ingress = !instruction(context.service(workload.leader).labels, "ingress.host").empty();
  for (const std::string& member : workload.members) {
    const model::Service& service = context.service(member);
    for (std::size_t i = 0; i < service.ports.size(); ++i) {
      const model::Port& port = service.ports[i];
      std::string protocol = port.protocol.empty() ? "tcp" : port.protocol;
      for (char& c : protocol) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      if (!seen.emplace(port.target, protocol).second) continue;
      append(ports, object({{"port", number(port.target, context.at(fmt::format("services.{}.ports[{}]", member, i)))},
                            {"protocol", text(protocol)}}));
    }
  }
  if (ports.items().empty() && ingress)
    for (const PodPort& port : workload.ports)
      if (port.protocol == "TCP") append(ports, object({{"port", number(port.number)}, {"protocol", text("TCP")}}));
  if (ports.items().empty()) return;
  Value spec = object({{"podSelector", object({{"matchLabels", selector(context, workload)}})},
                       {"policyTypes", texts({"Ingress"})},
                       {"ingress", list({object({{"ports", std::move(ports)}})})}});
  context.add(workload.name, "networking.k8s.io/v1", "NetworkPolicy",
              context.metadata(dns_label(workload.name + "-published"), workload.name),
              object({{"spec", std::move(spec)}}));
}

// network_mode: none.
void cut_off(Context& context, const Workload& workload) {
  const std::string path = "services." + workload.leader + ".network_mode";
  Value spec = object({{"podSelector", object({{"matchLabels", selector(context, workload)}})},
                       {"policyTypes", texts({"Ingress", "Egress"}, context.at(path))}});
  context.add(workload.name, "networking.k8s.io/v1", "NetworkPolicy",
              context.metadata(dns_label(workload.name + "-no-network"), workload.name),
              object({{"spec", std::move(spec)}}), context.at(path));
}

void export_budget(Context& context, const Workload& workload) {
  const bool many = context.service(workload.leader).replicas() > 1;
  if (!many || (workload.kind != Kind::deployment && workload.kind != Kind::stateful_set)) return;
  Value spec =
      object({{"maxUnavailable", number(1)}, {"selector", object({{"matchLabels", selector(context, workload)}})}});
  context.add(workload.name, "policy/v1", "PodDisruptionBudget", context.metadata(workload.name, workload.name),
              object({{"spec", std::move(spec)}}));
}

// The right to see whether a Job has completed, and the way to the API server where a network is internal.
void allow_waiting(Context& context, const Workload& workload) {
  if (!context.job_waiters.contains(workload.name)) return;
  const std::string& name = workload.name;
  context.add(name, "v1", "ServiceAccount", context.metadata(name, name), Value::mapping());
  Value rules = list({object(
      {{"apiGroups", texts({"batch"})}, {"resources", texts({"jobs"})}, {"verbs", texts({"get", "list", "watch"})}})});
  context.add(name, "rbac.authorization.k8s.io/v1", "Role", context.metadata(name, name),
              object({{"rules", std::move(rules)}}));
  context.add(
      name, "rbac.authorization.k8s.io/v1", "RoleBinding", context.metadata(name, name),
      object({{"roleRef",
               object({{"apiGroup", text("rbac.authorization.k8s.io")}, {"kind", text("Role")}, {"name", text(name)}})},
              {"subjects", list({object({{"kind", text("ServiceAccount")}, {"name", text(name)}})})}}));
  Value egress = object({{"ports", list({object({{"port", number(443)}, {"protocol", text("TCP")}}),
                                         object({{"port", number(6443)}, {"protocol", text("TCP")}})})}});
  Value spec = object({{"podSelector", object({{"matchLabels", selector(context, workload)}})},
                       {"policyTypes", texts({"Egress"})},
                       {"egress", list({std::move(egress)})}});
  bool internal = false;
  for (const std::string& member : workload.members)
    for (const auto& [network, unused] : context.service(member).networks) {
      const auto known = context.project.networks.find(network);
      internal = internal || (known != context.project.networks.end() && known->second.internal);
    }
  if (internal)
    context.add(name, "networking.k8s.io/v1", "NetworkPolicy", context.metadata(dns_label(name + "-waits"), name),
                object({{"spec", std::move(spec)}}));
}

}  // namespace

void export_policies(Context& context) {
  export_networks(context);
  for (const auto& [leader, workload] : context.workloads) {
    open_published(context, workload);
    if (context.service(leader).network_mode == "none") cut_off(context, workload);
    export_budget(context, workload);
    allow_waiting(context, workload);
  }
}

}  // namespace compose::kubernetes
