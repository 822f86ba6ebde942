#include "net/dns/cache.hpp"

#include <algorithm>

namespace compose::net::dns {
namespace {

constexpr std::uint32_t kLongestTtl = 24 * 3600;
constexpr std::uint32_t kLongestNegativeTtl = 300;
constexpr std::size_t kLargestEntry = 4096;

/// How long a reply may be kept, in seconds; 0: not at all.
std::uint32_t lifetime(ByteSpan reply, const std::vector<RecordPlace>& records) {
  const unsigned rcode = reply[3] & 15;
  if (rcode != kNoError && rcode != kNameError) return 0;
  if ((reply[2] & 2) != 0) return 0;  // truncated
  std::uint32_t answers = kLongestTtl;
  bool any_answer = false;
  std::uint32_t negative = 0;
  for (const auto& record : records) {
    if (record.section == 0) {
      any_answer = true;
      answers = std::min(answers, record.ttl);
    } else if (record.section == 1 && record.type == kTypeSoa && record.data_size >= 4) {
      const std::uint32_t minimum = read_u32(reply, record.data_offset + record.data_size - 4);
      negative = std::min({record.ttl, minimum, kLongestNegativeTtl});
    }
  }
  return any_answer && rcode == kNoError ? answers : negative;
}

void write_u32(Bytes& bytes, std::size_t offset, std::uint32_t number) {
  for (unsigned i = 0; i < 4; ++i) bytes[offset + i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
}

}  // namespace

std::string Cache::key(const Query& query, ByteSpan message, std::string_view upstreams) {
  std::string key = query.name;
  key += '\0';
  for (const std::uint16_t number : {query.type, query.qclass}) {
    key += static_cast<char>(number >> 8);
    key += static_cast<char>(number);
  }
  // The checking-disabled bit and the DNSSEC flag change the answer.
  key += static_cast<char>((query.edns ? 1 : 0) | (query.dnssec_ok ? 2 : 0) | (message[3] & 0x10));
  key += upstreams;
  return key;
}

void Cache::put(const std::string& key, ByteSpan reply, Time now) {
  if (most_entries_ == 0 || reply.size() > kLargestEntry) return;
  const auto records = find_records(reply);
  if (!records) return;
  const std::uint32_t ttl = lifetime(reply, *records);
  if (ttl == 0) return;
  Entry entry{key, Bytes(reply.begin(), reply.end()), {}, now, ttl};
  for (const auto& record : *records) {
    if (record.type != kTypeOpt) entry.ttl_offsets.push_back(record.ttl_offset);
  }
  if (const auto old = index_.find(key); old != index_.end()) {
    entries_.erase(old->second);
    index_.erase(old);
  }
  entries_.push_front(std::move(entry));
  index_[key] = entries_.begin();
  while (entries_.size() > most_entries_) {
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

std::optional<Bytes> Cache::get(const std::string& key, ByteSpan query, const Query& parsed, Time now) {
  const auto found = index_.find(key);
  if (found == index_.end()) return std::nullopt;
  const Entry& entry = *found->second;
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - entry.stored).count();
  if (age >= entry.ttl) {
    entries_.erase(found->second);
    index_.erase(found);
    return std::nullopt;
  }
  entries_.splice(entries_.begin(), entries_, found->second);
  Bytes reply = entry.reply;
  std::copy(query.begin(), query.begin() + 2, reply.begin());
  const auto question = query.subspan(kHeaderSize, parsed.question_end - kHeaderSize);
  if (reply.size() >= parsed.question_end) std::copy(question.begin(), question.end(), reply.begin() + kHeaderSize);
  for (const std::size_t offset : entry.ttl_offsets) {
    const std::uint32_t ttl = read_u32(reply, offset);
    write_u32(reply, offset, ttl - std::min(ttl, static_cast<std::uint32_t>(age)));
  }
  return reply;
}

void Cache::clear() {
  entries_.clear();
  index_.clear();
}

}  // namespace compose::net::dns
