#include "supervisor/neighbours.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/ids.hpp"

namespace compose::supervisor {

using net::dns::Member;

namespace {

void add_address(std::vector<net::IpAddress>& list, const std::string& cidr) {
  if (auto address = net::IpAddress::parse(cidr.substr(0, cidr.find('/')))) list.push_back(*address);
}

std::string project_of(const net::Lease& lease) { return lease.owner.substr(0, lease.owner.find('/')); }

void add_name(std::vector<std::string>& names, const std::string& name) {
  if (std::ranges::find(names, name) == names.end()) names.push_back(name);
}

/// "80/tcp" or "8000-8010/udp" of the exposed ports, for SRV.
void add_ports(const state::ContainerRecord& record, Member& member) {
  for (const std::string& exposed : record.exposed) {
    const auto slash = exposed.find('/');
    const std::string number = exposed.substr(0, slash);
    if (number.empty() || number.size() > 5 || number.find_first_not_of("0123456789") != std::string::npos) continue;
    const unsigned long port = std::stoul(number);
    if (port == 0 || port > 65535) continue;
    member.ports.push_back(
        {number, slash == std::string::npos ? "tcp" : exposed.substr(slash + 1), static_cast<std::uint16_t>(port)});
  }
}

}  // namespace

std::vector<Member> members_of(const state::ContainerRecord& record, const state::NetworkRecord& network, bool ready,
                               const net::Lease* virtual_address) {
  Member own;
  own.id = record.id;
  own.ready = ready;
  own.names.push_back(record.name);
  add_address(own.addresses, network.ipv4);
  add_address(own.addresses, network.ipv6);
  add_ports(record, own);
  if (virtual_address == nullptr) {
    for (const std::string& alias : network.aliases) add_name(own.names, alias);
    return {std::move(own)};
  }
  Member service;
  service.id = "vip:" + record.project + "/" + record.service;
  add_address(service.addresses, virtual_address->ipv4_cidr);
  add_address(service.addresses, virtual_address->ipv6_cidr);
  service.ports = own.ports;
  // The container's own id stays its own; the swarm's name for all replicas is kept, too.
  for (const std::string& alias : network.aliases)
    add_name(alias == short_id(record.id) ? own.names : service.names, alias);
  add_name(own.names, "tasks." + record.service);
  return {std::move(own), std::move(service)};
}

bool is_ready(const state::ContainerRecord& record) {
  return record.phase == state::Phase::running && !record.stopped_by_user &&
         (record.health.status.empty() || record.health.status == "healthy");
}

Neighbours::Stamp Neighbours::stamp(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return {};
  return {status.st_ino, status.st_mtim};
}

void Neighbours::look(const net::Lease& lease, const Shared& shared, Known& known, net::dns::Zone& zone) {
  const std::string project = project_of(lease);
  const Stamp now = stamp(paths_.record(project, lease.container_id));
  // A container whose supervisor was killed with it says nothing more: its process does, by being gone.
  const bool gone = known.pid != 0 && stamp(fmt::format("/proc/{}", known.pid)) == Stamp{};
  if (known.stamp == now && !(gone && known.alive)) return;
  known.stamp = now;
  for (const std::string& id : std::exchange(known.members, {})) zone.remove(id);
  known.alive = false;
  known.pid = 0;
  auto loaded = state::load_record(paths_, project, lease.container_id);
  if (!loaded) return;
  const auto record = state::observe(paths_, *std::move(loaded));
  if (record.phase != state::Phase::running) return;
  known.alive = true;
  known.pid = record.pid;
  const auto address = std::ranges::find_if(shared.leases, [&](const net::Lease& other) {
    return record.virtual_address && other.owner == fmt::format("{}/{}/vip", project, record.service);
  });
  for (const state::NetworkRecord& network : record.networks) {
    if (network.name != lease.network) continue;
    for (Member& member :
         members_of(record, network, is_ready(record), address == shared.leases.end() ? nullptr : &*address)) {
      known.members.push_back(member.id);
      zone.put(std::move(member));
    }
  }
}

void Neighbours::refresh(const std::string& network, net::dns::Zone& zone, net::Networks& networks) {
  Shared& shared = networks_[network];
  const Stamp now = stamp(paths_.root() + "/networks/" + network + ".leases");
  if (!(shared.stamp == now)) {
    shared.stamp = now;
    auto leases = networks.leases(network);
    if (!leases) return;
    shared.leases = *std::move(leases);
    std::set<std::string> present;
    for (const net::Lease& lease : shared.leases) present.insert(lease.container_id);
    std::erase_if(shared.containers, [&](auto& item) {
      if (present.contains(item.first)) return false;
      for (const std::string& id : item.second.members) zone.remove(id);
      return true;
    });
  }
  for (const net::Lease& lease : shared.leases) {
    if (lease.container_id.empty() || project_of(lease) == project_) continue;
    look(lease, shared, shared.containers[lease.container_id], zone);
  }
}

}  // namespace compose::supervisor
