#pragma once
// Env files: KEY=VALUE lines with quotes, comments, `export`, `KEY: value`, multi-line quoted values and variables.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compose/load/environment.hpp"
#include "compose/load/substitute.hpp"

namespace compose::load {

struct DotenvError {
  yaml::Place place;
  std::string message;
};

/// Reads `text` into `out`: later lines see earlier ones, `lookup` (the shell, as a rule) goes first. A line with a
/// bare KEY takes the value from `lookup`, and is left out when that has none. The lines before an error count.
std::optional<DotenvError> parse_dotenv(std::string_view text, std::uint32_t source, const Lookup& lookup,
                                        Environment& out);

/// `format: raw`: every KEY=VALUE line literally, lines that start with '#' skipped, nothing replaced.
std::optional<DotenvError> parse_raw_env(std::string_view text, std::uint32_t source, Environment& out);

}  // namespace compose::load
