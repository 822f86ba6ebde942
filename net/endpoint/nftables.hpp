#pragma once
// nf_tables over netlink: tables, chains, sets and rules as values with a text form, and the messages they become.
// No nft program and no libnftables (whose licence does not fit). The wire format is linux/netfilter/nf_tables.h's.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "net/endpoint/netlink.hpp"

namespace compose::net::nft {

enum class Family : std::uint8_t { inet = 1, ip = 2, ip6 = 10 };  // NFPROTO_*

/// Data types of set keys as nft(8) knows them; a concatenation is a list.
enum class Type : std::uint8_t {
  ipv4_addr = 7,
  ipv6_addr = 8,
  inet_proto = 12,
  inet_service = 13,
  mark = 19,
  ifname = 41
};

/// Bytes of a key or a value: parts in network order, each padded to four bytes.
class Key {
 public:
  Key& ifname(std::string_view name);
  Key& proto(std::uint8_t number);
  Key& port(std::uint16_t port);
  Key& bytes(std::string_view address);
  const std::string& data() const { return data_; }
  bool operator==(const Key&) const = default;

 private:
  void pad();
  std::string data_;
};

struct Set {
  std::string name;
  std::vector<Type> key;
  std::vector<Type> value;  ///< empty: a set; else a map
  /// Not 0: rules put elements into it, which go by themselves after so many milliseconds.
  std::uint32_t lifetime_ms = 0;
};

struct Element {
  Key key;
  std::optional<Key> value;
};

/// A rule, built left to right; text() is what `nft list` would print of it (nearly).
class Rule {
 public:
  Rule& ipv4() { return nfproto(2, "ipv4"); }
  Rule& ipv6() { return nfproto(10, "ipv6"); }
  Rule& iifname(std::string_view name) { return interface(false, name, true); }
  Rule& iifname_not(std::string_view name) { return interface(false, name, false); }
  Rule& oifname(std::string_view name) { return interface(true, name, true); }
  Rule& iifname_in(const std::string& set) { return interface_in(false, set, true); }
  Rule& iifname_not_in(const std::string& set) { return interface_in(false, set, false); }
  Rule& oifname_in(const std::string& set) { return interface_in(true, set, true); }
  Rule& oifname_not_in(const std::string& set) { return interface_in(true, set, false); }
  /// iifname . oifname @set
  Rule& interfaces_in(const std::string& set);
  /// The destination (or source) is in 127.0.0.0/8; only after ipv4() in an inet table.
  Rule& loopback4_destination();
  Rule& loopback4_source();
  Rule& ip_destination(std::string_view four_bytes, std::string_view text, bool source = false);
  Rule& ip6_destination(std::string_view sixteen_bytes, std::string_view text);
  /// ip saddr . ip daddr @set; tests the family itself.
  Rule& addresses_in(Family family, const std::string& set);
  Rule& l4proto(std::uint8_t number);
  Rule& port_is(std::uint16_t port, bool source = false);
  /// Rewrites the port and mends the checksum; only after l4proto() 6 or 17.
  Rule& set_port(std::uint8_t protocol, std::uint16_t port, bool source = false);
  Rule& daddr_type_local();
  Rule& ct_state_established();
  /// The same as an xtables match, which iptables can read back (linux/netfilter/xt_conntrack.h, revision 3).
  Rule& xt_established();
  Rule& ct_state_new();
  Rule& ct_status_dnat();
  Rule& mark_in(const std::string& set);
  /// meta l4proto . th dport @set
  Rule& service_in(const std::string& set);
  /// dnat to [daddr .] l4proto . dport map @map
  Rule& dnat_by(Family family, const std::string& map, bool with_address);
  /// dnat to iifname . daddr . numgen random mod @slots map @map: one of the slots of a virtual address.
  Rule& dnat_spread(Family family, const std::string& map, std::uint32_t slots);
  /// ip daddr @set, or ip6 daddr @set; tests the family itself.
  Rule& destination_in(Family family, const std::string& set);
  /// A TCP reset that answers the first packet of a connection: its sequence number is 0 (RFC 9293, 3.10.7.1).
  Rule& tcp_refusal();
  /// ct original ip daddr @set (or ip6); tests the family itself.
  Rule& original_destination_in(Family family, const std::string& set);
  /// ip daddr . th dport . ct original ip daddr @set: the client of a translated connection, seen from an answer.
  /// With `add` the set gets it. Tests the family itself.
  Rule& asking_client_in(Family family, const std::string& set, bool add);
  Rule& masquerade();
  /// An ICMP "port unreachable" for what is not ICMP itself; TCP takes it for a refused connection.
  Rule& refuse();
  Rule& counter();
  Rule& accept() { return verdict(1, {}, "accept"); }
  Rule& drop() { return verdict(0, {}, "drop"); }
  Rule& jump(const std::string& chain) { return verdict(-3, chain, "jump " + chain); }
  Rule& go_back() { return verdict(-5, {}, "return"); }

  const std::string& text() const { return text_; }
  /// The encoded expression list.
  const std::string& expressions() const { return expressions_; }

 private:
  class Expression;
  Rule& nfproto(std::uint8_t number, std::string_view name);
  Rule& interface(bool outgoing, std::string_view name, bool equal);
  Rule& interface_in(bool outgoing, const std::string& set, bool inside);
  Rule& verdict(std::int32_t code, const std::string& chain, const std::string& word);
  void word(std::string_view text);
  void meta(std::uint32_t key, std::uint32_t reg);
  void payload(std::uint32_t base, std::uint32_t offset, std::uint32_t size, std::uint32_t reg);
  void compare(std::uint32_t reg, std::string_view value, bool equal = true);
  void conntrack_bits(std::uint32_t key, std::uint32_t bits);
  void lookup(const std::string& set, std::uint32_t reg, bool invert = false);
  void original_destination(bool ipv4, std::uint32_t reg);
  std::string text_;
  std::string expressions_;
};

struct Hook {
  std::string type;          ///< "filter", "nat", "route"
  std::uint32_t number = 0;  ///< NF_INET_*
  std::int32_t priority = 0;
  bool policy_drop = false;  ///< what becomes of a packet no rule decides about
};

struct Chain {
  std::string name;
  std::optional<Hook> hook;  ///< a base chain, else an ordinary one
  std::vector<Rule> rules;
};

struct Table {
  Family family = Family::inet;
  std::string name;
  std::vector<Set> sets;
  std::vector<Chain> chains;
};

/// The table as text, for tests and people.
std::string to_text(const Table& table);

/// One nf_tables transaction: nothing or all of it happens.
class Transaction {
 public:
  Transaction();
  /// Creates the table with sets, chains and rules; it must not exist (see remove_table).
  void add_table(const Table& table);
  /// Removes the table if it exists, with all in it.
  void remove_table(Family family, const std::string& name);
  void add_elements(Family family, const std::string& table, const std::string& set, std::span<const Element> elements);
  /// Elements must exist.
  void remove_elements(Family family, const std::string& table, const std::string& set,
                       std::span<const Element> elements);
  void append_rule(Family family, const std::string& table, const std::string& chain, const Rule& rule,
                   std::string_view comment = {});
  void remove_rule(Family family, const std::string& table, const std::string& chain, std::uint64_t handle);
  bool empty() const { return changes_ == 0; }
  /// Closes and sends the transaction.
  Result<void> commit(netlink::Socket& socket);

 private:
  void begin(std::uint16_t type, std::uint16_t flags, Family family, std::string label);
  void elements(bool add, Family family, const std::string& table, const std::string& set,
                std::span<const Element> elements);
  netlink::Batch batch_;
  unsigned changes_ = 0;
  std::uint32_t next_set_id_ = 1;
};

/// A base chain of anybody's, as a dump shows it.
struct BaseChain {
  Family family = Family::inet;
  std::string table, name;
  std::uint32_t hook = 0;
  bool policy_drop = false;
};
Result<bool> chain_exists(netlink::Socket& socket, Family family, const std::string& table, const std::string& chain);
Result<std::vector<BaseChain>> base_chains(netlink::Socket& socket);

/// The elements a set has. Errors: not_found when there is no such set or table.
Result<std::vector<Element>> elements(netlink::Socket& socket, Family family, const std::string& table,
                                      const std::string& set);

/// A rule of a chain: what we need of it.
struct ListedRule {
  std::uint64_t handle = 0;
  std::string comment;               ///< our own comments only (see append_rule)
  std::vector<std::string> targets;  ///< chains it jumps to
};
Result<std::vector<ListedRule>> rules(netlink::Socket& socket, Family family, const std::string& table,
                                      const std::string& chain);

}  // namespace compose::net::nft
