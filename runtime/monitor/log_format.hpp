#pragma once
// How output is written down: times, and text as JSON.
#include <ctime>
#include <string>
#include <string_view>

namespace compose::runtime::monitor {

/// "2026-01-31T12:00:00.000000001Z"
std::string format_time(const timespec& time);

/// The size of `text` as a JSON string without its quotes may be up to six times its own.
inline constexpr std::size_t kJsonGrowth = 6;

/// Writes `text` as the inside of a JSON string; bytes that are not UTF-8 become U+FFFD, as Docker has it. Returns the
/// end of what was written; `out` has room for kJsonGrowth times the text.
char* write_json_text(char* out, std::string_view text);

/// How many bytes at the end of `text` are the beginning of a UTF-8 character whose rest may come with the next piece
/// (0 to 3).
std::size_t open_character(std::string_view text);

}  // namespace compose::runtime::monitor
