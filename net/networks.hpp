#pragma once
// The networks of the host as the supervisor sees them: bridges, addresses and published ports. State is in files
// below the two roots, under one lock, so that the supervisors of several projects share it safely; kernel objects
// have names derived from the state, so that every function may be repeated after a crash.
//
// Functions block for as long as a few netlink messages take (about a millisecond). One object per thread.
//
// What it changes in the host: see net/firewall/ruleset.hpp for the rules; net.ipv4.ip_forward (and
// net.ipv6.conf.all.forwarding with an IPv6 network) are switched on with the first network and put back when the
// last one goes; route_localnet and accept_ra are set on our own bridges alone.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "net/endpoint/endpoint.hpp"
#include "net/ports/local_proxy.hpp"

namespace compose::net {

/// One entry of `ipam.config`. Errors of its texts are reported by ensure().
struct Pool {
  std::string subnet;    ///< "172.28.0.0/16"; empty: chosen
  std::string ip_range;  ///< part of the subnet from which addresses are chosen; empty: all of it
  std::string gateway;   ///< empty: the first address
  std::map<std::string, std::string> aux_addresses;  ///< name → address that is never leased
};

/// What a project wants (the specification's `networks:`), names resolved.
struct NetworkSpec {
  std::string project;  ///< empty for one made by `network create`
  std::string key;      ///< the key in the file: "default"
  std::string name;     ///< "shop_default"; unique on the host
  std::string driver;   ///< "" and "bridge"; "macvlan", "ipvlan"; "host" and "none" are no networks of ours
  bool internal = false;
  bool attachable = false;
  bool enable_ipv4 = true;
  bool enable_ipv6 = false;
  std::vector<Pool> pools;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> options;  ///< driver_opts, Docker's names (com.docker.network.*) included
};

struct Subnet {
  std::string cidr;     ///< "172.18.0.0/16"
  std::string gateway;  ///< "172.18.0.1"; empty: none (macvlan without one)
};

/// A network that exists.
struct Network {
  NetworkSpec spec;
  std::string id;      ///< 64 hexadecimal digits, from the name and the state root
  std::string bridge;  ///< "br-" and 12 digits; for macvlan and ipvlan the parent interface
  std::vector<Subnet> subnets;
  int mtu = 0;             ///< bytes
  std::string created_at;  ///< RFC 3339
};

struct LeaseRequest {
  std::string network;       ///< its name
  std::string owner;         ///< stable over recreation: "project/service/number"
  std::string container_id;  ///< who has it now
  std::string ipv4, ipv6;    ///< wanted addresses; empty: chosen
  std::string mac;           ///< wanted; empty: derived from the address, so that neighbours' caches stay right
};

struct Lease {
  std::string network;
  std::string owner;
  std::string container_id;
  std::string ipv4_cidr;  ///< "172.18.0.2/16"; empty without IPv4
  std::string ipv6_cidr;
  std::string mac;
  std::string ipv4() const { return ipv4_cidr.substr(0, ipv4_cidr.find('/')); }
  std::string ipv6() const { return ipv6_cidr.substr(0, ipv6_cidr.find('/')); }
};

/// One published port (ranges are expanded by the caller, or by `host_port_end`).
struct Publication {
  std::string project;
  std::string container_id;
  std::string label;                ///< how messages name the owner: `service "web"`; may be empty
  std::string host_ip;              ///< "" = all addresses, IPv4 and IPv6
  std::uint16_t host_port = 0;      ///< 0 = any free one
  std::uint16_t host_port_end = 0;  ///< with host_port: the first free one of the range; 0 = just host_port
  std::string protocol;             ///< "tcp" (also ""), "udp", "sctp"
  std::string container_ip;         ///< IPv4 address in the container; may be empty when container_ip6 is there
  std::string container_ip6;        ///< empty: published on IPv4 only
  std::uint16_t container_port = 0;
  std::string bridge;  ///< of the network the address belongs to
};

/// A service's virtual address on one network, and the containers behind it (`endpoint_mode: vip`).
struct Spread {
  std::string owner;                            ///< of the address' lease: "project/service/vip"
  std::string network;                          ///< its name
  std::string bridge;                           ///< filled in by spread()
  std::string address4, address6;               ///< of the lease; empty: none of this family
  std::vector<std::string> targets4, targets6;  ///< containers' addresses; empty: connections are refused
  bool hold = false;  ///< without targets: packets are dropped instead, so that clients try again
  bool operator==(const Spread&) const = default;
};

class Networks {
 public:
  /// Makes no change until asked to.
  Networks(std::string state_root, std::string run_root);
  Networks(Networks&&) noexcept;
  Networks& operator=(Networks&&) noexcept;
  ~Networks();

  /// The network of this name, made if needed: subnets chosen, bridge, rules. One that exists with another
  /// specification is kept as it is (compare spec to decide on recreation). Repairs what is missing in the kernel.
  /// Errors: invalid (pools), busy (a subnet that overlaps a route of the host or another network), failed "no free
  /// subnet".
  Result<Network> ensure(const NetworkSpec& spec);
  /// Errors: busy while a lease's container still has an interface on it; not_found.
  Result<void> remove(const std::string& name);
  /// The same for many at once, which costs hardly more than one.
  Result<void> remove_all(std::span<const std::string> names);
  Result<std::vector<Network>> list();
  Result<std::optional<Network>> find(const std::string& name);

  /// An address for `owner`: the one it had before, if it is still free of other owners.
  /// Errors: not_found (network), invalid (wanted address outside the subnets), busy (wanted address taken, names the
  /// owner), failed (no address left).
  Result<Lease> lease(const LeaseRequest& request);
  /// The same for many at once: one lock, one write of each file.
  Result<std::vector<Lease>> lease_all(std::span<const LeaseRequest> requests);
  /// Gives up all leases whose owner is `owner`, or begins with it and a "/" ("shop" frees the whole project).
  Result<void> release(const std::string& owner);
  Result<std::vector<Lease>> leases(const std::string& network);

  /// What the monitor needs to give a container its `index`-th interface (eth0, eth1…).
  /// Changes nothing.
  Result<endpoint::Attachment> attachment(const Network& network, const Lease& lease, const std::string& container_id,
                                          unsigned index, bool default_route);

  /// Claims the ports and opens them in one nf_tables transaction: all or nothing. Ports a container has already are
  /// fine to repeat (that repairs them after a restart of the supervisor). Returns the list with chosen ports.
  /// Errors: busy "port 8080/tcp is in use by nginx (pid 812)" or "… by container … of project …".
  Result<std::vector<Publication>> publish(std::vector<Publication> publications);
  /// As publish, but only looks: are all these ports free (or ours already)?
  Result<void> check_ports(std::span<const Publication> publications);
  Result<void> unpublish(std::span<const std::string> container_ids);
  /// Makes the ports of container `from` those of `publications` (of one other container), in one transaction: a port
  /// both have is never closed in between, connections that stand go on to where they are. What only `from` had is
  /// closed, what is new is opened as by publish(); a port "of any number" stays the one it was. Errors as publish();
  /// then nothing has changed.
  Result<std::vector<Publication>> move_ports(const std::string& from, std::vector<Publication> publications);
  Result<std::vector<Publication>> publications();

  /// TCP ports of a container that publish() of this object opened and that IPv6 clients reach through this process
  /// alone (see net/ports/local_proxy.hpp): duplicates of the held sockets.
  std::vector<ports::LocalProxy::Port> local_ports(const std::string& container_id) const;

  /// Leads connections to the virtual address to these containers from now on; those that exist go on. The address
  /// becomes one of the bridge's. Errors: not_found (network), unsupported (not a bridge).
  Result<void> spread(Spread wanted);
  /// Takes the virtual addresses of `owner`, or of all owners that begin with it and a "/", from bridges and rules. The
  /// leases stay.
  Result<void> unspread(const std::string& owner);

  /// Puts back what somebody else took away: our table, our rules in the host's forward chains, forwarding; and
  /// follows a change of the host's input policy. Tells whether there was anything to do.
  Result<bool> repair();

  /// Removes ports of containers of `project` that are not among `live` (full ids), and host interfaces with names of
  /// ours that belong to none of them (any project's containers recorded in leases count as live).
  Result<void> sweep(const std::string& project, std::span<const std::string> live);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The name of a container's host interface: "vc", ten digits of its id, and for the second and later networks a
/// letter.
std::string host_interface_name(const std::string& container_id, unsigned index);

}  // namespace compose::net
