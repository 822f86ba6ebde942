#pragma once
// Servers and clients for tests, each in a network namespace.
#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "net/address.hpp"
#include "net/testing/netns.hpp"

namespace compose::net::testing {

struct Endpoint {
  sockaddr_storage storage{};
  socklen_t size = 0;

  static Endpoint of(const std::string& address, std::uint16_t port) {
    Endpoint made;
    const IpAddress ip = IpAddress::parse(address).value();
    if (ip.is_v4()) {
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_port = htons(port);
      std::memcpy(&in.sin_addr, ip.bytes().data(), 4);
      std::memcpy(&made.storage, &in, sizeof in);
      made.size = sizeof in;
    } else {
      sockaddr_in6 in6{};
      in6.sin6_family = AF_INET6;
      in6.sin6_port = htons(port);
      std::memcpy(&in6.sin6_addr, ip.bytes().data(), 16);
      std::memcpy(&made.storage, &in6, sizeof in6);
      made.size = sizeof in6;
    }
    return made;
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  std::string host() const {
    char text[NI_MAXHOST];
    if (getnameinfo(get(), size, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) return "?";
    return text;
  }
};

/// Tells every client (TCP connection or UDP datagram) the address it is seen with, as long as the object lives.
class WhoAmI {
 public:
  WhoAmI(const Netns& netns, const std::string& address, std::uint16_t port, int type = SOCK_STREAM)
      : stop_{::eventfd(0, EFD_CLOEXEC)}, type_{type} {
    netns.run([&] {
      const Endpoint where = Endpoint::of(address, port);
      socket_.reset(::socket(where.family(), type | SOCK_CLOEXEC, 0));
      const int on = 1;
      ::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      if (where.family() == AF_INET6) ::setsockopt(socket_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
      ASSERT_EQ(::bind(socket_.get(), where.get(), where.size), 0) << address << ": " << std::strerror(errno);
      if (type == SOCK_STREAM) {
        ASSERT_EQ(::listen(socket_.get(), 64), 0);
      }
    });
    thread_ = std::thread{[this] { serve(); }};
  }
  ~WhoAmI() {
    const std::uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof one);
    thread_.join();
  }
  WhoAmI(const WhoAmI&) = delete;
  WhoAmI& operator=(const WhoAmI&) = delete;

 private:
  void serve() {
    while (true) {
      pollfd events[] = {{socket_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
      ::poll(events, 2, -1);
      if (events[1].revents != 0) return;
      Endpoint peer;
      peer.size = sizeof peer.storage;
      if (type_ == SOCK_STREAM) {
        const UniqueFd connection{::accept4(socket_.get(), peer.get(), &peer.size, SOCK_CLOEXEC)};
        const std::string text = peer.host();
        (void)!::send(connection.get(), text.data(), text.size(), MSG_NOSIGNAL);
      } else {
        char buffer[64];
        (void)!::recvfrom(socket_.get(), buffer, sizeof buffer, 0, peer.get(), &peer.size);
        const std::string text = peer.host();
        (void)!::sendto(socket_.get(), text.data(), text.size(), 0, peer.get(), peer.size);
      }
    }
  }
  UniqueFd socket_, stop_;
  int type_;
  std::thread thread_;
};

/// What a WhoAmI at address:port answers when asked from `netns`; "refused", "timeout" or another error otherwise.
/// `patience` in milliseconds; a drop cannot be told from slowness, so keep it short where one is expected.
inline std::string ask(const Netns& netns, const std::string& address, std::uint16_t port, int type = SOCK_STREAM,
                       int patience = 2000) {
  std::string answer;
  netns.run([&] {
    const Endpoint where = Endpoint::of(address, port);
    const UniqueFd fd{::socket(where.family(), type | SOCK_CLOEXEC, 0)};
    const timeval limit{patience / 1000, patience % 1000 * 1000};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    char buffer[64];
    ssize_t got = ::connect(fd.get(), where.get(), where.size);
    if (got == 0 && type == SOCK_DGRAM) got = ::send(fd.get(), "?", 1, 0);
    if (got >= 0) got = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (got >= 0) {
      answer.assign(buffer, static_cast<std::size_t>(got));
    } else if (errno == ECONNREFUSED) {
      answer = "refused";
    } else if (errno == EINPROGRESS || errno == EAGAIN || errno == ETIMEDOUT) {
      answer = "timeout";
    } else {
      answer = std::strerror(errno);
    }
  });
  return answer;
}

}  // namespace compose::net::testing
