#pragma once
#include <string>

#include "base/error.hpp"

namespace compose::cli {

/// Asks "QUESTION? [yN] " on standard error and reads a line of standard input; no answer is no.
Result<bool> confirm(const std::string& question);

}  // namespace compose::cli
