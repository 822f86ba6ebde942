#include "supervisor/policy/health.hpp"

#include <gtest/gtest.h>

namespace compose::supervisor::policy {
namespace {

using namespace std::chrono_literals;
using Status = HealthMachine::Status;
using Probes = std::vector<std::pair<Duration, Status>>;

const HealthMachine::TimePoint kStart{1h};

model::Healthcheck check(std::vector<std::string> test) {
  model::Healthcheck healthcheck;
  healthcheck.test = std::move(test);
  return healthcheck;
}

// Runs the machine on a clock of its own: every probe is started when due, takes `took` and has the result that
// `healthy` gives for the time since the start.
template <typename Healthy>
Probes run(HealthMachine& machine, Duration until, Duration took, Healthy healthy) {
  Probes probes;
  while (machine.next_probe() < kStart + until) {
    const auto begin = machine.next_probe();
    ProbeResult result;
    result.finished = result.started + std::chrono::duration_cast<std::chrono::system_clock::duration>(took);
    result.exit_code = healthy(begin - kStart) ? 0 : 1;
    machine.record(result, begin + took);
    probes.emplace_back(begin - kStart, machine.status());
  }
  return probes;
}

HealthSpec spec(Duration interval, std::uint64_t retries = 3, Duration start_period = 0s) {
  HealthSpec result;
  result.command = {"true"};
  result.interval = interval;
  result.retries = retries;
  result.start_period = start_period;
  return result;
}

TEST(HealthSpecTest, TakesDockersDefaults) {
  const auto result = health_spec(check({"CMD", "curl", "-f", "http://localhost"}));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->command, (std::vector<std::string>{"curl", "-f", "http://localhost"}));
  EXPECT_EQ(result->interval, Duration{30s});
  EXPECT_EQ(result->timeout, Duration{30s});
  EXPECT_EQ(result->start_period, Duration{0s});
  EXPECT_EQ(result->start_interval, Duration{5s});
  EXPECT_EQ(result->retries, 3U);
}

TEST(HealthSpecTest, RunsAShellLineUnderTheImagesShell) {
  EXPECT_EQ(health_spec(check({"CMD-SHELL", "a | b"}))->command, (std::vector<std::string>{"/bin/sh", "-c", "a | b"}));
  EXPECT_EQ(health_spec(check({"CMD-SHELL", "a"}), {"/bin/bash", "-ec"})->command,
            (std::vector<std::string>{"/bin/bash", "-ec", "a"}));
}

TEST(HealthSpecTest, IsNoneWhenAbsentOrDisabled) {
  EXPECT_FALSE(health_spec(std::nullopt));
  EXPECT_FALSE(health_spec(check({"NONE"})));
  EXPECT_FALSE(health_spec(check({})));
  auto disabled = check({"CMD", "true"});
  disabled.disable = true;
  EXPECT_FALSE(health_spec(disabled));
}

TEST(HealthSpecTest, ZeroMeansTheDefault) {
  auto healthcheck = check({"CMD", "true"});
  healthcheck.interval = 0s;
  healthcheck.retries = 0;
  healthcheck.timeout = 2s;
  const auto result = health_spec(healthcheck);
  EXPECT_EQ(result->interval, Duration{30s});
  EXPECT_EQ(result->retries, 3U);
  EXPECT_EQ(result->timeout, Duration{2s});
}

TEST(Health, TheFirstProbeIsDueAtOnce) {
  HealthMachine machine{spec(30s), kStart};
  EXPECT_EQ(machine.next_probe(), kStart);
  EXPECT_EQ(machine.status(), Status::starting);
}

TEST(Health, ProbesComeCloseTogetherUntilTheFirstSuccess) {
  HealthMachine machine{spec(30s), kStart};
  const auto probes = run(machine, 2s, 0ms, [](Duration t) { return t >= 1s; });
  std::vector<Duration> times;
  for (const auto& probe : probes) times.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(probe.first));
  EXPECT_EQ(times, (std::vector<Duration>{0ms, 100ms, 200ms, 300ms, 400ms, 500ms, 625ms, 781ms, 976ms, 1220ms}));
  EXPECT_EQ(probes.back().second, Status::healthy);
  EXPECT_GE(machine.next_probe(), kStart + 31s);
}

TEST(Health, StartIntervalBoundsTheGapsBeforeTheFirstSuccess) {
  HealthSpec often = spec(1h, 3, 1h);
  often.start_interval = 2s;
  HealthMachine machine{often, kStart};
  Duration last{};
  for (const auto& [time, status] : run(machine, 60s, 0ms, [](Duration t) { return t >= 50s; })) {
    EXPECT_LE(time - last, Duration{2s});
    last = time;
  }
  EXPECT_EQ(machine.status(), Status::healthy);
  EXPECT_GE(machine.next_probe(), kStart + 1h);
}

TEST(Health, AnExpensiveProbeRunsAtMostHalfOfTheTime) {
  HealthMachine machine{spec(30s), kStart};
  const auto probes = run(machine, 5s, 1s, [](Duration) { return false; });
  ASSERT_GE(probes.size(), 2U);
  EXPECT_GE(probes[1].first, Duration{2s});
}

TEST(Health, IsUnhealthyNoSoonerThanUnderDocker) {
  HealthMachine machine{spec(10s, 3), kStart};
  const auto probes = run(machine, 60s, 0ms, [](Duration) { return false; });
  Duration turned{};
  for (const auto& [time, status] : probes) {
    if (status == Status::unhealthy && turned == Duration::zero()) turned = time;
  }
  EXPECT_EQ(turned, Duration{30s});
}

TEST(Health, FailuresInTheStartPeriodDoNotCount) {
  HealthMachine machine{spec(10s, 2, 60s), kStart};
  for (const auto& [time, status] : run(machine, 70s, 0ms, [](Duration) { return false; })) {
    EXPECT_EQ(status, Status::starting) << format_duration(time);
  }
  EXPECT_EQ(machine.failing_streak(), 1U);
  run(machine, 71s, 0ms, [](Duration) { return false; });
  EXPECT_EQ(machine.status(), Status::unhealthy);
}

TEST(Health, ASuccessInTheStartPeriodIsHealthyAtOnce) {
  HealthMachine machine{spec(10s, 2, 60s), kStart};
  EXPECT_EQ(machine.record({}, kStart + 50ms), Status::healthy);
  EXPECT_EQ(machine.next_probe(), kStart + 50ms + 10s);
}

TEST(Health, AfterASuccessEachFailureCountsAndASuccessHeals) {
  HealthMachine machine{spec(10s, 3), kStart};
  ProbeResult bad;
  bad.exit_code = 7;
  ASSERT_EQ(machine.record({}, kStart), Status::healthy);
  EXPECT_EQ(machine.record(bad, kStart + 10s), std::nullopt);
  EXPECT_EQ(machine.record(bad, kStart + 20s), std::nullopt);
  EXPECT_EQ(machine.failing_streak(), 2U);
  EXPECT_EQ(machine.record(bad, kStart + 30s), Status::unhealthy);
  EXPECT_EQ(machine.record(bad, kStart + 40s), std::nullopt);
  EXPECT_EQ(machine.next_probe(), kStart + 50s);
  EXPECT_EQ(machine.record({}, kStart + 50s), Status::healthy);
  EXPECT_EQ(machine.failing_streak(), 0U);
}

TEST(Health, ATimeoutIsAFailureThatSaysSo) {
  auto quick = spec(10s);
  quick.timeout = 2s;
  HealthMachine machine{quick, kStart};
  ProbeResult hung;
  hung.timed_out = true;
  hung.output = "partial";
  machine.record(hung, kStart + 2s);
  EXPECT_EQ(machine.log().back().exit_code, -1);
  EXPECT_EQ(machine.log().back().output, "partial\nhealth check exceeded its timeout of 2s");
}

TEST(Health, KeepsTheLastFiveResultsAndFourKilobytesOfOutput) {
  HealthMachine machine{spec(1s), kStart};
  for (int i = 0; i < 7; ++i) {
    ProbeResult result;
    result.exit_code = i;
    result.output = std::string(5000, 'x');
    machine.record(result, kStart + i * 1s);
  }
  ASSERT_EQ(machine.log().size(), 5U);
  EXPECT_EQ(machine.log().front().exit_code, 2);
  EXPECT_EQ(machine.log().front().output.size(), 4096U);
}

}  // namespace
}  // namespace compose::supervisor::policy
