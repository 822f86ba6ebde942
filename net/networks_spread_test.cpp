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
  /// Most hosts have no br_netfilter; where it is built in, new namespaces begin with it on.
  void without_bridge_filter() {
    host_->run([] {
      for (const char* name : {"bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables"})
        if (read_net_sysctl(name)) COMPOSE_ASSERT_OK(write_net_sysctl(name, "0"));
    });
  }
  /// Two replicas, of which the second serves as "two", and somebody who asks; on one network of a plain host.
  struct Stage {
    Container one, two, client;
    Spread spread;
    std::unique_ptr<Teller> teller4, teller6;
    void lead_to(const std::string& address4, const std::string& address6) {
      spread.targets4 = {address4};
      spread.targets6 = {address6};
    }
    void lead_to(const Container& replica) { lead_to(replica.leases[0].ipv4(), replica.leases[0].ipv6()); }
    const std::string& address(const Family& family) const { return family.v4 ? spread.address4 : spread.address6; }
  };
  Stage stage(const Netns& one, const Netns& two, const Netns& client) {
    without_bridge_filter();
    Stage made{{one, "aa"}, {two, "bb"}, {client, "cc"}, {}, {}, {}};
    const Network front = ensure(spec("front"));
    attach(made.one, "web", {front});
    attach(made.two, "web2", {front});
    attach(made.client, "client", {front});
    made.teller4 = std::make_unique<Teller>(two, "0.0.0.0", "two");
    made.teller6 = std::make_unique<Teller>(two, "::", "two");
    made.spread = lease_spread(front.spec.name);
    return made;
  }
  /// How many clients that were refused the kernel remembers.
  std::size_t refused(const Family& family) {
    std::size_t count = 0;
    host_->run([&] {
      auto socket = netlink::Socket::open(NETLINK_NETFILTER);
      const auto elements = nft::elements(*socket, nft::Family::inet, firewall::table_name(state_.path()),
                                          family.v4 ? "refused4" : "refused6");
      if (elements.ok()) count = elements->size();
    });
    return count;
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

/// A server that refuses for a moment, as one that is ending does, and what a client then gets.
TEST_F(SpreadTest, ARefusalIsPassedOnWhenItComesTwice) {
  COMPOSE_NETNS(one_netns);
  COMPOSE_NETNS(two_netns);
  COMPOSE_NETNS(client_netns);
  Stage stage = this->stage(one_netns, two_netns, client_netns);
  stage.lead_to(stage.one);
  apply(stage.spread);
  for (const Family& ip : kFamilies) {
    // Nobody listens, and the client is to hear of it: after TCP's second try, a second later.
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(ask(client_netns, stage.address(ip), 80, SOCK_STREAM, 5000), "refused");
    EXPECT_GT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds{500}) << stage.address(ip);
  }
  for (const Family& ip : kFamilies) {
    stage.lead_to(stage.one);
    apply(stage.spread);
    std::string answer;
    std::thread asks{[&] { answer = ask(client_netns, stage.address(ip), 80, SOCK_STREAM, 5000); }};
    // The refusal is counted in the set: then it has been held back.
    for (int i = 0; i < 5000 && refused(ip) < 2; ++i) std::this_thread::yield();
    EXPECT_EQ(refused(ip), 2U);
    stage.lead_to(stage.two);
    apply(stage.spread);
    asks.join();
    EXPECT_EQ(answer, "two") << stage.address(ip);
  }
}

/// What was on its way to a replica that is gone without a word must not be bound to it.
TEST_F(SpreadTest, ConnectionsToAReplicaThatIsSilentlyGoneGoToTheNextOne) {
  COMPOSE_NETNS(one_netns);
  COMPOSE_NETNS(two_netns);
  COMPOSE_NETNS(client_netns);
  Stage stage = this->stage(one_netns, two_netns, client_netns);
  // Addresses nobody has: they are as silent as a container without a namespace.
  const std::string nobody4 = "172.18.3.77";
  const std::string nobody6 = stage.spread.address6.substr(0, stage.spread.address6.rfind(':')) + ":77";
  for (const Family& ip : kFamilies) {
    stage.lead_to(nobody4, nobody6);
    apply(stage.spread);
    std::string answer;
    std::thread asks{[&] { answer = ask(client_netns, stage.address(ip), 80, SOCK_STREAM, 8000); }};
    const auto tracked = [&] {
      std::string text;
      host_->run([&] {
        if (auto file = sys::read_file("/proc/thread-self/net/nf_conntrack"); file.ok()) text = *file;
      });
      return text.find(ip.v4 ? nobody4 : "0077 ") != std::string::npos;
    };
    bool seen = false;
    for (int i = 0; i < 500 && !seen; ++i) seen = tracked();
    EXPECT_TRUE(seen);
    stage.lead_to(stage.two);
    apply(stage.spread);
    asks.join();
    EXPECT_EQ(answer, "two") << stage.address(ip);
  }
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
