#pragma once
// Words of Dockerfile instructions: quotes, escapes and variables, as the Dockerfile reference describes them under
// "Environment replacement" and "Parser directives: escape".
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace compose::image {

/// The value of a variable, nothing when it is not set.
using VariableLookup = std::function<std::optional<std::string>(std::string_view name)>;

/// One word: quotes removed, $NAME, ${NAME}, ${NAME:-word}, ${NAME-word}, ${NAME:+word}, ${NAME+word}, ${NAME:?word},
/// ${NAME?word}, ${NAME#pattern}, ${NAME##pattern}, ${NAME%pattern}, ${NAME%%pattern}, ${NAME/pattern/text},
/// ${NAME//pattern/text} replaced; blanks stay. Variables that are not set are empty. Errc::invalid for an
/// unterminated quote or brace and for ${NAME:?word} without a value.
Result<std::string> expand_word(std::string_view text, const VariableLookup& lookup, char escape = '\\');

/// The same for a list of words separated by unquoted blanks; values of unquoted variables are split as well.
Result<std::vector<std::string>> expand_words(std::string_view text, const VariableLookup& lookup, char escape = '\\');

/// Only the variables of a text of many lines (a here-document): quotes stay, an escape counts before "$" and itself.
Result<std::string> expand_text(std::string_view text, const VariableLookup& lookup, char escape = '\\');

/// Splits at unquoted blanks, nothing removed or replaced: "a=\"b c\" d" is {a="b c", d}.
std::vector<std::string> split_words(std::string_view text, char escape = '\\');

/// A JSON array of strings, or nothing when the text is none.
std::optional<std::vector<std::string>> parse_json_strings(std::string_view text);

/// fnmatch-like: * (no "/" limit), ?, [..]; for ${NAME#pattern}.
bool shell_pattern_matches(std::string_view pattern, std::string_view text);

}  // namespace compose::image
