#include "net/bridge/links.hpp"

#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <map>

#include "base/strings.hpp"
#include "net/endpoint/netlink.hpp"
#include "sys/file.hpp"

namespace compose::net {

namespace {

template <typename Header>
bool read_header(std::string_view payload, Header& header) {
  if (payload.size() < sizeof header) return false;
  std::memcpy(&header, payload.data(), sizeof header);
  return true;
}

Link parse_link(const ifinfomsg& head, std::string_view attributes) {
  Link link;
  link.index = head.ifi_index;
  link.up = (head.ifi_flags & IFF_UP) != 0;
  netlink::for_each_attribute(attributes, [&](const netlink::Attribute& attribute) {
    if (attribute.type == IFLA_IFNAME) link.name = attribute.text();
    if (attribute.type == IFLA_MASTER) link.master = static_cast<int>(attribute.u32());
    if (attribute.type == IFLA_MTU) link.mtu = static_cast<int>(attribute.u32());
    if (attribute.type == IFLA_LINKINFO)
      netlink::for_each_attribute(attribute.data, [&](const netlink::Attribute& info) {
        if (info.type == IFLA_INFO_KIND) link.kind = info.text();
      });
  });
  return link;
}

ifinfomsg link_header(bool up = false) {
  ifinfomsg head{};
  if (up) head.ifi_flags = head.ifi_change = IFF_UP;
  return head;
}

std::string_view view(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string mac_bytes(const std::string& text) {
  std::string bytes;
  for (const std::string& part : split(text, ':')) bytes.push_back(static_cast<char>(std::stoul(part, nullptr, 16)));
  return bytes;
}

}  // namespace

Result<std::vector<Link>> list_links() {
  TRY_ASSIGN(netlink::Socket socket, netlink::Socket::open(NETLINK_ROUTE));
  netlink::Batch batch;
  batch.message(RTM_GETLINK, NLM_F_DUMP, "list interfaces");
  batch.header(link_header());
  std::vector<Link> links;
  TRY(socket.query(batch, [&](const netlink::Reply& reply) {
    ifinfomsg head{};
    if (reply.type == RTM_NEWLINK && read_header(reply.payload, head))
      links.push_back(parse_link(head, reply.payload.substr(sizeof head)));
  }));
  return links;
}

Result<std::vector<Route>> list_routes() {
  TRY_ASSIGN(const std::vector<Link> links, list_links());
  std::map<int, std::string> names;
  for (const Link& link : links) names[link.index] = link.name;

  std::vector<Route> routes;
  for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6}) {
    TRY_ASSIGN(netlink::Socket socket, netlink::Socket::open(NETLINK_ROUTE));
    netlink::Batch batch;
    batch.message(RTM_GETROUTE, NLM_F_DUMP, "list routes");
    rtmsg head{};
    head.rtm_family = family == IpAddress::Family::v4 ? AF_INET : AF_INET6;
    batch.header(head);
    TRY(socket.query(batch, [&](const netlink::Reply& reply) {
      rtmsg message{};
      if (reply.type != RTM_NEWROUTE || !read_header(reply.payload, message)) return;
      if (message.rtm_type != RTN_UNICAST || message.rtm_table != RT_TABLE_MAIN) return;
      Route route;
      route.connected = true;
      const std::uint8_t zero[16] = {};
      route.destination = {IpAddress::from_bytes(family, zero), message.rtm_dst_len};
      netlink::for_each_attribute(reply.payload.substr(sizeof message), [&](const netlink::Attribute& attribute) {
        if (attribute.type == RTA_DST && attribute.data.size() == (family == IpAddress::Family::v4 ? 4U : 16U))
          route.destination.address =
              IpAddress::from_bytes(family, reinterpret_cast<const std::uint8_t*>(attribute.data.data()));
        if (attribute.type == RTA_GATEWAY || attribute.type == RTA_VIA) route.connected = false;
        if (attribute.type == RTA_OIF) {
          const auto found = names.find(static_cast<int>(attribute.u32()));
          if (found != names.end()) route.interface = found->second;
        }
      });
      routes.push_back(std::move(route));
    }));
  }
  return routes;
}

namespace {

void add_address(netlink::Batch& batch, const std::string& interface, std::uint32_t index, const Prefix& prefix) {
  batch.message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE,
                fmt::format("add {} to \"{}\"", prefix.to_string(), interface));
  ifaddrmsg head{};
  head.ifa_family = prefix.address.is_v4() ? AF_INET : AF_INET6;
  head.ifa_prefixlen = static_cast<std::uint8_t>(prefix.length);
  head.ifa_flags = prefix.address.is_v4() ? 0 : IFA_F_NODAD;
  head.ifa_index = index;
  batch.header(head);
  batch.attribute(IFA_LOCAL, view(prefix.address.bytes()));
  batch.attribute(IFA_ADDRESS, view(prefix.address.bytes()));
  if (prefix.address.is_v4() && prefix.length < 31) batch.attribute(IFA_BROADCAST, view(prefix.last().bytes()));
}

}  // namespace

Result<void> add_addresses(const std::string& interface, std::span<const Prefix> addresses) {
  if (addresses.empty()) return {};
  const unsigned index = ::if_nametoindex(interface.c_str());
  if (index == 0) return os_error("find the interface \"{}\"", interface);
  TRY_ASSIGN(netlink::Socket socket, netlink::Socket::open(NETLINK_ROUTE));
  netlink::Batch batch;
  for (const Prefix& prefix : addresses) add_address(batch, interface, index, prefix);
  return socket.execute(batch);
}

Result<void> remove_addresses(const std::string& interface, std::span<const Prefix> addresses) {
  const unsigned index = ::if_nametoindex(interface.c_str());
  if (index == 0) return {};
  TRY_ASSIGN(netlink::Socket socket, netlink::Socket::open(NETLINK_ROUTE));
  for (const Prefix& prefix : addresses) {
    netlink::Batch batch;
    batch.message(RTM_DELADDR, 0, fmt::format("take {} from \"{}\"", prefix.to_string(), interface));
    ifaddrmsg head{};
    head.ifa_family = prefix.address.is_v4() ? AF_INET : AF_INET6;
    head.ifa_prefixlen = static_cast<std::uint8_t>(prefix.length);
    head.ifa_index = index;
    batch.header(head);
    batch.attribute(IFA_LOCAL, view(prefix.address.bytes()));
    if (auto gone = socket.execute(batch); !gone.ok() && gone.error().sys_errno() != EADDRNOTAVAIL) return gone;
  }
  return {};
}

Result<void> ensure_bridge(const BridgeSpec& spec) {
  TRY_ASSIGN(netlink::Socket socket, netlink::Socket::open(NETLINK_ROUTE));
  if (::if_nametoindex(spec.name.c_str()) == 0) {
    netlink::Batch batch;
    batch.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, fmt::format("create the bridge \"{}\"", spec.name));
    batch.header(link_header());
    batch.text(IFLA_IFNAME, spec.name);
    if (!spec.mac.empty()) batch.attribute(IFLA_ADDRESS, mac_bytes(spec.mac));
    if (spec.mtu > 0) batch.u32(IFLA_MTU, static_cast<std::uint32_t>(spec.mtu));
    const std::size_t info = batch.nest(IFLA_LINKINFO);
    batch.text(IFLA_INFO_KIND, "bridge");
    batch.end(info);
    TRY(socket.execute(batch));
  }
  const std::string ipv6 = "ipv6/conf/" + spec.name + "/";
  (void)write_net_sysctl(ipv6 + "accept_ra", "0").ok();  // a container must not route the host (CVE-2020-13401)
  (void)write_net_sysctl(ipv6 + "accept_dad", "0").ok();
  (void)write_net_sysctl(ipv6 + "disable_ipv6", spec.ipv6 ? "0" : "1").ok();
  // Connections of the host to 127.0.0.1:PORT leave through the bridge with a loopback source (and come back to it).
  // Only here: a packet with a loopback address from a container is dropped by our rules before it is routed.
  TRY(write_net_sysctl("ipv4/conf/" + spec.name + "/route_localnet", "1"));

  const auto index = static_cast<std::uint32_t>(::if_nametoindex(spec.name.c_str()));
  netlink::Batch batch;
  batch.message(RTM_NEWLINK, 0, fmt::format("bring up the bridge \"{}\"", spec.name));
  batch.header(link_header(true));
  batch.text(IFLA_IFNAME, spec.name);
  for (const Prefix& prefix : spec.addresses) add_address(batch, spec.name, index, prefix);
  return socket.execute(batch);
}

Result<void> remove_links(std::span<const std::string> names) {
  if (names.empty()) return {};
  TRY_ASSIGN(netlink::Socket socket, netlink::Socket::open(NETLINK_ROUTE));
  // Removing an interface waits for all processors to let go of it. Put into one group, they go with one wait.
  const std::uint32_t group = 0x636f0000U | static_cast<std::uint32_t>(::getpid() & 0xffff);
  unsigned present = 0;
  netlink::Batch moves;
  for (const std::string& name : names) {
    if (::if_nametoindex(name.c_str()) == 0) continue;
    ++present;
    moves.message(RTM_NEWLINK, 0, fmt::format("prepare the removal of \"{}\"", name));
    moves.header(link_header());
    moves.text(IFLA_IFNAME, name);
    moves.u32(IFLA_GROUP, group);
  }
  if (present == 0) return {};
  (void)socket.execute(moves).ok();  // one that vanished meanwhile is gone as wanted
  netlink::Batch removal;
  removal.message(RTM_DELLINK, 0, fmt::format("remove {} interfaces", present));
  removal.header(link_header());
  removal.u32(IFLA_GROUP, group);
  auto outcome = socket.execute(removal);
  if (!outcome.ok() && outcome.error().sys_errno() == ENODEV) return {};
  return outcome;
}

std::optional<std::string> read_net_sysctl(const std::string& name) {
  auto text = sys::read_file("/proc/sys/net/" + name, 4096);
  if (!text.ok()) return std::nullopt;
  return std::string{trim(*text)};
}

Result<void> write_net_sysctl(const std::string& name, std::string_view value) {
  return sys::write_kernel_file("/proc/sys/net/" + name, value);
}

}  // namespace compose::net
