#pragma once
// Replies of upstreams, kept as long as their TTLs allow and within fixed bounds. Pure: the time comes in.
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/units.hpp"
#include "net/dns/message.hpp"
#include "net/dns/zone.hpp"

namespace compose::net::dns {

/// Seconds on a clock that never goes back.
using Seconds = std::uint64_t;

class Cache {
 public:
  /// `entries`: how many replies at most (0: none). Replies larger than kLargestReply are not kept.
  explicit Cache(std::size_t entries) : limit_{entries} {}
  static constexpr std::size_t kLargestReply = 4096;

  void put(const std::string& key, Bytes reply, const ReplyFacts& facts, Seconds now);
  /// The reply with its TTLs lowered by its age, copied to `out`; 0 when there is none.
  std::size_t get(std::string_view key, Seconds now, std::span<std::uint8_t> out);
  std::size_t size() const { return entries_.size(); }
  void clear();

 private:
  struct Entry {
    std::string key;
    std::vector<std::uint8_t> reply;
    std::vector<std::uint16_t> ttl_offsets;
    Seconds stored = 0, expires = 0;
  };
  std::size_t limit_;
  std::list<Entry> entries_;  ///< most recently used first
  std::unordered_map<std::string_view, std::list<Entry>::iterator, TextHash, std::equal_to<>> index_;
};

}  // namespace compose::net::dns
