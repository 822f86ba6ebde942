// Scheduled services as CronJobs.
#include "compose/kubernetes/schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mapped.hpp"

namespace compose::kubernetes::test {
namespace {

using testing::HasSubstr;

std::string words(const std::string& text) {
  const auto found = cron_words(text);
  return found ? found->schedule : "refused";
}

TEST(CronWords, MeanTheSameWhereTheFormIsTheSame) {
  for (const char* text : {"*/5 * * * *", "30 2 * jan,dec mon-fri", "0 0 1 * 0", "@hourly", "@daily", "@yearly"}) {
    ASSERT_TRUE(cron_words(text)) << text;
    EXPECT_EQ(cron_words(text)->schedule, text);
    EXPECT_EQ(cron_words(text)->how, "") << text;
  }
  EXPECT_EQ(words("  0   1 * * * "), "0 1 * * *");
  EXPECT_EQ(words("@Daily"), "@daily");
}

TEST(CronWords, SundayIsZeroNeverSeven) {
  EXPECT_EQ(words("0 0 * * 7"), "0 0 * * 0");
  EXPECT_EQ(words("0 0 * * 5-7"), "0 0 * * 5,6,0");
  EXPECT_EQ(words("0 0 * * 1,3-7/2"), "0 0 * * 1,3,5,0");
  EXPECT_THAT(cron_words("0 0 * * 7")->how, HasSubstr("Sunday"));
}

TEST(CronWords, IntervalsAreTimesOfTheClockWhereADayHoldsThem) {
  EXPECT_EQ(words("@every 1m"), "* * * * *");
  EXPECT_EQ(words("@every 15m"), "*/15 * * * *");
  EXPECT_EQ(words("@every 1h"), "0 * * * *");
  EXPECT_EQ(words("@every 6h"), "0 */6 * * *");
  EXPECT_EQ(words("@every 1d"), "0 0 * * *");
  EXPECT_THAT(cron_words("@every 15m")->how, HasSubstr("at fixed times"));
}

TEST(CronWords, OtherIntervalsStayAndAreReported) {
  EXPECT_EQ(words("@every 7m"), "@every 420s");
  EXPECT_EQ(words("@every 90s"), "@every 90s");
  EXPECT_EQ(words("@every 5h"), "@every 18000s");
  EXPECT_THAT(cron_words("@every 7m")->how, HasSubstr("no form in cron's five fields"));
}

TEST(CronWords, RefusesTheRest) {
  for (const char* text : {"", "* * * *", "* * * * * *", "@reboot", "@every", "@every 10ms", "TZ=UTC * * * * *",
                           "0 0 * * \x01", "0 0 ? * *"})
    EXPECT_EQ(words(text), "refused") << text;
}

std::string of_web(const Mapped& made, const std::string& key) { return made.at("CronJob", "web", "spec|" + key); }

TEST(Schedule, IsACronJobInUtcThatSkips) {
  const Mapped made = service("    x-schedule: '*/5 * * * *'\n");
  EXPECT_EQ(of_web(made, "schedule"), "\"*/5 * * * *\"");
  EXPECT_EQ(of_web(made, "timeZone"), "\"Etc/UTC\"");
  EXPECT_EQ(of_web(made, "concurrencyPolicy"), "\"Forbid\"");
  EXPECT_EQ(of_web(made, "startingDeadlineSeconds"), "60");
  EXPECT_THAT(made.fate("services.web.x-schedule.cron"), HasSubstr("exact"));
  EXPECT_THAT(render(made.all(), "web"), HasSubstr("schedule: \"*/5 * * * *\"  # compose.yaml:5"));
}

TEST(Schedule, HasItsTimeZone) {
  EXPECT_EQ(of_web(service("    x-schedule: {cron: '@daily', timezone: Europe/Berlin}\n"), "timeZone"),
            "\"Europe/Berlin\"");
  const Mapped local = service("    x-schedule: {cron: '@daily', timezone: local}\n");
  EXPECT_EQ(of_web(local, "timeZone"), "none");
  EXPECT_THAT(local.fate("services.web.x-schedule.timezone"), HasSubstr("approximated"));
}

TEST(Schedule, OverlapIsTheConcurrencyPolicyAndMissedTheDeadline) {
  const Mapped replace = service("    x-schedule: {cron: '@daily', overlap: replace}\n");
  EXPECT_EQ(of_web(replace, "concurrencyPolicy"), "\"Replace\"");
  EXPECT_EQ(of_web(replace, "startingDeadlineSeconds"), "60");
  const Mapped queue = service("    x-schedule: {cron: '@daily', overlap: queue, missed: run}\n");
  EXPECT_EQ(of_web(queue, "concurrencyPolicy"), "\"Forbid\"");
  EXPECT_EQ(of_web(queue, "startingDeadlineSeconds"), "none");
  EXPECT_THAT(queue.fate("services.web.x-schedule.overlap"), HasSubstr("exact"));
}

TEST(Schedule, WhatOneSwitchCannotSayIsReported) {
  EXPECT_THAT(service("    x-schedule: {cron: '@daily', overlap: queue}\n").fate("services.web.x-schedule"),
              HasSubstr("approximated: the last time that was missed"));
  EXPECT_THAT(service("    x-schedule: {cron: '@daily', missed: run}\n").fate("services.web.x-schedule"),
              HasSubstr("approximated: a run that falls into the one before"));
}

TEST(Schedule, TheLabelsCount) {
  const Mapped label = service("    x-schedule: '@daily'\n    labels: {kubernetes.schedule: '@hourly'}\n");
  EXPECT_EQ(of_web(label, "schedule"), "\"@hourly\"");
  EXPECT_THAT(label.fate("services.web.x-schedule"), HasSubstr("approximated: the label kubernetes.schedule counts"));
  const Mapped kind = service("    x-schedule: '@daily'\n    labels: {kubernetes.controller: deployment}\n");
  EXPECT_TRUE(kind.has("Deployment", "web"));
  EXPECT_THAT(kind.fate("services.web.x-schedule"), HasSubstr("dropped: label kubernetes.controller"));
}

TEST(Schedule, NonsenseIsRefusedWithItsLine) {
  EXPECT_THAT(service("    x-schedule: now and then\n").problems(),
              HasSubstr("compose.yaml:5: \"now and then\" is not a schedule"));
  EXPECT_THAT(service("    labels: {kubernetes.schedule: daily}\n").problems(),
              HasSubstr("\"daily\" is not a schedule"));
}

TEST(Schedule, OfAnotherPodIsDropped) {
  const Mapped made{
      "services:\n  web: {image: a}\n  side: {image: b, network_mode: 'service:web', x-schedule: '@daily'}\n"};
  EXPECT_THAT(made.fate("services.side.x-schedule"), HasSubstr("dropped: the pod is that of \"web\""));
}

TEST(RestartOnUnhealthy, IsALivenessProbe) {
  const Mapped made = service("    healthcheck: {test: [CMD, a]}\n    x-restart-on-unhealthy: true\n");
  EXPECT_EQ(made.container("web", "livenessProbe|exec|command"), "[\"a\"]");
  EXPECT_THAT(made.fate("services.web.x-restart-on-unhealthy"), HasSubstr("exact"));
  EXPECT_THAT(service("    x-restart-on-unhealthy: true\n").fate("services.web.x-restart-on-unhealthy"),
              HasSubstr("dropped: without a health check"));
}

}  // namespace
}  // namespace compose::kubernetes::test
