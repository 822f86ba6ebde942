// Published ports and isolation on the real kernel.
#include "net/testing/networks_fixture.hpp"

namespace compose::net {
namespace {

using namespace testing;

TEST_F(NetworksTest, APublishedPortIsReachableFromEverywhere) {
  COMPOSE_NETNS(web_netns);
  COMPOSE_NETNS(other_netns);
  COMPOSE_NETNS(far_netns);
  Container web{web_netns, "aa"}, other{other_netns, "bb"}, far{far_netns, "cc"};
  const Network front = ensure(spec("front")), back = ensure(spec("back"));
  attach(web, "web", {front});
  attach(other, "other", {front});
  attach(far, "far", {back});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080), publication(web, 8080, {}, "udp")}));
  // With br_netfilter the bridge itself turns the packet round, which keeps even a neighbour's address.
  bool bridged = false;
  host_->run([&] { bridged = read_net_sysctl("bridge/bridge-nf-call-iptables") == "1"; });
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    // One server per destination address: with a wildcard, UDP replies could leave from another of its addresses.
    const WhoAmI server4{web_netns, web.leases[0].ipv4(), 80, type}, server6{web_netns, web.leases[0].ipv6(), 80, type};
    EXPECT_EQ(ask(*host_, "127.0.0.1", 8080, type), front.subnets[0].gateway) << "never seen as 127.0.0.1 inside";
    for (const Family& ip : kFamilies) {
      // From outside, with the client's address kept.
      EXPECT_EQ(ask(*outside_, ip.host, 8080, type), ip.outside);
      // From the host by any of its addresses.
      EXPECT_EQ(ask(*host_, ip.host, 8080, type), ip.host);
      EXPECT_EQ(ask(*host_, web.gateway(ip), 8080, type), web.gateway(ip));
      // From containers through the host: the same network (hairpin), the container itself, another network.
      EXPECT_EQ(ask(other_netns, ip.host, 8080, type), bridged ? other.address(ip) : web.gateway(ip));
      EXPECT_EQ(ask(web_netns, ip.host, 8080, type), web.gateway(ip));
      EXPECT_EQ(ask(far_netns, ip.host, 8080, type), far.address(ip));
      // And directly.
      EXPECT_EQ(ask(other_netns, web.address(ip), 80, type), other.address(ip));
    }
  }
}

TEST_F(NetworksTest, APortOfTheLoopbackIsNotReachableFromTheWire) {
  COMPOSE_NETNS(web_netns);
  Container web{web_netns, "aa"};
  attach(web, "web", {ensure(spec("front"))});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080, "127.0.0.1")}));
  const WhoAmI server{web_netns, "0.0.0.0", 80};
  EXPECT_EQ(ask(*host_, "127.0.0.1", 8080), web.networks[0].subnets[0].gateway);
  EXPECT_EQ(ask(*outside_, kHostAddress, 8080, SOCK_STREAM, kShort), "refused");
  // A neighbour without a loopback of its own sends packets for 127.0.0.1 to us.
  outside_->run([] {
    auto socket = netlink::Socket::open(NETLINK_ROUTE);
    netlink::Batch batch;
    batch.message(RTM_NEWLINK, 0, "lo down");
    ifinfomsg head{};
    head.ifi_index = 1;
    head.ifi_change = IFF_UP;
    batch.header(head);
    COMPOSE_ASSERT_OK(socket->execute(batch));
    COMPOSE_ASSERT_OK(write_net_sysctl("ipv4/conf/all/route_localnet", "1"));
    add_route("127.0.0.0/8", kHostAddress);
  });
  EXPECT_EQ(ask(*outside_, "127.0.0.1", 8080, SOCK_STREAM, kShort), "timeout");
}

TEST_F(NetworksTest, AContainerCannotReachTheLoopbackOfTheHost) {
  COMPOSE_NETNS(web_netns);
  Container web{web_netns, "aa"};
  attach(web, "web", {ensure(spec("front"))});
  const WhoAmI secret{*host_, "127.0.0.1", 9000};
  web_netns.run([&] {
    auto socket = netlink::Socket::open(NETLINK_ROUTE);
    netlink::Batch batch;
    batch.message(RTM_NEWLINK, 0, "lo down");
    ifinfomsg head{};
    head.ifi_index = 1;
    head.ifi_change = IFF_UP;
    batch.header(head);
    COMPOSE_ASSERT_OK(socket->execute(batch));
    COMPOSE_ASSERT_OK(write_net_sysctl("ipv4/conf/all/route_localnet", "1"));
    add_route("127.0.0.0/8", web.networks[0].subnets[0].gateway);
  });
  EXPECT_EQ(ask(web_netns, "127.0.0.1", 9000, SOCK_STREAM, kShort), "timeout");
}

TEST_F(NetworksTest, UnpublishedPortsAreNotReachableByRoutingToThem) {
  COMPOSE_NETNS(web_netns);
  Container web{web_netns, "aa"};
  attach(web, "web", {ensure(spec("front"))});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080)}));
  for (const Family& ip : kFamilies) {
    const WhoAmI server{web_netns, ip.any, 80};
    outside_->run([&] { add_route(web.networks[0].subnets[ip.subnet].cidr, ip.host); });
    EXPECT_EQ(ask(*outside_, web.address(ip), 80, SOCK_STREAM, kShort), "timeout");
    EXPECT_EQ(ask(*host_, web.address(ip), 80), web.gateway(ip));
  }
}

TEST_F(NetworksTest, NetworksAreIsolatedAndInternalOnesReachNothing) {
  COMPOSE_NETNS(front_netns);
  COMPOSE_NETNS(back_netns);
  COMPOSE_NETNS(inner_netns);
  COMPOSE_NETNS(inner2_netns);
  Container front{front_netns, "aa"}, back{back_netns, "bb"}, inner{inner_netns, "cc"}, inner2{inner2_netns, "dd"};
  const Network internal = ensure(spec("internal", true));
  attach(front, "front", {ensure(spec("front"))});
  attach(back, "back", {ensure(spec("back"))});
  attach(inner, "inner", {internal});
  attach(inner2, "inner2", {internal});
  for (const Family& ip : kFamilies) {
    const WhoAmI server{back_netns, ip.any, 80}, world{*outside_, ip.any, 80}, peer{inner2_netns, ip.any, 80};
    EXPECT_EQ(ask(front_netns, back.address(ip), 80, SOCK_STREAM, kShort), "timeout");
    EXPECT_EQ(ask(front_netns, ip.outside, 80), ip.host) << "masqueraded";
    EXPECT_EQ(ask(inner_netns, inner2.address(ip), 80), inner.address(ip));
    // Even with a route of its own making an internal network's container gets nowhere.
    inner_netns.run([&] { add_route(ip.all, inner.gateway(ip)); });
    EXPECT_EQ(ask(inner_netns, ip.outside, 80, SOCK_STREAM, kShort), "timeout");
    EXPECT_EQ(ask(inner_netns, back.address(ip), 80, SOCK_STREAM, kShort), "timeout");
  }
}

TEST_F(NetworksTest, ABusyPortNamesWhoHasIt) {
  COMPOSE_NETNS(web_netns);
  COMPOSE_NETNS(other_netns);
  Container web{web_netns, "aa"}, other{other_netns, "bb"};
  const Network front = ensure(spec("front"));
  attach(web, "web", {front});
  attach(other, "other", {front});
  const WhoAmI process{*host_, "0.0.0.0", 9090};
  const auto busy = publish({publication(web, 8080), publication(web, 9090)});
  ASSERT_FALSE(busy.ok());
  EXPECT_EQ(busy.error().code(), Errc::busy);
  EXPECT_EQ(busy.error().message(),
            "port 9090/tcp is in use by net_networks_te (pid " + std::to_string(::getpid()) + ")");
  // Nothing of that list was taken.
  COMPOSE_ASSERT_OK(publish({publication(web, 8080)}));
  const auto claimed = publish({publication(other, 8080)});
  ASSERT_FALSE(claimed.ok());
  EXPECT_EQ(claimed.error().message(), "port 8080/tcp is in use by service \"web\" of project \"shop\"");
  // While we have it, no other process gets it.
  host_->run([] {
    const UniqueFd rival{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const int on = 1;
    ::setsockopt(rival.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const testing::Endpoint where = testing::Endpoint::of("0.0.0.0", 8080);
    EXPECT_NE(::bind(rival.get(), where.get(), where.size), 0);
  });
}

TEST_F(NetworksTest, APortThatIsOnlyBoundNamesItsHolderWhereTheKernelTells) {
  COMPOSE_NETNS(web_netns);
  Container web{web_netns, "aa"};
  attach(web, "web", {ensure(spec("front"))});
  host_->run([&] {
    const UniqueFd bound{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const testing::Endpoint where = testing::Endpoint::of("0.0.0.0", 9091);
    ASSERT_EQ(::bind(bound.get(), where.get(), where.size), 0);
    const auto busy = networks_->publish({publication(web, 9091)});
    ASSERT_FALSE(busy.ok());
    const std::string start = "port 9091/tcp is in use by ";
    EXPECT_THAT(busy.error().message(),
                ::testing::AnyOf(start + "net_networks_te (pid " + std::to_string(::getpid()) + ")",
                                 start + "another process"));
  });
}

TEST_F(NetworksTest, PortsMoveFromOneContainerToAnother) {
  COMPOSE_NETNS(old_netns);
  COMPOSE_NETNS(new_netns);
  Container old{old_netns, "aa"}, fresh{new_netns, "bb"};
  const Network front = ensure(spec("front"));
  attach(old, "web", {front});
  attach(fresh, "webb", {front});
  const auto chosen = publish({publication(old, 8080), publication(old, 0)});
  COMPOSE_ASSERT_OK(chosen);
  const std::uint16_t any = (*chosen)[1].host_port;
  const WhoAmI server{new_netns, "0.0.0.0", 80}, server6{new_netns, "::", 80};
  for (const Family& ip : kFamilies)
    EXPECT_EQ(ask(*outside_, ip.host, 8080, SOCK_STREAM, kShort), "refused") << "the old one does not listen";
  Result<std::vector<Publication>> moved = std::vector<Publication>{};
  host_->run([&] {
    moved = networks_->move_ports(old.id, {publication(fresh, 8080), publication(fresh, 0), publication(fresh, 8082)});
  });
  COMPOSE_ASSERT_OK(moved);
  EXPECT_EQ((*moved)[1].host_port, any) << "a port of any number stays what it was";
  for (const std::uint16_t port : {std::uint16_t{8080}, any, std::uint16_t{8082}})
    for (const Family& ip : kFamilies) EXPECT_EQ(ask(*outside_, ip.host, port), ip.outside) << port;
  EXPECT_FALSE(publish({publication(old, 8080)}).ok());
  const WhoAmI other{old_netns, "0.0.0.0", 80}, other6{old_netns, "::", 80};
  host_->run([&] { moved = networks_->move_ports(fresh.id, {publication(old, 8080)}); });
  COMPOSE_ASSERT_OK(moved);
  for (const Family& ip : kFamilies) {
    EXPECT_EQ(ask(*outside_, ip.host, 8080), ip.outside);
    EXPECT_EQ(ask(*outside_, ip.host, 8082, SOCK_STREAM, kShort), "refused") << "only the other one had it";
  }
}

TEST_F(NetworksTest, WhoWasNotAnsweredGetsToTheNextContainer) {
  COMPOSE_NETNS(old_netns);
  COMPOSE_NETNS(new_netns);
  Container old{old_netns, "aa"}, fresh{new_netns, "bb"};
  const Network front = ensure(spec("front"));
  attach(old, "web", {front});
  attach(fresh, "webb", {front});
  for (const Family& ip : kFamilies) {
    COMPOSE_ASSERT_OK(publish({publication(old, 8080)}));
    // A server whose queue has room for one: who comes after it is not answered and asks again after a second.
    UniqueFd listener, served, waiting;
    old_netns.run([&] {
      const Endpoint where = Endpoint::of(ip.any, 80);
      listener.reset(::socket(where.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
      const int on = 1;  // IPv4's connections at this port are still in TIME_WAIT
      if (!ip.v4) ::setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
      ASSERT_EQ(::bind(listener.get(), where.get(), where.size), 0);
      ASSERT_EQ(::listen(listener.get(), 0), 0);
    });
    pollfd connected{-1, POLLOUT, 0};
    outside_->run([&] {
      const Endpoint where = Endpoint::of(ip.host, 8080);
      served.reset(::socket(where.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
      ASSERT_EQ(::connect(served.get(), where.get(), where.size), 0);
      waiting.reset(::socket(where.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      ASSERT_EQ(::connect(waiting.get(), where.get(), where.size), -1);
      connected.fd = waiting.get();
      ASSERT_EQ(::poll(&connected, 1, kShort), 0) << "there was room for it";
    });
    const WhoAmI server{new_netns, ip.any, 80};
    host_->run([&] { COMPOSE_ASSERT_OK(networks_->move_ports(old.id, {publication(fresh, 8080)})); });
    ASSERT_EQ(::poll(&connected, 1, 20000), 1) << "it still waits for the old one";
    connected.events = POLLIN;
    ASSERT_EQ(::poll(&connected, 1, 20000), 1);
    char buffer[64];
    const ssize_t got = ::recv(waiting.get(), buffer, sizeof buffer, 0);
    EXPECT_EQ(std::string(buffer, got > 0 ? static_cast<std::size_t>(got) : 0), ip.outside);
    // What stands goes on.
    const UniqueFd accepted{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    ASSERT_EQ(::send(accepted.get(), "old", 3, 0), 3);
    EXPECT_EQ(::recv(served.get(), buffer, sizeof buffer, 0), 3);
    host_->run([&] { COMPOSE_ASSERT_OK(networks_->unpublish(std::vector<std::string>{fresh.id})); });
  }
}

TEST_F(NetworksTest, RandomPortsAndRangesAreChosen) {
  COMPOSE_NETNS(web_netns);
  Container web{web_netns, "aa"};
  attach(web, "web", {ensure(spec("front"))});
  const WhoAmI process{*host_, "0.0.0.0", 9000};
  Publication range = publication(web, 9000);
  range.host_port_end = 9005;
  Publication again = range;
  again.container_port = 81;
  const auto chosen = publish({publication(web, 0), range, again});
  COMPOSE_ASSERT_OK(chosen);
  EXPECT_GT((*chosen)[0].host_port, 1023);
  EXPECT_EQ((*chosen)[1].host_port, 9001);
  EXPECT_EQ((*chosen)[2].host_port, 9002);
  for (const Family& ip : kFamilies) {
    const WhoAmI server{web_netns, ip.any, 80};
    EXPECT_EQ(ask(*outside_, ip.host, (*chosen)[0].host_port), ip.outside);
    EXPECT_EQ(ask(*outside_, ip.host, 9001), ip.outside);
  }
}

/// One socket, as a player or a camera uses it: what comes back to the second and later questions shows whether the
/// kernel still remembers the first one's container.
TEST_F(NetworksTest, AUdpClientReachesTheNextContainerWithTheSameSocket) {
  COMPOSE_NETNS(first_netns);
  COMPOSE_NETNS(second_netns);
  Container first{first_netns, "aa"}, second{second_netns, "bb"};
  const Network front = ensure(spec("front"));
  attach(first, "one", {front});
  attach(second, "two", {front});
  for (const Family& ip : kFamilies) {
    const WhoAmI one{first_netns, ip.any, 80, SOCK_DGRAM};
    UniqueFd client;
    outside_->run([&] {
      const Endpoint where = Endpoint::of(ip.host, 5300);
      client.reset(::socket(where.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
      ASSERT_EQ(::connect(client.get(), where.get(), where.size), 0);
    });
    const auto asked = [&](int patience) -> std::string {
      const timeval limit{0, patience * 1000};
      ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      char buffer[64];
      if (::send(client.get(), "?", 1, 0) < 0) return std::strerror(errno);
      const ssize_t got = ::recv(client.get(), buffer, sizeof buffer, 0);
      return got < 0 ? "nothing" : std::string(buffer, static_cast<std::size_t>(got));
    };
    // Asked before anything is published: the kernel remembers that this is the host's own.
    EXPECT_EQ(asked(kShort), "nothing");
    COMPOSE_ASSERT_OK(publish({publication(first, 5300, {}, "udp")}));
    EXPECT_EQ(asked(900), ip.outside);
    host_->run([&] { COMPOSE_ASSERT_OK(networks_->unpublish(std::vector<std::string>{first.id})); });
    const WhoAmI two{second_netns, ip.any, 80, SOCK_DGRAM};
    COMPOSE_ASSERT_OK(publish({publication(second, 5300, {}, "udp")}));
    EXPECT_EQ(asked(900), ip.outside);
    host_->run([&] { COMPOSE_ASSERT_OK(networks_->unpublish(std::vector<std::string>{second.id})); });
  }
}

TEST_F(NetworksTest, SctpPortsLeadToContainers) {
  COMPOSE_NETNS(web_netns);
  const UniqueFd probe{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP)};
  if (!probe.valid()) GTEST_SKIP() << "this kernel has no SCTP sockets: " << std::strerror(errno);
  Container web{web_netns, "aa"};
  attach(web, "web", {ensure(spec("front"))});
  COMPOSE_ASSERT_OK(publish({publication(web, 3868, {}, "sctp")}));
  UniqueFd listener, client;
  web_netns.run([&] {
    const Endpoint where = Endpoint::of("0.0.0.0", 80);
    listener.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP));
    ASSERT_EQ(::bind(listener.get(), where.get(), where.size), 0);
    ASSERT_EQ(::listen(listener.get(), 4), 0);
  });
  outside_->run([&] {
    const Endpoint where = Endpoint::of(kHostAddress, 3868);
    client.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP));
    EXPECT_EQ(::connect(client.get(), where.get(), where.size), 0) << std::strerror(errno);
  });
}

TEST_F(NetworksTest, AMacvlanNetworkPutsContainersOnTheWire) {
  COMPOSE_NETNS(one_netns);
  COMPOSE_NETNS(two_netns);
  Container one{one_netns, "aa"}, two{two_netns, "bb"};
  NetworkSpec wanted = spec("wire", false, false);
  wanted.driver = "macvlan";
  wanted.options["parent"] = "wire";
  // The wire's own subnet: the containers are hosts on it beside ours.
  wanted.pools = {{"203.0.113.0/24", {}, "203.0.113.9", {}}};
  const Network network = ensure(wanted);
  if (::testing::Test::HasFatalFailure()) return;
  attach(one, "one", {network});
  if (::testing::Test::HasFatalFailure()) return;
  attach(two, "two", {network});
  outside_->run(
      [] { COMPOSE_ASSERT_OK(add_addresses("wire", std::vector<Prefix>{Prefix::parse("203.0.113.9/24").value()})); });
  const WhoAmI server{one_netns, "0.0.0.0", 80};
  EXPECT_EQ(ask(*outside_, one.leases[0].ipv4(), 80), "203.0.113.9");
  EXPECT_EQ(ask(two_netns, one.leases[0].ipv4(), 80), two.leases[0].ipv4());
}

TEST_F(NetworksTest, AnIpvlanNetworkPutsContainersOnTheWire) {
  COMPOSE_NETNS(one_netns);
  Container one{one_netns, "aa"};
  NetworkSpec wanted = spec("wire", false, false);
  wanted.driver = "ipvlan";
  wanted.options["parent"] = "wire";
  wanted.pools = {{"203.0.113.0/24", {}, "203.0.113.9", {}}};
  const Network network = ensure(wanted);
  bool exists = true;
  host_->run([&] {
    endpoint::Attachment probe;
    probe.kind = endpoint::Attachment::Kind::ipvlan;
    probe.bridge = "wire";
    probe.interface = "probe0";
    const auto made = endpoint::create_pair_in(probe, one_netns.fd());
    exists = made.ok() || made.error().sys_errno() != EOPNOTSUPP;
  });
  if (!exists) GTEST_SKIP() << "this kernel has no ipvlan devices";
  attach(one, "one", {network});
  outside_->run(
      [] { COMPOSE_ASSERT_OK(add_addresses("wire", std::vector<Prefix>{Prefix::parse("203.0.113.9/24").value()})); });
  const WhoAmI server{one_netns, "0.0.0.0", 80};
  EXPECT_EQ(ask(*outside_, one.leases[0].ipv4(), 80), "203.0.113.9");
}

}  // namespace
}  // namespace compose::net
