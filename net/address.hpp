#pragma once
// IP addresses and prefixes as values, in text form by RFC 4291 / RFC 5952 (inet_pton(3), inet_ntop(3)).
#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace compose::net {

/// An IPv4 or IPv6 address, ordered by family and then by number. Bytes are in network order; IPv4 uses the first four.
class IpAddress {
 public:
  enum class Family : std::uint8_t { v4, v6 };

  IpAddress() = default;
  static IpAddress v4(std::uint32_t host_order);
  static IpAddress from_bytes(Family family, const std::uint8_t* bytes);
  /// "10.0.0.1", "fd00::1", "[fd00::1]"; no zone, no port. Errors: invalid.
  static Result<IpAddress> parse(std::string_view text);

  Family family() const { return family_; }
  bool is_v4() const { return family_ == Family::v4; }
  bool is_v6() const { return family_ == Family::v6; }
  /// 4 or 16 bytes.
  std::span<const std::uint8_t> bytes() const { return {bytes_.data(), is_v4() ? 4U : 16U}; }
  /// The IPv4 address as a number; only for is_v4().
  std::uint32_t as_v4() const;
  unsigned width() const { return is_v4() ? 32 : 128; }
  std::string to_string() const;

  bool is_unspecified() const;
  bool is_loopback() const;
  /// fe80::/10 or 169.254.0.0/16.
  bool is_link_local() const;
  /// This address plus a number, wrapping around.
  IpAddress plus(std::uint64_t number) const;

  auto operator<=>(const IpAddress&) const = default;

 private:
  Family family_ = Family::v4;
  std::array<std::uint8_t, 16> bytes_{};
};

/// An address with a prefix length: "10.0.0.1/24" keeps its host part until masked().
struct Prefix {
  IpAddress address;
  unsigned length = 0;

  /// Errors: invalid (no "/", a length beyond the family's width).
  static Result<Prefix> parse(std::string_view text);
  std::string to_string() const;
  /// The same with the host part cleared.
  Prefix masked() const;
  bool contains(const IpAddress& other) const;
  bool contains(const Prefix& other) const;
  bool overlaps(const Prefix& other) const;
  /// The last address of the range (IPv4: the broadcast address).
  IpAddress last() const;

  auto operator<=>(const Prefix&) const = default;
};

}  // namespace compose::net
