#include "compose/compare/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/strings.hpp"
#include "yaml/write.hpp"

namespace compose::compare {
namespace {

using yaml::Entry;
using yaml::Mapping;
using yaml::Place;
using yaml::Value;

/// One value of one side; the key's place stands in for values the loader made from a key.
struct Found {
  const Value* value = nullptr;
  Place key{};
};

std::string shown(const Value& value) {
  if (const std::string* text = value.if_string()) return *text;
  return yaml::to_json(value, {true, false, false});
}

/// What an item of an unordered list is known by: the target of a port or a mount, the source of a secret, itself.
std::string identity(const Value& item) {
  if (!item.is_mapping()) return shown(item);
  for (const char* key : {"target", "source", "path"}) {
    const Value* value = item.get(key);
    if (value == nullptr) continue;
    const Value* protocol = item.get("protocol");
    return shown(*value) + (protocol != nullptr && shown(*protocol) != "tcp" ? "/" + shown(*protocol) : std::string{});
  }
  return shown(item);
}

bool is_unordered(std::string_view setting) {
  constexpr std::string_view kKeys[] = {"ports",    "volumes",   "secrets", "configs",      "networks", "cap_add",
                                        "cap_drop", "env_file",  "expose",  "security_opt", "profiles", "tmpfs",
                                        "devices",  "group_add", "links",   "labels",       "dns",      "extra_hosts"};
  return std::ranges::find(kKeys, setting) != std::ranges::end(kKeys);
}

class Comparison {
 public:
  explicit Comparison(const std::vector<const load::LoadResult*>& sides) : sides_{sides} {}

  std::vector<Row> run() {
    static constexpr std::pair<const char*, const char*> kSections[] = {
        {"services", "service"}, {"networks", "network"}, {"volumes", "volume"},
        {"secrets", "secret"},   {"configs", "config"},   {"models", "model"}};
    for (const auto& [key, word] : kSections) {
      const std::vector<Found> roots = children(whole(), key);
      for (const std::string& name : keys(roots)) {
        section_ = fmt::format("{} {}", word, name);
        compare(children(roots, name), {}, key);
      }
    }
    return std::move(rows_);
  }

 private:
  std::vector<Found> whole() const {
    std::vector<Found> found;
    for (const load::LoadResult* side : sides_) found.push_back({&side->canonical});
    return found;
  }

  static std::vector<Found> children(const std::vector<Found>& parents, std::string_view key) {
    std::vector<Found> found;
    for (const Found& parent : parents) {
      const Mapping* mapping = parent.value == nullptr ? nullptr : parent.value->if_mapping();
      const Entry* entry = mapping == nullptr ? nullptr : mapping->find(key);
      found.push_back(entry == nullptr ? Found{} : Found{&entry->value, entry->key_place});
    }
    return found;
  }

  static std::vector<std::string> keys(const std::vector<Found>& parents) {
    std::vector<std::string> names;
    for (const Found& parent : parents)
      if (const Mapping* mapping = parent.value == nullptr ? nullptr : parent.value->if_mapping())
        for (const Entry& entry : *mapping) names.push_back(entry.key);
    std::ranges::sort(names);
    names.erase(std::ranges::unique(names).begin(), names.end());
    return names;
  }

  static bool all_same(const std::vector<Found>& values) {
    return std::ranges::all_of(values, [&](const Found& one) {
      if (one.value == nullptr || values[0].value == nullptr) return one.value == values[0].value;
      return one.value->same_as(*values[0].value);
    });
  }

  template <typename Is>
  static bool all(const std::vector<Found>& values, Is is) {
    return std::ranges::all_of(values, [&](const Found& one) { return one.value == nullptr || is(*one.value); });
  }

  void compare(const std::vector<Found>& values, const std::string& setting, std::string_view key) {
    if (all_same(values)) return;
    const bool top = setting.empty();
    if (top && std::ranges::any_of(values, [](const Found& one) { return one.value == nullptr; }))
      return add(setting, values);
    if (all(values, [](const Value& value) { return value.is_mapping(); })) {
      for (const std::string& name : keys(values)) {
        if (top && name == "name" && (key == "networks" || key == "volumes" || key == "secrets" || key == "configs"))
          continue;  // made from the project's name
        compare(children(values, name), top ? name : setting + "." + name, name);
      }
    } else if (all(values, [](const Value& value) { return value.is_sequence(); }) && is_unordered(key)) {
      compare_sets(values, setting);
    } else {
      add(setting, values);
    }
  }

  void compare_sets(const std::vector<Found>& values, const std::string& setting) {
    std::map<std::string, std::vector<Found>> items;
    for (std::size_t side = 0; side < values.size(); ++side) {
      if (values[side].value == nullptr) continue;
      std::map<std::string, int> seen;
      for (const Value& item : values[side].value->items()) {
        std::string name = identity(item);
        if (const int count = ++seen[name]; count > 1) name += fmt::format("#{}", count);
        auto& found = items[name];
        found.resize(values.size());
        found[side] = {&item, item.place};
      }
    }
    for (const auto& [name, found] : items)
      if (!all_same(found)) add(fmt::format("{}[{}]", setting, name), found);
  }

  void add(const std::string& setting, const std::vector<Found>& values) {
    Row row{section_, setting, {}};
    for (std::size_t side = 0; side < values.size(); ++side) {
      Cell cell;
      if (const Value* value = values[side].value) {
        cell.there = true;
        cell.value = setting.empty() ? "defined" : shown(*value);
        cell.place = sides_[side]->sources.describe(value->place.known() ? value->place : values[side].key);
      }
      row.cells.push_back(std::move(cell));
    }
    rows_.push_back(std::move(row));
  }

  const std::vector<const load::LoadResult*>& sides_;
  std::string section_;
  std::vector<Row> rows_;
};

}  // namespace

std::vector<Row> compare(const std::vector<const load::LoadResult*>& sides) { return Comparison{sides}.run(); }

}  // namespace compose::compare
