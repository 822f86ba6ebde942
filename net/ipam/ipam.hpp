#pragma once
// Address management: which subnet a network gets and which address a container gets. Pure: what is taken comes in.
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "net/address.hpp"

namespace compose::net::ipam {

/// A large range from which subnets of one size are cut.
struct SourcePool {
  Prefix range;
  unsigned size = 0;  ///< prefix length of a subnet
};

/// Where networks without a subnet of their own get one. IPv4: 172.18.0.0 to 172.31.255.255 and 192.168.0.0/16, in /22
/// (1,021 containers each, about 950 networks). IPv6: /64 of one unique local /48 (RFC 4193) derived from `host_seed`.
std::vector<SourcePool> default_pools(IpAddress::Family family, const std::string& host_seed);

/// A prefix that is in use, and by what, for messages.
struct Taken {
  Prefix prefix;
  std::string by;  ///< "network \"shop_default\"", "route of eth0"
};

/// The first subnet of the pools that overlaps nothing taken. Errors: failed, with the number of subnets tried.
Result<Prefix> choose_subnet(std::span<const SourcePool> pools, std::span<const Taken> taken);

/// One subnet of a network, checked.
struct SubnetPlan {
  Prefix subnet;  ///< host part cleared
  Prefix range;   ///< addresses are chosen from here
  std::optional<IpAddress> gateway;
  std::map<std::string, IpAddress> reserved;  ///< auxiliary addresses
};

/// From the texts of one `ipam.config` entry; the gateway is the first address unless given.
/// Errors: invalid, naming the text (a range or gateway outside the subnet, mixed families).
Result<SubnetPlan> plan_subnet(const std::string& subnet, const std::string& ip_range, const std::string& gateway,
                               const std::map<std::string, std::string>& aux_addresses);

/// The lowest free address: not the network's own, the broadcast, the gateway, reserved or in `used`.
/// Errors: failed "no free address".
Result<IpAddress> choose_address(const SubnetPlan& plan, const std::set<IpAddress>& used);

/// May `wanted` be given to somebody? Errors: invalid (outside, or special), naming why.
Result<void> check_address(const SubnetPlan& plan, const IpAddress& wanted);

/// A locally administered MAC that depends on the address alone, so that no neighbour's cache is ever wrong.
std::string mac_for(const IpAddress& address);

}  // namespace compose::net::ipam
