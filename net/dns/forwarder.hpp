#pragma once
// Asks upstream servers: a fresh socket (so a random port) and a random id for each question, replies checked against
// the question, retries over all servers, TCP where the asker used it. Equal questions in flight are asked once.
#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "async/event_loop.hpp"
#include "net/dns/cache.hpp"
#include "net/dns/responder.hpp"

namespace compose::net::dns {

struct Upstream {
  sockaddr_storage address{};
  socklen_t size = 0;
  std::uint64_t shunned_until = 0;  ///< seconds; after a timeout others are asked first
};

/// Servers that are asked in turn. Texts that are no addresses are left out.
struct UpstreamGroup {
  std::string name;  ///< part of cache keys
  std::vector<Upstream> servers;
  static std::shared_ptr<UpstreamGroup> parse(const std::vector<std::string>& texts);
};

struct ForwardCounters {
  std::uint64_t forwarded = 0, cache_hits = 0, failed = 0, rejected_replies = 0;
};

class Forwarder {
 public:
  struct Limits {
    Duration timeout{};     ///< of one attempt
    unsigned attempts = 2;  ///< rounds over the servers
    std::size_t cache_entries = 0;
    std::size_t in_flight = 2048;  ///< questions; more fail at once
  };
  Forwarder(async::EventLoop& loop, Limits limits);
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  /// The reply, with the asker's id and spelling; empty when no server gave one. Called once, never from inside ask().
  using Done = std::function<void(Bytes reply)>;

  /// A reply from the cache, written to `out`; 0 when there is none.
  std::size_t cached(Bytes message, const Query& query, const UpstreamGroup& group, Transport transport,
                     std::span<std::uint8_t> out);
  void ask(Bytes message, const Query& query, std::shared_ptr<UpstreamGroup> group, Transport transport, Done done);

  void forget() { cache_.clear(); }
  const ForwardCounters& counters() const { return counters_; }
  std::size_t in_flight() const;

 private:
  struct Transaction;
  void start(Transaction& transaction);
  void start_tcp(Transaction& transaction);
  void on_udp(Transaction& transaction);
  void on_tcp_writable(Transaction& transaction);
  void on_tcp_readable(Transaction& transaction);
  /// True: the reply was accepted, and the transaction may be gone.
  bool accept(Transaction& transaction, Bytes reply);
  void next_attempt(Transaction& transaction, bool shun);
  void finish(Transaction& transaction, Bytes reply);

  async::EventLoop& loop_;
  Limits limits_;
  Cache cache_;
  ForwardCounters counters_;
  std::unordered_map<std::string, std::unique_ptr<Transaction>> transactions_;
  std::vector<std::uint8_t> buffer_;
  std::uint64_t hopeless_ = 0;
};

/// Makes `reply` fit `limit`: cut to its question and marked truncated when it is longer. Returns its new size.
std::size_t fit_reply(std::span<std::uint8_t> reply, std::size_t limit, std::size_t question_end);

}  // namespace compose::net::dns
