#include "net/address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "base/strings.hpp"

namespace compose::net {

IpAddress IpAddress::v4(std::uint32_t host_order) {
  const std::uint32_t network_order = htonl(host_order);
  IpAddress address;
  std::memcpy(address.bytes_.data(), &network_order, 4);
  return address;
}

IpAddress IpAddress::from_bytes(Family family, const std::uint8_t* bytes) {
  IpAddress address;
  address.family_ = family;
  std::copy_n(bytes, family == Family::v4 ? 4 : 16, address.bytes_.begin());
  return address;
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  std::string plain{text};
  if (plain.size() > 2 && plain.front() == '[' && plain.back() == ']') plain = plain.substr(1, plain.size() - 2);
  IpAddress address;
  if (inet_pton(AF_INET, plain.c_str(), address.bytes_.data()) == 1) return address;
  address.family_ = Family::v6;
  if (inet_pton(AF_INET6, plain.c_str(), address.bytes_.data()) == 1) return address;
  return make_error(Errc::invalid, "\"{}\" is not an IP address", text);
}

std::uint32_t IpAddress::as_v4() const {
  std::uint32_t network_order = 0;
  std::memcpy(&network_order, bytes_.data(), 4);
  return ntohl(network_order);
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
  return text;
}

bool IpAddress::is_unspecified() const {
  return std::all_of(bytes().begin(), bytes().end(), [](std::uint8_t byte) { return byte == 0; });
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[0] == 127;
  return std::all_of(bytes_.begin(), bytes_.end() - 1, [](std::uint8_t byte) { return byte == 0; }) && bytes_[15] == 1;
}

bool IpAddress::is_link_local() const {
  if (is_v4()) return bytes_[0] == 169 && bytes_[1] == 254;
  return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

IpAddress IpAddress::plus(std::uint64_t number) const {
  IpAddress sum = *this;
  std::uint64_t carry = number;
  for (std::size_t i = bytes().size(); i-- > 0 && carry != 0;) {
    const std::uint64_t digit = sum.bytes_[i] + (carry & 0xff);
    sum.bytes_[i] = static_cast<std::uint8_t>(digit);
    carry = (carry >> 8) + (digit >> 8);
  }
  return sum;
}

Result<Prefix> Prefix::parse(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos)
    return make_error(Errc::invalid, "\"{}\" is not a subnet (address/prefix length, such as 10.1.0.0/24)", text);
  TRY_ASSIGN(const IpAddress address, IpAddress::parse(text.substr(0, slash)));
  const auto length = parse_unsigned(text.substr(slash + 1));
  if (!length || *length > address.width())
    return make_error(Errc::invalid, "\"{}\" has no valid prefix length (0 to {})", text, address.width());
  return Prefix{address, static_cast<unsigned>(*length)};
}

std::string Prefix::to_string() const { return fmt::format("{}/{}", address.to_string(), length); }

namespace {
/// The mask's byte number `index` for a prefix length.
std::uint8_t mask_byte(unsigned length, std::size_t index) {
  const unsigned start = static_cast<unsigned>(index) * 8;
  if (length >= start + 8) return 0xff;
  if (length <= start) return 0;
  return static_cast<std::uint8_t>(0xff << (8 - (length - start)));
}
}  // namespace

Prefix Prefix::masked() const {
  std::uint8_t bytes[16] = {};
  for (std::size_t i = 0; i < address.bytes().size(); ++i)
    bytes[i] = static_cast<std::uint8_t>(address.bytes()[i] & mask_byte(length, i));
  return {IpAddress::from_bytes(address.family(), bytes), length};
}

bool Prefix::contains(const IpAddress& other) const {
  if (other.family() != address.family()) return false;
  return Prefix{other, length}.masked().address == masked().address;
}

bool Prefix::contains(const Prefix& other) const { return other.length >= length && contains(other.address); }

bool Prefix::overlaps(const Prefix& other) const { return contains(other) || other.contains(*this); }

IpAddress Prefix::last() const {
  std::uint8_t bytes[16] = {};
  for (std::size_t i = 0; i < address.bytes().size(); ++i)
    bytes[i] = static_cast<std::uint8_t>(address.bytes()[i] | static_cast<std::uint8_t>(~mask_byte(length, i)));
  return IpAddress::from_bytes(address.family(), bytes);
}

}  // namespace compose::net
