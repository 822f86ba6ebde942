#include <gmock/gmock.h>

#include "compose/plan/test_world.hpp"

namespace compose::plan {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

// web -> api -> db (healthy), all running, on one network, with a volume.
World shop() {
  World world;
  for (const char* name : {"db", "api", "web"}) world.service(name).networks["default"] = {};
  world.network("default");
  world.volume("data");
  world.depends("api", "db", kHealthy);
  world.depends("web", "api");
  world.existing_network("default");
  world.existing_volume("data");
  for (const char* name : {"api", "db", "web"}) world.container(name);
  return world;
}

TEST(Down, StopsDependentsFirstAndRemovesTheNetworkLast) {
  const World world = shop();
  EXPECT_EQ(plan_down(&world.project, world.observed, {}).to_text(),
            "[] -> #1 container:web:1 stop (down)\n"
            "[1] -> #2 container:api:1 stop (down)\n"
            "[2] -> #3 container:db:1 stop (down)\n"
            "[1] -> #4 container:web:1 remove (down)\n"
            "[2] -> #5 container:api:1 remove (down)\n"
            "[3] -> #6 container:db:1 remove (down)\n"
            "[4,5,6] -> #7 network:default remove (down)\n");
}

TEST(Down, WithVolumesRemovesTheProjectsOwn) {
  World world = shop();
  world.observed.volumes.push_back({"outside", "outside", false, false, ""});
  const Plan plan = plan_down(&world.project, world.observed, {.volumes = true});
  EXPECT_THAT(plan.to_text(), HasSubstr("[4,5,6] -> #8 volume:data remove (down --volumes)\n"));
  EXPECT_EQ(plan.to_text().find("outside"), std::string::npos);
  for (const auto& op : plan.ops) {
    if (op.kind == OpKind::remove_container) {
      EXPECT_TRUE(op.remove_volumes);
    }
  }
}

TEST(Down, LeavesOrphansAndTheirNetworkUnlessAsked) {
  World world = shop();
  world.container("old").networks = {"shop_default"};
  Plan plan = plan_down(&world.project, world.observed, {});
  EXPECT_EQ(plan.to_text().find("old"), std::string::npos);
  EXPECT_EQ(plan.to_text().find("network"), std::string::npos);
  EXPECT_THAT(plan.warnings, ElementsAre("network \"shop_default\" is still used by \"shop-old-1\" and stays"));
  plan = plan_down(&world.project, world.observed, {.remove_orphans = true});
  EXPECT_THAT(plan.to_text(), HasSubstr("container:old:1 remove"));
  plan = plan_down(nullptr, world.observed, {});
  EXPECT_THAT(plan.to_text(), HasSubstr("container:old:1 remove"));
}

TEST(Down, OfOneServiceLeavesTheRest) {
  const World world = shop();
  EXPECT_EQ(plan_down(&world.project, world.observed, {.services = {"web"}, .timeout = 1s}).to_text(),
            "[] -> #1 container:web:1 stop (down)\n"
            "[1] -> #2 container:web:1 remove (down)\n");
}

TEST(Down, RemovesWhatIsNotRunningWithoutAStop) {
  World world = shop();
  for (auto& container : world.observed.containers) container.state = State::exited;
  world.container("job").one_off = true;
  const std::string text = plan_down(&world.project, world.observed, {}).to_text();
  EXPECT_EQ(text.find("web:1 stop"), std::string::npos);
  EXPECT_THAT(text, HasSubstr("container:job:1 stop"));
}

TEST(Stop, OrderHoldsAcrossServicesThatAreNotStopped) {
  const World world = shop();
  EXPECT_EQ(plan_stop(world.observed, {.services = {"web", "db"}, .timeout = 5s}).to_text(),
            "[] -> #1 container:web:1 stop (stop)\n"
            "[1] -> #2 container:db:1 stop (stop)\n");
}

TEST(Start, StartsInOrderWithTheConditions) {
  World world = shop();
  for (auto& container : world.observed.containers) container.state = State::exited;
  EXPECT_EQ(plan_start(world.observed, {}).to_text(),
            "[] -> #1 container:db:1 start (exited with code 0)\n"
            "[1] -> #2 container:db:1 wait healthy (needed by api)\n"
            "[2] -> #3 container:api:1 start (exited with code 0)\n"
            "[3] -> #4 container:web:1 start (exited with code 0)\n");
}

TEST(Start, TakesItsDependenciesAlongUnlessToldNot) {
  World world = shop();
  for (auto& container : world.observed.containers) container.state = State::exited;
  EXPECT_THAT(plan_start(world.observed, {.services = {"api"}}).to_text(), HasSubstr("container:db:1 start"));
  EXPECT_EQ(plan_start(world.observed, {.services = {"api"}, .no_deps = true}).to_text(),
            "[] -> #1 container:api:1 start (exited with code 0)\n");
}

TEST(Start, LeavesACompletedOneShotUnlessItIsNamed) {
  World world;
  world.service("init");
  world.service("web");
  world.depends("web", "init", kCompleted);
  world.container("init", State::exited);
  world.container("web", State::exited);
  EXPECT_EQ(plan_start(world.observed, {}).to_text(), "[] -> #1 container:web:1 start (exited with code 0)\n");
  EXPECT_EQ(plan_start(world.observed, {.services = {"init"}}).to_text(),
            "[] -> #1 container:init:1 start (exited with code 0)\n");
}

TEST(Restart, StopsBackwardsAndStartsForwards) {
  const World world = shop();
  EXPECT_EQ(plan_restart(world.observed, {}).to_text(),
            "[] -> #1 container:web:1 stop (restart)\n"
            "[1] -> #2 container:api:1 stop (restart)\n"
            "[2] -> #3 container:db:1 stop (restart)\n"
            "[3] -> #4 container:db:1 start (restart)\n"
            "[4] -> #5 container:db:1 wait healthy (needed by api)\n"
            "[5] -> #6 container:api:1 start (restart)\n"
            "[6] -> #7 container:web:1 start (restart)\n");
}

TEST(Restart, TakesTheDependentsAlongThatAskForIt) {
  World world = shop();
  EXPECT_EQ(plan_restart(world.observed, {.services = {"db"}}).ops.size(), 2U);
  for (auto& container : world.observed.containers) {
    if (container.service == "api") container.depends_on["db"].restart = true;
  }
  EXPECT_EQ(plan_restart(world.observed, {.services = {"db"}}).to_text(),
            "[] -> #1 container:api:1 stop (restart)\n"
            "[1] -> #2 container:db:1 stop (restart)\n"
            "[2] -> #3 container:db:1 start (restart)\n"
            "[3] -> #4 container:db:1 wait healthy (needed by api)\n"
            "[4] -> #5 container:api:1 start (restart)\n");
  EXPECT_EQ(plan_restart(world.observed, {.services = {"db"}, .no_deps = true}).ops.size(), 2U);
}

TEST(Kill, SendsTheSignalToWhatRuns) {
  World world = shop();
  world.observed.containers[0].state = State::exited;
  const Plan plan = plan_kill(world.observed, {}, "SIGHUP");
  EXPECT_EQ(plan.to_text(),
            "[] -> #1 container:db:1 kill (kill)\n"
            "[] -> #2 container:web:1 kill (kill)\n");
  EXPECT_EQ(plan.ops[0].signal, "SIGHUP");
}

TEST(Pause, TakesRunningOnesAndUnpausePausedOnes) {
  World world = shop();
  world.observed.containers[0].state = State::paused;
  EXPECT_EQ(plan_pause(world.observed, {.services = {"api", "db"}}).to_text(),
            "[] -> #1 container:db:1 pause (pause)\n");
  EXPECT_EQ(plan_unpause(world.observed, {}).to_text(), "[] -> #1 container:api:1 unpause (unpause)\n");
}

TEST(Rm, RemovesStoppedOnesAndRunningOnesOnlyWhenAsked) {
  World world = shop();
  world.observed.containers[2].state = State::exited;
  EXPECT_EQ(plan_rm(world.observed, {}).to_text(), "[] -> #1 container:web:1 remove (rm)\n");
  EXPECT_EQ(plan_rm(world.observed, {.services = {"db", "web"}, .stop = true, .volumes = true}).to_text(),
            "[] -> #1 container:db:1 stop (rm)\n"
            "[] -> #2 container:web:1 remove (rm)\n"
            "[1] -> #3 container:db:1 remove (rm)\n");
}

TEST(OneOffs, AreKilledAndGoWithTheProjectButAreNoConcernOfTheOthers) {
  World world;
  world.service("db");
  world.container("db", State::running, 7).one_off = true;
  const Observed running = world.observed;
  EXPECT_EQ(plan_rm(running, {.services = {"db"}, .stop = true}).to_text(), "");
  EXPECT_EQ(plan_stop(running, {}).to_text(), "");
  EXPECT_EQ(plan_restart(running, {}).to_text(), "");
  EXPECT_EQ(plan_pause(running, {}).to_text(), "");
  EXPECT_EQ(plan_kill(running, {}, "SIGKILL").to_text(), "[] -> #1 container:db:7 kill (kill)\n");
  EXPECT_THAT(plan_down(&world.project, running, {}).to_text(), HasSubstr("container:db:7 remove (down)"));
  world.observed.containers[0].state = State::exited;
  EXPECT_EQ(plan_rm(world.observed, {}).to_text(), "");
  EXPECT_EQ(plan_start(world.observed, {}).to_text(), "");
}

TEST(PlanStart, WaitsAtTheEndWhenAsked) {
  World world;
  world.service("db");
  world.service("web");
  world.depends("web", "db", kHealthy);
  world.container("db", State::exited);
  world.container("web", State::exited);
  Selection selection;
  selection.wait = true;
  EXPECT_EQ(plan_start(world.observed, selection).to_text(),
            "[] -> #1 container:db:1 start (exited with code 0)\n"
            "[1] -> #2 container:db:1 wait healthy (needed by web, --wait)\n"
            "[2] -> #3 container:web:1 start (exited with code 0)\n"
            "[3] -> #4 container:web:1 wait healthy (--wait)\n");
}

TEST(PlanStart, RunsPreStartOnceForAServiceAndOnceForEachReplica) {
  World world;
  world.service("db");
  world.service("web");
  world.depends("web", "db", kHealthy);
  world.container("db", State::running).health = Health::starting;
  for (int number : {1, 2}) world.container("web", State::exited, number).pre_start = {false, true};
  Selection selection;
  selection.project = "shop";
  EXPECT_EQ(plan_start(world.observed, selection).to_text(),
            "[] -> #1 container:db:1 wait healthy (needed by web)\n"
            "[1] -> #2 service:web run pre_start (pre_start[0])\n"
            "[2] -> #3 container:web:1 run pre_start (pre_start[1])\n"
            "[3] -> #4 container:web:1 start (exited with code 0)\n"
            "[2] -> #5 container:web:2 run pre_start (pre_start[1])\n"
            "[5] -> #6 container:web:2 start (exited with code 0)\n");
}

TEST(PlanStart, ARestoreDoesNotRunWhatCompletedAgain) {
  World world;
  world.service("init");
  world.service("web");
  world.depends("web", "init", kCompleted);
  world.container("init", State::exited);
  world.container("web", State::exited);
  Selection selection;
  selection.services = {"init", "web"};
  selection.restore = true;
  EXPECT_EQ(plan_start(world.observed, selection).to_text(), "[] -> #1 container:web:1 start (exited with code 0)\n");
}

TEST(PlanDown, VolumesTakesTheAnonymousOnesThatAnEarlierDownHasLeft) {
  World world;
  world.service("web");
  world.container("web", State::exited).anonymous_volumes["/data"] = "attached";
  world.observed.volumes.push_back({"attached", "", true, true, ""});
  world.observed.volumes.push_back({"left", "", true, true, ""});
  DownOptions options;
  EXPECT_EQ(plan_down(&world.project, world.observed, options).to_text(), "[] -> #1 container:web:1 remove (down)\n");
  options.volumes = true;
  EXPECT_EQ(plan_down(&world.project, world.observed, options).to_text(),
            "[] -> #1 container:web:1 remove (down)\n"
            "[1] -> #2 volume:left remove (down --volumes)\n");
}

}  // namespace
}  // namespace compose::plan
