#include "net/endpoint/endpoint.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/strings.hpp"
#include "net/endpoint/netlink.hpp"
#include "net/endpoint/nftables.hpp"

namespace compose::net::endpoint {

namespace {

// linux/netfilter.h's, which clashes with net/if.h's users only in old headers; named here for their one use.
constexpr std::uint32_t kHookLocalOut = 3;

/// Settings of the current network namespace, as a proc file system shows them.
class Settings {
 public:
  /// `directory`: the "sys" of a proc file system; -1: the one at /proc.
  explicit Settings(int directory)
      : directory_{directory < 0 ? AT_FDCWD : directory}, prefix_{directory < 0 ? "/proc/sys/net/" : "net/"} {}

  UniqueFd open(const std::string& name, int mode) const {
    return UniqueFd{::openat(directory_, (prefix_ + name).c_str(), mode | O_CLOEXEC)};
  }
  /// The file may be missing (no IPv6 in this kernel).
  Result<void> write(const std::string& name, std::string_view value) const {
    const UniqueFd fd = open(name, O_WRONLY);
    if (!fd.valid()) return os_error("open /proc/sys/net/{}", name);
    if (::write(fd.get(), value.data(), value.size()) < 0)
      return os_error("write \"{}\" to /proc/sys/net/{}", value, name);
    return {};
  }
  /// The same for settings that need not exist.
  void attempt(const std::string& name, std::string_view value) const { (void)write(name, value).ok(); }

 private:
  int directory_;
  std::string prefix_;
};

ifinfomsg link_header(int index, bool up) {
  ifinfomsg head{};
  head.ifi_family = AF_UNSPEC;
  head.ifi_index = index;
  if (up) head.ifi_flags = head.ifi_change = IFF_UP;
  return head;
}

Result<int> interface_index(const std::string& name) {
  const unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) return os_error("find the interface \"{}\"", name);
  return static_cast<int>(index);
}

Result<std::string> mac_bytes(const std::string& text) {
  std::string bytes;
  for (const std::string& part : split(text, ':')) {
    unsigned value = 0;
    for (const char digit : part) {
      const int number = digit >= '0' && digit <= '9'   ? digit - '0'
                         : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                         : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                                        : -1;
      if (number < 0 || part.size() != 2) return make_error(Errc::invalid, "\"{}\" is not a MAC address", text);
      value = value * 16 + static_cast<unsigned>(number);
    }
    bytes.push_back(static_cast<char>(value));
  }
  if (bytes.size() != 6) return make_error(Errc::invalid, "\"{}\" is not a MAC address", text);
  return bytes;
}

struct NetnsTarget {
  std::uint16_t attribute;  // IFLA_NET_NS_PID or IFLA_NET_NS_FD
  std::uint32_t value;
};

/// Attributes both kinds of device have inside the container.
Result<void> add_inner_attributes(netlink::Batch& batch, const Attachment& attachment, NetnsTarget target) {
  batch.text(IFLA_IFNAME, attachment.interface);
  batch.u32(target.attribute, target.value);
  if (!attachment.mac.empty() && attachment.kind != Attachment::Kind::ipvlan) {
    TRY_ASSIGN(const std::string mac, mac_bytes(attachment.mac));
    batch.attribute(IFLA_ADDRESS, mac);
  }
  if (attachment.mtu > 0) batch.u32(IFLA_MTU, static_cast<std::uint32_t>(attachment.mtu));
  return {};
}

Result<void> add_veth(netlink::Batch& batch, const Attachment& attachment, int bridge, NetnsTarget target) {
  batch.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
                fmt::format("create the interface \"{}\"", attachment.host_interface));
  batch.header(link_header(0, false));
  batch.text(IFLA_IFNAME, attachment.host_interface);
  batch.u32(IFLA_MASTER, static_cast<std::uint32_t>(bridge));
  if (attachment.mtu > 0) batch.u32(IFLA_MTU, static_cast<std::uint32_t>(attachment.mtu));
  const std::size_t info = batch.nest(IFLA_LINKINFO);
  batch.text(IFLA_INFO_KIND, "veth");
  const std::size_t data = batch.nest(IFLA_INFO_DATA);
  const std::size_t peer = batch.nest(VETH_INFO_PEER);
  batch.header(link_header(0, false));
  TRY(add_inner_attributes(batch, attachment, target));
  batch.end(peer);
  batch.end(data);
  batch.end(info);

  // Up, as a port of the bridge, and without addresses of its own: a port that does no IPv6 takes no router
  // advertisement (CVE-2020-13401) and costs no duplicate address detection.
  batch.message(RTM_NEWLINK, 0, fmt::format("bring up the interface \"{}\"", attachment.host_interface));
  batch.header(link_header(0, true));
  batch.text(IFLA_IFNAME, attachment.host_interface);
  const std::size_t families = batch.nest(IFLA_AF_SPEC);
  const std::size_t inet6 = batch.nest(AF_INET6);
  batch.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  batch.end(inet6);
  batch.end(families);
  if (attachment.hairpin) {
    const std::size_t link_info = batch.nest(IFLA_LINKINFO);
    batch.text(IFLA_INFO_SLAVE_KIND, "bridge");
    const std::size_t port = batch.nest(IFLA_INFO_SLAVE_DATA);
    batch.u8(IFLA_BRPORT_MODE, 1);
    batch.end(port);
    batch.end(link_info);
  }
  return {};
}

Result<void> add_vlan_device(netlink::Batch& batch, const Attachment& attachment, int parent, NetnsTarget target) {
  const bool macvlan = attachment.kind == Attachment::Kind::macvlan;
  batch.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
                fmt::format("create the {} \"{}\" on \"{}\"", macvlan ? "macvlan" : "ipvlan", attachment.interface,
                            attachment.bridge));
  batch.header(link_header(0, false));
  batch.u32(IFLA_LINK, static_cast<std::uint32_t>(parent));
  TRY(add_inner_attributes(batch, attachment, target));
  const std::size_t info = batch.nest(IFLA_LINKINFO);
  batch.text(IFLA_INFO_KIND, macvlan ? "macvlan" : "ipvlan");
  const std::size_t data = batch.nest(IFLA_INFO_DATA);
  if (macvlan)
    batch.u32(IFLA_MACVLAN_MODE, attachment.mode != 0 ? attachment.mode : std::uint32_t{MACVLAN_MODE_BRIDGE});
  else
    batch.u16(IFLA_IPVLAN_MODE, static_cast<std::uint16_t>(attachment.mode));
  batch.end(data);
  batch.end(info);
  return {};
}

Result<void> create_for(const Attachment& attachment, NetnsTarget target) {
  TRY_ASSIGN(const int master, interface_index(attachment.bridge));
  netlink::Batch batch;
  if (attachment.kind == Attachment::Kind::veth) {
    TRY(add_veth(batch, attachment, master, target));
  } else {
    TRY(add_vlan_device(batch, attachment, master, target));
  }
  TRY_ASSIGN(netlink::Socket socket, netlink::Socket::open(NETLINK_ROUTE));
  auto outcome = socket.execute(batch);
  if (!outcome.ok() && outcome.error().sys_errno() == EEXIST && attachment.kind == Attachment::Kind::veth) {
    TRY(remove_pair(attachment));
    outcome = socket.execute(batch);
  }
  return outcome;
}

struct ParsedAddress {
  int family = AF_INET;
  std::string bytes;
  unsigned prefix = 0;
};

Result<ParsedAddress> parse_address(const std::string& text, bool with_prefix) {
  const auto slash = with_prefix ? text.find('/') : text.size();
  const std::string host = text.substr(0, slash);
  ParsedAddress parsed;
  char bytes[16];
  if (inet_pton(AF_INET, host.c_str(), bytes) == 1) {
    parsed.bytes.assign(bytes, 4);
  } else if (inet_pton(AF_INET6, host.c_str(), bytes) == 1) {
    parsed.family = AF_INET6;
    parsed.bytes.assign(bytes, 16);
  } else {
    return make_error(Errc::invalid, "\"{}\" is not an IP address", host);
  }
  const auto width = static_cast<unsigned>(parsed.bytes.size() * 8);
  parsed.prefix = width;
  if (slash < text.size()) {
    const auto length = parse_unsigned(std::string_view{text}.substr(slash + 1));
    if (!length || *length > width) return make_error(Errc::invalid, "\"{}\" has no valid prefix length", text);
    parsed.prefix = static_cast<unsigned>(*length);
  }
  return parsed;
}

Result<void> add_address(netlink::Batch& batch, const std::string& text, int index, const std::string& interface) {
  TRY_ASSIGN(const ParsedAddress address, parse_address(text, true));
  batch.message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, fmt::format("add {} to \"{}\"", text, interface));
  ifaddrmsg head{};
  head.ifa_family = static_cast<std::uint8_t>(address.family);
  head.ifa_prefixlen = static_cast<std::uint8_t>(address.prefix);
  // Addresses are ours to give, so duplicates cannot be: usable at once.
  head.ifa_flags = address.family == AF_INET6 ? IFA_F_NODAD : 0;
  head.ifa_index = static_cast<std::uint32_t>(index);
  batch.header(head);
  batch.attribute(IFA_LOCAL, address.bytes);
  batch.attribute(IFA_ADDRESS, address.bytes);
  if (address.family == AF_INET && address.prefix < 31) {
    std::uint32_t broadcast = 0;
    std::memcpy(&broadcast, address.bytes.data(), 4);
    broadcast |= htonl(address.prefix == 0 ? ~0U : (1U << (32 - address.prefix)) - 1);
    batch.attribute(IFA_BROADCAST, {reinterpret_cast<const char*>(&broadcast), 4});
  }
  return {};
}

Result<void> add_default_route(netlink::Batch& batch, const std::string& gateway, int index,
                               const std::string& interface) {
  rtmsg head{};
  head.rtm_table = RT_TABLE_MAIN;
  head.rtm_protocol = RTPROT_BOOT;
  head.rtm_scope = RT_SCOPE_UNIVERSE;
  head.rtm_type = RTN_UNICAST;
  TRY_ASSIGN(const ParsedAddress address, parse_address(gateway, false));
  head.rtm_family = static_cast<std::uint8_t>(address.family);
  head.rtm_flags = RTNH_F_ONLINK;  // a gateway outside the subnet is the file's business
  batch.message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE,
                fmt::format("add the default route through {} on \"{}\"", gateway, interface));
  batch.header(head);
  batch.attribute(RTA_GATEWAY, address.bytes);
  batch.u32(RTA_OIF, static_cast<std::uint32_t>(index));
  return {};
}

bool has_ipv6(const Attachment& attachment) {
  for (const std::string& address : attachment.addresses)
    if (address.find(':') != std::string::npos) return true;
  return false;
}

/// Settings of one interface that must stand before it comes up.
void prepare_interface(const Settings& settings, const Attachment& attachment) {
  const std::string ipv6 = "ipv6/conf/" + attachment.interface + "/";
  if (!has_ipv6(attachment)) {
    settings.attempt(ipv6 + "disable_ipv6", "1");
    return;
  }
  settings.attempt(ipv6 + "disable_ipv6", "0");
  settings.attempt(ipv6 + "accept_ra", "0");
  settings.attempt(ipv6 + "accept_dad", "0");  // the link-local address, too, works at once
}

Result<void> apply_sysctls(const Settings& settings, const Attachment& attachment) {
  for (const auto& [name, value] : attachment.sysctls) {
    std::string path = name;
    // Dots separate, but an interface's name may have dots of its own: the file says IFNAME for it.
    for (char& letter : path)
      if (letter == '.') letter = '/';
    if (const auto place = path.find("IFNAME"); place != std::string::npos)
      path.replace(place, 6, attachment.interface);
    if (path.find("..") != std::string::npos || path.starts_with('/'))
      return make_error(Errc::invalid, "\"{}\" is not the name of a network setting", name);
    TRY(settings.write(path, value));
  }
  return {};
}

}  // namespace

Result<void> create_pair(const Attachment& attachment, pid_t container) {
  return create_for(attachment, {IFLA_NET_NS_PID, static_cast<std::uint32_t>(container)});
}

Result<void> create_pair_in(const Attachment& attachment, int netns_fd) {
  return create_for(attachment, {IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns_fd)});
}

Result<void> remove_pair(const Attachment& attachment) {
  if (attachment.kind != Attachment::Kind::veth) return {};
  TRY_ASSIGN(netlink::Socket socket, netlink::Socket::open(NETLINK_ROUTE));
  netlink::Batch batch;
  batch.message(RTM_DELLINK, 0, fmt::format("remove the interface \"{}\"", attachment.host_interface));
  batch.header(link_header(0, false));
  batch.text(IFLA_IFNAME, attachment.host_interface);
  auto outcome = socket.execute(batch);
  if (!outcome.ok() && outcome.error().sys_errno() == ENODEV) return {};
  return outcome;
}

namespace {

/// Has the kernel's link watch noticed that the interface has a carrier? (Documentation/networking/operstates.rst.)
/// Newer kernels look at once when they are asked this, which is all we want of them.
bool is_operating(netlink::Socket& socket, const std::string& name) {
  constexpr std::uint8_t kUp = 6;  // IF_OPER_UP
  netlink::Batch batch;
  batch.message(RTM_GETLINK, 0, "look at an interface");
  batch.header(link_header(0, false));
  batch.text(IFLA_IFNAME, name);
  bool up = false;
  const auto outcome = socket.query(batch, [&](const netlink::Reply& reply) {
    if (reply.payload.size() < sizeof(ifinfomsg)) return;
    netlink::for_each_attribute(reply.payload.substr(sizeof(ifinfomsg)), [&](const netlink::Attribute& attribute) {
      if (attribute.type == IFLA_OPERSTATE) up = attribute.u8() == kUp;
    });
  });
  return outcome.ok() && up;
}

/// An interface that came up without a carrier drops what it should send until the link watch attaches its queue.
/// A changed queue length does the same at once; the kernel does nothing when it is the old one, so it is changed
/// twice.
void attach_queue(netlink::Batch& batch, const std::string& name) {
  for (const std::uint32_t length : {1001U, 1000U}) {
    batch.message(RTM_NEWLINK, 0, fmt::format("attach the queue of \"{}\"", name));
    batch.header(link_header(0, false));
    batch.text(IFLA_IFNAME, name);
    batch.u32(IFLA_TXQLEN, length);
  }
}

}  // namespace

Result<void> open_port(const Attachment& attachment) {
  if (attachment.kind != Attachment::Kind::veth) return {};
  TRY_ASSIGN(netlink::Socket socket, netlink::Socket::open(NETLINK_ROUTE));
  netlink::Batch batch;
  if (!is_operating(socket, attachment.host_interface)) {
    constexpr std::uint8_t kForwarding = 3;  // BR_STATE_FORWARDING, linux/if_bridge.h
    batch.message(RTM_NEWLINK, 0, fmt::format("open the bridge's port \"{}\"", attachment.host_interface));
    batch.header(link_header(0, false));
    batch.text(IFLA_IFNAME, attachment.host_interface);
    const std::size_t info = batch.nest(IFLA_LINKINFO);
    batch.text(IFLA_INFO_SLAVE_KIND, "bridge");
    const std::size_t data = batch.nest(IFLA_INFO_SLAVE_DATA);
    batch.u8(IFLA_BRPORT_STATE, kForwarding);
    batch.end(data);
    batch.end(info);
    attach_queue(batch, attachment.host_interface);
  }
  // A bridge has a carrier when its first port is open.
  if (!is_operating(socket, attachment.bridge)) attach_queue(batch, attachment.bridge);
  auto outcome = socket.execute(batch);
  const int code = outcome.ok() ? 0 : outcome.error().sys_errno();
  // The container has ended already, or runs a spanning tree on the bridge, which decides itself.
  if (code == ENODEV || code == ENETDOWN || code == EBUSY) return {};
  return outcome;
}

bool ipv6_off_by_default(std::span<const Attachment> attachments, int settings_directory) {
  if (attachments.empty() || std::ranges::any_of(attachments, has_ipv6)) return false;
  const UniqueFd fd = Settings{settings_directory}.open("ipv6/conf/default/disable_ipv6", O_RDWR);
  char now = 0;
  return fd.valid() && ::pread(fd.get(), &now, 1, 0) == 1 && now == '0' && ::pwrite(fd.get(), "1", 1, 0) == 1;
}

Result<void> configure(std::span<const Attachment> attachments, bool ipv6_is_off, int settings_directory) {
  const Settings settings{settings_directory};
  netlink::Batch batch;
  constexpr int kLoopbackIndex = 1;
  batch.message(RTM_NEWLINK, 0, "bring up the loopback interface");
  batch.header(link_header(kLoopbackIndex, true));
  for (const Attachment& attachment : attachments) {
    TRY_ASSIGN(const int index, interface_index(attachment.interface));
    if (!ipv6_is_off) prepare_interface(settings, attachment);
    batch.message(RTM_NEWLINK, 0, fmt::format("bring up the interface \"{}\"", attachment.interface));
    batch.header(link_header(index, true));
    for (const std::string& address : attachment.addresses)
      TRY(add_address(batch, address, index, attachment.interface));
    if (attachment.default_route4 && !attachment.gateway4.empty())
      TRY(add_default_route(batch, attachment.gateway4, index, attachment.interface));
    if (attachment.default_route6 && !attachment.gateway6.empty())
      TRY(add_default_route(batch, attachment.gateway6, index, attachment.interface));
  }
  TRY_ASSIGN(netlink::Socket socket, netlink::Socket::open(NETLINK_ROUTE));
  TRY(socket.execute(batch));
  if (ipv6_is_off) settings.attempt("ipv6/conf/default/disable_ipv6", "0");
  TRY(settings.write("ipv4/ip_unprivileged_port_start", "0"));
  // All groups; in a user namespace with a range of ids, all that exist there.
  if (!settings.write("ipv4/ping_group_range", "0 2147483647").ok())
    settings.attempt("ipv4/ping_group_range", "0 65535");
  for (const Attachment& attachment : attachments) TRY(apply_sysctls(settings, attachment));
  return {};
}

namespace {

constexpr std::uint8_t kTcp = 6, kUdp = 17;
constexpr std::uint16_t kDnsPort = 53;

Result<UniqueFd> open_socket(int type, std::uint16_t& port) {
  UniqueFd fd{::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd.valid()) return os_error("open a resolver socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(0x7f00000b);  // 127.0.0.11
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return os_error("bind a resolver socket to 127.0.0.11");
  constexpr int kBacklog = 64;
  if (type == SOCK_STREAM && ::listen(fd.get(), kBacklog) != 0) return os_error("listen for DNS over TCP");
  socklen_t size = sizeof address;
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return os_error("read a resolver socket's port");
  port = ntohs(address.sin_port);
  return fd;
}

/// The rules that make `port` of 127.0.0.11 look like port 53. On the loopback every packet is sent, so the hook of
/// outgoing packets sees both directions: the way there is rewritten before connection tracking (-200) looks at it, the
/// way back after it, so that a container with rules of its own sees one ordinary connection.
struct Rewrite {
  nft::Rule there, back;
};
Rewrite rewrite(std::uint8_t protocol, std::uint16_t port) {
  const std::string_view resolver{"\x7f\0\0\x0b", 4};
  Rewrite rules;
  rules.there.ip_destination(resolver, "127.0.0.11").l4proto(protocol).port_is(kDnsPort).set_port(protocol, port);
  rules.back.ip_destination(resolver, "127.0.0.11", true)
      .l4proto(protocol)
      .port_is(port, true)
      .set_port(protocol, kDnsPort, true);
  return rules;
}

}  // namespace

Result<ResolverSockets> open_resolver() {
  ResolverSockets sockets;
  std::uint16_t udp_port = 0, tcp_port = 0;
  TRY_ASSIGN(sockets.udp, open_socket(SOCK_DGRAM, udp_port));
  TRY_ASSIGN(sockets.tcp, open_socket(SOCK_STREAM, tcp_port));

  const Rewrite udp = rewrite(kUdp, udp_port), tcp = rewrite(kTcp, tcp_port);
  constexpr std::int32_t kRaw = -300, kLast = 300;
  nft::Table table;
  table.family = nft::Family::ip;
  table.name = "compose_resolver";
  table.chains = {{"there", nft::Hook{"filter", kHookLocalOut, kRaw}, {udp.there, tcp.there}},
                  {"back", nft::Hook{"filter", kHookLocalOut, kLast}, {udp.back, tcp.back}}};
  nft::Transaction transaction;
  transaction.add_table(table);
  TRY_ASSIGN(netlink::Socket socket, netlink::Socket::open(NETLINK_NETFILTER));
  TRY(transaction.commit(socket));
  return sockets;
}

}  // namespace compose::net::endpoint
