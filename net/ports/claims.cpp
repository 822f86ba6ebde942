#include "net/ports/claims.hpp"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <set>

#include "base/strings.hpp"
#include "net/endpoint/netlink.hpp"
#include "sys/file.hpp"

namespace compose::net::ports {

namespace {

constexpr std::uint8_t kTcp = 6, kUdp = 17;

const char* protocol_name(std::uint8_t protocol) {
  return protocol == kTcp ? "tcp" : protocol == kUdp ? "udp" : "sctp";
}

}  // namespace

bool collide(const firewall::Port& a, const firewall::Port& b) {
  if (a.protocol != b.protocol || a.host_port != b.host_port || a.host_port == 0) return false;
  if (!((a.ipv4 && b.ipv4) || (a.ipv6 && b.ipv6))) return false;
  return !a.host_ip || !b.host_ip || *a.host_ip == *b.host_ip;
}

std::string to_text(const firewall::Port& port) {
  const std::string number = fmt::format("{}/{}", port.host_port, protocol_name(port.protocol));
  if (!port.host_ip) return number;
  return port.host_ip->is_v6() ? fmt::format("[{}]:{}", port.host_ip->to_string(), number)
                               : fmt::format("{}:{}", port.host_ip->to_string(), number);
}

namespace {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

SocketAddress socket_address(const IpAddress& address, std::uint16_t port) {
  SocketAddress made;
  if (address.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address.bytes().data(), 4);
    std::memcpy(&made.storage, &in, sizeof in);
    made.size = sizeof in;
  } else {
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    std::memcpy(&in6.sin6_addr, address.bytes().data(), 16);
    std::memcpy(&made.storage, &in6, sizeof in6);
    made.size = sizeof in6;
  }
  return made;
}

/// A bound socket, or the errno as an Error without context.
Result<UniqueFd> bind_with(const IpAddress& address, std::uint16_t port, std::uint8_t protocol, int reuse) {
  const int type = protocol == kUdp ? SOCK_DGRAM : SOCK_STREAM;
  UniqueFd fd{::socket(address.is_v4() ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, protocol)};
  if (!fd.valid()) return os_error("open a socket");
  const int on = 1;
  if (address.is_v6()) (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  const SocketAddress where = socket_address(address, port);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&where.storage), where.size) != 0) return os_error("bind");
  return fd;
}

/// Without SO_REUSEADDR, or a later listener that has it would get the port beside us. Only where connections in
/// TIME_WAIT stand in the way (they are nobody's, a listener still is a conflict) it is needed.
Result<UniqueFd> bind_one(const IpAddress& address, std::uint16_t port, std::uint8_t protocol) {
  auto bound = bind_with(address, port, protocol, 0);
  if (!bound.ok() && bound.error().sys_errno() == EADDRINUSE && protocol == kTcp)
    return bind_with(address, port, protocol, 1);
  return bound;
}

std::uint16_t bound_port(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return 0;
  if (storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof in);
    return ntohs(in.sin_port);
  }
  sockaddr_in6 in6{};
  std::memcpy(&in6, &storage, sizeof in6);
  return ntohs(in6.sin6_port);
}

std::vector<IpAddress> addresses_of(const firewall::Port& port) {
  if (port.host_ip) return {*port.host_ip};
  std::vector<IpAddress> addresses;
  const std::uint8_t zero[16] = {};
  if (port.ipv4) addresses.push_back(IpAddress::from_bytes(IpAddress::Family::v4, zero));
  if (port.ipv6) addresses.push_back(IpAddress::from_bytes(IpAddress::Family::v6, zero));
  return addresses;
}

Error explain(const Error& error, const firewall::Port& port) {
  switch (error.sys_errno()) {
    case EADDRINUSE: {
      const auto name = holder(port);
      return make_error(Errc::busy, "port {} is in use by {}", to_text(port), name.value_or("another process"));
    }
    case EADDRNOTAVAIL:
      return make_error(Errc::invalid, "cannot publish at {}: it is not an address of this host", to_text(port));
    case EPROTONOSUPPORT:
      return make_error(Errc::unsupported, "port {}: this kernel has no SCTP (modprobe sctp)", to_text(port));
    default:
      return os_error_from(error.sys_errno(), fmt::format("cannot take port {}", to_text(port)));
  }
}

/// All addresses on one port; port 0 becomes what the first bind got.
Result<Hold> hold_once(const firewall::Port& wanted) {
  Hold hold;
  hold.port = wanted.host_port;
  for (const IpAddress& address : addresses_of(wanted)) {
    auto bound = bind_one(address, hold.port, wanted.protocol);
    if (!bound.ok()) {
      const int code = bound.error().sys_errno();
      // A host without IPv6 publishes what it can.
      const bool missing = code == EAFNOSUPPORT || (code == EADDRNOTAVAIL && address.is_v6() && !wanted.host_ip);
      if (missing) continue;
      return std::move(bound).error();
    }
    if (hold.port == 0) hold.port = bound_port(bound->get());
    hold.sockets.push_back(std::move(*bound));
  }
  return hold;
}

}  // namespace

Result<Hold> hold(const firewall::Port& port) {
  constexpr int kTries = 16;  // with port 0: the number IPv4 got may be taken on IPv6
  for (int tries = 0;; ++tries) {
    auto held = hold_once(port);
    if (held.ok()) return held;
    if (port.host_port == 0 && held.error().sys_errno() == EADDRINUSE && tries < kTries) continue;
    return explain(held.error(), port);
  }
}

namespace {

/// Inodes of sockets bound to the port, from one of the files /proc/net/tcp, tcp6, udp, udp6: the second field is
/// address:port in hexadecimal, the fourth the state, the tenth the inode.
void collect_inodes(const std::string& file, const firewall::Port& port, std::set<std::string>& inodes) {
  auto text = sys::read_file(file);
  if (!text.ok()) return;
  const std::string suffix = fmt::format(":{:04X}", port.host_port);
  for (const std::string& line : split(*text, '\n')) {
    std::vector<std::string> fields;
    for (const std::string& field : split(line, ' '))
      if (!field.empty()) fields.push_back(field);
    if (fields.size() < 10 || !fields[1].ends_with(suffix)) continue;
    constexpr const char* kListening = "0A";
    if (port.protocol == kTcp && fields[3] != kListening) continue;
    inodes.insert("socket:[" + fields[9] + "]");
  }
}

/// Sockets that are bound without listening are in none of those files; sock_diag(7) shows them since Linux 6.8.
/// Another supervisor's holds are such sockets.
void collect_bound_inodes(int family, const firewall::Port& port, std::set<std::string>& inodes) {
  constexpr unsigned kBoundInactive = 13;  // TCP_BOUND_INACTIVE
  auto socket = netlink::Socket::open(NETLINK_SOCK_DIAG);
  if (!socket.ok()) return;
  netlink::Batch batch;
  batch.message(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, "list sockets");
  inet_diag_req_v2 request{};
  request.sdiag_family = static_cast<std::uint8_t>(family);
  request.sdiag_protocol = port.protocol;
  request.idiag_states = 1U << kBoundInactive;
  batch.header(request);
  const auto outcome = socket->query(batch, [&](const netlink::Reply& reply) {
    inet_diag_msg found{};
    if (reply.payload.size() < sizeof found) return;
    std::memcpy(&found, reply.payload.data(), sizeof found);
    if (ntohs(found.id.idiag_sport) == port.host_port)
      inodes.insert("socket:[" + std::to_string(found.idiag_inode) + "]");
  });
  (void)outcome.ok();  // older kernels know no such state
}

bool has_descriptor(const std::string& process, const std::set<std::string>& inodes) {
  const std::string directory = "/proc/" + process + "/fd";
  auto names = sys::list_directory(directory);
  if (!names.ok()) return false;
  char target[64];
  for (const std::string& name : *names) {
    const ssize_t size = ::readlink((directory + "/" + name).c_str(), target, sizeof target);
    if (size > 0 && inodes.contains(std::string(target, static_cast<std::size_t>(size)))) return true;
  }
  return false;
}

}  // namespace

std::optional<std::string> holder(const firewall::Port& port) {
  std::set<std::string> inodes;
  const std::string name = protocol_name(port.protocol);
  for (const std::string suffix : {"", "6"}) collect_inodes("/proc/thread-self/net/" + name + suffix, port, inodes);
  if (inodes.empty() && port.protocol == kTcp)
    for (const int family : {AF_INET, AF_INET6}) collect_bound_inodes(family, port, inodes);
  if (inodes.empty()) return std::nullopt;
  auto processes = sys::list_directory("/proc");
  if (!processes.ok()) return std::nullopt;
  for (const std::string& process : *processes) {
    if (!is_digits(process) || !has_descriptor(process, inodes)) continue;
    auto command = sys::read_file("/proc/" + process + "/comm", 4096);
    return fmt::format("{} (pid {})", command.ok() ? trim(*command) : "?", process);
  }
  return std::nullopt;
}

}  // namespace compose::net::ports
