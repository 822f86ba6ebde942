#include "net/firewall/ruleset.hpp"

#include <linux/netfilter.h>

#include <algorithm>
#include <cstring>

#include "base/sha256.hpp"

namespace compose::net::firewall {

namespace {

using nft::Rule;
using nft::Type;

constexpr std::int32_t kRaw = -300, kDestinationNat = -100, kFilter = 0, kSourceNat = 100;
constexpr std::uint8_t kTcp = 6, kUdp = 17, kSctp = 132;
constexpr std::uint32_t kRefusalMemory = 10'000;  // milliseconds: TCP asks again after one second, and after three

std::string_view address_bytes(const IpAddress& address) {
  return {reinterpret_cast<const char*>(address.bytes().data()), address.bytes().size()};
}

std::vector<nft::Set> sets() {
  return {
      {"bridges", {Type::ifname}, {}},             // every network of ours
      {"masquerade", {Type::ifname}, {}},          // those whose traffic to the outside gets the host's address
      {"internal", {Type::ifname}, {}},            // those that reach nothing outside
      {"same", {Type::ifname, Type::ifname}, {}},  // {b, b}: traffic inside one network
      {"dnat4", {Type::inet_proto, Type::inet_service}, {Type::ipv4_addr, Type::inet_service}},
      {"dnat4_at", {Type::ipv4_addr, Type::inet_proto, Type::inet_service}, {Type::ipv4_addr, Type::inet_service}},
      {"dnat6", {Type::inet_proto, Type::inet_service}, {Type::ipv6_addr, Type::inet_service}},
      // {c, c} of every container with a port: its connection to that port of its own, when br_netfilter shows it.
      {"self4", {Type::ipv4_addr, Type::ipv4_addr}, {}},
      {"self6", {Type::ipv6_addr, Type::ipv6_addr}, {}},
      {"dnat6_at", {Type::ipv6_addr, Type::inet_proto, Type::inet_service}, {Type::ipv6_addr, Type::inet_service}},
      {"gated4", {Type::ifname}, {}},  // networks whose ports are closed to the outside: the host's input chain drops
      {"gated6", {Type::ifname}, {}},
      {"vip4", {Type::ifname, Type::ipv4_addr, Type::mark}, {Type::ipv4_addr}},  // virtual address, slot: a replica
      {"vip6", {Type::ifname, Type::ipv6_addr, Type::mark}, {Type::ipv6_addr}},
      {"vips4", {Type::ipv4_addr}, {}},
      {"vips6", {Type::ipv6_addr}, {}},
      {"held4", {Type::ipv4_addr}, {}},  // virtual addresses whose only replica is just being replaced
      {"held6", {Type::ipv6_addr}, {}},
      // As self4, for replicas that ask their own service.
      {"vself4", {Type::ipv4_addr, Type::ipv4_addr}, {}},
      {"vself6", {Type::ipv6_addr, Type::ipv6_addr}, {}},
      // Clients (address, port) of a virtual address that have been refused once.
      {"refused4", {Type::ipv4_addr, Type::inet_service, Type::ipv4_addr}, {}, kRefusalMemory},
      {"refused6", {Type::ipv6_addr, Type::inet_service, Type::ipv6_addr}, {}, kRefusalMemory},
  };
}

/// No container may talk to the loopback of the host, which route_localnet on the bridge would allow.
nft::Chain raw_chain() {
  return {"raw",
          nft::Hook{"filter", NF_INET_PRE_ROUTING, kRaw},
          {Rule{}.ipv4().loopback4_destination().iifname_in("bridges").drop()}};
}

std::vector<nft::Chain> publish_chains() {
  const std::string_view loopback6{"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16};
  return {
      {"publish",
       std::nullopt,
       {Rule{}.ipv4().dnat_spread(nft::Family::ip, "vip4", kSlots),
        Rule{}.ipv6().dnat_spread(nft::Family::ip6, "vip6", kSlots),
        // A virtual address without a replica is nobody's: neither the host's nor that of a published port.
        Rule{}.destination_in(nft::Family::ip, "vips4").go_back(),
        Rule{}.destination_in(nft::Family::ip6, "vips6").go_back(),
        Rule{}.ipv4().dnat_by(nft::Family::ip, "dnat4_at", true),
        Rule{}.ipv4().dnat_by(nft::Family::ip, "dnat4", false),
        // The kernel routes no ::1 off the loopback, so translating it would only lose the packet.
        Rule{}.ipv6().ip6_destination(loopback6, "::1").go_back(),
        Rule{}.ipv6().dnat_by(nft::Family::ip6, "dnat6_at", true),
        Rule{}.ipv6().dnat_by(nft::Family::ip6, "dnat6", false)}},
      {"prerouting",
       nft::Hook{"nat", NF_INET_PRE_ROUTING, kDestinationNat},
       {Rule{}.ipv4().loopback4_destination().go_back(), Rule{}.daddr_type_local().jump("publish")}},
      {"output", nft::Hook{"nat", NF_INET_LOCAL_OUT, kDestinationNat}, {Rule{}.daddr_type_local().jump("publish")}},
  };
}

/// A replica that is just ending refuses connections until it has left the map. The first refusal is not passed on (the
/// kernel has forgotten the connection with it): TCP asks again after a second, and that goes to a replica that is
/// there. When that is refused as well, nobody listens, and the client is to know.
nft::Chain second_chance_chain() {
  return {"second-chance",
          std::nullopt,
          {Rule{}.asking_client_in(nft::Family::ip, "refused4", false).go_back(),
           Rule{}.asking_client_in(nft::Family::ip6, "refused6", false).go_back(),
           Rule{}
               .original_destination_in(nft::Family::ip, "vips4")
               .asking_client_in(nft::Family::ip, "refused4", true)
               .drop(),
           Rule{}
               .original_destination_in(nft::Family::ip6, "vips6")
               .asking_client_in(nft::Family::ip6, "refused6", true)
               .drop()}};
}

std::vector<nft::Chain> forward_chains() {
  return {
      second_chance_chain(),
      {"to-container",
       std::nullopt,
       {Rule{}.iifname_in("internal").drop(), Rule{}.oifname_in("internal").drop(),
        Rule{}.iifname_not_in("bridges").ipv4().oifname_in("gated4").drop(),
        Rule{}.iifname_not_in("bridges").ipv6().oifname_in("gated6").drop(), Rule{}.ct_status_dnat().accept(),
        Rule{}.drop()}},
      {"forward",
       nft::Hook{"filter", NF_INET_FORWARD, kFilter},
       // What nearly every packet is comes first.
       {Rule{}.tcp_refusal().jump("second-chance"), Rule{}.ct_state_established().accept(),
        Rule{}.interfaces_in("same").accept(), Rule{}.oifname_in("bridges").jump("to-container"),
        Rule{}.iifname_in("internal").drop()}},
  };
}

/// What was sent to a virtual address and not to a replica of it.
nft::Chain input_chain() {
  return {
      "input",
      nft::Hook{"filter", NF_INET_LOCAL_IN, kFilter},
      {Rule{}.ct_state_established().accept(),
       // TCP asks again after a second: by then the next container is there, and nobody has seen an error.
       Rule{}.destination_in(nft::Family::ip, "held4").drop(), Rule{}.destination_in(nft::Family::ip6, "held6").drop(),
       Rule{}.destination_in(nft::Family::ip, "vips4").refuse(),
       Rule{}.destination_in(nft::Family::ip6, "vips6").refuse()}};
}

nft::Chain postrouting_chain() {
  return {"postrouting",
          nft::Hook{"nat", NF_INET_POST_ROUTING, kSourceNat},
          {Rule{}.iifname_in("masquerade").oifname_not_in("bridges").masquerade(),
           // Back to the network it came from: the answer would go past us and not be recognised.
           Rule{}.interfaces_in("same").ct_status_dnat().masquerade(),
           Rule{}.ct_status_dnat().addresses_in(nft::Family::ip, "self4").masquerade(),
           Rule{}.ct_status_dnat().addresses_in(nft::Family::ip6, "self6").masquerade(),
           Rule{}.ct_status_dnat().addresses_in(nft::Family::ip, "vself4").masquerade(),
           Rule{}.ct_status_dnat().addresses_in(nft::Family::ip6, "vself6").masquerade(),
           // From the host's loopback: an address the container can answer to (and not 127.0.0.1, CVE-2021-20199).
           Rule{}.oifname_in("bridges").ipv4().loopback4_source().masquerade()}};
}

}  // namespace

std::string table_name(const std::string& state_root) {
  if (state_root == "/var/lib/compose") return "compose";
  return "compose-" + sha256_hex(state_root).substr(0, 8);
}

nft::Table base_table(const std::string& name) {
  nft::Table table;
  table.name = name;
  table.sets = sets();
  table.chains.push_back({kLayoutChain, std::nullopt, {}});
  table.chains.push_back(raw_chain());
  for (auto& chain : publish_chains()) table.chains.push_back(std::move(chain));
  for (auto& chain : forward_chains()) table.chains.push_back(std::move(chain));
  table.chains.push_back(input_chain());
  table.chains.push_back(postrouting_chain());
  return table;
}

namespace {
bool option_is(const Network& network, const std::string& name, const std::string& value) {
  const auto found = network.spec.options.find(name);
  return found != network.spec.options.end() && found->second == value;
}
}  // namespace

bool is_open(const Network& network) { return option_is(network, kFirewallOption, "open"); }

std::vector<Entry> network_entries(const Network& network, const InputPolicy& policy) {
  const nft::Key bridge = nft::Key{}.ifname(network.bridge);
  std::vector<Entry> entries{{"bridges", {bridge, std::nullopt}}};
  if (network.spec.internal) entries.push_back({"internal", {bridge, std::nullopt}});
  if (!network.spec.internal && !option_is(network, "com.docker.network.bridge.enable_ip_masquerade", "false"))
    entries.push_back({"masquerade", {bridge, std::nullopt}});
  if (!option_is(network, "com.docker.network.bridge.enable_icc", "false"))
    entries.push_back({"same", {nft::Key{}.ifname(network.bridge).ifname(network.bridge), std::nullopt}});
  if (policy.drops4 && !is_open(network)) entries.push_back({"gated4", {bridge, std::nullopt}});
  if (policy.drops6 && !is_open(network)) entries.push_back({"gated6", {bridge, std::nullopt}});
  return entries;
}

namespace {

void add_spread(std::vector<Entry>& entries, const std::string& bridge, const IpAddress& address,
                const std::vector<IpAddress>& targets) {
  const bool v4 = address.is_v4();
  entries.push_back({v4 ? "vips4" : "vips6", {nft::Key{}.bytes(address_bytes(address)), std::nullopt}});
  for (const IpAddress& target : targets) {
    nft::Key self = nft::Key{}.bytes(address_bytes(target)).bytes(address_bytes(target));
    entries.push_back({v4 ? "vself4" : "vself6", {std::move(self), std::nullopt}});
  }
  for (std::uint32_t slot = 0; slot < kSlots && !targets.empty(); ++slot) {
    const std::string_view number{reinterpret_cast<const char*>(&slot), sizeof slot};
    nft::Key key = nft::Key{}.ifname(bridge).bytes(address_bytes(address)).bytes(number);
    nft::Key value = nft::Key{}.bytes(address_bytes(targets[slot % targets.size()]));
    entries.push_back({v4 ? "vip4" : "vip6", {std::move(key), std::move(value)}});
  }
}

}  // namespace

Result<std::vector<Entry>> spread_entries(const Spread& spread) {
  std::vector<Entry> entries;
  for (const bool v4 : {true, false}) {
    const std::string& text = v4 ? spread.address4 : spread.address6;
    if (text.empty()) continue;
    TRY_ASSIGN(const IpAddress address, IpAddress::parse(text));
    std::vector<IpAddress> targets;
    for (const std::string& target : v4 ? spread.targets4 : spread.targets6) {
      TRY_ASSIGN(const IpAddress parsed, IpAddress::parse(target));
      targets.push_back(parsed);
    }
    add_spread(entries, spread.bridge, address, targets);
    if (spread.hold)
      entries.push_back({v4 ? "held4" : "held6", {nft::Key{}.bytes(address_bytes(address)), std::nullopt}});
  }
  return entries;
}

Result<Port> read_port(const Publication& publication) {
  Port port;
  port.host_port = publication.host_port;
  port.target_port = publication.container_port;
  if (publication.protocol == "tcp" || publication.protocol.empty()) {
    port.protocol = kTcp;
  } else if (publication.protocol == "udp") {
    port.protocol = kUdp;
  } else if (publication.protocol == "sctp") {
    port.protocol = kSctp;
  } else {
    return make_error(Errc::invalid, "\"{}\" is no protocol of a published port (tcp, udp, sctp)",
                      publication.protocol);
  }
  if (!publication.container_ip.empty()) {
    TRY_ASSIGN(port.target4, IpAddress::parse(publication.container_ip));
  }
  if (!publication.container_ip6.empty()) {
    TRY_ASSIGN(port.target6, IpAddress::parse(publication.container_ip6));
  }
  if (!publication.host_ip.empty()) {
    TRY_ASSIGN(const IpAddress host, IpAddress::parse(publication.host_ip));
    port.ipv4 = host.is_v4();
    port.ipv6 = host.is_v6();
    if (!host.is_unspecified()) port.host_ip = host;
  }
  return port;
}

std::vector<Entry> port_entries(const Port& port) {
  std::vector<Entry> entries;
  const auto add = [&](const IpAddress& target, const char* any_set, const char* at_set) {
    nft::Key key;
    if (port.host_ip) key.bytes(address_bytes(*port.host_ip));
    key.proto(port.protocol).port(port.host_port);
    nft::Key value;
    value.bytes(address_bytes(target)).port(port.target_port);
    entries.push_back({port.host_ip ? at_set : any_set, {std::move(key), std::move(value)}});
    nft::Key self;
    self.bytes(address_bytes(target)).bytes(address_bytes(target));
    entries.push_back({target.is_v4() ? "self4" : "self6", {std::move(self), std::nullopt}});
  };
  if (port.ipv4 && port.target4) add(*port.target4, "dnat4", "dnat4_at");
  if (port.ipv6 && port.target6) add(*port.target6, "dnat6", "dnat6_at");
  return entries;
}

namespace {

/// Reads a key back, part by part, by the types of its set.
std::string key_text(const std::vector<Type>& types, std::string_view data) {
  std::string text;
  for (const Type type : types) {
    if (!text.empty()) text += " . ";
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(data[i]); };
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(data.data());
    std::size_t size = 4;
    switch (type) {
      case Type::ifname:
        size = 16;
        text += data.substr(0, data.substr(0, size).find('\0'));
        break;
      case Type::ipv4_addr:
        text += IpAddress::from_bytes(IpAddress::Family::v4, bytes).to_string();
        break;
      case Type::ipv6_addr:
        size = 16;
        text += IpAddress::from_bytes(IpAddress::Family::v6, bytes).to_string();
        break;
      case Type::inet_proto:
        text += byte(0) == kTcp ? "tcp" : byte(0) == kUdp ? "udp" : "sctp";
        break;
      case Type::inet_service:
        text += std::to_string(byte(0) << 8 | byte(1));
        break;
      case Type::mark: {
        std::uint32_t number = 0;
        std::memcpy(&number, data.data(), std::min(sizeof number, data.size()));
        text += std::to_string(number);
        break;
      }
    }
    data.remove_prefix(std::min(size, data.size()));
  }
  return text;
}

}  // namespace

std::string to_text(const Entry& entry) {
  for (const nft::Set& set : sets()) {
    if (set.name != entry.set) continue;
    std::string text = set.name + " { " + key_text(set.key, entry.element.key.data());
    if (entry.element.value) text += " : " + key_text(set.value, entry.element.value->data());
    return text + " }";
  }
  return entry.set + " { ? }";
}

}  // namespace compose::net::firewall
