#pragma once
// The pure half of the resolver: a query's bytes and a view in, an answer or the decision to forward out.
// Rules: RFC 1035 (messages), RFC 2308 (negative answers), RFC 6891 (EDNS), RFC 2782 (SRV), RFC 6761 (localhost).
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "net/dns/message.hpp"
#include "net/dns/zone.hpp"

namespace compose::net::dns {

enum class Transport : std::uint8_t { udp, tcp };

enum class Action : std::uint8_t {
  answer,   ///< the reply is ready
  forward,  ///< ask the upstreams
  drop,     ///< not a query worth a reply (a response, a torn header)
};

/// How long answers of ours may be kept, in seconds: short, since addresses follow health.
inline constexpr std::uint32_t kLocalTtl = 5;
/// A UDP answer is at most this long, whatever the asker would take: the loopback carries it in one packet.
inline constexpr std::size_t kUdpLimit = 4096;

class Responder {
 public:
  struct Outcome {
    Action action = Action::drop;
    std::size_t size = 0;  ///< of the reply, bytes
  };
  /// Writes the reply to `out`, which must have room for kUdpLimit bytes (UDP) or kLargestMessage (TCP). `query` is
  /// filled in for forwarding. `rotation` picks which replica comes first; count it up.
  static Outcome respond(Bytes message, const ZoneView& view, Transport transport, std::uint32_t rotation,
                         std::span<std::uint8_t> out, Query& query);

  /// A reply without records to a query that was read. `out` as above.
  static std::size_t failure(Bytes message, const Query& query, Rcode rcode, std::span<std::uint8_t> out);

  /// The same as values, for tests and small tools.
  struct Decision {
    Action action = Action::drop;
    std::vector<std::uint8_t> bytes;
  };
  static Decision decide(Bytes message, const ZoneView& view, Transport transport, std::uint32_t rotation);
};

}  // namespace compose::net::dns
