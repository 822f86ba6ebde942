#include "compose/plan/explain.hpp"

#include <gmock/gmock.h>

#include "compose/plan/test_world.hpp"

namespace compose::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(Attributes, AreFlatAndLeaveOutWhatRecreatesNothing) {
  model::Service service;
  service.name = "web";
  service.image = "nginx";
  service.environment["MODE"] = "a";
  service.scale = 3;
  service.ports = {{"", 80, "8080", "", "tcp", "", ""}};
  const auto attributes = attributes_of(service);
  EXPECT_EQ(attributes.at("image"), "\"nginx\"");
  EXPECT_EQ(attributes.at("environment.MODE"), "\"a\"");
  EXPECT_EQ(attributes.at("ports[0].published"), "\"8080\"");
  EXPECT_FALSE(attributes.contains("scale"));
  EXPECT_EQ(attributes_from_json(attributes_to_json(attributes)), attributes);
  EXPECT_THAT(attributes_from_json("no json"), IsEmpty());
}

TEST(Attributes, ChangesAreOldAndNew) {
  EXPECT_THAT(
      changes_between({{"a", "1"}, {"b", "2"}, {"c", "3"}}, {{"a", "1"}, {"b", "9"}, {"d", "4"}}),
      ElementsAre(AttributeChange{"b", "2", "9"}, AttributeChange{"c", "3", ""}, AttributeChange{"d", "", "4"}));
  EXPECT_EQ(change_text({"image", "\"a\"", "\"b\""}), "\"a\" → \"b\"");
  EXPECT_THAT(change_text({"environment.DB_PASSWORD", "\"x\"", "\"y\""}), Not(HasSubstr("x")));
  EXPECT_LT(change_text({"command", "", std::string(5000, 'x')}).size(), 300U);
}

class ExplainTest : public ::testing::Test {
 protected:
  std::vector<Change> changes() {
    plan_ = *world_.plan();
    ExplainInput input{plan_, world_.observed, &world_.project, made_from_, wanted_, {}, {}};
    return explain(input);
  }
  static bool has(const Change& change, Hazard kind) {
    return std::ranges::any_of(change.hazards, [&](const HazardNote& note) { return note.kind == kind; });
  }
  World world_;
  Plan plan_;
  std::map<std::string, Attributes> made_from_, wanted_;
};

TEST_F(ExplainTest, ARecreationShowsWhatChangedAndItsDowntime) {
  world_.service("web");
  world_.container("web");
  world_.hashes["web"] = "v2";
  made_from_["web1"] = {{"environment.MODE", "\"a\""}, {"secret \"db\" at /run/secrets/db", "\"sha256:1\""}};
  wanted_["web"] = {{"environment.MODE", "\"b\""}, {"secret \"db\" at /run/secrets/db", "\"sha256:2\""}};
  const auto all = changes();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].action, Change::Action::recreate);
  EXPECT_EQ(all[0].name, "shop-web-1");
  ASSERT_EQ(all[0].attributes.size(), 2U);
  EXPECT_EQ(all[0].attributes[0].change, (AttributeChange{"environment.MODE", "\"a\"", "\"b\""}));
  EXPECT_TRUE(has(all[0], Hazard::downtime));
  EXPECT_TRUE(has(all[0], Hazard::secret_change));
  const std::string text = explain_text(all, plan_, false);
  EXPECT_THAT(text, HasSubstr("± recreate container shop-web-1 (config changed)"));
  EXPECT_THAT(text, HasSubstr("environment.MODE: \"a\" → \"b\""));
  EXPECT_THAT(text, HasSubstr("Plan: 1 to recreate; hazards: 1 × downtime, 1 × secret change"));
}

TEST_F(ExplainTest, AnotherReplicaThatGoesOnMeansNoDowntime) {
  world_.service("web").scale = 1;
  world_.container("web", State::running, 1);
  world_.container("web", State::running, 2);
  const auto all = changes();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].action, Change::Action::remove);
  EXPECT_FALSE(has(all[0], Hazard::downtime));
}

TEST_F(ExplainTest, ANewPortOnAllAddressesIsAHazardOneOnLoopbackIsNot) {
  world_.service("web").ports = {{"", 80, "8080", "", "tcp", "", ""}};
  world_.service("db").ports = {{"", 5432, "5432", "127.0.0.1", "tcp", "", ""}};
  for (const Change& change : changes()) EXPECT_EQ(has(change, Hazard::exposed_port), change.service == "web");
}

TEST_F(ExplainTest, AnonymousVolumesThatAreRenewedLoseTheirData) {
  world_.service("db");
  world_.container("db").anonymous_volumes["/data"] = "vol";
  world_.hashes["db"] = "v2";
  EXPECT_FALSE(has(changes().at(0), Hazard::data_loss));
  world_.options.renew_anon_volumes = true;
  EXPECT_TRUE(has(changes().at(0), Hazard::data_loss));
}

TEST_F(ExplainTest, NothingToDoSaysSo) {
  world_.service("web");
  world_.container("web");
  EXPECT_THAT(changes(), IsEmpty());
  EXPECT_THAT(explain_text({}, plan_, false), HasSubstr("Nothing to do"));
}

TEST_F(ExplainTest, JsonHasOperationsChangesAndHazards) {
  world_.service("web");
  world_.network("default");
  const std::string json = explain_json(changes(), plan_);
  for (const char* part :
       {"\"operations\"", "\"changes\"", "\"hazards\"", "\"action\": \"create\"", "\"shop-web-1\""}) {
    EXPECT_THAT(json, HasSubstr(part));
  }
}

}  // namespace
}  // namespace compose::plan
