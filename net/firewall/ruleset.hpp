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
//  - what leaves to the outside has the host's address.
#include <string>
#include <vector>

#include "net/address.hpp"
#include "net/endpoint/nftables.hpp"
#include "net/networks.hpp"

namespace compose::net::firewall {

/// "compose" for the ordinary state root; another root gets a table of its own beside it.
std::string table_name(const std::string& state_root);

/// Names a chain that says which layout of rules the table has: another one is replaced as a whole.
inline constexpr const char* kLayoutChain = "layout-1";

nft::Table base_table(const std::string& name);

/// An element and the set it belongs to.
struct Entry {
  std::string set;
  nft::Element element;
};

/// The sets a network's bridge is in.
std::vector<Entry> network_entries(const Network& network);

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
