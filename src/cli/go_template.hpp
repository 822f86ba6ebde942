#pragma once
// The part of Go's text/template that --format is used with: {{.Field}}, {{.A.B}}, {{json .}}, pipes, upper, lower,
// title, join, split, len, index, printf "%s", eq ne not and or, if/else/end, range/end, comments and trim markers.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace compose::cli {

/// The text of `format` for `value`. Errors name the part of the template that is wrong, and a field that is not there
/// with those that are. "\t" and "\n" written as two characters become the tab and the newline, as Docker does.
Result<std::string> render_template(std::string_view format, const nlohmann::ordered_json& value);

}  // namespace compose::cli
