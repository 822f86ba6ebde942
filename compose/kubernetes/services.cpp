// Names and ports: one Service for each workload on the ports its containers listen on, another for what is published
// to the outside, one for each further name; Ingress where a label asks for it.
#include <algorithm>

#include "base/strings.hpp"
#include "compose/kubernetes/context.hpp"

namespace compose::kubernetes {
namespace {

constexpr std::uint64_t kMostOfRange = 100;

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// IANA_SVC_NAME: at most 15 of a-z 0-9 "-", with a letter.
bool port_name(const std::string& name) {
  if (name.empty() || name.size() > 15 || name.front() == '-' || name.back() == '-') return false;
  const bool fits = std::all_of(name.begin(), name.end(),
                                [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
  return fits && name.find("--") == std::string::npos &&
         std::any_of(name.begin(), name.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

// Ports without a name are called "tcp-80", so nobody else may be.
bool usable_name(const std::string& name) {
  if (!port_name(name)) return false;
  for (const std::string_view protocol : {"tcp-", "udp-", "sctp-"})
    if (name.starts_with(protocol) && parse_unsigned(name.substr(protocol.size()))) return false;
  return true;
}

std::string standard_name(const PodPort& port) { return fmt::format("{}-{}", to_lower(port.protocol), port.number); }

void add_port(Workload& workload, PodPort port) {
  if (port.number == 0) return;
  port.protocol = port.protocol.empty() ? "TCP" : upper(port.protocol);
  for (PodPort& known : workload.ports)
    if (known.number == port.number && known.protocol == port.protocol) {
      if (known.name.empty()) known.name = port.name;
      if (known.app_protocol.empty()) known.app_protocol = port.app_protocol;
      return;
    }
  workload.ports.push_back(std::move(port));
}

// "80", "80/udp", "8000-8010/tcp"
void add_range(Context& context, Workload& workload, const std::string& line, const std::string& path) {
  const std::size_t slash = line.find('/');
  const std::string protocol = slash == std::string::npos ? "tcp" : line.substr(slash + 1);
  const std::string numbers = line.substr(0, slash);
  const std::size_t dash = numbers.find('-');
  const auto first = parse_unsigned(numbers.substr(0, dash));
  const auto last = dash == std::string::npos ? first : parse_unsigned(numbers.substr(dash + 1));
  if (!first || !last || *last > 65535) return;
  if (*last >= *first + kMostOfRange)
    context.report.approximated(path, fmt::format("the first {} ports of {}; a headless Service (deploy.endpoint_mode: "
                                                  "dnsrr) leads to all",
                                                  kMostOfRange, numbers));
  for (std::uint64_t port = *first; port <= *last && port < *first + kMostOfRange; ++port)
    add_port(workload, {static_cast<std::uint16_t>(port), protocol, "", "", path});
}

/// Ports others name when they speak to `name`: "db:3306", "http://web:8080/".
std::set<std::uint16_t> ports_in_use(const Context& context, const std::string& name) {
  std::set<std::uint16_t> ports;
  const auto search = [&](const std::string& value) {
    for (std::size_t at = value.find(name + ":"); at != std::string::npos; at = value.find(name + ":", at + 1)) {
      if (at > 0 && (std::isalnum(static_cast<unsigned char>(value[at - 1])) != 0 || value[at - 1] == '-' ||
                     value[at - 1] == '.' || value[at - 1] == '_'))
        continue;
      std::size_t end = at + name.size() + 1;
      const std::size_t begin = end;
      while (end < value.size() && std::isdigit(static_cast<unsigned char>(value[end])) != 0) ++end;
      const auto port = parse_unsigned(value.substr(begin, end - begin));
      if (port && *port > 0 && *port < 65536) ports.insert(static_cast<std::uint16_t>(*port));
    }
  };
  for (const auto& [other, service] : context.project.services) {
    if (other == name) continue;
    for (const auto& [key, value] : service.environment)
      if (value) search(*value);
    for (const auto* words : {&service.command, &service.entrypoint})
      if (*words)
        for (const std::string& word : **words) search(word);
  }
  return ports;
}

void collect_ports(Context& context, Workload& workload, const std::string& name) {
  const model::Service& service = context.service(name);
  const std::string path = "services." + name;
  for (std::size_t i = 0; i < service.ports.size(); ++i) {
    const model::Port& port = service.ports[i];
    const std::string at = fmt::format("{}.ports[{}]", path, i);
    std::string called = port.name;
    if (!called.empty() && !usable_name(called)) {
      context.report.dropped(
          at + ".name", "not a port's name there: at most 15 of a-z, 0-9 and \"-\", and not \"tcp-80\" or the like");
      called.clear();
    }
    add_port(workload, {port.target, port.protocol, called, port.app_protocol, at});
  }
  for (const std::string& line : service.expose) add_range(context, workload, line, path + ".expose");
  for (const std::string& line : context.image(name).exposed_ports) add_range(context, workload, line, path + ".image");
}

Value service_ports(Context& context, const std::vector<PodPort>& ports) {
  Value out = Value::sequence();
  std::set<std::string> names;
  for (const PodPort& port : ports) {
    const std::string name = port.name.empty() || !names.insert(port.name).second ? standard_name(port) : port.name;
    Value item = object({{"name", text(name)},
                         {"port", number(port.number, context.at(port.path))},
                         {"targetPort", number(port.number)},
                         {"protocol", text(port.protocol)}});
    if (!port.app_protocol.empty()) put(item, "appProtocol", text(port.app_protocol));
    append(out, std::move(item));
  }
  return out;
}

struct Published {
  std::vector<std::pair<const model::Port*, std::string>> outside;   ///< with their paths
  std::vector<std::pair<const model::Port*, std::string>> loopback;  ///< 127.0.0.1: for this machine only
};

bool is_loopback(const std::string& address) {
  return address.starts_with("127.") || address == "::1" || address == "localhost";
}

Published published_of(Context& context, const Workload& workload) {
  Published out;
  for (const std::string& member : workload.members) {
    const model::Service& service = context.service(member);
    for (std::size_t i = 0; i < service.ports.size(); ++i) {
      const model::Port& port = service.ports[i];
      if (port.mode == "host") continue;
      (is_loopback(port.host_ip) ? out.loopback : out.outside)
          .emplace_back(&port, fmt::format("services.{}.ports[{}]", member, i));
    }
  }
  return out;
}

std::int64_t outside_port(Context& context, const model::Port& port, const std::string& path) {
  const std::string first = port.published.substr(0, port.published.find('-'));
  const auto chosen = parse_unsigned(first);
  if (!chosen || *chosen == 0) {
    context.report.approximated(path + ".published",
                                fmt::format("port {}: a Service does not choose one itself", port.target));
    return port.target;
  }
  if (first != port.published)
    context.report.approximated(path + ".published", fmt::format("port {}, the first of the range", first));
  return static_cast<std::int64_t>(*chosen);
}

std::string published_type(Context& context, const Workload& workload) {
  const std::string asked = to_lower(instruction(context.service(workload.leader).labels, "service"));
  if (asked.empty() || asked == "loadbalancer") return "LoadBalancer";
  if (asked == "nodeport") return "NodePort";
  if (asked == "clusterip") return "ClusterIP";
  if (asked == "none") return "none";
  context.problem(
      "services." + workload.leader + ".labels",
      fmt::format("label kubernetes.service=\"{}\": choose loadbalancer, nodeport, clusterip or none", asked));
  return "LoadBalancer";
}

void publish(Context& context, const Workload& workload,
             const std::vector<std::pair<const model::Port*, std::string>>& ports, const std::string& name,
             const std::string& type) {
  Value items = Value::sequence();
  std::set<std::pair<std::int64_t, std::string>> seen;
  std::set<std::string> names;
  for (const auto& [port, path] : ports) {
    const std::int64_t outside = outside_port(context, *port, path);
    const std::string protocol = upper(port->protocol.empty() ? "tcp" : port->protocol);
    if (!seen.emplace(outside, protocol).second) {
      context.report.dropped(path, fmt::format("port {} is published already", outside));
      continue;
    }
    std::string called = usable_name(port->name) ? port->name : fmt::format("{}-{}", to_lower(protocol), outside);
    if (!names.insert(called).second) called = fmt::format("{}-{}", to_lower(protocol), outside);
    Value item = object({{"name", text(called)},
                         {"port", number(outside, context.at(path))},
                         {"targetPort", number(port->target)},
                         {"protocol", text(protocol)}});
    if (!port->app_protocol.empty()) put(item, "appProtocol", text(port->app_protocol));
    append(items, std::move(item));
  }
  if (items.items().empty()) return;
  Value spec = object({{"type", text(type)}, {"selector", selector(context, workload)}, {"ports", std::move(items)}});
  context.add(workload.name, "v1", "Service", context.metadata(name, workload.name),
              object({{"spec", std::move(spec)}}));
}

void export_published(Context& context, const Workload& workload) {
  const Published published = published_of(context, workload);
  const std::string type = published_type(context, workload);
  for (const auto& [port, path] : published.loopback)
    context.report.approximated(
        path + ".host_ip",
        fmt::format("Service {0}-local, inside the cluster: \"kubectl port-forward service/{0}-local {1}:{2}\"",
                    workload.name, port->published.empty() ? "" : port->published, outside_port(context, *port, path)));
  publish(context, workload, published.loopback, dns_label(workload.name + "-local"), "ClusterIP");
  if (type == "none") {
    for (const auto& [port, path] : published.outside)
      context.report.approximated(path + ".published", "label kubernetes.service=none: not published");
    return;
  }
  publish(context, workload, published.outside, dns_label(workload.name + "-published"), type);
}

void check_ingress(Context& context, const std::string& path, const std::string& host, const std::string& below,
                   const model::StringMap& labels) {
  const auto refuse = [&](const std::string& key, const std::string& value, const char* wanted) {
    context.problem(path, fmt::format("label kubernetes.{}: \"{}\" is not a {}", key, value, wanted));
  };
  constexpr const char* kName = "name of small letters, digits, \"-\" and \".\"";
  if (!is_subdomain(host.starts_with("*.") ? host.substr(2) : host)) refuse("ingress.host", host, kName);
  if (!below.starts_with('/')) refuse("ingress.path", below, "path that begins with \"/\"");
  for (const char* key : {"ingress.class", "ingress.tls"})
    if (const std::string value = instruction(labels, key); !value.empty() && !is_subdomain(value))
      refuse(key, value, kName);
}

void export_ingress(Context& context, const Workload& workload) {
  const model::StringMap& labels = context.service(workload.leader).labels;
  const std::string host = instruction(labels, "ingress.host");
  if (host.empty()) return;
  const std::string path = "services." + workload.leader + ".labels";
  const auto asked = parse_unsigned(instruction(labels, "ingress.port"));
  const auto tcp = std::find_if(workload.ports.begin(), workload.ports.end(), [&](const PodPort& port) {
    return port.protocol == "TCP" && (!asked || port.number == *asked);
  });
  if (tcp == workload.ports.end()) {
    context.problem(
        path, fmt::format("label kubernetes.ingress.host: service \"{}\" has no such tcp port: add ports or expose",
                          workload.leader));
    return;
  }
  std::string below = instruction(labels, "ingress.path");
  if (below.empty()) below = "/";
  check_ingress(context, path, host, below, labels);
  const Place place = context.at(path + ".kubernetes.ingress.host");
  Value backend = object(
      {{"service", object({{"name", text(workload.name)}, {"port", object({{"number", number(tcp->number)}})}})}});
  Value rule = object({{"host", text(host, place)},
                       {"http", object({{"paths", list({object({{"path", text(below)},
                                                                {"pathType", text("Prefix")},
                                                                {"backend", std::move(backend)}})})}})}});
  Value spec = object({{"rules", list({std::move(rule)})}});
  if (const std::string name = instruction(labels, "ingress.class"); !name.empty())
    put(spec, "ingressClassName", text(name));
  if (const std::string secret = instruction(labels, "ingress.tls"); !secret.empty())
    put(spec, "tls", list({object({{"hosts", texts({host})}, {"secretName", text(secret)}})}));
  context.add(workload.name, "networking.k8s.io/v1", "Ingress", context.metadata(workload.name, workload.name, place),
              object({{"spec", std::move(spec)}}));
}

/// A further name: who asked for it, and why.
struct Alias {
  std::set<std::string> leaders;
  std::set<std::string> of;  ///< "SERVICE@NETWORK", what the import reads
  Strings paths;
  std::string annotation;
};

void collect_alias(Context& context, std::map<std::string, Alias>& aliases, const std::string& name,
                   const std::string& member, const std::string& of, const std::string& path,
                   const std::string& annotation) {
  const Workload& workload = context.workload_of(member);
  if (name == workload.name || name == member) return;
  if (!is_dns_label(name)) {
    context.report.dropped(path,
                           fmt::format("\"{}\" cannot be a Service's name: small letters, digits and \"-\"", name));
    return;
  }
  const auto taken = context.taken.find(name);
  if (taken != context.taken.end()) {
    context.report.dropped(path, fmt::format("\"{}\" is the name of service \"{}\" already", name, taken->second));
    return;
  }
  Alias& alias = aliases[name];
  alias.leaders.insert(workload.leader);
  alias.of.insert(of);
  alias.paths.push_back(path);
  if (alias.annotation.empty()) alias.annotation = annotation;
}

std::map<std::string, Alias> aliases_of(Context& context) {
  std::map<std::string, Alias> aliases;
  for (const auto& [member, unused] : context.leader_of) {
    const model::Service& service = context.service(member);
    for (const auto& [network, place] : service.networks)
      for (const std::string& alias : place.aliases)
        collect_alias(context, aliases, alias, member, member + "@" + network,
                      fmt::format("services.{}.networks.{}.aliases", member, network), "alias-of");
    if (!service.container_name.empty())
      collect_alias(context, aliases, service.container_name, member, member, "services." + member + ".container_name",
                    "container-name-of");
    for (const std::string& link : service.links) {
      const std::size_t colon = link.find(':');
      const std::string target = link.substr(0, colon);
      if (colon == std::string::npos || !context.leader_of.contains(target)) continue;
      collect_alias(context, aliases, link.substr(colon + 1), target, target, "services." + member + ".links",
                    "link-of");
    }
  }
  return aliases;
}

void note_endpoint_mode(Context& context, const Workload& workload) {
  const model::Service& service = context.service(workload.leader);
  if (!service.deploy || service.deploy->endpoint_mode.empty()) return;
  const std::string path = "services." + workload.leader + ".deploy.endpoint_mode";
  if (!workload.has_service)
    context.report.dropped(path, fmt::format("a {} without ports has no Service", kind_name(workload.kind)));
  else if (workload.headless && service.deploy->endpoint_mode != "dnsrr")
    context.report.approximated(path, workload.ports.empty()
                                          ? "a headless Service, as no port is known: add expose for an address"
                                          : "the Service of a StatefulSet is headless");
}

}  // namespace

void plan_services(Context& context) {
  for (auto& [leader, workload] : context.workloads) {
    for (const std::string& member : workload.members) collect_ports(context, workload, member);
    if (workload.ports.empty())
      for (const std::uint16_t port : ports_in_use(context, workload.leader))
        add_port(workload, {port, "TCP", "", "", "services." + leader + ".image"});
    std::sort(workload.ports.begin(), workload.ports.end(),
              [](const PodPort& a, const PodPort& b) { return a.order() < b.order(); });
    const model::Service& service = context.service(leader);
    const bool ends = workload.kind == Kind::job || workload.kind == Kind::cron_job;
    workload.has_service = !ends || !workload.ports.empty();
    workload.headless = workload.ports.empty() || workload.kind == Kind::stateful_set ||
                        (service.deploy && service.deploy->endpoint_mode == "dnsrr");
    note_endpoint_mode(context, workload);
    if (workload.has_service && workload.name != leader)
      context.warn(fmt::format("service \"{}\" is called \"{}\" there: whoever speaks to it must say so", leader,
                               workload.name));
    if (workload.has_service) context.taken[workload.name] = leader;
  }
}

void export_services(Context& context, const Workload& workload) {
  if (!workload.has_service) return;
  const std::string path = "services." + workload.leader;
  Value metadata = context.metadata(workload.name, workload.name, context.at(path));
  std::string exposed;
  for (const std::string& member : workload.members)
    for (const std::string& line : context.service(member).expose)
      exposed += (exposed.empty() ? "" : ",") + member + "=" + line;
  if (!exposed.empty()) put(metadata, "annotations", object({{fmt::format("{}expose", kPrefix), text(exposed)}}));
  Value spec = object({{"selector", selector(context, workload)}, {"ports", service_ports(context, workload.ports)}});
  if (workload.headless) put(spec, "clusterIP", text("None"));
  context.add(workload.name, "v1", "Service", std::move(metadata), object({{"spec", std::move(spec)}}),
              context.at(path));
  // Names of the other members lead to the same pod.
  for (const std::string& member : workload.members) {
    if (member == workload.leader) continue;
    const std::string name = context.name_of("services", member);
    Value more = object({{"selector", selector(context, workload)}, {"ports", service_ports(context, workload.ports)}});
    if (workload.headless) put(more, "clusterIP", text("None"));
    context.taken[name] = member;
    context.add(workload.name, "v1", "Service", context.metadata(name, workload.name),
                object({{"spec", std::move(more)}}));
  }
  export_published(context, workload);
  export_ingress(context, workload);
}

void export_aliases(Context& context) {
  for (const auto& [name, alias] : aliases_of(context)) {
    Value chosen;
    if (alias.leaders.size() == 1)
      chosen = selector(context, context.workloads.at(*alias.leaders.begin()));
    else
      chosen = object({{alias_label(name), text("true")}, {kPartOfLabel, text(dns_label(context.project.name))}});
    std::string of;
    for (const std::string& one : alias.of) of += (of.empty() ? "" : ",") + one;
    const std::string group = context.workloads.at(*alias.leaders.begin()).name;
    Value metadata = context.metadata(name, group, context.at(alias.paths.front()));
    put(metadata, "annotations", object({{fmt::format("{}{}", kPrefix, alias.annotation), text(of)}}));
    // Headless: the name has the pods' addresses, whatever their ports.
    context.add(group, "v1", "Service", std::move(metadata),
                object({{"spec", object({{"clusterIP", text("None")}, {"selector", std::move(chosen)}})}}));
  }
}

}  // namespace compose::kubernetes
