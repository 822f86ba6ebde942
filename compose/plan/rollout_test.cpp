#include <gtest/gtest.h>

#include "compose/plan/test_world.hpp"

namespace compose::plan {
namespace {

using std::chrono::seconds;

model::UpdateConfig& rolling(World& world, const char* order, int replicas) {
  auto& service = world.service("web");
  auto& config = service.deploy.emplace().update_config.emplace();
  service.deploy->replicas = replicas;
  config.order = order;
  service.healthcheck.emplace().test = {"CMD", "true"};
  for (int number = 1; number <= replicas; ++number) world.container("web", State::running, number);
  world.hashes["web"] = "v2";
  return config;
}

TEST(Rollout, StartFirstHandsOverBeforeTheOldOneIsDrained) {
  World world;
  rolling(world, "start-first", 1);
  EXPECT_EQ(world.text(),
            "[] -> #1 container:web:1 create (config changed)\n"
            "[1] -> #2 container:web:1 start (created)\n"
            "[2] -> #3 container:web:1 wait healthy (rolling update)\n"
            "[3] -> #4 container:web:1 monitor (rolling update)\n"
            "[4] -> #5 container:web:1 hand over (healthy)\n"
            "[5] -> #6 container:web:1 drain (rolling update)\n"
            "[6] -> #7 container:web:1 stop (replaced)\n"
            "[7] -> #8 container:web:1 remove (replaced)\n");
  const auto plan = *world.plan();
  EXPECT_TRUE(plan.ops[0].incoming);
  EXPECT_EQ(plan.ops[3].duration, Duration{});
  EXPECT_EQ(plan.ops[4].replaces, "web1");
  EXPECT_EQ(plan.ops[5].duration, seconds{10});
  for (const Op& op : plan.ops) EXPECT_EQ(op.rollout, "web");
}

TEST(Rollout, StopFirstGoesBatchByBatchAndABatchMayFollowAFailedOne) {
  World world;
  auto& config = rolling(world, "", 3);
  config.parallelism = 2;
  config.delay = seconds{7};
  config.monitor = seconds{3};
  EXPECT_EQ(world.text(),
            "[] -> #1 container:web:1 drain (rolling update)\n"
            "[1] -> #2 container:web:1 stop (config changed)\n"
            "[2] -> #3 container:web:1 remove (replaced)\n"
            "[3] -> #4 container:web:1 create (config changed)\n"
            "[4] -> #5 container:web:1 start (created)\n"
            "[5] -> #6 container:web:1 wait healthy (rolling update)\n"
            "[6] -> #7 container:web:1 monitor (rolling update)\n"
            "[] -> #8 container:web:2 drain (rolling update)\n"
            "[8] -> #9 container:web:2 stop (config changed)\n"
            "[9] -> #10 container:web:2 remove (replaced)\n"
            "[10] -> #11 container:web:2 create (config changed)\n"
            "[11] -> #12 container:web:2 start (created)\n"
            "[12] -> #13 container:web:2 wait healthy (rolling update)\n"
            "[13] -> #14 container:web:2 monitor (rolling update)\n"
            "[7?,14?] -> #15 container:web:3 drain (rolling update)\n"
            "[15] -> #16 container:web:3 stop (config changed)\n"
            "[16] -> #17 container:web:3 remove (replaced)\n"
            "[17] -> #18 container:web:3 create (config changed)\n"
            "[18] -> #19 container:web:3 start (created)\n"
            "[19] -> #20 container:web:3 wait healthy (rolling update)\n"
            "[20] -> #21 container:web:3 monitor (rolling update)\n");
  const auto plan = *world.plan();
  EXPECT_EQ(plan.ops[14].delay, seconds{7});
  EXPECT_EQ(plan.ops[0].delay, Duration{});
  EXPECT_EQ(plan.ops[20].duration, seconds{3});
}

TEST(Rollout, KnowsWhatToDoAfterAFailure) {
  World world;
  auto& config = rolling(world, "start-first", 4);
  config.failure_action = "rollback";
  config.max_failure_ratio = 0.3;
  EXPECT_EQ(world.plan()->rollouts.at("web"), (RolloutPolicy{4, 0.3, RolloutPolicy::Action::rollback}));
  config.failure_action = "continue";
  EXPECT_EQ(world.plan()->rollouts.at("web").action, RolloutPolicy::Action::go_on);
  config.failure_action.clear();
  EXPECT_EQ(world.plan()->rollouts.at("web").action, RolloutPolicy::Action::pause);
}

TEST(Rollout, ARollbackObeysItsOwnSettingsAndIsNotRolledBackAgain) {
  World world;
  rolling(world, "start-first", 1);
  auto& back = world.project.services["web"].deploy->rollback_config.emplace();
  back.order = "stop-first";
  back.failure_action = "rollback";
  world.options.rollback = true;
  const auto plan = *world.plan();
  EXPECT_EQ(plan.ops[0].kind, OpKind::stop_container);
  EXPECT_EQ(plan.rollouts.at("web").action, RolloutPolicy::Action::pause);
}

TEST(Rollout, WithoutAHealthCheckItIsWatchedForFiveSeconds) {
  World world;
  rolling(world, "start-first", 1);
  world.project.services["web"].healthcheck.reset();
  EXPECT_EQ(world.plan()->ops[3].duration, seconds{5});
}

TEST(Rollout, WhatCannotStandTwiceIsStoppedFirst) {
  World world;
  rolling(world, "start-first", 1);
  world.project.services["web"].networks["default"].ipv4_address = "10.0.0.9";
  EXPECT_EQ(world.plan()->ops[0].kind, OpKind::stop_container);
  world.project.services["web"].networks.clear();
  EXPECT_EQ(world.plan()->ops[0].kind, OpKind::create_container);
  world.service("sidecar").network_mode = "service:web";
  for (const Op& op : world.plan()->ops) EXPECT_FALSE(op.incoming) << "others live in its namespaces";
}

TEST(Rollout, WhatIsDownIsReplacedAtOnce) {
  World world;
  rolling(world, "start-first", 1);
  world.observed.containers[0].state = State::exited;
  EXPECT_TRUE(world.plan()->rollouts.empty());
}

TEST(Rollout, WhatAnInterruptedUpdateLeftGoes) {
  World world;
  rolling(world, "start-first", 1);
  world.observed.containers[0].config_hash = "v2";
  world.container("web").extra = true;
  world.observed.containers[1].id = "left";
  const auto plan = *world.plan();
  EXPECT_EQ(plan.to_text(),
            "[] -> #1 container:web:1 stop (left by an update)\n"
            "[1] -> #2 container:web:1 remove (left by an update)\n");
  EXPECT_EQ(plan.ops[0].container_id, "left");
}

TEST(Rollout, WhatAnInterruptedUpdateLeftGoesBeforeTheOtherStarts) {
  World world;
  rolling(world, "start-first", 1);
  world.observed.containers[0].config_hash = "v2";
  world.observed.containers[0].state = State::exited;
  world.observed.containers[0].exit_code = 137;
  world.container("web").extra = true;
  world.observed.containers[1].id = "left";
  const auto plan = *world.plan();
  EXPECT_EQ(plan.to_text(),
            "[] -> #1 container:web:1 stop (left by an update)\n"
            "[1] -> #2 container:web:1 remove (left by an update)\n"
            "[2] -> #3 container:web:1 start (exited with code 137)\n");
}

TEST(Rollout, OfTwoAtOnePlaceTheRightOneStays) {
  World world;
  rolling(world, "start-first", 1);
  world.container("web").config_hash = "v2";
  world.observed.containers[1].id = "right";
  const auto plan = *world.plan();
  ASSERT_EQ(plan.ops.size(), 2U);
  EXPECT_EQ(plan.ops[0].container_id, "web1");
}

}  // namespace
}  // namespace compose::plan
