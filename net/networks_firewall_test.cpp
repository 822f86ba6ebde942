// The host's own firewall, on the real kernel.
#include <sys/prctl.h>

#include "net/firewall/ruleset.hpp"
#include "net/firewall/ruleset_monitor.hpp"
#include "net/testing/networks_fixture.hpp"

namespace compose::net {
namespace {

using namespace testing;

/// What every firewall lets in: without ICMPv6 nobody finds his neighbour.
std::vector<nft::Rule> usual_rules() {
  constexpr std::uint8_t kIcmp6 = 58;
  return {nft::Rule{}.iifname("lo").accept(), nft::Rule{}.ct_state_established().accept(),
          nft::Rule{}.l4proto(kIcmp6).accept()};
}

TEST_F(NetworksTest, AForwardChainThatDropsKeepsPortsClosedButNotTheWayOut) {
  COMPOSE_NETNS(web_netns);
  COMPOSE_NETNS(other_netns);
  host_->run([] { add_firewall(nft::Family::inet, "admin", "forward", kForwardHook); });
  Container web{web_netns, "aa"}, other{other_netns, "bb"};
  const Network front = ensure(spec("front"));
  attach(web, "web", {front});
  attach(other, "other", {front});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080)}));
  for (const Family& ip : kFamilies) {
    const WhoAmI server{web_netns, ip.any, 80}, world{*outside_, ip.any, 80};
    EXPECT_EQ(ask(other_netns, web.address(ip), 80), other.address(ip));
    EXPECT_EQ(ask(web_netns, ip.outside, 80), ip.host);
    EXPECT_EQ(ask(*host_, ip.v4 ? "127.0.0.1" : ip.host, 8080), ip.v4 ? web.gateway(ip) : ip.host);
    EXPECT_EQ(ask(*outside_, ip.host, 8080, SOCK_STREAM, kShort), "timeout");
  }
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
    for (const Family& ip : kFamilies)
      add_firewall(ip.nft, "filter", "FORWARD", kForwardHook, {{"DOCKER-USER", std::nullopt, {}}},
                   {nft::Rule{}.jump("DOCKER-USER")});
  });
  Container web{web_netns, "aa"};
  attach(web, "web", {ensure(spec("front"))});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080)}));
  for (const Family& ip : kFamilies) {
    const WhoAmI server{web_netns, ip.any, 80}, world{*outside_, ip.any, 80};
    EXPECT_EQ(ask(web_netns, ip.outside, 80), ip.host);
    EXPECT_EQ(ask(*outside_, ip.host, 8080), ip.outside);
  }
}

TEST_F(NetworksTest, AnIptablesForwardChainOfTheAdministratorIsObeyed) {
  COMPOSE_NETNS(web_netns);
  host_->run([] {
    for (const Family& ip : kFamilies) add_firewall(ip.nft, "filter", "FORWARD", kForwardHook);
  });
  Container web{web_netns, "aa"};
  attach(web, "web", {ensure(spec("front"))});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080)}));
  for (const Family& ip : kFamilies) {
    const WhoAmI server{web_netns, ip.any, 80}, world{*outside_, ip.any, 80};
    EXPECT_EQ(ask(web_netns, ip.outside, 80), ip.host);
    EXPECT_EQ(ask(*outside_, ip.host, 8080, SOCK_STREAM, kShort), "timeout");
  }
}

TEST_F(NetworksTest, AnInputChainThatDropsKeepsPortsClosedToTheOutsideAlone) {
  COMPOSE_NETNS(web_netns);
  COMPOSE_NETNS(other_netns);
  host_->run([] { add_firewall(nft::Family::inet, "admin", "input", kInputHook, {}, usual_rules()); });
  Container web{web_netns, "aa"}, other{other_netns, "bb"};
  const Network front = ensure(spec("front"));
  attach(web, "web", {front});
  attach(other, "other", {ensure(spec("back"))});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080)}));
  const WhoAmI server{web_netns, "0.0.0.0", 80}, server6{web_netns, "::", 80};
  EXPECT_EQ(ask(*outside_, kHostAddress, 8080, SOCK_STREAM, kShort), "timeout");
  EXPECT_EQ(ask(*outside_, kHostAddress6, 8080, SOCK_STREAM, kShort), "timeout");
  EXPECT_EQ(ask(*host_, "127.0.0.1", 8080), front.subnets[0].gateway);
  EXPECT_EQ(ask(other_netns, kHostAddress, 8080), other.leases[0].ipv4());
  // The administrator's firewall goes, and comes back: we follow.
  host_->run([&] {
    remove_firewall(nft::Family::inet, "admin");
    EXPECT_TRUE(networks_->repair().value());
  });
  EXPECT_EQ(ask(*outside_, kHostAddress, 8080), kOutsideAddress);
  host_->run([&] {
    add_firewall(nft::Family::ip, "admin", "input", kInputHook, {}, {nft::Rule{}.ct_state_established().accept()});
    EXPECT_TRUE(networks_->repair().value());
    EXPECT_FALSE(networks_->repair().value());
  });
  EXPECT_EQ(ask(*outside_, kHostAddress, 8080, SOCK_STREAM, kShort), "timeout");
  EXPECT_EQ(ask(*outside_, kHostAddress6, 8080), kOutsideAddress6);
}

TEST_F(NetworksTest, AnOpenNetworkIsReachableWhateverTheHostsPolicies) {
  COMPOSE_NETNS(web_netns);
  host_->run([] {
    add_firewall(nft::Family::inet, "admin", "input", kInputHook, {}, usual_rules());
    add_firewall(nft::Family::inet, "gate", "forward", kForwardHook);
  });
  Container web{web_netns, "aa"};
  NetworkSpec wanted = spec("front");
  wanted.options["compose.firewall"] = "open";
  attach(web, "web", {ensure(wanted)});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080)}));
  for (const Family& ip : kFamilies) {
    const WhoAmI server{web_netns, ip.any, 80};
    EXPECT_EQ(ask(*outside_, ip.host, 8080), ip.outside);
  }
}

TEST_F(NetworksTest, TheFirewallOptionIsChecked) {
  NetworkSpec wanted = spec("front");
  wanted.options["compose.firewall"] = "perhaps";
  host_->run([&] { EXPECT_EQ(networks_->ensure(wanted).error().code(), Errc::invalid); });
}

/// Runs the loop on this thread until `change`, made by a program of another name, was noticed (or for 5 s).
bool notices(const std::function<void()>& change) {
  async::EventLoop loop;
  bool noticed = false;
  const auto monitor = firewall::RulesetMonitor::start(loop, [&] {
    noticed = true;
    loop.stop();
  });
  EXPECT_TRUE(monitor.ok());
  const auto limit = loop.call_after(std::chrono::seconds{5}, [&] { loop.stop(); });
  std::thread stranger{[&] {
    ::prctl(PR_SET_NAME, "stranger");
    change();
  }};
  loop.run();
  stranger.join();
  return noticed;
}

TEST_F(NetworksTest, RulesThatSomebodyFlushedAreNoticedAndPutBack) {
  COMPOSE_NETNS(web_netns);
  host_->run([] { add_firewall(nft::Family::inet, "gate", "forward", kForwardHook); });
  Container web{web_netns, "aa"};
  NetworkSpec wanted = spec("front");
  wanted.options["compose.firewall"] = "open";
  const Network front = ensure(wanted);
  attach(web, "web", {front});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080)}));
  const WhoAmI server{web_netns, "0.0.0.0", 80}, server6{web_netns, "::", 80};
  ASSERT_EQ(ask(*outside_, kHostAddress, 8080), kOutsideAddress);
  host_->run([&] {
    // "nft flush ruleset", and a firewall that is loaded anew.
    EXPECT_TRUE(notices([&] {
      remove_firewall(nft::Family::inet, "gate");
      remove_firewall(nft::Family::inet, firewall::table_name(state_.path()));
      add_firewall(nft::Family::inet, "gate", "forward", kForwardHook);
    }));
    EXPECT_TRUE(networks_->repair().value());
  });
  for (const Family& ip : kFamilies) EXPECT_EQ(ask(*outside_, ip.host, 8080), ip.outside);
  host_->run([&] {
    // One element is enough.
    EXPECT_TRUE(notices([&] {
      auto socket = netlink::Socket::open(NETLINK_NETFILTER);
      nft::Transaction transaction;
      const nft::Element element[] = {{nft::Key{}.ifname(front.bridge), std::nullopt}};
      transaction.remove_elements(nft::Family::inet, firewall::table_name(state_.path()), "masquerade", element);
      COMPOSE_EXPECT_OK(transaction.commit(*socket));
    }));
    EXPECT_TRUE(networks_->repair().value());
    EXPECT_FALSE(networks_->repair().value());
  });
}

}  // namespace
}  // namespace compose::net
