#include "cli/network_filter.hpp"

#include <gtest/gtest.h>

namespace compose::cli {
namespace {

net::Network network() {
  net::Network made;
  made.spec.name = "shop_front";
  made.spec.labels = {{"tier", "web"}, {"plain", ""}};
  made.id = "abcdef";
  made.created_at = "2020-01-01T00:00:00Z";
  return made;
}

bool fits(const Strings& filters) { return NetworkFilter::parse(filters).value().fits(network()); }

TEST(NetworkFilter, KeysAddUpAndValuesAreAlternatives) {
  EXPECT_TRUE(fits({}));
  EXPECT_TRUE(fits({"name=front", "driver=bridge"}));
  EXPECT_TRUE(fits({"name=nothing", "name=shop"}));
  EXPECT_FALSE(fits({"name=front", "driver=macvlan"}));
  EXPECT_TRUE(fits({"id=cde"}));
  EXPECT_FALSE(fits({"type=builtin"}));
}

TEST(NetworkFilter, LabelsMustAllFit) {
  EXPECT_TRUE(fits({"label=tier", "label=plain"}));
  EXPECT_TRUE(fits({"label=tier=web"}));
  EXPECT_FALSE(fits({"label=tier=web", "label=missing"}));
  EXPECT_FALSE(fits({"label!=tier=web"}));
  EXPECT_TRUE(fits({"label!=tier=db"}));
}

TEST(NetworkFilter, UntilIsATimeOrAnAge) {
  EXPECT_TRUE(fits({"until=24h"}));
  EXPECT_FALSE(fits({"until=2019-01-01T00:00:00Z"}));
}

TEST(NetworkFilter, MistakesAreNamed) {
  EXPECT_NE(NetworkFilter::parse({"colour=red"}).error().message().find("colour=red"), std::string::npos);
  EXPECT_FALSE(NetworkFilter::parse({"dangling=perhaps"}).ok());
  EXPECT_FALSE(NetworkFilter::parse({"name"}).ok());
}

TEST(NetworkPools, EverythingGoesToTheSubnetItLiesIn) {
  const auto pools = pools_from({"10.1.0.0/16", "fd00::/64"}, {"10.1.5.0/24"}, {"fd00::9", "10.1.0.9"}, {"r=10.1.5.1"});
  ASSERT_TRUE(pools.ok()) << pools.error().message();
  ASSERT_EQ(pools->size(), 2U);
  EXPECT_EQ((*pools)[0].ip_range, "10.1.5.0/24");
  EXPECT_EQ((*pools)[0].gateway, "10.1.0.9");
  EXPECT_EQ((*pools)[1].gateway, "fd00::9");
  EXPECT_EQ((*pools)[0].aux_addresses.at("r"), "10.1.5.1");
}

TEST(NetworkPools, WhatLiesNowhereIsRefused) {
  EXPECT_FALSE(pools_from({"10.1.0.0/16"}, {}, {"10.2.0.1"}, {}).ok());
  EXPECT_FALSE(pools_from({}, {"10.2.0.0/24"}, {}, {}).ok());
  EXPECT_FALSE(pools_from({"10.1.0.0/16"}, {}, {"10.1.0.1", "10.1.0.2"}, {}).ok());
}

}  // namespace
}  // namespace compose::cli
