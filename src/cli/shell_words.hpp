#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace compose::cli {

/// Splits as a POSIX shell does: blanks, quotes and backslashes, nothing else.
Result<std::vector<std::string>> shell_words(std::string_view text);

}  // namespace compose::cli
