#pragma once
// The table of commands. A command's flags are described by a function of its own, called only when it is needed, so
// that starting the program costs nothing for the others.
#include <span>
#include <string_view>

#include "cli/args.hpp"

namespace compose::cli {

struct Entry {
  std::string_view name;  ///< "up", "image import"; a name with words below it and no make is a group
  std::string_view summary;
  Command (*make)() = nullptr;
  std::string_view alias = {};  ///< another full name, "image list"
  bool hidden = false;
};

/// Sorted as --help shows them.
std::span<const Entry> entries();

/// The entry whose words are the longest beginning of `words`, and how many words those are; null if there is none.
struct Found {
  const Entry* entry = nullptr;
  std::size_t words = 0;
};
Found find_entry(std::span<const std::string> words);

}  // namespace compose::cli
