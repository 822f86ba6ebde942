#include "compose/load/merge.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace compose::load {
namespace {

enum class Rule { override, sequence, build, depends_on, string_map, extra_hosts, logging, ulimit, ipam_pools };

const Rules<Rule>& rules() {
  static const Rules<Rule> rules{
      {"networks.*.ipam.config", Rule::ipam_pools},
      {"networks.*.labels", Rule::sequence},
      {"volumes.*.labels", Rule::sequence},
      {"services.*.annotations", Rule::sequence},
      {"services.*.build", Rule::build},
      {"services.*.build.args", Rule::sequence},
      {"services.*.build.additional_contexts", Rule::sequence},
      {"services.*.build.extra_hosts", Rule::extra_hosts},
      {"services.*.build.labels", Rule::sequence},
      {"services.*.command", Rule::override},
      {"services.*.depends_on", Rule::depends_on},
      {"services.*.deploy.labels", Rule::sequence},
      {"services.*.dns", Rule::sequence},
      {"services.*.dns_opt", Rule::sequence},
      {"services.*.dns_search", Rule::sequence},
      {"services.*.entrypoint", Rule::override},
      {"services.*.env_file", Rule::sequence},
      {"services.*.label_file", Rule::sequence},
      {"services.*.environment", Rule::sequence},
      {"services.*.extra_hosts", Rule::extra_hosts},
      {"services.*.healthcheck.test", Rule::override},
      {"services.*.labels", Rule::sequence},
      {"services.*.logging", Rule::logging},
      {"services.*.models", Rule::string_map},
      {"services.*.networks", Rule::string_map},
      {"services.*.sysctls", Rule::sequence},
      {"services.*.tmpfs", Rule::sequence},
      {"services.*.ulimits.*", Rule::ulimit},
  };
  return rules;
}

using Node = Rules<Rule>::Node;

std::string quoted_kind(const Value& value) { return std::string(yaml::kind_name(value)); }

class Merger {
 public:
  explicit Merger(Session& session) : session_{session} {}

  void merge(Value& base, Value&& over, const Path& path, const Node* node) {
    if (base.broken || over.broken) {
      if (!over.broken && !over.is_null()) base = std::move(over);
      return;
    }
    if (node != nullptr && node->rule() != nullptr) {
      special(base, std::move(over), path, node);
      return;
    }
    if (over.is_null()) return;
    if (base.is_mapping() || base.is_sequence()) {
      if (base.kind() != over.kind()) {
        mismatch(base, over, path);
      } else if (base.is_mapping()) {
        mappings(base, std::move(over), path, node);
      } else {
        append(base, std::move(over));
      }
      return;
    }
    replace(base, std::move(over));
  }

  void mappings(Value& base, Value&& over, const Path& path, const Node* node) {
    for (Entry& entry : over.entries()) {
      Entry* known = base.entries().find(entry.key);
      if (known == nullptr) {
        base.entries().add(std::move(entry.key), entry.key_place, std::move(entry.value));
        continue;
      }
      const Path inner(path, known->key);
      const bool was_null = known->value.is_null();
      merge(known->value, std::move(entry.value), inner, node == nullptr ? nullptr : node->key(known->key));
      if (was_null) known->key_place = entry.key_place;
    }
  }

 private:
  void mismatch(Value& base, Value& over, const Path& path) {
    Diagnostic& d =
        session_.fail(over, path, fmt::format("cannot override {} with {}", quoted_kind(base), quoted_kind(over)));
    d.notes.push_back({base.place, "the value it would override"});
    base.broken = true;
  }

  void replace(Value& base, Value&& over) {
    const Place where = base.place;
    base = std::move(over);
    session_.traces.add(base, "replaces", {}, where);
  }

  void append(Value& base, Value&& over) {
    for (Value& item : over.items()) {
      session_.traces.add(item, "appended", {}, base.place);
      base.items().push_back(std::move(item));
    }
  }

  void special(Value& base, Value&& over, const Path& path, const Node* node) {
    switch (*node->rule()) {
      case Rule::override:
        replace(base, std::move(over));
        return;
      case Rule::sequence:
        to_sequence(base);
        to_sequence(over);
        append(base, std::move(over));
        return;
      case Rule::build:
        build_to_mapping(base);
        build_to_mapping(over);
        both_mappings(base, std::move(over), path, node);
        return;
      case Rule::depends_on:
        list_to_mapping(base, true);
        list_to_mapping(over, true);
        both_mappings(base, std::move(over), path, node);
        return;
      case Rule::string_map:
        list_to_mapping(base, false);
        list_to_mapping(over, false);
        both_mappings(base, std::move(over), path, node);
        return;
      case Rule::extra_hosts:
        extra_hosts(base, std::move(over));
        return;
      case Rule::logging:
        logging(base, std::move(over), path, node);
        return;
      case Rule::ulimit:
        replace(base, std::move(over));
        return;
      case Rule::ipam_pools:
        ipam_pools(base, std::move(over), path);
        return;
    }
  }

  void both_mappings(Value& base, Value&& over, const Path& path, const Node* node) {
    if (over.is_null()) return;
    if (base.is_null()) {
      replace(base, std::move(over));
    } else if (!base.is_mapping() || !over.is_mapping()) {
      mismatch(base, over, path);
    } else {
      mappings(base, std::move(over), path, node);
    }
  }

  // {A: 1, B: } becomes [A=1, B], sorted as Docker Compose does; each item keeps the place of its value.
  static void to_sequence(Value& value) {
    if (value.is_sequence()) return;
    Value list = Value::sequence(value.place);
    if (value.is_string()) {
      list.items().push_back(std::move(value));
    } else if (value.is_mapping()) {
      for (Entry& entry : value.entries()) {
        if (entry.value.is_sequence()) {
          for (Value& item : entry.value.items()) list.items().push_back(pair(entry, item));
        } else {
          list.items().push_back(pair(entry, entry.value));
        }
      }
      std::sort(list.items().begin(), list.items().end(), [](const Value& a, const Value& b) {
        return a.is_string() && b.is_string() && a.as_string() < b.as_string();
      });
    }
    list.trace = value.trace;
    value = std::move(list);
  }

  static Value pair(const Entry& entry, const Value& value) {
    Value item = Value::string(value.is_null() ? entry.key : entry.key + "=" + yaml::scalar_text(value),
                               value.is_null() || !value.place.known() ? entry.key_place : value.place);
    item.trace = value.trace;
    item.broken = value.broken;
    return item;
  }

  static void build_to_mapping(Value& value) {
    if (!value.is_string()) return;
    Value mapping = Value::mapping(value.place);
    mapping.entries().add("context", value.place, std::move(value));
    value = std::move(mapping);
  }

  void list_to_mapping(Value& value, bool dependencies) {
    if (!value.is_sequence()) return;
    Value mapping = Value::mapping(value.place);
    for (Value& item : value.items()) {
      if (!item.is_string() || mapping.entries().contains(item.as_string())) continue;
      Value entry{Value::Data{}, item.place};
      if (dependencies) {
        entry = Value::mapping(item.place);
        for (auto& [key, implied] : {std::pair{"condition", Value::string("service_started", item.place)},
                                     std::pair{"required", Value::boolean(true, item.place)}}) {
          Value copy = implied;
          session_.traces.add(copy, "short form", "implied");
          entry.entries().set(key, std::move(copy));
        }
      }
      mapping.entries().add(item.as_string(), item.place, std::move(entry));
    }
    value = std::move(mapping);
  }

  void extra_hosts(Value& base, Value&& over) {
    to_sequence(base);
    to_sequence(over);
    std::erase_if(over.items(), [&](const Value& item) {
      return std::any_of(base.items().begin(), base.items().end(),
                         [&](const Value& known) { return known.same_as(item); });
    });
    append(base, std::move(over));
  }

  // Options of another driver mean nothing to this one: then the whole section is replaced.
  void logging(Value& base, Value&& over, const Path& path, const Node* node) {
    if (base.is_mapping() && over.is_mapping()) {
      const Value* mine = base.get("driver");
      const Value* theirs = over.get("driver");
      if (mine != nullptr && theirs != nullptr && !mine->same_as(*theirs)) {
        replace(base, std::move(over));
        return;
      }
    }
    both_mappings(base, std::move(over), path, node);
  }

  // Pools of the same subnet merge, others are added.
  void ipam_pools(Value& base, Value&& over, const Path& path) {
    if (over.is_null()) return;
    if (!base.is_sequence() || !over.is_sequence()) {
      if (base.is_null()) {
        replace(base, std::move(over));
      } else {
        mismatch(base, over, path);
      }
      return;
    }
    const auto subnet = [](const Value& pool) {
      const Value* text = pool.get("subnet");
      return text == nullptr ? std::string() : yaml::scalar_text(*text);
    };
    // Docker Compose's own order of comparing, kept because files rely on its outcome: a pool of the base stays only
    // when the override has one of the same subnet.
    Sequence merged;
    const auto position = [&](const std::string& wanted) {
      return std::find_if(merged.begin(), merged.end(), [&](const Value& pool) { return subnet(pool) == wanted; });
    };
    for (Value& original : base.items()) {
      for (const Value& pool : over.items()) {
        const bool differs = subnet(original) != subnet(pool);
        if (differs && position(subnet(pool)) == merged.end()) {
          merged.push_back(pool);
          continue;
        }
        if (original.is_mapping() && pool.is_mapping()) mappings(original, Value(pool), path, nullptr);
        const auto known = position(subnet(original));
        if (known == merged.end()) {
          merged.push_back(original);
        } else {
          *known = original;
        }
      }
    }
    base.items() = std::move(merged);
  }

  Session& session_;
};

const Node* descend(const Path& path) {
  if (path.parent() == nullptr) return rules().root();
  const Node* parent = descend(*path.parent());
  return parent == nullptr ? nullptr : parent->key(path.key());
}

// The part of `value` that leads to tagged values; null when there is none.
Value skeleton(const Value& value) {
  Value out;
  if (value.tag != yaml::Tag::none) {
    out.tag = value.tag;
    return out;
  }
  const Mapping* mapping = value.if_mapping();
  if (mapping == nullptr) return out;
  for (const Entry& entry : *mapping) {
    Value inner = skeleton(entry.value);
    if (inner.tag == yaml::Tag::none && inner.is_null()) continue;
    if (out.is_null()) out = Value::mapping();
    out.entries().set(entry.key, std::move(inner));
  }
  return out;
}

void drop_reset_values(Value& document) {
  if (Mapping* mapping = document.if_mapping()) {
    mapping->filter([](const Entry& entry) { return entry.value.tag != yaml::Tag::reset; });
    for (Entry& entry : *mapping) drop_reset_values(entry.value);
  } else if (Sequence* items = document.if_sequence()) {
    std::erase_if(*items, [](const Value& item) { return item.tag == yaml::Tag::reset; });
    for (Value& item : *items) drop_reset_values(item);
  }
}

}  // namespace

void merge_documents(Value& base, Value&& over, Session& session) {
  Merger(session).mappings(base, std::move(over), Path{}, rules().root());
}

void merge_at(Value& base, Value&& over, const Path& path, Session& session) {
  Merger(session).merge(base, std::move(over), path, descend(path));
}

void merge_service(Value& base, Value&& over, const Path& path, Session& session) {
  Merger(session).merge(base, std::move(over), path, rules().root()->key("services")->key("*"));
}

Value take_resets(Value& document) {
  Value resets = skeleton(document);
  drop_reset_values(document);
  return resets;
}

void apply_resets(Value& base, const Value& resets) {
  if (!base.is_mapping() || !resets.is_mapping()) return;
  for (const Entry& entry : resets.entries()) {
    if (entry.value.tag != yaml::Tag::none) {
      base.entries().erase(entry.key);
    } else if (Value* inner = base.entries().get(entry.key)) {
      apply_resets(*inner, entry.value);
    }
  }
}

}  // namespace compose::load
