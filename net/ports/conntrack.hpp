#pragma once
// What the kernel remembers of UDP conversations through published ports. A client that goes on sending keeps its entry
// alive, and with it the address of a container that is gone: entries are removed when a port opens or closes.
#include <span>

#include "base/error.hpp"
#include "net/firewall/ruleset.hpp"

namespace compose::net::ports {

/// Removes the entries of all UDP ports among `ports` (host port and, if given, host address). Kernels without
/// ctnetlink have nothing to offer here: no error.
Result<void> forget_conversations(std::span<const firewall::Port> ports);

}  // namespace compose::net::ports
