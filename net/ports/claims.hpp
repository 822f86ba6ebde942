#pragma once
// Who may have which port of the host.
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "net/firewall/ruleset.hpp"
#include "net/networks.hpp"

namespace compose::net::ports {

/// Do the two want the same port of the same address? Pure.
bool collide(const firewall::Port& a, const firewall::Port& b);

/// "8080/tcp" or "127.0.0.1:8080/udp".
std::string to_text(const firewall::Port& port);

/// Sockets bound to a port so that no other process gets it while it is ours. They never listen: the kernel sends the
/// traffic elsewhere before it would reach them.
struct Hold {
  std::uint16_t port = 0;
  std::vector<UniqueFd> sockets;
  firewall::Port published = {};  ///< filled in by whoever keeps it
};

/// Binds the port on the addresses it is published at; port 0 takes one the kernel finds free.
/// Errors: busy, naming the process that has it; invalid for an address that is not the host's; unsupported (SCTP,
/// where the kernel has none: no container could serve it either); permission.
Result<Hold> hold(const firewall::Port& port);

/// "nginx (pid 812)" for whoever is bound to the port here, if it can be seen (/proc/net and the descriptors of all
/// processes).
std::optional<std::string> holder(const firewall::Port& port);

}  // namespace compose::net::ports
