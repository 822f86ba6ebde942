#include "net/ports/conntrack.hpp"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "net/endpoint/netlink.hpp"

namespace compose::net::ports {

namespace {

constexpr std::uint8_t kTcp = 6, kUdp = 17;

struct Entry {
  nfgenmsg head{};
  std::string original;  ///< CTA_TUPLE_ORIG as it came
  std::string destination;
  std::string answers_from;  ///< who was really asked
  std::uint8_t protocol = 0;
  std::uint16_t port = 0;
  std::uint8_t tcp_state = 0;
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

void read_answer_tuple(std::string_view tuple, Entry& entry) {
  netlink::for_each_attribute(tuple, [&](const netlink::Attribute& part) {
    if (part.type != CTA_TUPLE_IP) return;
    netlink::for_each_attribute(part.data, [&](const netlink::Attribute& field) {
      if (field.type == CTA_IP_V4_SRC || field.type == CTA_IP_V6_SRC) entry.answers_from = field.data;
    });
  });
}

void read_protocol(std::string_view info, Entry& entry) {
  netlink::for_each_attribute(info, [&](const netlink::Attribute& part) {
    if (part.type != CTA_PROTOINFO_TCP) return;
    netlink::for_each_attribute(part.data, [&](const netlink::Attribute& field) {
      if (field.type == CTA_PROTOINFO_TCP_STATE) entry.tcp_state = field.u8();
    });
  });
}

std::uint16_t message_type(unsigned type) { return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type); }

std::string_view view(const IpAddress& address) {
  return {reinterpret_cast<const char*>(address.bytes().data()), address.bytes().size()};
}

bool concerns(const firewall::Port& port, const Entry& entry) {
  if (port.protocol != kUdp || entry.protocol != kUdp || port.host_port != entry.port) return false;
  return !port.host_ip || view(*port.host_ip) == entry.destination;
}

/// Removes the entries that `stale` picks.
Result<void> forget(netlink::Socket& socket, const std::function<bool(const Entry&)>& stale) {
  netlink::Batch dump;
  dump.message(message_type(IPCTNL_MSG_CT_GET), NLM_F_DUMP, "list tracked connections");
  dump.header(nfgenmsg{AF_UNSPEC, NFNETLINK_V0, 0});
  std::vector<Entry> found;
  const auto listed = socket.query(dump, [&](const netlink::Reply& reply) {
    Entry entry;
    if (reply.payload.size() < sizeof entry.head) return;
    std::memcpy(&entry.head, reply.payload.data(), sizeof entry.head);
    netlink::for_each_attribute(reply.payload.substr(sizeof entry.head), [&](const netlink::Attribute& attribute) {
      if (attribute.type == CTA_TUPLE_REPLY) read_answer_tuple(attribute.data, entry);
      if (attribute.type == CTA_PROTOINFO) read_protocol(attribute.data, entry);
      if (attribute.type != CTA_TUPLE_ORIG) return;
      entry.original = attribute.data;
      read_tuple(attribute.data, entry);
    });
    if (stale(entry)) found.push_back(std::move(entry));
  });
  if (!listed.ok()) {
    const int code = listed.error().sys_errno();
    if (code == EINVAL || code == EOPNOTSUPP || code == EPROTONOSUPPORT) return {};
    return listed;
  }
  for (const Entry& entry : found) {
    netlink::Batch removal;
    removal.message(message_type(IPCTNL_MSG_CT_DELETE), 0, "forget a tracked connection");
    removal.header(nfgenmsg{entry.head.nfgen_family, NFNETLINK_V0, 0});
    removal.attribute(CTA_TUPLE_ORIG | NLA_F_NESTED, entry.original);
    const auto gone = socket.execute(removal);
    if (!gone.ok() && gone.error().sys_errno() != ENOENT) return gone;
  }
  return {};
}

}  // namespace

Result<void> forget_conversations(netlink::Socket& socket, std::span<const firewall::Port> ports) {
  if (std::ranges::none_of(ports, [](const firewall::Port& port) { return port.protocol == kUdp; })) return {};
  return forget(socket, [&](const Entry& entry) {
    return std::ranges::any_of(ports, [&](const firewall::Port& port) { return concerns(port, entry); });
  });
}

Result<void> forget_unanswered(netlink::Socket& socket, std::span<const IpAddress> containers) {
  if (containers.empty()) return {};
  return forget(socket, [&](const Entry& entry) {
    const bool asking = entry.protocol == kTcp && entry.tcp_state == TCP_CONNTRACK_SYN_SENT;
    const bool translated = entry.protocol == kUdp && entry.destination != entry.answers_from;
    if (!asking && !translated) return false;
    return std::ranges::any_of(containers,
                               [&](const IpAddress& address) { return view(address) == entry.answers_from; });
  });
}

}  // namespace compose::net::ports
