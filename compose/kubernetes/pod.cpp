// The pod template of a workload.
#include <algorithm>

#include "base/strings.hpp"
#include "compose/kubernetes/context.hpp"

namespace compose::kubernetes {
namespace {

void put_host_aliases(Context& context, const std::string& name, Value& pod) {
  std::map<std::string, Strings> by_address;
  const std::string path = "services." + name + ".extra_hosts";
  for (const auto& [host, addresses] : context.service(name).extra_hosts) {
    for (const std::string& address : addresses) {
      if (address == "host-gateway") {
        context.report.dropped(path,
                               "\"host-gateway\" is another machine on each node: give the address of what is meant");
      } else {
        by_address[address].push_back(host);
      }
    }
  }
  const Value* before = pod.get("hostAliases");
  Value aliases = before != nullptr ? *before : Value::sequence();
  for (auto& [address, hosts] : by_address) {
    std::string ip = address;
    if (ip.starts_with('[') && ip.ends_with(']')) ip = ip.substr(1, ip.size() - 2);
    append(aliases, object({{"ip", text(ip, context.at(path))}, {"hostnames", texts(hosts)}}));
  }
  put(pod, "hostAliases", std::move(aliases));
}

void put_dns(Context& context, const std::string& name, Value& pod) {
  const model::Service& service = context.service(name);
  const std::string path = "services." + name;
  Value options = Value::sequence();
  for (const std::string& option : service.dns_opt) {
    const std::size_t colon = option.find(':');
    Value item = object({{"name", text(option.substr(0, colon), context.at(path + ".dns_opt"))}});
    if (colon != std::string::npos) put(item, "value", text(option.substr(colon + 1)));
    append(options, std::move(item));
  }
  put(pod, "dnsConfig",
      object({{"nameservers", texts(service.dns, context.at(path + ".dns"))},
              {"searches", texts(service.dns_search, context.at(path + ".dns_search"))},
              {"options", std::move(options)}}));
}

// What a service says of the pod rather than of its container. The leader's word counts.
void put_namespaces(Context& context, const Workload& workload, Value& pod) {
  const model::Service& service = context.service(workload.leader);
  const std::string path = "services." + workload.leader;
  if (service.network_mode == "host") {
    put(pod, "hostNetwork", flag(true, context.at(path + ".network_mode")));
    put(pod, "dnsPolicy", text("ClusterFirstWithHostNet"));
  }
  if (service.network_mode.starts_with("container:"))
    context.report.dropped(path + ".network_mode", "the container is not one of the project: make it a service");
  if (service.network_mode == "bridge") context.report.approximated(path + ".network_mode", "the cluster's network");
  if (service.pid == "host") put(pod, "hostPID", flag(true, context.at(path + ".pid")));
  if (service.ipc == "host") put(pod, "hostIPC", flag(true, context.at(path + ".ipc")));
  if (service.ipc == "none") context.report.approximated(path + ".ipc", "the pod has its own");
  for (const auto& [key, value] : {std::pair{"pid", service.pid}, std::pair{"ipc", service.ipc}})
    if (value.starts_with("container:"))
      context.report.dropped(fmt::format("{}.{}", path, key),
                             "the container is not one of the project: make it a service");
  bool shared = false;
  for (const std::string& member : workload.members) {
    const model::Service& one = context.service(member);
    if (one.init.value_or(false) && one.pid != "host") shared = true;
    if (one.pid.starts_with("service:")) shared = true;
    for (const auto& [key, value] :
         {std::pair{"pid", one.pid}, std::pair{"ipc", one.ipc}, std::pair{"network_mode", one.network_mode}})
      if (value.starts_with("service:"))
        context.report.exact(fmt::format("services.{}.{}", member, key), "a container of the same pod");
  }
  if (shared) put(pod, "shareProcessNamespace", flag(true));
  if (!service.hostname.empty()) {
    if (is_dns_label(dns_label(service.hostname)) && dns_label(service.hostname) == service.hostname)
      put(pod, "hostname", text(service.hostname, context.at(path + ".hostname")));
    else
      context.report.dropped(path + ".hostname", "not a DNS label: small letters, digits and \"-\"");
  }
  for (const std::string& member : workload.members) {
    const model::Service& one = context.service(member);
    if (member == workload.leader) continue;
    if (!one.networks.empty() && !one.network_mode.starts_with("service:"))
      context.report.approximated("services." + member + ".networks",
                                  fmt::format("those of the pod, which is that of \"{}\"", workload.leader));
    for (const char* key :
         {"labels", "annotations", "depends_on", "ports", "expose", "extra_hosts", "group_add", "restart"})
      context.report.approximated(fmt::format("services.{}.{}", member, key),
                                  fmt::format("those of the pod, which is that of \"{}\"", workload.leader));
    for (const auto& [key, used] :
         {std::pair{"hostname", !one.hostname.empty()}, std::pair{"dns", !one.dns.empty()},
          std::pair{"dns_search", !one.dns_search.empty()}, std::pair{"dns_opt", !one.dns_opt.empty()},
          std::pair{"sysctls", !one.sysctls.empty()}, std::pair{"platform", !one.platform.empty()},
          std::pair{"runtime", !one.runtime.empty()}, std::pair{"stop_grace_period", one.stop_grace_period.has_value()},
          std::pair{"deploy.endpoint_mode", one.deploy && !one.deploy->endpoint_mode.empty()},
          std::pair{"deploy.labels", one.deploy && !one.deploy->labels.empty()},
          std::pair{"deploy.placement", one.deploy && one.deploy->placement},
          std::pair{"deploy.restart_policy", one.deploy && one.deploy->restart_policy},
          std::pair{"deploy.update_config", one.deploy && one.deploy->update_config},
          std::pair{"pid", one.pid == "host"}, std::pair{"ipc", one.ipc == "host"},
          std::pair{"network_mode", one.network_mode == "host" || one.network_mode == "none"}})
      if (used)
        context.report.dropped(fmt::format("services.{}.{}", member, key),
                               fmt::format("the pod is that of \"{}\": write it there", workload.leader));
  }
}

Value pod_labels(Context& context, const Workload& workload) {
  Value labels = object({{kManagedByLabel, text("compose")},
                         {kNameLabel, text(workload.name)},
                         {kPartOfLabel, text(dns_label(context.project.name))}});
  for (const std::string& member : workload.members) {
    const model::Service& service = context.service(member);
    const std::string path = "services." + member;
    for (const auto& [network, place] : service.networks) {
      put(labels, network_label(network), text("true", context.at(path + ".networks." + network)));
      for (const std::string& alias : place.aliases)
        if (is_dns_label(alias))
          put(labels, alias_label(alias), text("true", context.at(path + ".networks." + network + ".aliases")));
    }
    if (context.options.shared_volumes == SharedVolumes::same_node)
      for (const model::Mount& mount : service.volumes)
        if (mount.type == "volume" && context.users.contains(mount.source) && context.users.at(mount.source).size() > 1)
          put(labels, volume_label(mount.source), text("true"));
  }
  return labels;
}

std::string restart_policy(const Context& context, const Workload& workload) {
  if (workload.kind != Kind::job && workload.kind != Kind::cron_job) return {};
  const model::Service& service = context.service(workload.leader);
  if (service.deploy && service.deploy->restart_policy)
    return service.deploy->restart_policy->condition == "none" ? "Never" : "OnFailure";
  return service.restart.empty() || service.restart == "no" ? "Never" : "OnFailure";
}

}  // namespace

void add_volumes(Context& context, const std::string& path, const Value& items, Value& volumes) {
  for (const Value& item : items.items()) {
    const std::string name = text_at(item, {"name"});
    const auto known = std::find_if(volumes.items().begin(), volumes.items().end(),
                                    [&](const Value& one) { return text_at(one, {"name"}) == name; });
    if (known == volumes.items().end())
      append(volumes, item);
    else if (!known->same_as(item))
      context.problem(path, fmt::format("two volumes of the pod would be called \"{}\": rename one", name));
  }
}

Value pod_template(Context& context, const Workload& workload) {
  const std::string path = "services." + workload.leader;
  const model::Service& service = context.service(workload.leader);
  Value pod = Value::mapping();
  put_namespaces(context, workload, pod);
  put_dns(context, workload.leader, pod);
  Value containers = Value::sequence();
  Value volumes = Value::sequence();
  for (const std::string& member : workload.members) {
    Mounts mounts = mounts_of(context, workload, member);
    add_volumes(context, "services." + member, mounts.volumes, volumes);
    Value container = container_of(context, workload, member);
    put(container, "volumeMounts", std::move(mounts.mounts));
    append(containers, std::move(container));
    put_host_aliases(context, member, pod);
  }
  put(pod, "containers", std::move(containers));
  put(pod, "volumes", std::move(volumes));
  put_init_containers(context, workload, pod);
  put(pod, "securityContext", pod_security(context, workload));
  put_scheduling(context, workload, pod);
  if (const std::string policy = restart_policy(context, workload); !policy.empty())
    put(pod, "restartPolicy", text(policy, context.at(path + ".restart")));
  if (service.stop_grace_period)
    put(pod, "terminationGracePeriodSeconds",
        number(seconds(*service.stop_grace_period, 0), context.at(path + ".stop_grace_period")));
  if (service.stop_grace_period && !whole_seconds(*service.stop_grace_period))
    context.report.approximated(path + ".stop_grace_period", "whole seconds, rounded up");
  if (!service.runtime.empty())
    put(pod, "runtimeClassName", text(dns_label(service.runtime), context.at(path + ".runtime")));
  // The links that Kubernetes puts into every environment ("DB_PORT=tcp://…") break programs that read such names.
  put(pod, "enableServiceLinks", flag(false));
  if (context.job_waiters.contains(workload.name))
    put(pod, "serviceAccountName", text(workload.name));
  else
    put(pod, "automountServiceAccountToken", flag(false));

  Value annotations = Value::mapping();
  for (const std::string& member : workload.members) {
    for (const auto& [key, value] : context.service(member).annotations) {
      const std::string at = "services." + member + ".annotations";
      if (valid_annotation_key(key))
        put_always(annotations, key, text(value, context.at(at + "." + key)));
      else
        context.report.dropped(at, fmt::format("\"{}\" cannot be a key in Kubernetes: rename it", key));
    }
  }
  if (const std::string sum = checksum(context, workload); !sum.empty())
    put(annotations, fmt::format("{}checksum", kPrefix), text(sum));
  Value metadata = object({{"annotations", std::move(annotations)}, {"labels", pod_labels(context, workload)}});
  return object({{"metadata", std::move(metadata)}, {"spec", std::move(pod)}});
}

}  // namespace compose::kubernetes
