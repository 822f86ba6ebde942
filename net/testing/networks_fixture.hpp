#pragma once
// The facade on the real kernel: a host, the world outside and containers, each a network namespace.

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
#include "net/networks.hpp"
#include "net/testing/netns.hpp"
#include "net/testing/traffic.hpp"
#include "sys/file.hpp"

namespace compose::net::testing {

inline constexpr std::uint32_t kInputHook = 1;    // NF_INET_LOCAL_IN
inline constexpr std::uint32_t kForwardHook = 2;  // NF_INET_FORWARD, whose header does not mix with netinet/in.h
inline constexpr int kShort = 250;                // milliseconds to wait where no answer is expected
inline constexpr const char* kHostAddress = "198.51.100.1";
inline constexpr const char* kHostAddress6 = "2001:db8::1";
inline constexpr const char* kOutsideAddress = "198.51.100.2";
inline constexpr const char* kOutsideAddress6 = "2001:db8::2";

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

inline endpoint::Attachment plain(const std::string& interface, std::vector<std::string> addresses) {
  endpoint::Attachment attachment;
  attachment.interface = interface;
  attachment.addresses = std::move(addresses);
  return attachment;
}

inline void add_route(const std::string& destination, const std::string& gateway) {
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
inline void connect(const Netns& one, const Netns& other) {
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

/// What is the same in both families but for the digits.
struct Family {
  bool v4;
  const char *any, *all, *host, *outside;
  std::size_t subnet;  // its place in a network that has both
  nft::Family nft;
};
inline constexpr Family kFamilies[] = {
    {true, "0.0.0.0", "0.0.0.0/0", kHostAddress, kOutsideAddress, 0, nft::Family::ip},
    {false, "::", "::/0", kHostAddress6, kOutsideAddress6, 1, nft::Family::ip6}};

/// A container as the supervisor and the monitor would make it.
struct Container {
  Container(const Netns& where, std::string id_digits) : netns{where}, id{std::move(id_digits)} { id.resize(64, '0'); }
  std::string address(const Family& family) const { return family.v4 ? leases[0].ipv4() : leases[0].ipv6(); }
  std::string gateway(const Family& family) const { return networks[0].subnets[family.subnet].gateway; }
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

/// A firewall of the host's own with one base chain.
inline void add_firewall(nft::Family family, const std::string& table, const std::string& chain, std::uint32_t hook,
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

inline void remove_firewall(nft::Family family, const std::string& table) {
  auto socket = netlink::Socket::open(NETLINK_NETFILTER);
  nft::Transaction transaction;
  transaction.remove_table(family, table);
  COMPOSE_ASSERT_OK(transaction.commit(*socket));
}

}  // namespace compose::net::testing
