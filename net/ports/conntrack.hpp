#pragma once
// What the kernel remembers of conversations with containers, where that would lead packets to one that is gone. A UDP
// client that goes on sending keeps its entry alive, and with it the address of the container: entries are removed when
// a port opens or closes. A TCP connection that stands must go on to where it is; one that was asked for and never
// answered (the container's queue was full) is asked for again by its client, and then goes where the rules say.
//
// `socket` is one for NETLINK_NETFILTER. Kernels without ctnetlink have nothing to offer here: no error.
#include <span>

#include "base/error.hpp"
#include "net/endpoint/netlink.hpp"
#include "net/firewall/ruleset.hpp"

namespace compose::net::ports {

/// Removes the entries of all UDP ports among `ports` (host port and, if given, host address).
Result<void> forget_conversations(netlink::Socket& socket, std::span<const firewall::Port> ports);

/// Removes the entries of TCP connections that wait for the first answer of one of `containers`, and of UDP that was led
/// there from another address.
Result<void> forget_unanswered(netlink::Socket& socket, std::span<const IpAddress> containers);

}  // namespace compose::net::ports
