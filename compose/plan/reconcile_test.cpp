#include "compose/plan/reconcile.hpp"

#include <gmock/gmock.h>

#include "compose/plan/test_world.hpp"

namespace compose::plan {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

// web -> api -> db, each on one network; db with a volume.
World shop() {
  World world;
  for (const char* name : {"db", "api", "web"}) world.service(name).networks["default"] = {};
  world.network("default");
  world.volume("data");
  model::Mount mount;
  mount.type = "volume";
  mount.source = "data";
  mount.target = "/var/lib/db";
  world.project.services.at("db").volumes.push_back(mount);
  world.depends("api", "db", kHealthy);
  world.depends("web", "api");
  return world;
}

World running_shop() {
  World world = shop();
  world.existing_network("default");
  world.existing_volume("data");
  world.container("db").health = Health::healthy;
  world.container("api");
  world.container("web");
  return world;
}

TEST(Reconcile, MakesEverythingInOrderTheFirstTime) {
  EXPECT_EQ(shop().text(),
            "[] -> #1 network:default create (missing)\n"
            "[] -> #2 volume:data create (missing)\n"
            "[1,2] -> #3 container:db:1 create (missing)\n"
            "[3] -> #4 container:api:1 create (missing)\n"
            "[4] -> #5 container:web:1 create (missing)\n"
            "[3] -> #6 container:db:1 start (created)\n"
            "[6] -> #7 container:db:1 wait healthy (needed by api)\n"
            "[4,7] -> #8 container:api:1 start (created)\n"
            "[5,8] -> #9 container:web:1 start (created)\n");
}

TEST(Reconcile, DoesNothingWhenNothingChanged) {
  const auto plan = running_shop().plan();
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->to_text(), "");
  EXPECT_TRUE(plan->empty());
}

TEST(Reconcile, IndependentServicesDoNotWaitForEachOther) {
  World world;
  world.service("a");
  world.service("b");
  EXPECT_EQ(world.text(),
            "[] -> #1 container:a:1 create (missing)\n"
            "[] -> #2 container:b:1 create (missing)\n"
            "[1] -> #3 container:a:1 start (created)\n"
            "[2] -> #4 container:b:1 start (created)\n");
}

TEST(Reconcile, RecreatesOnlyTheServiceWhoseHashChanged) {
  World world = running_shop();
  world.hashes["web"] = "v2";
  EXPECT_EQ(world.text(),
            "[] -> #1 container:web:1 stop (config changed)\n"
            "[1] -> #2 container:web:1 remove (replaced)\n"
            "[2] -> #3 container:web:1 create (config changed)\n"
            "[3] -> #4 container:web:1 start (created)\n");
}

TEST(Reconcile, RecreatesWhenTheImageIsAnother) {
  World world = running_shop();
  world.images["web"] = "sha256:2";
  EXPECT_THAT(world.text(), HasSubstr("container:web:1 create (image changed)"));
}

TEST(Reconcile, StopsAChangedServiceOnlyWhenItsSuccessorCouldStart) {
  World world = running_shop();
  world.hashes["db"] = "v2";
  world.hashes["api"] = "v2";
  EXPECT_EQ(world.text(),
            "[] -> #1 container:db:1 stop (config changed)\n"
            "[1] -> #2 container:db:1 remove (replaced)\n"
            "[2] -> #3 container:db:1 create (config changed)\n"
            "[3] -> #4 container:db:1 start (created)\n"
            "[4] -> #5 container:db:1 wait healthy (needed by api)\n"
            "[5] -> #6 container:api:1 stop (config changed)\n"
            "[6] -> #7 container:api:1 remove (replaced)\n"
            "[7] -> #8 container:api:1 create (config changed)\n"
            "[8] -> #9 container:api:1 start (created)\n");
}

TEST(Reconcile, CarriesAnonymousVolumesOverToTheNewContainer) {
  World world = running_shop();
  world.observed.containers[0].anonymous_volumes = {{"/cache", "abc"}};
  world.hashes["db"] = "v2";
  auto plan = world.plan();
  ASSERT_TRUE(plan.ok());
  for (const auto& op : plan->ops) {
    if (op.kind == OpKind::create_container) {
      EXPECT_EQ(op.anonymous_volumes.at("/cache"), "abc");
      EXPECT_EQ(op.replaces, "db1");
      EXPECT_EQ(op.container_id, "");
    }
    if (op.kind == OpKind::remove_container) {
      EXPECT_FALSE(op.remove_volumes);
    }
  }
  world.options.renew_anon_volumes = true;
  plan = world.plan();
  for (const auto& op : plan->ops) {
    if (op.kind == OpKind::create_container) {
      EXPECT_TRUE(op.anonymous_volumes.empty());
    }
    if (op.kind == OpKind::remove_container) {
      EXPECT_TRUE(op.remove_volumes);
    }
  }
}

TEST(Reconcile, StartsWhatDoesNotRun) {
  World world = running_shop();
  world.observed.containers[2].state = State::exited;
  world.observed.containers[2].exit_code = 3;
  EXPECT_EQ(world.text(), "[] -> #1 container:web:1 start (exited with code 3)\n");
  world.observed.containers[2].state = State::created;
  EXPECT_EQ(world.text(), "[] -> #1 container:web:1 start (created)\n");
  world.observed.containers[2].state = State::paused;
  EXPECT_EQ(world.text(), "[] -> #1 container:web:1 unpause (paused)\n");
}

TEST(Reconcile, WaitsForARunningDependencyThatIsNotHealthyYet) {
  World world = running_shop();
  world.observed.containers[0].health = Health::starting;
  EXPECT_EQ(world.text(), "");
  world.observed.containers[1].state = State::exited;
  world.observed.containers[1].exit_code = 1;
  EXPECT_EQ(world.text(),
            "[] -> #1 container:db:1 wait healthy (needed by api)\n"
            "[1] -> #2 container:api:1 start (exited with code 1)\n");
}

TEST(Reconcile, SeveralDependentsShareOneWait) {
  World world = shop();
  world.depends("web", "db", kHealthy);
  const auto plan = world.plan();
  ASSERT_TRUE(plan.ok());
  int waits = 0;
  for (const auto& op : plan->ops) {
    if (op.kind == OpKind::wait_healthy) {
      ++waits;
      EXPECT_EQ(op.cause, "needed by api, needed by web");
    }
  }
  EXPECT_EQ(waits, 1);
}

// ---- one-shots ----

World with_one_shot() {
  World world;
  world.service("init");
  world.service("web");
  world.depends("web", "init", kCompleted);
  return world;
}

TEST(Reconcile, WaitsForAOneShotToComplete) {
  EXPECT_EQ(with_one_shot().text(),
            "[] -> #1 container:init:1 create (missing)\n"
            "[1] -> #2 container:web:1 create (missing)\n"
            "[1] -> #3 container:init:1 start (created)\n"
            "[3] -> #4 container:init:1 wait completed (needed by web)\n"
            "[2,4] -> #5 container:web:1 start (created)\n");
}

TEST(Reconcile, AOneShotThatCompletedIsNotRunAgain) {
  World world = with_one_shot();
  world.container("init", State::exited);
  world.container("web");
  EXPECT_EQ(world.text(), "");
  world.observed.containers[1].state = State::exited;
  world.observed.containers[1].exit_code = 1;
  EXPECT_EQ(world.text(), "[] -> #1 container:web:1 start (exited with code 1)\n");
}

TEST(Reconcile, AOneShotIsRunAgainWhenItFailedWasStoppedOrChanged) {
  World world = with_one_shot();
  world.container("init", State::exited).exit_code = 1;
  EXPECT_THAT(world.text(), HasSubstr("container:init:1 start (exited with code 1)"));
  world.observed.containers[0].exit_code = 0;
  world.observed.containers[0].stop_requested = true;
  EXPECT_THAT(world.text(), HasSubstr("container:init:1 start (exited with code 0)"));
  world.observed.containers[0].stop_requested = false;
  world.hashes["init"] = "v2";
  EXPECT_THAT(world.text(), HasSubstr("container:init:1 create (config changed)"));
}

TEST(Reconcile, AJobThatCompletedIsNotRunAgain) {
  World world;
  world.service("job").deploy.emplace().mode = "replicated-job";
  world.container("job", State::exited);
  EXPECT_EQ(world.text(), "");
}

TEST(Reconcile, AServiceWithoutRestartPolicyThatEndedWellStaysCompleted) {
  World world;
  world.service("web");
  world.container("web", State::exited);
  world.options.wait = true;
  EXPECT_EQ(world.text(), "");
  world.project.services["web"].restart = "on-failure";
  EXPECT_EQ(world.text(), "");
}

TEST(Reconcile, AServiceThatEndedWellIsStartedAgainWhenItShouldRun) {
  const std::string started = "[] -> #1 container:web:1 start (exited with code 0)\n";
  World world;
  world.service("web").restart = "unless-stopped";
  world.container("web", State::exited);
  EXPECT_EQ(world.text(), started);
  world.project.services["web"].restart = "no";
  EXPECT_EQ(world.text(), "");
  world.options.services = {"web"};
  EXPECT_EQ(world.text(), started);
  world.options.services = {};
  world.observed.containers[0].ended_this_boot = false;
  EXPECT_EQ(world.text(), started);
  world.observed.containers[0].ended_this_boot = true;
  world.observed.containers[0].stop_requested = true;
  EXPECT_EQ(world.text(), started);
}

TEST(Reconcile, AnOptionalDependencyMayFail) {
  World world;
  world.service("cache");
  world.service("web");
  world.depends("web", "cache", kHealthy).required = false;
  EXPECT_EQ(world.text(),
            "[] -> #1 container:cache:1 create (missing)\n"
            "[1?] -> #2 container:web:1 create (missing)\n"
            "[1] -> #3 container:cache:1 start (created)\n"
            "[3] -> #4 container:cache:1 wait healthy (needed by web)\n"
            "[2,4?] -> #5 container:web:1 start (created)\n");
}

TEST(Reconcile, ADependencyThatIsNotInTheProjectIsPassedOver) {
  World world;
  world.service("web");
  world.depends("web", "gone").required = false;
  EXPECT_EQ(world.text(),
            "[] -> #1 container:web:1 create (missing)\n"
            "[1] -> #2 container:web:1 start (created)\n");
}

// ---- those who depend on what is recreated ----

TEST(Reconcile, ADependentWithRestartIsStoppedBeforeAndStartedAfterwards) {
  World world = running_shop();
  world.depends("api", "db", kHealthy).restart = true;
  world.hashes["db"] = "v2";
  EXPECT_EQ(world.text(),
            "[] -> #1 container:api:1 stop (depends on db, which is restarted)\n"
            "[1] -> #2 container:db:1 stop (config changed)\n"
            "[2] -> #3 container:db:1 remove (replaced)\n"
            "[3] -> #4 container:db:1 create (config changed)\n"
            "[4] -> #5 container:db:1 start (created)\n"
            "[5] -> #6 container:db:1 wait healthy (needed by api)\n"
            "[6] -> #7 container:api:1 start (depends on db, which is restarted)\n");
}

TEST(Reconcile, AContainerInAnothersNamespaceIsRecreatedWithIt) {
  World world;
  world.service("vpn");
  world.service("app").network_mode = "service:vpn";
  world.depends("app", "vpn");
  world.container("vpn");
  world.container("app");
  world.hashes["vpn"] = "v2";
  EXPECT_EQ(world.text(),
            "[] -> #1 container:app:1 stop (uses vpn, which is recreated)\n"
            "[1] -> #2 container:vpn:1 stop (config changed)\n"
            "[2] -> #3 container:vpn:1 remove (replaced)\n"
            "[3] -> #4 container:vpn:1 create (config changed)\n"
            "[1] -> #5 container:app:1 remove (replaced)\n"
            "[4,5] -> #6 container:app:1 create (uses vpn, which is recreated)\n"
            "[4] -> #7 container:vpn:1 start (created)\n"
            "[6,7] -> #8 container:app:1 start (created)\n");
}

TEST(Reconcile, AContainerInAnothersNamespaceIsRestartedWhenThatOneHadEnded) {
  World world;
  world.service("vpn");
  world.service("app").network_mode = "service:vpn";
  world.depends("app", "vpn");
  world.container("vpn", State::exited).exit_code = 1;
  world.container("app");
  EXPECT_EQ(world.text(),
            "[] -> #1 container:app:1 stop (uses vpn)\n"
            "[] -> #2 container:vpn:1 start (exited with code 1)\n"
            "[1,2] -> #3 container:app:1 start (uses vpn)\n");
}

// ---- networks and volumes ----

TEST(Reconcile, AChangedNetworkIsLeftByAllAndMadeAnew) {
  World world = running_shop();
  world.project.networks["default"].internal = true;
  EXPECT_EQ(world.text(),
            "[] -> #1 container:web:1 stop (network default changed)\n"
            "[1] -> #2 container:api:1 stop (network default changed)\n"
            "[2] -> #3 container:db:1 stop (network default changed)\n"
            "[3] -> #4 container:db:1 remove (replaced)\n"
            "[2] -> #5 container:api:1 remove (replaced)\n"
            "[1] -> #6 container:web:1 remove (replaced)\n"
            "[4,5,6] -> #7 network:default remove (config changed)\n"
            "[7] -> #8 network:default create (config changed)\n"
            "[8] -> #9 container:db:1 create (network default changed)\n"
            "[9] -> #10 container:api:1 create (network default changed)\n"
            "[10] -> #11 container:web:1 create (network default changed)\n"
            "[9] -> #12 container:db:1 start (created)\n"
            "[12] -> #13 container:db:1 wait healthy (needed by api)\n"
            "[10,13] -> #14 container:api:1 start (created)\n"
            "[11,14] -> #15 container:web:1 start (created)\n");
}

TEST(Reconcile, AVolumeWithOtherOptionsIsKeptWithAWarning) {
  World world = running_shop();
  world.project.volumes["data"].driver_opts["type"] = "tmpfs";
  const auto plan = world.plan();
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(plan->empty());
  EXPECT_THAT(plan->warnings, ElementsAre(HasSubstr("volume \"shop_data\" exists with other options; it is kept")));
}

TEST(Reconcile, ExternalNetworksAndVolumesMustExist) {
  World world = shop();
  world.project.networks["default"].external = true;
  world.project.positions.set("networks.default", {"compose.yaml", 9, 3});
  EXPECT_EQ(world.text(),
            "error: compose.yaml:9:3: network \"shop_default\" is declared as external, but it does not "
            "exist: make it with \"compose network create shop_default\"");
  world = shop();
  world.project.volumes["data"].external = true;
  EXPECT_EQ(world.text(), "error: volume \"shop_data\" is declared as external, but it does not exist");
  world.observed.volumes.push_back({"shop_data", "", false, false, ""});
  EXPECT_EQ(world.text().find("volume:data"), std::string::npos);
}

// ---- options ----

TEST(Reconcile, SelectedServicesComeWithWhatTheyDependOn) {
  World world = shop();
  world.options.services = {"api"};
  EXPECT_EQ(world.text().find("web"), std::string::npos);
  EXPECT_THAT(world.text(), HasSubstr("container:db:1 start"));
  world.options.no_deps = true;
  EXPECT_EQ(world.text(),
            "[] -> #1 network:default create (missing)\n"
            "[1] -> #2 container:api:1 create (missing)\n"
            "[2] -> #3 container:api:1 start (created)\n");
}

TEST(Reconcile, ForceRecreatesTheSelectedOnly) {
  World world = running_shop();
  world.options.recreate = Recreate::always;
  world.options.services = {"api"};
  EXPECT_EQ(world.text(),
            "[] -> #1 container:api:1 stop (forced)\n"
            "[1] -> #2 container:api:1 remove (replaced)\n"
            "[2] -> #3 container:api:1 create (forced)\n"
            "[3] -> #4 container:api:1 start (created)\n");
  world.options.always_recreate_deps = true;
  EXPECT_THAT(world.text(), HasSubstr("container:db:1 create (forced as a dependency)"));
}

TEST(Reconcile, NoRecreateLeavesChangedContainers) {
  World world = running_shop();
  world.hashes["web"] = "v2";
  world.project.networks["default"].internal = true;
  world.options.recreate = Recreate::never;
  EXPECT_EQ(world.text(), "");
}

TEST(Reconcile, NoStartOnlyCreates) {
  World world = shop();
  world.options.no_start = true;
  EXPECT_EQ(world.text(),
            "[] -> #1 network:default create (missing)\n"
            "[] -> #2 volume:data create (missing)\n"
            "[1,2] -> #3 container:db:1 create (missing)\n"
            "[3] -> #4 container:api:1 create (missing)\n"
            "[4] -> #5 container:web:1 create (missing)\n");
}

TEST(Reconcile, WaitEndsWithEveryServiceHealthyOrCompleted) {
  World world = with_one_shot();
  world.options.wait = true;
  world.container("init", State::exited);
  world.container("web").health = Health::starting;
  EXPECT_EQ(world.text(), "[] -> #1 container:web:1 wait healthy (--wait)\n");
  EXPECT_TRUE(world.plan()->empty());
}

TEST(Reconcile, TheTimeoutGoesToEveryStop) {
  World world = running_shop();
  world.hashes["web"] = "v2";
  world.options.timeout = 3s;
  EXPECT_EQ(world.plan()->ops[0].timeout, 3s);
}

TEST(Reconcile, AnUnknownServiceIsNamedWithASuggestion) {
  World world = shop();
  world.options.services = {"wev"};
  EXPECT_EQ(world.text(), "error: no such service: wev, did you mean \"web\"?");
  world.project.disabled_services["debug"].profiles = {"dev"};
  world.options.services = {"debug"};
  EXPECT_EQ(world.text(), "error: service \"debug\" is not active: enable its profile with --profile dev");
}

// ---- scale ----

TEST(Reconcile, ScalesUpIntoTheFreeNumbers) {
  World world;
  world.service("web").scale = 3;
  world.container("web", State::running, 2);
  EXPECT_EQ(world.text(),
            "[] -> #1 container:web:1 create (missing)\n"
            "[] -> #2 container:web:3 create (missing)\n"
            "[1] -> #3 container:web:1 start (created)\n"
            "[2] -> #4 container:web:3 start (created)\n");
}

TEST(Reconcile, ScalesDownFromTheEnd) {
  World world;
  world.service("web").deploy.emplace().replicas = 1;
  world.container("web", State::running, 1);
  world.container("web", State::running, 2);
  world.container("web", State::exited, 3).exit_code = 1;
  EXPECT_EQ(world.text(),
            "[] -> #1 container:web:2 stop (scaled to 1)\n"
            "[1] -> #2 container:web:2 remove (scaled to 1)\n"
            "[] -> #3 container:web:3 remove (scaled to 1)\n");
  world.options.scale["web"] = 3;
  EXPECT_EQ(world.text(), "[] -> #1 container:web:3 start (exited with code 1)\n");
}

TEST(Reconcile, GlobalMeansOneOnThisHost) {
  World world;
  auto& deploy = world.service("agent").deploy.emplace();
  deploy.mode = "global";
  deploy.replicas = 3;
  EXPECT_EQ(world.text(),
            "[] -> #1 container:agent:1 create (missing)\n"
            "[1] -> #2 container:agent:1 start (created)\n");
}

TEST(Reconcile, DependentsWaitForEveryReplica) {
  World world;
  world.service("db").scale = 2;
  world.service("web");
  world.depends("web", "db", kHealthy);
  EXPECT_THAT(world.text(), HasSubstr("[3,6,7] -> #8 container:web:1 start (created)"));
}

TEST(Reconcile, AContainerNameAllowsOneReplica) {
  World world;
  auto& service = world.service("web");
  service.container_name = "the-web";
  EXPECT_EQ(world.plan()->ops[0].name, "the-web");
  world.options.scale["web"] = 2;
  EXPECT_EQ(world.text(), "error: service \"web\" cannot have 2 replicas: container_name \"the-web\" names only one");
}

// ---- leftovers and orphans ----

TEST(Reconcile, AHalfMadeContainerIsRemovedAndMadeAgain) {
  World world;
  world.service("web");
  world.container("web", State::creating);
  EXPECT_EQ(world.text(),
            "[] -> #1 container:web:1 remove (left half-made)\n"
            "[1] -> #2 container:web:1 create (missing)\n"
            "[2] -> #3 container:web:1 start (created)\n");
}

TEST(Reconcile, OrphansAreNamedOrRemovedFirst) {
  World world;
  world.service("web");
  world.project.disabled_services["debug"].name = "debug";
  world.container("debug");
  world.container("old");
  world.container("once").one_off = true;
  auto plan = world.plan();
  ASSERT_TRUE(plan.ok());
  EXPECT_THAT(plan->warnings, ElementsAre(HasSubstr("Found orphan containers ([shop-old-1]) for this project.")));
  world.options.remove_orphans = true;
  EXPECT_EQ(world.text(),
            "[] -> #1 container:old:1 stop (no such service any more)\n"
            "[1] -> #2 container:old:1 remove (no such service any more)\n"
            "[2] -> #3 container:web:1 create (missing)\n"
            "[3] -> #4 container:web:1 start (created)\n");
}

TEST(Reconcile, ADependencyCycleDoesNotHangIt) {
  World world;
  world.service("a");
  world.service("b");
  world.depends("a", "b");
  world.depends("b", "a");
  EXPECT_EQ(world.plan()->ops.size(), 4U);
}

TEST(Names, AreStable) {
  World world;
  EXPECT_EQ(container_name(world.project, world.service("web"), 2), "shop-web-2");
  model::Service service;
  service.network_mode = "service:a";
  service.ipc = "service:b";
  service.pid = "container:x";
  service.volumes_from = {"a:ro", "container:y", "c"};
  EXPECT_THAT(shares_with(service), ElementsAre("a", "b", "c"));
  model::Network network;
  const std::string hash = network_hash(network);
  network.driver = "bridge";
  network.labels["a"] = "b";
  EXPECT_EQ(network_hash(network), hash);
  network.internal = true;
  EXPECT_NE(network_hash(network), hash);
}

TEST(Reconcile, PreStartRunsWhileTheOldContainerStillDoes) {
  World world;
  world.service("web").pre_start.resize(1);
  world.container("web").config_hash = "v0";
  EXPECT_EQ(world.text(),
            "[] -> #1 service:web run pre_start (pre_start[0])\n"
            "[1] -> #2 container:web:1 stop (config changed)\n"
            "[2] -> #3 container:web:1 remove (replaced)\n"
            "[3] -> #4 container:web:1 create (config changed)\n"
            "[4] -> #5 container:web:1 start (created)\n");
}

}  // namespace
}  // namespace compose::plan
