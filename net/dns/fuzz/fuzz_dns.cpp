// Any bytes as a container's query and as an upstream's reply: nothing crashes, and what is answered is an answer to
// what was asked.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <source_location>

#include "net/dns/cache.hpp"
#include "net/dns/message.hpp"
#include "net/dns/responder.hpp"

using namespace compose::net;
using namespace compose::net::dns;

namespace {

void require(bool condition, std::source_location where = std::source_location::current()) {
  if (condition) return;
  std::fprintf(stderr, "line %u\n", static_cast<unsigned>(where.line()));
  std::abort();
}

const ZoneView& view() {
  static const ZoneView made = [] {
    auto zone = std::make_shared<Zone>("shop_default", std::vector<Prefix>{Prefix::parse("10.0.0.0/16").value()});
    for (int i = 1; i <= 40; ++i) {
      const std::string number = std::to_string(i);
      zone->put({number,
                 {"web-" + number, "web"},
                 {IpAddress::parse("10.0.1." + number).value(), IpAddress::parse("fd00::" + number).value()},
                 i % 3 != 0,
                 {{"http", "tcp", 80}, {"443", "tcp", 443}}});
    }
    ZoneView full;
    full.zones = {zone};
    full.names["host.docker.internal"] = {IpAddress::parse("10.0.0.1").value()};
    full.reserved = std::make_shared<std::set<std::string>>(std::set<std::string>{"db"});
    full.search = {"example.com"};
    return full;
  }();
  return made;
}

void as_query(ByteSpan bytes) {
  const ParsedQuery parsed = parse_query(bytes);
  for (const Transport transport : {Transport::udp, Transport::tcp}) {
    const Decision decision = Responder::decide(bytes, view(), transport, 7);
    if (decision.kind != Decision::Kind::answer) continue;
    require(decision.bytes.size() >= kHeaderSize && read_u16(decision.bytes, 0) == read_u16(bytes, 0));
    require((decision.bytes[2] & 0x80) != 0 && find_records(decision.bytes).has_value());
    if (transport == Transport::udp) require(decision.bytes.size() <= std::max(parsed.query.udp_size, kPlainUdpSize));
  }
  const Bytes failure = Responder::failure(bytes, kServerFailure);
  require((parsed.state == ParsedQuery::State::ignore) == failure.empty());
}

void as_reply(ByteSpan bytes) {
  static const Bytes asked = {0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1};
  const Query parsed = parse_query(asked).query;
  (void)find_records(bytes);
  Cache cache{16};
  const Cache::Time now{};
  const std::string key = Cache::key(parsed, asked, "");
  if (bytes.size() >= kHeaderSize) cache.put(key, bytes, now);
  const auto kept = cache.get(key, asked, parsed, now + std::chrono::seconds{1});
  if (kept) require(kept->size() == bytes.size() && read_u16(*kept, 0) == 0x1234);
  const Bytes cut = truncated(bytes);
  require(cut.size() <= bytes.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  as_query({data, size});
  as_reply({data, size});
  return 0;
}
