// Virtual addresses of services, on the real kernel.
#include <set>

#include "net/firewall/ruleset.hpp"
#include "net/testing/networks_fixture.hpp"

namespace compose::net {
namespace {

using namespace testing;

/// Tells everybody its own address.
class Teller {
 public:
  Teller(const Netns& netns, const std::string& any, const std::string& own) : netns_{netns} {
    netns.run([&] {
      const Endpoint where = Endpoint::of(any, 80);
      socket_.reset(::socket(where.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
      const int on = 1;
      if (where.family() == AF_INET6) ::setsockopt(socket_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
      ASSERT_EQ(::bind(socket_.get(), where.get(), where.size), 0);
      ASSERT_EQ(::listen(socket_.get(), 64), 0);
    });
    thread_ = std::thread{[this, own] {
      while (true) {
        const UniqueFd connection{::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
        if (!connection.valid()) return;
        (void)!::send(connection.get(), own.data(), own.size(), MSG_NOSIGNAL);
      }
    }};
  }
  ~Teller() {
    ::shutdown(socket_.get(), SHUT_RDWR);
    thread_.join();
  }
  Teller(const Teller&) = delete;
  Teller& operator=(const Teller&) = delete;

 private:
  const Netns& netns_;
  UniqueFd socket_;
  std::thread thread_;
};

class SpreadTest : public NetworksTest {
 protected:
  Spread lease_spread(const std::string& network) {
    Spread made;
    host_->run([&] {
      const auto lease = networks_->lease({network, "shop/web/vip", {}, {}, {}, {}});
      COMPOSE_ASSERT_OK(lease);
      made = {"shop/web/vip", network, {}, lease->ipv4(), lease->ipv6(), {}, {}};
    });
    return made;
  }
  void apply(const Spread& spread) {
    host_->run([&] { COMPOSE_ASSERT_OK(networks_->spread(spread)); });
  }
  static std::map<std::string, int> answers(const Netns& from, const std::string& address, int tries) {
    std::map<std::string, int> seen;
    for (int i = 0; i < tries; ++i) ++seen[ask(from, address, 80)];
    return seen;
  }
};

TEST_F(SpreadTest, AVirtualAddressLeadsToAllReplicasOverBothFamilies) {
  COMPOSE_NETNS(one_netns);
  COMPOSE_NETNS(two_netns);
  COMPOSE_NETNS(client_netns);
  COMPOSE_NETNS(stranger_netns);
  Container one{one_netns, "aa"}, two{two_netns, "bb"}, client{client_netns, "cc"}, stranger{stranger_netns, "dd"};
  const Network front = ensure(spec("front"));
  attach(one, "web", {front});
  attach(two, "web2", {front});
  attach(client, "client", {front});
  attach(stranger, "stranger", {ensure(spec("back"))});
  const Teller t1{one_netns, "0.0.0.0", "one"}, t2{two_netns, "0.0.0.0", "two"};
  const Teller t3{one_netns, "::", "one"}, t4{two_netns, "::", "two"};

  Spread spread = lease_spread(front.spec.name);
  apply(spread);
  EXPECT_EQ(ask(client_netns, spread.address4, 80), "refused");
  EXPECT_EQ(ask(client_netns, spread.address6, 80), "refused");
  spread.targets4 = {one.leases[0].ipv4(), two.leases[0].ipv4()};
  spread.targets6 = {one.leases[0].ipv6(), two.leases[0].ipv6()};
  apply(spread);
  constexpr int kTries = 40;  // all to the same one: once in 2^39 runs
  for (const std::string& address : {spread.address4, spread.address6}) {
    const auto seen = answers(client_netns, address, kTries);
    EXPECT_EQ(seen.size(), 2U) << address;
    EXPECT_TRUE(seen.contains("one") && seen.contains("two")) << address;
  }
  // A replica asks its own service: it may be answered by itself.
  for (const std::string& address : {spread.address4, spread.address6}) {
    const auto seen = answers(one_netns, address, 10);
    EXPECT_EQ((seen.contains("one") ? seen.at("one") : 0) + (seen.contains("two") ? seen.at("two") : 0), 10) << address;
  }
  // Another network must not get in this way.
  EXPECT_EQ(ask(stranger_netns, spread.address4, 80, SOCK_STREAM, kShort), "timeout");

  spread.targets4 = {two.leases[0].ipv4()};
  spread.targets6 = {two.leases[0].ipv6()};
  apply(spread);
  EXPECT_EQ(answers(client_netns, spread.address4, 10), (std::map<std::string, int>{{"two", 10}}));
  EXPECT_EQ(answers(client_netns, spread.address6, 10), (std::map<std::string, int>{{"two", 10}}));
}

TEST_F(SpreadTest, VirtualAddressesSurviveAFlushAndGoWithTheProject) {
  COMPOSE_NETNS(one_netns);
  COMPOSE_NETNS(client_netns);
  Container one{one_netns, "aa"}, client{client_netns, "cc"};
  const Network front = ensure(spec("front"));
  attach(one, "web", {front});
  attach(client, "client", {front});
  const Teller teller{one_netns, "0.0.0.0", "one"};
  Spread spread = lease_spread(front.spec.name);
  spread.targets4 = {one.leases[0].ipv4()};
  apply(spread);
  host_->run([&] {
    remove_firewall(nft::Family::inet, firewall::table_name(state_.path()));
    EXPECT_TRUE(networks_->repair().value());
  });
  EXPECT_EQ(ask(client_netns, spread.address4, 80), "one");
  host_->run([&] { COMPOSE_ASSERT_OK(networks_->unspread("shop")); });
  EXPECT_NE(ask(client_netns, spread.address4, 80, SOCK_STREAM, kShort), "one");
  host_->run([&] {
    EXPECT_FALSE(networks_->repair().value());
    COMPOSE_ASSERT_OK(networks_->release("shop"));
    COMPOSE_ASSERT_OK(networks_->remove(front.spec.name));
    EXPECT_FALSE(sys::exists(state_.path() + "/virtual.json"));
  });
}

}  // namespace
}  // namespace compose::net
