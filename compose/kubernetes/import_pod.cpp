// What a pod and the object that keeps it say of their services.
#include <algorithm>

#include "compose/kubernetes/import_parts.hpp"

namespace compose::kubernetes {
namespace {

bool is_true(const Value& value, std::string_view key) {
  const Value* found = value.get(key);
  return found != nullptr && found->is_bool() && found->as_bool();
}

std::int64_t number_at(const Value& value, std::initializer_list<std::string_view> keys) {
  const Value* found = dig(value, keys);
  return found != nullptr && found->is_integer() ? found->as_integer() : 0;
}

Value deploy_of(const Value& service) {
  return service.get("deploy") != nullptr ? *service.get("deploy") : Value::mapping();
}

void import_dependencies(const Cluster& cluster, const Value& spec, Value& service) {
  Value dependencies = Value::mapping();
  const Value* list = spec.get("initContainers");
  if (list == nullptr) return;
  for (const Value& one : list->items()) {
    const std::string name = text_at(one, {"name"});
    if (!name.starts_with("wait-")) continue;
    // A name that was too long is cut, so it is told by making it again.
    for (const Value* other : cluster.workloads()) {
      const std::string called = text_at(*other, {"metadata", "name"});
      for (const auto& [word, condition] :
           {std::pair{"completed", "service_completed_successfully"}, std::pair{"healthy", "service_healthy"},
            std::pair{"started", "service_started"}, std::pair{"optional-healthy", "service_healthy"},
            std::pair{"optional-started", "service_started"}}) {
        if (name != wait_name(word, called)) continue;
        Value dependency = object({{"condition", text(condition)}});
        if (std::string_view{word}.starts_with("optional-")) put(dependency, "required", flag(false));
        put(dependencies, cluster.original("services", called), std::move(dependency));
      }
    }
  }
  put(service, "depends_on", std::move(dependencies));
}

Value hook_of(const Value& container, const Value& service_container) {
  Value hook = object({{"command", texts(unescape_references(strings_of(container.get("command"))))}});
  if (text_at(container, {"image"}) != text_at(service_container, {"image"}))
    put(hook, "image", text(text_at(container, {"image"})));
  const std::string folder = text_at(container, {"workingDir"});
  if (folder != text_at(service_container, {"workingDir"})) put(hook, "working_dir", text(folder));
  const Value* uid = dig(container, {"securityContext", "runAsUser"});
  const Value* own = dig(service_container, {"securityContext", "runAsUser"});
  if (uid != nullptr && (own == nullptr || !uid->same_as(*own))) {
    std::string user = std::to_string(uid->as_integer());
    if (const Value* gid = dig(container, {"securityContext", "runAsGroup"}))
      user += ":" + std::to_string(gid->as_integer());
    put(hook, "user", text(user));
  }
  const Value* security = container.get("securityContext");
  const Value* service_security = service_container.get("securityContext");
  if (security != nullptr && is_true(*security, "privileged") &&
      (service_security == nullptr || !is_true(*service_security, "privileged")))
    put(hook, "privileged", flag(true));
  Value environment = Value::mapping();
  if (const Value* list = container.get("env"))
    for (const Value& one : list->items())
      put_always(environment, text_at(one, {"name"}), text(unescape_references({text_at(one, {"value"})})[0]));
  put(hook, "environment", std::move(environment));
  return hook;
}

// In the order of their numbers, which count both kinds.
void import_hooks(const Cluster& cluster, const Value& workload, const std::string& leader, const Value& container,
                  Value& service) {
  std::map<std::int64_t, Value> hooks;
  const Value& spec = need(need(template_of(workload)).get("spec"));
  if (const Value* list = spec.get("initContainers"))
    for (const Value& one : list->items()) {
      const std::string name = text_at(one, {"name"});
      if (!name.starts_with("pre-start-")) continue;
      Value hook = hook_of(one, container);
      put(hook, "per_replica", flag(true));
      hooks[parse_signed(name.substr(10)).value_or(0)] = std::move(hook);
    }
  for (const Value* job : cluster.all("Job")) {
    if (annotation(*job, "pre-start-of") != leader) continue;
    const std::string name = text_at(*job, {"metadata", "name"});
    const Value* containers = dig(*template_of(*job), {"spec", "containers"});
    if (containers == nullptr || containers->items().empty()) continue;
    hooks[parse_signed(name.substr(name.rfind('-') + 1)).value_or(0)] = hook_of(containers->items()[0], container);
  }
  Value list = Value::sequence();
  for (auto& [number, hook] : hooks) append(list, std::move(hook));
  put(service, "pre_start", std::move(list));
}

void import_restart(const Value& workload, Value& service) {
  const std::string kind = text_at(workload, {"kind"});
  const std::string noted = annotation(workload, "restart");
  const Value* job = kind == "CronJob" ? dig(workload, {"spec", "jobTemplate", "spec"}) : workload.get("spec");
  const std::int64_t backoff = number_at(need(job), {"backoffLimit"});
  if (noted.starts_with("policy:")) {
    Value policy = Value::mapping();
    if (noted != "policy:") put(policy, "condition", text(noted.substr(7)));
    if (backoff > 0 && backoff < 1'000'000) put(policy, "max_attempts", number(backoff));
    Value deploy = deploy_of(service);
    put(deploy, "restart_policy", std::move(policy));
    put(service, "deploy", std::move(deploy));
  } else if (!noted.empty()) {
    if (noted != "unset") put(service, "restart", text(noted));
  } else if (kind == "Job" || kind == "CronJob") {
    const bool never = text_at(*template_of(workload), {"spec", "restartPolicy"}) == "Never";
    put(service, "restart",
        text(never                 ? "no"
             : backoff < 1'000'000 ? fmt::format("on-failure:{}", backoff)
                                   : "on-failure"));
  } else {
    put(service, "restart", text("always"));
  }
}

// The inverse of schedule.cpp, for a CronJob that no label asked for.
void import_schedule(const Value& workload, Value& service) {
  if (text_at(workload, {"kind"}) != "CronJob") return;
  const Value labels = foreign_labels(need(workload.get("metadata")));
  if (labels.get("kubernetes.schedule") != nullptr) return;
  Value schedule = object({{"cron", text(text_at(workload, {"spec", "schedule"}))}});
  const std::string zone = text_at(workload, {"spec", "timeZone"});
  if (zone != "Etc/UTC") put(schedule, "timezone", text(zone.empty() ? "local" : zone));
  const bool replace = text_at(workload, {"spec", "concurrencyPolicy"}) == "Replace";
  const bool deadline = dig(workload, {"spec", "startingDeadlineSeconds"}) != nullptr;
  if (replace || !deadline) put(schedule, "overlap", text(replace ? "replace" : "queue"));
  if (!deadline) put(schedule, "missed", text("run"));
  put(service, "x-schedule", std::move(schedule));
}

void import_scale(const Value& workload, Value& service) {
  const std::string kind = text_at(workload, {"kind"});
  Value deploy = deploy_of(service);
  if (kind == "DaemonSet") put(deploy, "mode", text("global"));
  if (const std::string mode = annotation(workload, "mode"); !mode.empty()) put(deploy, "mode", text(mode));
  const Value* replicas = dig(workload, {"spec", kind == "Job" ? "completions" : "replicas"});
  if (replicas != nullptr && replicas->as_integer() != 1) put(deploy, "replicas", *replicas);
  Value update = Value::mapping();
  const Value* strategy = dig(workload, {"spec", kind == "Deployment" ? "strategy" : "updateStrategy"});
  if (strategy != nullptr && text_at(*strategy, {"type"}) == "RollingUpdate") {
    const Value* surge = dig(*strategy, {"rollingUpdate", "maxSurge"});
    const Value* away = dig(*strategy, {"rollingUpdate", "maxUnavailable"});
    const bool start_first = surge != nullptr && !(surge->is_integer() && surge->as_integer() == 0);
    const Value* step = start_first ? surge : away;
    put(update, "order", text(start_first ? "start-first" : "stop-first"));
    if (step != nullptr) put(update, "parallelism", step->is_integer() ? *step : number(0));
  }
  if (const std::int64_t delay = number_at(workload, {"spec", "minReadySeconds"}); delay > 0)
    put(update, "delay", text(fmt::format("{}s", delay)));
  put(deploy, "update_config", std::move(update));
  if (const std::string mode = annotation(workload, "endpoint-mode"); !mode.empty())
    put(deploy, "endpoint_mode", text(mode));
  put(service, "deploy", std::move(deploy));
}

std::string node_name(const std::string& key) {
  if (key == "kubernetes.io/hostname") return "node.hostname";
  return "node.labels." + key;
}

void import_placement(const Value& spec, Value& service) {
  Strings constraints;
  std::string platform;
  if (const Value* chosen = spec.get("nodeSelector")) {
    platform = text_at(*chosen, {"kubernetes.io/os"});
    if (const std::string arch = text_at(*chosen, {"kubernetes.io/arch"}); !arch.empty()) platform += "/" + arch;
    for (const yaml::Entry& entry : chosen->entries())
      if (entry.key != "kubernetes.io/os" && entry.key != "kubernetes.io/arch")
        constraints.push_back(fmt::format("{} == {}", node_name(entry.key), entry.value.as_string()));
  }
  if (!platform.empty()) put(service, "platform", text(platform));
  if (const Value* terms = dig(
          spec, {"affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"}))
    for (const Value& term : terms->items())
      for (const Value& one : need(term.get("matchExpressions")).items())
        constraints.push_back(
            fmt::format("{} {} {}", node_name(text_at(one, {"key"})),
                        text_at(one, {"operator"}) == "In" ? "==" : "!=", strings_of(one.get("values")).at(0)));
  Value preferences = Value::sequence();
  if (const Value* spread = spec.get("topologySpreadConstraints"))
    for (const Value& one : spread->items())
      append(preferences, object({{"spread", text(node_name(text_at(one, {"topologyKey"})))}}));
  Value placement = object({{"constraints", texts(constraints)}, {"preferences", std::move(preferences)}});
  if (dig(spec, {"affinity", "podAntiAffinity"}) != nullptr) put(placement, "max_replicas_per_node", number(1));
  if (placement.entries().empty()) return;
  Value deploy = deploy_of(service);
  put(deploy, "placement", std::move(placement));
  put(service, "deploy", std::move(deploy));
}

void import_pod(const Cluster& cluster, const Value& workload, Value& service) {
  const Value& spec = need(need(template_of(workload)).get("spec"));
  for (const auto& [theirs, ours] :
       {std::pair{"hostPID", "pid"}, std::pair{"hostIPC", "ipc"}, std::pair{"hostNetwork", "network_mode"}})
    if (is_true(spec, theirs)) put(service, ours, text("host"));
  if (cluster.find("NetworkPolicy", dns_label(text_at(workload, {"metadata", "name"}) + "-no-network")) != nullptr)
    put(service, "network_mode", text("none"));
  if (const std::string name = text_at(spec, {"hostname"}); !name.empty()) put(service, "hostname", text(name));
  if (const Value* grace = spec.get("terminationGracePeriodSeconds"))
    put(service, "stop_grace_period", text(fmt::format("{}s", grace->as_integer())));
  if (const std::string runtime = text_at(spec, {"runtimeClassName"}); !runtime.empty())
    put(service, "runtime", text(runtime));
  put(service, "dns", texts(strings_of(dig(spec, {"dnsConfig", "nameservers"}))));
  put(service, "dns_search", texts(strings_of(dig(spec, {"dnsConfig", "searches"}))));
  Strings options;
  if (const Value* list = dig(spec, {"dnsConfig", "options"}))
    for (const Value& one : list->items())
      options.push_back(one.get("value") != nullptr ? text_at(one, {"name"}) + ":" + text_at(one, {"value"})
                                                    : text_at(one, {"name"}));
  put(service, "dns_opt", texts(options));
  Strings hosts;
  if (const Value* aliases = spec.get("hostAliases"))
    for (const Value& one : aliases->items())
      for (const std::string& host : strings_of(one.get("hostnames")))
        hosts.push_back(host + "=" + text_at(one, {"ip"}));
  put(service, "extra_hosts", texts(hosts));
  Value groups = Value::sequence();
  if (const Value* list = dig(spec, {"securityContext", "supplementalGroups"}))
    for (const Value& one : list->items()) append(groups, text(std::to_string(one.as_integer())));
  put(service, "group_add", std::move(groups));
  Value sysctls = Value::mapping();
  if (const Value* list = dig(spec, {"securityContext", "sysctls"}))
    for (const Value& one : list->items())
      if (text_at(one, {"name"}) != kLowPorts || annotation(workload, "low-ports").empty())
        put_always(sysctls, text_at(one, {"name"}), text(text_at(one, {"value"})));
  put(service, "sysctls", std::move(sysctls));
  import_placement(spec, service);
  Value annotations = Value::mapping();
  if (const Value* all = dig(*template_of(workload), {"metadata", "annotations"}))
    for (const yaml::Entry& entry : all->entries())
      if (!entry.key.starts_with(kPrefix)) put_always(annotations, entry.key, entry.value);
  put(service, "annotations", std::move(annotations));
}

// "SERVICE@NETWORK" of the alias Services, and names of containers.
void import_names(const Cluster& cluster, const std::string& name, Value& networks, Value& service) {
  for (const Value* one : cluster.all("Service")) {
    const std::string called = text_at(*one, {"metadata", "name"});
    for (const std::string& of : split(annotation(*one, "alias-of"), ',')) {
      const std::size_t at = of.find('@');
      if (at == std::string::npos || of.substr(0, at) != name) continue;
      Value* place = networks.get(of.substr(at + 1));
      if (place == nullptr) continue;
      if (!place->is_mapping()) *place = Value::mapping();
      Value aliases = place->get("aliases") != nullptr ? *place->get("aliases") : Value::sequence();
      append(aliases, text(called));
      put(*place, "aliases", std::move(aliases));
    }
    if (annotation(*one, "container-name-of") == name) put(service, "container_name", text(called));
  }
}

void import_networks(const Cluster& cluster, const Value& workload, const std::string& name, Value& service) {
  if (service.get("network_mode") != nullptr) return;
  Value networks = Value::mapping();
  const Value* labels = dig(*template_of(workload), {"metadata", "labels"});
  for (const Value* policy : cluster.all("NetworkPolicy")) {
    const std::string network = annotation(*policy, "network");
    const Value* chosen = dig(*policy, {"spec", "podSelector", "matchLabels"});
    if (network.empty() || chosen == nullptr || labels == nullptr) continue;
    for (const yaml::Entry& entry : chosen->entries())
      if (entry.key.starts_with(fmt::format("{}network.", kPrefix)) && labels->get(entry.key) != nullptr)
        put_always(networks, network, Value{});
  }
  import_names(cluster, name, networks, service);
  put(service, "networks", std::move(networks));
}

Value port_of(const Value& port, const char* mode, const std::string& published) {
  std::string protocol = to_lower(text_at(port, {"protocol"}));
  const std::int64_t target =
      mode == std::string_view{"host"} ? number_at(port, {"containerPort"}) : number_at(port, {"targetPort"});
  Value item = object(
      {{"target", number(target)}, {"published", text(published)}, {"protocol", text(protocol)}, {"mode", text(mode)}});
  const std::string name = text_at(port, {"name"});
  if (!name.empty() && name != fmt::format("{}-{}", protocol, published)) put(item, "name", text(name));
  if (const std::string app = text_at(port, {"appProtocol"}); !app.empty()) put(item, "app_protocol", text(app));
  return item;
}

void import_ports(const Cluster& cluster, const Value& workload, const std::string& name, Value& service) {
  const std::string called = text_at(workload, {"metadata", "name"});
  Value ports = Value::sequence();
  for (const char* suffix : {"-published", "-local"})
    if (const Value* published = cluster.find("Service", dns_label(called + suffix)))
      for (const Value& port : need(dig(*published, {"spec", "ports"})).items()) {
        Value item = port_of(port, "ingress", std::to_string(number_at(port, {"port"})));
        if (suffix == std::string_view{"-local"}) put(item, "host_ip", text("127.0.0.1"));
        append(ports, std::move(item));
      }
  for (const Value& container : need(dig(need(template_of(workload)), {"spec", "containers"})).items())
    if (const Value* list = container.get("ports"))
      for (const Value& port : list->items())
        if (port.get("hostPort") != nullptr)
          append(ports, port_of(port, "host", std::to_string(number_at(port, {"hostPort"}))));
  put(service, "ports", std::move(ports));
  if (const Value* own = cluster.find("Service", called)) {
    Strings exposed;
    const std::string noted = annotation(*own, "expose");
    for (const std::string& one : split(noted, ','))
      if (one.starts_with(name + "=")) exposed.push_back(one.substr(name.size() + 1));
    put(service, "expose", texts(exposed));
  }
}

}  // namespace

void import_workload(const Cluster& cluster, const Value& workload, Value& services) {
  const Value& pod = *template_of(workload);
  const Value* containers = dig(pod, {"spec", "containers"});
  if (containers == nullptr) return;
  const auto joins = pairs_of(annotation(workload, "joins"));
  std::string leader;
  for (const Value& container : containers->items()) {
    const std::string name = cluster.original("services", text_at(container, {"name"}));
    Value service = Value::mapping();
    import_container(cluster, workload, container, service);
    import_mounts(cluster, pod, container, service);
    if (leader.empty()) {
      leader = name;
      import_pod(cluster, workload, service);
      import_restart(workload, service);
      import_scale(workload, service);
      import_schedule(workload, service);
      import_dependencies(cluster, need(pod.get("spec")), service);
      import_hooks(cluster, workload, name, container, service);
      import_networks(cluster, workload, name, service);
      import_ports(cluster, workload, name, service);
      put(service, "labels", foreign_labels(need(workload.get("metadata"))));
    } else {
      const auto how = joins.find(text_at(container, {"name"}));
      put(service, how == joins.end() ? "network_mode" : how->second, text("service:" + leader));
    }
    put_always(services, name, std::move(service));
  }
}

}  // namespace compose::kubernetes
