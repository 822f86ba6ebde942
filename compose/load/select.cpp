#include "compose/load/select.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "compose/schema/suggest.hpp"

namespace compose::load {
namespace {

using Names = std::set<std::string, std::less<>>;

bool enabled(const Value& service, const std::vector<std::string>& active) {
  const Value* profiles = service.get("profiles");
  if (profiles == nullptr || !profiles->is_sequence() || profiles->items().empty()) return true;
  for (const std::string& name : active) {
    if (name == "*") return true;
    for (const Value& profile : profiles->items()) {
      if (profile.is_string() && profile.as_string() == name) return true;
    }
  }
  return false;
}

void collect(const Mapping& services, const std::string& name, Names& keep) {
  std::vector<std::string> open{name};
  while (!open.empty()) {
    const std::string next = std::move(open.back());
    open.pop_back();
    const Value* service = services.get(next);
    if (service == nullptr || !keep.insert(next).second) continue;
    const Value* dependencies = service->get("depends_on");
    if (dependencies == nullptr || !dependencies->is_mapping()) continue;
    for (const Entry& dependency : dependencies->entries()) open.push_back(dependency.key);
  }
}

void add_sources(const Value* list, Names& names) {
  if (list == nullptr || !list->is_sequence()) return;
  for (const Value& item : list->items()) {
    if (const Value* source = item.get("source"); source != nullptr && source->is_string()) {
      names.insert(source->as_string());
    }
  }
}

void add_keys(const Value* mapping, Names& names) {
  if (mapping == nullptr || !mapping->is_mapping()) return;
  for (const Entry& entry : mapping->entries()) names.insert(entry.key);
}

void keep_only(Value& project, std::string_view section, const Names& names) {
  Value* resources = project.get(section);
  if (resources == nullptr || !resources->is_mapping()) return;
  resources->entries().filter([&](const Entry& entry) { return names.contains(entry.key); });
  if (resources->entries().empty()) project.entries().erase(section);
}

}  // namespace

void split_by_profiles(Value& project, Value& disabled, const std::vector<std::string>& profiles) {
  Value* services = project.get("services");
  if (services == nullptr || !services->is_mapping()) return;
  services->entries().filter([&](Entry& entry) {
    if (enabled(entry.value, profiles)) return true;
    disabled.entries().add(entry.key, entry.key_place, std::move(entry.value));
    return false;
  });
}

void select_services(Value& project, Value& disabled, const std::vector<std::string>& names,
                     std::vector<std::string>& profiles, Session& session) {
  Value* services = project.get("services");
  if (names.empty() || services == nullptr || !services->is_mapping()) return;
  std::vector<std::string> known;
  for (const Entry& entry : services->entries()) known.push_back(entry.key);
  for (const std::string& name : names) {
    if (services->get(name) != nullptr) continue;
    const Value* service = disabled.get(name);
    if (service == nullptr) {
      session.diagnostics.error({}, "services", fmt::format("no such service: {}", name),
                                schema::did_you_mean(name, known));
      continue;
    }
    // A service that is named is wanted, and with it its profiles.
    for (const Value& profile : service->get("profiles")->items()) {
      if (profile.is_string()) profiles.push_back(profile.as_string());
    }
  }
  Value still_disabled = Value::mapping();
  for (Entry& entry : disabled.entries()) {
    Mapping& to = enabled(entry.value, profiles) ? services->entries() : still_disabled.entries();
    to.add(entry.key, entry.key_place, std::move(entry.value));
  }
  disabled = std::move(still_disabled);
  Names keep;
  for (const std::string& name : names) collect(services->entries(), name, keep);
  services->entries().filter([&](Entry& entry) {
    if (keep.contains(entry.key)) return true;
    disabled.entries().set(entry.key, std::move(entry.value));
    return false;
  });
  for (Entry& entry : services->entries()) {
    Value* dependencies = entry.value.get("depends_on");
    if (dependencies == nullptr || !dependencies->is_mapping()) continue;
    dependencies->entries().filter([&](const Entry& dependency) { return keep.contains(dependency.key); });
    if (dependencies->entries().empty()) entry.value.entries().erase("depends_on");
  }
}

void drop_unused(Value& project) {
  Names networks;
  Names volumes;
  Names secrets;
  Names configs;
  Names models;
  if (const Value* services = project.get("services"); services != nullptr && services->is_mapping()) {
    for (const Entry& entry : services->entries()) {
      const Value& service = entry.value;
      add_keys(service.get("networks"), networks);
      add_keys(service.get("models"), models);
      add_sources(service.get("secrets"), secrets);
      add_sources(service.get("configs"), configs);
      if (const Value* build = service.get("build")) add_sources(build->get("secrets"), secrets);
      const Value* mounts = service.get("volumes");
      if (mounts == nullptr || !mounts->is_sequence()) continue;
      for (const Value& mount : mounts->items()) {
        const Value* type = mount.get("type");
        const Value* source = mount.get("source");
        if (type == nullptr || source == nullptr || !type->is_string() || !source->is_string()) continue;
        if (type->as_string() == "volume") volumes.insert(source->as_string());
      }
    }
  }
  keep_only(project, "networks", networks);
  keep_only(project, "volumes", volumes);
  keep_only(project, "secrets", secrets);
  keep_only(project, "configs", configs);
  keep_only(project, "models", models);
}

}  // namespace compose::load
