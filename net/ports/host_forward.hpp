#pragma once
// Published ports of a world without root (src/cli/rootless.hpp): slirp4netns opens them on the host, as the user, and
// carries what arrives into our network namespace. Its control socket is what COMPOSE_PORT_FORWARDER names; without
// that variable the ports are the kernel's, and nothing here does anything.
#include "base/error.hpp"
#include "net/firewall/ruleset.hpp"

namespace compose::net::ports {

/// Are ports forwarded by slirp4netns?
bool forwarded();

/// The port as our own firewall is to see it: whatever address it has on the host, slirp4netns brings it to one.
firewall::Port inside(firewall::Port port);

/// Opens the port on the host; one that is open already stays. Errc::busy when somebody else has it there.
/// IPv4 alone, TCP and UDP: what slirp4netns can do.
Result<void> open_on_host(const firewall::Port& port);

/// Closes it; one that is not open is no error.
Result<void> close_on_host(const firewall::Port& port);

}  // namespace compose::net::ports
