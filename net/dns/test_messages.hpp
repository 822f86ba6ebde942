#pragma once
// Queries and replies for the tests of the resolver.
#include <string>
#include <string_view>

#include "net/dns/message.hpp"

namespace compose::net::dns::testing {

inline void put_u16(Bytes& bytes, unsigned number) {
  bytes.push_back(static_cast<std::uint8_t>(number >> 8));
  bytes.push_back(static_cast<std::uint8_t>(number));
}

inline void put_name(Bytes& bytes, std::string_view name) {
  while (!name.empty()) {
    const auto dot = name.find('.');
    const auto label = name.substr(0, dot);
    bytes.push_back(static_cast<std::uint8_t>(label.size()));
    bytes.insert(bytes.end(), label.begin(), label.end());
    name = dot == std::string_view::npos ? std::string_view{} : name.substr(dot + 1);
  }
  bytes.push_back(0);
}

/// A query with id 0x1234 and recursion desired; edns_size 0: no OPT record.
inline Bytes query(std::string_view name, unsigned type, unsigned edns_size = 0, unsigned id = 0x1234) {
  Bytes bytes;
  put_u16(bytes, id);
  put_u16(bytes, 0x0100);
  put_u16(bytes, 1);
  put_u16(bytes, 0);
  put_u16(bytes, 0);
  put_u16(bytes, edns_size == 0 ? 0 : 1);
  put_name(bytes, name);
  put_u16(bytes, type);
  put_u16(bytes, kClassIn);
  if (edns_size != 0) {
    bytes.push_back(0);
    put_u16(bytes, kTypeOpt);
    put_u16(bytes, edns_size);
    put_u16(bytes, 0);
    put_u16(bytes, 0);
    put_u16(bytes, 0);
  }
  return bytes;
}

/// The reply to `asked` with one A record.
inline Bytes address_reply(const Bytes& asked, std::string_view address, std::uint32_t ttl = 60) {
  const auto parsed = parse_query(asked);
  ReplyWriter writer{asked, parsed.query, kNoError, false};
  writer.add_address(*IpAddress::parse(address), ttl);
  return std::move(writer).finish(kLargestMessage);
}

/// A reply as text: "NOERROR aa 10.0.0.1 10.0.0.2": rcode, flags, then the data of all records in order.
inline std::string describe(ByteSpan reply) {
  if (reply.size() < kHeaderSize) return "torn";
  static constexpr const char* kNames[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
  const unsigned rcode = reply[3] & 15;
  std::string text = rcode < 6 ? kNames[rcode] : std::to_string(rcode);
  if ((reply[2] & 4) != 0) text += " aa";
  if ((reply[2] & 2) != 0) text += " tc";
  const auto records = find_records(reply);
  if (!records) return text + " torn";
  for (const auto& record : *records) {
    std::size_t offset = record.data_offset;
    if (record.type == kTypeA || record.type == kTypeAaaa) {
      const auto family = record.type == kTypeA ? IpAddress::Family::v4 : IpAddress::Family::v6;
      text += " " + IpAddress::from_bytes(family, reply.data() + record.data_offset).to_string();
    } else if (record.type == kTypePtr) {
      text += " " + read_name(reply, offset).value_or("?");
    } else if (record.type == kTypeSrv) {
      offset += 6;
      const std::string target = read_name(reply, offset).value_or("?");
      text += " " + target + ":" + std::to_string(read_u16(reply, record.data_offset + 4));
    } else if (record.type == kTypeOpt) {
      text += " opt";
    }
  }
  return text;
}

}  // namespace compose::net::dns::testing
