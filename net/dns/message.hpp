#pragma once
// DNS messages on the wire (RFC 1035, RFC 6891): reading with every length checked, writing into a fixed buffer.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "net/address.hpp"

namespace compose::net::dns {

inline constexpr std::size_t kHeaderSize = 12;
inline constexpr std::size_t kPlainUdpLimit = 512;  ///< bytes of a UDP answer without EDNS
inline constexpr std::size_t kLargestMessage = 65535;

enum class Type : std::uint16_t { a = 1, cname = 5, soa = 6, ptr = 12, aaaa = 28, srv = 33, opt = 41, any = 255 };
enum class Rcode : std::uint8_t { noerror = 0, formerr = 1, servfail = 2, nxdomain = 3, notimp = 4, refused = 5 };

using Bytes = std::span<const std::uint8_t>;

/// A query, read.
struct Query {
  std::uint16_t id = 0;
  std::uint16_t flags = 0;
  std::uint16_t type = 0;
  std::uint16_t klass = 0;
  std::size_t question_end = kHeaderSize;  ///< offset behind the question
  bool edns = false;
  std::uint8_t edns_version = 0;
  bool dnssec_ok = false;
  std::uint16_t udp_size = kPlainUdpLimit;  ///< bytes the asker takes over UDP, at least 512
  bool plain = true;  ///< the name's labels hold neither dots nor zero bytes, so name() is unambiguous

  /// Lower case, without the last dot; "" is the root.
  std::string_view name() const { return {text.data(), text_size}; }
  std::array<char, 256> text{};
  std::size_t text_size = 0;
};

enum class Parsed : std::uint8_t { ok, drop /*no reply*/, formerr, notimp };
Parsed parse_query(Bytes message, Query& query);

/// What an upstream's reply says, as far as forwarding needs it.
struct ReplyFacts {
  Rcode rcode = Rcode::noerror;
  bool truncated = false;
  /// Seconds it may be kept: the smallest TTL, for negative answers by RFC 2308; 0: not at all.
  std::uint32_t ttl = 0;
  std::vector<std::uint16_t> ttl_offsets;  ///< where TTLs stand, but for the OPT record's
};

/// Nothing when `reply` is no well-formed reply to the question of `query` (letter case aside). Ids are not compared.
std::optional<ReplyFacts> inspect_reply(Bytes reply, Bytes query);

/// Offset behind the name at `offset` (compressed or not), or nothing when it is torn.
std::optional<std::size_t> skip_name(Bytes message, std::size_t offset);

/// "2.0.18.172.in-addr.arpa", "….ip6.arpa" → the address.
std::optional<IpAddress> reverse_address(std::string_view name);

std::uint16_t read_u16(Bytes message, std::size_t offset);
std::uint32_t read_u32(Bytes message, std::size_t offset);
void write_u16(std::uint8_t* place, std::uint16_t value);
void write_u32(std::uint8_t* place, std::uint32_t value);

/// Writes a reply to a query into a buffer. Records that do not fit are left out and the reply is marked truncated.
class ReplyWriter {
 public:
  /// Copies id, opcode, RD and question; `limit` bytes at most, room for EDNS kept.
  ReplyWriter(Bytes query_bytes, const Query& query, std::span<std::uint8_t> out, std::size_t limit);

  enum class Section : std::uint8_t { answer, additional };
  /// A or AAAA for the question's name.
  void address(const IpAddress& address, std::uint32_t ttl);
  /// A or AAAA for another name.
  void address_of(std::string_view name, const IpAddress& address, std::uint32_t ttl, Section section);
  void ptr(std::string_view target, std::uint32_t ttl);
  void srv(std::uint16_t port, std::string_view target, std::uint32_t ttl);

  /// Size of the finished reply.
  std::size_t finish(Rcode rcode);

 private:
  bool name(std::string_view dotted);
  bool put(const void* data, std::size_t size);
  bool put_u16(std::uint16_t value);
  bool head(std::uint16_t type, std::uint32_t ttl);
  /// Ends a record that began at `start`: counts it, or takes it back when it did not fit.
  void close(std::size_t start, bool fits, Section section);

  const Query& query_;
  std::span<std::uint8_t> out_;
  std::size_t limit_, size_ = 0;
  std::uint16_t answers_ = 0, additionals_ = 0;
  bool truncated_ = false;
};

}  // namespace compose::net::dns
