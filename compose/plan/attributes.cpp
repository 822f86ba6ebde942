#include "compose/plan/attributes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"

namespace compose::plan {
namespace {

using nlohmann::json;

constexpr std::size_t kLongest = 120;  // bytes of a value that are shown

bool single(const json& value) { return !value.is_object() && !value.is_array(); }

void flatten(const json& value, const std::string& path, Attributes& out) {
  if (value.is_object()) {
    for (const auto& [name, inner] : value.items()) flatten(inner, path.empty() ? name : path + "." + name, out);
    if (value.empty()) out[path] = "{}";
  } else if (value.is_array() && !std::ranges::all_of(value, single)) {
    for (std::size_t i = 0; i < value.size(); ++i) flatten(value[i], fmt::format("{}[{}]", path, i), out);
  } else {
    out[path] = value.dump(-1, ' ', false, json::error_handler_t::replace);
  }
}

std::string shown(const std::string& value) {
  if (value.empty()) return "(none)";
  if (value.size() <= kLongest) return value;
  return value.substr(0, kLongest) + fmt::format("… ({} bytes)", value.size());
}

}  // namespace

Attributes attributes_of(const model::Service& service) {
  json tree = json::parse(model::service_to_json(service), nullptr, false);
  Attributes attributes;
  if (!tree.is_object()) return attributes;
  for (const char* key : {"build", "pull_policy", "scale", "depends_on", "profiles"}) tree.erase(key);
  if (tree.contains("deploy")) tree["deploy"].erase("replicas");
  flatten(tree, "", attributes);
  attributes.erase("deploy");  // nothing but replicas
  return attributes;
}

std::string attributes_to_json(const Attributes& attributes) {
  return json(attributes).dump(-1, ' ', false, json::error_handler_t::replace);
}

Attributes attributes_from_json(std::string_view text) {
  const json object = json::parse(text, nullptr, false);
  Attributes attributes;
  if (!object.is_object()) return attributes;
  for (const auto& [path, value] : object.items()) {
    if (value.is_string()) attributes[path] = value.get<std::string>();
  }
  return attributes;
}

std::vector<AttributeChange> changes_between(const Attributes& before, const Attributes& after) {
  std::vector<AttributeChange> changes;
  for (const auto& [path, value] : before) {
    const auto now = after.find(path);
    if (now == after.end()) {
      changes.push_back({path, value, ""});
    } else if (now->second != value) {
      changes.push_back({path, value, now->second});
    }
  }
  for (const auto& [path, value] : after) {
    if (!before.contains(path)) changes.push_back({path, "", value});
  }
  std::ranges::sort(changes, {}, &AttributeChange::path);
  return changes;
}

bool is_confidential(std::string_view path) {
  if (!path.starts_with("environment.")) return false;
  std::string name{path};
  for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return std::ranges::any_of(std::initializer_list<const char*>{"PASSW", "SECRET", "TOKEN", "KEY", "CREDENTIAL"},
                             [&](const char* word) { return name.find(word) != std::string::npos; });
}

std::string change_text(const AttributeChange& change) {
  if (is_confidential(change.path)) return change.after.empty() ? "(not shown) → (none)" : "changed (not shown)";
  return shown(change.before) + " → " + shown(change.after);
}

}  // namespace compose::plan
