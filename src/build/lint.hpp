#pragma once
// Build checks: what is allowed in a Dockerfile and rarely meant. Names and meaning of the rules are BuildKit's
// (https://docs.docker.com/reference/build-checks/).
#include <string>
#include <vector>

#include "build/dockerfile.hpp"

namespace compose::build {

struct LintWarning {
  std::string rule;  ///< "JSONArgsRecommended"
  std::string text;
  int line = 0;
};

struct LintReport {
  std::vector<LintWarning> warnings;  ///< in the file's order, without what "# check=skip=…" names
  bool is_error = false;              ///< "# check=error=true": a warning fails the build
};

/// Pure. Errc::invalid for a check directive that is none.
Result<LintReport> lint(const Dockerfile& file);

/// "WARNING: Rule - address", the text, the place and the line, as `docker build --check` prints them.
std::string to_text(const LintWarning& warning, const Dockerfile& file);

}  // namespace compose::build
