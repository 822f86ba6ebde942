#include "build/ignore.hpp"

#include <algorithm>

#include "base/strings.hpp"
#include "image/merged_view.hpp"

namespace compose::build {

namespace {

/// One "[...]" at the beginning of `pattern`; moves behind it. A malformed one matches nothing.
bool class_matches(std::string_view& pattern, char c) {
  std::size_t at = 1;
  const bool negated = at < pattern.size() && pattern[at] == '^';
  if (negated) ++at;
  bool found = false;
  bool first = true;
  while (at < pattern.size() && (pattern[at] != ']' || first)) {
    first = false;
    if (pattern[at] == '\\' && at + 1 < pattern.size()) ++at;
    const auto low = static_cast<unsigned char>(pattern[at++]);
    unsigned char high = low;
    if (at + 1 < pattern.size() && pattern[at] == '-' && pattern[at + 1] != ']') {
      ++at;
      if (pattern[at] == '\\' && at + 1 < pattern.size()) ++at;
      high = static_cast<unsigned char>(pattern[at++]);
    }
    found = found || (low <= static_cast<unsigned char>(c) && static_cast<unsigned char>(c) <= high);
  }
  if (at >= pattern.size()) {
    pattern = {};
    return false;
  }
  pattern.remove_prefix(at + 1);
  return found != negated;
}

/// Can the rule's parts match the path's components? "**" is any number of components.
bool parts_match(const std::vector<std::string>& parts, const std::vector<std::string>& path, bool prefix_of_pattern) {
  // reach[i]: the first i components are matched by the parts so far.
  std::vector<bool> reach(path.size() + 1, false);
  reach[0] = true;
  for (const std::string& part : parts) {
    if (prefix_of_pattern && reach[path.size()]) return true;
    std::vector<bool> next(path.size() + 1, false);
    for (std::size_t i = 0; i <= path.size(); ++i) {
      if (!reach[i]) continue;
      if (part == "**") {
        for (std::size_t j = i; j <= path.size(); ++j) next[j] = true;
        break;
      }
      if (i < path.size() && path_matches(part, path[i])) next[i + 1] = true;
    }
    reach = std::move(next);
  }
  // A pattern that covers a directory above covers the path too.
  if (!prefix_of_pattern) return std::find(reach.begin() + 1, reach.end(), true) != reach.end();
  return reach[path.size()];
}

}  // namespace

bool path_matches(std::string_view pattern, std::string_view path) {
  // Backtracking only to the last star keeps this linear in practice: earlier stars can give nothing new.
  std::string_view star_pattern;
  std::string_view star_path;
  bool has_star = false;
  while (!path.empty() || !pattern.empty()) {
    bool advanced = false;
    if (!pattern.empty() && pattern[0] == '*') {
      while (!pattern.empty() && pattern[0] == '*') pattern.remove_prefix(1);
      star_pattern = pattern;
      star_path = path;
      has_star = true;
      continue;
    }
    if (!pattern.empty() && !path.empty()) {
      std::string_view rest = pattern;
      if (rest[0] == '?') {
        advanced = path[0] != '/';
        rest.remove_prefix(1);
      } else if (rest[0] == '[') {
        advanced = class_matches(rest, path[0]) && path[0] != '/';
      } else {
        if (rest[0] == '\\' && rest.size() > 1) rest.remove_prefix(1);
        advanced = rest[0] == path[0];
        rest.remove_prefix(1);
      }
      if (advanced) {
        pattern = rest;
        path.remove_prefix(1);
        continue;
      }
    }
    if (!has_star || star_path.empty() || star_path[0] == '/') return false;
    star_path.remove_prefix(1);
    pattern = star_pattern;
    path = star_path;
  }
  return true;
}

bool has_wildcard(std::string_view pattern) {
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      ++i;
    } else if (pattern[i] == '*' || pattern[i] == '?' || pattern[i] == '[') {
      return true;
    }
  }
  return false;
}

IgnoreRules::IgnoreRules(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  for (const std::string& line : split(text, '\n')) {
    if (!line.starts_with('#')) add(line);
  }
}

IgnoreRules::IgnoreRules(const std::vector<std::string>& patterns) {
  for (const std::string& pattern : patterns) add(pattern);
}

void IgnoreRules::add(std::string_view line) {
  std::string_view text = trim(line);
  Rule rule;
  if (text.starts_with('!')) {
    rule.exception = true;
    text = trim(text.substr(1));
  }
  rule.parts = image::path_components(image::lexical_path(text));
  if (!rule.parts.empty()) rules_.push_back(std::move(rule));
}

bool IgnoreRules::ignored(const std::string& path) const {
  const std::vector<std::string> components = image::path_components(path);
  if (components.empty()) return false;
  bool result = false;
  for (const Rule& rule : rules_) {
    if (rule.exception == result && parts_match(rule.parts, components, false)) result = !rule.exception;
  }
  return result;
}

bool IgnoreRules::may_contain_exceptions(const std::string& directory) const {
  const std::vector<std::string> components = image::path_components(directory);
  return std::any_of(rules_.begin(), rules_.end(),
                     [&](const Rule& rule) { return rule.exception && parts_match(rule.parts, components, true); });
}

}  // namespace compose::build
