#include "net/dns/cache.hpp"

#include <algorithm>

namespace compose::net::dns {

void Cache::put(const std::string& key, Bytes reply, const ReplyFacts& facts, Seconds now) {
  if (limit_ == 0 || facts.ttl == 0 || reply.size() > kLargestReply) return;
  if (const auto found = index_.find(key); found != index_.end()) {
    const auto old = found->second;
    index_.erase(found);
    entries_.erase(old);
  }
  entries_.push_front({key, {reply.begin(), reply.end()}, facts.ttl_offsets, now, now + facts.ttl});
  index_.emplace(entries_.front().key, entries_.begin());
  while (entries_.size() > limit_) {
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

std::size_t Cache::get(std::string_view key, Seconds now, std::span<std::uint8_t> out) {
  const auto found = index_.find(key);
  if (found == index_.end()) return 0;
  const auto entry = found->second;
  if (entry->expires <= now || entry->reply.size() > out.size()) {
    index_.erase(found);
    entries_.erase(entry);
    return 0;
  }
  entries_.splice(entries_.begin(), entries_, entry);
  std::copy(entry->reply.begin(), entry->reply.end(), out.begin());
  const auto age = static_cast<std::uint32_t>(now - entry->stored);
  for (const std::uint16_t offset : entry->ttl_offsets) {
    const std::uint32_t ttl = read_u32(entry->reply, offset);
    write_u32(out.data() + offset, ttl > age ? ttl - age : 0);
  }
  return entry->reply.size();
}

void Cache::clear() {
  index_.clear();
  entries_.clear();
}

}  // namespace compose::net::dns
