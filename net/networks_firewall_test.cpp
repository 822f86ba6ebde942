// The host's own firewall, on the real kernel.
#include "net/testing/networks_fixture.hpp"

namespace compose::net {
namespace {

using namespace testing;

TEST_F(NetworksTest, AForwardChainThatDropsKeepsPortsClosedButNotTheWayOut) {
  COMPOSE_NETNS(web_netns);
  COMPOSE_NETNS(other_netns);
  host_->run([] { add_firewall(nft::Family::inet, "admin", "forward", kForwardHook); });
  Container web{web_netns, "aa"}, other{other_netns, "bb"};
  const Network front = ensure(spec("front"));
  attach(web, "web", {front});
  attach(other, "other", {front});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080)}));
  const WhoAmI server{web_netns, "0.0.0.0", 80}, world{*outside_, "0.0.0.0", 80};
  EXPECT_EQ(ask(other_netns, web.leases[0].ipv4(), 80), other.leases[0].ipv4());
  EXPECT_EQ(ask(web_netns, kOutsideAddress, 80), kHostAddress);
  EXPECT_EQ(ask(*host_, "127.0.0.1", 8080), front.subnets[0].gateway);
  EXPECT_EQ(ask(*outside_, kHostAddress, 8080, SOCK_STREAM, kShort), "timeout");
  host_->run([&] {
    COMPOSE_ASSERT_OK(networks_->unpublish(std::vector<std::string>{web.id}));
    COMPOSE_ASSERT_OK(networks_->release("shop"));
    COMPOSE_ASSERT_OK(networks_->remove("shop_front"));
    auto socket = netlink::Socket::open(NETLINK_NETFILTER);
    EXPECT_TRUE(nft::rules(*socket, nft::Family::inet, "admin", "forward")->empty());
  });
}

TEST_F(NetworksTest, DockersForwardPolicyIsNotTheAdministrators) {
  COMPOSE_NETNS(web_netns);
  host_->run([] {
    add_firewall(nft::Family::ip, "filter", "FORWARD", kForwardHook, {{"DOCKER-USER", std::nullopt, {}}},
                 {nft::Rule{}.jump("DOCKER-USER")});
  });
  Container web{web_netns, "aa"};
  attach(web, "web", {ensure(spec("front"))});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080)}));
  const WhoAmI server{web_netns, "0.0.0.0", 80}, world{*outside_, "0.0.0.0", 80};
  EXPECT_EQ(ask(web_netns, kOutsideAddress, 80), kHostAddress);
  EXPECT_EQ(ask(*outside_, kHostAddress, 8080), kOutsideAddress);
}

TEST_F(NetworksTest, AnIptablesForwardChainOfTheAdministratorIsObeyed) {
  COMPOSE_NETNS(web_netns);
  host_->run([] { add_firewall(nft::Family::ip, "filter", "FORWARD", kForwardHook); });
  Container web{web_netns, "aa"};
  attach(web, "web", {ensure(spec("front"))});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080)}));
  const WhoAmI server{web_netns, "0.0.0.0", 80}, world{*outside_, "0.0.0.0", 80};
  EXPECT_EQ(ask(web_netns, kOutsideAddress, 80), kHostAddress);
  EXPECT_EQ(ask(*outside_, kHostAddress, 8080, SOCK_STREAM, kShort), "timeout");
}

}  // namespace
}  // namespace compose::net
