#pragma once
// Local time of one place, from the text of its zoneinfo file (RFC 9636, TZif version 1 to 4, with the rule at its end
// for the time after the last transition). Pure but for load().
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace compose::supervisor::policy {

using Seconds = std::chrono::sys_seconds;
/// Wall-clock time as seconds since 1970-01-01 00:00 on the same clock.
using LocalSeconds = std::chrono::local_seconds;

class TimeZone {
 public:
  TimeZone() = default;  ///< UTC
  /// "Europe/Berlin"; "" and "UTC" are UTC, "local" is the host's. Errc::invalid for a name that cannot be one,
  /// Errc::not_found (says that Debian's package tzdata is needed).
  static Result<TimeZone> load(const std::string& name);
  /// Errc::corrupt.
  static Result<TimeZone> parse(std::string_view tzif);

  std::chrono::seconds offset_at(Seconds time) const;
  LocalSeconds local(Seconds time) const { return LocalSeconds{(time + offset_at(time)).time_since_epoch()}; }
  /// When the clock shows `time`: the first of two, or, where it is skipped, the moment the clock jumps over it.
  Seconds first(LocalSeconds time) const;

 private:
  /// One date of a POSIX TZ rule: the `week`-th `day` of `month` (5 = the last), or a day of the year.
  struct RuleDate {
    char kind = 'M';  ///< M, J (1-365, never 29 February), N (0-365)
    int month = 0, week = 0, day = 0;
    std::chrono::seconds time = std::chrono::hours{2};
  };
  struct Rule {
    std::chrono::seconds standard{};
    std::optional<std::chrono::seconds> daylight;
    RuleDate begin, end;
  };
  static std::optional<Rule> parse_rule(std::string_view text);
  static std::chrono::seconds in_year(const RuleDate& date, std::chrono::year year);
  std::chrono::seconds by_rule(Seconds time) const;

  std::chrono::seconds before_{};  ///< offset before the first transition
  std::vector<std::pair<std::int64_t, std::chrono::seconds>> transitions_;
  std::optional<Rule> rule_;
};

}  // namespace compose::supervisor::policy
