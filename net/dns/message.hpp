#pragma once
// DNS messages (RFC 1035 section 4, EDNS: RFC 6891), read with bounds on everything and written into a byte vector.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.hpp"

namespace compose::net::dns {

using Bytes = std::vector<std::uint8_t>;
using ByteSpan = std::span<const std::uint8_t>;

inline constexpr std::size_t kHeaderSize = 12;
inline constexpr std::size_t kLargestMessage = 65535;
/// What UDP carries without EDNS (RFC 1035, 4.2.1), and the most we send with it (what fits everywhere unfragmented).
inline constexpr std::size_t kPlainUdpSize = 512;
inline constexpr std::size_t kLargestUdpReply = 1232;

enum Type : std::uint16_t {
  kTypeA = 1,
  kTypeSoa = 6,
  kTypePtr = 12,
  kTypeAaaa = 28,
  kTypeSrv = 33,
  kTypeOpt = 41,
  kTypeAny = 255,
};
inline constexpr std::uint16_t kClassIn = 1;
inline constexpr std::uint16_t kClassAny = 255;

enum Rcode : std::uint8_t {
  kNoError = 0,
  kFormatError = 1,
  kServerFailure = 2,
  kNameError = 3,
  kNotImplemented = 4,
  kRefused = 5,
};

struct Query {
  std::uint16_t id = 0;
  std::uint8_t opcode = 0;
  bool recursion_desired = false;
  std::string name;  ///< lower case, no final dot; "" is the root. A dot or backslash inside a label is escaped by "\"
  std::uint16_t type = 0;
  std::uint16_t qclass = 0;
  std::size_t question_end = 0;  ///< offset behind the question: it spans [kHeaderSize, question_end)
  bool edns = false;
  bool dnssec_ok = false;
  std::size_t udp_size = kPlainUdpSize;  ///< what the asker can take over UDP, at least 512
};

struct ParsedQuery {
  /// no_error: `query` is whole. format_error: the header is there, the rest is not: answer FORMERR.
  /// ignore: not a query worth a reply (torn header, or a response).
  enum class State : std::uint8_t { ok, format_error, ignore } state = State::ignore;
  Query query;
};
ParsedQuery parse_query(ByteSpan message);

/// Reads a possibly compressed name at `offset`, which moves behind it. At most 255 bytes and 128 pointers.
std::optional<std::string> read_name(ByteSpan message, std::size_t& offset);

inline std::uint16_t read_u16(ByteSpan bytes, std::size_t offset) {
  return static_cast<std::uint16_t>(bytes[offset] << 8 | bytes[offset + 1]);
}
inline std::uint32_t read_u32(ByteSpan bytes, std::size_t offset) {
  return static_cast<std::uint32_t>(read_u16(bytes, offset)) << 16 | read_u16(bytes, offset + 2);
}

/// Where the pieces of a resource record stand in a message.
struct RecordPlace {
  std::uint16_t type = 0;
  std::size_t ttl_offset = 0;
  std::uint32_t ttl = 0;
  std::size_t data_offset = 0;
  std::size_t data_size = 0;
  unsigned section = 0;  ///< 0 answer, 1 authority, 2 additional
};
/// All records behind the question; nothing when the message is torn. At most 4096 records.
std::optional<std::vector<RecordPlace>> find_records(ByteSpan message);

/// The reply cut behind its question, with TC set: the asker comes again over TCP. Torn ones come back as they are.
Bytes truncated(ByteSpan reply);

/// A reply under construction: header and question are copied from the query.
class ReplyWriter {
 public:
  ReplyWriter(ByteSpan message, const Query& query, Rcode rcode, bool authoritative);

  void add_address(const IpAddress& address, std::uint32_t ttl);
  void add_pointer(std::string_view target, std::uint32_t ttl);
  void add_service(std::string_view target, std::uint16_t port, std::uint32_t ttl);
  /// An address record of `owner` in the additional section; call after all answers.
  void add_additional_address(std::string_view owner, const IpAddress& address, std::uint32_t ttl);

  /// Ends the message with an OPT record where the query had one. Over `limit` bytes, records are dropped from the
  /// end and TC is set.
  Bytes finish(std::size_t limit) &&;

 private:
  void begin_record(std::uint16_t type, std::uint32_t ttl);
  void put_u16(std::uint16_t number);
  void put_u32(std::uint32_t number);
  bool put_name(std::string_view name);
  void put_sized_name(std::string_view name, std::size_t prefix_size);

  Bytes bytes_;
  std::size_t question_end_;
  std::vector<std::size_t> ends_;  ///< offset behind each record
  std::uint16_t answers_ = 0;
  std::uint16_t additional_ = 0;
  bool edns_ = false;
};

}  // namespace compose::net::dns
