#pragma once
// The published JSON schema of the Compose Specification (compose-spec.json beside this file, compiled in) and a
// validator for it that says what is wrong where, in words a person can act on.
#include <string>
#include <vector>

#include "yaml/value.hpp"

namespace compose::schema {

struct Problem {
  yaml::Place place;
  std::string path;  ///< "services.web.ports[0]"
  std::string message;
  std::string hint;   ///< "" when there is nothing to suggest
  yaml::Place other;  ///< a second place that belongs to it
  std::string other_note;
};

/// Checks a whole document. Values that do not fit are marked broken (so they are reported once); broken ones and what
/// is below them are passed over. All problems are returned, not only the first.
std::vector<Problem> validate(yaml::Value& document);

/// The schema's text, JSON (draft 2020-12).
std::string_view text();

/// Patterns of the schema that the validator has no matcher for: none, a test holds that.
std::vector<std::string> unknown_patterns();

}  // namespace compose::schema
