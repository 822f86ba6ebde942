#pragma once
// Interpolation of one text: $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?message}, ${NAME?message},
// ${NAME:+other}, ${NAME+other}, nested to a bounded depth, "$$" for a dollar (Compose Specification, interpolation).
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compose/load/environment.hpp"

namespace compose::load {

/// Finds a variable, or nullptr.
using Lookup = std::function<const Variable*(std::string_view name)>;

/// A `$` that names a variable, seen on the way.
struct VariableUse {
  std::string name;
  std::optional<std::string> default_value;  ///< of `-`, as written
  bool required = false;
  std::optional<std::string> alternative;  ///< of `+`, as written
  const Variable* variable = nullptr;      ///< what it was, nullptr when unset
  bool blank = false;                      ///< unset without default: became ""
};

struct SubstituteError {
  enum class Kind { invalid, required } kind = Kind::invalid;
  std::size_t offset = 0;  ///< in the text
  std::string message;
};

struct Substituted {
  std::string text;
  std::vector<VariableUse> uses;
  std::optional<SubstituteError> error;
};

Substituted substitute(std::string_view text, const Lookup& lookup);

/// Every variable a text names, also in defaults, without replacing anything. For `config --variables`.
std::vector<VariableUse> variables_in(std::string_view text);

}  // namespace compose::load
