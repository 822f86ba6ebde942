#pragma once
// Interfaces and routes of the current network namespace (rtnetlink(7)).
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "net/address.hpp"

namespace compose::net {

struct Link {
  int index = 0;
  std::string name;
  std::string kind;  ///< "bridge", "veth", "macvlan"…; empty for hardware
  int master = 0;    ///< index of the bridge it is a port of, or 0
  int mtu = 0;       ///< bytes
  bool up = false;
};
Result<std::vector<Link>> list_links();

struct Route {
  Prefix destination;      ///< length 0: a default route
  std::string interface;   ///< may be empty (blackhole, multipath)
  bool connected = false;  ///< no gateway: the hosts of this subnet are on the interface itself
};
/// Unicast routes of the main table, both families.
Result<std::vector<Route>> list_routes();

struct BridgeSpec {
  std::string name;
  std::string mac;                ///< fixed, or it would change with every port
  std::vector<Prefix> addresses;  ///< of the host on this bridge
  int mtu = 0;                    ///< bytes; 0: the kernel's default
  bool ipv6 = false;
};
/// Creates the bridge or repairs an existing one of that name: addresses, up, no router advertisements, route_localnet
/// for published ports of the loopback.
Result<void> ensure_bridge(const BridgeSpec& spec);

/// Gives an interface further addresses; those it has are fine.
Result<void> add_addresses(const std::string& interface, std::span<const Prefix> addresses);
/// Takes them away; those it does not have, and an interface that is gone, are fine.
Result<void> remove_addresses(const std::string& interface, std::span<const Prefix> addresses);

/// Removes interfaces, those that do not exist included, in one go (the kernel waits once for all of them).
Result<void> remove_links(std::span<const std::string> names);

/// Reads a setting below /proc/sys/net, trailing newline cut; nothing if there is no such file.
std::optional<std::string> read_net_sysctl(const std::string& name);
Result<void> write_net_sysctl(const std::string& name, std::string_view value);

}  // namespace compose::net
