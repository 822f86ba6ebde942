#include "compose/kubernetes/export.hpp"

#include <algorithm>

#include "base/strings.hpp"
#include "compose/kubernetes/context.hpp"
#include "yaml/write.hpp"

namespace compose::kubernetes {

namespace {

// The name of a label has 63 characters, "network." among them.
constexpr std::size_t kMostOfLabel = 50;

int rank(const Value& object) {
  constexpr std::string_view kOrder[] = {"ServiceAccount",        "Role",   "RoleBinding", "ConfigMap", "Secret",
                                         "PersistentVolumeClaim", "Service"};
  const std::string kind = text_at(object, {"kind"});
  const auto* found = std::find(std::begin(kOrder), std::end(kOrder), kind);
  return static_cast<int>(found - std::begin(kOrder));
}

void sort_manifests(std::vector<Manifest>& manifests) {
  const auto key = [](const Manifest& m) {
    return std::make_tuple(m.group, rank(m.object), text_at(m.object, {"kind"}),
                           text_at(m.object, {"metadata", "name"}));
  };
  std::ranges::stable_sort(manifests, {}, key);
}

/// Where an object was asked for: a line of a file, else the file of manifests it goes to.
std::string origin(const Export& out, const Manifest& manifest) {
  const Place place = manifest.object.get("kind")->place;
  if (!place.known() || place.source == 0) return fmt::format("{}.yaml", manifest.group);
  return fmt::format("{}:{}", out.files[place.source - 1], place.line);
}

/// Names that are different in Compose may come to the same ("web" with ports has a Service web-published).
void check_names(Export& out) {
  std::map<std::pair<std::string, std::string>, const Manifest*> known;
  for (const Manifest& manifest : out.manifests) {
    const std::string kind = text_at(manifest.object, {"kind"});
    const std::string name = text_at(manifest.object, {"metadata", "name"});
    const auto [other, fresh] = known.emplace(std::pair{kind, name}, &manifest);
    if (fresh) continue;
    const Place place = manifest.object.get("kind")->place;
    model::SourcePos pos;
    if (place.known() && place.source > 0) pos = {out.files[place.source - 1], place.line, place.column};
    out.problems.push_back({{},
                            pos,
                            fmt::format("{} \"{}\" would be made twice, for {} and for {}: rename one", kind, name,
                                        origin(out, *other->second), origin(out, manifest))});
  }
}

}  // namespace

Export export_project(const model::Project& project, const Options& options) {
  Context context{project, options};
  plan_workloads(context);
  plan_volumes(context);
  plan_services(context);
  export_configs(context);
  export_claims(context);
  for (const auto& [leader, workload] : context.workloads) {
    export_workload(context, workload);
    export_hooks(context, workload);
    export_services(context, workload);
    for (const std::string& member : workload.members) export_environment(context, member);
  }
  export_aliases(context);
  export_policies(context);
  context.out.findings = context.report.findings(project);
  sort_manifests(context.out.manifests);
  if (context.out.problems.empty()) check_names(context.out);
  return std::move(context.out);
}

Strings wanted_paths(const model::Project& project) {
  std::set<std::string> paths;
  for (const auto& [name, service] : project.services)
    for (const model::Mount& mount : service.volumes)
      if (mount.type == "bind") paths.insert(mount.source);
  for (const auto* objects : {&project.configs, &project.secrets})
    for (const auto& [name, object] : *objects)
      if (!object.file.empty()) paths.insert(object.file);
  return {paths.begin(), paths.end()};
}

Strings groups(const Export& exported) {
  std::set<std::string> names;
  for (const Manifest& manifest : exported.manifests) names.insert(manifest.group);
  return {names.begin(), names.end()};
}

std::string render(const Export& exported, std::string_view group) {
  std::string text;
  const yaml::Comment comment = [&](const Place& place) {
    if (!place.known() || place.source == 0 || place.source > exported.files.size()) return std::string{};
    return fmt::format("{}:{}", exported.files[place.source - 1], place.line);
  };
  yaml::WriteOptions options;
  options.comment = &comment;
  for (const Manifest& manifest : exported.manifests) {
    if (manifest.group != group) continue;
    if (!text.empty()) text += "---\n";
    text += yaml::to_yaml(manifest.object, options);
  }
  return text;
}

std::string_view kind_name(Kind kind) {
  constexpr std::string_view kNames[] = {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"};
  return kNames[static_cast<std::size_t>(kind)];
}

const ImageFacts& Context::image(const std::string& service_name) const {
  static const ImageFacts kNothing;
  const auto found = options.images.find(service_name);
  return found == options.images.end() ? kNothing : found->second;
}

Place Context::at(const std::string& path) {
  const model::SourcePos pos = project.where(path);
  if (!pos.known()) return {};
  auto found = std::find(out.files.begin(), out.files.end(), pos.file);
  if (found == out.files.end()) found = out.files.insert(out.files.end(), pos.file);
  return {static_cast<std::uint32_t>(found - out.files.begin() + 1), pos.line, pos.column};
}

void Context::problem(const std::string& path, std::string message) {
  for (const Problem& known : out.problems)
    if (known.path == path && known.message == message) return;
  out.problems.push_back({path, project.where(path), std::move(message)});
}

std::string Context::name_of(const std::string& section, const std::string& name) {
  std::string label = dns_label(name);
  if (label != name) out.names[section + "." + name] = label;
  return label;
}

void Context::note_name(const std::string& section, const std::string& key, const std::string& actual, bool external) {
  const std::string path = fmt::format("{}.{}.name", section, key);
  if (external && dns_label(actual) != actual)
    return report.approximated(path,
                               fmt::format("the object that must be there already is called {}", dns_label(actual)));
  if (external) return report.exact(path, "the object must be there already");
  if (actual != project.name + "_" + key) return;  // what the table says: a name somebody chose
  if (dns_label(project.name) == project.name)
    report.exact(path, "the object is called by the key");
  else
    report.approximated(path, "follows the name of the project");
}

Value Context::metadata(const std::string& name, const std::string& component, Place place) {
  Value labels = object({{kManagedByLabel, text("compose")}, {kPartOfLabel, text(dns_label(project.name))}});
  if (!component.empty()) put(labels, kNameLabel, text(component));
  return object({{"name", text(name, place)}, {"labels", std::move(labels)}});
}

void Context::add(std::string group, std::string_view api, std::string_view kind, Value metadata_, Value body,
                  Place place) {
  Value manifest = object({{"apiVersion", text(std::string{api})},
                           {"kind", text(std::string{kind}, place)},
                           {"metadata", std::move(metadata_)}});
  for (auto& entry : body.entries()) put_always(manifest, entry.key, std::move(entry.value));
  out.manifests.push_back({std::move(group), std::move(manifest)});
}

Value selector(const Context& context, const Workload& workload) {
  return object({{kNameLabel, text(workload.name)}, {kPartOfLabel, text(dns_label(context.project.name))}});
}

std::string network_label(const std::string& network) {
  return fmt::format("{}network.{}", kPrefix, dns_label(network, kMostOfLabel));
}
std::string alias_label(const std::string& alias) {
  return fmt::format("{}alias.{}", kPrefix, dns_label(alias, kMostOfLabel));
}
std::string volume_label(const std::string& volume) {
  return fmt::format("{}volume.{}", kPrefix, dns_label(volume, kMostOfLabel));
}

std::string instruction(const model::StringMap& labels, std::string_view key) {
  const auto found = labels.find(fmt::format("kubernetes.{}", key));
  return found == labels.end() ? std::string{} : found->second;
}

void put_labels(Value& metadata, const model::StringMap& labels, Context& context, const std::string& path) {
  bool all = true;
  for (const auto& [key, value] : labels) {
    const bool ours = key.starts_with("app.kubernetes.io/") || key.starts_with(kPrefix);
    if (ours || !valid_annotation_key(key)) {
      context.report.dropped(path, fmt::format("\"{}\" cannot be a key in Kubernetes: rename it", key));
      all = false;
      continue;
    }
    const bool label = valid_label(key, value);
    Value* target = metadata.get(label ? "labels" : "annotations");
    if (target == nullptr) {
      metadata.entries().set(label ? "labels" : "annotations", Value::mapping());
      target = metadata.get(label ? "labels" : "annotations");
    }
    put_always(*target, key, text(value, context.at(path + "." + key)));
  }
  if (all) context.report.exact(path, "labels where Kubernetes allows it, else annotations of the object");
}

}  // namespace compose::kubernetes
