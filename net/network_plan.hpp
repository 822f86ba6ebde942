#pragma once
// Decisions about networks, without effects.
#include <string>
#include <vector>

#include "base/error.hpp"
#include "net/ipam/ipam.hpp"
#include "net/networks.hpp"

namespace compose::net {

/// What of the host a plan depends on.
struct HostAddresses {
  std::vector<ipam::Taken> routed;     ///< every destination but the default routes, and the host's name servers
  std::vector<ipam::Taken> connected;  ///< those of them that are on an interface itself
  int mtu = 0;                         ///< of the interface with the default route, bytes; 0: unknown
  std::string seed;                    ///< something that tells this host from others: its machine-id
};
/// Reads it (netlink, /etc/resolv.conf, /etc/machine-id).
Result<HostAddresses> look_at_host();

/// The network `spec` asks for. Pure.
/// A chosen subnet overlaps nothing; one from the file must not overlap another network's or one the host is itself
/// connected to. Errors as Networks::ensure.
Result<Network> plan_network(const NetworkSpec& spec, const std::string& state_root, const std::vector<Network>& others,
                             const HostAddresses& host);

/// Finds or changes the lease for `request` in `leases`. Pure. Errors as Networks::lease.
Result<Lease> assign_lease(const Network& network, const LeaseRequest& request, std::vector<Lease>& leases);

/// Pure. Errors: invalid (a macvlan or ipvlan mode nobody knows).
Result<endpoint::Attachment> plan_attachment(const Network& network, const Lease& lease,
                                             const std::string& container_id, unsigned index, bool default_route);

}  // namespace compose::net
