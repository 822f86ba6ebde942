#include "base/units.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "base/strings.hpp"

namespace compose {
namespace {

constexpr std::array<std::pair<std::string_view, double>, 10> kUnits{{{"ns", 1},
                                                                      {"us", 1e3},
                                                                      {"\xc2\xb5s", 1e3},
                                                                      {"\xce\xbcs", 1e3},
                                                                      {"ms", 1e6},
                                                                      {"s", 1e9},
                                                                      {"m", 60e9},
                                                                      {"h", 3600e9},
                                                                      {"d", 86400e9},
                                                                      {"w", 604800e9}}};

/// Takes "12.5" off the front of `text`; false when there is no digit.
bool take_decimal(std::string_view& text, double& number) {
  std::size_t length = 0;
  bool point = false;
  bool digit = false;
  for (; length < text.size(); ++length) {
    if (text[length] == '.' && !point)
      point = true;
    else if (text[length] >= '0' && text[length] <= '9')
      digit = true;
    else
      break;
  }
  if (!digit) return false;
  number = std::strtod(std::string{text.substr(0, length)}.c_str(), nullptr);
  text.remove_prefix(length);
  return true;
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  const std::string_view whole = text;
  const auto bad = [&] { return make_error(Errc::invalid, "invalid duration \"{}\"", whole); };
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text == "0") return Duration{0};
  if (text.empty()) return bad();
  double total = 0;
  while (!text.empty()) {
    double number = 0;
    if (!take_decimal(text, number)) return bad();
    std::size_t length = 0;
    while (length < text.size() && text[length] != '.' && (text[length] < '0' || text[length] > '9')) ++length;
    const std::string_view unit = text.substr(0, length);
    double factor = 0;
    for (const auto& [name, value] : kUnits) {
      if (name == unit) factor = value;
    }
    if (factor == 0) {
      return length == 0 ? make_error(Errc::invalid, "missing unit in duration \"{}\"", whole)
                         : make_error(Errc::invalid, "unknown unit \"{}\" in duration \"{}\"", unit, whole);
    }
    total += number * factor;
    text.remove_prefix(length);
  }
  if (total >= 9.2e18) return bad();
  const auto count = static_cast<std::int64_t>(std::llround(total));
  return Duration{negative ? -count : count};
}

std::string format_duration(Duration duration) {
  if (duration.count() == 0) return "0s";
  const bool negative = duration.count() < 0;
  auto rest =
      negative ? 0U - static_cast<std::uint64_t>(duration.count()) : static_cast<std::uint64_t>(duration.count());
  const auto decimal = [](std::uint64_t value, std::uint64_t unit) {
    std::string text = std::to_string(value / unit);
    if (value % unit != 0) {
      std::string fraction = std::to_string(value % unit + unit).substr(1);
      fraction.erase(fraction.find_last_not_of('0') + 1);
      text += "." + fraction;
    }
    return text;
  };
  std::string text;
  if (rest < 1000) {
    text = std::to_string(rest) + "ns";
  } else if (rest < 1'000'000) {
    text = decimal(rest, 1000) + "\xc2\xb5s";
  } else if (rest < 1'000'000'000) {
    text = decimal(rest, 1'000'000) + "ms";
  } else {
    constexpr std::uint64_t kSecond = 1'000'000'000;
    const std::uint64_t hours = rest / (3600 * kSecond);
    const std::uint64_t minutes = rest / (60 * kSecond) % 60;
    rest %= 60 * kSecond;
    if (hours > 0) text += std::to_string(hours) + "h";
    if (hours > 0 || minutes > 0) text += std::to_string(minutes) + "m";
    text += decimal(rest, kSecond) + "s";
  }
  return negative ? "-" + text : text;
}

Result<std::int64_t> parse_bytes(std::string_view text) {
  const std::string lower = to_lower(text);
  std::string_view rest = lower;
  const auto bad = [&] { return make_error(Errc::invalid, "invalid size \"{}\"", text); };
  const bool negative = !rest.empty() && rest[0] == '-';
  if (negative) rest.remove_prefix(1);
  double number = 0;
  if (!take_decimal(rest, number)) return bad();
  if (!rest.empty() && rest[0] == ' ') rest.remove_prefix(1);
  static constexpr std::string_view kPrefixes = "kmgtpe";
  double factor = 1;
  if (!rest.empty() && kPrefixes.find(rest[0]) != std::string_view::npos) {
    factor = std::pow(1024.0, static_cast<double>(kPrefixes.find(rest[0]) + 1));
    rest.remove_prefix(1);
    if (!rest.empty() && rest[0] == 'i') {
      rest.remove_prefix(1);
      if (rest.empty()) return bad();
    }
  }
  if (!rest.empty() && rest != "b") return bad();
  const double bytes = number * factor;
  if (bytes >= 9.2e18) return bad();
  return static_cast<std::int64_t>(bytes) * (negative ? -1 : 1);
}

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array<const char*, 7> kNames{"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  auto size = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; size >= 1000 && unit + 1 < kNames.size(); ++unit) size /= 1000;
  return fmt::format("{:.4g}{}", size, kNames[unit]);
}

std::string human_duration(Duration duration) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return fmt::format("{} seconds", seconds);
  const auto minutes = seconds / 60;
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return fmt::format("{} minutes", minutes);
  const auto hours = (seconds + 1800) / 3600;
  if (hours == 1) return "About an hour";
  if (hours < 48) return fmt::format("{} hours", hours);
  if (hours < 24 * 7 * 2) return fmt::format("{} days", hours / 24);
  if (hours < 24 * 30 * 2) return fmt::format("{} weeks", hours / 24 / 7);
  if (hours < 24 * 365 * 2) return fmt::format("{} months", hours / 24 / 30);
  return fmt::format("{} years", seconds / 3600 / 24 / 365);
}

}  // namespace compose
