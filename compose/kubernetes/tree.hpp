#pragma once
// Small makers of YAML values, so that a manifest reads in C++ nearly as it reads in YAML.
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "compose/model/values.hpp"
#include "yaml/value.hpp"

namespace compose::kubernetes {

using yaml::Place;
using yaml::Value;

inline Value text(std::string value, Place place = {}) { return Value::string(std::move(value), place); }
inline Value number(std::int64_t value, Place place = {}) { return Value::integer(value, place); }
inline Value flag(bool value, Place place = {}) { return Value::boolean(value, place); }

/// A mapping; members that are null or empty (no mapping's entries, no list's items) are left out.
inline void put(Value& mapping, std::string_view key, Value value) {
  if (value.is_null()) return;
  if (const auto* inner = value.if_mapping(); inner != nullptr && inner->empty()) return;
  if (const auto* items = value.if_sequence(); items != nullptr && items->empty()) return;
  mapping.entries().set(key, std::move(value));
}

inline Value object(std::initializer_list<std::pair<std::string_view, Value>> members, Place place = {}) {
  Value mapping = Value::mapping(place);
  for (const auto& [key, value] : members) put(mapping, key, value);
  return mapping;
}

inline Value list(std::initializer_list<Value> items, Place place = {}) {
  Value sequence = Value::sequence(place);
  sequence.items() = items;
  return sequence;
}

inline Value texts(const model::Strings& items, Place place = {}) {
  Value sequence = Value::sequence(place);
  for (const std::string& item : items) sequence.items().push_back(text(item));
  return sequence;
}

inline void append(Value& sequence, Value item) {
  if (!sequence.is_sequence()) sequence = Value::sequence(sequence.place);
  sequence.items().push_back(std::move(item));
}

/// {} on purpose: a selector of everything, an emptyDir.
inline Value empty_mapping(Place place = {}) { return Value::mapping(place); }
/// Sets even what is empty.
inline void put_always(Value& mapping, std::string_view key, Value value) {
  mapping.entries().set(key, std::move(value));
}

/// The value at a path of keys, or nullptr.
inline const Value* dig(const Value& value, std::initializer_list<std::string_view> keys) {
  const Value* at = &value;
  for (const std::string_view key : keys) {
    at = at->get(key);
    if (at == nullptr) return nullptr;
  }
  return at;
}

inline std::string text_at(const Value& value, std::initializer_list<std::string_view> keys) {
  const Value* found = dig(value, keys);
  return found != nullptr && found->is_string() ? found->as_string() : std::string{};
}

}  // namespace compose::kubernetes
