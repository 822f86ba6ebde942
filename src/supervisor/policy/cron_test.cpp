#include "supervisor/policy/cron.hpp"

#include <gtest/gtest.h>

#include <ctime>

#include "sys/file.hpp"

namespace compose::supervisor::policy {
namespace {

/// "2026-03-29 01:30" as seconds.
std::chrono::seconds read_time(const std::string& text) {
  std::tm parts{};
  EXPECT_NE(::strptime(text.c_str(), "%Y-%m-%d %H:%M:%S", &parts), nullptr) << text;
  return std::chrono::seconds{::timegm(&parts)};
}
Seconds utc(const std::string& text) { return Seconds{read_time(text + ":00")}; }

std::string show(LocalSeconds time) {
  const std::time_t seconds = time.time_since_epoch().count();
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts);
  return text;
}

/// A zone file with nothing but a rule: what zic writes for the years after the last transition.
TimeZone zone(const std::string& rule) {
  std::string block(44, '\0');
  block.replace(0, 5, "TZif2");
  block[39] = 1;  // one type
  block[43] = 4;  // four characters
  const std::string types = std::string(6, '\0') + std::string("LMT\0", 4);
  auto parsed = TimeZone::parse(block + types + block + types + "\n" + rule + "\n");
  EXPECT_TRUE(parsed.ok()) << parsed.error().message();
  return parsed.ok() ? *parsed : TimeZone{};
}

const TimeZone kBerlin = zone("CET-1CEST,M3.5.0,M10.5.0/3");

/// The next times, as the clock of the place shows them with its offset from UTC in minutes.
std::string times(const std::string& expression, const std::string& after, int count, const TimeZone& place = {}) {
  const auto cron = Cron::parse(expression);
  if (!cron) return cron.error().message();
  std::string text;
  Seconds now = utc(after);
  for (int i = 0; i < count; ++i) {
    const auto next = cron->next(now, place);
    if (!next) return text + "never";
    now = *next;
    text += fmt::format("{} {:+}\n", show(place.local(now)),
                        std::chrono::duration_cast<std::chrono::minutes>(place.offset_at(now)).count());
  }
  return text;
}

TEST(Cron, ReadsTheFields) {
  EXPECT_EQ(times("*/20 8-9 * * *", "2026-01-01 08:50", 3),
            "2026-01-01 09:00 +0\n2026-01-01 09:20 +0\n2026-01-01 09:40 +0\n");
  EXPECT_EQ(times("5/25 0 * * *", "2026-01-01 00:00", 3),
            "2026-01-01 00:05 +0\n2026-01-01 00:30 +0\n2026-01-01 00:55 +0\n");
  EXPECT_EQ(times("0 0 1 jan,JUL *", "2026-01-01 00:00", 2), "2026-07-01 00:00 +0\n2027-01-01 00:00 +0\n");
  EXPECT_EQ(times("0 12 * * mon-fri", "2026-01-02 12:00", 2), "2026-01-05 12:00 +0\n2026-01-06 12:00 +0\n");
  EXPECT_EQ(times("0 12 * * 7", "2026-01-02 12:00", 1), times("0 12 * * 0", "2026-01-02 12:00", 1));
  EXPECT_EQ(times("30 * * * *", "2026-01-01 00:31", 1), "2026-01-01 01:30 +0\n");
}

TEST(Cron, EitherDayFieldIsEnoughWhenBothAreRestricted) {
  EXPECT_EQ(times("0 0 13 * fri", "2026-02-01 00:00", 4),
            "2026-02-06 00:00 +0\n2026-02-13 00:00 +0\n2026-02-20 00:00 +0\n2026-02-27 00:00 +0\n");
  EXPECT_EQ(times("0 0 */2 * mon", "2026-02-01 00:00", 2), "2026-02-09 00:00 +0\n2026-02-23 00:00 +0\n")
      << "a field that begins with * does not count as restricted";
}

TEST(Cron, KnowsLeapYearsAndWhatNeverComes) {
  EXPECT_EQ(times("0 0 29 2 *", "2026-01-01 00:00", 2), "2028-02-29 00:00 +0\n2032-02-29 00:00 +0\n");
  EXPECT_EQ(times("0 0 30 2 *", "2026-01-01 00:00", 1), "never");
  EXPECT_EQ(times("* * 30 2 *", "2026-01-01 00:00", 1), "never");
}

TEST(Cron, KnowsNicknamesAndIntervals) {
  EXPECT_EQ(times("@daily", "2026-01-01 00:00", 1), "2026-01-02 00:00 +0\n");
  EXPECT_EQ(times("@weekly", "2026-01-01 00:00", 1), "2026-01-04 00:00 +0\n");
  EXPECT_EQ(times("@every 90m", "2026-01-01 00:00", 2), "2026-01-01 01:30 +0\n2026-01-01 03:00 +0\n");
}

TEST(Cron, ATimeThatIsSkippedRunsOnceWhenTheClockJumps) {
  // In Berlin 02:00 to 03:00 does not exist on 2026-03-29.
  EXPECT_EQ(times("30 2 * * *", "2026-03-28 00:00", 3, kBerlin),
            "2026-03-28 02:30 +60\n2026-03-29 03:00 +120\n2026-03-30 02:30 +120\n");
  EXPECT_EQ(times("*/15 2 * * *", "2026-03-29 00:00", 2, kBerlin), "2026-03-29 03:00 +120\n2026-03-30 02:00 +120\n");
}

TEST(Cron, ATimeThatComesTwiceRunsTheFirstTime) {
  // In Berlin 02:00 to 03:00 comes twice on 2026-10-25.
  EXPECT_EQ(times("30 2 * * *", "2026-10-24 12:00", 2, kBerlin), "2026-10-25 02:30 +120\n2026-10-26 02:30 +60\n");
}

TEST(Cron, AnyHourFollowsRealTime) {
  EXPECT_EQ(times("30 * * * *", "2026-03-29 00:00", 3, kBerlin),
            "2026-03-29 01:30 +60\n2026-03-29 03:30 +120\n2026-03-29 04:30 +120\n");
  EXPECT_EQ(times("30 * * * *", "2026-10-24 23:31", 4, kBerlin),
            "2026-10-25 02:30 +120\n2026-10-25 02:30 +60\n2026-10-25 03:30 +60\n2026-10-25 04:30 +60\n");
}

TEST(Cron, ChangesOfHalfAnHourAndTheOtherHemisphere) {
  const TimeZone lord_howe = zone("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0");
  EXPECT_EQ(times("15 2 * * *", "2026-10-02 12:00", 3, lord_howe),
            "2026-10-03 02:15 +630\n2026-10-04 02:30 +660\n2026-10-05 02:15 +660\n");
  EXPECT_EQ(times("45 1 * * *", "2026-04-04 12:00", 2, lord_howe), "2026-04-05 01:45 +660\n2026-04-06 01:45 +630\n");
}

TEST(Cron, RefusesWhatItCannotRead) {
  for (const char* text :
       {"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *",
        "5-1 * * * *", "a * * * *", "1,,2 * * * *", "@every 5", "@every 10ms", "@never", "-1 * * * *"}) {
    const auto cron = Cron::parse(text);
    ASSERT_FALSE(cron.ok()) << text;
    EXPECT_EQ(cron.error().code(), Errc::invalid);
  }
  EXPECT_EQ(Cron::parse("* 24 * * *").error().message(),
            "\"* 24 * * *\" is not a cron expression: \"24\" is no hour (0-23)");
}

TEST(TimeZone, ReadsTheHostsFilesWhereThereAreSome) {
  if (!sys::exists("/usr/share/zoneinfo/Europe/Berlin")) GTEST_SKIP() << "needs Debian's package tzdata";
  const auto berlin = TimeZone::load("Europe/Berlin");
  ASSERT_TRUE(berlin.ok()) << berlin.error().message();
  for (const char* time : {"2026-01-01 00:00", "2026-07-01 00:00", "2026-03-29 00:59", "2026-03-29 01:00",
                           "2026-10-25 00:59", "2026-10-25 01:00", "2060-07-01 00:00"}) {
    EXPECT_EQ(berlin->offset_at(utc(time)), kBerlin.offset_at(utc(time))) << time;
  }
  EXPECT_EQ(berlin->offset_at(utc("1900-01-01 00:00")), std::chrono::hours{1});
}

TEST(TimeZone, RefusesNamesThatLeaveTheFolderAndFilesThatLie) {
  for (const char* name : {"../etc/passwd", "/etc/localtime", "a b", "Nowhere/Town"}) {
    EXPECT_FALSE(TimeZone::load(name).ok()) << name;
  }
  for (std::string text :
       {std::string{}, std::string(44, 'x'), "TZif2" + std::string(39, '\xff'), "TZif2" + std::string(39, '\0')}) {
    EXPECT_FALSE(TimeZone::parse(text).ok());
  }
}

}  // namespace
}  // namespace compose::supervisor::policy
