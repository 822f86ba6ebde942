#include "cli/human.hpp"

#include <cmath>
#include <ctime>

#include "base/strings.hpp"
#include "base/units.hpp"

namespace compose::cli {
namespace {

/// Reads `digits` digits at the front.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits || !is_digits(text.substr(0, digits))) return std::nullopt;
  const auto value = parse_unsigned(text.substr(0, digits));
  text.remove_prefix(digits);
  return static_cast<int>(*value);
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

std::chrono::nanoseconds take_fraction(std::string_view& text) {
  std::int64_t nanoseconds = 0;
  std::int64_t unit = 100'000'000;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    nanoseconds += unit * (text.front() - '0');
    unit /= 10;
    text.remove_prefix(1);
  }
  return std::chrono::nanoseconds{nanoseconds};
}

/// The offset east of UTC in seconds, or nothing when `text` is not a zone.
std::optional<int> parse_zone(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return std::nullopt;
  const int sign = text[0] == '+' ? 1 : -1;
  std::string_view digits = text.substr(1);
  const auto hours = take_number(digits, 2);
  take(digits, ':');
  const auto minutes = take_number(digits, 2);
  if (!hours || !minutes) return std::nullopt;
  return sign * (*hours * 3600 + *minutes * 60);
}

/// Date and time with parts left out from the right; without a zone it is local time when `local_zone`.
Result<WallTime> parse_date(std::string_view text, bool whole) {
  const auto wrong = [original = std::string{text}] {
    return make_error(Errc::invalid, "\"{}\" is not a time: write 2006-01-02T15:04:05Z", original);
  };
  std::tm parts{};
  const auto year = take_number(text, 4);
  if (!year || !take(text, '-')) return wrong();
  const auto month = take_number(text, 2);
  if (!month || !take(text, '-')) return wrong();
  const auto day = take_number(text, 2);
  if (!day) return wrong();
  parts.tm_year = *year - 1900;
  parts.tm_mon = *month - 1;
  parts.tm_mday = *day;
  std::chrono::nanoseconds fraction{0};
  bool complete = false;
  if (take(text, 'T') || take(text, 't')) {
    const auto hour = take_number(text, 2);
    if (!hour) return wrong();
    parts.tm_hour = *hour;
    if (take(text, ':')) {
      const auto minute = take_number(text, 2);
      if (!minute) return wrong();
      parts.tm_min = *minute;
      if (take(text, ':')) {
        const auto second = take_number(text, 2);
        if (!second) return wrong();
        parts.tm_sec = *second;
        complete = true;
        if (take(text, '.')) fraction = take_fraction(text);
      }
    }
  }
  std::time_t seconds = 0;
  if (text.empty() && !whole) {
    parts.tm_isdst = -1;
    seconds = ::mktime(&parts);
  } else {
    const auto zone = parse_zone(text);
    if (!zone || (whole && !complete)) return wrong();
    seconds = ::timegm(&parts) - *zone;
  }
  return WallTime{} + std::chrono::seconds{seconds} + fraction;
}

}  // namespace

Result<WallTime> parse_rfc3339(std::string_view text) { return parse_date(text, true); }

std::string format_rfc3339(WallTime time) {
  const auto since_epoch = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  const std::time_t whole = seconds.count();
  std::tm parts{};
  ::gmtime_r(&whole, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     std::chrono::nanoseconds{since_epoch - seconds}.count());
}

Result<WallTime> parse_when(std::string_view text, WallTime now) {
  const std::size_t dot = text.find('.');
  if (is_digits(text.substr(0, dot)) && (dot == std::string_view::npos || is_digits(text.substr(dot + 1)))) {
    const auto seconds = parse_unsigned(text.substr(0, dot));
    if (!seconds) return make_error(Errc::invalid, "\"{}\" is not a time", text);
    std::chrono::nanoseconds fraction{0};
    if (dot != std::string_view::npos) {
      std::string_view digits = text.substr(dot + 1);
      fraction = take_fraction(digits);
    }
    return WallTime{} + std::chrono::seconds{static_cast<std::int64_t>(*seconds)} + fraction;
  }
  if (auto date = parse_date(text, false)) return date;
  if (auto duration = parse_duration(text)) return now - std::chrono::duration_cast<WallTime::duration>(*duration);
  return make_error(Errc::invalid, "\"{}\" is neither a time (2006-01-02T15:04:05Z) nor a duration (42m)", text);
}

std::string ago(std::string_view rfc3339, WallTime now) {
  const auto time = parse_rfc3339(rfc3339);
  if (!time) return {};
  return human_duration(now - *time) + " ago";
}

}  // namespace compose::cli
