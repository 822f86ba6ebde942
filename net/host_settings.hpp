#pragma once
// Settings of the host that networks need: changed when first needed, put back when the last network of the host goes,
// whichever state root it belongs to. What they were before is kept in the file of each state root that knows, and
// beside our rules in the kernel ("inet compose-host"), where the others find it: that lives as long as the network
// namespace whose settings they are.
#include "base/error.hpp"
#include "net/firewall/firewall.hpp"
#include "net/network_files.hpp"
#include "sys/lock.hpp"

namespace compose::net {

/// Held over a look at who else needs the settings and the change that follows from it: the one lock that all state
/// roots share. It is the network namespace itself.
Result<sys::FileLock> lock_host_settings();

/// Switches forwarding on (net.ipv4.ip_forward; net.ipv6.conf.all.forwarding with `ipv6`) and remembers what was there.
/// With IPv6, interfaces that learn their routes from router advertisements get accept_ra=2, since a forwarding host
/// ignores advertisements otherwise and would lose its own way out.
Result<void> enable_forwarding(const NetworkFiles& files, const firewall::Firewall& rules, bool ipv6);

/// Puts back what was changed, unless somebody else has changed it since. With `needed` (another state root still has
/// networks on this host) nothing is put back, only left to that one.
Result<void> restore_settings(const NetworkFiles& files, const firewall::Firewall& rules, bool needed);

}  // namespace compose::net
