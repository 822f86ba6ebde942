#include "supervisor/addresses.hpp"

#include <algorithm>

#include "base/ids.hpp"

namespace compose::supervisor {

using state::ContainerRecord;
using state::NetworkRecord;
using state::PortRecord;

namespace {

/// Who a lease belongs to: the place in the project, so that the next container there gets the same address.
std::string owner(const ContainerRecord& record) {
  if (record.one_off) return fmt::format("{}/{}/run-{}", record.project, record.service, short_id(record.id));
  return fmt::format("{}/{}/{}{}", record.project, record.service, record.number, record.lease_slot);
}

std::string without_prefix(const std::string& cidr) { return cidr.substr(0, cidr.find('/')); }

/// The network that published ports lead to: the container's way out, else its first one.
const NetworkRecord* published_network(const ContainerRecord& record) {
  for (const NetworkRecord& network : record.networks) {
    if (network.default_route) return &network;
  }
  return record.networks.empty() ? nullptr : &record.networks.front();
}

}  // namespace

Addresses::Addresses(const Context& context)
    : context_{context}, networks_{context.paths.root(), context.paths.run_root()}, proxy_{context.loop} {}

Result<void> Addresses::ensure(const net::NetworkSpec& spec) {
  TRY_ASSIGN(auto network, networks_.ensure(spec));
  known_.insert_or_assign(spec.name, std::move(network));
  return {};
}

Result<void> Addresses::remove(std::span<const std::string> names) {
  for (const std::string& name : names) known_.erase(name);
  return networks_.remove_all(names);
}

Result<const net::Network*> Addresses::network(const std::string& name) {
  if (const auto it = known_.find(name); it != known_.end()) return &it->second;
  TRY_ASSIGN(auto found, networks_.find(name));
  if (!found) return make_error(Errc::not_found, "network \"{}\" does not exist", name);
  // After a reboot the network is known but its bridge is gone: ensure() repairs it.
  TRY_ASSIGN(auto repaired, networks_.ensure(found->spec));
  return &known_.insert_or_assign(name, std::move(repaired)).first->second;
}

Result<void> Addresses::lease(std::span<ContainerRecord* const> records) {
  std::vector<net::LeaseRequest> requests;
  std::vector<std::pair<std::string, NetworkRecord*>> places;  // container id, where the answer goes
  for (ContainerRecord* record : records) {
    for (NetworkRecord& wanted : record->networks) {
      if (leased_.contains({record->id, wanted.name})) continue;
      TRY(network(wanted.name));
      requests.push_back(
          {wanted.name, owner(*record), record->id, wanted.wanted_ipv4, wanted.wanted_ipv6, wanted.wanted_mac});
      places.emplace_back(record->id, &wanted);
    }
  }
  if (requests.empty()) return {};
  TRY_ASSIGN(const auto leases, networks_.lease_all(requests));
  for (std::size_t i = 0; i < leases.size(); ++i) {
    NetworkRecord& place = *places[i].second;
    place.ipv4 = leases[i].ipv4_cidr;
    place.ipv6 = leases[i].ipv6_cidr;
    place.mac = leases[i].mac;
    leased_.insert({places[i].first, place.name});
  }
  return {};
}

Result<void> Addresses::release(const ContainerRecord& record) {
  std::erase_if(leased_, [&](const auto& item) { return item.first == record.id; });
  if (record.networks.empty()) return {};
  return networks_.release(owner(record));
}

Result<void> Addresses::release_project() {
  leased_.clear();
  virtual_.clear();
  TRY(networks_.unspread(context_.project));
  return networks_.release(context_.project);
}

std::vector<net::Publication> Addresses::publications(const ContainerRecord& record) {
  std::vector<net::Publication> list;
  const NetworkRecord* place = published_network(record);
  if (place == nullptr) return list;
  const auto known = known_.find(place->name);
  for (const PortRecord& port : record.ports) {
    net::Publication publication;
    publication.project = record.project;
    publication.container_id = record.id;
    publication.label = fmt::format("service \"{}\"", record.service);
    publication.host_ip = port.host_ip;
    publication.host_port = port.host_port != 0 ? port.host_port : port.wanted_first;
    publication.host_port_end = port.host_port != 0 ? std::uint16_t{0} : port.wanted_last;
    publication.protocol = port.protocol;
    publication.container_ip = without_prefix(place->ipv4);
    publication.container_ip6 = without_prefix(place->ipv6);
    publication.container_port = port.container_port;
    if (known != known_.end()) publication.bridge = known->second.bridge;
    list.push_back(std::move(publication));
  }
  return list;
}

Result<void> Addresses::publish(std::span<ContainerRecord* const> records) {
  std::vector<net::Publication> all;
  std::vector<PortRecord*> places;
  for (ContainerRecord* record : records) {
    if (std::ranges::all_of(record->ports, [](const PortRecord& p) { return p.host_port != 0; })) continue;
    if (const NetworkRecord* place = published_network(*record)) TRY(network(place->name));
    auto list = publications(*record);
    for (std::size_t i = 0; i < list.size(); ++i) places.push_back(&record->ports[i]);
    std::ranges::move(list, std::back_inserter(all));
  }
  if (all.empty()) return {};
  TRY(flush());
  TRY_ASSIGN(const auto chosen, networks_.publish(std::move(all)));
  for (std::size_t i = 0; i < chosen.size() && i < places.size(); ++i) places[i]->host_port = chosen[i].host_port;
  for (const ContainerRecord* record : records) proxy(*record);
  return {};
}

Result<void> Addresses::hand_over(ContainerRecord& from, ContainerRecord& to) {
  if (from.ports.empty() && to.ports.empty()) return {};
  TRY(flush());
  if (const NetworkRecord* place = published_network(to)) TRY(network(place->name));
  TRY_ASSIGN(const auto moved, networks_.move_ports(from.id, publications(to)));
  for (std::size_t i = 0; i < moved.size(); ++i) to.ports[i].host_port = moved[i].host_port;
  for (PortRecord& port : from.ports) port.host_port = 0;
  // It takes no more connections; those that it has go on.
  proxy_.serve(from.id, {});
  proxy(to);
  return {};
}

void Addresses::proxy(const ContainerRecord& record) {
  if (auto ports = networks_.local_ports(record.id); !ports.empty()) proxy_.serve(record.id, std::move(ports));
}

Result<void> Addresses::publish_again(std::span<const ContainerRecord* const> records) {
  std::vector<net::Publication> all;
  for (const ContainerRecord* record : records) {
    if (const NetworkRecord* place = published_network(*record)) TRY(network(place->name));
    std::ranges::move(publications(*record), std::back_inserter(all));
  }
  std::erase_if(all, [](const net::Publication& p) { return p.host_port == 0; });
  if (all.empty()) return {};
  TRY(networks_.publish(std::move(all)));
  for (const ContainerRecord* record : records) proxy(*record);
  return {};
}

void Addresses::recall(ContainerRecord& record) {
  if (std::ranges::all_of(record.ports, [](const PortRecord& p) { return p.host_port != 0; })) return;
  const auto published = networks_.publications();
  if (!published) return context_.log.write("{}", published.error().message());
  for (PortRecord& port : record.ports) {
    const auto same = [&](const net::Publication& p) {
      const std::string protocol = p.protocol.empty() ? "tcp" : p.protocol;
      return p.container_id == record.id && p.container_port == port.container_port && protocol == port.protocol &&
             p.host_ip == port.host_ip;
    };
    const auto found = std::ranges::find_if(*published, same);
    if (port.host_port == 0 && found != published->end()) port.host_port = found->host_port;
  }
}

Result<void> Addresses::check(std::span<const ContainerRecord* const> records, std::size_t& index) {
  std::vector<net::Publication> all;
  for (index = 0; index < records.size(); ++index) {
    const ContainerRecord& record = *records[index];
    if (std::ranges::all_of(record.ports, [](const PortRecord& p) { return p.host_port != 0; })) continue;
    std::ranges::move(publications(record), std::back_inserter(all));
  }
  if (all.empty()) return {};
  auto free = networks_.check_ports(all);
  if (free) return free;
  // Whose port it is, is worth looking for only now.
  for (index = 0; index + 1 < records.size(); ++index)
    if (unpublishable(*records[index]) >= 0) break;
  return free;
}

Result<net::Lease> Addresses::virtual_address(const std::string& name, const std::string& service) {
  if (const auto known = virtual_.find({name, service}); known != virtual_.end()) return known->second;
  const std::string owner = fmt::format("{}/{}/vip", context_.project, service);
  TRY_ASSIGN(auto leased, networks_.lease({name, owner, {}, {}, {}, {}}));
  return virtual_.insert_or_assign({name, service}, std::move(leased)).first->second;
}

Result<void> Addresses::spread(const std::string& name, const std::string& service,
                               const std::map<std::string, Backend>& backends, bool hold) {
  TRY_ASSIGN(const net::Lease address, virtual_address(name, service));
  net::Spread wanted{address.owner, name, {}, address.ipv4(), address.ipv6(), {}, {}, false};
  const bool any_ready = std::ranges::any_of(backends, [](const auto& item) { return item.second.ready; });
  wanted.hold = hold && !any_ready;
  for (const auto& [id, backend] : backends) {
    if (wanted.hold || (any_ready && !backend.ready)) continue;
    if (!backend.ipv4.empty()) wanted.targets4.push_back(without_prefix(backend.ipv4));
    if (!backend.ipv6.empty()) wanted.targets6.push_back(without_prefix(backend.ipv6));
  }
  return networks_.spread(std::move(wanted));
}

int Addresses::unpublishable(const ContainerRecord& record) {
  const auto list = publications(record);
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!networks_.check_ports(std::span{&list[i], 1})) return static_cast<int>(i);
  }
  return -1;
}

void Addresses::unpublish(ContainerRecord& record) {
  // Whatever the record says: a crash may have come between opening the ports and writing it.
  if (record.ports.empty()) return;
  for (PortRecord& port : record.ports) port.host_port = 0;
  proxy_.stop(record.id);
  to_unpublish_.push_back(record.id);
}

Result<void> Addresses::flush() {
  if (to_unpublish_.empty()) return {};
  const auto ids = std::exchange(to_unpublish_, {});
  return networks_.unpublish(ids);
}

Result<std::vector<net::endpoint::Attachment>> Addresses::attachments(const ContainerRecord& record) {
  std::vector<net::endpoint::Attachment> list;
  for (const NetworkRecord& place : record.networks) {
    TRY_ASSIGN(const net::Network* net, network(place.name));
    const net::Lease lease{place.name, owner(record), record.id, place.ipv4, place.ipv6, place.mac};
    TRY_ASSIGN(auto attachment,
               networks_.attachment(*net, lease, record.id, static_cast<unsigned>(list.size()), place.default_route));
    if (!place.interface.empty()) attachment.interface = place.interface;
    attachment.addresses.insert(attachment.addresses.end(), place.link_local.begin(), place.link_local.end());
    attachment.sysctls.assign(place.sysctls.begin(), place.sysctls.end());
    list.push_back(std::move(attachment));
  }
  return list;
}

std::string Addresses::gateway(const ContainerRecord& record) {
  const NetworkRecord* place = published_network(record);
  const auto known = place == nullptr ? known_.end() : known_.find(place->name);
  if (known == known_.end()) return "";
  for (const net::Subnet& subnet : known->second.subnets) {
    if (subnet.gateway.find(':') == std::string::npos) return subnet.gateway;
  }
  return "";
}

bool Addresses::internal(const std::string& name) {
  const auto known = network(name);
  return known && (*known)->spec.internal;
}

std::vector<net::Prefix> Addresses::subnets(const std::string& name) {
  std::vector<net::Prefix> list;
  const auto known = network(name);
  if (!known) return list;
  for (const net::Subnet& subnet : (*known)->subnets) {
    if (const auto prefix = net::Prefix::parse(subnet.cidr)) list.push_back(*prefix);
  }
  return list;
}

Result<void> Addresses::sweep(std::span<const std::string> live) { return networks_.sweep(context_.project, live); }

}  // namespace compose::supervisor
