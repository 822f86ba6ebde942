#pragma once
// Reading members of JSON documents that somebody else wrote: a member that is missing or of another type is empty,
// never an exception. For .cpp files only, since nlohmann's header is large.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace compose::image {

inline const nlohmann::json* json_member(const nlohmann::json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(name);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

inline std::string json_text(const nlohmann::json& object, const char* name) {
  const nlohmann::json* value = json_member(object, name);
  return value && value->is_string() ? value->get<std::string>() : std::string{};
}

inline std::uint64_t json_size(const nlohmann::json& object, const char* name) {
  const nlohmann::json* value = json_member(object, name);
  return value && value->is_number_unsigned() ? value->get<std::uint64_t>() : 0;
}

/// The elements of an array; none when it is no array.
inline std::vector<nlohmann::json> json_items(const nlohmann::json& object, const char* name) {
  const nlohmann::json* value = json_member(object, name);
  return value && value->is_array() ? value->get<std::vector<nlohmann::json>>() : std::vector<nlohmann::json>{};
}

inline std::vector<std::string> json_texts(const nlohmann::json& object, const char* name) {
  std::vector<std::string> result;
  for (const nlohmann::json& item : json_items(object, name)) {
    if (item.is_string()) result.push_back(item.get<std::string>());
  }
  return result;
}

}  // namespace compose::image
