// Which pods there are, and what keeps them: Deployment, StatefulSet, DaemonSet, Job or CronJob.
#include <algorithm>
#include <array>

#include "base/strings.hpp"
#include "compose/kubernetes/context.hpp"

namespace compose::kubernetes {
namespace {

// "service:NAME" in the fields that put two containers into one pod.
std::string companion(const model::Service& service) {
  for (const std::string* mode : {&service.network_mode, &service.ipc, &service.pid})
    if (mode->starts_with("service:")) return mode->substr(8);
  return {};
}

std::string leader(const model::Project& project, const std::string& name) {
  std::string at = name;
  for (std::size_t steps = 0; steps <= project.services.size(); ++steps) {
    const std::string next = companion(project.services.at(at));
    if (next.empty() || !project.services.contains(next)) return at;
    at = next;
  }
  return at;
}

bool someone_waits_for(const Context& context, const std::string& name, bool completion) {
  for (const auto& [other, service] : context.project.services) {
    const auto found = service.depends_on.find(name);
    if (found == service.depends_on.end()) continue;
    if ((found->second.condition == model::Condition::completed_successfully) == completion) return true;
  }
  return false;
}

/// Databases whose images everybody knows: they want a stable name and their volume.
bool known_database(const model::Service& service) {
  constexpr std::array<std::string_view, 17> kNames = {
      "mysql",   "mariadb",  "postgres",          "postgresql",    "mongo",      "mongodb",
      "redis",   "valkey",   "rabbitmq",          "elasticsearch", "opensearch", "cassandra",
      "couchdb", "influxdb", "clickhouse-server", "etcd",          "neo4j"};
  std::string name = service.image.substr(0, service.image.find_first_of('@'));
  const std::size_t slash = name.rfind('/');
  if (slash != std::string::npos) name.erase(0, slash + 1);
  name = name.substr(0, name.find(':'));
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

bool owns_a_volume(const model::Service& service) {
  return std::any_of(service.volumes.begin(), service.volumes.end(), [](const model::Mount& mount) {
    return mount.type == "volume" && !mount.source.empty() && !mount.read_only;
  });
}

std::string restart_of(const model::Service& service) {
  if (service.deploy && service.deploy->restart_policy) {
    const std::string& condition = service.deploy->restart_policy->condition;
    if (condition == "none") return "no";
    if (condition == "on-failure") return "on-failure";
    return "always";
  }
  return service.restart;
}

bool listens(const Context& context, const std::string& name) {
  const model::Service& service = context.service(name);
  const bool checked = service.healthcheck && !service.healthcheck->disable && !service.healthcheck->test.empty() &&
                       service.healthcheck->test[0] != "NONE";
  return checked || !service.ports.empty() || !service.expose.empty() || !context.image(name).exposed_ports.empty();
}

// A service that is done when its process ends: it is waited for so, or it is not to be started again and nothing says
// that it serves anybody.
bool one_shot(Context& context, const std::string& name) {
  const model::Service& service = context.service(name);
  if (someone_waits_for(context, name, true)) return true;
  const std::string restart = restart_of(service);
  if (restart != "no" && !restart.starts_with("on-failure")) return false;
  return !listens(context, name) && !someone_waits_for(context, name, false);
}

std::optional<Kind> asked_kind(Context& context, const std::string& name) {
  const model::Service& service = context.service(name);
  const std::string asked = to_lower(instruction(service.labels, "controller"));
  if (!asked.empty()) {
    for (const Kind kind : {Kind::deployment, Kind::stateful_set, Kind::daemon_set, Kind::job, Kind::cron_job})
      if (asked == to_lower(kind_name(kind))) return kind;
    context.problem("services." + name + ".labels",
                    fmt::format("label kubernetes.controller=\"{}\": choose deployment, statefulset, daemonset, job or "
                                "cronjob",
                                asked));
  }
  if (is_scheduled(service)) return Kind::cron_job;
  return std::nullopt;
}

Kind kind_of(Context& context, const std::string& name) {
  const model::Service& service = context.service(name);
  const auto asked = asked_kind(context, name);
  if (asked == Kind::cron_job && !is_scheduled(service))
    context.problem("services." + name + ".labels",
                    "a cronjob needs the label kubernetes.schedule, such as \"*/5 * * * *\"");
  if (asked) return *asked;
  const std::string path = "services." + name;
  if (service.deploy) {
    const std::string& mode = service.deploy->mode;
    if (mode == "global") return Kind::daemon_set;
    if (mode == "replicated-job") return Kind::job;
    if (mode == "global-job") {
      context.report.approximated(path + ".deploy.mode", "a Job: Kubernetes has none that runs on every node");
      return Kind::job;
    }
  }
  if (one_shot(context, name)) return Kind::job;
  if (service.replicas() == 1 && owns_a_volume(service) && known_database(service)) return Kind::stateful_set;
  return Kind::deployment;
}

void note_restart(Context& context, const Workload& workload, const std::string& name) {
  const model::Service& service = context.service(name);
  const bool runs_once = workload.kind == Kind::job || workload.kind == Kind::cron_job;
  const std::string path = "services." + name + ".restart";
  const std::string restart = service.restart;
  if (service.deploy && service.deploy->restart_policy) {
    const std::string condition = "services." + name + ".deploy.restart_policy.condition";
    const bool always =
        service.deploy->restart_policy->condition.empty() || service.deploy->restart_policy->condition == "any";
    if (always == runs_once)
      context.report.approximated(
          condition, runs_once ? "a Job is started again only when it fails"
                               : fmt::format("a {} always starts its containers again", kind_name(workload.kind)));
    if (!runs_once && service.deploy->restart_policy->max_attempts)
      context.report.dropped("services." + name + ".deploy.restart_policy.max_attempts",
                             fmt::format("a {} never gives up", kind_name(workload.kind)));
    if (!restart.empty()) context.report.approximated(path, "deploy.restart_policy counts");
    return;
  }
  if (restart.empty()) return;
  if (runs_once) {
    if (restart == "always" || restart == "unless-stopped")
      context.report.approximated(path, "a Job is started again only when it fails");
    return;
  }
  if (restart == "unless-stopped")
    context.report.approximated(path, "restarts always; scale to 0 to stop");
  else if (restart != "always")
    context.report.approximated(
        path,
        fmt::format("a {} always starts its containers again; label kubernetes.controller=job if this service ends",
                    kind_name(workload.kind)));
}

std::int64_t backoff(const model::Service& service) {
  constexpr std::int64_t kUnlimited = 1'000'000;
  if (service.deploy && service.deploy->restart_policy) {
    const model::RestartPolicy& policy = *service.deploy->restart_policy;
    if (policy.condition == "none") return 0;
    return policy.max_attempts ? static_cast<std::int64_t>(*policy.max_attempts) : kUnlimited;
  }
  if (service.restart.starts_with("on-failure:")) return parse_signed(service.restart.substr(11)).value_or(kUnlimited);
  return service.restart.empty() || service.restart == "no" ? 0 : kUnlimited;
}

// What a controller appends to the names of these (a time, a revision) must fit into 63 characters.
constexpr std::size_t kMost = 52;

std::string workload_name(Context& context, const Workload& workload) {
  const std::string name = context.name_of("services", workload.leader);
  if (name.size() <= kMost || (workload.kind != Kind::cron_job && workload.kind != Kind::stateful_set)) return name;
  return context.out.names["services." + workload.leader] = dns_label(workload.leader, kMost);
}

void annotate(Value& metadata, std::string_view key, const std::string& value) {
  if (value.empty()) return;
  if (metadata.get("annotations") == nullptr) metadata.entries().set("annotations", Value::mapping());
  put_always(*metadata.get("annotations"), fmt::format("{}{}", kPrefix, key), text(value));
}

// What the import could not know: names that had to change, and values that have no field in Kubernetes.
void note_origins(Context& context, const Workload& workload, Value& metadata) {
  std::map<std::string, std::string> names;
  const auto note = [&](const std::string& section, const std::string& name) {
    if (const std::string label = dns_label(name); label != name) names[section + "/" + label] = name;
  };
  std::string joins;
  std::string checked;
  if (workload.name != workload.leader) names["services/" + workload.name] = workload.leader;
  for (const std::string& member : workload.members) {
    const model::Service& service = context.service(member);
    note("services", member);
    for (const model::Mount& mount : service.volumes)
      if (mount.type == "volume") note("volumes", mount.source);
    for (const auto& reference : service.configs) {
      note("configs", reference.source);
      const auto known = context.project.configs.find(reference.source);
      if (known != context.project.configs.end() && known->second.external)
        names["configs/" + dns_label(known->second.name)] = reference.source;
    }
    for (const auto& reference : service.secrets) {
      note("secrets", reference.source);
      const auto known = context.project.secrets.find(reference.source);
      if (known != context.project.secrets.end() && known->second.external)
        names["secrets/" + dns_label(known->second.name)] = reference.source;
    }
    for (const auto& [other, unused] : service.depends_on) {
      note("services", other);
      if (!context.leader_of.contains(other)) continue;
      const Workload& waited = context.workload_of(other);
      if (waited.name != waited.leader) names["services/" + waited.name] = waited.leader;
    }
    if (!service.healthcheck && context.image(member).healthcheck)
      checked += (checked.empty() ? "" : ",") + dns_label(member);
    if (member == workload.leader || service.network_mode.starts_with("service:")) continue;
    joins += (joins.empty() ? "" : ",") + dns_label(member) + (service.pid.starts_with("service:") ? "=pid" : "=ipc");
  }
  std::string changed;
  for (const auto& [label, name] : names) changed += (changed.empty() ? "" : ",") + label + "=" + name;
  annotate(metadata, "names", changed);
  annotate(metadata, "joins", joins);
  annotate(metadata, "health-of-image", checked);
  if (opens_low_ports(context, workload)) annotate(metadata, "low-ports", "everybody");
  const model::Service& service = context.service(workload.leader);
  const bool ends = workload.kind == Kind::job || workload.kind == Kind::cron_job;
  if (service.deploy && service.deploy->endpoint_mode == "dnsrr") annotate(metadata, "endpoint-mode", "dnsrr");
  if (service.deploy && service.deploy->mode != "global" && service.deploy->mode != "replicated")
    annotate(metadata, "mode", service.deploy->mode);
  if (service.deploy && service.deploy->restart_policy) {
    annotate(metadata, "restart", "policy:" + service.deploy->restart_policy->condition);
  } else if (service.restart.empty()) {
    annotate(metadata, "restart", "unset");
  } else if (ends ? service.restart == "always" || service.restart == "unless-stopped" : service.restart != "always") {
    annotate(metadata, "restart", service.restart);
  }
}

}  // namespace

PodOf pod_of(const model::Project& project, const std::string& service) {
  const std::string first = leader(project, service);
  PodOf pod{.names = {dns_label(first)}};
  if (std::string cut = dns_label(first, kMost); cut != pod.names[0]) pod.names.push_back(std::move(cut));
  pod.shared = std::any_of(project.services.begin(), project.services.end(), [&](const auto& other) {
    return other.first != service && !other.second.provider && leader(project, other.first) == first;
  });
  return pod;
}

void plan_workloads(Context& context) {
  for (const auto& [name, service] : context.project.services) {
    if (service.provider) continue;
    const std::string first = leader(context.project, name);
    context.leader_of[name] = first;
    Workload& workload = context.workloads[first];
    workload.leader = first;
    if (name == first) {
      workload.members.insert(workload.members.begin(), name);
    } else {
      workload.members.push_back(name);
    }
  }
  std::map<std::string, std::string> names;
  for (auto& [name, workload] : context.workloads) {
    workload.kind = kind_of(context, name);
    workload.name = workload_name(context, workload);
    const auto [other, fresh] = names.emplace(workload.name, name);
    if (!fresh)
      context.problem("services." + name,
                      fmt::format("services \"{}\" and \"{}\" would both be called \"{}\" in Kubernetes: rename one",
                                  other->second, name, workload.name));
    note_schedule(context, workload);
    for (const std::string& member : workload.members) {
      note_restart(context, workload, member);
      if (member == name || context.service(member).replicas() == 1) continue;
      context.report.approximated("services." + member + ".scale", "one for each pod of " + name);
      context.report.approximated("services." + member + ".deploy.replicas", "one for each pod of " + name);
    }
  }
  if (const std::string label = dns_label(context.project.name); label != context.project.name) {
    context.out.names["name"] = label;
    context.report.approximated("name", fmt::format("label app.kubernetes.io/part-of: {}", label));
  }
}

Value job_spec(Context& context, const Workload& workload, Value pod) {
  const model::Service& service = context.service(workload.leader);
  const std::string path = "services." + workload.leader;
  Value spec = object({{"backoffLimit", number(backoff(service), context.at(path + ".restart"))}});
  if (const std::int64_t count = service.replicas(); count > 1) {
    put(spec, "completions", number(count, context.at(path + ".deploy.replicas")));
    put(spec, "parallelism", number(count));
  }
  put(spec, "template", std::move(pod));
  return spec;
}

void export_workload(Context& context, const Workload& workload) {
  const model::Service& service = context.service(workload.leader);
  const std::string path = "services." + workload.leader;
  Value metadata = context.metadata(workload.name, workload.name, context.at(path));
  for (const std::string& member : workload.members)
    put_labels(metadata, context.service(member).labels, context, "services." + member + ".labels");
  if (service.deploy)
    for (const auto& [key, value] : service.deploy->labels) {
      if (metadata.get("annotations") == nullptr) metadata.entries().set("annotations", Value::mapping());
      if (const std::string whole = fmt::format("{}deploy.{}", kPrefix, key); valid_annotation_key(whole))
        put_always(*metadata.get("annotations"), whole, text(value));
      else
        context.report.dropped(path + ".deploy.labels", fmt::format("\"{}\" cannot be a key in Kubernetes", key));
    }
  note_origins(context, workload, metadata);
  Value pod = pod_template(context, workload);
  Value spec = Value::mapping();
  const std::string_view api = workload.kind == Kind::job || workload.kind == Kind::cron_job ? "batch/v1" : "apps/v1";
  if (workload.kind == Kind::job) {
    spec = job_spec(context, workload, std::move(pod));
  } else if (workload.kind == Kind::cron_job) {
    spec = cron_job_spec(context, workload, job_spec(context, workload, std::move(pod)));
  } else {
    spec = object({{"selector", object({{"matchLabels", selector(context, workload)}})}, {"template", std::move(pod)}});
    if (workload.kind != Kind::daemon_set) {
      const bool given = service.scale || (service.deploy && service.deploy->replicas);
      const char* key = service.scale ? ".scale" : ".deploy.replicas";
      put(spec, "replicas", number(service.replicas(), given ? context.at(path + key) : Place{}));
    } else if (service.replicas() != 1) {
      context.report.dropped(path + (service.scale ? ".scale" : ".deploy.replicas"),
                             "a DaemonSet has one pod on each node");
    }
    if (workload.kind == Kind::stateful_set) put(spec, "serviceName", text(workload.name));
    rollout(context, workload, spec);
  }
  context.add(workload.name, api, kind_name(workload.kind), std::move(metadata), object({{"spec", std::move(spec)}}),
              context.at(path));
}

}  // namespace compose::kubernetes
