#include "compose/kubernetes/folder.hpp"

#include <algorithm>
#include <set>

#include "base/strings.hpp"
#include "compose/kubernetes/context.hpp"
#include "yaml/write.hpp"

namespace compose::kubernetes {
namespace {

using Key = std::tuple<std::string, std::string, std::string>;  // apiVersion, kind, name

Key key_of(const Value& object_) {
  return {text_at(object_, {"apiVersion"}), text_at(object_, {"kind"}), text_at(object_, {"metadata", "name"})};
}

std::map<Key, const Value*> by_key(const Export& exported) {
  std::map<Key, const Value*> all;
  for (const Manifest& manifest : exported.manifests) all[key_of(manifest.object)] = &manifest.object;
  return all;
}

// RFC 6901: "~" and "/" of a key.
std::string pointer(const std::string& key) {
  std::string out;
  for (const char c : key) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

void operation(Value& operations, const char* what, const std::string& path, const Value* value) {
  Value op = object({{"op", text(what)}, {"path", text(path)}});
  if (value != nullptr) put_always(op, "value", *value);
  append(operations, std::move(op));
}

// Whether two items of lists are the same thing, maybe changed.
bool same_item(const Value& a, const Value& b) {
  if (!a.is_mapping() || !b.is_mapping()) return a.is_scalar() && b.is_scalar();
  for (const char* name : {"name", "mountPath", "ip", "key", "op"}) {
    const Value* left = a.get(name);
    const Value* right = b.get(name);
    if ((left == nullptr) != (right == nullptr)) return false;
    if (left != nullptr && !left->same_as(*right)) return false;
  }
  return true;
}

void difference(const Value& from, const Value& to, const std::string& path, Value& operations);

void difference_of_lists(const Value& from, const Value& to, const std::string& path, Value& operations) {
  const auto& a = from.items();
  const auto& b = to.items();
  const bool alike = a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), same_item);
  if (!alike) {
    operation(operations, "replace", path, &to);
    return;
  }
  for (std::size_t i = 0; i < a.size(); ++i) difference(a[i], b[i], fmt::format("{}/{}", path, i), operations);
}

void difference(const Value& from, const Value& to, const std::string& path, Value& operations) {
  if (from.same_as(to)) return;
  if (from.is_sequence() && to.is_sequence()) return difference_of_lists(from, to, path, operations);
  if (!from.is_mapping() || !to.is_mapping()) return operation(operations, "replace", path, &to);
  for (const yaml::Entry& entry : from.entries())
    if (to.get(entry.key) == nullptr) operation(operations, "remove", path + "/" + pointer(entry.key), nullptr);
  for (const yaml::Entry& entry : to.entries()) {
    const Value* before = from.get(entry.key);
    const std::string below = path + "/" + pointer(entry.key);
    if (before == nullptr)
      operation(operations, "add", below, &entry.value);
    else
      difference(*before, entry.value, below, operations);
  }
}

Value kustomization() {
  return object({{"apiVersion", text("kustomize.config.k8s.io/v1beta1")}, {"kind", text("Kustomization")}});
}

Value target_of(const Key& key) {
  const auto& [api, kind, name] = key;
  const std::size_t slash = api.find('/');
  Value target = object({{"kind", text(kind)},
                         {"name", text(name)},
                         {"version", text(slash == std::string::npos ? api : api.substr(slash + 1))}});
  if (slash != std::string::npos) put(target, "group", text(api.substr(0, slash)));
  return target;
}

std::string as_yaml(const Export& exported, const Value& value) {
  const yaml::Comment comment = [&](const Place& place) {
    if (!place.known() || place.source == 0 || place.source > exported.files.size()) return std::string{};
    return fmt::format("{}:{}", exported.files[place.source - 1], place.line);
  };
  yaml::WriteOptions options;
  options.comment = &comment;
  return yaml::to_yaml(value, options);
}

/// Objects of the base that some environment does not have. kubectl before 1.21 leaves an empty object behind where a
/// patch deletes one, so nothing is deleted: the base then is a folder "common" and these.
std::set<Key> optional_objects(const Export& base, const std::vector<Environment>& environments) {
  std::set<Key> keys;
  for (const Environment& environment : environments) {
    const auto there = by_key(environment.exported);
    for (const auto& [key, unused] : by_key(base))
      if (!there.contains(key)) keys.insert(key);
  }
  return keys;
}

void add_overlay(Folder& folder, const Export& base, const Environment& environment, const std::set<Key>& optional) {
  const std::string place = fmt::format("overlays/{}/", environment.name);
  auto before = by_key(base);
  for (const Key& key : optional) before.erase(key);
  Value file = kustomization();
  put(file, "bases", texts({optional.empty() ? "../../base" : "../../common"}));
  if (!environment.namespace_name.empty()) put(file, "namespace", text(environment.namespace_name));
  Value patches = Value::sequence();
  std::map<std::string, std::string> added;
  for (const Manifest& manifest : environment.exported.manifests) {
    const Key key = key_of(manifest.object);
    const auto known = before.find(key);
    if (known == before.end()) {
      std::string& whole = added[manifest.group + ".yaml"];
      whole += (whole.empty() ? "" : "---\n") + as_yaml(environment.exported, manifest.object);
      continue;
    }
    Value operations = Value::sequence();
    difference(*known->second, manifest.object, "", operations);
    if (operations.items().empty()) continue;
    const std::string name = fmt::format("{}-{}.patch.yaml", std::get<2>(key), to_lower(std::get<1>(key)));
    folder[place + name] = as_yaml(environment.exported, operations);
    append(patches, object({{"path", text(name)}, {"target", target_of(key)}}));
  }
  Strings resources;
  for (auto& [name, whole] : added) {
    resources.push_back(name);
    folder[place + name] = std::move(whole);
  }
  put(file, "resources", texts(resources));
  put(file, "patchesJson6902", std::move(patches));
  folder[place + "kustomization.yaml"] = yaml::to_yaml(file);
}

}  // namespace

Folder folder_of(const Export& base, const std::vector<Environment>& environments, const std::string& namespace_name) {
  Folder folder;
  const std::set<Key> optional = optional_objects(base, environments);
  std::map<std::string, Strings> resources;
  for (const Manifest& manifest : base.manifests) {
    const bool common = !optional.empty() && !optional.contains(key_of(manifest.object));
    const std::string place = common ? "common" : "base";
    const std::string name = manifest.group + ".yaml";
    std::string& whole = folder[place + "/" + name];
    if (whole.empty()) resources[place].push_back(name);
    whole += (whole.empty() ? "" : "---\n") + as_yaml(base, manifest.object);
  }
  Value file = kustomization();
  if (!namespace_name.empty()) put(file, "namespace", text(namespace_name));
  if (!optional.empty()) {
    Value common = kustomization();
    put(common, "resources", texts(resources["common"]));
    folder["common/kustomization.yaml"] = yaml::to_yaml(common);
    put(file, "bases", texts({"../common"}));
  }
  put(file, "resources", texts(resources["base"]));
  folder["base/kustomization.yaml"] = yaml::to_yaml(file);
  for (const Environment& environment : environments) {
    add_overlay(folder, base, environment, optional);
    folder[fmt::format("overlays/{}/report.json", environment.name)] = report_json(environment.exported.findings);
  }
  folder["report.json"] = report_json(base.findings);
  if (!base.names.empty()) {
    Value names = Value::mapping();
    for (const auto& [from, to] : base.names) put_always(names, from, Value::string(to));
    folder["names.json"] = yaml::to_json(names) + "\n";
  }
  return folder;
}

std::string stream_of(const Export& exported) {
  std::string all;
  for (const std::string& group : groups(exported)) all += (all.empty() ? "" : "---\n") + render(exported, group);
  return all;
}

}  // namespace compose::kubernetes
