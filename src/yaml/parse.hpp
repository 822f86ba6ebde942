#pragma once
// From YAML text to trees. All mistakes that do not stop the reading are reported in one go; a mistake in the syntax
// ends the document. Input is hostile: size, depth, and what aliases multiply are bounded.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "yaml/value.hpp"

namespace compose::yaml {

struct Limits {
  std::size_t bytes = 32U << 20U;            ///< of one text
  std::uint32_t depth = 256;                 ///< of nested collections
  std::size_t nodes = 4'000'000;             ///< written in one text
  std::size_t alias_nodes = 200'000;         ///< made by aliases: these, and twenty for each value written,
  std::size_t most_alias_nodes = 4'000'000;  ///< but never more than these
};

/// A mistake. `other` is a second place that belongs to it (the first of two equal keys), with what to say of it.
struct Issue {
  Place place;
  std::string message;
  Place other;
  std::string other_note;
  std::string path;  ///< the keys and indices that lead to it: "services.web.ports[0]"
};

struct Document {
  Value root;
  bool tagged = false;  ///< !reset or !override stands somewhere in it
};

struct Parsed {
  std::vector<Document> documents;  ///< none for a text without content
  std::vector<Issue> issues;
};

/// Reads every document of `text` (UTF-8, with or without byte order mark). Aliases and `<<` are resolved by copying.
/// Places get `source`. A document with a syntax error is left out.
Parsed parse(std::string_view text, std::uint32_t source, const Limits& limits = {});

}  // namespace compose::yaml
