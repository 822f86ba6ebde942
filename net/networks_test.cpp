// The facade on the real kernel: a host, the world outside and containers, each a network namespace.
#include "net/networks.hpp"

#include <gmock/gmock.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "net/bridge/links.hpp"
#include "net/endpoint/netlink.hpp"
#include "net/endpoint/nftables.hpp"
#include "net/testing/netns.hpp"
#include "net/testing/traffic.hpp"
#include "sys/file.hpp"

namespace compose::net {
namespace {

using testing::ask;
using testing::Netns;
using testing::WhoAmI;

constexpr std::uint32_t kForwardHook = 2;  // NF_INET_FORWARD, whose header does not mix with netinet/in.h
constexpr int kShort = 250;                // milliseconds to wait where no answer is expected
constexpr const char* kHostAddress = "198.51.100.1";
constexpr const char* kHostAddress6 = "2001:db8::1";
constexpr const char* kOutsideAddress = "198.51.100.2";
constexpr const char* kOutsideAddress6 = "2001:db8::2";

/// A directory that goes with the test.
class TempDirectory {
 public:
  TempDirectory() {
    char name[] = "/tmp/net-test-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TempDirectory() { (void)sys::remove_tree(path_).ok(); }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

endpoint::Attachment plain(const std::string& interface, std::vector<std::string> addresses) {
  endpoint::Attachment attachment;
  attachment.interface = interface;
  attachment.addresses = std::move(addresses);
  return attachment;
}

void add_route(const std::string& destination, const std::string& gateway) {
  auto socket = netlink::Socket::open(NETLINK_ROUTE);
  COMPOSE_ASSERT_OK(socket);
  const Prefix prefix = Prefix::parse(destination).value();
  const IpAddress via = IpAddress::parse(gateway).value();
  const auto view = [](const IpAddress& address) {
    return std::string_view{reinterpret_cast<const char*>(address.bytes().data()), address.bytes().size()};
  };
  netlink::Batch batch;
  batch.message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, "route");
  rtmsg head{};
  head.rtm_family = via.is_v4() ? AF_INET : AF_INET6;
  head.rtm_dst_len = static_cast<std::uint8_t>(prefix.length);
  head.rtm_table = RT_TABLE_MAIN;
  head.rtm_protocol = RTPROT_BOOT;
  head.rtm_type = RTN_UNICAST;
  batch.header(head);
  batch.attribute(RTA_DST, view(prefix.address));
  batch.attribute(RTA_GATEWAY, view(via));
  COMPOSE_ASSERT_OK(socket->execute(batch));
}

/// A veth pair between two namespaces, "wire" in both.
void connect(const Netns& one, const Netns& other) {
  one.run([&] {
    auto socket = netlink::Socket::open(NETLINK_ROUTE);
    COMPOSE_ASSERT_OK(socket);
    netlink::Batch batch;
    batch.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "veth");
    batch.header(ifinfomsg{});
    batch.text(IFLA_IFNAME, "wire");
    const auto info = batch.nest(IFLA_LINKINFO);
    batch.text(IFLA_INFO_KIND, "veth");
    const auto data = batch.nest(IFLA_INFO_DATA);
    const auto peer = batch.nest(VETH_INFO_PEER);
    batch.header(ifinfomsg{});
    batch.text(IFLA_IFNAME, "wire");
    batch.u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(other.fd()));
    batch.end(peer);
    batch.end(data);
    batch.end(info);
    COMPOSE_ASSERT_OK(socket->execute(batch));
  });
}

/// A container as the supervisor and the monitor would make it.
struct Container {
  Container(const Netns& where, std::string id_digits) : netns{where}, id{std::move(id_digits)} { id.resize(64, '0'); }
  const Netns& netns;
  std::string id;
  std::vector<Lease> leases;
  std::vector<Network> networks;
};

class NetworksTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto host = Netns::create();
    if (!host.ok()) GTEST_SKIP() << "needs root: " << host.error().message();
    host_ = std::make_unique<Netns>(std::move(*host));
    outside_ = std::make_unique<Netns>(std::move(Netns::create()).value());
    connect(*host_, *outside_);
    host_->run([] {
      const endpoint::Attachment list[] = {
          plain("wire", {std::string{kHostAddress} + "/24", std::string{kHostAddress6} + "/64"})};
      COMPOSE_ASSERT_OK(endpoint::configure(list));
    });
    outside_->run([] {
      const endpoint::Attachment list[] = {
          plain("wire", {std::string{kOutsideAddress} + "/24", std::string{kOutsideAddress6} + "/64"})};
      COMPOSE_ASSERT_OK(endpoint::configure(list));
    });
    networks_ = std::make_unique<Networks>(state_.path(), run_.path());
  }

  static NetworkSpec spec(const std::string& name, bool internal = false, bool ipv6 = true) {
    NetworkSpec made;
    made.project = "shop";
    made.key = name;
    made.name = "shop_" + name;
    made.internal = internal;
    made.enable_ipv6 = ipv6;
    return made;
  }

  Network ensure(const NetworkSpec& wanted) {
    Network made;
    host_->run([&] {
      auto network = networks_->ensure(wanted);
      COMPOSE_ASSERT_OK(network);
      made = std::move(*network);
    });
    return made;
  }

  /// Puts the container on the networks; the first has the default route.
  void attach(Container& container, const std::string& service, const std::vector<Network>& networks) {
    std::vector<endpoint::Attachment> attachments;
    host_->run([&] {
      for (const Network& network : networks) {
        auto lease = networks_->lease({network.spec.name, "shop/" + service + "/1", container.id, {}, {}, {}});
        COMPOSE_ASSERT_OK(lease);
        auto attachment = networks_->attachment(network, *lease, container.id,
                                                static_cast<unsigned>(attachments.size()), attachments.empty());
        COMPOSE_ASSERT_OK(attachment);
        COMPOSE_ASSERT_OK(endpoint::create_pair_in(*attachment, container.netns.fd()));
        attachments.push_back(std::move(*attachment));
        container.leases.push_back(std::move(*lease));
        container.networks.push_back(network);
      }
    });
    container.netns.run([&] { COMPOSE_ASSERT_OK(endpoint::configure(attachments)); });
    host_->run([&] {
      for (const auto& attachment : attachments) COMPOSE_ASSERT_OK(endpoint::open_port(attachment));
    });
  }

  static Publication publication(const Container& container, std::uint16_t host_port, const std::string& host_ip = {},
                                 const std::string& protocol = "tcp") {
    Publication made;
    made.project = "shop";
    made.container_id = container.id;
    made.label = "service \"web\"";
    made.host_ip = host_ip;
    made.host_port = host_port;
    made.protocol = protocol;
    made.container_ip = container.leases[0].ipv4();
    made.container_ip6 = container.leases[0].ipv6();
    made.container_port = 80;
    made.bridge = container.networks[0].bridge;
    return made;
  }

  Result<std::vector<Publication>> publish(std::vector<Publication> list) {
    Result<std::vector<Publication>> outcome = std::vector<Publication>{};
    host_->run([&] { outcome = networks_->publish(std::move(list)); });
    return outcome;
  }

  TempDirectory state_, run_;
  std::unique_ptr<Netns> host_, outside_;
  std::unique_ptr<Networks> networks_;
};

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
    // From outside, with the client's address kept.
    EXPECT_EQ(ask(*outside_, kHostAddress, 8080, type), kOutsideAddress);
    EXPECT_EQ(ask(*outside_, kHostAddress6, 8080, type), kOutsideAddress6);
    // From the host by any of its addresses and by the loopback (never seen as 127.0.0.1 inside).
    EXPECT_EQ(ask(*host_, kHostAddress, 8080, type), kHostAddress);
    EXPECT_EQ(ask(*host_, kHostAddress6, 8080, type), kHostAddress6);
    EXPECT_EQ(ask(*host_, "127.0.0.1", 8080, type), front.subnets[0].gateway);
    EXPECT_EQ(ask(*host_, front.subnets[0].gateway, 8080, type), front.subnets[0].gateway);
    // From containers through the host: the same network (hairpin), the container itself, another network.
    EXPECT_EQ(ask(other_netns, kHostAddress, 8080, type), bridged ? other.leases[0].ipv4() : front.subnets[0].gateway);
    EXPECT_EQ(ask(other_netns, kHostAddress6, 8080, type), bridged ? other.leases[0].ipv6() : front.subnets[1].gateway);
    EXPECT_EQ(ask(web_netns, kHostAddress, 8080, type), front.subnets[0].gateway);
    EXPECT_EQ(ask(far_netns, kHostAddress, 8080, type), far.leases[0].ipv4());
    // And directly.
    EXPECT_EQ(ask(other_netns, web.leases[0].ipv4(), 80, type), other.leases[0].ipv4());
    EXPECT_EQ(ask(other_netns, web.leases[0].ipv6(), 80, type), other.leases[0].ipv6());
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
  const WhoAmI server{web_netns, "0.0.0.0", 80}, server6{web_netns, "::", 80};
  outside_->run([&] {
    add_route(web.networks[0].subnets[0].cidr, kHostAddress);
    add_route(web.networks[0].subnets[1].cidr, kHostAddress6);
  });
  EXPECT_EQ(ask(*outside_, web.leases[0].ipv4(), 80, SOCK_STREAM, kShort), "timeout");
  EXPECT_EQ(ask(*outside_, web.leases[0].ipv6(), 80, SOCK_STREAM, kShort), "timeout");
  EXPECT_EQ(ask(*host_, web.leases[0].ipv4(), 80), web.networks[0].subnets[0].gateway);
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
  const WhoAmI server{back_netns, "0.0.0.0", 80}, world{*outside_, "0.0.0.0", 80}, world6{*outside_, "::", 80},
      peer{inner2_netns, "0.0.0.0", 80};
  EXPECT_EQ(ask(front_netns, back.leases[0].ipv4(), 80, SOCK_STREAM, kShort), "timeout");
  EXPECT_EQ(ask(front_netns, kOutsideAddress, 80), kHostAddress);  // masqueraded
  EXPECT_EQ(ask(front_netns, kOutsideAddress6, 80), kHostAddress6);
  EXPECT_EQ(ask(inner_netns, inner2.leases[0].ipv4(), 80), inner.leases[0].ipv4());
  // Even with a route of its own making an internal network's container gets nowhere.
  inner_netns.run([&] { add_route("0.0.0.0/0", internal.subnets[0].gateway); });
  EXPECT_EQ(ask(inner_netns, kOutsideAddress, 80, SOCK_STREAM, kShort), "timeout");
  EXPECT_EQ(ask(inner_netns, back.leases[0].ipv4(), 80, SOCK_STREAM, kShort), "timeout");
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
  const WhoAmI server{web_netns, "0.0.0.0", 80};
  EXPECT_EQ(ask(*outside_, kHostAddress, (*chosen)[0].host_port), kOutsideAddress);
  EXPECT_EQ(ask(*outside_, kHostAddress, 9001), kOutsideAddress);
}

TEST_F(NetworksTest, PortsComeBackAfterTheRulesetWasFlushedAndTheSupervisorReplaced) {
  COMPOSE_NETNS(web_netns);
  Container web{web_netns, "aa"};
  const Network front = ensure(spec("front"));
  attach(web, "web", {front});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080)}));
  const WhoAmI server{web_netns, "0.0.0.0", 80};
  host_->run([&] {
    auto socket = netlink::Socket::open(NETLINK_NETFILTER);
    nft::Transaction flush;
    const auto chains = nft::base_chains(*socket);
    for (const auto& chain : *chains) flush.remove_table(chain.family, chain.table);
    COMPOSE_ASSERT_OK(flush.commit(*socket));
  });
  EXPECT_EQ(ask(*outside_, kHostAddress, 8080), "refused");
  networks_ = std::make_unique<Networks>(state_.path(), run_.path());
  EXPECT_EQ(ensure(spec("front")).id, front.id);
  EXPECT_EQ(ask(*outside_, kHostAddress, 8080), kOutsideAddress);
  COMPOSE_EXPECT_OK(publish({publication(web, 8080)}));
  EXPECT_EQ(ask(*outside_, kHostAddress, 8080), kOutsideAddress);
}

TEST_F(NetworksTest, NothingIsLeftAfterTheLastNetwork) {
  COMPOSE_NETNS(web_netns);
  Container web{web_netns, "aa"};
  std::vector<std::string> before;
  host_->run([&] {
    const auto links = list_links();
    for (const Link& link : *links) before.push_back(link.name);
    COMPOSE_ASSERT_OK(write_net_sysctl("ipv4/ip_forward", "0"));  // a namespace begins with the machine's setting
    COMPOSE_ASSERT_OK(write_net_sysctl("ipv6/conf/all/forwarding", "0"));
  });
  const Network front = ensure(spec("front")), back = ensure(spec("back"));
  attach(web, "web", {front, back});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080)}));
  host_->run([&] {
    EXPECT_EQ(read_net_sysctl("ipv4/ip_forward"), "1");
    const auto busy = networks_->remove("shop_front");
    ASSERT_FALSE(busy.ok());
    EXPECT_EQ(busy.error().message(), "network \"shop_front\" is in use by shop/web/1");
    const std::string ids[] = {web.id};
    COMPOSE_ASSERT_OK(networks_->unpublish(ids));
    COMPOSE_ASSERT_OK(networks_->release("shop"));
    const std::string names[] = {"shop_front", "shop_back"};
    COMPOSE_ASSERT_OK(networks_->remove_all(names));  // the container still exists: its interfaces go too
    std::vector<std::string> after;
    const auto links = list_links();
    for (const Link& link : *links) after.push_back(link.name);
    EXPECT_EQ(after, before);
    EXPECT_EQ(read_net_sysctl("ipv4/ip_forward"), "0");
    EXPECT_EQ(read_net_sysctl("ipv6/conf/all/forwarding"), "0");
    auto socket = netlink::Socket::open(NETLINK_NETFILTER);
    EXPECT_TRUE(nft::base_chains(*socket)->empty());
    const auto routes = list_routes();
    for (const Route& route : *routes) EXPECT_EQ(route.interface, "wire");
  });
  EXPECT_TRUE(sys::list_directory(state_.path() + "/networks")->empty());
  EXPECT_TRUE(sys::list_directory(run_.path())->empty());
}

TEST_F(NetworksTest, SeveralSupervisorsAtOnceDoNotGetInEachOthersWay) {
  constexpr int kProjects = 8, kContainers = 10;
  std::vector<std::thread> supervisors;
  std::atomic<int> failures = 0;
  for (int project = 0; project < kProjects; ++project)
    supervisors.emplace_back([&, project] {
      if (::setns(host_->fd(), CLONE_NEWNET) != 0) return;
      Networks networks{state_.path(), run_.path()};
      const std::string name = "p" + std::to_string(project);
      NetworkSpec wanted = spec(name, false, false);
      wanted.project = name;
      if (!networks.ensure(wanted).ok()) ++failures;
      for (int i = 0; i < kContainers; ++i) {
        const std::string id = std::string(1, static_cast<char>('a' + project)) + std::to_string(i) + "0123456789";
        const auto lease = networks.lease({wanted.name, name + "/s/" + std::to_string(i), id, {}, {}, {}});
        Publication port;
        port.project = name;
        port.container_id = id;
        port.container_ip = lease.ok() ? lease->ipv4() : "";
        port.container_port = 80;
        const auto published = networks.publish({port, port});
        if (!published.ok()) ++failures;
      }
      if (!networks.sweep(name, {}).ok() || !networks.release(name).ok() || !networks.remove(wanted.name).ok())
        ++failures;
    });
  for (std::thread& supervisor : supervisors) supervisor.join();
  EXPECT_EQ(failures, 0);
  host_->run([&] {
    EXPECT_TRUE(networks_->list()->empty());
    auto socket = netlink::Socket::open(NETLINK_NETFILTER);
    EXPECT_TRUE(nft::base_chains(*socket)->empty());
  });
}

TEST_F(NetworksTest, FiftyNetworksAndTwoHundredContainersComeAndGo) {
  constexpr int kNetworks = 50, kContainers = 200;
  const auto now = [] { return std::chrono::steady_clock::now(); };
  const auto since = [&](auto start) { return std::chrono::duration<double, std::milli>(now() - start).count(); };
  host_->run([&] {
    auto start = now();
    std::vector<std::string> names;
    for (int i = 0; i < kNetworks; ++i) {
      const auto made = networks_->ensure(spec("n" + std::to_string(i), false, false));
      COMPOSE_ASSERT_OK(made);
      names.push_back(made->spec.name);
    }
    printf("%d networks: %.2f ms each\n", kNetworks, since(start) / kNetworks);
    const Network first = networks_->find(names[0])->value();
    std::vector<Netns> containers;
    std::vector<LeaseRequest> requests;
    std::vector<Publication> ports;
    std::vector<std::string> ids;
    for (int i = 0; i < kContainers; ++i) {
      containers.push_back(std::move(Netns::create()).value());
      ids.push_back(fmt::format("{:04d}", i) + std::string(60, '7'));
      requests.push_back({names[0], "shop/s/" + std::to_string(i), ids.back(), {}, {}, {}});
    }
    start = now();
    const auto leases = networks_->lease_all(requests);
    COMPOSE_ASSERT_OK(leases);
    printf("%d leases: %.2f ms in all\n", kContainers, since(start));
    double early = 0, late = 0;
    for (std::size_t i = 0; i < kContainers; ++i) {
      const auto attachment = networks_->attachment(first, (*leases)[i], ids[i], 0, true);
      start = now();
      COMPOSE_ASSERT_OK(endpoint::create_pair_in(*attachment, containers[i].fd()));
      (i < kContainers / 2 ? early : late) += since(start);
      Publication port;
      port.project = "shop";
      port.container_id = ids[i];
      port.container_ip = (*leases)[i].ipv4();
      port.container_port = 80;
      port.host_port = static_cast<std::uint16_t>(20000 + i);
      ports.push_back(port);
    }
    printf("interfaces: first half %.2f ms each, second half %.2f ms each\n", early * 2 / kContainers,
           late * 2 / kContainers);
    start = now();
    COMPOSE_ASSERT_OK(networks_->publish(ports));
    printf("%d ports: %.2f ms in all\n", kContainers, since(start));
    start = now();
    COMPOSE_ASSERT_OK(networks_->unpublish(ids));
    COMPOSE_ASSERT_OK(networks_->release("shop"));
    COMPOSE_ASSERT_OK(networks_->remove_all(names));
    printf("all removed: %.2f ms\n", since(start));
    EXPECT_EQ(list_links()->size(), 2U);  // lo and the wire
  });
}

TEST_F(NetworksTest, SweepRemovesWhatNoContainerOwns) {
  COMPOSE_NETNS(web_netns);
  COMPOSE_NETNS(gone_netns);
  Container web{web_netns, "aa"}, gone{gone_netns, "bb"};
  const Network front = ensure(spec("front"));
  attach(web, "web", {front});
  attach(gone, "gone", {front});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080), publication(gone, 8081)}));
  host_->run([&] {
    const std::string live[] = {web.id};
    COMPOSE_ASSERT_OK(networks_->sweep("shop", live));
    const auto left = networks_->publications();
    ASSERT_EQ(left->size(), 1U);
    EXPECT_EQ((*left)[0].container_id, web.id);
    EXPECT_NE(::if_nametoindex(host_interface_name(web.id, 0).c_str()), 0U);
    EXPECT_EQ(::if_nametoindex(host_interface_name(gone.id, 0).c_str()), 0U);
  });
}

/// A firewall of the host's own with one base chain.
void add_firewall(nft::Family family, const std::string& table, const std::string& chain, std::uint32_t hook,
                  std::vector<nft::Chain> more = {}, std::vector<nft::Rule> rules = {}) {
  nft::Table made;
  made.family = family;
  made.name = table;
  made.chains = std::move(more);
  made.chains.push_back({chain, nft::Hook{"filter", hook, 0, true}, std::move(rules)});
  auto socket = netlink::Socket::open(NETLINK_NETFILTER);
  nft::Transaction transaction;
  transaction.add_table(made);
  COMPOSE_ASSERT_OK(transaction.commit(*socket));
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
