#include "net/dns/message.hpp"

#include <algorithm>
#include <cstring>

#include "base/strings.hpp"

namespace compose::net::dns {

namespace {

constexpr std::uint16_t kResponse = 0x8000, kOpcode = 0x7800, kAuthoritative = 0x0400, kTruncated = 0x0200,
                        kRecursionDesired = 0x0100, kRecursionAvailable = 0x0080;
constexpr std::size_t kLongestName = 255, kLongestLabel = 63;  // RFC 1035, 2.3.4
constexpr std::size_t kRecordHead = 10;                        // type, class, TTL, length of data
constexpr std::size_t kOptRecord = 11;
constexpr std::uint16_t kOwnUdpSize = 1232;  // what we announce: no fragments on any path

char lower(std::uint8_t byte) { return static_cast<char>(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte); }

}  // namespace

std::uint16_t read_u16(Bytes message, std::size_t offset) {
  return static_cast<std::uint16_t>(message[offset] << 8 | message[offset + 1]);
}
std::uint32_t read_u32(Bytes message, std::size_t offset) {
  return static_cast<std::uint32_t>(read_u16(message, offset)) << 16 | read_u16(message, offset + 2);
}
void write_u16(std::uint8_t* place, std::uint16_t value) {
  place[0] = static_cast<std::uint8_t>(value >> 8);
  place[1] = static_cast<std::uint8_t>(value);
}
void write_u32(std::uint8_t* place, std::uint32_t value) {
  write_u16(place, static_cast<std::uint16_t>(value >> 16));
  write_u16(place + 2, static_cast<std::uint16_t>(value));
}

std::optional<std::size_t> skip_name(Bytes message, std::size_t offset) {
  std::size_t total = 0;
  while (offset < message.size()) {
    const std::uint8_t length = message[offset];
    if (length == 0) return offset + 1;
    if ((length & 0xc0) == 0xc0) {
      if (offset + 1 >= message.size()) return std::nullopt;
      return offset + 2;
    }
    if (length > kLongestLabel) return std::nullopt;
    total += length + 1U;
    if (total >= kLongestName) return std::nullopt;
    offset += length + 1U;
  }
  return std::nullopt;
}

namespace {

/// Reads the question's name (never compressed: nothing stands before it) into the query.
bool read_question(Bytes message, Query& query) {
  std::size_t offset = kHeaderSize;
  std::size_t size = 0;
  while (true) {
    if (offset >= message.size()) return false;
    const std::uint8_t length = message[offset++];
    if (length == 0) break;
    if (length > kLongestLabel || offset + length > message.size() || size + length + 1U >= kLongestName) return false;
    if (size > 0) query.text[size++] = '.';
    for (std::size_t i = 0; i < length; ++i) {
      const char letter = lower(message[offset + i]);
      if (letter == '.' || letter == '\0') query.plain = false;
      query.text[size++] = letter;
    }
    offset += length;
  }
  query.text_size = size;
  if (offset + 4 > message.size()) return false;
  query.type = read_u16(message, offset);
  query.klass = read_u16(message, offset + 2);
  query.question_end = offset + 4;
  return true;
}

/// Calls visit(record's type, offset of its fixed head) for `count` records; false when one is torn.
template <typename Visit>
bool walk_records(Bytes message, std::size_t& offset, unsigned count, Visit visit) {
  for (unsigned i = 0; i < count; ++i) {
    const auto head = skip_name(message, offset);
    if (!head || *head + kRecordHead > message.size()) return false;
    const std::size_t next = *head + kRecordHead + read_u16(message, *head + 8);
    if (next > message.size()) return false;
    visit(read_u16(message, *head), *head);
    offset = next;
  }
  return true;
}

}  // namespace

Parsed parse_query(Bytes message, Query& query) {
  if (message.size() < kHeaderSize) return Parsed::drop;
  query.id = read_u16(message, 0);
  query.flags = read_u16(message, 2);
  if ((query.flags & kResponse) != 0) return Parsed::drop;  // answering answers would make loops
  if ((query.flags & kOpcode) != 0) return Parsed::notimp;
  if (read_u16(message, 4) != 1 || !read_question(message, query)) return Parsed::formerr;
  std::size_t offset = query.question_end;
  const unsigned records = 0U + read_u16(message, 6) + read_u16(message, 8) + read_u16(message, 10);
  const bool whole = walk_records(message, offset, records, [&](std::uint16_t type, std::size_t head) {
    if (type != static_cast<std::uint16_t>(Type::opt)) return;
    query.edns = true;
    query.udp_size = std::max<std::uint16_t>(read_u16(message, head + 2), kPlainUdpLimit);
    query.edns_version = message[head + 5];
    query.dnssec_ok = (message[head + 6] & 0x80) != 0;
  });
  return whole ? Parsed::ok : Parsed::formerr;
}

namespace {

/// Do the two questions agree, letter case aside?
bool same_question(Bytes reply, Bytes query) {
  Query asked;
  if (query.size() < kHeaderSize || !read_question(query, asked)) return false;
  if (reply.size() < asked.question_end) return false;
  const std::size_t name_end = asked.question_end - 4;
  for (std::size_t i = kHeaderSize; i < name_end; ++i)
    if (lower(reply[i]) != lower(query[i])) return false;
  return std::equal(reply.begin() + static_cast<std::ptrdiff_t>(name_end),
                    reply.begin() + static_cast<std::ptrdiff_t>(asked.question_end),
                    query.begin() + static_cast<std::ptrdiff_t>(name_end));
}

/// RFC 2308, 5: the smaller of the SOA's TTL and its last field.
std::optional<std::uint32_t> negative_ttl(Bytes reply, std::size_t head) {
  const std::size_t data = head + kRecordHead;
  const std::size_t size = read_u16(reply, head + 8);
  auto names = skip_name(reply, data);
  if (names) names = skip_name(reply, *names);
  constexpr std::size_t kNumbers = 20;
  if (!names || *names + kNumbers > data + size) return std::nullopt;
  return std::min(read_u32(reply, head + 4), read_u32(reply, *names + 16));
}

}  // namespace

std::optional<ReplyFacts> inspect_reply(Bytes reply, Bytes query) {
  if (reply.size() < kHeaderSize || reply.size() > kLargestMessage) return std::nullopt;
  const std::uint16_t flags = read_u16(reply, 2);
  if ((flags & kResponse) == 0 || (flags & kOpcode) != 0) return std::nullopt;
  if (read_u16(reply, 4) != 1 || !same_question(reply, query)) return std::nullopt;
  ReplyFacts facts;
  facts.rcode = static_cast<Rcode>(flags & 0x0f);
  facts.truncated = (flags & kTruncated) != 0;
  Query asked;
  if (!read_question(query, asked)) return std::nullopt;

  std::size_t offset = asked.question_end;
  std::uint32_t smallest = ~std::uint32_t{0};
  std::optional<std::uint32_t> negative;
  const unsigned answers = read_u16(reply, 6), authorities = read_u16(reply, 8), additionals = read_u16(reply, 10);
  const auto note = [&](std::uint16_t type, std::size_t head) {
    if (type == static_cast<std::uint16_t>(Type::opt)) return;
    facts.ttl_offsets.push_back(static_cast<std::uint16_t>(head + 4));
    smallest = std::min(smallest, read_u32(reply, head + 4));
  };
  const bool whole = walk_records(reply, offset, answers, note) &&
                     walk_records(reply, offset, authorities,
                                  [&](std::uint16_t type, std::size_t head) {
                                    note(type, head);
                                    if (type == static_cast<std::uint16_t>(Type::soa))
                                      negative = negative_ttl(reply, head);
                                  }) &&
                     walk_records(reply, offset, additionals, note);
  // A truncated reply may end in the middle of a record.
  if (!whole && !facts.truncated) return std::nullopt;
  const bool positive = facts.rcode == Rcode::noerror && answers > 0;
  const bool empty = (facts.rcode == Rcode::noerror || facts.rcode == Rcode::nxdomain) && negative.has_value();
  constexpr std::uint32_t kLongest = 86400;  // RFC 8767 calls larger ones suspect; a day is enough
  if (facts.truncated) {
    facts.ttl = 0;
  } else if (positive) {
    facts.ttl = std::min(smallest, kLongest);
  } else if (empty) {
    facts.ttl = std::min({*negative, smallest, kLongest});
  }
  return facts;
}

namespace {

std::optional<IpAddress> reverse_v4(std::string_view labels) {
  std::uint8_t bytes[4];
  for (int i = 3; i >= 0; --i) {
    const auto dot = labels.find('.');
    const auto number = parse_unsigned(labels.substr(0, dot));
    const bool last = i == 0;
    if (!number || *number > 255 || (dot == std::string_view::npos) != last) return std::nullopt;
    bytes[i] = static_cast<std::uint8_t>(*number);
    if (!last) labels.remove_prefix(dot + 1);
  }
  return IpAddress::from_bytes(IpAddress::Family::v4, bytes);
}

std::optional<IpAddress> reverse_v6(std::string_view labels) {
  if (labels.size() != 63) return std::nullopt;
  std::uint8_t bytes[16] = {};
  for (std::size_t i = 0; i < 32; ++i) {
    const char digit = labels[i * 2];
    const int value = digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
    if (value < 0 || (i < 31 && labels[i * 2 + 1] != '.')) return std::nullopt;
    const std::size_t nibble = 31 - i;
    bytes[nibble / 2] = static_cast<std::uint8_t>(bytes[nibble / 2] | (nibble % 2 == 0 ? value << 4 : value));
  }
  return IpAddress::from_bytes(IpAddress::Family::v6, bytes);
}

}  // namespace

std::optional<IpAddress> reverse_address(std::string_view name) {
  constexpr std::string_view kV4 = ".in-addr.arpa", kV6 = ".ip6.arpa";
  if (name.ends_with(kV4)) return reverse_v4(name.substr(0, name.size() - kV4.size()));
  if (name.ends_with(kV6)) return reverse_v6(name.substr(0, name.size() - kV6.size()));
  return std::nullopt;
}

ReplyWriter::ReplyWriter(Bytes query_bytes, const Query& query, std::span<std::uint8_t> out, std::size_t limit)
    : query_{query}, out_{out}, limit_{std::min(limit, out.size())} {
  if (query.edns && limit_ > kOptRecord) limit_ -= kOptRecord;
  size_ = std::min(query.question_end, limit_);
  std::memcpy(out_.data(), query_bytes.data(), size_);
}

bool ReplyWriter::put(const void* data, std::size_t size) {
  if (size_ + size > limit_) return false;
  std::memcpy(out_.data() + size_, data, size);
  size_ += size;
  return true;
}

bool ReplyWriter::put_u16(std::uint16_t value) {
  std::uint8_t bytes[2];
  write_u16(bytes, value);
  return put(bytes, sizeof bytes);
}

bool ReplyWriter::name(std::string_view dotted) {
  while (!dotted.empty()) {
    const auto dot = dotted.find('.');
    const std::string_view label = dotted.substr(0, dot);
    if (label.empty() || label.size() > kLongestLabel) return false;
    const auto length = static_cast<std::uint8_t>(label.size());
    if (!put(&length, 1) || !put(label.data(), label.size())) return false;
    if (dot == std::string_view::npos) break;
    dotted.remove_prefix(dot + 1);
  }
  const std::uint8_t end = 0;
  return put(&end, 1);
}

bool ReplyWriter::head(std::uint16_t type, std::uint32_t ttl) {
  std::uint8_t bytes[8];
  write_u16(bytes, type);
  write_u16(bytes + 2, 1);  // IN
  write_u32(bytes + 4, ttl);
  return put(bytes, sizeof bytes);
}

void ReplyWriter::close(std::size_t start, bool fits, Section section) {
  if (!fits) {
    size_ = start;
    if (section == Section::answer) truncated_ = true;  // additional records may be left out silently
    return;
  }
  ++(section == Section::answer ? answers_ : additionals_);
}

namespace {
constexpr std::uint16_t kQuestionName = 0xc00c;  // a pointer to offset 12
std::uint16_t type_of(const IpAddress& address) {
  return static_cast<std::uint16_t>(address.is_v4() ? Type::a : Type::aaaa);
}
}  // namespace

void ReplyWriter::address(const IpAddress& address, std::uint32_t ttl) {
  const std::size_t start = size_;
  const auto bytes = address.bytes();
  close(start,
        put_u16(kQuestionName) && head(type_of(address), ttl) && put_u16(static_cast<std::uint16_t>(bytes.size())) &&
            put(bytes.data(), bytes.size()),
        Section::answer);
}

void ReplyWriter::address_of(std::string_view owner, const IpAddress& address, std::uint32_t ttl, Section section) {
  const std::size_t start = size_;
  const auto bytes = address.bytes();
  close(start,
        name(owner) && head(type_of(address), ttl) && put_u16(static_cast<std::uint16_t>(bytes.size())) &&
            put(bytes.data(), bytes.size()),
        section);
}

void ReplyWriter::ptr(std::string_view target, std::uint32_t ttl) {
  const std::size_t start = size_;
  bool fits = put_u16(kQuestionName) && head(static_cast<std::uint16_t>(Type::ptr), ttl);
  const std::size_t length_at = size_;
  fits = fits && put_u16(0) && name(target);
  if (fits) write_u16(out_.data() + length_at, static_cast<std::uint16_t>(size_ - length_at - 2));
  close(start, fits, Section::answer);
}

void ReplyWriter::srv(std::uint16_t port, std::string_view target, std::uint32_t ttl) {
  const std::size_t start = size_;
  bool fits = put_u16(kQuestionName) && head(static_cast<std::uint16_t>(Type::srv), ttl);
  const std::size_t length_at = size_;
  fits = fits && put_u16(0) && put_u16(0) /*priority*/ && put_u16(1) /*weight*/ && put_u16(port) && name(target);
  if (fits) write_u16(out_.data() + length_at, static_cast<std::uint16_t>(size_ - length_at - 2));
  close(start, fits, Section::answer);
}

std::size_t ReplyWriter::finish(Rcode rcode) {
  std::uint16_t flags =
      static_cast<std::uint16_t>(kResponse | kRecursionAvailable | (query_.flags & kRecursionDesired));
  flags = static_cast<std::uint16_t>(flags | (query_.flags & kOpcode) | static_cast<std::uint16_t>(rcode));
  if (rcode == Rcode::noerror || rcode == Rcode::nxdomain) flags |= kAuthoritative;
  if (truncated_) flags |= kTruncated;
  write_u16(out_.data() + 2, flags);
  write_u16(out_.data() + 4, query_.question_end > kHeaderSize ? 1 : 0);
  write_u16(out_.data() + 6, answers_);
  write_u16(out_.data() + 8, 0);
  if (query_.edns && size_ + kOptRecord <= out_.size()) {
    std::uint8_t* record = out_.data() + size_;
    std::memset(record, 0, kOptRecord);
    write_u16(record + 1, static_cast<std::uint16_t>(Type::opt));
    write_u16(record + 3, kOwnUdpSize);
    if (query_.edns_version > 0) record[5] = 1;  // BADVERS is 16: its upper bits stand here
    size_ += kOptRecord;
    ++additionals_;
  }
  write_u16(out_.data() + 10, additionals_);
  return size_;
}

}  // namespace compose::net::dns
