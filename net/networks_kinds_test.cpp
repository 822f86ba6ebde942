// What a network's own description changes, on the real kernel and over both families.
#include "net/testing/networks_fixture.hpp"

namespace compose::net {
namespace {

using namespace testing;

TEST_F(NetworksTest, ANetworkOfIpv6AlonePublishesAndReachesTheOutside) {
  COMPOSE_NETNS(web_netns);
  Container web{web_netns, "aa"};
  NetworkSpec wanted = spec("six");
  wanted.enable_ipv4 = false;
  attach(web, "web", {ensure(wanted)});
  ASSERT_FALSE(web.leases.empty());
  EXPECT_TRUE(web.leases[0].ipv4_cidr.empty());
  COMPOSE_ASSERT_OK(publish({publication(web, 8080)}));
  const WhoAmI server{web_netns, "::", 80}, world{*outside_, "::", 80};
  EXPECT_EQ(ask(*outside_, kHostAddress6, 8080), kOutsideAddress6);
  EXPECT_EQ(ask(*host_, kHostAddress6, 8080), kHostAddress6);
  EXPECT_EQ(ask(web_netns, kOutsideAddress6, 80), kHostAddress6);
}

TEST_F(NetworksTest, APortOfOneIpv6AddressIsOnNoOther) {
  COMPOSE_NETNS(web_netns);
  Container web{web_netns, "aa"};
  attach(web, "web", {ensure(spec("front"))});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080, kHostAddress6), publication(web, 8081, "::")}));
  const WhoAmI server4{web_netns, "0.0.0.0", 80}, server6{web_netns, "::", 80};
  EXPECT_EQ(ask(*outside_, kHostAddress6, 8080), kOutsideAddress6);
  EXPECT_EQ(ask(*host_, web.networks[0].subnets[1].gateway, 8080), "refused") << "another IPv6 address of the host";
  EXPECT_EQ(ask(*outside_, kHostAddress6, 8081), kOutsideAddress6);
  for (const std::uint16_t port : {std::uint16_t{8080}, std::uint16_t{8081}})
    EXPECT_EQ(ask(*outside_, kHostAddress, port), "refused") << "IPv4 at " << port;
  const auto taken = publish({publication(web, 8082, "2001:db8::99")});
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().message(), "cannot publish at [2001:db8::99]:8082/tcp: it is not an address of this host");
}

TEST_F(NetworksTest, WithoutIccNeighboursDoNotReachEachOther) {
  bool bridged = false;
  host_->run([&] { bridged = read_net_sysctl("bridge/bridge-nf-call-iptables") == "1"; });
  if (!bridged) GTEST_SKIP() << "needs br_netfilter, without which the kernel shows no rule what a bridge passes on";
  COMPOSE_NETNS(one_netns);
  COMPOSE_NETNS(two_netns);
  Container one{one_netns, "aa"}, two{two_netns, "bb"};
  NetworkSpec wanted = spec("front");
  wanted.options["com.docker.network.bridge.enable_icc"] = "false";
  const Network front = ensure(wanted);
  attach(one, "one", {front});
  attach(two, "two", {front});
  const WhoAmI server{one_netns, "0.0.0.0", 80}, server6{one_netns, "::", 80};
  EXPECT_EQ(ask(two_netns, one.leases[0].ipv4(), 80, SOCK_STREAM, kShort), "timeout");
  EXPECT_EQ(ask(two_netns, one.leases[0].ipv6(), 80, SOCK_STREAM, kShort), "timeout");
}

TEST_F(NetworksTest, RangesAndReservedAddressesEndInAClearError) {
  NetworkSpec wanted = spec("small");
  wanted.pools = {{"10.77.0.0/24", "10.77.0.8/29", "10.77.0.9", {{"router", "10.77.0.10"}}},
                  {"fd00:77::/64", "fd00:77::8/125", "fd00:77::9", {{"router", "fd00:77::a"}}}};
  ensure(wanted);
  host_->run([&] {
    std::vector<std::string> given;
    for (int i = 0; i < 6; ++i) {
      const auto lease = networks_->lease({"shop_small", "shop/web/" + std::to_string(i), "aa", {}, {}, {}});
      COMPOSE_ASSERT_OK(lease);
      given.push_back(lease->ipv4() + " " + lease->ipv6());
    }
    // Neither the gateway nor the reserved address is among them.
    EXPECT_THAT(given,
                ::testing::ElementsAre("10.77.0.8 fd00:77::8", "10.77.0.11 fd00:77::b", "10.77.0.12 fd00:77::c",
                                       "10.77.0.13 fd00:77::d", "10.77.0.14 fd00:77::e", "10.77.0.15 fd00:77::f"));
    const auto none = networks_->lease({"shop_small", "shop/web/6", "aa", {}, {}, {}});
    ASSERT_FALSE(none.ok());
    EXPECT_EQ(none.error().message(),
              "network \"shop_small\": no free address in 10.77.0.8/29 (12 in use); give the network a larger subnet");
    // One that wants an address outside the range has it all the same.
    const auto wanted_one = networks_->lease({"shop_small", "shop/db/1", "bb", "10.77.0.200", "fd00:77::200", {}});
    COMPOSE_ASSERT_OK(wanted_one);
  });
}

TEST_F(NetworksTest, AMacvlanNetworkWorksOverIpv6) {
  COMPOSE_NETNS(one_netns);
  Container one{one_netns, "aa"};
  NetworkSpec wanted = spec("wire");
  wanted.driver = "macvlan";
  wanted.options["parent"] = "wire";
  wanted.pools = {{"203.0.113.0/24", {}, "203.0.113.9", {}}, {"2001:db8:7::/64", {}, "2001:db8:7::9", {}}};
  const Network network = ensure(wanted);
  attach(one, "one", {network});
  outside_->run(
      [] { COMPOSE_ASSERT_OK(add_addresses("wire", std::vector<Prefix>{Prefix::parse("2001:db8:7::9/64").value()})); });
  const WhoAmI server{one_netns, "::", 80};
  EXPECT_EQ(ask(*outside_, one.leases[0].ipv6(), 80), "2001:db8:7::9");
}

TEST_F(NetworksTest, AnSctpPortThatThisKernelCannotServeIsAnError) {
  const UniqueFd probe{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP)};
  if (probe.valid()) GTEST_SKIP() << "this kernel has SCTP";
  COMPOSE_NETNS(web_netns);
  Container web{web_netns, "aa"};
  attach(web, "web", {ensure(spec("front"))});
  const auto refused = publish({publication(web, 3868, {}, "sctp")});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Errc::unsupported);
  EXPECT_EQ(refused.error().message(), "port 3868/sctp: this kernel has no SCTP (modprobe sctp)");
}

}  // namespace
}  // namespace compose::net
