#pragma once
// A container's end of the network: veth pairs, addresses, routes and the resolver's sockets. Small and without
// dependencies, because it is linked into the static monitor; every function is a handful of system calls.
#include <sys/types.h>

#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::net::endpoint {

/// One interface of a container. Made by Networks::attachment; plain data, so that a plan can carry it.
struct Attachment {
  enum class Kind : unsigned char {
    veth,     ///< a pair, its host end a port of `bridge`
    macvlan,  ///< one device on top of the host's interface `bridge`
    ipvlan,   ///< the same without an own MAC
  };
  Kind kind = Kind::veth;
  std::string bridge;                  ///< the host's device: bridge, or parent for macvlan and ipvlan
  std::string host_interface;          ///< name of the host end, "vc" and ten digits of the id; unused for macvlan
  std::string interface;               ///< name inside the container: "eth0"
  std::string mac;                     ///< "02:42:0a:00:00:02"; empty: the kernel chooses
  std::vector<std::string> addresses;  ///< with prefix length: "172.18.0.2/16", "fd00::2/64"
  std::string gateway4;                ///< empty: none
  std::string gateway6;
  bool default_route4 = false;  ///< through gateway4
  bool default_route6 = false;
  int mtu = 0;           ///< bytes; 0: the bridge's
  bool hairpin = false;  ///< the port may send a frame back where it came from (needed under br_netfilter)
  unsigned mode = 0;     ///< macvlan or ipvlan mode as the kernel numbers it; 0: bridge, l2
  std::vector<std::pair<std::string, std::string>> sysctls;  ///< {"ipv4.conf.IFNAME.log_martians", "1"}: below net/
};

/// Creates the interface of `attachment` in the network namespace of the process `container`. Runs in the host's
/// network namespace, needs CAP_NET_ADMIN in both. An old host interface of the same name is replaced: it can only be
/// a leftover, since names are derived from container ids.
/// Errors: not_found (no such bridge), permission, and what rtnetlink(7) reports.
Result<void> create_pair(const Attachment& attachment, pid_t container);

/// As create_pair for a namespace given by an open descriptor of /proc/PID/ns/net.
Result<void> create_pair_in(const Attachment& attachment, int netns_fd);

/// Runs inside a new network namespace before create_pair() gives it interfaces, none of which has an IPv6 address:
/// they will come without IPv6. Switched off later, interface by interface, it costs a lock that all interfaces of the
/// host share, and the kernel does not wait for it but spins. True: configure() is to undo it. False: it was off
/// already or cannot be, or some interface has an IPv6 address; configure() does what is needed. `settings_directory`:
/// as there.
bool ipv6_off_by_default(std::span<const Attachment> attachments, int settings_directory = -1);

/// Runs inside the container's network namespace: brings up the loopback and each interface with its addresses and
/// routes; IPv6 addresses are usable at once (no duplicate address detection), router advertisements are ignored,
/// interfaces without an IPv6 address have IPv6 off. Sets net.ipv4.ip_unprivileged_port_start=0 and
/// net.ipv4.ping_group_range so that a container needs no rights for either. `ipv6_is_off`: what ipv6_off_by_default()
/// returned; interfaces added later have IPv6 again.
/// `settings_directory`: the directory "sys" of a proc file system; -1: the host's /proc/sys, before the root is
/// changed. One of the container's own is far faster: in one that all share, the settings of every network namespace
/// lie in one chain of the kernel's name cache, and each open walks it (fs/proc/proc_sysctl.c, proc_sys_compare).
Result<void> configure(std::span<const Attachment> attachments, bool ipv6_is_off = false, int settings_directory = -1);

/// Runs in the host's network namespace after configure() inside: the bridge forwards for this container at once. By
/// itself it does so when the kernel's link watch has noticed the carrier, which a busy machine delays; what the
/// container sends before is lost, and its first connection late by the second after which ARP asks again.
Result<void> open_port(const Attachment& attachment);

/// Listening sockets behind 127.0.0.11:53 of one network namespace, non-blocking and close-on-exec.
struct ResolverSockets {
  UniqueFd udp;
  UniqueFd tcp;
};

/// Runs inside the container's network namespace, with its loopback up. The sockets are bound to 127.0.0.11 at ports
/// the kernel chooses, and the namespace gets an nf_tables table "compose_resolver" which rewrites port 53 of that
/// address to them and back, statelessly: port 53 itself stays free, and nothing makes the kernel track connections.
Result<ResolverSockets> open_resolver();

/// Removes the host end of an attachment's interface, if there is one (it goes by itself with the namespace, but
/// later).
Result<void> remove_pair(const Attachment& attachment);

}  // namespace compose::net::endpoint
