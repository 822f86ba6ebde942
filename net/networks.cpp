#include "net/networks.hpp"

#include <algorithm>
#include <ctime>
#include <iterator>
#include <set>

#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "net/bridge/links.hpp"
#include "net/firewall/firewall.hpp"
#include "net/host_settings.hpp"
#include "net/ipam/ipam.hpp"
#include "net/network_files.hpp"
#include "net/network_plan.hpp"
#include "net/networks_impl.hpp"
#include "net/ports/claims.hpp"
#include "net/ports/conntrack.hpp"
#include "net/ports/host_forward.hpp"
#include "sys/file.hpp"

namespace compose::net {

namespace {

using firewall::Entry;

bool same_port(const Publication& a, const Publication& b) {
  return a.container_id == b.container_id && a.host_ip == b.host_ip && a.host_port == b.host_port &&
         a.protocol == b.protocol && a.container_ip == b.container_ip && a.container_ip6 == b.container_ip6 &&
         a.container_port == b.container_port;
}

}  // namespace

Networks::Networks(std::string state_root, std::string run_root)
    : impl_{std::make_unique<Impl>(std::move(state_root), std::move(run_root))} {}
Networks::Networks(Networks&&) noexcept = default;
Networks& Networks::operator=(Networks&&) noexcept = default;
Networks::~Networks() = default;

Result<Network> Networks::ensure(const NetworkSpec& spec) {
  TRY(check_network_name(spec.name));
  TRY_ASSIGN(const sys::FileLock lock, impl_->files.lock());
  TRY_ASSIGN(const std::optional<Network> existing, impl_->files.load(spec.name));
  if (existing) {
    TRY(impl_->bring_up(*existing).with("network \"{}\"", spec.name));
    return *existing;
  }
  TRY_ASSIGN(const std::vector<Network> others, impl_->load_all());
  TRY_ASSIGN(const HostAddresses host, look_at_host());
  auto planned = plan_network(spec, impl_->files.state_root(), others, host);
  if (!planned.ok()) return std::move(planned).with("network \"{}\"", spec.name);
  // The file first: what a crash leaves half made has a name that the next ensure() or remove() finds.
  TRY(impl_->files.save(*planned));
  auto up = impl_->bring_up(*planned);
  if (!up.ok()) {
    const std::string bridge[] = {planned->bridge};
    if (is_bridge(*planned)) (void)remove_links(bridge).ok();
    (void)impl_->files.erase(spec.name).ok();
    return std::move(std::move(up).with("network \"{}\"", spec.name)).error();
  }
  return planned;
}

Result<void> Networks::remove(const std::string& name) {
  const std::string names[] = {name};
  return remove_all(names);
}

namespace {

/// The interfaces that must go with a network: its bridge and left over ports. Errors: busy.
Result<std::vector<std::string>> removable_links(const Network& network, const std::vector<Lease>& leases,
                                                 const std::vector<Link>& links) {
  std::vector<std::string> names;
  const auto bridge =
      std::find_if(links.begin(), links.end(), [&](const Link& link) { return link.name == network.bridge; });
  if (bridge == links.end() || !is_bridge(network)) return names;
  names.push_back(network.bridge);
  for (const Link& link : links) {
    if (link.master != bridge->index) continue;
    for (const Lease& lease : leases)
      if (!lease.container_id.empty() && link.name.starts_with(host_interface_name(lease.container_id, 0)))
        return make_error(Errc::busy, "network \"{}\" is in use by {}", network.spec.name, lease.owner);
    names.push_back(link.name);
  }
  return names;
}

}  // namespace

Result<void> Networks::remove_all(std::span<const std::string> names) {
  TRY_ASSIGN(const sys::FileLock lock, impl_->files.lock());
  TRY_ASSIGN(const std::vector<Link> links, list_links());
  std::vector<std::string> gone, bridges;
  std::vector<Entry> removed;
  TRY_ASSIGN(const firewall::InputPolicy policy, impl_->rules.input_policy());
  TRY_ASSIGN(std::vector<Spread> spreads, impl_->files.load_spreads());
  for (const std::string& name : names) {
    TRY_ASSIGN(const std::optional<Network> network, impl_->files.load(name));
    if (!network) return make_error(Errc::not_found, "there is no network \"{}\"", name);
    TRY_ASSIGN(const std::vector<Lease> leases, impl_->files.load_leases(name));
    TRY_ASSIGN(std::vector<std::string> its_links, removable_links(*network, leases, links));
    gone.insert(gone.end(), its_links.begin(), its_links.end());
    if (!is_bridge(*network)) continue;
    bridges.push_back(network->bridge);
    append(removed, firewall::network_entries(*network, policy));
    for (const Spread& spread : spreads) {
      if (spread.network != name) continue;
      TRY_ASSIGN(std::vector<Entry> more, firewall::spread_entries(spread));
      append(removed, std::move(more));
    }
  }
  const auto spread_is_gone = [&](const Spread& spread) { return std::ranges::count(names, spread.network) > 0; };
  if (std::erase_if(spreads, spread_is_gone) > 0) TRY(impl_->files.save_spreads(spreads));
  TRY(remove_links(gone));
  TRY(impl_->rules.leave_foreign_chains(bridges));
  const auto erase_files = [&]() -> Result<void> {
    for (const std::string& name : names) TRY(impl_->files.erase(name));
    return {};
  };
  TRY_ASSIGN(std::vector<std::string> left, impl_->files.names());
  std::erase_if(left, [&](const std::string& name) { return std::ranges::count(names, name) > 0; });
  if (!left.empty()) {
    TRY(erase_files());
    // The files hold the change already, so a rebuild is right as well.
    return impl_->change_rules({}, removed);
  }
  TRY_ASSIGN(const sys::FileLock settings, lock_host_settings());
  TRY(impl_->rules.remove());
  TRY(impl_->files.save_ports({}));
  impl_->holds.clear();
  TRY_ASSIGN(const bool needed, impl_->rules.others_present());
  TRY(restore_settings(impl_->files, impl_->rules, needed));
  // Last: who comes after a crash finds by them that something is left to do.
  return erase_files();
}

Result<std::vector<Network>> Networks::list() { return impl_->load_all(); }

Result<std::optional<Network>> Networks::find(const std::string& name) { return impl_->files.load(name); }

Result<Lease> Networks::lease(const LeaseRequest& request) {
  const LeaseRequest requests[] = {request};
  TRY_ASSIGN(std::vector<Lease> leases, lease_all(requests));
  return std::move(leases.front());
}

Result<std::vector<Lease>> Networks::lease_all(std::span<const LeaseRequest> requests) {
  TRY_ASSIGN(const sys::FileLock lock, impl_->files.lock());
  std::map<std::string, std::vector<Lease>> changed;
  std::map<std::string, Network> networks;
  for (const LeaseRequest& request : requests) {
    if (networks.contains(request.network)) continue;
    TRY_ASSIGN(std::optional<Network> network, impl_->files.load(request.network));
    if (!network) return make_error(Errc::not_found, "there is no network \"{}\"", request.network);
    networks.emplace(request.network, std::move(*network));
    TRY_ASSIGN(changed[request.network], impl_->files.load_leases(request.network));
  }
  std::vector<Lease> given(requests.size());
  // Those that want a certain address first, so that no other is given it.
  for (const bool fixed : {true, false}) {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const LeaseRequest& request = requests[i];
      if (fixed != (!request.ipv4.empty() || !request.ipv6.empty())) continue;
      auto lease = assign_lease(networks.at(request.network), request, changed[request.network]);
      if (!lease.ok()) return std::move(std::move(lease).with("network \"{}\"", request.network)).error();
      given[i] = std::move(*lease);
    }
  }
  for (const auto& [network, leases] : changed) TRY(impl_->files.save_leases(network, leases));
  return given;
}

Result<void> Networks::release(const std::string& owner) {
  TRY_ASSIGN(const sys::FileLock lock, impl_->files.lock());
  TRY_ASSIGN(const std::vector<std::string> names, impl_->files.names());
  for (const std::string& name : names) {
    TRY_ASSIGN(std::vector<Lease> leases, impl_->files.load_leases(name));
    const auto released = std::erase_if(
        leases, [&](const Lease& lease) { return lease.owner == owner || lease.owner.starts_with(owner + "/"); });
    if (released > 0) TRY(impl_->files.save_leases(name, leases));
  }
  return {};
}

Result<std::vector<Lease>> Networks::leases(const std::string& network) { return impl_->files.load_leases(network); }

Result<endpoint::Attachment> Networks::attachment(const Network& network, const Lease& lease,
                                                  const std::string& container_id, unsigned index, bool default_route) {
  TRY_ASSIGN(endpoint::Attachment made, plan_attachment(network, lease, container_id, index, default_route));
  // Under br_netfilter a container's connection to its own published port is turned round on the bridge itself.
  made.hairpin = is_bridge(network) && read_net_sysctl("bridge/bridge-nf-call-iptables") == "1";
  return made;
}

namespace {

/// What publish() works out before it touches the kernel.
struct PublishPlan {
  std::vector<Publication> chosen;
  std::map<std::string, std::vector<ports::Hold>> holds;
  std::vector<Entry> added;
  std::vector<firewall::Port> opened;
};

Error claimed_by(const firewall::Port& port, const Publication& claim) {
  const std::string who = claim.label.empty() ? "container " + claim.container_id.substr(0, 12) : claim.label;
  return make_error(Errc::busy, "port {} is in use by {} of project \"{}\"", ports::to_text(port), who, claim.project);
}

/// The claim that keeps `port` from `publication`, if there is one.
const Publication* colliding_claim(const firewall::Port& port, const Publication& publication,
                                   std::span<const Publication> claims, bool same_project_may) {
  for (const Publication& claim : claims) {
    if (claim.container_id == publication.container_id && same_port(claim, publication)) continue;
    if (same_project_may && claim.project == publication.project) continue;
    const auto other = firewall::read_port(claim);
    if (other.ok() && ports::collide(port, *other)) return &claim;
  }
  return nullptr;
}

/// Takes one port: the wanted one, the first free one of its range, or any.
Result<ports::Hold> take(firewall::Port port, Publication& publication, std::span<const Publication> claims,
                         bool same_project_may) {
  const unsigned last = std::max<unsigned>(publication.host_port_end, publication.host_port);
  constexpr unsigned kRandomTries = 64;
  unsigned tries = 0;
  for (unsigned number = publication.host_port;; ++number) {
    port.host_port = publication.host_port == 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(number);
    publication.host_port = port.host_port;
    const bool another = number < last || (port.host_port == 0 && ++tries < kRandomTries);
    if (const Publication* claim = colliding_claim(port, publication, claims, same_project_may)) {
      if (another) continue;
      return claimed_by(port, *claim);
    }
    auto held = ports::hold(port);
    if (!held.ok()) {
      if (another && held.error().code() == Errc::busy) continue;
      return held;
    }
    port.host_port = held->port;
    Publication chosen = publication;
    chosen.host_port = held->port;
    if (colliding_claim(port, chosen, claims, same_project_may) != nullptr) {
      // The kernel chose a number that a claim of ours without a socket has.
      publication.host_port = 0;
      if (another) continue;
      return make_error(Errc::busy, "no free port found");
    }
    publication.host_port = held->port;
    return held;
  }
}

}  // namespace

Result<std::vector<Publication>> Networks::publish(std::vector<Publication> publications) {
  if (publications.empty()) return publications;
  TRY_ASSIGN(const sys::FileLock lock, impl_->files.lock());
  TRY_ASSIGN(std::vector<Publication> claims, impl_->files.load_ports());
  PublishPlan plan;
  for (Publication& publication : publications) {
    TRY_ASSIGN(const firewall::Port port, firewall::read_port(publication));
    const bool repeated = std::any_of(claims.begin(), claims.end(),
                                      [&](const Publication& claim) { return same_port(claim, publication); });
    if (!repeated || !impl_->holds.contains(publication.container_id)) {
      auto held = take(port, publication, claims, false);
      if (!held.ok()) return std::move(held).error();
      plan.holds[publication.container_id].push_back(std::move(*held));
    }
    publication.host_port_end = 0;
    TRY_ASSIGN(const firewall::Port final_port, firewall::read_port(publication));
    if (auto& kept = plan.holds[publication.container_id]; !kept.empty() && kept.back().port == final_port.host_port)
      kept.back().published = final_port;
    append(plan.added, firewall::port_entries(ports::inside(final_port)));
    TRY(ports::open_on_host(final_port));
    if (!repeated) {
      claims.push_back(publication);
      plan.opened.push_back(final_port);
    }
  }
  TRY(impl_->change_rules(plan.added, {}));
  TRY(impl_->rules.with_socket([&](auto& socket) { return ports::forget_conversations(socket, plan.opened); }));
  TRY(impl_->files.save_ports(claims));
  for (auto& [container, holds] : plan.holds)
    for (ports::Hold& hold : holds) impl_->holds[container].push_back(std::move(hold));
  return publications;
}

Result<void> Networks::check_ports(std::span<const Publication> publications) {
  TRY_ASSIGN(const sys::FileLock lock, impl_->files.lock());
  TRY_ASSIGN(std::vector<Publication> claims, impl_->files.load_ports());
  std::vector<ports::Hold> held;  // all at once, so that ranges are shared out
  std::vector<std::pair<firewall::Port, std::string>> fixed;
  for (Publication publication : publications) {
    TRY_ASSIGN(const firewall::Port port, firewall::read_port(publication));
    if (port.host_port != 0 && publication.host_port_end <= publication.host_port) {
      for (const auto& [other, label] : fixed)
        if (ports::collide(port, other))
          return make_error(Errc::busy, "port {} is wanted by {} and by {}", ports::to_text(port), label,
                            publication.label);
      fixed.emplace_back(port, publication.label);
    }
    const auto ours = [&](const Publication& claim) {
      const auto other = firewall::read_port(claim);
      return claim.project == publication.project && other.ok() && ports::collide(port, *other);
    };
    if (std::any_of(claims.begin(), claims.end(), ours)) continue;
    auto hold = take(port, publication, claims, true);
    if (!hold.ok()) return std::move(hold).error();
    held.push_back(std::move(*hold));
  }
  return {};
}

namespace {

/// Whether a port asked for as `wanted` may be the one that `had` has.
bool same_place(const Publication& had, const Publication& wanted) {
  const auto protocol = [](const Publication& p) { return p.protocol.empty() ? std::string{"tcp"} : p.protocol; };
  if (had.host_ip != wanted.host_ip || protocol(had) != protocol(wanted)) return false;
  if (wanted.host_port == had.host_port) return true;
  if (had.container_port != wanted.container_port) return false;
  return wanted.host_port == 0 || (had.host_port > wanted.host_port && had.host_port <= wanted.host_port_end);
}

}  // namespace

Result<std::vector<Publication>> Networks::move_ports(const std::string& from, std::vector<Publication> publications) {
  TRY_ASSIGN(const sys::FileLock lock, impl_->files.lock());
  TRY_ASSIGN(std::vector<Publication> claims, impl_->files.load_ports());
  const auto moves = [&](const Publication& claim) { return claim.container_id == from; };
  std::vector<Publication> old;
  std::ranges::copy_if(claims, std::back_inserter(old), moves);
  std::erase_if(claims, moves);
  std::vector<Entry> removed, added;
  std::vector<IpAddress> left;
  std::vector<firewall::Port> opened;
  for (const Publication& claim : old) {
    TRY_ASSIGN(const firewall::Port port, firewall::read_port(claim));
    append(removed, firewall::port_entries(ports::inside(port)));
    for (const auto& target : {port.target4, port.target6})
      if (target) left.push_back(*target);
  }
  std::vector<ports::Hold> new_holds;
  std::set<std::uint16_t> kept;
  for (Publication& publication : publications) {
    const auto had =
        std::find_if(old.begin(), old.end(), [&](const Publication& p) { return same_place(p, publication); });
    if (had != old.end()) {
      publication.host_port = had->host_port;
      kept.insert(had->host_port);
      old.erase(had);
    } else {
      TRY_ASSIGN(const firewall::Port port, firewall::read_port(publication));
      TRY_ASSIGN(ports::Hold held, take(port, publication, claims, false));
      held.published = port;
      new_holds.push_back(std::move(held));
    }
    publication.host_port_end = 0;
    TRY_ASSIGN(const firewall::Port port, firewall::read_port(publication));
    append(added, firewall::port_entries(ports::inside(port)));
    opened.push_back(port);
    claims.push_back(publication);
  }
  std::set<std::string> needed, seen;
  for (const Publication& claim : claims) {
    if (!publications.empty() && claim.container_id == publications.front().container_id) continue;
    TRY_ASSIGN(const firewall::Port port, firewall::read_port(claim));
    for (const Entry& entry : firewall::port_entries(ports::inside(port))) needed.insert(firewall::to_text(entry));
  }
  std::erase_if(removed, [&](const Entry& entry) {
    const std::string text = firewall::to_text(entry);
    return needed.contains(text) || !seen.insert(text).second;
  });
  TRY(impl_->change_rules(added, removed));
  // Clients ask again after a second, and get to the other container then.
  TRY(impl_->rules.with_socket([&](auto& socket) { return ports::forget_unanswered(socket, left); }));
  TRY(impl_->files.save_ports(claims));
  auto holds = std::move(impl_->holds[from]);
  impl_->holds.erase(from);
  std::erase_if(holds, [&](const ports::Hold& hold) { return !kept.contains(hold.port); });
  std::move(new_holds.begin(), new_holds.end(), std::back_inserter(holds));
  for (ports::Hold& hold : holds) {
    const auto now = std::ranges::find_if(opened, [&](const firewall::Port& port) {
      return port.host_port == hold.port && port.protocol == hold.published.protocol &&
             port.host_ip == hold.published.host_ip;
    });
    if (now != opened.end()) hold.published = *now;
  }
  if (!publications.empty()) impl_->holds[publications.front().container_id] = std::move(holds);
  return publications;
}

Result<void> Networks::unpublish(std::span<const std::string> container_ids) {
  const std::set<std::string> gone{container_ids.begin(), container_ids.end()};
  TRY_ASSIGN(const sys::FileLock lock, impl_->files.lock());
  TRY_ASSIGN(std::vector<Publication> claims, impl_->files.load_ports());
  std::vector<Entry> removed;
  std::vector<firewall::Port> closed;
  for (const Publication& claim : claims) {
    if (!gone.contains(claim.container_id)) continue;
    TRY_ASSIGN(const firewall::Port port, firewall::read_port(claim));
    closed.push_back(port);
    append(removed, firewall::port_entries(ports::inside(port)));
  }
  std::erase_if(claims, [&](const Publication& claim) { return gone.contains(claim.container_id); });
  std::set<std::string> needed, seen;
  for (const Publication& claim : claims) {
    TRY_ASSIGN(const firewall::Port port, firewall::read_port(claim));
    for (const Entry& entry : firewall::port_entries(ports::inside(port))) needed.insert(firewall::to_text(entry));
  }
  std::erase_if(removed, [&](const Entry& entry) {
    const std::string text = firewall::to_text(entry);
    return needed.contains(text) || !seen.insert(text).second;
  });
  if (!removed.empty()) {
    // A table that is gone (the last network went first) has nothing to take out.
    TRY_ASSIGN(const bool present, impl_->rules.present());
    if (present) TRY(impl_->change_rules({}, removed));
    TRY(impl_->rules.with_socket([&](auto& socket) { return ports::forget_conversations(socket, closed); }));
    TRY(impl_->files.save_ports(claims));
  }
  for (const std::string& container : gone) impl_->holds.erase(container);
  for (const firewall::Port& port : closed) TRY(ports::close_on_host(port));
  return {};
}

Result<std::vector<Publication>> Networks::publications() { return impl_->files.load_ports(); }

Result<void> Networks::sweep(const std::string& project, std::span<const std::string> live) {
  std::set<std::string> alive{live.begin(), live.end()};
  TRY_ASSIGN(const std::vector<Publication> claims, impl_->files.load_ports());
  std::vector<std::string> stale;
  for (const Publication& claim : claims)
    if (claim.project == project && !alive.contains(claim.container_id)) stale.push_back(claim.container_id);
  TRY(unpublish(stale));

  TRY_ASSIGN(const sys::FileLock lock, impl_->files.lock());
  TRY_ASSIGN(const std::vector<Network> networks, impl_->load_all());
  if (networks.empty()) return {};
  std::set<std::string> bridges;
  for (const Network& network : networks) {
    bridges.insert(network.bridge);
    TRY_ASSIGN(const std::vector<Lease> leases, impl_->files.load_leases(network.spec.name));
    for (const Lease& lease : leases)
      if (!lease.owner.starts_with(project + "/")) alive.insert(lease.container_id);
  }
  TRY_ASSIGN(const std::vector<Link> links, list_links());
  std::set<int> indexes;
  for (const Link& link : links)
    if (bridges.contains(link.name)) indexes.insert(link.index);
  std::vector<std::string> leftovers;
  for (const Link& link : links) {
    if (link.kind != "veth" || !link.name.starts_with("vc") || !indexes.contains(link.master)) continue;
    const bool wanted = std::any_of(alive.begin(), alive.end(), [&](const std::string& id) {
      return !id.empty() && link.name.starts_with(host_interface_name(id, 0));
    });
    if (!wanted) leftovers.push_back(link.name);
  }
  return remove_links(leftovers);
}

}  // namespace compose::net
