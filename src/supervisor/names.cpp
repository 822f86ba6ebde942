#include "supervisor/names.hpp"

#include <algorithm>

#include "base/ids.hpp"
#include "base/strings.hpp"

namespace compose::supervisor {

using net::dns::Zone;
using net::dns::ZoneView;
using state::ContainerRecord;

namespace {

void add_address(std::vector<net::IpAddress>& list, const std::string& cidr) {
  if (auto address = net::IpAddress::parse(cidr.substr(0, cidr.find('/')))) list.push_back(*address);
}

constexpr const char* kServicePrefix = "service:";

}  // namespace

Names::Names(const Context& context, Addresses& addresses)
    : addresses_{addresses}, server_{context.loop, net::dns::upstreams_from()} {}

Zone& Names::zone(const std::string& network) {
  auto& zone = zones_[network];
  if (!zone) zone = std::make_shared<Zone>(network, addresses_.subnets(network));
  return *zone;
}

/// A link gives this container one more name for another one; both must share a network.
void Names::add_links(const ContainerRecord& record, ZoneView& view) {
  for (const auto& [alias, target] : record.links) {
    const std::string name = target.substr(target.find(':') + 1);
    for (const auto& zone : view.zones) {
      const auto* members = zone->find(to_lower(name));
      if (members == nullptr) continue;
      auto& addresses = view.names[to_lower(alias)];
      for (const net::dns::Member* member : *members) {
        addresses.insert(addresses.end(), member->addresses.begin(), member->addresses.end());
        // Of a service with several containers the first is enough for `links`; a container name means one anyway.
        if (!target.starts_with(kServicePrefix)) break;
      }
    }
  }
}

std::shared_ptr<const ZoneView> Names::view(const ContainerRecord& record) {
  auto view = std::make_shared<ZoneView>();
  view->forward_outside = false;
  for (const state::NetworkRecord& network : record.networks) {
    zone(network.name);
    view->zones.push_back(zones_[network.name]);
    view->forward_outside = view->forward_outside || !addresses_.internal(network.name);
  }
  if (const std::string gateway = addresses_.gateway(record); !gateway.empty()) {
    for (const char* name : {"host.docker.internal", "gateway.docker.internal", "host.containers.internal"}) {
      add_address(view->names[name], gateway);
    }
  }
  view->upstreams = record.dns;
  view->search = record.dns_search;
  for (const std::string& service : services_) view->reserved.insert(to_lower(service));
  add_links(record, *view);
  return view;
}

void Names::serve(const ContainerRecord& record, net::endpoint::ResolverSockets sockets) {
  server_.serve(record.id, std::move(sockets), view(record));
}

void Names::put(const ContainerRecord& record, bool ready) {
  for (const state::NetworkRecord& network : record.networks) {
    net::dns::Member member;
    member.id = record.id;
    member.names.push_back(record.name);
    for (const std::string& alias : network.aliases) {
      if (std::ranges::find(member.names, alias) == member.names.end()) member.names.push_back(alias);
    }
    add_address(member.addresses, network.ipv4);
    add_address(member.addresses, network.ipv6);
    member.ready = ready;
    zone(network.name).put(std::move(member));
  }
}

void Names::remove(const ContainerRecord& record) {
  server_.stop(record.id);
  leave(record);
}

void Names::leave(const ContainerRecord& record) {
  for (const state::NetworkRecord& network : record.networks) {
    const auto it = zones_.find(network.name);
    if (it != zones_.end()) it->second->remove(record.id);
  }
}

}  // namespace compose::supervisor
