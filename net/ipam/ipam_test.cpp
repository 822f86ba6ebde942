#include "net/ipam/ipam.hpp"

#include <gtest/gtest.h>

namespace compose::net::ipam {
namespace {

Prefix prefix(const std::string& text) { return Prefix::parse(text).value(); }
IpAddress address(const std::string& text) { return IpAddress::parse(text).value(); }
SubnetPlan plan(const std::string& subnet, const std::string& range = {}, const std::string& gateway = {}) {
  return plan_subnet(subnet, range, gateway, {}).value();
}

TEST(Address, ReadsAndWritesBothFamilies) {
  EXPECT_EQ(address("10.0.0.255").plus(1).to_string(), "10.0.1.0");
  EXPECT_EQ(address("[fd00::ffff]").plus(1).to_string(), "fd00::1:0");
  EXPECT_EQ(prefix("172.18.5.9/22").masked().to_string(), "172.18.4.0/22");
  EXPECT_EQ(prefix("172.18.5.9/22").last().to_string(), "172.18.7.255");
  EXPECT_EQ(prefix("fd00:1:2:3::/63").last().to_string(), "fd00:1:2:3:ffff:ffff:ffff:ffff");
  EXPECT_TRUE(prefix("10.0.0.0/8").overlaps(prefix("10.9.0.0/16")));
  EXPECT_TRUE(prefix("10.9.0.0/16").overlaps(prefix("10.0.0.0/8")));
  EXPECT_FALSE(prefix("10.9.0.0/16").overlaps(prefix("fd00::/8")));
}

TEST(Address, RefusesWhatIsNone) {
  for (const char* text : {"", "10.0.0", "10.0.0.256", "fd00::1%eth0", "localhost", "1.2.3.4/24"})
    EXPECT_FALSE(IpAddress::parse(text).ok()) << text;
  for (const char* text : {"10.0.0.0", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0.0/-1"})
    EXPECT_FALSE(Prefix::parse(text).ok()) << text;
}

TEST(Ipam, ChoosesTheFirstSubnetThatOverlapsNothing) {
  const auto pools = default_pools(IpAddress::Family::v4, "seed");
  EXPECT_EQ(choose_subnet(pools, {})->to_string(), "172.18.0.0/22");
  const std::vector<Taken> taken{{prefix("172.18.0.0/22"), "x"}, {prefix("172.18.5.0/24"), "y"}};
  EXPECT_EQ(choose_subnet(pools, taken)->to_string(), "172.18.8.0/22");
  const std::vector<Taken> whole{{prefix("172.16.0.0/12"), "vpn"}};
  EXPECT_EQ(choose_subnet(pools, whole)->to_string(), "192.168.0.0/22");
}

TEST(Ipam, ManyNetworksGetDifferentSubnetsAndExhaustionIsAnError) {
  const auto pools = default_pools(IpAddress::Family::v4, "seed");
  std::vector<Taken> taken{{prefix("172.16.0.0/12"), "vpn"}};  // leaves 192.168.0.0/16
  for (int i = 0; i < 64; ++i) {
    const auto chosen = choose_subnet(pools, taken);
    ASSERT_TRUE(chosen.ok()) << i;
    taken.push_back({*chosen, "network"});
  }
  const auto none = choose_subnet(pools, taken);
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().message().find("no free subnet: all 960"), std::string::npos) << none.error().message();
}

TEST(Ipam, Ipv6SubnetsComeFromAPrefixOfTheHost) {
  const auto pools = default_pools(IpAddress::Family::v6, "machine");
  const auto first = choose_subnet(pools, {});
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(prefix("fd00::/8").contains(*first));
  EXPECT_EQ(first->length, 64U);
  const std::vector<Taken> taken{{*first, "network"}};
  const auto second = choose_subnet(pools, taken);
  ASSERT_TRUE(second.ok());
  EXPECT_FALSE(second->overlaps(*first));
  EXPECT_NE(default_pools(IpAddress::Family::v6, "other")[0].range, pools[0].range);
}

TEST(Ipam, AddressesSkipTheGatewayTheNetworkAndTheBroadcast) {
  const SubnetPlan small = plan("10.1.0.0/29");
  std::set<IpAddress> used;
  std::vector<std::string> given;
  while (true) {
    const auto next = choose_address(small, used);
    if (!next.ok()) break;
    used.insert(*next);
    given.push_back(next->to_string());
  }
  EXPECT_EQ(given, (std::vector<std::string>{"10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6"}));
}

TEST(Ipam, RangesGatewaysAndReservedAddressesAreKept) {
  const auto made =
      plan_subnet("10.1.0.0/16", "10.1.128.0/17", "10.1.128.1", {{"router", "10.1.128.0"}, {"b", "10.1.128.2"}});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(choose_address(*made, {})->to_string(), "10.1.128.3");
  EXPECT_FALSE(plan_subnet("10.1.0.0/16", "10.2.0.0/24", "", {}).ok());
  EXPECT_FALSE(plan_subnet("10.1.0.0/16", "", "10.2.0.1", {}).ok());
  EXPECT_FALSE(plan_subnet("10.1.0.0/31", "", "", {}).ok());
}

TEST(Ipam, WantedAddressesAreChecked) {
  const SubnetPlan subnet = plan("10.1.0.0/24");
  EXPECT_TRUE(check_address(subnet, address("10.1.0.9")).ok());
  for (const char* bad : {"10.1.0.0", "10.1.0.1", "10.1.0.255", "10.1.1.1", "fd00::1"})
    EXPECT_FALSE(check_address(subnet, address(bad)).ok()) << bad;
}

TEST(Ipam, TheMacFollowsTheAddress) {
  EXPECT_EQ(mac_for(address("172.18.0.2")), "02:42:ac:12:00:02");
  EXPECT_EQ(mac_for(address("fd00::2")), mac_for(address("fd00::2")));
  EXPECT_NE(mac_for(address("fd00::2")), mac_for(address("fd00::3")));
}

}  // namespace
}  // namespace compose::net::ipam
