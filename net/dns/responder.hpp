#pragma once
// The pure half of the resolver: a query's bytes and a view in, an answer or the decision to forward out.
// Rules: RFC 1035 (messages), RFC 2308 (negative answers), RFC 6891 (EDNS), RFC 8482 (ANY), RFC 2782 (SRV).
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "net/dns/zone.hpp"

namespace compose::net::dns {

enum class Transport : std::uint8_t { udp, tcp };

struct Decision {
  enum class Kind : std::uint8_t {
    answer,   ///< `bytes` is the reply
    forward,  ///< ask the upstreams
    drop,     ///< not a query worth a reply (a response, a torn header)
  } kind = Kind::drop;
  std::vector<std::uint8_t> bytes;
};

/// How long the answers of ours may be kept, in seconds: short, since addresses follow health.
inline constexpr std::uint32_t kLocalTtl = 5;

class Responder {
 public:
  /// `rotation` picks which replica comes first; the server counts it up.
  static Decision decide(std::span<const std::uint8_t> query, const ZoneView& view, Transport transport,
                         std::uint32_t rotation);
  /// A reply without records: `rcode` as RFC 1035 numbers it (2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED). Empty when the query
  /// is torn.
  static std::vector<std::uint8_t> failure(std::span<const std::uint8_t> query, std::uint8_t rcode);
};

}  // namespace compose::net::dns
