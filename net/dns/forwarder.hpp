#pragma once
// Asks the resolvers of the outside: each attempt from a socket of its own, so that port and id are both random
// (RFC 5452), and only a reply to the very question asked, from the very address asked, counts.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/event_loop.hpp"
#include "base/unique_fd.hpp"
#include "net/dns/message.hpp"
#include "net/dns/responder.hpp"
#include "net/dns/server.hpp"

namespace compose::net::dns {

class Forwarder {
 public:
  /// The upstream's reply with the asker's id; nothing when no upstream gave one.
  using Done = std::function<void(std::optional<Bytes>)>;

  Forwarder(async::EventLoop& loop, Duration timeout, unsigned attempts, Server::Counters& counters);
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  struct Targets {
    std::vector<std::string> upstreams;
    std::weak_ptr<const UniqueFd> beside;  ///< a socket of the namespace to ask from
    bool from_there = false;               ///< false: from this process's
  };
  /// Asks the upstreams in turn. `done` is called from the event loop, never from within ask().
  void ask(ByteSpan query, const Query& parsed, Transport transport, Targets targets, Done done);

 private:
  struct Exchange;
  void attempt(Exchange& exchange);
  void next(Exchange& exchange);
  void finish(Exchange& exchange, std::optional<Bytes> reply);
  bool open(Exchange& exchange);
  void on_datagram(Exchange& exchange);
  void on_stream_writable(Exchange& exchange);
  void on_stream_readable(Exchange& exchange);
  void consider(Exchange& exchange, ByteSpan reply);

  async::EventLoop& loop_;
  Duration timeout_;
  unsigned attempts_;
  Server::Counters& counters_;
  std::uint64_t next_key_ = 0;
  std::map<std::uint64_t, std::unique_ptr<Exchange>> exchanges_;
};

}  // namespace compose::net::dns
