#include <fmt/format.h>

#include <ctime>

#include "base/strings.hpp"
#include "state/records.hpp"

namespace compose::state {

namespace {

constexpr std::size_t kSecondsLength = 19;  // "2006-01-02T15:04:05"

std::optional<int> number_at(std::string_view text, std::size_t position, std::size_t digits) {
  if (position + digits > text.size()) return std::nullopt;
  const auto value = parse_unsigned(text.substr(position, digits));
  return value ? std::optional{static_cast<int>(*value)} : std::nullopt;
}

/// "Z", "+02:00": seconds east of Greenwich.
std::optional<int> parse_offset(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return std::nullopt;
  const auto hours = number_at(text, 1, 2);
  const auto minutes = number_at(text, 4, 2);
  if (!hours || !minutes) return std::nullopt;
  const int seconds = *hours * 3600 + *minutes * 60;
  return text[0] == '-' ? -seconds : seconds;
}

}  // namespace

std::string format_time(Time time) {
  if (time == Time{}) return "";
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = nanoseconds / 1'000'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, nanoseconds % 1'000'000'000);
}

Result<Time> parse_time(std::string_view text) {
  if (text.empty()) return Time{};
  const auto bad = [&] { return make_error(Errc::invalid, "\"{}\" is not an RFC 3339 time", text); };
  const std::string_view view = text;
  const auto year = number_at(view, 0, 4);
  const auto month = number_at(view, 5, 2);
  const auto day = number_at(view, 8, 2);
  const auto hour = number_at(view, 11, 2);
  const auto minute = number_at(view, 14, 2);
  const auto second = number_at(view, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return bad();
  if (view[4] != '-' || view[7] != '-' || view[13] != ':' || view[16] != ':') return bad();

  std::string_view rest = view.substr(kSecondsLength);
  std::int64_t fraction = 0;
  if (rest.starts_with('.')) {
    std::size_t digits = 0;
    std::int64_t weight = 100'000'000;
    for (rest.remove_prefix(1); digits < rest.size() && rest[digits] >= '0' && rest[digits] <= '9'; ++digits) {
      fraction += (rest[digits] - '0') * weight;
      weight /= 10;
    }
    if (digits == 0) return bad();
    rest.remove_prefix(digits);
  }
  const auto offset = parse_offset(rest);
  if (!offset) return bad();

  std::tm parts{};
  parts.tm_year = *year - 1900;
  parts.tm_mon = *month - 1;
  parts.tm_mday = *day;
  parts.tm_hour = *hour;
  parts.tm_min = *minute;
  parts.tm_sec = *second;
  const std::time_t seconds = ::timegm(&parts) - *offset;
  return Time{
      std::chrono::duration_cast<Time::duration>(std::chrono::seconds{seconds} + std::chrono::nanoseconds{fraction})};
}

}  // namespace compose::state
