#pragma once
// The rules of ours in the host's nf_tables, as values: one table "compose" of family inet.
//
// Chains are fixed; what changes with networks and ports are the elements of its sets and maps, so adding the ports of
// a hundred containers is one small transaction. What the rules promise:
//  - a published port is reachable at the host's addresses from outside, from the host and from containers (hairpin);
//    the client's address stays visible except where the way back would miss us (loopback, same network);
//  - a port published at 127.0.0.1 is reachable from the host alone: nothing that arrives from a wire is ever
//    translated for a loopback destination;
//  - a container's address is not reachable from outside by routing to it; networks do not reach each other; an
//    internal network reaches nothing;
//  - what leaves to the outside has the host's address;
//  - where the host's own input chain drops by policy, published ports are closed to the outside (not to the host and
//    not to containers) unless the network's option "compose.firewall" says "open";
//  - a service's virtual address leads to one of its replicas, at random for each connection, from its own network
//    alone; without a replica it refuses, or, for a moment, lets clients try again; a refusal of a replica counts when
//    it comes twice.
#include <string>
#include <vector>

#include "net/address.hpp"
#include "net/endpoint/nftables.hpp"
#include "net/networks.hpp"

namespace compose::net::firewall {

/// "compose" for the ordinary state root; another root gets a table of its own beside it.
std::string table_name(const std::string& state_root);

/// Names a chain that says which layout of rules the table has: another one is replaced as a whole.
inline constexpr const char* kLayoutChain = "layout-4";

nft::Table base_table(const std::string& name);

/// An element and the set it belongs to.
struct Entry {
  std::string set;
  nft::Element element;
};

/// Does an input chain of somebody else drop what it has no rule for?
struct InputPolicy {
  bool drops4 = false, drops6 = false;
};

/// `driver_opts` of a network: "obey" (also without it) or "open".
inline constexpr const char* kFirewallOption = "compose.firewall";
/// The network's ports are open whatever the host's input and forward chains say by policy.
bool is_open(const Network& network);

/// The sets a network's bridge is in.
std::vector<Entry> network_entries(const Network& network, const InputPolicy& policy);

/// Slots of a virtual address: each connection takes one at random, each belongs to a replica. Divisible by all numbers
/// of replicas up to 6, and by 8, 10 and 12; else a replica has at most one slot in 120 more than another.
inline constexpr std::uint32_t kSlots = 120;
/// Errors: invalid addresses.
Result<std::vector<Entry>> spread_entries(const Spread& spread);

/// A published port with its protocol number and addresses read.
struct Port {
  std::optional<IpAddress> host_ip;  ///< nothing: all addresses
  bool ipv4 = true, ipv6 = true;     ///< host families it is published on
  std::uint8_t protocol = 6;
  std::uint16_t host_port = 0;
  std::optional<IpAddress> target4, target6;
  std::uint16_t target_port = 0;
};
/// Errors: invalid (protocol, addresses, families that cannot meet).
Result<Port> read_port(const Publication& publication);
/// Two ports of one container share elements: remove only what no other needs.
std::vector<Entry> port_entries(const Port& port);

/// "172.18.0.2 . 80" and so on, for tests.
std::string to_text(const Entry& entry);

}  // namespace compose::net::firewall
