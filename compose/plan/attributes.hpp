#pragma once
// What a container is made from, attribute by attribute, so that two states can be compared for people. Covers exactly
// what the configuration's hash covers (model::config_hash), and what the caller adds (contents of secrets …).
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "compose/model/project.hpp"

namespace compose::plan {

/// "environment.MODE", "ports[0].target", "command" -> the value as JSON; lists of single values are one attribute.
using Attributes = std::map<std::string, std::string>;

Attributes attributes_of(const model::Service& service);

std::string attributes_to_json(const Attributes& attributes);
/// Empty when the text is not what attributes_to_json wrote.
Attributes attributes_from_json(std::string_view json);

struct AttributeChange {
  std::string path;
  std::string before;  ///< "" = was not there
  std::string after;   ///< "" = is not there any more
  bool operator==(const AttributeChange&) const = default;
};
std::vector<AttributeChange> changes_between(const Attributes& before, const Attributes& after);

/// Whether the value is likely to be a secret (a variable's name with PASSWORD, SECRET, TOKEN or KEY in it): it is
/// compared, not shown.
bool is_confidential(std::string_view path);

/// "\"a\" -> \"b\"", with values that are confidential or long cut.
std::string change_text(const AttributeChange& change);

}  // namespace compose::plan
