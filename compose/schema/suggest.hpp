#pragma once
// "did you mean": the known name somebody most likely wanted to write.
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace compose::schema {

/// The candidate that differs from `text` by few letters, by their order only, or that one is the start of the other.
std::optional<std::string> suggest(std::string_view text, std::span<const std::string> candidates);

/// The same as a hint: "did you mean \"depends_on\"?", or "" when nothing is near.
std::string did_you_mean(std::string_view text, std::span<const std::string> candidates);

}  // namespace compose::schema
