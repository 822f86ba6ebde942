#pragma once
// Answers of the outside, kept as long as their own TTLs say (RFC 1035, 7.4; negative ones: RFC 2308, 5).
#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "net/dns/message.hpp"

namespace compose::net::dns {

class Cache {
 public:
  using Time = std::chrono::steady_clock::time_point;
  explicit Cache(std::size_t most_entries) : most_entries_{most_entries} {}

  /// What tells questions apart: name, type, class, DNSSEC flag, and whom they go to.
  static std::string key(const Query& query, ByteSpan message, std::string_view upstreams);

  /// Keeps a reply that may be kept: NOERROR or NXDOMAIN, whole, not truncated, with a TTL.
  void put(const std::string& key, ByteSpan reply, Time now);
  /// The reply for `query`, with its id, its spelling of the name, and TTLs counted down.
  std::optional<Bytes> get(const std::string& key, ByteSpan query, const Query& parsed, Time now);
  std::size_t size() const { return entries_.size(); }
  void clear();

 private:
  struct Entry {
    std::string key;
    Bytes reply;
    std::vector<std::size_t> ttl_offsets;
    Time stored;
    std::uint32_t ttl;  ///< seconds
  };
  std::size_t most_entries_;
  std::list<Entry> entries_;  ///< most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> index_;
};

}  // namespace compose::net::dns
