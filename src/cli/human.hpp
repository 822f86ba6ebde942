#pragma once
// Times and sizes the way Docker's tables write them.
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace compose::cli {

using WallTime = std::chrono::system_clock::time_point;

/// RFC 3339 with up to nine digits of fraction ("2026-08-20T10:00:00.5Z", "+02:00"), or Errc::invalid.
Result<WallTime> parse_rfc3339(std::string_view text);
/// "2026-08-20T10:00:00.123456789Z".
std::string format_rfc3339(WallTime time);

/// --since / --until: RFC 3339 with parts left out (local time without a zone), seconds since 1970 with a fraction, or
/// a Go duration back from `now` ("42m"). The rules of Docker's GetTimestamp.
Result<WallTime> parse_when(std::string_view text, WallTime now);

/// "2 hours ago", "About a minute ago"; "" for an empty or unreadable time.
std::string ago(std::string_view rfc3339, WallTime now);

}  // namespace compose::cli
