#include "supervisor/policy/dependency.hpp"

#include <gtest/gtest.h>

namespace compose::supervisor::policy {
namespace {

using model::Condition;
using Members = std::vector<Member>;
using Services = std::vector<std::string>;

Member named(const std::string& service) {
  Member member;
  member.id = service + "-1";
  member.service = service;
  return member;
}

Member running(const std::string& service) {
  Member member = named(service);
  member.up = member.busy = true;
  return member;
}

Member probed(const std::string& service, bool healthy) {
  Member member = running(service);
  member.probed = true;
  member.healthy = healthy;
  return member;
}

Member crashed(const std::string& service) {
  Member member = named(service);
  member.busy = member.restarting = true;
  return member;
}

Member needing(const std::string& other, Condition condition, bool required = true, bool restart = false) {
  Member member = named("web");
  member.depends_on[other] = {.condition = condition, .restart = restart, .required = required};
  return member;
}

TEST(Awaited, AServiceThatIsRestarted) {
  const Members others{crashed("db")};
  for (const Condition condition : {Condition::started, Condition::healthy, Condition::completed_successfully}) {
    EXPECT_EQ(awaited(needing("db", condition), others), "db");
  }
}

TEST(Awaited, NobodyWhoRunsAsWanted) {
  EXPECT_EQ(awaited(needing("db", Condition::started), Members{running("db")}), "");
  EXPECT_EQ(awaited(needing("db", Condition::started), Members{probed("db", false)}), "");
  EXPECT_EQ(awaited(needing("db", Condition::healthy), Members{probed("db", true)}), "");
  EXPECT_EQ(awaited(needing("db", Condition::healthy), Members{running("db")}), "") << "nothing probes it";
}

TEST(Awaited, HealthThatIsYetToCome) {
  EXPECT_EQ(awaited(needing("db", Condition::healthy), Members{probed("db", false)}), "db");
}

TEST(Awaited, AOneShotThatIsStillAtWork) {
  EXPECT_EQ(awaited(needing("setup", Condition::completed_successfully), Members{running("setup")}), "setup");
  EXPECT_EQ(awaited(needing("setup", Condition::completed_successfully), Members{named("setup")}), "");
}

TEST(Awaited, EveryReplica) {
  EXPECT_EQ(awaited(needing("db", Condition::started), Members{running("db"), crashed("db")}), "db");
}

TEST(Awaited, NobodyWhoWasStoppedOrHasEnded) {
  Member stopping = probed("db", false);
  stopping.stop_requested = true;
  EXPECT_EQ(awaited(needing("db", Condition::healthy), Members{stopping}), "");
  EXPECT_EQ(awaited(needing("db", Condition::started), Members{named("db")}), "");
  EXPECT_EQ(awaited(needing("db", Condition::started), Members{}), "");
}

TEST(Awaited, NobodyWhoIsNotRequired) {
  EXPECT_EQ(awaited(needing("db", Condition::healthy, false), Members{crashed("db")}), "");
}

TEST(Awaited, WhoseNamespacesItLivesIn) {
  Member member = named("sidecar");
  member.shares_with = {"web"};
  EXPECT_EQ(awaited(member, Members{crashed("web")}), "web");
  EXPECT_EQ(awaited(member, Members{probed("web", false)}), "");
}

TEST(Dependents, AreThoseThatAskAndThoseInItsNamespaces) {
  Member asks = running("asks"), does_not = running("quiet"), lives_in = running("lives-in"), ended = named("ended");
  asks.depends_on["db"] = {.restart = true};
  does_not.depends_on["db"] = {};
  lives_in.shares_with = {"db"};
  ended.depends_on["db"] = {.restart = true};
  EXPECT_EQ(dependents("db", Members{asks, does_not, lives_in, ended, asks}), (Services{"asks", "lives-in"}));
  EXPECT_EQ(dependents("other", Members{asks, does_not, lives_in, ended}), Services{});
}

TEST(Crashes, EndWhenTheServiceIsReadyAgain) {
  Crashes crashes;
  EXPECT_FALSE(crashes.recovered(probed("db", true))) << "it has not crashed";
  EXPECT_FALSE(crashes.recovered(crashed("db")));
  EXPECT_FALSE(crashes.recovered(probed("db", false)));
  Member hooked = probed("db", true);
  hooked.hooks_pending = true;
  EXPECT_FALSE(crashes.recovered(hooked));
  EXPECT_TRUE(crashes.recovered(probed("db", true)));
  EXPECT_FALSE(crashes.recovered(probed("db", true))) << "once";
}

TEST(Crashes, AreForgottenWhenSomebodyStopsIt) {
  Crashes crashes;
  Member stopped = crashed("db");
  stopped.stop_requested = true;
  EXPECT_FALSE(crashes.recovered(stopped));
  EXPECT_FALSE(crashes.recovered(running("db")));
  EXPECT_FALSE(crashes.recovered(crashed("db")));
  EXPECT_FALSE(crashes.recovered(named("db")));
  EXPECT_FALSE(crashes.recovered(running("db"))) << "it was started by somebody";
}

}  // namespace
}  // namespace compose::supervisor::policy
