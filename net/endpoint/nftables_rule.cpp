#include "net/endpoint/nftables.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netlink.h>
#include <net/if.h>

#include <cstring>

namespace compose::net::nft {

namespace {

constexpr std::uint32_t kReg = NFT_REG_1;        // 16 bytes: a single value
constexpr std::uint32_t kConcat = NFT_REG32_00;  // 4 bytes each: concatenations start here
constexpr std::uint32_t kOffsetSource4 = 12, kOffsetDestination4 = 16, kOffsetSource6 = 8, kOffsetDestination6 = 24;

std::string_view bytes_of(const auto& value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }

std::string interface_bytes(std::string_view name) {
  std::string bytes{name.substr(0, IFNAMSIZ - 1)};
  bytes.resize(IFNAMSIZ, '\0');
  return bytes;
}

std::string port_bytes(std::uint16_t port) {
  const std::uint16_t value = htons(port);
  return std::string{bytes_of(value)};
}

}  // namespace

void Key::pad() { data_.resize((data_.size() + 3) / 4 * 4, '\0'); }
Key& Key::ifname(std::string_view name) {
  data_ += interface_bytes(name);
  return *this;
}
Key& Key::proto(std::uint8_t number) {
  data_.push_back(static_cast<char>(number));
  pad();
  return *this;
}
Key& Key::port(std::uint16_t port) {
  data_ += port_bytes(port);
  pad();
  return *this;
}
Key& Key::bytes(std::string_view address) {
  data_ += address;
  pad();
  return *this;
}

/// One expression of a rule while its attributes are written.
class Rule::Expression {
 public:
  Expression(std::string& out, std::string_view name) : out_{out} {
    batch_.text(NFTA_EXPR_NAME, name);
    data_ = batch_.nest(NFTA_EXPR_DATA);
  }
  ~Expression() {
    batch_.end(data_);
    netlink::Batch element;
    element.attribute(NFTA_LIST_ELEM | NLA_F_NESTED, batch_.bytes());
    out_ += element.bytes();
  }
  Expression(const Expression&) = delete;
  Expression& operator=(const Expression&) = delete;

  Expression& number(std::uint16_t type, std::uint32_t value) {
    batch_.be32(type, value);
    return *this;
  }
  Expression& name(std::uint16_t type, std::string_view value) {
    batch_.text(type, value);
    return *this;
  }
  Expression& value(std::uint16_t type, std::string_view bytes) {
    const std::size_t nest = batch_.nest(type);
    batch_.attribute(NFTA_DATA_VALUE, bytes);
    batch_.end(nest);
    return *this;
  }
  Expression& bytes(std::uint16_t type, std::string_view value) {
    batch_.attribute(type, value);
    return *this;
  }
  Expression& verdict(std::int32_t code, const std::string& chain) {
    const std::size_t data = batch_.nest(NFTA_IMMEDIATE_DATA);
    const std::size_t verdict = batch_.nest(NFTA_DATA_VERDICT);
    batch_.be32(NFTA_VERDICT_CODE, static_cast<std::uint32_t>(code));
    if (!chain.empty()) batch_.text(NFTA_VERDICT_CHAIN, chain);
    batch_.end(verdict);
    batch_.end(data);
    return *this;
  }

 private:
  std::string& out_;
  netlink::Batch batch_;
  std::size_t data_ = 0;
};

void Rule::word(std::string_view text) {
  if (!text_.empty()) text_ += ' ';
  text_ += text;
}

void Rule::meta(std::uint32_t key, std::uint32_t reg) {
  Expression{expressions_, "meta"}.number(NFTA_META_KEY, key).number(NFTA_META_DREG, reg);
}

void Rule::payload(std::uint32_t base, std::uint32_t offset, std::uint32_t size, std::uint32_t reg) {
  Expression{expressions_, "payload"}
      .number(NFTA_PAYLOAD_DREG, reg)
      .number(NFTA_PAYLOAD_BASE, base)
      .number(NFTA_PAYLOAD_OFFSET, offset)
      .number(NFTA_PAYLOAD_LEN, size);
}

void Rule::compare(std::uint32_t reg, std::string_view value, bool equal) {
  Expression{expressions_, "cmp"}
      .number(NFTA_CMP_SREG, reg)
      .number(NFTA_CMP_OP, equal ? NFT_CMP_EQ : NFT_CMP_NEQ)
      .value(NFTA_CMP_DATA, value);
}

void Rule::lookup(const std::string& set, std::uint32_t reg, bool invert) {
  Expression expression{expressions_, "lookup"};
  expression.name(NFTA_LOOKUP_SET, set).number(NFTA_LOOKUP_SREG, reg);
  if (invert) expression.number(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
}

void Rule::conntrack_bits(std::uint32_t key, std::uint32_t bits) {
  const std::uint32_t none = 0;
  Expression{expressions_, "ct"}.number(NFTA_CT_KEY, key).number(NFTA_CT_DREG, kReg);
  Expression{expressions_, "bitwise"}
      .number(NFTA_BITWISE_SREG, kReg)
      .number(NFTA_BITWISE_DREG, kReg)
      .number(NFTA_BITWISE_LEN, 4)
      .value(NFTA_BITWISE_MASK, bytes_of(bits))
      .value(NFTA_BITWISE_XOR, bytes_of(none));
  compare(kReg, bytes_of(none), false);
}

Rule& Rule::nfproto(std::uint8_t number, std::string_view name) {
  word(fmt::format("meta nfproto {}", name));
  meta(NFT_META_NFPROTO, kReg);
  compare(kReg, bytes_of(number));
  return *this;
}

Rule& Rule::interface(bool outgoing, std::string_view name, bool equal) {
  word(fmt::format("{}ifname {}\"{}\"", outgoing ? "o" : "i", equal ? "" : "!= ", name));
  meta(outgoing ? NFT_META_OIFNAME : NFT_META_IIFNAME, kReg);
  compare(kReg, interface_bytes(name), equal);
  return *this;
}

Rule& Rule::interface_in(bool outgoing, const std::string& set, bool inside) {
  word(fmt::format("{}ifname {}@{}", outgoing ? "o" : "i", inside ? "" : "!= ", set));
  meta(outgoing ? NFT_META_OIFNAME : NFT_META_IIFNAME, kReg);
  lookup(set, kReg, !inside);
  return *this;
}

Rule& Rule::interfaces_in(const std::string& set) {
  word(fmt::format("iifname . oifname @{}", set));
  meta(NFT_META_IIFNAME, kConcat);
  meta(NFT_META_OIFNAME, kConcat + 4);
  lookup(set, kConcat);
  return *this;
}

Rule& Rule::loopback4_destination() {
  const std::uint8_t first = 127;
  word("ip daddr 127.0.0.0/8");
  payload(NFT_PAYLOAD_NETWORK_HEADER, kOffsetDestination4, 1, kReg);
  compare(kReg, bytes_of(first));
  return *this;
}

Rule& Rule::loopback4_source() {
  const std::uint8_t first = 127;
  word("ip saddr 127.0.0.0/8");
  payload(NFT_PAYLOAD_NETWORK_HEADER, kOffsetSource4, 1, kReg);
  compare(kReg, bytes_of(first));
  return *this;
}

Rule& Rule::ip_destination(std::string_view four_bytes, std::string_view text, bool source) {
  word(fmt::format("ip {} {}", source ? "saddr" : "daddr", text));
  payload(NFT_PAYLOAD_NETWORK_HEADER, source ? kOffsetSource4 : kOffsetDestination4, 4, kReg);
  compare(kReg, four_bytes);
  return *this;
}

Rule& Rule::ip6_destination(std::string_view sixteen_bytes, std::string_view text) {
  word(fmt::format("ip6 daddr {}", text));
  payload(NFT_PAYLOAD_NETWORK_HEADER, kOffsetDestination6, 16, kReg);
  compare(kReg, sixteen_bytes);
  return *this;
}

Rule& Rule::addresses_in(Family family, const std::string& set) {
  const bool v4 = family == Family::ip;
  if (v4) {
    ipv4();
  } else {
    ipv6();
  }
  word(fmt::format("{0} saddr . {0} daddr @{1}", v4 ? "ip" : "ip6", set));
  payload(NFT_PAYLOAD_NETWORK_HEADER, v4 ? kOffsetSource4 : kOffsetSource6, v4 ? 4 : 16, kConcat);
  payload(NFT_PAYLOAD_NETWORK_HEADER, v4 ? kOffsetDestination4 : kOffsetDestination6, v4 ? 4 : 16,
          kConcat + (v4 ? 1 : 4));
  lookup(set, kConcat);
  return *this;
}

Rule& Rule::l4proto(std::uint8_t number) {
  word(fmt::format("meta l4proto {}", number == 6 ? "tcp" : number == 17 ? "udp" : fmt::format("{}", number)));
  meta(NFT_META_L4PROTO, kReg);
  compare(kReg, bytes_of(number));
  return *this;
}

Rule& Rule::port_is(std::uint16_t port, bool source) {
  word(fmt::format("th {} {}", source ? "sport" : "dport", port));
  payload(NFT_PAYLOAD_TRANSPORT_HEADER, source ? 0 : 2, 2, kReg);
  compare(kReg, port_bytes(port));
  return *this;
}

Rule& Rule::set_port(std::uint8_t protocol, std::uint16_t port, bool source) {
  constexpr std::uint32_t kTcpChecksum = 16, kUdpChecksum = 6;
  word(fmt::format("th {} set {}", source ? "sport" : "dport", port));
  Expression{expressions_, "immediate"}.number(NFTA_IMMEDIATE_DREG, kReg).value(NFTA_IMMEDIATE_DATA, port_bytes(port));
  Expression{expressions_, "payload"}
      .number(NFTA_PAYLOAD_SREG, kReg)
      .number(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER)
      .number(NFTA_PAYLOAD_OFFSET, source ? 0 : 2)
      .number(NFTA_PAYLOAD_LEN, 2)
      .number(NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET)
      .number(NFTA_PAYLOAD_CSUM_OFFSET, protocol == 6 ? kTcpChecksum : kUdpChecksum)
      .number(NFTA_PAYLOAD_CSUM_FLAGS, 0);
  return *this;
}

Rule& Rule::daddr_type_local() {
  constexpr std::uint32_t kLocal = 2;  // RTN_LOCAL
  word("fib daddr type local");
  Expression{expressions_, "fib"}
      .number(NFTA_FIB_DREG, kReg)
      .number(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE)
      .number(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
  compare(kReg, bytes_of(kLocal));
  return *this;
}

Rule& Rule::ct_state_established() {
  word("ct state established,related");
  constexpr std::uint32_t kEstablished = 1U << (IP_CT_ESTABLISHED + 1), kRelated = 1U << (IP_CT_RELATED + 1);
  conntrack_bits(NFT_CT_STATE, kEstablished | kRelated);
  return *this;
}

Rule& Rule::xt_established() {
  word("xt match conntrack ESTABLISHED,RELATED");
  xt_conntrack_mtinfo3 info{};
  info.match_flags = XT_CONNTRACK_STATE;
  info.state_mask = XT_CONNTRACK_STATE_BIT(IP_CT_ESTABLISHED) | XT_CONNTRACK_STATE_BIT(IP_CT_RELATED);
  Expression{expressions_, "match"}
      .name(NFTA_MATCH_NAME, "conntrack")
      .number(NFTA_MATCH_REV, 3)
      .bytes(NFTA_MATCH_INFO, bytes_of(info));
  return *this;
}

Rule& Rule::ct_state_new() {
  word("ct state new");
  conntrack_bits(NFT_CT_STATE, 1U << (IP_CT_NEW + 1));
  return *this;
}

Rule& Rule::ct_status_dnat() {
  word("ct status dnat");
  conntrack_bits(NFT_CT_STATUS, IPS_DST_NAT);
  return *this;
}

Rule& Rule::mark_in(const std::string& set) {
  word(fmt::format("meta mark @{}", set));
  meta(NFT_META_MARK, kReg);
  lookup(set, kReg);
  return *this;
}

Rule& Rule::service_in(const std::string& set) {
  word(fmt::format("meta l4proto . th dport @{}", set));
  meta(NFT_META_L4PROTO, kConcat);
  payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, kConcat + 1);
  lookup(set, kConcat);
  return *this;
}

Rule& Rule::dnat_by(Family family, const std::string& map, bool with_address) {
  const bool v4 = family == Family::ip;
  const std::uint32_t words = v4 ? 1 : 4;  // of an address
  word(fmt::format("dnat {0} to {1}meta l4proto . th dport map @{2}", v4 ? "ip" : "ip6",
                   with_address ? (v4 ? "ip daddr . " : "ip6 daddr . ") : "", map));
  std::uint32_t reg = kConcat;
  if (with_address) {
    payload(NFT_PAYLOAD_NETWORK_HEADER, v4 ? kOffsetDestination4 : kOffsetDestination6, words * 4, reg);
    reg += words;
  }
  meta(NFT_META_L4PROTO, reg);
  payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, reg + 1);
  Expression{expressions_, "lookup"}
      .name(NFTA_LOOKUP_SET, map)
      .number(NFTA_LOOKUP_SREG, kConcat)
      .number(NFTA_LOOKUP_DREG, kConcat + 8);
  Expression{expressions_, "nat"}
      .number(NFTA_NAT_TYPE, NFT_NAT_DNAT)
      .number(NFTA_NAT_FAMILY, static_cast<std::uint32_t>(family))
      .number(NFTA_NAT_REG_ADDR_MIN, kConcat + 8)
      .number(NFTA_NAT_REG_PROTO_MIN, kConcat + 8 + words)
      .number(NFTA_NAT_FLAGS, NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED);
  return *this;
}

Rule& Rule::dnat_spread(Family family, const std::string& map, std::uint32_t slots) {
  const bool v4 = family == Family::ip;
  constexpr std::uint32_t kName = 4;  // words of an interface's name
  const std::uint32_t words = v4 ? 1 : 4;
  word(fmt::format("dnat {0} to iifname . {0} daddr . numgen random mod {1} map @{2}", v4 ? "ip" : "ip6", slots, map));
  meta(NFT_META_IIFNAME, kConcat);
  payload(NFT_PAYLOAD_NETWORK_HEADER, v4 ? kOffsetDestination4 : kOffsetDestination6, words * 4, kConcat + kName);
  Expression{expressions_, "numgen"}
      .number(NFTA_NG_DREG, kConcat + kName + words)
      .number(NFTA_NG_MODULUS, slots)
      .number(NFTA_NG_TYPE, NFT_NG_RANDOM)
      .number(NFTA_NG_OFFSET, 0);
  constexpr std::uint32_t kTarget = kConcat + 10;
  Expression{expressions_, "lookup"}
      .name(NFTA_LOOKUP_SET, map)
      .number(NFTA_LOOKUP_SREG, kConcat)
      .number(NFTA_LOOKUP_DREG, kTarget);
  Expression{expressions_, "nat"}
      .number(NFTA_NAT_TYPE, NFT_NAT_DNAT)
      .number(NFTA_NAT_FAMILY, static_cast<std::uint32_t>(family))
      .number(NFTA_NAT_REG_ADDR_MIN, kTarget)
      .number(NFTA_NAT_FLAGS, NF_NAT_RANGE_MAP_IPS);
  return *this;
}

Rule& Rule::destination_in(Family family, const std::string& set) {
  const bool v4 = family == Family::ip;
  if (v4) {
    ipv4();
  } else {
    ipv6();
  }
  word(fmt::format("{} daddr @{}", v4 ? "ip" : "ip6", set));
  payload(NFT_PAYLOAD_NETWORK_HEADER, v4 ? kOffsetDestination4 : kOffsetDestination6, v4 ? 4 : 16, kConcat);
  lookup(set, kConcat);
  return *this;
}

Rule& Rule::tcp_refusal() {
  constexpr std::uint32_t kSequence = 4, kFlags = 13;
  constexpr std::uint8_t kTcp = 6, kReset = 4;
  const std::uint32_t zero = 0;
  const std::uint8_t none = 0;
  l4proto(kTcp);
  word("tcp sequence 0 tcp flags & rst != 0");
  payload(NFT_PAYLOAD_TRANSPORT_HEADER, kSequence, 4, kReg);
  compare(kReg, bytes_of(zero));
  payload(NFT_PAYLOAD_TRANSPORT_HEADER, kFlags, 1, kReg);
  Expression{expressions_, "bitwise"}
      .number(NFTA_BITWISE_SREG, kReg)
      .number(NFTA_BITWISE_DREG, kReg)
      .number(NFTA_BITWISE_LEN, 1)
      .value(NFTA_BITWISE_MASK, bytes_of(kReset))
      .value(NFTA_BITWISE_XOR, bytes_of(none));
  compare(kReg, bytes_of(none), false);
  return *this;
}

void Rule::original_destination(bool ipv4, std::uint32_t reg) {
  const std::uint8_t direction = IP_CT_DIR_ORIGINAL;
  Expression{expressions_, "ct"}
      .number(NFTA_CT_KEY, ipv4 ? NFT_CT_DST_IP : NFT_CT_DST_IP6)
      .number(NFTA_CT_DREG, reg)
      .bytes(NFTA_CT_DIRECTION, bytes_of(direction));
}

Rule& Rule::original_destination_in(Family family, const std::string& set) {
  const bool v4 = family == Family::ip;
  if (v4) {
    ipv4();
  } else {
    ipv6();
  }
  word(fmt::format("ct original {} daddr @{}", v4 ? "ip" : "ip6", set));
  original_destination(v4, kConcat);
  lookup(set, kConcat);
  return *this;
}

Rule& Rule::asking_client_in(Family family, const std::string& set, bool add) {
  const bool v4 = family == Family::ip;
  const std::uint32_t words = v4 ? 1 : 4;  // of an address
  if (v4) {
    ipv4();
  } else {
    ipv6();
  }
  word(fmt::format("{0}{1} daddr . th dport . ct original {1} daddr {2}", add ? "add @" + set + " { " : "",
                   v4 ? "ip" : "ip6", add ? "}" : "@" + set));
  payload(NFT_PAYLOAD_NETWORK_HEADER, v4 ? kOffsetDestination4 : kOffsetDestination6, words * 4, kConcat);
  payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, kConcat + words);
  original_destination(v4, kConcat + words + 1);
  if (add) {
    Expression{expressions_, "dynset"}
        .name(NFTA_DYNSET_SET_NAME, set)
        .number(NFTA_DYNSET_OP, NFT_DYNSET_OP_ADD)
        .number(NFTA_DYNSET_SREG_KEY, kConcat);
  } else {
    lookup(set, kConcat);
  }
  return *this;
}

Rule& Rule::refuse() {
  constexpr std::uint8_t kIcmp = 1, kIcmp6 = 58;
  word("meta l4proto != { icmp, ipv6-icmp } reject with icmpx port-unreachable");
  meta(NFT_META_L4PROTO, kReg);
  compare(kReg, bytes_of(kIcmp), false);
  compare(kReg, bytes_of(kIcmp6), false);
  Expression expression{expressions_, "reject"};
  expression.number(NFTA_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
  const std::uint8_t code = NFT_REJECT_ICMPX_PORT_UNREACH;
  expression.bytes(NFTA_REJECT_ICMP_CODE, bytes_of(code));
  return *this;
}

Rule& Rule::masquerade() {
  word("masquerade");
  Expression{expressions_, "masq"};
  return *this;
}

Rule& Rule::counter() {
  word("counter");
  Expression{expressions_, "counter"};
  return *this;
}

Rule& Rule::verdict(std::int32_t code, const std::string& chain, const std::string& word_text) {
  word(word_text);
  Expression{expressions_, "immediate"}.number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT).verdict(code, chain);
  return *this;
}

}  // namespace compose::net::nft
