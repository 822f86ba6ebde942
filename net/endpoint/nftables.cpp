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

std::string_view type_name(Type type) {
  switch (type) {
    case Type::ipv4_addr:
      return "ipv4_addr";
    case Type::ipv6_addr:
      return "ipv6_addr";
    case Type::inet_proto:
      return "inet_proto";
    case Type::inet_service:
      return "inet_service";
    case Type::mark:
      return "mark";
    case Type::ifname:
      return "ifname";
  }
  return "?";
}

std::uint32_t type_size(Type type) {
  switch (type) {
    case Type::ipv6_addr:
    case Type::ifname:
      return 16;
    default:
      return 4;
  }
}

/// nft's number of a concatenation: six bits for each part.
std::uint32_t type_number(const std::vector<Type>& types) {
  std::uint32_t number = 0;
  for (const Type type : types) number = (number << 6) | static_cast<std::uint32_t>(type);
  return number;
}

std::uint32_t types_size(const std::vector<Type>& types) {
  // A single small type has its own size; parts of a concatenation fill whole registers.
  if (types.size() == 1 && types[0] == Type::inet_service) return 2;
  if (types.size() == 1 && types[0] == Type::inet_proto) return 1;
  std::uint32_t size = 0;
  for (const Type type : types) size += type_size(type);
  return size;
}

std::string types_text(const std::vector<Type>& types) {
  std::string text;
  for (const Type type : types) text.append(text.empty() ? "" : " . ").append(type_name(type));
  return text;
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

std::string to_text(const Table& table) {
  const auto family = table.family == Family::inet ? "inet" : table.family == Family::ip ? "ip" : "ip6";
  std::string text = fmt::format("table {} {} {{\n", family, table.name);
  for (const Set& set : table.sets)
    text += fmt::format("  {} {} {{ type {}{}{} }}\n", set.value.empty() ? "set" : "map", set.name, types_text(set.key),
                        set.value.empty() ? "" : " : ", types_text(set.value));
  for (const Chain& chain : table.chains) {
    text += fmt::format("  chain {} {{\n", chain.name);
    if (chain.hook)
      text +=
          fmt::format("    type {} hook {} priority {}\n", chain.hook->type, chain.hook->number, chain.hook->priority);
    for (const Rule& rule : chain.rules) text += "    " + rule.text() + "\n";
    text += "  }\n";
  }
  return text + "}\n";
}

namespace {

std::uint16_t message_type(std::uint16_t type) { return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type); }

nfgenmsg general(Family family, std::uint16_t resource = 0) {
  nfgenmsg head{};
  head.nfgen_family = static_cast<std::uint8_t>(family);
  head.version = NFNETLINK_V0;
  head.res_id = htons(resource);
  return head;
}

}  // namespace

Transaction::Transaction() {
  batch_.message(NFNL_MSG_BATCH_BEGIN, 0, "begin the nf_tables transaction");
  batch_.header(general(Family{AF_UNSPEC}, NFNL_SUBSYS_NFTABLES));
}

void Transaction::begin(std::uint16_t type, std::uint16_t flags, Family family, std::string label) {
  batch_.message(message_type(type), flags, std::move(label));
  batch_.header(general(family));
  ++changes_;
}

void Transaction::add_table(const Table& table) {
  begin(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, table.family,
        fmt::format("add the nf_tables table {}", table.name));
  batch_.text(NFTA_TABLE_NAME, table.name);
  for (const Set& set : table.sets) {
    begin(NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL, table.family, fmt::format("add the nf_tables set {}", set.name));
    batch_.text(NFTA_SET_TABLE, table.name);
    batch_.text(NFTA_SET_NAME, set.name);
    batch_.be32(NFTA_SET_FLAGS, set.value.empty() ? 0 : NFT_SET_MAP);
    batch_.be32(NFTA_SET_KEY_TYPE, type_number(set.key));
    batch_.be32(NFTA_SET_KEY_LEN, types_size(set.key));
    if (!set.value.empty()) {
      batch_.be32(NFTA_SET_DATA_TYPE, type_number(set.value));
      batch_.be32(NFTA_SET_DATA_LEN, types_size(set.value));
    }
    batch_.be32(NFTA_SET_ID, next_set_id_++);
    if (set.key == std::vector{Type::ifname}) {
      // For nft's eyes only: the key is in host byte order, else it lists names as empty.
      constexpr std::uint32_t kHostEndian = 1;
      batch_.attribute(NFTA_SET_USERDATA, std::string{'\0', '\4'} + std::string{bytes_of(kHostEndian)});
    }
  }
  for (const Chain& chain : table.chains) {
    begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, table.family,
          fmt::format("add the nf_tables chain {}", chain.name));
    batch_.text(NFTA_CHAIN_TABLE, table.name);
    batch_.text(NFTA_CHAIN_NAME, chain.name);
    if (chain.hook) {
      batch_.text(NFTA_CHAIN_TYPE, chain.hook->type);
      batch_.be32(NFTA_CHAIN_POLICY, chain.hook->policy_drop ? NF_DROP : NF_ACCEPT);
      const std::size_t hook = batch_.nest(NFTA_CHAIN_HOOK);
      batch_.be32(NFTA_HOOK_HOOKNUM, chain.hook->number);
      batch_.be32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(chain.hook->priority));
      batch_.end(hook);
    }
  }
  for (const Chain& chain : table.chains)
    for (const Rule& rule : chain.rules) append_rule(table.family, table.name, chain.name, rule);
}

void Transaction::remove_table(Family family, const std::string& name) {
  // Adding first makes the removal work whether or not the table exists (DESTROYTABLE needs Linux 6.3).
  begin(NFT_MSG_NEWTABLE, NLM_F_CREATE, family, fmt::format("add the nf_tables table {}", name));
  batch_.text(NFTA_TABLE_NAME, name);
  begin(NFT_MSG_DELTABLE, 0, family, fmt::format("remove the nf_tables table {}", name));
  batch_.text(NFTA_TABLE_NAME, name);
}

void Transaction::elements(bool add, Family family, const std::string& table, const std::string& set,
                           std::span<const Element> elements) {
  constexpr std::size_t kListLimit = 60000;  // an attribute's length has 16 bits
  for (std::size_t next = 0; next < elements.size();) {
    begin(add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, add ? NLM_F_CREATE : 0, family,
          fmt::format("{} nf_tables set {}", add ? "add to" : "remove from", set));
    batch_.text(NFTA_SET_ELEM_LIST_TABLE, table);
    batch_.text(NFTA_SET_ELEM_LIST_SET, set);
    const std::size_t list = batch_.nest(NFTA_SET_ELEM_LIST_ELEMENTS);
    for (; next < elements.size() && batch_.nested_size(list) < kListLimit; ++next) {
      const std::size_t element = batch_.nest(NFTA_LIST_ELEM);
      const std::size_t key = batch_.nest(NFTA_SET_ELEM_KEY);
      batch_.attribute(NFTA_DATA_VALUE, elements[next].key.data());
      batch_.end(key);
      if (add && elements[next].value) {
        const std::size_t data = batch_.nest(NFTA_SET_ELEM_DATA);
        batch_.attribute(NFTA_DATA_VALUE, elements[next].value->data());
        batch_.end(data);
      }
      batch_.end(element);
    }
    batch_.end(list);
  }
}

void Transaction::add_elements(Family family, const std::string& table, const std::string& set,
                               std::span<const Element> list) {
  elements(true, family, table, set, list);
}

void Transaction::remove_elements(Family family, const std::string& table, const std::string& set,
                                  std::span<const Element> list) {
  elements(false, family, table, set, list);
}

namespace {
// nft's user data of a rule is a list of {type, length, value}; type 0 is the comment it prints.
std::string comment_data(std::string_view comment) {
  std::string data{'\0', static_cast<char>(comment.size() + 1)};
  data += comment;
  data.push_back('\0');
  return data;
}

std::string comment_of(std::string_view data) {
  while (data.size() >= 2) {
    const auto size = static_cast<std::uint8_t>(data[1]);
    if (data.size() < 2U + size) break;
    if (data[0] == 0 && size > 0) return std::string{data.substr(2, size - 1U)};
    data.remove_prefix(2U + size);
  }
  return {};
}
}  // namespace

void Transaction::append_rule(Family family, const std::string& table, const std::string& chain, const Rule& rule,
                              std::string_view comment) {
  begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, family,
        fmt::format("add the nf_tables rule \"{}\"", rule.text()));
  batch_.text(NFTA_RULE_TABLE, table);
  batch_.text(NFTA_RULE_CHAIN, chain);
  batch_.attribute(NFTA_RULE_EXPRESSIONS | NLA_F_NESTED, rule.expressions());
  if (!comment.empty()) batch_.attribute(NFTA_RULE_USERDATA, comment_data(comment));
}

void Transaction::remove_rule(Family family, const std::string& table, const std::string& chain, std::uint64_t handle) {
  begin(NFT_MSG_DELRULE, 0, family, fmt::format("remove rule {} of {} {}", handle, table, chain));
  batch_.text(NFTA_RULE_TABLE, table);
  batch_.text(NFTA_RULE_CHAIN, chain);
  batch_.be64(NFTA_RULE_HANDLE, handle);
}

Result<void> Transaction::commit(netlink::Socket& socket) {
  if (changes_ == 0) return {};
  batch_.message(NFNL_MSG_BATCH_END, 0, "end the nf_tables transaction");
  batch_.header(general(Family{AF_UNSPEC}, NFNL_SUBSYS_NFTABLES));
  return socket.execute(batch_);
}

Result<bool> chain_exists(netlink::Socket& socket, Family family, const std::string& table, const std::string& chain) {
  netlink::Batch batch;
  batch.message(message_type(NFT_MSG_GETCHAIN), 0, fmt::format("look for the nf_tables chain {} {}", table, chain));
  batch.header(general(family));
  batch.text(NFTA_CHAIN_TABLE, table);
  batch.text(NFTA_CHAIN_NAME, chain);
  bool found = false;
  auto outcome = socket.query(batch, [&](const netlink::Reply&) { found = true; });
  if (!outcome.ok() && outcome.error().sys_errno() == ENOENT) return false;
  TRY(std::move(outcome));
  return found;
}

Result<std::vector<BaseChain>> base_chains(netlink::Socket& socket) {
  netlink::Batch batch;
  batch.message(message_type(NFT_MSG_GETCHAIN), NLM_F_DUMP, "list nf_tables chains");
  batch.header(general(Family{AF_UNSPEC}));
  std::vector<BaseChain> chains;
  TRY(socket.query(batch, [&](const netlink::Reply& reply) {
    if (reply.payload.size() < sizeof(nfgenmsg)) return;
    BaseChain chain;
    bool base = false;
    chain.family = Family{static_cast<std::uint8_t>(reply.payload[0])};
    netlink::for_each_attribute(reply.payload.substr(sizeof(nfgenmsg)), [&](const netlink::Attribute& attribute) {
      if (attribute.type == NFTA_CHAIN_TABLE) chain.table = attribute.text();
      if (attribute.type == NFTA_CHAIN_NAME) chain.name = attribute.text();
      if (attribute.type == NFTA_CHAIN_POLICY) chain.policy_drop = attribute.be32() == NF_DROP;
      if (attribute.type == NFTA_CHAIN_HOOK) {
        base = true;
        netlink::for_each_attribute(attribute.data, [&](const netlink::Attribute& inner) {
          if (inner.type == NFTA_HOOK_HOOKNUM) chain.hook = inner.be32();
        });
      }
    });
    if (base) chains.push_back(std::move(chain));
  }));
  return chains;
}

namespace {

/// The chain a verdict jumps to, in the attributes of an "immediate" expression's data.
void collect_target(std::string_view expression, std::vector<std::string>& targets) {
  netlink::for_each_attribute(expression, [&](const netlink::Attribute& part) {
    if (part.type != NFTA_EXPR_DATA) return;
    netlink::for_each_attribute(part.data, [&](const netlink::Attribute& field) {
      if (field.type != NFTA_IMMEDIATE_DATA) return;
      netlink::for_each_attribute(field.data, [&](const netlink::Attribute& data) {
        if (data.type != NFTA_DATA_VERDICT) return;
        netlink::for_each_attribute(data.data, [&](const netlink::Attribute& verdict) {
          if (verdict.type == NFTA_VERDICT_CHAIN) targets.emplace_back(verdict.text());
        });
      });
    });
  });
}

bool is_immediate(std::string_view expression) {
  bool immediate = false;
  netlink::for_each_attribute(expression, [&](const netlink::Attribute& part) {
    if (part.type == NFTA_EXPR_NAME) immediate = part.text() == "immediate";
  });
  return immediate;
}

}  // namespace

Result<std::vector<ListedRule>> rules(netlink::Socket& socket, Family family, const std::string& table,
                                      const std::string& chain) {
  netlink::Batch batch;
  batch.message(message_type(NFT_MSG_GETRULE), NLM_F_DUMP, "list nf_tables rules");
  batch.header(general(family));
  batch.text(NFTA_RULE_TABLE, table);
  batch.text(NFTA_RULE_CHAIN, chain);
  std::vector<ListedRule> list;
  TRY(socket.query(batch, [&](const netlink::Reply& reply) {
    if (reply.payload.size() < sizeof(nfgenmsg)) return;
    ListedRule rule;
    bool wanted = true;
    netlink::for_each_attribute(reply.payload.substr(sizeof(nfgenmsg)), [&](const netlink::Attribute& attribute) {
      if (attribute.type == NFTA_RULE_TABLE) wanted = wanted && attribute.text() == table;
      if (attribute.type == NFTA_RULE_CHAIN) wanted = wanted && attribute.text() == chain;
      if (attribute.type == NFTA_RULE_HANDLE) rule.handle = attribute.be64();
      if (attribute.type == NFTA_RULE_USERDATA) rule.comment = comment_of(attribute.data);
      if (attribute.type == NFTA_RULE_EXPRESSIONS)
        netlink::for_each_attribute(attribute.data, [&](const netlink::Attribute& expression) {
          if (is_immediate(expression.data)) collect_target(expression.data, rule.targets);
        });
    });
    if (wanted) list.push_back(std::move(rule));
  }));
  return list;
}

}  // namespace compose::net::nft
