#include "net/network_plan.hpp"

#include <algorithm>
#include <ctime>
#include <set>

#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "net/bridge/links.hpp"
#include "sys/file.hpp"

namespace compose::net {

Result<HostAddresses> look_at_host() {
  HostAddresses host;
  TRY_ASSIGN(const std::vector<Route> routes, list_routes());
  TRY_ASSIGN(const std::vector<Link> links, list_links());
  for (const Route& route : routes) {
    if (route.destination.length == 0) {
      for (const Link& link : links)
        if (link.name == route.interface && (host.mtu == 0 || link.mtu < host.mtu)) host.mtu = link.mtu;
      continue;
    }
    ipam::Taken taken{route.destination, fmt::format("a route of the host through \"{}\"", route.interface)};
    if (route.connected && !route.destination.address.is_link_local()) host.connected.push_back(taken);
    host.routed.push_back(std::move(taken));
  }
  if (auto text = sys::read_file("/etc/resolv.conf"); text.ok()) {
    for (const std::string& line : split(*text, '\n')) {
      if (!line.starts_with("nameserver")) continue;
      const auto server = IpAddress::parse(trim(std::string_view{line}.substr(10)));
      if (server.ok()) host.routed.push_back({{*server, server->width()}, "a name server of the host"});
    }
  }
  auto machine = sys::read_file("/etc/machine-id", 4096);
  host.seed = machine.ok() ? std::string{trim(*machine)} : std::string{};
  return host;
}

namespace {

std::string option(const NetworkSpec& spec, const std::string& name) {
  const auto found = spec.options.find(name);
  return found == spec.options.end() ? std::string{} : found->second;
}

std::string timestamp() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

/// Everything in use that a network of ours must keep off.
std::vector<ipam::Taken> networks_taken(const std::vector<Network>& others) {
  std::vector<ipam::Taken> taken;
  for (const Network& other : others)
    for (const Subnet& subnet : other.subnets)
      if (const auto prefix = Prefix::parse(subnet.cidr); prefix.ok())
        taken.push_back({*prefix, fmt::format("the network \"{}\"", other.spec.name)});
  return taken;
}

void append(std::vector<ipam::Taken>& list, const std::vector<ipam::Taken>& more) {
  list.insert(list.end(), more.begin(), more.end());
}

/// The pools of the specification, one by one checked; without a subnet of a wanted family one is added.
Result<std::vector<ipam::SubnetPlan>> plan_subnets(const NetworkSpec& spec, const std::vector<Network>& others,
                                                   const HostAddresses& host) {
  std::vector<ipam::Taken> fixed = networks_taken(others);
  append(fixed, host.connected);
  std::vector<ipam::SubnetPlan> plans;
  bool has_v4 = !spec.enable_ipv4, has_v6 = !spec.enable_ipv6;
  for (const Pool& pool : spec.pools) {
    if (pool.subnet.empty()) continue;
    TRY_ASSIGN(ipam::SubnetPlan plan, ipam::plan_subnet(pool.subnet, pool.ip_range, pool.gateway, pool.aux_addresses));
    for (const ipam::Taken& taken : fixed)
      if (taken.prefix.overlaps(plan.subnet))
        return make_error(Errc::busy, "the subnet {} overlaps {} of {}", plan.subnet.to_string(),
                          taken.prefix.to_string(), taken.by);
    (plan.subnet.address.is_v4() ? has_v4 : has_v6) = true;
    fixed.push_back({plan.subnet, "the same network"});
    plans.push_back(std::move(plan));
  }
  append(fixed, host.routed);
  for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6}) {
    if (family == IpAddress::Family::v4 ? has_v4 : has_v6) continue;
    TRY_ASSIGN(const Prefix subnet, ipam::choose_subnet(ipam::default_pools(family, host.seed), fixed));
    TRY_ASSIGN(ipam::SubnetPlan plan, ipam::plan_subnet(subnet.to_string(), {}, {}, {}));
    plans.push_back(std::move(plan));
  }
  return plans;
}

Result<std::string> device_of(const NetworkSpec& spec, const std::string& id) {
  if (spec.driver.empty() || spec.driver == "bridge") {
    const std::string wanted = option(spec, "com.docker.network.bridge.name");
    if (wanted.size() > 15) return make_error(Errc::invalid, "the bridge name \"{}\" is longer than 15 bytes", wanted);
    return wanted.empty() ? "br-" + id.substr(0, 12) : wanted;
  }
  if (spec.driver == "macvlan" || spec.driver == "ipvlan") {
    const std::string parent = option(spec, "parent");
    if (parent.empty())
      return make_error(Errc::invalid, "the driver \"{}\" needs driver_opts.parent, the host's interface to use",
                        spec.driver);
    return parent;
  }
  return make_error(Errc::invalid, "unknown network driver \"{}\" (bridge, macvlan, ipvlan)", spec.driver);
}

}  // namespace

Result<Network> plan_network(const NetworkSpec& spec, const std::string& state_root, const std::vector<Network>& others,
                             const HostAddresses& host) {
  Network network;
  network.spec = spec;
  network.id = sha256_hex(spec.name + state_root);
  TRY_ASSIGN(network.bridge, device_of(spec, network.id));
  TRY_ASSIGN(const std::vector<ipam::SubnetPlan> plans, plan_subnets(spec, others, host));
  for (const ipam::SubnetPlan& plan : plans)
    network.subnets.push_back({plan.subnet.to_string(), plan.gateway ? plan.gateway->to_string() : std::string{}});
  if (const std::string firewall = option(spec, "compose.firewall");
      !firewall.empty() && firewall != "obey" && firewall != "open")
    return make_error(Errc::invalid, "compose.firewall: \"{}\" is neither \"obey\" nor \"open\"", firewall);
  if (const std::string mtu = option(spec, "com.docker.network.driver.mtu"); !mtu.empty()) {
    const auto number = parse_unsigned(mtu);
    constexpr std::uint64_t kSmallest = 68, kLargest = 65535;  // RFC 791
    if (!number || *number < kSmallest || *number > kLargest)
      return make_error(Errc::invalid, "\"{}\" is not an MTU (68 to 65535)", mtu);
    network.mtu = static_cast<int>(*number);
  } else {
    // Larger packets than the way out takes would be lost where ICMP is filtered.
    constexpr int kEthernet = 1500;
    network.mtu = host.mtu > 0 && host.mtu < kEthernet ? host.mtu : kEthernet;
  }
  network.created_at = timestamp();
  return network;
}

namespace {

/// The subnets of a network with what the specification says about each.
Result<std::vector<ipam::SubnetPlan>> subnets_of(const Network& network) {
  std::vector<ipam::SubnetPlan> plans;
  for (const Subnet& subnet : network.subnets) {
    Pool pool;
    for (const Pool& candidate : network.spec.pools) {
      const auto prefix = Prefix::parse(candidate.subnet);
      if (prefix.ok() && prefix->masked().to_string() == subnet.cidr) pool = candidate;
    }
    TRY_ASSIGN(ipam::SubnetPlan plan,
               ipam::plan_subnet(subnet.cidr, pool.ip_range, subnet.gateway, pool.aux_addresses));
    plans.push_back(std::move(plan));
  }
  return plans;
}

std::optional<IpAddress> address_of(const std::string& cidr) {
  const auto parsed = IpAddress::parse(cidr.substr(0, cidr.find('/')));
  if (!parsed.ok()) return std::nullopt;
  return *parsed;
}

std::string with_length(const IpAddress& address, const ipam::SubnetPlan& plan) {
  return fmt::format("{}/{}", address.to_string(), plan.subnet.length);
}

/// One family's address: the wanted one, the one from before, or the first free one.
Result<std::string> assign_address(std::span<const ipam::SubnetPlan> plans, IpAddress::Family family,
                                   const std::string& wanted, const std::string& before,
                                   const std::map<IpAddress, std::string>& used) {
  std::vector<const ipam::SubnetPlan*> candidates;
  for (const ipam::SubnetPlan& plan : plans)
    if (plan.subnet.address.family() == family) candidates.push_back(&plan);
  const char* name = family == IpAddress::Family::v4 ? "IPv4" : "IPv6";
  if (candidates.empty()) {
    if (!wanted.empty())
      return make_error(Errc::invalid, "the address {} is wanted, but there is no {} subnet", wanted, name);
    return std::string{};
  }
  if (!wanted.empty()) {
    TRY_ASSIGN(const IpAddress address, IpAddress::parse(wanted));
    for (const ipam::SubnetPlan* plan : candidates) {
      if (!plan->subnet.contains(address)) continue;
      TRY(ipam::check_address(*plan, address));
      if (const auto owner = used.find(address); owner != used.end())
        return make_error(Errc::busy, "the address {} is in use by {}", wanted, owner->second);
      return with_length(address, *plan);
    }
    return make_error(Errc::invalid, "the address {} is in none of the network's subnets", wanted);
  }
  std::set<IpAddress> taken;
  for (const auto& [address, owner] : used) taken.insert(address);
  if (const auto address = address_of(before); address && !taken.contains(*address))
    for (const ipam::SubnetPlan* plan : candidates)
      if (ipam::check_address(*plan, *address).ok()) return with_length(*address, *plan);
  Result<std::string> outcome = std::string{};
  for (const ipam::SubnetPlan* plan : candidates) {
    auto address = ipam::choose_address(*plan, taken);
    if (address.ok()) return with_length(*address, *plan);
    outcome = std::move(address).error();
  }
  return outcome;
}

}  // namespace

Result<Lease> assign_lease(const Network& network, const LeaseRequest& request, std::vector<Lease>& leases) {
  TRY_ASSIGN(const std::vector<ipam::SubnetPlan> plans, subnets_of(network));
  Lease lease{request.network, request.owner, request.container_id, {}, {}, request.mac};
  std::map<IpAddress, std::string> used;
  Lease* before = nullptr;
  for (Lease& other : leases) {
    if (other.owner == request.owner) {
      before = &other;
      continue;
    }
    for (const std::string& cidr : {other.ipv4_cidr, other.ipv6_cidr})
      if (const auto address = address_of(cidr)) used[*address] = other.owner;
  }
  TRY_ASSIGN(lease.ipv4_cidr, assign_address(plans, IpAddress::Family::v4, request.ipv4,
                                             before ? before->ipv4_cidr : std::string{}, used));
  TRY_ASSIGN(lease.ipv6_cidr, assign_address(plans, IpAddress::Family::v6, request.ipv6,
                                             before ? before->ipv6_cidr : std::string{}, used));
  if (lease.mac.empty()) {
    const auto address = address_of(lease.ipv4_cidr.empty() ? lease.ipv6_cidr : lease.ipv4_cidr);
    if (address) lease.mac = ipam::mac_for(*address);
  }
  if (before != nullptr) {
    *before = lease;
  } else {
    leases.push_back(lease);
  }
  return lease;
}

std::string host_interface_name(const std::string& container_id, unsigned index) {
  std::string name = "vc" + container_id.substr(0, 10);
  if (index > 0) name.push_back(static_cast<char>('a' + (index - 1) % 26));
  if (index > 26) name.push_back(static_cast<char>('a' + (index - 1) / 26 - 1));
  return name;
}

namespace {

/// Modes as the kernel numbers them (linux/if_link.h).
Result<unsigned> vlan_mode(const NetworkSpec& spec) {
  static const std::map<std::string, unsigned> macvlan{
      {"", 4}, {"private", 1}, {"vepa", 2}, {"bridge", 4}, {"passthru", 8}};
  static const std::map<std::string, unsigned> ipvlan{{"", 0}, {"l2", 0}, {"l3", 1}, {"l3s", 2}};
  const auto& modes = spec.driver == "macvlan" ? macvlan : ipvlan;
  const std::string wanted = option(spec, spec.driver + "_mode");
  const auto found = modes.find(wanted);
  if (found == modes.end()) return make_error(Errc::invalid, "\"{}\" is not a mode of {}", wanted, spec.driver);
  return found->second;
}

}  // namespace

Result<endpoint::Attachment> plan_attachment(const Network& network, const Lease& lease,
                                             const std::string& container_id, unsigned index, bool default_route) {
  endpoint::Attachment attachment;
  attachment.bridge = network.bridge;
  attachment.host_interface = host_interface_name(container_id, index);
  attachment.interface = fmt::format("eth{}", index);
  attachment.mac = lease.mac;
  attachment.mtu = network.mtu;
  if (network.spec.driver == "macvlan" || network.spec.driver == "ipvlan") {
    attachment.kind =
        network.spec.driver == "macvlan" ? endpoint::Attachment::Kind::macvlan : endpoint::Attachment::Kind::ipvlan;
    TRY_ASSIGN(attachment.mode, vlan_mode(network.spec));
  }
  for (const std::string& cidr : {lease.ipv4_cidr, lease.ipv6_cidr}) {
    if (cidr.empty()) continue;
    attachment.addresses.push_back(cidr);
    const auto address = address_of(cidr);
    for (const Subnet& subnet : network.subnets) {
      const auto prefix = Prefix::parse(subnet.cidr);
      if (!address || !prefix.ok() || !prefix->contains(*address)) continue;
      (address->is_v4() ? attachment.gateway4 : attachment.gateway6) = subnet.gateway;
    }
  }
  const bool outside = default_route && !network.spec.internal;
  attachment.default_route4 = outside && !attachment.gateway4.empty();
  attachment.default_route6 = outside && !attachment.gateway6.empty();
  return attachment;
}

}  // namespace compose::net
