// Virtual addresses, and putting right what others did to our rules.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <set>

#include "net/host_settings.hpp"
#include "net/networks_impl.hpp"
#include "net/ports/conntrack.hpp"

namespace compose::net {

using firewall::Entry;

namespace {

std::vector<Prefix> addresses_of(const Spread& spread) {
  std::vector<Prefix> list;
  for (const std::string& text : {spread.address4, spread.address6})
    if (const auto address = IpAddress::parse(text); address.ok()) list.push_back({*address, address->width()});
  return list;
}

std::set<std::string> texts(const std::vector<Entry>& entries) {
  std::set<std::string> list;
  for (const Entry& entry : entries) list.insert(firewall::to_text(entry));
  return list;
}

void leave_out(std::vector<Entry>& entries, const std::set<std::string>& these) {
  std::erase_if(entries, [&](const Entry& entry) { return these.contains(firewall::to_text(entry)); });
}

/// Whom `before` leads to and `now` does not.
std::vector<IpAddress> left_alone(const Spread& before, const Spread& now) {
  std::vector<IpAddress> list;
  for (const auto targets : {&Spread::targets4, &Spread::targets6}) {
    for (const std::string& text : before.*targets) {
      if (std::ranges::find(now.*targets, text) != (now.*targets).end()) continue;
      if (const auto address = IpAddress::parse(text); address.ok()) list.push_back(*address);
    }
  }
  return list;
}

bool belongs(const Spread& spread, const std::string& owner) {
  return spread.owner == owner || spread.owner.starts_with(owner + "/");
}

}  // namespace

Result<void> Networks::spread(Spread wanted) {
  TRY_ASSIGN(const sys::FileLock lock, impl_->files.lock());
  TRY_ASSIGN(const std::optional<Network> network, impl_->files.load(wanted.network));
  if (!network) return make_error(Errc::not_found, "there is no network \"{}\"", wanted.network);
  if (!is_bridge(*network))
    return make_error(Errc::unsupported, "network \"{}\": only bridges carry virtual addresses (endpoint_mode: vip)",
                      wanted.network);
  wanted.bridge = network->bridge;
  TRY_ASSIGN(std::vector<Spread> spreads, impl_->files.load_spreads());
  const auto before = std::ranges::find_if(
      spreads, [&](const Spread& one) { return one.owner == wanted.owner && one.network == wanted.network; });
  TRY_ASSIGN(std::vector<Entry> added, firewall::spread_entries(wanted));
  std::vector<Entry> removed;
  if (before != spreads.end()) {
    if (*before == wanted) return {};
    TRY_ASSIGN(removed, firewall::spread_entries(*before));
    const auto old = texts(removed);
    leave_out(removed, texts(added));
    leave_out(added, old);
  }
  TRY(add_addresses(network->bridge, addresses_of(wanted)));
  TRY(impl_->change_rules(added, removed));
  if (before != spreads.end()) {
    TRY(impl_->rules.with_socket(
        [&](netlink::Socket& socket) { return ports::forget_unanswered(socket, left_alone(*before, wanted)); }));
    *before = std::move(wanted);
  } else {
    spreads.push_back(std::move(wanted));
  }
  return impl_->files.save_spreads(spreads);
}

Result<void> Networks::unspread(const std::string& owner) {
  TRY_ASSIGN(const sys::FileLock lock, impl_->files.lock());
  TRY_ASSIGN(std::vector<Spread> spreads, impl_->files.load_spreads());
  std::vector<Entry> removed;
  for (const Spread& spread : spreads) {
    if (!belongs(spread, owner)) continue;
    TRY_ASSIGN(std::vector<Entry> entries, firewall::spread_entries(spread));
    append(removed, std::move(entries));
    TRY(remove_addresses(spread.bridge, addresses_of(spread)));
  }
  if (std::erase_if(spreads, [&](const Spread& spread) { return belongs(spread, owner); }) == 0) return {};
  TRY_ASSIGN(const bool present, impl_->rules.present());
  if (present) TRY(impl_->change_rules({}, removed));
  return impl_->files.save_spreads(spreads);
}

std::vector<ports::LocalProxy::Port> Networks::local_ports(const std::string& container_id) const {
  std::vector<ports::LocalProxy::Port> list;
  const auto holds = impl_->holds.find(container_id);
  if (holds == impl_->holds.end()) return list;
  for (const ports::Hold& hold : holds->second) {
    const auto target = hold.published.target6 ? hold.published.target6 : hold.published.target4;
    if (hold.published.protocol != IPPROTO_TCP || !target) continue;
    for (const UniqueFd& socket : hold.sockets) {
      int family = 0;
      socklen_t size = sizeof family;
      if (::getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &family, &size) != 0 || family != AF_INET6) continue;
      list.push_back({UniqueFd{::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0)}, *target, hold.published.target_port});
    }
  }
  return list;
}

Result<bool> Networks::repair() {
  TRY_ASSIGN(const sys::FileLock lock, impl_->files.lock());
  TRY_ASSIGN(const std::vector<Network> networks, impl_->load_all());
  if (std::ranges::none_of(networks, is_bridge)) return false;
  TRY_ASSIGN(const std::vector<Entry> entries, impl_->all_entries());
  TRY_ASSIGN(const bool intact, impl_->rules.intact(entries));
  if (!intact) TRY(impl_->rules.rebuild(entries));
  bool changed = !intact;
  TRY_ASSIGN(const sys::FileLock settings, lock_host_settings());
  for (const Network& network : networks) {
    if (!is_bridge(network)) continue;
    TRY(enable_forwarding(impl_->files, impl_->rules, has_ipv6(network)));
    TRY_ASSIGN(const bool added,
               impl_->rules.pass_foreign_chains(network.bridge, has_ipv6(network), firewall::is_open(network)));
    changed = changed || added;
  }
  return changed;
}

}  // namespace compose::net
