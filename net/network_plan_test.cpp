#include "net/network_plan.hpp"

#include <gtest/gtest.h>

namespace compose::net {
namespace {

NetworkSpec spec(const std::string& name) {
  NetworkSpec made;
  made.project = "shop";
  made.key = name;
  made.name = "shop_" + name;
  return made;
}

Network network(NetworkSpec wanted) {
  auto planned = plan_network(wanted, "/root", {}, {});
  EXPECT_TRUE(planned.ok());
  return std::move(planned).value();
}

TEST(NetworkPlan, ANetworkGetsASubnetAndABridgeNamedAfterIt) {
  const Network made = network(spec("default"));
  ASSERT_EQ(made.subnets.size(), 1U);
  EXPECT_EQ(made.subnets[0].cidr, "172.18.0.0/22");
  EXPECT_EQ(made.subnets[0].gateway, "172.18.0.1");
  EXPECT_EQ(made.bridge, "br-" + made.id.substr(0, 12));
  EXPECT_EQ(made.mtu, 1500);
}

TEST(NetworkPlan, TheMtuFollowsTheWayOut) {
  HostAddresses host;
  host.mtu = 1450;
  EXPECT_EQ(plan_network(spec("a"), "/root", {}, host)->mtu, 1450);
  host.mtu = 9000;
  EXPECT_EQ(plan_network(spec("a"), "/root", {}, host)->mtu, 1500);
  NetworkSpec wanted = spec("a");
  wanted.options["com.docker.network.driver.mtu"] = "9000";
  EXPECT_EQ(plan_network(wanted, "/root", {}, host)->mtu, 9000);
  wanted.options["com.docker.network.driver.mtu"] = "many";
  EXPECT_FALSE(plan_network(wanted, "/root", {}, host).ok());
}

TEST(NetworkPlan, AChosenSubnetAvoidsRoutesAndNetworks) {
  HostAddresses host;
  host.routed = {{Prefix::parse("172.18.0.0/16").value(), "vpn"}};
  const Network first = plan_network(spec("a"), "/root", {}, host).value();
  EXPECT_EQ(first.subnets[0].cidr, "172.19.0.0/22");
  EXPECT_EQ(plan_network(spec("b"), "/root", {first}, host)->subnets[0].cidr, "172.19.4.0/22");
}

TEST(NetworkPlan, AWantedSubnetThatIsTakenIsNamed) {
  NetworkSpec wanted = spec("a");
  wanted.pools = {{"10.1.0.0/16", {}, {}, {}}};
  const Network first = plan_network(wanted, "/root", {}, {}).value();
  wanted.name = "shop_b";
  const auto second = plan_network(wanted, "/root", {first}, {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().message(), "the subnet 10.1.0.0/16 overlaps 10.1.0.0/16 of the network \"shop_a\"");

  HostAddresses host;
  host.connected = {{Prefix::parse("10.1.7.0/24").value(), "a route of the host through \"eth0\""}};
  const auto third = plan_network(wanted, "/root", {}, host);
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code(), Errc::busy);
}

TEST(NetworkPlan, Ipv6ComesBesideIpv4OrAlone) {
  NetworkSpec wanted = spec("a");
  wanted.enable_ipv6 = true;
  EXPECT_EQ(network(wanted).subnets.size(), 2U);
  wanted.enable_ipv4 = false;
  const Network only6 = network(wanted);
  ASSERT_EQ(only6.subnets.size(), 1U);
  EXPECT_NE(only6.subnets[0].cidr.find("/64"), std::string::npos);
}

TEST(NetworkPlan, DriversThatNeedAParentSaySo) {
  NetworkSpec wanted = spec("a");
  wanted.driver = "macvlan";
  EXPECT_FALSE(plan_network(wanted, "/root", {}, {}).ok());
  wanted.options["parent"] = "eth0";
  EXPECT_EQ(plan_network(wanted, "/root", {}, {})->bridge, "eth0");
  wanted.driver = "overlay";
  EXPECT_EQ(plan_network(wanted, "/root", {}, {}).error().message(),
            "unknown network driver \"overlay\" (bridge, macvlan, ipvlan)");
}

LeaseRequest request(const std::string& owner, const std::string& container, const std::string& ipv4 = {}) {
  return {"shop_default", owner, container, ipv4, {}, {}};
}

TEST(Leases, AnOwnerKeepsItsAddressOverRecreation) {
  const Network made = network(spec("default"));
  std::vector<Lease> leases;
  EXPECT_EQ(assign_lease(made, request("shop/db/1", "c1"), leases)->ipv4_cidr, "172.18.0.2/22");
  EXPECT_EQ(assign_lease(made, request("shop/web/1", "c2"), leases)->ipv4_cidr, "172.18.0.3/22");
  const auto again = assign_lease(made, request("shop/db/1", "c3"), leases);
  EXPECT_EQ(again->ipv4_cidr, "172.18.0.2/22");
  EXPECT_EQ(again->mac, "02:42:ac:12:00:02");
  ASSERT_EQ(leases.size(), 2U);
  EXPECT_EQ(leases[0].container_id, "c3");
}

TEST(Leases, StaticAddressesAreGivenOnceAndInsideOnly) {
  const Network made = network(spec("default"));
  std::vector<Lease> leases;
  EXPECT_EQ(assign_lease(made, request("shop/db/1", "c1", "172.18.1.9"), leases)->ipv4_cidr, "172.18.1.9/22");
  const auto taken = assign_lease(made, request("shop/web/1", "c2", "172.18.1.9"), leases);
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().message(), "the address 172.18.1.9 is in use by shop/db/1");
  EXPECT_FALSE(assign_lease(made, request("shop/web/1", "c2", "10.0.0.1"), leases).ok());
  EXPECT_FALSE(assign_lease(made, request("shop/web/1", "c2", "172.18.0.1"), leases).ok());
  EXPECT_EQ(leases.size(), 1U);
}

TEST(Attachments, CarryWhatTheContainerNeeds) {
  NetworkSpec wanted = spec("default");
  wanted.enable_ipv6 = true;
  wanted.pools = {{"10.1.0.0/24", {}, {}, {}}, {"fd00:1::/64", {}, "fd00:1::ff", {}}};
  const Network made = network(wanted);
  std::vector<Lease> leases;
  const Lease lease = assign_lease(made, request("shop/db/1", "c1"), leases).value();
  const std::string id = "0123456789abcdef";
  const auto attachment = plan_attachment(made, lease, id, 1, true);
  ASSERT_TRUE(attachment.ok());
  EXPECT_EQ(attachment->host_interface, "vc0123456789a");
  EXPECT_EQ(attachment->interface, "eth1");
  EXPECT_EQ(attachment->addresses, (std::vector<std::string>{"10.1.0.2/24", "fd00:1::1/64"}));
  EXPECT_EQ(attachment->gateway4, "10.1.0.1");
  EXPECT_EQ(attachment->gateway6, "fd00:1::ff");
  EXPECT_TRUE(attachment->default_route4 && attachment->default_route6);
  EXPECT_FALSE(plan_attachment(made, lease, id, 0, false)->default_route4);
}

TEST(Attachments, AnInternalNetworkHasNoWayOut) {
  NetworkSpec wanted = spec("back");
  wanted.internal = true;
  const Network made = network(wanted);
  std::vector<Lease> leases;
  const Lease lease = assign_lease(made, request("shop/db/1", "c1"), leases).value();
  EXPECT_FALSE(plan_attachment(made, lease, "0123456789abcdef", 0, true)->default_route4);
}

}  // namespace
}  // namespace compose::net
