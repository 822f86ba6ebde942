#include "compose/schema/suggest.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.hpp"

namespace compose::schema {

std::optional<std::string> suggest(std::string_view text, std::span<const std::string> candidates) {
  if (auto near = nearest(text, candidates)) return near;
  if (text.size() < 3) return std::nullopt;
  for (const std::string& candidate : candidates) {
    if (candidate.size() == text.size() && std::is_permutation(text.begin(), text.end(), candidate.begin())) {
      return candidate;
    }
  }
  for (const std::string& candidate : candidates) {
    if (candidate.starts_with(text) || (candidate.size() > 2 && text.starts_with(candidate))) return candidate;
  }
  return std::nullopt;
}

std::string did_you_mean(std::string_view text, std::span<const std::string> candidates) {
  const auto near = suggest(text, candidates);
  return near ? fmt::format("did you mean \"{}\"?", *near) : std::string{};
}

}  // namespace compose::schema
