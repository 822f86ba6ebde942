#include "supervisor/policy/time_zone.hpp"

#include <algorithm>
#include <cctype>

#include "sys/file.hpp"

namespace compose::supervisor::policy {

using std::chrono::seconds;

namespace {

constexpr std::size_t kHeader = 44;
constexpr std::size_t kLargest = std::size_t{1} << 20;

std::int64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<std::uint8_t>(byte);
  if (bytes.size() == 4) return static_cast<std::int32_t>(static_cast<std::uint32_t>(value));
  return static_cast<std::int64_t>(value);
}

struct Header {
  char version = 0;
  std::size_t isut = 0, isstd = 0, leap = 0, times = 0, types = 0, chars = 0;
  std::size_t size(std::size_t width) const {
    return times * width + times + types * 6 + chars + leap * (width + 4) + isstd + isut;
  }
};

Result<Header> read_header(std::string_view bytes) {
  if (bytes.size() < kHeader || !bytes.starts_with("TZif")) return make_error(Errc::corrupt, "not a time zone file");
  Header header;
  header.version = bytes[4];
  std::size_t* const counts[] = {&header.isut,  &header.isstd, &header.leap,
                                 &header.times, &header.types, &header.chars};
  for (std::size_t i = 0; i < std::size(counts); ++i) {
    const std::int64_t count = big_endian(bytes.substr(20 + i * 4, 4));
    if (count < 0 || count > static_cast<std::int64_t>(kLargest))
      return make_error(Errc::corrupt, "a count is too large");
    *counts[i] = static_cast<std::size_t>(count);
  }
  if (header.types == 0) return make_error(Errc::corrupt, "no local time types");
  return header;
}

/// Reads a POSIX TZ string from the left.
class RuleReader {
 public:
  explicit RuleReader(std::string_view text) : text_{text} {}
  bool done() const { return text_.empty(); }
  bool take(char wanted) {
    if (text_.empty() || text_.front() != wanted) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool next_is(char wanted) const { return !text_.empty() && text_.front() == wanted; }
  bool name() {
    if (take('<')) {
      const auto end = text_.find('>');
      if (end == std::string_view::npos) return false;
      text_.remove_prefix(end + 1);
      return true;
    }
    std::size_t length = 0;
    while (length < text_.size() && std::isalpha(static_cast<unsigned char>(text_[length])) != 0) ++length;
    text_.remove_prefix(length);
    return length >= 3;
  }
  std::optional<int> number() {
    std::size_t length = 0;
    int value = 0;
    while (length < text_.size() && length < 4 && std::isdigit(static_cast<unsigned char>(text_[length])) != 0) {
      value = value * 10 + (text_[length++] - '0');
    }
    text_.remove_prefix(length);
    return length == 0 ? std::nullopt : std::optional{value};
  }
  /// [+-]hh[:mm[:ss]]
  std::optional<seconds> time() {
    const bool negative = take('-');
    if (!negative) take('+');
    int total = 0;
    for (const int unit : {3600, 60, 1}) {
      const auto part = number();
      if (!part) return std::nullopt;
      total += *part * unit;
      if (!take(':')) break;
    }
    return seconds{negative ? -total : total};
  }

 private:
  std::string_view text_;
};

}  // namespace

std::optional<TimeZone::Rule> TimeZone::parse_rule(std::string_view text) {
  RuleReader reader{text};
  Rule rule;
  if (!reader.name()) return std::nullopt;
  const auto west = reader.time();  // POSIX counts to the west
  if (!west) return std::nullopt;
  rule.standard = -*west;
  if (reader.done()) return rule;
  if (!reader.name()) return std::nullopt;
  rule.daylight = rule.standard + std::chrono::hours{1};
  if (!reader.next_is(',')) {
    const auto other = reader.time();
    if (!other) return std::nullopt;
    rule.daylight = -*other;
  }
  for (RuleDate* date : {&rule.begin, &rule.end}) {
    if (!reader.take(',')) return std::nullopt;
    if (reader.take('M')) {
      for (int* part : {&date->month, &date->week, &date->day}) {
        const auto value = reader.number();
        if (!value) return std::nullopt;
        *part = *value;
        if (part != &date->day && !reader.take('.')) return std::nullopt;
      }
      if (date->month < 1 || date->month > 12 || date->week < 1 || date->week > 5 || date->day > 6) return std::nullopt;
    } else {
      date->kind = reader.take('J') ? 'J' : 'N';
      const auto day = reader.number();
      if (!day || *day > 365) return std::nullopt;
      date->day = *day;
    }
    if (!reader.take('/')) continue;
    const auto time = reader.time();
    if (!time) return std::nullopt;
    date->time = *time;
  }
  return reader.done() ? std::optional{rule} : std::nullopt;
}

/// Seconds from 1970 to the date in that year, on the clock that shows at that moment.
seconds TimeZone::in_year(const RuleDate& date, std::chrono::year year) {
  using namespace std::chrono;
  sys_days day;
  if (date.kind == 'M') {
    const auto month = year / std::chrono::month{static_cast<unsigned>(date.month)};
    const std::chrono::weekday weekday{static_cast<unsigned>(date.day)};
    day =
        date.week == 5 ? sys_days{month / weekday[last]} : sys_days{month / weekday[static_cast<unsigned>(date.week)]};
  } else {
    day = sys_days{year / January / 1} + days{date.kind == 'J' ? date.day - 1 : date.day};
    if (date.kind == 'J' && year.is_leap() && date.day >= 60) day += days{1};
  }
  return day.time_since_epoch() + date.time;
}

seconds TimeZone::by_rule(Seconds time) const {
  if (!rule_->daylight) return rule_->standard;
  const std::chrono::year year =
      std::chrono::year_month_day{std::chrono::floor<std::chrono::days>(time + rule_->standard)}.year();
  const seconds now = time.time_since_epoch();
  const seconds begin = in_year(rule_->begin, year) - rule_->standard;
  const seconds end = in_year(rule_->end, year) - *rule_->daylight;
  const bool daylight = begin < end ? now >= begin && now < end : now >= begin || now < end;
  return daylight ? *rule_->daylight : rule_->standard;
}

Result<TimeZone> TimeZone::parse(std::string_view bytes) {
  if (bytes.size() > kLargest) return make_error(Errc::corrupt, "the file is too large");
  TRY_ASSIGN(Header header, read_header(bytes));
  bytes.remove_prefix(kHeader);
  std::size_t width = 4;
  if (header.version >= '2') {  // the same again with times of 64 bits
    if (bytes.size() < header.size(width)) return make_error(Errc::corrupt, "the file is cut off");
    bytes.remove_prefix(header.size(width));
    TRY_ASSIGN(header, read_header(bytes));
    bytes.remove_prefix(kHeader);
    width = 8;
  }
  if (bytes.size() < header.size(width)) return make_error(Errc::corrupt, "the file is cut off");
  const std::string_view indexes = bytes.substr(header.times * width, header.times);
  const std::string_view types = bytes.substr(header.times * (width + 1), header.types * 6);
  const auto offset_of = [&](std::size_t type) { return seconds{big_endian(types.substr(type * 6, 4))}; };
  TimeZone zone;
  zone.before_ = offset_of(0);
  for (std::size_t i = 0; i < header.times; ++i) {
    const auto type = static_cast<std::uint8_t>(indexes[i]);
    if (type >= header.types) return make_error(Errc::corrupt, "a transition to a type that is not there");
    const std::int64_t at = big_endian(bytes.substr(i * width, width));
    if (!zone.transitions_.empty() && zone.transitions_.back().first >= at) {
      return make_error(Errc::corrupt, "transitions out of order");
    }
    zone.transitions_.emplace_back(at, offset_of(type));
  }
  if (width == 8) {
    std::string_view footer = bytes.substr(header.size(width));
    if (footer.size() >= 2 && footer.front() == '\n') {
      footer = footer.substr(1, footer.find('\n', 1) - 1);
      if (!footer.empty()) {
        zone.rule_ = parse_rule(footer);
        if (!zone.rule_) return make_error(Errc::corrupt, "the rule \"{}\" cannot be read", footer);
      }
    }
  }
  return zone;
}

Result<TimeZone> TimeZone::load(const std::string& name) {
  if (name.empty() || name == "UTC") return TimeZone{};
  const bool plain = std::ranges::all_of(name, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '/' || c == '_' || c == '-' || c == '+';
  });
  if (!plain || name.starts_with('/') || name.size() > 64) {
    return make_error(Errc::invalid, "\"{}\" is not the name of a time zone (such as Europe/Berlin)", name);
  }
  const std::string path = name == "local" ? "/etc/localtime" : "/usr/share/zoneinfo/" + name;
  auto text = sys::read_file(path, kLargest);
  if (!text) {
    if (name == "local" && text.error().code() == Errc::not_found) return TimeZone{};
    return make_error(Errc::not_found, "time zone \"{}\" is not known here ({}; Debian's package tzdata has them)",
                      name, text.error().message());
  }
  return parse(*text).with("{}", path);
}

seconds TimeZone::offset_at(Seconds time) const {
  const std::int64_t at = time.time_since_epoch().count();
  const auto later = std::ranges::upper_bound(transitions_, at, {}, &std::pair<std::int64_t, seconds>::first);
  if (later == transitions_.end() && rule_) return by_rule(time);
  return later == transitions_.begin() ? before_ : std::prev(later)->second;
}

Seconds TimeZone::first(LocalSeconds time) const {
  const Seconds as_utc{time.time_since_epoch()};
  constexpr std::chrono::hours kDay{24};
  const seconds around[] = {offset_at(as_utc - kDay), offset_at(as_utc + kDay)};
  const seconds larger = std::max(around[0], around[1]);
  const seconds smaller = std::min(around[0], around[1]);
  // The larger offset gives the earlier moment.
  if (offset_at(as_utc - larger) == larger) return as_utc - larger;
  if (offset_at(as_utc - smaller) == smaller) return as_utc - smaller;
  // The clock jumped over it: somewhere in between.
  Seconds low = as_utc - larger;
  Seconds high = as_utc - smaller;
  const seconds before = offset_at(low);
  while (high - low > seconds{1}) {
    const Seconds middle = low + (high - low) / 2;
    (offset_at(middle) == before ? low : high) = middle;
  }
  return high;
}

}  // namespace compose::supervisor::policy
