#pragma once
// The type of a scalar, decided as Docker Compose's YAML reader does: YAML 1.2's core schema plus the forms of 1.1
// that files in the world use (0755, 0b101, 1_000, dates), without yes/no/on/off, which are strings.
#include <optional>
#include <string>
#include <string_view>

#include "yaml/value.hpp"

namespace compose::yaml {

/// The value of a plain (unquoted) scalar without a tag.
Value resolve_plain(std::string_view text);

/// The value of a scalar with one of YAML's own tags ("!!int", "!!str", ...), or nothing when the text does not fit it.
std::optional<Value> resolve_tagged(std::string_view tag, std::string_view text);

/// A YAML float: "1.5", ".5", "1e3" (no infinity, no hexadecimal).
std::optional<double> parse_float(std::string_view text);

}  // namespace compose::yaml
