#include "supervisor/names.hpp"

#include <sys/stat.h>

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
// So long connections wait for the next container behind a virtual address, and so long for one that is there and makes
// itself ready: nginx gives a connection as long.
constexpr auto kHold = std::chrono::seconds{30};
constexpr auto kHoldForStart = std::chrono::seconds{60};
constexpr const char* kResolvConf = "/etc/resolv.conf";

/// Differs when the file has been written or replaced.
std::string stamp_of(const char* path) {
  struct stat status{};
  if (::stat(path, &status) != 0) return {};
  return fmt::format("{} {}.{}", status.st_ino, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

}  // namespace

Names::Names(const Context& context, Addresses& addresses)
    : context_{context},
      addresses_{addresses},
      neighbours_{context.paths, context.project},
      server_{context.loop, net::dns::upstreams_from(kResolvConf)} {
  server_.before_query([this, seen = stamp_of(kResolvConf)]() mutable {
    look_at_neighbours();
    // A supervisor lives for months; the host moves to another network, or starts a VPN.
    if (std::string now = stamp_of(kResolvConf); now != seen) {
      seen = std::move(now);
      server_.set_upstreams(net::dns::upstreams_from(kResolvConf));
    }
  });
}

void Names::look_at_neighbours() {
  for (auto& [network, zone] : zones_) neighbours_.refresh(network, *zone, addresses_.networks());
}

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
  std::erase(view->upstreams, "127.0.0.11");  // ourselves
  // Asked from the container: what an internal network keeps from it stays out of reach.
  if (!view->upstreams.empty()) view->forward_outside = true;
  view->search = record.dns_search;
  view->reserved = services_;
  add_links(record, *view);
  return view;
}

void Names::serve(const ContainerRecord& record, net::endpoint::ResolverSockets sockets) {
  server_.serve(record.id, std::move(sockets), view(record));
}

void Names::put(const ContainerRecord& record, bool ready) {
  for (const state::NetworkRecord& network : record.networks) {
    std::optional<net::Lease> shared;
    if (record.virtual_address) {
      auto address = addresses_.virtual_address(network.name, record.service);
      if (address) {
        shared = *std::move(address);
        const Place place{network.name, record.service};
        Backends& backends = backends_[place];
        const bool newcomer = !backends.containers.contains(record.id);
        if (newcomer) backends.held = false;  // it is worth another wait
        backends.containers[record.id] = {network.ipv4, network.ipv6, ready};
        spread(place);
        if (newcomer && backends.hold && record.health.status == "starting") {
          backends.hold = context_.loop.call_after(kHoldForStart - kHold, [this, place] {
            backends_[place].held = false;
            spread(place);
          });
        }
      } else {
        context_.log.write("the virtual address of {}: {}", record.service, address.error().message());
      }
    }
    for (auto& member : members_of(record, network, ready, shared ? &*shared : nullptr))
      zone(network.name).put(std::move(member));
  }
}

/// Connections to a service whose only container is being replaced wait for the next one, but not for ever.
void Names::spread(const Place& place) {
  Backends& backends = backends_[place];
  const bool ready = std::ranges::any_of(backends.containers, [](const auto& item) { return item.second.ready; });
  if (ready) {
    backends.hold.reset();
    backends.held = false;
  } else if (!backends.held) {
    backends.held = true;
    backends.hold = context_.loop.call_after(kHold, [this, place] {
      backends_[place].hold.reset();
      spread(place);
      if (!backends_[place].containers.empty()) return;
      if (const auto it = zones_.find(place.first); it != zones_.end())
        it->second->remove("vip:" + context_.project + "/" + place.second);
      backends_.erase(place);
    });
  }
  const bool hold = static_cast<bool>(backends.hold);
  const auto done = addresses_.spread(place.first, place.second, backends.containers, hold);
  if (!done) context_.log.write("the virtual address of {}: {}", place.second, done.error().message());
}

void Names::remove(const ContainerRecord& record) {
  server_.stop(record.id);
  leave(record);
}

void Names::leave(const ContainerRecord& record) {
  for (const state::NetworkRecord& network : record.networks) {
    const auto it = zones_.find(network.name);
    if (it != zones_.end()) it->second->remove(record.id);
    const auto behind = backends_.find({network.name, record.service});
    if (behind == backends_.end() || behind->second.containers.erase(record.id) == 0) continue;
    behind->second.held = false;  // its end may have taken longer than the wait that began with it
    spread({network.name, record.service});
    if (!behind->second.containers.empty()) continue;
    // The name stays as long as the address waits for the next container.
    if (it != zones_.end() && !behind->second.hold) it->second->remove("vip:" + record.project + "/" + record.service);
  }
}

}  // namespace compose::supervisor
