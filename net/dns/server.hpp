#pragma once
// The resolver of a project's containers: answers from views, forwards the rest. Runs on the event loop; forwarding
// happens in the network namespace of this process, so that a resolver on the host's loopback works too.
#include <memory>
#include <string>
#include <vector>

#include "async/event_loop.hpp"
#include "net/dns/zone.hpp"
#include "net/endpoint/endpoint.hpp"

namespace compose::net::dns {

/// Addresses of the `nameserver` lines of a resolv.conf(5); 127.0.0.1 when there is none.
std::vector<std::string> upstreams_from(const std::string& resolv_conf_path = "/etc/resolv.conf");
/// Its search domains, lower case.
std::vector<std::string> search_domains_from(const std::string& resolv_conf_path = "/etc/resolv.conf");

class Server {
 public:
  struct Options {
    std::vector<std::string> upstreams;          ///< "10.0.0.1", "10.0.0.1:5353", "[::1]:53"
    Duration timeout = std::chrono::seconds(2);  ///< of one upstream's one attempt: the asker's own patience is 5 s
    unsigned attempts = 2;                       ///< rounds over the upstreams
    std::size_t cache_entries = 4096;            ///< 0: no cache
    Duration idle = std::chrono::seconds(10);    ///< after which a silent TCP connection is closed
  };
  Server(async::EventLoop& loop, Options options);
  Server(async::EventLoop& loop, std::vector<std::string> upstreams);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Answers at `sockets` until stop(); replaces an earlier call for the same container.
  void serve(const std::string& container_id, endpoint::ResolverSockets sockets, std::shared_ptr<const ZoneView> view);
  /// Another view for a container that is served; others are ignored. Changes of zones need no call.
  void update(const std::string& container_id, std::shared_ptr<const ZoneView> view);
  void stop(const std::string& container_id);
  /// After a change of the host's resolv.conf.
  void set_upstreams(std::vector<std::string> upstreams);

  struct Counters {
    std::uint64_t queries = 0;    ///< all that came in, torn ones included
    std::uint64_t forwarded = 0;  ///< questions asked outside
    std::uint64_t cache_hits = 0;
    std::uint64_t failed = 0;            ///< questions no upstream answered
    std::uint64_t rejected_replies = 0;  ///< with a wrong id or question, or torn
  };
  Counters counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace compose::net::dns
