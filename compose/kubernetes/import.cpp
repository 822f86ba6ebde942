#include "compose/kubernetes/import.hpp"

#include <algorithm>
#include <set>

#include "compose/kubernetes/import_parts.hpp"

namespace compose::kubernetes {
namespace {

const char* const kWorkloadKinds[] = {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"};

void import_networks(const Cluster& cluster, Value& project) {
  Value networks = Value::mapping();
  for (const Value* policy : cluster.all("NetworkPolicy")) {
    const std::string name = annotation(*policy, "network");
    if (name.empty()) continue;
    Value network = Value::mapping();
    const Value* egress = dig(*policy, {"spec", "egress"});
    const bool open = egress != nullptr && egress->is_sequence() && egress->items().size() == 1 &&
                      egress->items()[0].is_mapping() && egress->items()[0].entries().empty();
    if (!open) put(network, "internal", flag(true));
    put(network, "labels", foreign_labels(need(policy->get("metadata"))));
    put_always(networks, name, network.entries().empty() ? Value{} : std::move(network));
  }
  put(project, "networks", std::move(networks));
}

void import_volumes(const Cluster& cluster, Value& project) {
  Value volumes = Value::mapping();
  for (const Value* claim : cluster.all("PersistentVolumeClaim")) {
    Value volume = Value::mapping();
    put(volume, "labels", foreign_labels(need(claim->get("metadata"))));
    const std::string name = cluster.original("volumes", text_at(*claim, {"metadata", "name"}));
    put_always(volumes, name, volume.entries().empty() ? Value{} : std::move(volume));
  }
  // Claims that pods name and the export did not make were there before.
  for (const Value* workload : cluster.workloads()) {
    const Value* list = dig(*template_of(*workload), {"spec", "volumes"});
    if (list == nullptr) continue;
    for (const Value& one : list->items()) {
      const std::string claim = text_at(one, {"persistentVolumeClaim", "claimName"});
      if (claim.empty() || cluster.find("PersistentVolumeClaim", claim) != nullptr) continue;
      const std::string name = cluster.original("volumes", text_at(one, {"name"}));
      put_always(volumes, name, object({{"name", text(claim)}, {"external", flag(true)}}));
    }
  }
  put(project, "volumes", std::move(volumes));
}

void import_files(const Cluster& cluster, Value& project) {
  Value configs = Value::mapping();
  for (const Value* map : cluster.all("ConfigMap")) {
    const std::string name = annotation(*map, "config");
    if (name.empty()) continue;
    Value config = object({{"labels", foreign_labels(need(map->get("metadata")))}});
    if (const Value* content = dig(*map, {"data", "content"}))
      put_always(config, "content", *content);
    else
      put_always(config, "content", text(from_base64(text_at(*map, {"binaryData", "content"}))));
    put_always(configs, name, std::move(config));
  }
  Value secrets = Value::mapping();
  for (const Value* workload : cluster.workloads()) {
    const Value* list = dig(*template_of(*workload), {"spec", "volumes"});
    if (list == nullptr) continue;
    for (const Value& one : list->items()) {
      const std::string secret = text_at(one, {"secret", "secretName"});
      if (!secret.empty())
        put_always(secrets, cluster.original("secrets", secret),
                   object({{"name", text(secret)}, {"external", flag(true)}}));
      const std::string map = text_at(one, {"configMap", "name"});
      const bool config = text_at(one, {"name"}).starts_with("config-");
      if (config && cluster.find("ConfigMap", map) == nullptr)
        put_always(configs, cluster.original("configs", map), object({{"name", text(map)}, {"external", flag(true)}}));
    }
  }
  put(project, "configs", std::move(configs));
  put(project, "secrets", std::move(secrets));
}

}  // namespace

Cluster::Cluster(const std::vector<Value>& objects) {
  for (const Value& one : objects) {
    const std::string kind = text_at(one, {"kind"});
    by_kind_[kind][text_at(one, {"metadata", "name"})] = &one;
    for (const auto& [key, name] : pairs_of(annotation(one, "names"))) names_[key] = name;
  }
  for (const char* kind : kWorkloadKinds)
    for (const Value* one : all(kind))
      if (template_of(*one) != nullptr && annotation(*one, "pre-start-of").empty()) workloads_.push_back(one);
}

const Value* Cluster::find(const std::string& kind, const std::string& name) const {
  const auto found = by_kind_.find(kind);
  if (found == by_kind_.end()) return nullptr;
  const auto one = found->second.find(name);
  return one == found->second.end() ? nullptr : one->second;
}

std::vector<const Value*> Cluster::all(const std::string& kind) const {
  std::vector<const Value*> out;
  const auto found = by_kind_.find(kind);
  if (found == by_kind_.end()) return out;
  for (const auto& [name, one] : found->second) out.push_back(one);
  return out;
}

std::string Cluster::original(const std::string& section, const std::string& name) const {
  const auto found = names_.find(section + "/" + name);
  return found == names_.end() ? name : found->second;
}

std::string annotation(const Value& one, std::string_view key) {
  return text_at(one, {"metadata", "annotations", fmt::format("{}{}", kPrefix, key)});
}

std::map<std::string, std::string> pairs_of(const std::string& text) {
  std::map<std::string, std::string> pairs;
  if (text.empty()) return pairs;
  for (const std::string& part : split(text, ',')) {
    const std::size_t equals = part.find('=');
    if (equals != std::string::npos) pairs[part.substr(0, equals)] = part.substr(equals + 1);
  }
  return pairs;
}

Value foreign_labels(const Value& metadata) {
  Value labels = Value::mapping();
  for (const char* section : {"labels", "annotations"})
    if (const Value* all = metadata.get(section))
      for (const yaml::Entry& entry : all->entries())
        if (!entry.key.starts_with(kPrefix) && entry.key != kNameLabel && entry.key != kPartOfLabel &&
            entry.key != kManagedByLabel)
          put_always(labels, entry.key, entry.value);
  return labels;
}

const Value* template_of(const Value& workload) {
  const Value* found = dig(workload, {"spec", "template"});
  return found != nullptr ? found : dig(workload, {"spec", "jobTemplate", "spec", "template"});
}

Strings strings_of(const Value* list) {
  Strings out;
  if (list != nullptr && list->is_sequence())
    for (const Value& item : list->items())
      if (item.is_string()) out.push_back(item.as_string());
  return out;
}

Strings unescape_references(const Strings& words) {
  Strings out;
  for (const std::string& word : words) {
    std::string plain;
    for (std::size_t i = 0; i < word.size(); ++i) {
      plain += word[i];
      if (word[i] == '$' && i + 2 < word.size() + 1 && i + 1 < word.size() && word[i + 1] == '$') ++i;
    }
    out.push_back(std::move(plain));
  }
  return out;
}

namespace {

Result<Imported> import_all(const std::vector<Value>& objects) {
  const Cluster cluster{objects};
  Imported out;
  if (cluster.workloads().empty())
    return make_error(Errc::invalid, "there is no Deployment, StatefulSet, DaemonSet, Job or CronJob in it");
  Value services = Value::mapping();
  std::string name;
  for (const Value* workload : cluster.workloads()) {
    name = text_at(*workload, {"metadata", "labels", kPartOfLabel});
    if (text_at(*workload, {"metadata", "labels", kManagedByLabel}) != "compose")
      out.ignored.push_back(
          fmt::format("{}/{}", text_at(*workload, {"kind"}), text_at(*workload, {"metadata", "name"})));
    else
      import_workload(cluster, *workload, services);
  }
  if (services.entries().empty())
    return make_error(Errc::invalid, "nothing in it was exported by compose (label {}: compose)", kManagedByLabel);
  out.project = object({{"name", text(name)}, {"services", std::move(services)}});
  import_networks(cluster, out.project);
  import_volumes(cluster, out.project);
  import_files(cluster, out.project);
  return out;
}

}  // namespace

Result<Imported> import_objects(const std::vector<Value>& objects) {
  try {
    return import_all(objects);
  } catch (const std::exception&) {
    return make_error(
        Errc::invalid,
        "an object does not have the shape of its kind: only what \"export kubernetes\" wrote can be imported");
  }
}

}  // namespace compose::kubernetes
