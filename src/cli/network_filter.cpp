#include "cli/network_filter.hpp"

#include <algorithm>
#include <set>

#include "base/strings.hpp"
#include "base/units.hpp"
#include "net/address.hpp"
#include "state/records.hpp"

namespace compose::cli {
namespace {

bool has_label(const net::Network& network, const std::string& wanted) {
  const auto equals = wanted.find('=');
  const auto found = network.spec.labels.find(wanted.substr(0, equals));
  if (found == network.spec.labels.end()) return false;
  return equals == std::string::npos || found->second == wanted.substr(equals + 1);
}

/// Made by a person, or a project's? Docker calls its own three "builtin"; there are none here.
bool fits_key(const net::Network& network, const std::string& key, const std::string& value) {
  if (key == "driver") return (network.spec.driver.empty() ? "bridge" : network.spec.driver) == value;
  if (key == "id") return network.id.find(value) != std::string::npos;
  if (key == "name") return network.spec.name.find(value) != std::string::npos;
  if (key == "scope") return value == "local";
  if (key == "type") return value == "custom";
  return false;
}

/// "10m" before now, or a moment as it is written.
Result<std::string> moment(const std::string& text) {
  if (const auto age = parse_duration(text); age.ok())
    return state::format_time(std::chrono::system_clock::now() - *age);
  TRY_ASSIGN(const auto time, state::parse_time(text).with("until={}: a duration or an RFC 3339 time is wanted", text));
  return state::format_time(time);
}

}  // namespace

Result<NetworkFilter> NetworkFilter::parse(const Strings& texts) {
  static const std::set<std::string> known{"driver", "id", "name", "scope", "type", "label", "label!"};
  NetworkFilter filter;
  for (const std::string& text : texts) {
    const auto equals = text.find('=');
    if (equals == std::string::npos) return make_error(Errc::invalid, "--filter {}: KEY=VALUE is wanted", text);
    const std::string key = text.substr(0, equals), value = text.substr(equals + 1);
    if (key == "dangling") {
      if (value != "true" && value != "false" && value != "1" && value != "0")
        return make_error(Errc::invalid, "--filter {}: true or false is wanted", text);
      filter.dangling = value == "true" || value == "1";
    } else if (key == "until") {
      TRY_ASSIGN(filter.until, moment(value));
    } else if (key == "type" && value != "custom" && value != "builtin") {
      return make_error(Errc::invalid, "--filter {}: custom or builtin is wanted", text);
    } else if (known.contains(key)) {
      filter.values[key].push_back(value);
    } else {
      return make_error(Errc::invalid, "--filter {}: there are driver, id, name, scope, type, label, dangling, until",
                        text);
    }
  }
  return filter;
}

bool NetworkFilter::fits(const net::Network& network) const {
  for (const auto& [key, wanted] : values) {
    const auto labelled = [&](const std::string& value) { return has_label(network, value); };
    if (key == "label") {
      if (!std::ranges::all_of(wanted, labelled)) return false;
    } else if (key == "label!") {
      if (std::ranges::any_of(wanted, labelled)) return false;
    } else if (!std::ranges::any_of(wanted, [&](const auto& value) { return fits_key(network, key, value); })) {
      return false;
    }
  }
  // Both are UTC, so their texts compare as the times do.
  return !until || network.created_at < *until;
}

namespace {

/// The pool whose subnet holds `address`. Errors: invalid.
Result<net::Pool*> pool_for(std::vector<net::Pool>& pools, const net::IpAddress& address, const std::string& flag) {
  for (net::Pool& pool : pools) {
    TRY_ASSIGN(const auto prefix, net::Prefix::parse(pool.subnet));
    if (prefix.contains(address)) return &pool;
  }
  return make_error(Errc::invalid, "{}: it is in none of the subnets; give its subnet with --subnet", flag);
}

}  // namespace

Result<std::vector<net::Pool>> pools_from(const Strings& subnets, const Strings& ranges, const Strings& gateways,
                                          const Strings& auxiliary) {
  std::vector<net::Pool> pools;
  for (const std::string& subnet : subnets) {
    TRY(net::Prefix::parse(subnet).with("--subnet {}", subnet));
    pools.push_back({subnet, {}, {}, {}});
  }
  for (const std::string& range : ranges) {
    TRY_ASSIGN(const auto prefix, net::Prefix::parse(range).with("--ip-range {}", range));
    TRY_ASSIGN(net::Pool * pool, pool_for(pools, prefix.address, "--ip-range " + range));
    if (!pool->ip_range.empty()) return make_error(Errc::invalid, "{} has two ranges", pool->subnet);
    pool->ip_range = range;
  }
  for (const std::string& gateway : gateways) {
    TRY_ASSIGN(const auto address, net::IpAddress::parse(gateway).with("--gateway {}", gateway));
    TRY_ASSIGN(net::Pool * pool, pool_for(pools, address, "--gateway " + gateway));
    if (!pool->gateway.empty()) return make_error(Errc::invalid, "{} has two gateways", pool->subnet);
    pool->gateway = gateway;
  }
  for (const std::string& entry : auxiliary) {
    const auto equals = entry.find('=');
    if (equals == std::string::npos) return make_error(Errc::invalid, "--aux-address {}: NAME=IP is wanted", entry);
    TRY_ASSIGN(const auto address, net::IpAddress::parse(entry.substr(equals + 1)).with("--aux-address {}", entry));
    TRY_ASSIGN(net::Pool * pool, pool_for(pools, address, "--aux-address " + entry));
    pool->aux_addresses[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  return pools;
}

}  // namespace compose::cli
