#pragma once
// What the kernel cannot translate: connections to [::1]:PORT (IPv6 has no route_localnet), and IPv6 clients of a
// container without an IPv6 address. They are accepted here and passed on with splice(2), so that no byte is copied
// through this process. The client's address is lost on this path; all others go through the kernel alone.
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "async/event_loop.hpp"
#include "base/unique_fd.hpp"
#include "net/address.hpp"

namespace compose::net::ports {

class LocalProxy {
 public:
  explicit LocalProxy(async::EventLoop& loop);
  ~LocalProxy();
  LocalProxy(const LocalProxy&) = delete;
  LocalProxy& operator=(const LocalProxy&) = delete;

  /// One port of the host (a bound TCP socket) and where its connections go.
  struct Port {
    UniqueFd socket;
    IpAddress target;
    std::uint16_t target_port = 0;
  };
  /// Listens from now on, for this container, instead of at the ports it had before.
  void serve(const std::string& container_id, std::vector<Port> ports);
  /// Ends the container's ports and connections.
  void stop(const std::string& container_id);

  /// Connections at one time; more wait in the kernel's queue until one ends.
  static constexpr std::size_t kMostConnections = 128;

 private:
  struct Listener;
  struct Connection;
  struct Stream;
  void accept(Listener& listener);
  void pump(Connection& connection, Stream& stream);
  void drop(Connection& connection);
  void watch_listeners();

  async::EventLoop& loop_;
  std::map<std::string, std::list<Listener>> listeners_;
  std::list<std::unique_ptr<Connection>> connections_;
};

}  // namespace compose::net::ports
