#include "net/endpoint/device.hpp"

#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "net/endpoint/netlink.hpp"

namespace compose::net::endpoint {
namespace {

/// A permanent address of global scope, as the kernel describes it.
struct Address {
  ifaddrmsg head{};
  std::vector<std::pair<std::uint16_t, std::string>> attributes;
};

Result<UniqueFd> open_namespace(const std::string& path) {
  UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd.valid()) return os_error("open the network namespace {}", path);
  return fd;
}

/// A socket of the namespace `target`: where a socket is made decides for good.
Result<netlink::Socket> socket_in(const UniqueFd& target) {
  TRY_ASSIGN(const UniqueFd own, open_namespace("/proc/thread-self/ns/net"));
  struct stat here{};
  struct stat there{};
  if (::fstat(own.get(), &here) != 0 || ::fstat(target.get(), &there) != 0) return os_error("stat a namespace");
  if (here.st_ino == there.st_ino && here.st_dev == there.st_dev) {
    return make_error(Errc::invalid, "the container has no network namespace of its own");
  }
  if (::setns(target.get(), CLONE_NEWNET) != 0) return os_error("enter the network namespace");
  auto socket = netlink::Socket::open(NETLINK_ROUTE);
  if (::setns(own.get(), CLONE_NEWNET) != 0) return os_error("leave the network namespace");
  return socket;
}

Result<std::vector<int>> device_indexes(netlink::Socket& socket) {
  std::vector<int> indexes;
  netlink::Batch batch;
  batch.message(RTM_GETLINK, NLM_F_DUMP, "list the network devices");
  batch.header(ifinfomsg{});
  TRY(socket.query(batch, [&](const netlink::Reply& reply) {
    ifinfomsg head{};
    if (reply.payload.size() < sizeof head) return;
    std::memcpy(&head, reply.payload.data(), sizeof head);
    indexes.push_back(head.ifi_index);
  }));
  return indexes;
}

Result<std::vector<Address>> addresses_of(netlink::Socket& socket, int index) {
  std::vector<Address> result;
  netlink::Batch batch;
  batch.message(RTM_GETADDR, NLM_F_DUMP, "list addresses");
  batch.header(ifaddrmsg{});
  TRY(socket.query(batch, [&](const netlink::Reply& reply) {
    Address address;
    if (reply.payload.size() < sizeof address.head) return;
    std::memcpy(&address.head, reply.payload.data(), sizeof address.head);
    const bool wanted = address.head.ifa_index == static_cast<std::uint32_t>(index) &&
                        address.head.ifa_scope == RT_SCOPE_UNIVERSE && (address.head.ifa_flags & IFA_F_PERMANENT) != 0;
    if (!wanted) return;
    netlink::for_each_attribute(reply.payload.substr(sizeof address.head), [&](const netlink::Attribute& attribute) {
      const bool kept = attribute.type == IFA_LOCAL || attribute.type == IFA_ADDRESS || attribute.type == IFA_BROADCAST;
      if (kept) address.attributes.emplace_back(attribute.type, std::string{attribute.data});
    });
    result.push_back(std::move(address));
  }));
  return result;
}

Result<void> settle(netlink::Socket& socket, int index, const std::string& name, std::vector<Address> addresses) {
  netlink::Batch batch;
  for (auto& address : addresses) {
    batch.message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, fmt::format("keep an address of \"{}\"", name));
    address.head.ifa_index = static_cast<std::uint32_t>(index);
    // It was found to be nobody else's before the move.
    address.head.ifa_flags = address.head.ifa_family == AF_INET6 ? IFA_F_NODAD : 0;
    batch.header(address.head);
    for (const auto& [type, bytes] : address.attributes) batch.attribute(type, bytes);
  }
  batch.message(RTM_NEWLINK, 0, fmt::format("bring up \"{}\"", name));
  ifinfomsg up{};
  up.ifi_index = index;
  up.ifi_flags = up.ifi_change = IFF_UP;
  batch.header(up);
  return socket.execute(batch);
}

Result<void> move_device(netlink::Socket& here, netlink::Socket& there, const UniqueFd& target,
                         const std::string& host_name, const std::string& name) {
  const unsigned index = ::if_nametoindex(host_name.c_str());
  if (index == 0) return make_error(Errc::not_found, "the host has no network device \"{}\"", host_name);
  TRY_ASSIGN(auto addresses, addresses_of(here, static_cast<int>(index)));
  TRY_ASSIGN(const auto before, device_indexes(there));
  netlink::Batch batch;
  batch.message(RTM_NEWLINK, 0, fmt::format("move the network device \"{}\" to \"{}\"", host_name, name));
  ifinfomsg head{};
  head.ifi_index = static_cast<int>(index);
  batch.header(head);
  batch.u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(target.get()));
  batch.text(IFLA_IFNAME, name);
  TRY(here.execute(batch));
  // Its number may have been taken there, and its name may be the kernel's choice.
  TRY_ASSIGN(const auto after, device_indexes(there));
  const auto moved =
      std::ranges::find_if(after, [&](int one) { return std::ranges::find(before, one) == before.end(); });
  if (moved == after.end()) return make_error(Errc::failed, "the network device \"{}\" got lost", host_name);
  return settle(there, *moved, name, std::move(addresses));
}

}  // namespace

Result<void> move_devices(std::span<const std::pair<std::string, std::string>> devices, const std::string& netns) {
  if (devices.empty()) return {};
  TRY_ASSIGN(const UniqueFd target, open_namespace(netns));
  TRY_ASSIGN(netlink::Socket there, socket_in(target));
  TRY_ASSIGN(netlink::Socket here, netlink::Socket::open(NETLINK_ROUTE));
  for (const auto& [host_name, name] : devices) TRY(move_device(here, there, target, host_name, name));
  return {};
}

}  // namespace compose::net::endpoint
