#include "supervisor/policy/cron.hpp"

#include <array>
#include <span>

#include "base/strings.hpp"

namespace compose::supervisor::policy {

using namespace std::chrono_literals;
using std::chrono::days;

namespace {

struct Field {
  const char* name;
  unsigned first, last;
  std::span<const std::string_view> words{};  ///< words[0] is `first`
};

constexpr std::array<std::string_view, 12> kMonths{"jan", "feb", "mar", "apr", "may", "jun",
                                                   "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kWeekdays{"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
constexpr Field kFields[] = {{"minute", 0, 59},
                             {"hour", 0, 23},
                             {"day of month", 1, 31},
                             {"month", 1, 12, kMonths},
                             {"day of week", 0, 7, kWeekdays}};
constexpr std::pair<std::string_view, const char*> kNicknames[] = {
    {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}};
constexpr int kYears = 8;

std::optional<unsigned> value_of(const Field& field, const std::string& text) {
  for (std::size_t i = 0; i < field.words.size(); ++i) {
    if (to_lower(text) == field.words[i]) return field.first + static_cast<unsigned>(i);
  }
  const auto number = parse_unsigned(text);
  if (!number || *number < field.first || *number > field.last) return std::nullopt;
  return static_cast<unsigned>(*number);
}

/// Calls `set` for every value of one entry of a list: "*", "5", "1-5", with "/step".
bool expand(const Field& field, const std::string& entry, const auto& set) {
  const auto slash = entry.find('/');
  const std::string range = entry.substr(0, slash);
  std::uint64_t step = 1;
  if (slash != std::string::npos) {
    const auto given = parse_unsigned(entry.substr(slash + 1));
    if (!given || *given == 0 || *given > 60) return false;
    step = *given;
  }
  unsigned first = field.first;
  unsigned last = field.last == 7 ? 6 : field.last;
  if (range != "*") {
    const auto dash = range.find('-');
    const auto low = value_of(field, range.substr(0, dash));
    if (!low) return false;
    first = *low;
    // "5/15" is "5-59/15".
    if (slash == std::string::npos) last = first;
    if (first > last) last = field.last;
    if (dash != std::string::npos) {
      const auto high = value_of(field, range.substr(dash + 1));
      if (!high || *high < first) return false;
      last = *high;
    }
  }
  for (std::uint64_t value = first; value <= last; value += step) set(static_cast<unsigned>(value));
  return true;
}

Error bad(const std::string& text, const std::string& why) {
  return make_error(Errc::invalid, "\"{}\" is not a cron expression: {}", text, why);
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (const std::string& word : split(text, ' ')) {
    if (!word.empty()) words.push_back(word);
  }
  return words;
}

}  // namespace

Result<Cron> Cron::parse(const std::string& text) {
  Cron cron;
  std::string expression{trim(text)};
  if (expression.starts_with("@every ")) {
    const auto duration = parse_duration(trim(expression.substr(7)));
    if (!duration || *duration < 1s) return bad(text, "@every needs a duration of at least 1s");
    cron.every_ = std::chrono::duration_cast<std::chrono::seconds>(*duration);
    return cron;
  }
  for (const auto& [nickname, meaning] : kNicknames) {
    if (to_lower(expression) == nickname) expression = meaning;
  }
  const auto words = words_of(expression);
  if (words.size() != std::size(kFields)) {
    return bad(text, "it needs five fields: minute, hour, day of month, month, day of week");
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto set = [&](unsigned value) {
      if (i == 0) cron.minutes_.set(value);
      if (i == 1) cron.hours_.set(value);
      if (i == 2) cron.days_.set(value);
      if (i == 3) cron.months_.set(value);
      if (i == 4) cron.weekdays_.set(value % 7);
    };
    for (const std::string& entry : split(words[i], ',')) {
      if (!expand(kFields[i], entry, set)) {
        return bad(
            text, fmt::format("\"{}\" is no {} ({}-{})", words[i], kFields[i].name, kFields[i].first, kFields[i].last));
      }
    }
  }
  cron.any_hour_ = words[1].starts_with('*');
  cron.any_day_ = words[2].starts_with('*');
  cron.any_weekday_ = words[4].starts_with('*');
  return cron;
}

bool Cron::date_matches(LocalSeconds time) const {
  const auto day = std::chrono::floor<days>(time);
  const std::chrono::year_month_day date{day};
  if (!months_.test(static_cast<unsigned>(date.month()))) return false;
  const bool by_day = days_.test(static_cast<unsigned>(date.day()));
  const bool by_weekday = weekdays_.test(std::chrono::weekday{day}.c_encoding());
  return any_day_ || any_weekday_ ? by_day && by_weekday : by_day || by_weekday;
}

std::optional<Seconds> Cron::next(Seconds after, const TimeZone& zone) const {
  if (every_) return after + *every_;
  return any_hour_ ? next_real(after, zone) : next_local(after, zone);
}

/// Minute by minute of real time, hours that cannot match left out.
std::optional<Seconds> Cron::next_real(Seconds after, const TimeZone& zone) const {
  const Seconds end = after + days{366 * kYears};
  Seconds time = std::chrono::floor<std::chrono::minutes>(after) + 1min;
  while (time < end) {
    const LocalSeconds local = zone.local(time);
    const auto of_day = local - std::chrono::floor<days>(local);
    const auto hour = std::chrono::floor<std::chrono::hours>(of_day);
    const auto minute = std::chrono::floor<std::chrono::minutes>(of_day - hour);
    const bool hour_fits = date_matches(local) && hours_.test(static_cast<std::size_t>(hour.count()));
    if (hour_fits && minutes_.test(static_cast<std::size_t>(minute.count()))) return time;
    time += hour_fits ? 1min : 60min - minute;
  }
  return std::nullopt;
}

/// Day by day of the local calendar.
std::optional<Seconds> Cron::next_local(Seconds after, const TimeZone& zone) const {
  // A change of clocks may have put a time of the day before behind `after`.
  auto day = std::chrono::floor<days>(zone.local(after)) - days{1};
  const auto end = day + days{366 * kYears};
  for (; day < end; day += days{1}) {
    if (!date_matches(day)) continue;
    for (unsigned hour = 0; hour < 24; ++hour) {
      if (!hours_.test(hour)) continue;
      for (unsigned minute = 0; minute < 60; ++minute) {
        if (!minutes_.test(minute)) continue;
        const Seconds time = zone.first(day + std::chrono::hours{hour} + std::chrono::minutes{minute});
        if (time > after) return time;
      }
    }
  }
  return std::nullopt;
}

}  // namespace compose::supervisor::policy
