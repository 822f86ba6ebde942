#include "supervisor/policy/restart.hpp"

#include <gtest/gtest.h>

namespace compose::supervisor::policy {
namespace {

using namespace std::chrono_literals;
using Condition = RestartSpec::Condition;
using Kind = Decision::Kind;

RestartSpec parse(const std::string& restart) {
  model::Service service;
  service.restart = restart;
  auto spec = restart_spec(service);
  EXPECT_TRUE(spec.ok()) << restart;
  return spec.ok() ? *spec : RestartSpec{};
}

Ended failed(Duration ran_for = 1s) { return {.exit_code = 1, .ran_for = ran_for}; }

TEST(RestartSpecTest, ReadsEveryForm) {
  EXPECT_EQ(parse(""), RestartSpec{});
  EXPECT_EQ(parse("no"), RestartSpec{});
  EXPECT_EQ(parse("always").condition, Condition::always);
  EXPECT_EQ(parse("unless-stopped").condition, Condition::unless_stopped);
  EXPECT_EQ(parse("on-failure").max_attempts, std::nullopt);
  EXPECT_EQ(parse("on-failure:3").max_attempts, 3U);
  EXPECT_EQ(parse("on-failure:0").max_attempts, std::nullopt);
}

TEST(RestartSpecTest, RefusesAnythingElse) {
  for (const char* text : {"sometimes", "on-failure:x", "on-failure:1:2", "always:3", "Always"}) {
    model::Service service;
    service.restart = text;
    const auto spec = restart_spec(service);
    ASSERT_FALSE(spec.ok()) << text;
    EXPECT_EQ(spec.error().code(), Errc::invalid);
    EXPECT_NE(spec.error().message().find(text), std::string::npos);
  }
}

TEST(RestartSpecTest, DeployPolicyWins) {
  model::Service service;
  service.restart = "always";
  service.deploy.emplace();
  service.deploy->restart_policy =
      model::RestartPolicy{.condition = "on-failure", .delay = 5s, .max_attempts = 2, .window = 30s};
  const auto spec = restart_spec(service);
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(*spec, (RestartSpec{Condition::on_failure, 2, 5s, 30s}));
  service.deploy->restart_policy = model::RestartPolicy{};
  EXPECT_EQ(restart_spec(service)->condition, Condition::always);
  service.deploy->restart_policy->condition = "none";
  EXPECT_EQ(restart_spec(service)->condition, Condition::never);
}

TEST(Restart, NoPolicyStaysDown) { EXPECT_EQ(next(parse("no"), {}, failed()).kind, Kind::stay_down); }

TEST(Restart, AStopOnRequestIsNotUndone) {
  const Ended stopped{.exit_code = 143, .stop_requested = true, .ran_for = 1s};
  for (const char* policy : {"always", "unless-stopped", "on-failure"}) {
    EXPECT_EQ(next(parse(policy), {}, stopped).kind, Kind::stay_down) << policy;
  }
}

TEST(Restart, ACleanExitIsRestartedByAlwaysButNotByOnFailure) {
  const Ended clean{.exit_code = 0, .ran_for = 1s};
  EXPECT_EQ(next(parse("always"), {}, clean).kind, Kind::restart);
  EXPECT_EQ(next(parse("unless-stopped"), {}, clean).kind, Kind::restart);
  EXPECT_EQ(next(parse("on-failure"), {}, clean).kind, Kind::stay_down);
}

TEST(Restart, TheDelayDoublesUpToAMinute) {
  RestartState state;
  std::vector<Duration> delays;
  for (int i = 0; i < 12; ++i) {
    const Decision decision = next(parse("always"), state, failed());
    ASSERT_EQ(decision.kind, Kind::restart);
    delays.push_back(decision.delay);
    state = decision.next;
  }
  const std::vector<Duration> expected{100ms,  200ms,   400ms,   800ms,   1600ms, 3200ms,
                                       6400ms, 12800ms, 25600ms, 51200ms, 60s,    60s};
  EXPECT_EQ(delays, expected);
  EXPECT_EQ(state.attempts, 12U);
}

TEST(Restart, ARunOfTenSecondsStartsTheDelaysAfresh) {
  RestartState state{.attempts = 5, .last_delay = 1600ms, .short_runs = 5};
  EXPECT_EQ(next(parse("always"), state, failed(9999ms)).delay, 3200ms);
  const Decision decision = next(parse("always"), state, failed(10s));
  EXPECT_EQ(decision.delay, 100ms);
  EXPECT_FALSE(decision.crash_loop);
  EXPECT_EQ(decision.next.short_runs, 0U);
}

TEST(Restart, GivesUpAfterTheGivenAttempts) {
  RestartState state;
  for (int i = 0; i < 2; ++i) {
    const Decision decision = next(parse("on-failure:2"), state, failed());
    ASSERT_EQ(decision.kind, Kind::restart);
    state = decision.next;
  }
  const Decision last = next(parse("on-failure:2"), state, failed());
  EXPECT_EQ(last.kind, Kind::give_up);
  EXPECT_EQ(last.reason, "exited with code 1; given up after 2 restarts");
}

TEST(Restart, AWindowForgivesEarlierAttempts) {
  const RestartSpec spec{Condition::on_failure, 1, 2s, 30s};
  const RestartState used_up{.attempts = 1, .last_delay = 2s};
  EXPECT_EQ(next(spec, used_up, failed(29s)).kind, Kind::give_up);
  const Decision decision = next(spec, used_up, failed(30s));
  EXPECT_EQ(decision.kind, Kind::restart);
  EXPECT_EQ(decision.delay, 2s);
  EXPECT_EQ(decision.next.attempts, 1U);
}

TEST(Restart, NamesACrashLoopAtTheThirdShortRun) {
  RestartState state;
  std::vector<bool> looping;
  for (int i = 0; i < 4; ++i) {
    const Decision decision = next(parse("always"), state, failed());
    looping.push_back(decision.crash_loop);
    state = decision.next;
  }
  EXPECT_EQ(looping, (std::vector<bool>{false, false, true, true}));
}

TEST(Restart, SaysWhatHappens) {
  EXPECT_EQ(next(parse("on-failure"), {.attempts = 2, .last_delay = 200ms}, failed()).reason,
            "exited with code 1; restart 3 in 400ms (restart: on-failure)");
  const Ended not_started{.exit_code = 127, .start_failed = true};
  EXPECT_EQ(next(parse("no"), {}, not_started).reason, "could not start (exit code 127); not restarted (restart: no)");
}

TEST(Restart, AtBootOnlyWhatShouldRun) {
  EXPECT_FALSE(restart_at_boot(parse("no"), false, 1));
  EXPECT_TRUE(restart_at_boot(parse("always"), true, 0));
  EXPECT_TRUE(restart_at_boot(parse("unless-stopped"), false, 0));
  EXPECT_FALSE(restart_at_boot(parse("unless-stopped"), true, 0));
  EXPECT_TRUE(restart_at_boot(parse("on-failure"), false, 1));
  EXPECT_FALSE(restart_at_boot(parse("on-failure"), false, 0));
}

TEST(RestartNext, AnUnhealthyEndIsRestartedWhenAskedForWhateverThePolicy) {
  Ended end{.exit_code = 0, .ran_for = 30s};
  end.unhealthy = true;
  RestartSpec spec;
  spec.on_unhealthy = true;
  EXPECT_EQ(next(spec, {}, end).kind, Kind::restart);
  EXPECT_EQ(next(spec, {}, end).reason, "was unhealthy and stopped (exit code 0); restart 1 in 100ms (restart: no)");
  spec.max_attempts = 1;
  EXPECT_EQ(next(spec, {.attempts = 1}, end).kind, Kind::give_up);
  end.stop_requested = true;
  EXPECT_EQ(next(spec, {}, end).kind, Kind::stay_down) << "a person's wish comes first";
}

TEST(RestartNext, AnOrdinaryEndIsNotRestartedByTheHealthOptIn) {
  RestartSpec spec;
  spec.on_unhealthy = true;
  EXPECT_EQ(next(spec, {}, failed()).kind, Kind::stay_down);
}

TEST(RestartSpecTest, KnowsBothWordsForRestartOnUnhealthy) {
  model::Service service;
  EXPECT_FALSE(restart_spec(service)->on_unhealthy);
  service.labels["autoheal"] = "true";
  EXPECT_TRUE(restart_spec(service)->on_unhealthy);
  service.labels["autoheal"] = "false";
  service.restart_on_unhealthy = true;
  EXPECT_TRUE(restart_spec(service)->on_unhealthy);
}

TEST(RestartSpecTest, AJobThatSucceededIsDone) {
  model::Service service;
  service.restart = "always";
  service.deploy.emplace().mode = "replicated-job";
  const auto spec = restart_spec(service);
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(next(*spec, {}, {.exit_code = 0}).kind, Kind::stay_down);
  EXPECT_EQ(next(*spec, {}, {.exit_code = 1}).kind, Kind::restart);
}

}  // namespace
}  // namespace compose::supervisor::policy
