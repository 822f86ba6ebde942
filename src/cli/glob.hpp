#pragma once
#include <string_view>

namespace compose::cli {

/// Whether `pattern` ("*" any text, "?" any character, "^" and "$" the ends) is found in `text`; enough of the regular
/// expressions that `ls --filter name=` takes, without their cost.
bool glob_search(std::string_view pattern, std::string_view text);

}  // namespace compose::cli
