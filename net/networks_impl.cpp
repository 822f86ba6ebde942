#include "net/networks_impl.hpp"

#include <algorithm>
#include <set>

#include "net/host_settings.hpp"
#include "net/ports/host_forward.hpp"

namespace compose::net {

using firewall::Entry;

bool is_bridge(const Network& network) { return network.spec.driver.empty() || network.spec.driver == "bridge"; }

bool has_ipv6(const Network& network) {
  return std::any_of(network.subnets.begin(), network.subnets.end(),
                     [](const Subnet& subnet) { return subnet.cidr.find(':') != std::string::npos; });
}

void append(std::vector<Entry>& list, std::vector<Entry> more) {
  list.insert(list.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

namespace {

BridgeSpec bridge_spec(const Network& network) {
  BridgeSpec spec;
  spec.name = network.bridge;
  spec.mtu = network.mtu;
  spec.ipv6 = has_ipv6(network);
  spec.mac = "02:42:" + network.id.substr(0, 2) + ":" + network.id.substr(2, 2) + ":" + network.id.substr(4, 2) + ":" +
             network.id.substr(6, 2);
  for (const Subnet& subnet : network.subnets) {
    const auto prefix = Prefix::parse(subnet.cidr);
    const auto gateway = IpAddress::parse(subnet.gateway);
    if (prefix.ok() && gateway.ok()) spec.addresses.push_back({*gateway, prefix->length});
  }
  return spec;
}

}  // namespace

Result<std::vector<Network>> Networks::Impl::load_all() const {
  TRY_ASSIGN(const std::vector<std::string> names, files.names());
  std::vector<Network> networks;
  for (const std::string& name : names) {
    TRY_ASSIGN(std::optional<Network> network, files.load(name));
    if (network) networks.push_back(std::move(*network));
  }
  return networks;
}

Result<std::vector<Entry>> Networks::Impl::all_entries() const {
  std::vector<Entry> entries;
  TRY_ASSIGN(const firewall::InputPolicy policy, rules.input_policy());
  TRY_ASSIGN(const std::vector<Network> networks, load_all());
  for (const Network& network : networks)
    if (is_bridge(network)) append(entries, firewall::network_entries(network, policy));
  TRY_ASSIGN(const std::vector<Spread> spreads, files.load_spreads());
  for (const Spread& spread : spreads) {
    TRY_ASSIGN(std::vector<Entry> more, firewall::spread_entries(spread));
    append(entries, std::move(more));
  }
  TRY_ASSIGN(const std::vector<Publication> claims, files.load_ports());
  for (const Publication& claim : claims) {
    TRY_ASSIGN(const firewall::Port port, firewall::read_port(claim));
    append(entries, firewall::port_entries(ports::inside(port)));
  }
  return entries;
}

Result<void> Networks::Impl::change_rules(const std::vector<Entry>& added, const std::vector<Entry>& removed) const {
  TRY_ASSIGN(const bool present, rules.present());
  if (present) {
    auto outcome = rules.change(added, removed);
    if (outcome.ok() || outcome.error().sys_errno() != ENOENT) return outcome;
  }
  TRY_ASSIGN(std::vector<Entry> entries, all_entries());
  const auto text_of = [](const std::vector<Entry>& list) {
    std::set<std::string> texts;
    for (const Entry& entry : list) texts.insert(firewall::to_text(entry));
    return texts;
  };
  const std::set<std::string> gone = text_of(removed);
  std::erase_if(entries, [&](const Entry& entry) { return gone.contains(firewall::to_text(entry)); });
  append(entries, added);
  return rules.rebuild(entries);
}

Result<void> Networks::Impl::bring_up(const Network& network) const {
  if (!is_bridge(network)) return {};
  TRY(ensure_bridge(bridge_spec(network)));
  {
    // Our table in the kernel is what tells other state roots that the settings are needed.
    TRY_ASSIGN(const sys::FileLock settings, lock_host_settings());
    TRY(enable_forwarding(files, rules, has_ipv6(network)));
    TRY_ASSIGN(const firewall::InputPolicy policy, rules.input_policy());
    TRY(change_rules(firewall::network_entries(network, policy), {}));
  }
  TRY(rules.pass_foreign_chains(network.bridge, has_ipv6(network), firewall::is_open(network)));
  return {};
}

}  // namespace compose::net
