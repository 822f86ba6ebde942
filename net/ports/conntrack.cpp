#include "net/ports/conntrack.hpp"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cstring>

#include "net/endpoint/netlink.hpp"

namespace compose::net::ports {

namespace {

constexpr std::uint8_t kUdp = 17;

struct Entry {
  nfgenmsg head{};
  std::string original;  ///< CTA_TUPLE_ORIG as it came
  std::string destination;
  std::uint8_t protocol = 0;
  std::uint16_t port = 0;
};

void read_tuple(std::string_view tuple, Entry& entry) {
  netlink::for_each_attribute(tuple, [&](const netlink::Attribute& part) {
    netlink::for_each_attribute(part.data, [&](const netlink::Attribute& field) {
      if (part.type == CTA_TUPLE_IP && (field.type == CTA_IP_V4_DST || field.type == CTA_IP_V6_DST))
        entry.destination = field.data;
      if (part.type != CTA_TUPLE_PROTO) return;
      if (field.type == CTA_PROTO_NUM) entry.protocol = field.u8();
      if (field.type == CTA_PROTO_DST_PORT && field.data.size() >= 2) {
        std::uint16_t number = 0;
        std::memcpy(&number, field.data.data(), sizeof number);
        entry.port = ntohs(number);
      }
    });
  });
}

std::uint16_t message_type(unsigned type) { return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type); }

bool concerns(const firewall::Port& port, const Entry& entry) {
  if (port.protocol != kUdp || entry.protocol != kUdp || port.host_port != entry.port) return false;
  if (!port.host_ip) return true;
  const auto bytes = port.host_ip->bytes();
  return std::string_view{reinterpret_cast<const char*>(bytes.data()), bytes.size()} == entry.destination;
}

}  // namespace

Result<void> forget_conversations(std::span<const firewall::Port> ports) {
  if (std::ranges::none_of(ports, [](const firewall::Port& port) { return port.protocol == kUdp; })) return {};
  TRY_ASSIGN(netlink::Socket socket, netlink::Socket::open(NETLINK_NETFILTER));
  netlink::Batch dump;
  dump.message(message_type(IPCTNL_MSG_CT_GET), NLM_F_DUMP, "list tracked connections");
  dump.header(nfgenmsg{AF_UNSPEC, NFNETLINK_V0, 0});
  std::vector<Entry> stale;
  const auto listed = socket.query(dump, [&](const netlink::Reply& reply) {
    Entry entry;
    if (reply.payload.size() < sizeof entry.head) return;
    std::memcpy(&entry.head, reply.payload.data(), sizeof entry.head);
    netlink::for_each_attribute(reply.payload.substr(sizeof entry.head), [&](const netlink::Attribute& attribute) {
      if (attribute.type != CTA_TUPLE_ORIG) return;
      entry.original = attribute.data;
      read_tuple(attribute.data, entry);
    });
    if (std::ranges::any_of(ports, [&](const firewall::Port& port) { return concerns(port, entry); }))
      stale.push_back(std::move(entry));
  });
  if (!listed.ok()) {
    const int code = listed.error().sys_errno();
    if (code == EINVAL || code == EOPNOTSUPP || code == EPROTONOSUPPORT) return {};
    return listed;
  }
  for (const Entry& entry : stale) {
    netlink::Batch removal;
    removal.message(message_type(IPCTNL_MSG_CT_DELETE), 0, "forget a tracked connection");
    removal.header(nfgenmsg{entry.head.nfgen_family, NFNETLINK_V0, 0});
    removal.attribute(CTA_TUPLE_ORIG | NLA_F_NESTED, entry.original);
    const auto gone = socket.execute(removal);
    if (!gone.ok() && gone.error().sys_errno() != ENOENT) return gone;
  }
  return {};
}

}  // namespace compose::net::ports
