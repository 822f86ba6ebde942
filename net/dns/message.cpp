#include "net/dns/message.hpp"

#include <algorithm>

namespace compose::net::dns {
namespace {

constexpr std::size_t kLongestName = 255;
constexpr std::size_t kLongestLabel = 63;
constexpr unsigned kMostPointers = 128;
constexpr std::size_t kMostRecords = 4096;
constexpr std::size_t kOptSize = 11;

void append_label(std::string& name, ByteSpan label) {
  if (!name.empty()) name += '.';
  for (const std::uint8_t byte : label) {
    const char letter = static_cast<char>(byte);
    if (letter == '.' || letter == '\\') name += '\\';
    name += letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + ('a' - 'A')) : letter;
  }
}

/// Whether a name that read_name() took ends in a pointer: there is nothing before a question it could point at.
/// Its last byte does not tell: a pointer's may be 0, too.
bool has_pointer(ByteSpan name) {
  std::size_t at = 0;
  while (at < name.size() && name[at] <= kLongestLabel && name[at] != 0) at += name[at] + 1U;
  return at >= name.size() || name[at] != 0;
}

/// Skips the records of a section; sets the EDNS fields from an OPT record among them.
bool read_edns(ByteSpan message, std::size_t offset, std::size_t records, Query& query) {
  for (std::size_t i = 0; i < records; ++i) {
    if (!read_name(message, offset) || message.size() - offset < 10) return false;
    const std::uint16_t type = read_u16(message, offset);
    const std::size_t data = read_u16(message, offset + 8);
    if (message.size() - offset - 10 < data) return false;
    if (type == kTypeOpt) {
      query.edns = true;
      query.udp_size = std::max<std::size_t>(kPlainUdpSize, read_u16(message, offset + 2));
      query.dnssec_ok = (message[offset + 6] & 0x80) != 0;
    }
    offset += 10 + data;
  }
  return true;
}

}  // namespace

std::optional<std::string> read_name(ByteSpan message, std::size_t& offset) {
  std::string name;
  std::size_t at = offset;
  std::size_t length = 0;
  unsigned pointers = 0;
  for (;;) {
    if (at >= message.size()) return std::nullopt;
    const std::uint8_t size = message[at];
    if ((size & 0xc0) == 0xc0) {
      if (at + 1 >= message.size() || ++pointers > kMostPointers) return std::nullopt;
      if (pointers == 1) offset = at + 2;
      at = static_cast<std::size_t>(size & 0x3f) << 8 | message[at + 1];
      continue;
    }
    if (size > kLongestLabel) return std::nullopt;
    if (size == 0) break;
    length += size + 1U;
    if (length > kLongestName || message.size() - at <= size) return std::nullopt;
    append_label(name, message.subspan(at + 1, size));
    at += size + 1U;
  }
  if (pointers == 0) offset = at + 1;
  return name;
}

ParsedQuery parse_query(ByteSpan message) {
  ParsedQuery parsed;
  if (message.size() < kHeaderSize || (message[2] & 0x80) != 0) return parsed;
  Query& query = parsed.query;
  query.id = read_u16(message, 0);
  query.opcode = static_cast<std::uint8_t>(message[2] >> 3 & 15);
  query.recursion_desired = (message[2] & 1) != 0;
  parsed.state = ParsedQuery::State::format_error;
  const std::size_t others = read_u16(message, 6) + std::size_t{read_u16(message, 8)};
  if (read_u16(message, 4) != 1 || others != 0) return parsed;
  std::size_t offset = kHeaderSize;
  auto name = read_name(message, offset);
  if (!name || message.size() - offset < 4 || has_pointer(message.subspan(kHeaderSize, offset - kHeaderSize)))
    return parsed;
  query.name = std::move(*name);
  query.type = read_u16(message, offset);
  query.qclass = read_u16(message, offset + 2);
  query.question_end = offset + 4;
  if (!read_edns(message, query.question_end, read_u16(message, 10), query)) return parsed;
  parsed.state = ParsedQuery::State::ok;
  return parsed;
}

std::optional<std::vector<RecordPlace>> find_records(ByteSpan message) {
  if (message.size() < kHeaderSize || read_u16(message, 4) > 1) return std::nullopt;
  std::size_t offset = kHeaderSize;
  if (read_u16(message, 4) == 1) {
    if (!read_name(message, offset) || message.size() - offset < 4) return std::nullopt;
    offset += 4;
  }
  std::vector<RecordPlace> places;
  for (unsigned section = 0; section < 3; ++section) {
    const std::size_t count = read_u16(message, 6 + std::size_t{section} * 2);
    if (places.size() + count > kMostRecords) return std::nullopt;
    for (std::size_t i = 0; i < count; ++i) {
      if (!read_name(message, offset) || message.size() - offset < 10) return std::nullopt;
      RecordPlace place;
      place.section = section;
      place.type = read_u16(message, offset);
      place.ttl_offset = offset + 4;
      place.ttl = read_u32(message, place.ttl_offset);
      place.data_size = read_u16(message, offset + 8);
      place.data_offset = offset + 10;
      if (message.size() - place.data_offset < place.data_size) return std::nullopt;
      offset = place.data_offset + place.data_size;
      places.push_back(place);
    }
  }
  return places;
}

Bytes truncated(ByteSpan reply) {
  Bytes cut(reply.begin(), reply.end());
  std::size_t offset = kHeaderSize;
  if (reply.size() < kHeaderSize || read_u16(reply, 4) != 1) return cut;
  if (!read_name(reply, offset) || reply.size() - offset < 4) return cut;
  cut.resize(offset + 4);
  cut[2] |= 2;
  std::fill(cut.begin() + 6, cut.begin() + kHeaderSize, std::uint8_t{0});
  return cut;
}

ReplyWriter::ReplyWriter(ByteSpan message, const Query& query, Rcode rcode, bool authoritative)
    : question_end_{std::max(query.question_end, kHeaderSize)}, edns_{query.edns} {
  bytes_.assign(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(question_end_));
  const bool question = question_end_ > kHeaderSize;
  bytes_[2] =
      static_cast<std::uint8_t>(0x80 | query.opcode << 3 | (authoritative ? 4 : 0) | (query.recursion_desired ? 1 : 0));
  bytes_[3] = static_cast<std::uint8_t>(0x80 | rcode);  // recursion is available
  std::fill(bytes_.begin() + 4, bytes_.begin() + kHeaderSize, std::uint8_t{0});
  bytes_[5] = question ? 1 : 0;
}

void ReplyWriter::put_u16(std::uint16_t number) {
  bytes_.push_back(static_cast<std::uint8_t>(number >> 8));
  bytes_.push_back(static_cast<std::uint8_t>(number));
}

void ReplyWriter::put_u32(std::uint32_t number) {
  put_u16(static_cast<std::uint16_t>(number >> 16));
  put_u16(static_cast<std::uint16_t>(number));
}

bool ReplyWriter::put_name(std::string_view name) {
  const std::size_t before = bytes_.size();
  while (!name.empty()) {
    const auto dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    if (label.empty() || label.size() > kLongestLabel || bytes_.size() - before + label.size() + 2 > kLongestName) {
      bytes_.resize(before);
      return false;
    }
    bytes_.push_back(static_cast<std::uint8_t>(label.size()));
    bytes_.insert(bytes_.end(), label.begin(), label.end());
    name = dot == std::string_view::npos ? std::string_view{} : name.substr(dot + 1);
  }
  bytes_.push_back(0);
  return true;
}

void ReplyWriter::begin_record(std::uint16_t type, std::uint32_t ttl) {
  put_u16(0xc000 | kHeaderSize);  // the question's name
  put_u16(type);
  put_u16(kClassIn);
  put_u32(ttl);
}

void ReplyWriter::add_address(const IpAddress& address, std::uint32_t ttl) {
  begin_record(address.is_v4() ? kTypeA : kTypeAaaa, ttl);
  put_u16(static_cast<std::uint16_t>(address.bytes().size()));
  bytes_.insert(bytes_.end(), address.bytes().begin(), address.bytes().end());
  ++answers_;
  ends_.push_back(bytes_.size());
}

/// Writes the size of what follows: `prefix_size` bytes that stand there already, and the name.
void ReplyWriter::put_sized_name(std::string_view name, std::size_t prefix_size) {
  const std::size_t size_at = bytes_.size() - prefix_size - 2;
  if (!put_name(name)) bytes_.push_back(0);  // a name that cannot be written is the root: "not available" (RFC 2782)
  const auto size = static_cast<std::uint16_t>(bytes_.size() - size_at - 2);
  bytes_[size_at] = static_cast<std::uint8_t>(size >> 8);
  bytes_[size_at + 1] = static_cast<std::uint8_t>(size);
}

void ReplyWriter::add_pointer(std::string_view target, std::uint32_t ttl) {
  begin_record(kTypePtr, ttl);
  put_u16(0);
  put_sized_name(target, 0);
  ++answers_;
  ends_.push_back(bytes_.size());
}

void ReplyWriter::add_service(std::string_view target, std::uint16_t port, std::uint32_t ttl) {
  begin_record(kTypeSrv, ttl);
  put_u16(0);
  put_u16(0);  // priority
  put_u16(0);  // weight
  put_u16(port);
  put_sized_name(target, 6);
  ++answers_;
  ends_.push_back(bytes_.size());
}

void ReplyWriter::add_additional_address(std::string_view owner, const IpAddress& address, std::uint32_t ttl) {
  if (!put_name(owner)) return;
  put_u16(address.is_v4() ? kTypeA : kTypeAaaa);
  put_u16(kClassIn);
  put_u32(ttl);
  put_u16(static_cast<std::uint16_t>(address.bytes().size()));
  bytes_.insert(bytes_.end(), address.bytes().begin(), address.bytes().end());
  ++additional_;
  ends_.push_back(bytes_.size());
}

Bytes ReplyWriter::finish(std::size_t limit) && {
  const std::size_t opt = edns_ ? kOptSize : 0;
  while (!ends_.empty() && bytes_.size() + opt > limit) {
    ends_.pop_back();
    if (additional_ > 0) {
      --additional_;  // leaving out additional records is no truncation (RFC 2181, 9)
    } else {
      --answers_;
      bytes_[2] |= 2;
    }
    bytes_.resize(ends_.empty() ? question_end_ : ends_.back());
  }
  bytes_[6] = static_cast<std::uint8_t>(answers_ >> 8);
  bytes_[7] = static_cast<std::uint8_t>(answers_);
  if (edns_) {
    bytes_.push_back(0);
    put_u16(kTypeOpt);
    put_u16(kLargestUdpReply);
    put_u32(0);
    put_u16(0);
    ++additional_;
  }
  bytes_[10] = static_cast<std::uint8_t>(additional_ >> 8);
  bytes_[11] = static_cast<std::uint8_t>(additional_);
  return std::move(bytes_);
}

}  // namespace compose::net::dns
