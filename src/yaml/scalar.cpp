#include "yaml/scalar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace compose::yaml {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Go's strconv.ParseInt with base 0, then ParseUint: a sign, then 0x, 0b, 0o or 0 for octal, or decimal digits.
std::optional<Value> parse_integer(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char letter = static_cast<char>(text[1] | 0x20);
    base = letter == 'x' ? 16 : letter == 'b' ? 2 : 8;
    text.remove_prefix(letter == 'x' || letter == 'b' || letter == 'o' ? 2 : 1);
  }
  std::uint64_t magnitude = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), magnitude, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (negative && magnitude > kMax + 1) return std::nullopt;
  Value value = Value::integer(static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude));
  value.is_unsigned = magnitude > kMax && !negative;
  return value;
}

// Reads `from` to `most` digits.
std::optional<int> take_number(std::string_view& text, std::size_t from, std::size_t most) {
  std::size_t n = 0;
  int value = 0;
  while (n < most && n < text.size() && is_digit(text[n])) value = value * 10 + (text[n++] - '0');
  if (n < from) return std::nullopt;
  text.remove_prefix(n);
  return value;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

bool valid_date(int year, int month, int day) {
  constexpr std::array<int, 12> kDays{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (month < 1 || month > 12 || day < 1 || day > kDays[static_cast<std::size_t>(month - 1)]) return false;
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month != 2 || day < 29 || leap;
}

// "Z" or "+07:00", as RFC 3339 writes it.
std::optional<std::string> take_zone(std::string_view& text) {
  if (take(text, 'Z')) return "Z";
  if (!text.starts_with('+') && !text.starts_with('-')) return std::nullopt;
  if (text.size() != 6 || text[3] != ':') return std::nullopt;
  std::string zone(text);
  for (const std::size_t i : {1U, 2U, 4U, 5U}) {
    if (!is_digit(zone[i])) return std::nullopt;
  }
  text = {};
  return zone == "+00:00" || zone == "-00:00" ? "Z" : zone;
}

// The four forms Go's reader knows: a date; date and time with 'T' (or 't') and a zone; with a blank and no zone.
std::optional<std::string> parse_timestamp(std::string_view text) {
  if (text.size() < 8 || text[4] != '-') return std::nullopt;
  const auto year = take_number(text, 4, 4);
  if (!year || !take(text, '-')) return std::nullopt;
  const auto month = take_number(text, 1, 2);
  if (!month || !take(text, '-')) return std::nullopt;
  const auto day = take_number(text, 1, 2);
  if (!day || !valid_date(*year, *month, *day)) return std::nullopt;
  std::string out = fmt::format("{:04}-{:02}-{:02}T", *year, *month, *day);
  if (text.empty()) return out + "00:00:00Z";
  const bool zoned = text[0] == 'T' || text[0] == 't';
  if (!zoned && text[0] != ' ') return std::nullopt;
  text.remove_prefix(1);
  const auto hour = take_number(text, 1, 2);
  if (!hour || *hour > 23 || !take(text, ':')) return std::nullopt;
  const auto minute = take_number(text, 1, 2);
  if (!minute || *minute > 59 || !take(text, ':')) return std::nullopt;
  const auto second = take_number(text, 1, 2);
  if (!second || *second > 59) return std::nullopt;
  out += fmt::format("{:02}:{:02}:{:02}", *hour, *minute, *second);
  if (text.starts_with('.')) {
    std::size_t n = 1;
    while (n < text.size() && is_digit(text[n])) ++n;
    if (n == 1) return std::nullopt;
    std::string fraction(text.substr(1, std::min<std::size_t>(n - 1, 9)));
    text.remove_prefix(n);
    while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
    if (!fraction.empty()) out += "." + fraction;
  }
  if (!zoned) return text.empty() ? std::optional(out + "Z") : std::nullopt;
  const auto zone = take_zone(text);
  if (!zone || !text.empty()) return std::nullopt;
  return out + *zone;
}

std::optional<Value> word_value(std::string_view text) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const auto one_of = [&](std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), text) != words.end();
  };
  if (one_of({"", "~", "null", "Null", "NULL"})) return Value{};
  if (one_of({"true", "True", "TRUE"})) return Value::boolean(true);
  if (one_of({"false", "False", "FALSE"})) return Value::boolean(false);
  if (one_of({".nan", ".NaN", ".NAN"})) return Value::real(std::numeric_limits<double>::quiet_NaN());
  if (one_of({".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"})) return Value::real(kInfinity);
  if (one_of({"-.inf", "-.Inf", "-.INF"})) return Value::real(-kInfinity);
  return std::nullopt;
}

Value number_or_date(std::string_view text) {
  if (const auto time = parse_timestamp(text)) {
    Value value = Value::string(*time);
    value.timestamp = true;
    return value;
  }
  std::string plain(text);
  plain.erase(std::remove(plain.begin(), plain.end(), '_'), plain.end());
  if (auto number = parse_integer(plain)) return *std::move(number);
  if (const auto number = parse_float(plain)) return Value::real(*number);
  return Value::string(std::string(text));
}

}  // namespace

std::optional<double> parse_float(std::string_view text) {
  std::string_view rest = text;
  if (rest.starts_with('+') || rest.starts_with('-')) rest.remove_prefix(1);
  std::size_t digits = 0;
  std::size_t i = 0;
  for (; i < rest.size() && is_digit(rest[i]); ++i) ++digits;
  if (i < rest.size() && rest[i] == '.') {
    for (++i; i < rest.size() && is_digit(rest[i]); ++i) ++digits;
  }
  if (digits == 0) return std::nullopt;
  if (i < rest.size() && (rest[i] | 0x20) == 'e') {
    std::size_t begin = ++i;
    if (i < rest.size() && (rest[i] == '+' || rest[i] == '-')) begin = ++i;
    while (i < rest.size() && is_digit(rest[i])) ++i;
    if (i == begin) return std::nullopt;
  }
  if (i != rest.size()) return std::nullopt;
  if (text.starts_with('+')) text.remove_prefix(1);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  return number;
}

Value resolve_plain(std::string_view text) {
  if (text.empty()) return Value{};
  const char first = text[0];
  if (is_digit(first) || first == '+' || first == '-') {
    if (first != '-' && first != '+') return number_or_date(text);
    if (const auto word = word_value(text)) return *word;
    return number_or_date(text);
  }
  if (first == '.') {
    if (const auto word = word_value(text)) return *word;
    if (const auto number = parse_float(text)) return Value::real(*number);
    return Value::string(std::string(text));
  }
  constexpr std::string_view kWordStarts = "~nNtTfF";
  if (text.size() <= 5 && kWordStarts.find(first) != std::string_view::npos) {
    if (const auto word = word_value(text)) return *word;
  }
  return Value::string(std::string(text));
}

std::optional<Value> resolve_tagged(std::string_view tag, std::string_view text) {
  if (tag == "!!str" || tag == "!!binary") return Value::string(std::string(text));
  Value value = resolve_plain(text);
  if (tag == "!!float" && value.is_number()) return Value::real(value.as_real());
  const bool fits = (tag == "!!int" && value.is_integer()) || (tag == "!!bool" && value.is_bool()) ||
                    (tag == "!!null" && value.is_null()) || (tag == "!!timestamp" && value.timestamp);
  if (!fits) return std::nullopt;
  return value;
}

}  // namespace compose::yaml
