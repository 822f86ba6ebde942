#pragma once
// Trees as JSON and YAML text.
#include <functional>
#include <string>
#include <string_view>

#include "yaml/value.hpp"

namespace compose::yaml {

/// What to write behind a key or an item as a YAML comment, from the value's place; "" for none.
using Comment = std::function<std::string(const Place&)>;

struct WriteOptions {
  bool sorted = true;          ///< keys in byte order, at every level
  bool pretty = true;          ///< JSON: two blanks of indentation; false: one line without blanks
  bool double_dollar = false;  ///< "$" becomes "$$" in strings and keys, so that the output loads again unchanged
  const Comment* comment = nullptr;
};

std::string to_json(const Value& value, const WriteOptions& options = {});

/// YAML 1.2, block style, two blanks of indentation; strings are quoted only when they would read as something else.
std::string to_yaml(const Value& value, const WriteOptions& options = {});

/// Reads JSON (RFC 8259), as to_json writes it; false for anything else, or deeper than 512 levels.
bool from_json(std::string_view text, Value& out);

/// A character that a YAML text may not hold as it is, or that some readers take for a line's end: DEL, C1 controls,
/// line and paragraph separators, the byte order mark, U+FFFE and U+FFFF. Written as an escape.
struct UnsafeCharacter {
  unsigned code = 0;
  std::size_t length = 0;  ///< in bytes; 0: there is none
};
/// Whether one stands at the beginning of `text`, which is UTF-8.
UnsafeCharacter unsafe_character(std::string_view text);
bool has_unsafe_character(std::string_view text);

/// The text in JSON quotes, which are also YAML's double quotes.
std::string json_quote(std::string_view text);

}  // namespace compose::yaml
