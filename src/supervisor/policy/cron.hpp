#pragma once
// When a cron expression is due. Pure.
//
// Five fields as in crontab(5): minute, hour, day of month, month, day of week (0-7, both ends Sunday), each "*", a
// number, a name (jan, mon), a range, a list, with "/step"; or @hourly, @daily (@midnight), @weekly, @monthly, @yearly
// (@annually), or "@every 90s" (at least 1 s, counted from the run before). Where both day fields are restricted,
// either is enough.
//
// When clocks change, as Debian's cron(8) has it: what would run at a time that is skipped runs once at the moment of
// the change; what would run at a time that comes twice runs the first time; expressions with an hour of "*" follow
// real time and do not notice.
#include <bitset>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/units.hpp"
#include "supervisor/policy/time_zone.hpp"

namespace compose::supervisor::policy {

class Cron {
 public:
  /// Errc::invalid names the field.
  static Result<Cron> parse(const std::string& text);
  /// The first time after `after`; nothing when there is none within eight years (30 February).
  std::optional<Seconds> next(Seconds after, const TimeZone& zone) const;
  bool operator==(const Cron&) const = default;

 private:
  bool date_matches(LocalSeconds time) const;
  std::optional<Seconds> next_real(Seconds after, const TimeZone& zone) const;
  std::optional<Seconds> next_local(Seconds after, const TimeZone& zone) const;

  std::optional<std::chrono::seconds> every_;
  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;
  std::bitset<13> months_;
  std::bitset<7> weekdays_;
  bool any_hour_ = false, any_day_ = false, any_weekday_ = false;
};

}  // namespace compose::supervisor::policy
