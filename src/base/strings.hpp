#pragma once
// Small functions on text that the standard library of g++ 12 lacks.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace compose {

std::string to_hex(std::span<const unsigned char> bytes);

/// Splits at every `separator`; "a,,b" has three parts, "" has one.
std::vector<std::string> split(std::string_view text, char separator);
std::string join(std::span<const std::string> parts, std::string_view separator);
std::string_view trim(std::string_view text);
std::string to_lower(std::string_view text);
bool is_digits(std::string_view text);

/// A whole decimal number without sign, or nothing (also when it overflows).
std::optional<std::uint64_t> parse_unsigned(std::string_view text);
/// A whole decimal number with an optional sign, or nothing.
std::optional<std::int64_t> parse_signed(std::string_view text);

/// Letters to insert, remove, replace or swap with a neighbour (optimal string alignment), for "did you mean".
std::size_t edit_distance(std::string_view a, std::string_view b);
/// The candidate nearest to `text`, if one is near enough to suggest (at most a third of its letters differ).
std::optional<std::string> nearest(std::string_view text, std::span<const std::string> candidates);

/// Text as a shell would take it back: quoted only where needed.
std::string shell_quote(std::string_view text);

}  // namespace compose
