#pragma once
// DNS messages for tests: queries from words, replies as text.
#include <fmt/format.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/strings.hpp"
#include "net/dns/message.hpp"

namespace compose::net::testing {

inline std::string wire_name(std::string_view dotted) {
  std::string bytes;
  if (!dotted.empty())
    for (const std::string& label : split(dotted, '.')) {
      bytes.push_back(static_cast<char>(label.size()));
      bytes += label;
    }
  bytes.push_back('\0');
  return bytes;
}

struct QueryOptions {
  std::uint16_t id = 0x1234;
  std::uint16_t klass = 1;
  int edns_size = 0;  ///< 0: no EDNS
  std::uint8_t edns_version = 0;
};

inline std::string make_query(std::string_view name, dns::Type type, QueryOptions options = {}) {
  std::string bytes(12, '\0');
  auto* head = reinterpret_cast<std::uint8_t*>(bytes.data());
  dns::write_u16(head, options.id);
  dns::write_u16(head + 2, 0x0100);
  dns::write_u16(head + 4, 1);
  dns::write_u16(head + 10, options.edns_size > 0 ? 1 : 0);
  bytes += wire_name(name);
  const auto put = [&](std::uint16_t number) {
    bytes.push_back(static_cast<char>(number >> 8));
    bytes.push_back(static_cast<char>(number));
  };
  put(static_cast<std::uint16_t>(type));
  put(options.klass);
  if (options.edns_size > 0) {
    bytes.push_back('\0');
    put(41);
    put(static_cast<std::uint16_t>(options.edns_size));
    bytes.push_back('\0');
    bytes.push_back(static_cast<char>(options.edns_version));
    put(0);
    put(0);
  }
  return bytes;
}

inline dns::Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// Reads a name, following pointers.
inline std::string read_name(dns::Bytes message, std::size_t offset) {
  std::string name;
  for (int hops = 0; hops < 64 && offset < message.size(); ++hops) {
    const std::uint8_t length = message[offset];
    if (length == 0) break;
    if ((length & 0xc0) == 0xc0) {
      offset = dns::read_u16(message, offset) & 0x3fffU;
      continue;
    }
    if (!name.empty()) name += '.';
    name.append(reinterpret_cast<const char*>(message.data()) + offset + 1, length);
    offset += length + 1U;
  }
  return name;
}

inline std::string data_text(dns::Bytes message, std::uint16_t type, std::size_t data, std::size_t size) {
  if (type == 1) return IpAddress::from_bytes(IpAddress::Family::v4, message.data() + data).to_string();
  if (type == 28) return IpAddress::from_bytes(IpAddress::Family::v6, message.data() + data).to_string();
  if (type == 12 || type == 5) return read_name(message, data);
  if (type == 33) return fmt::format("{} {}", dns::read_u16(message, data + 4), read_name(message, data + 6));
  return fmt::format("{} bytes", size);
}

/// "NOERROR" and flags, then one record a line: "name type data".
inline std::string reply_text(dns::Bytes message) {
  if (message.size() < 12) return "torn";
  static const std::map<unsigned, std::string> rcodes{{0, "NOERROR"},  {1, "FORMERR"}, {2, "SERVFAIL"},
                                                      {3, "NXDOMAIN"}, {4, "NOTIMP"},  {5, "REFUSED"}};
  static const std::map<unsigned, std::string> types{{1, "A"},    {5, "CNAME"}, {12, "PTR"}, {28, "AAAA"},
                                                     {33, "SRV"}, {41, "OPT"},  {6, "SOA"}};
  const std::uint16_t flags = dns::read_u16(message, 2);
  std::string text = rcodes.at(flags & 15U);
  if ((flags & 0x0200) != 0) text += " truncated";
  text += '\n';
  std::size_t offset = 12;
  if (dns::read_u16(message, 4) == 1) offset = dns::skip_name(message, offset).value() + 4;
  const unsigned records = 0U + dns::read_u16(message, 6) + dns::read_u16(message, 8) + dns::read_u16(message, 10);
  for (unsigned i = 0; i < records; ++i) {
    const std::string name = read_name(message, offset);
    const auto head = dns::skip_name(message, offset);
    if (!head || *head + 10 > message.size()) return text + "torn";
    const std::uint16_t type = dns::read_u16(message, *head);
    const std::size_t size = dns::read_u16(message, *head + 8);
    if (type == 41) {
      text += fmt::format("OPT {} version-bits {}\n", dns::read_u16(message, *head + 2), message[*head + 4]);
    } else {
      text += fmt::format("{} {} {}\n", name, types.contains(type) ? types.at(type) : std::to_string(type),
                          data_text(message, type, *head + 10, size));
    }
    offset = *head + 10 + size;
  }
  return text;
}

}  // namespace compose::net::testing
