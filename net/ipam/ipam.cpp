#include "net/ipam/ipam.hpp"

#include <algorithm>

#include "base/sha256.hpp"

namespace compose::net::ipam {

namespace {

constexpr unsigned kIpv4SubnetSize = 22;
constexpr unsigned kIpv6SubnetSize = 64;

/// 2^shift, or the largest number when it does not fit.
std::uint64_t power_of_two(unsigned shift) { return shift >= 64 ? ~std::uint64_t{0} : std::uint64_t{1} << shift; }

/// The subnet number `index` of a pool.
Prefix nth_subnet(const SourcePool& pool, std::uint64_t index) {
  const unsigned shift = pool.range.address.width() - pool.size;
  if (shift < 64) return {pool.range.address.plus(index << shift), pool.size};
  // IPv6: the subnet number lies in the upper half of the address.
  std::uint8_t bytes[16];
  std::copy(pool.range.address.bytes().begin(), pool.range.address.bytes().end(), bytes);
  const unsigned upper_shift = shift - 64;
  std::uint64_t carry = index << upper_shift;
  for (int i = 7; i >= 0 && carry != 0; --i) {
    const std::uint64_t digit = bytes[i] + (carry & 0xff);
    bytes[i] = static_cast<std::uint8_t>(digit);
    carry = (carry >> 8) + (digit >> 8);
  }
  return {IpAddress::from_bytes(IpAddress::Family::v6, bytes), pool.size};
}

std::uint64_t subnets_in(const SourcePool& pool) {
  constexpr unsigned kEnough = 16;  // 65,536 are looked at in a pool, no more
  return power_of_two(std::min(pool.size - pool.range.length, kEnough));
}

}  // namespace

std::vector<SourcePool> default_pools(IpAddress::Family family, const std::string& host_seed) {
  std::vector<SourcePool> pools;
  if (family == IpAddress::Family::v4) {
    // 172.17.0.0/16 is left to Docker's default bridge, 172.16.0.0/16 to whoever numbers by hand.
    for (std::uint32_t second = 18; second < 32; ++second)
      pools.push_back({{IpAddress::v4(172U << 24 | second << 16), 16}, kIpv4SubnetSize});
    pools.push_back({{IpAddress::v4(192U << 24 | 168U << 16), 16}, kIpv4SubnetSize});
    return pools;
  }
  const std::string digits = sha256_hex("compose network " + host_seed);
  std::uint8_t bytes[16] = {0xfd};
  for (unsigned i = 0; i < 5; ++i)
    bytes[i + 1] = static_cast<std::uint8_t>(std::stoul(digits.substr(std::size_t{i} * 2, 2), nullptr, 16));
  pools.push_back({{IpAddress::from_bytes(IpAddress::Family::v6, bytes), 48}, kIpv6SubnetSize});
  return pools;
}

namespace {

struct Interval {
  IpAddress first, last;
};

/// The taken prefixes as disjoint intervals in order, so that one walk over them and the candidates suffices.
std::vector<Interval> intervals_of(std::span<const Taken> taken, IpAddress::Family family) {
  std::vector<Interval> intervals;
  for (const Taken& one : taken)
    if (one.prefix.address.family() == family) intervals.push_back({one.prefix.masked().address, one.prefix.last()});
  std::sort(intervals.begin(), intervals.end(), [](const Interval& a, const Interval& b) { return a.first < b.first; });
  std::vector<Interval> merged;
  for (const Interval& interval : intervals) {
    if (merged.empty() || merged.back().last < interval.first) {
      merged.push_back(interval);
    } else {
      merged.back().last = std::max(merged.back().last, interval.last);
    }
  }
  return merged;
}

}  // namespace

Result<Prefix> choose_subnet(std::span<const SourcePool> pools, std::span<const Taken> taken) {
  std::uint64_t tried = 0;
  for (const SourcePool& pool : pools) {
    const std::vector<Interval> intervals = intervals_of(taken, pool.range.address.family());
    auto next = intervals.begin();
    const std::uint64_t count = subnets_in(pool);
    for (std::uint64_t index = 0; index < count; ++index, ++tried) {
      const Prefix candidate = nth_subnet(pool, index);
      while (next != intervals.end() && next->last < candidate.address) ++next;
      if (next == intervals.end() || candidate.last() < next->first) return candidate;
    }
  }
  return make_error(Errc::failed,
                    "no free subnet: all {} of the default pools overlap routes of the host or other networks; remove "
                    "unused networks or give the network a subnet of its own (ipam.config)",
                    tried);
}

namespace {

Result<Prefix> parse_range(const Prefix& subnet, const std::string& text) {
  if (text.empty()) return subnet;
  TRY_ASSIGN(const Prefix parsed, Prefix::parse(text));
  const Prefix range = parsed.masked();
  if (!subnet.contains(range))
    return make_error(Errc::invalid, "the ip_range {} is not inside the subnet {}", text, subnet.to_string());
  return range;
}

Result<IpAddress> parse_inside(const Prefix& subnet, const std::string& text, const char* what) {
  TRY_ASSIGN(const IpAddress address, IpAddress::parse(text.substr(0, text.find('/'))));
  if (!subnet.contains(address))
    return make_error(Errc::invalid, "the {} {} is not inside the subnet {}", what, text, subnet.to_string());
  return address;
}

}  // namespace

Result<SubnetPlan> plan_subnet(const std::string& subnet, const std::string& ip_range, const std::string& gateway,
                               const std::map<std::string, std::string>& aux_addresses) {
  SubnetPlan plan;
  TRY_ASSIGN(const Prefix parsed, Prefix::parse(subnet));
  plan.subnet = parsed.masked();
  if (plan.subnet.length + 2 > plan.subnet.address.width())
    return make_error(Errc::invalid, "the subnet {} has no room for containers", subnet);
  TRY_ASSIGN(plan.range, parse_range(plan.subnet, ip_range));
  if (gateway.empty()) {
    plan.gateway = plan.subnet.address.plus(1);
  } else {
    TRY_ASSIGN(plan.gateway, parse_inside(plan.subnet, gateway, "gateway"));
  }
  for (const auto& [name, text] : aux_addresses) {
    TRY_ASSIGN(const IpAddress address, parse_inside(plan.subnet, text, "auxiliary address"));
    plan.reserved[name] = address;
  }
  return plan;
}

Result<void> check_address(const SubnetPlan& plan, const IpAddress& wanted) {
  const std::string text = wanted.to_string();
  if (!plan.subnet.contains(wanted))
    return make_error(Errc::invalid, "the address {} is not inside the subnet {}", text, plan.subnet.to_string());
  if (wanted == plan.subnet.address)
    return make_error(Errc::invalid, "{} is the address of the subnet {} itself", text, plan.subnet.to_string());
  if (wanted.is_v4() && wanted == plan.subnet.last())
    return make_error(Errc::invalid, "{} is the broadcast address of {}", text, plan.subnet.to_string());
  if (plan.gateway == wanted)
    return make_error(Errc::invalid, "{} is the gateway of {}", text, plan.subnet.to_string());
  return {};
}

Result<IpAddress> choose_address(const SubnetPlan& plan, const std::set<IpAddress>& used) {
  constexpr unsigned kSearchBits = 20;  // a million addresses, then we give up
  const unsigned bits = plan.range.address.width() - plan.range.length;
  const std::uint64_t count = power_of_two(std::min(bits, kSearchBits));
  const auto reserved = [&](const IpAddress& address) {
    return std::any_of(plan.reserved.begin(), plan.reserved.end(),
                       [&](const auto& entry) { return entry.second == address; });
  };
  for (std::uint64_t offset = 0; offset < count; ++offset) {
    const IpAddress candidate = plan.range.address.plus(offset);
    if (used.contains(candidate) || reserved(candidate) || !check_address(plan, candidate).ok()) continue;
    return candidate;
  }
  return make_error(Errc::failed, "no free address in {} ({} in use); give the network a larger subnet",
                    plan.range.to_string(), used.size());
}

std::string mac_for(const IpAddress& address) {
  const auto bytes = address.bytes();
  if (address.is_v4()) return fmt::format("02:42:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2], bytes[3]);
  const std::string digits = sha256_hex(address.to_string());
  return fmt::format("02:43:{}:{}:{}:{}", digits.substr(0, 2), digits.substr(2, 2), digits.substr(4, 2),
                     digits.substr(6, 2));
}

}  // namespace compose::net::ipam
