#include "net/firewall/ruleset.hpp"

#include <gtest/gtest.h>

#include <map>

#include "net/ports/claims.hpp"

namespace compose::net::firewall {
namespace {

TEST(Ruleset, TheTableAsText) {
  EXPECT_EQ(
      nft::to_text(base_table("compose")),
      "table inet compose {\n"
      "  set bridges { type ifname }\n"
      "  set masquerade { type ifname }\n"
      "  set internal { type ifname }\n"
      "  set same { type ifname . ifname }\n"
      "  map dnat4 { type inet_proto . inet_service : ipv4_addr . inet_service }\n"
      "  map dnat4_at { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service }\n"
      "  map dnat6 { type inet_proto . inet_service : ipv6_addr . inet_service }\n"
      "  set self4 { type ipv4_addr . ipv4_addr }\n"
      "  set self6 { type ipv6_addr . ipv6_addr }\n"
      "  map dnat6_at { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service }\n"
      "  set gated4 { type ifname }\n"
      "  set gated6 { type ifname }\n"
      "  map vip4 { type ifname . ipv4_addr . mark : ipv4_addr }\n"
      "  map vip6 { type ifname . ipv6_addr . mark : ipv6_addr }\n"
      "  set vips4 { type ipv4_addr }\n"
      "  set vips6 { type ipv6_addr }\n"
      "  set held4 { type ipv4_addr }\n"
      "  set held6 { type ipv6_addr }\n"
      "  set vself4 { type ipv4_addr . ipv4_addr }\n"
      "  set vself6 { type ipv6_addr . ipv6_addr }\n"
      "  set refused4 { type ipv4_addr . inet_service . ipv4_addr; flags dynamic; timeout 10000ms }\n"
      "  set refused6 { type ipv6_addr . inet_service . ipv6_addr; flags dynamic; timeout 10000ms }\n"
      "  chain layout-4 {\n"
      "  }\n"
      "  chain raw {\n"
      "    type filter hook 0 priority -300\n"
      "    meta nfproto ipv4 ip daddr 127.0.0.0/8 iifname @bridges drop\n"
      "  }\n"
      "  chain publish {\n"
      "    meta nfproto ipv4 dnat ip to iifname . ip daddr . numgen random mod 120 map @vip4\n"
      "    meta nfproto ipv6 dnat ip6 to iifname . ip6 daddr . numgen random mod 120 map @vip6\n"
      "    meta nfproto ipv4 ip daddr @vips4 return\n"
      "    meta nfproto ipv6 ip6 daddr @vips6 return\n"
      "    meta nfproto ipv4 dnat ip to ip daddr . meta l4proto . th dport map @dnat4_at\n"
      "    meta nfproto ipv4 dnat ip to meta l4proto . th dport map @dnat4\n"
      "    meta nfproto ipv6 ip6 daddr ::1 return\n"
      "    meta nfproto ipv6 dnat ip6 to ip6 daddr . meta l4proto . th dport map @dnat6_at\n"
      "    meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @dnat6\n"
      "  }\n"
      "  chain prerouting {\n"
      "    type nat hook 0 priority -100\n"
      "    meta nfproto ipv4 ip daddr 127.0.0.0/8 return\n"
      "    fib daddr type local jump publish\n"
      "  }\n"
      "  chain output {\n"
      "    type nat hook 3 priority -100\n"
      "    fib daddr type local jump publish\n"
      "  }\n"
      "  chain second-chance {\n"
      "    meta nfproto ipv4 ip daddr . th dport . ct original ip daddr @refused4 return\n"
      "    meta nfproto ipv6 ip6 daddr . th dport . ct original ip6 daddr @refused6 return\n"
      "    meta nfproto ipv4 ct original ip daddr @vips4 meta nfproto ipv4 add @refused4 { ip daddr . th dport . ct "
      "original ip daddr } drop\n"
      "    meta nfproto ipv6 ct original ip6 daddr @vips6 meta nfproto ipv6 add @refused6 { ip6 daddr . th dport . ct "
      "original ip6 daddr } drop\n"
      "  }\n"
      "  chain to-container {\n"
      "    iifname @internal drop\n"
      "    oifname @internal drop\n"
      "    iifname != @bridges meta nfproto ipv4 oifname @gated4 drop\n"
      "    iifname != @bridges meta nfproto ipv6 oifname @gated6 drop\n"
      "    ct status dnat accept\n"
      "    drop\n"
      "  }\n"
      "  chain forward {\n"
      "    type filter hook 2 priority 0\n"
      "    meta l4proto tcp tcp sequence 0 tcp flags & rst != 0 jump second-chance\n"
      "    ct state established,related accept\n"
      "    iifname . oifname @same accept\n"
      "    oifname @bridges jump to-container\n"
      "    iifname @internal drop\n"
      "  }\n"
      "  chain input {\n"
      "    type filter hook 1 priority 0\n"
      "    ct state established,related accept\n"
      "    meta nfproto ipv4 ip daddr @held4 drop\n"
      "    meta nfproto ipv6 ip6 daddr @held6 drop\n"
      "    meta nfproto ipv4 ip daddr @vips4 meta l4proto != { icmp, ipv6-icmp } reject with icmpx port-unreachable\n"
      "    meta nfproto ipv6 ip6 daddr @vips6 meta l4proto != { icmp, ipv6-icmp } reject with icmpx port-unreachable\n"
      "  }\n"
      "  chain postrouting {\n"
      "    type nat hook 4 priority 100\n"
      "    iifname @masquerade oifname != @bridges masquerade\n"
      "    iifname . oifname @same ct status dnat masquerade\n"
      "    ct status dnat meta nfproto ipv4 ip saddr . ip daddr @self4 masquerade\n"
      "    ct status dnat meta nfproto ipv6 ip6 saddr . ip6 daddr @self6 masquerade\n"
      "    ct status dnat meta nfproto ipv4 ip saddr . ip daddr @vself4 masquerade\n"
      "    ct status dnat meta nfproto ipv6 ip6 saddr . ip6 daddr @vself6 masquerade\n"
      "    oifname @bridges meta nfproto ipv4 ip saddr 127.0.0.0/8 masquerade\n"
      "  }\n"
      "}\n");
}

std::string text_of(const std::vector<Entry>& entries) {
  std::string text;
  for (const Entry& entry : entries) text += to_text(entry) + "\n";
  return text;
}

TEST(Ruleset, ANetworksElements) {
  Network network;
  network.bridge = "br-0123456789ab";
  EXPECT_EQ(text_of(network_entries(network, {})),
            "bridges { br-0123456789ab }\n"
            "masquerade { br-0123456789ab }\n"
            "same { br-0123456789ab . br-0123456789ab }\n");
  network.spec.internal = true;
  network.spec.options["com.docker.network.bridge.enable_icc"] = "false";
  EXPECT_EQ(text_of(network_entries(network, {})), "bridges { br-0123456789ab }\ninternal { br-0123456789ab }\n");
}

TEST(Ruleset, AnInputChainThatDropsClosesPortsUnlessTheNetworkIsOpen) {
  Network network;
  network.bridge = "br-0";
  const auto gates = [&](const InputPolicy& policy) {
    std::string text;
    for (const Entry& entry : network_entries(network, policy))
      if (entry.set.starts_with("gated")) text += to_text(entry) + "\n";
    return text;
  };
  EXPECT_EQ(gates({.drops4 = true}), "gated4 { br-0 }\n");
  EXPECT_EQ(gates({.drops4 = true, .drops6 = true}), "gated4 { br-0 }\ngated6 { br-0 }\n");
  network.spec.options[kFirewallOption] = "open";
  EXPECT_EQ(gates({.drops4 = true, .drops6 = true}), "");
}

TEST(Ruleset, AVirtualAddressHasItsSlotsSharedEvenly) {
  Spread spread;
  spread.bridge = "br-0";
  spread.address4 = "10.0.0.9";
  spread.targets4 = {"10.0.0.2", "10.0.0.3", "10.0.0.4"};
  const auto entries = spread_entries(spread);
  ASSERT_TRUE(entries.ok());
  std::map<std::string, int> shares;
  for (const Entry& entry : *entries) {
    const std::string text = to_text(entry);
    if (entry.set == "vip4") ++shares[text.substr(text.find(" : "))];
  }
  EXPECT_EQ(to_text((*entries)[0]), "vips4 { 10.0.0.9 }");
  EXPECT_EQ(to_text((*entries)[1]), "vself4 { 10.0.0.2 . 10.0.0.2 }");
  EXPECT_EQ(to_text((*entries)[4]), "vip4 { br-0 . 10.0.0.9 . 0 : 10.0.0.2 }");
  EXPECT_EQ(shares.size(), 3U);
  for (const auto& [target, slots] : shares) EXPECT_EQ(slots, 40) << target;
  spread.targets4.clear();
  EXPECT_EQ(spread_entries(spread)->size(), 1U);
}

std::string port_text(const std::string& host_ip, std::uint16_t port, const std::string& protocol,
                      const std::string& ip6 = {}) {
  Publication publication;
  publication.host_ip = host_ip;
  publication.host_port = port;
  publication.protocol = protocol;
  publication.container_ip = "172.18.0.2";
  publication.container_ip6 = ip6;
  publication.container_port = 80;
  const auto read = read_port(publication);
  if (!read.ok()) return read.error().message();
  std::vector<Entry> entries = port_entries(*read);
  std::erase_if(entries, [](const Entry& entry) { return entry.set.starts_with("self"); });
  return text_of(entries);
}

TEST(Ruleset, APortsElements) {
  EXPECT_EQ(port_text("", 8080, "tcp"), "dnat4 { tcp . 8080 : 172.18.0.2 . 80 }\n");
  EXPECT_EQ(port_text("0.0.0.0", 53, "udp", "fd00::2"), "dnat4 { udp . 53 : 172.18.0.2 . 80 }\n");
  EXPECT_EQ(port_text("", 53, "sctp", "fd00::2"),
            "dnat4 { sctp . 53 : 172.18.0.2 . 80 }\ndnat6 { sctp . 53 : fd00::2 . 80 }\n");
  EXPECT_EQ(port_text("127.0.0.1", 8080, ""), "dnat4_at { 127.0.0.1 . tcp . 8080 : 172.18.0.2 . 80 }\n");
  EXPECT_EQ(port_text("::", 8080, "tcp", "fd00::2"), "dnat6 { tcp . 8080 : fd00::2 . 80 }\n");
  EXPECT_EQ(port_text("fd01::9", 8080, "tcp", "fd00::2"), "dnat6_at { fd01::9 . tcp . 8080 : fd00::2 . 80 }\n");
  EXPECT_EQ(port_text("", 1, "icmp"), "\"icmp\" is no protocol of a published port (tcp, udp, sctp)");
  EXPECT_EQ(port_text("localhost", 1, "tcp"), "\"localhost\" is not an IP address");
}

Port port(const std::string& host_ip, std::uint16_t number, const std::string& protocol = "tcp") {
  Publication publication;
  publication.host_ip = host_ip;
  publication.host_port = number;
  publication.protocol = protocol;
  publication.container_ip = "172.18.0.2";
  return read_port(publication).value();
}

TEST(Ports, CollideOnTheSameAddressOnly) {
  EXPECT_TRUE(ports::collide(port("", 80), port("", 80)));
  EXPECT_TRUE(ports::collide(port("", 80), port("127.0.0.1", 80)));
  EXPECT_TRUE(ports::collide(port("", 80), port("::1", 80)));
  EXPECT_FALSE(ports::collide(port("", 80), port("", 81)));
  EXPECT_FALSE(ports::collide(port("", 80), port("", 80, "udp")));
  EXPECT_FALSE(ports::collide(port("127.0.0.1", 80), port("127.0.0.2", 80)));
  EXPECT_FALSE(ports::collide(port("0.0.0.0", 80), port("::", 80)));
  EXPECT_EQ(ports::to_text(port("::1", 80)), "[::1]:80/tcp");
}

}  // namespace
}  // namespace compose::net::firewall
