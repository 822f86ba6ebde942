#include <fmt/format.h>

#include <optional>
#include <unordered_map>

#include "base/strings.hpp"
#include "compose/load/merge.hpp"
#include "compose/load/short_syntax.hpp"

namespace compose::load {
namespace {

enum class Key { name, mount, device, expose, port, env_file, secret, config };

const Rules<Key>& rules() {
  static const Rules<Key> rules{
      {"networks.*.labels", Key::name},
      {"networks.*.ipam.options", Key::name},
      {"services.*.annotations", Key::name},
      {"services.*.build.args", Key::name},
      {"services.*.build.additional_contexts", Key::name},
      {"services.*.build.platform", Key::name},
      {"services.*.build.tags", Key::name},
      {"services.*.build.labels", Key::name},
      {"services.*.cap_add", Key::name},
      {"services.*.cap_drop", Key::name},
      {"services.*.devices", Key::device},
      {"services.*.configs", Key::config},
      {"services.*.deploy.labels", Key::name},
      {"services.*.dns", Key::name},
      {"services.*.dns_opt", Key::name},
      {"services.*.dns_search", Key::name},
      {"services.*.environment", Key::name},
      {"services.*.env_file", Key::env_file},
      {"services.*.expose", Key::expose},
      {"services.*.labels", Key::name},
      {"services.*.links", Key::name},
      {"services.*.networks.*.aliases", Key::name},
      {"services.*.networks.*.link_local_ips", Key::name},
      {"services.*.ports", Key::port},
      {"services.*.profiles", Key::name},
      {"services.*.secrets", Key::secret},
      {"services.*.sysctls", Key::name},
      {"services.*.tmpfs", Key::name},
      {"services.*.volumes", Key::mount},
  };
  return rules;
}

std::string text_or(const Value* value, std::string other) {
  return value == nullptr ? std::move(other) : yaml::scalar_text(*value);
}

// The key of an item, or nothing when it has the wrong form (reported here when the schema would not).
class Indexer {
 public:
  explicit Indexer(Session& session) : session_{session} {}

  std::optional<std::string> key(Value& item, const Path& path, Key kind) {
    switch (kind) {
      case Key::name:
        return name(item, path);
      case Key::expose:
        if (item.is_string() || item.is_integer()) return yaml::scalar_text(item);
        session_.fail(item, path, fmt::format("unsupported expose value: {}", yaml::kind_name(item)),
                      "write a port or a range of ports, like \"8080\" or \"8000-8010\"");
        return std::nullopt;
      case Key::mount:
        return mount(item, path);
      case Key::device:
        return device(item, path);
      case Key::port:
        return port(item, path);
      case Key::env_file:
        if (!item.is_mapping()) return item.is_string() ? std::optional(item.as_string()) : std::nullopt;
        if (const Value* file = item.get("path")) return yaml::scalar_text(*file);
        session_.fail(item, path, "missing property \"path\" of the env file");
        return std::nullopt;
      case Key::secret:
        return reference(item, "/run/secrets");
      case Key::config:
        return reference(item, "");
    }
    return std::nullopt;
  }

 private:
  std::optional<std::string> name(Value& item, const Path& path) {
    if (const std::string* text = item.if_string()) return text->substr(0, text->find('='));
    if (item.is_mapping() || item.is_sequence()) {
      session_.fail(item, path, fmt::format("unexpected {} in this list", yaml::kind_name(item)), "write KEY=VALUE");
    }
    return std::nullopt;  // numbers are left to the schema
  }

  std::optional<std::string> mount(Value& item, const Path& path) {
    if (const std::string* text = item.if_string()) {
      const MountSpec spec = parse_mount(*text);
      return spec.error.empty() ? std::optional(spec.target) : std::nullopt;  // reported when expanded
    }
    if (!item.is_mapping()) return std::nullopt;
    const Value* target = item.get("target");
    if (target != nullptr && target->is_string()) return target->as_string();
    session_.fail(item, path, "this volume is missing a mount target", "add target: /path/in/the/container");
    return std::nullopt;
  }

  std::optional<std::string> device(Value& item, const Path& path) {
    if (const std::string* text = item.if_string()) {
      const auto parts = split(*text, ':');
      return parts.size() == 1 ? parts[0] : parts[1];
    }
    if (!item.is_mapping()) return std::nullopt;
    if (const Value* target = item.get("target"); target != nullptr && target->is_string()) return target->as_string();
    session_.fail(item, path, "this device is missing a mount target", "add target: /dev/name");
    return std::nullopt;
  }

  std::optional<std::string> port(Value& item, const Path& path) {
    if (item.is_string() || item.is_integer()) return yaml::scalar_text(item);
    if (!item.is_mapping()) return std::nullopt;
    const Value* target = item.get("target");
    if (target == nullptr) {
      session_.fail(item, path, "this port is missing a target port", "add target: the port in the container");
      return std::nullopt;
    }
    return fmt::format("{}:{}:{}/{}", text_or(item.get("host_ip"), "0.0.0.0"), text_or(item.get("published"), "<nil>"),
                       yaml::scalar_text(*target), text_or(item.get("protocol"), "tcp"));
  }

  static std::optional<std::string> reference(const Value& item, std::string_view folder) {
    if (const std::string* text = item.if_string()) return fmt::format("{}/{}", folder, *text);
    if (!item.is_mapping()) return std::nullopt;
    if (const Value* target = item.get("target")) return yaml::scalar_text(*target);
    return fmt::format("{}/{}", folder, text_or(item.get("source"), "<nil>"));
  }

  Session& session_;
};

void unique_items(Value& list, const Path& path, Key kind, Session& session) {
  Indexer indexer(session);
  std::unordered_map<std::string, std::size_t> seen;
  Sequence kept;
  kept.reserve(list.items().size());
  std::size_t index = 0;
  for (Value& item : list.items()) {
    const Path at(path, index++);
    const auto key = item.broken ? std::nullopt : indexer.key(item, at, kind);
    if (!key) {
      kept.push_back(std::move(item));
      continue;
    }
    const auto [known, added] = seen.emplace(*key, kept.size());
    if (added) {
      kept.push_back(std::move(item));
    } else {
      const Place replaced = kept[known->second].place;
      kept[known->second] = std::move(item);
      session.traces.add(kept[known->second], "replaces", fmt::format("the item with the same key ({})", *key),
                         replaced);
    }
  }
  list.items() = std::move(kept);
}

void walk(Value& value, const Path& path, const Rules<Key>::Node* node, Session& session) {
  if (node == nullptr || value.broken) return;
  if (Mapping* mapping = value.if_mapping()) {
    for (Entry& entry : *mapping) walk(entry.value, Path(path, entry.key), node->key(entry.key), session);
  } else if (value.is_sequence() && node->rule() != nullptr) {
    unique_items(value, path, *node->rule(), session);
  }
}

}  // namespace

void keep_unique(Value& document, Session& session) { walk(document, Path{}, rules().root(), session); }

}  // namespace compose::load
