#pragma once
// The resolver of a project's containers: answers from views, forwards the rest. Runs on the event loop. Whose loopback
// 127.0.0.1 is: the host's resolvers are asked from this process's namespace, those of `dns:` from the container's.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "async/event_loop.hpp"
#include "net/dns/zone.hpp"
#include "net/endpoint/endpoint.hpp"

namespace compose::net::dns {

/// Addresses of the `nameserver` lines of a resolv.conf(5); 127.0.0.1 when there is none.
std::vector<std::string> upstreams_from(const std::string& resolv_conf_path = "/etc/resolv.conf");

class Server {
 public:
  struct Options {
    std::vector<std::string> upstreams;          ///< "10.0.0.1", "10.0.0.1:5353", "[::1]:53"
    Duration timeout = std::chrono::seconds(3);  ///< of one upstream's one attempt
    unsigned attempts = 2;                       ///< rounds over the upstreams
    std::size_t cache_entries = 4096;            ///< 0: no cache
  };
  Server(async::EventLoop& loop, Options options);
  Server(async::EventLoop& loop, std::vector<std::string> upstreams);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Answers at `sockets` until stop(); replaces an earlier call for the same container.
  void serve(const std::string& container_id, endpoint::ResolverSockets sockets, std::shared_ptr<const ZoneView> view);
  void update(const std::string& container_id, std::shared_ptr<const ZoneView> view);
  void stop(const std::string& container_id);
  /// After a change of the host's resolv.conf.
  void set_upstreams(std::vector<std::string> upstreams);

  /// Called before a query is answered, at most every 100 ms: whoever knows names from elsewhere brings the zones up to
  /// date.
  void before_query(std::function<void()> refresh);

  struct Counters {
    std::uint64_t queries = 0, answered = 0, forwarded = 0, cache_hits = 0, failed = 0, rejected_replies = 0;
  };
  const Counters& counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace compose::net::dns
