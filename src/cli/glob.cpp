#include "cli/glob.hpp"

namespace compose::cli {
namespace {

bool match_here(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return true;
  if (pattern == "$") return text.empty();
  if (pattern.starts_with(".*")) return match_here(pattern.substr(1), text);
  if (pattern[0] == '*') {
    for (std::size_t i = 0; i <= text.size(); ++i)
      if (match_here(pattern.substr(1), text.substr(i))) return true;
    return false;
  }
  if (text.empty() || (pattern[0] != '?' && pattern[0] != '.' && pattern[0] != text[0])) return false;
  return match_here(pattern.substr(1), text.substr(1));
}

}  // namespace

bool glob_search(std::string_view pattern, std::string_view text) {
  if (pattern.starts_with('^')) return match_here(pattern.substr(1), text);
  for (std::size_t i = 0; i <= text.size(); ++i)
    if (match_here(pattern, text.substr(i))) return true;
  return false;
}

}  // namespace compose::cli
