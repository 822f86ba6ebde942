#pragma once
// Settings of the host that networks need: changed when first needed, put back when the last network goes.
#include "base/error.hpp"
#include "net/network_files.hpp"

namespace compose::net {

/// Switches forwarding on (net.ipv4.ip_forward; net.ipv6.conf.all.forwarding with `ipv6`) and remembers what was there.
/// With IPv6, interfaces that learn their routes from router advertisements get accept_ra=2, since a forwarding host
/// ignores advertisements otherwise and would lose its own way out.
Result<void> enable_forwarding(const NetworkFiles& files, bool ipv6);

/// Puts back what enable_forwarding changed, unless somebody else has changed it since. With `needed` (another state
/// root still has networks on this host, which found the setting on) nothing is put back, only forgotten.
Result<void> restore_settings(const NetworkFiles& files, bool needed);

}  // namespace compose::net
