#pragma once
// The words of `compose network`: --filter, and the flags of `create` that describe subnets. Pure.
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "cli/args.hpp"
#include "net/networks.hpp"

namespace compose::cli {

/// Filters of `docker network ls|prune`: values of one key are alternatives (of labels all must fit), keys add up.
struct NetworkFilter {
  std::map<std::string, Strings> values;  ///< driver, id, name, scope, type, label, label!
  std::optional<bool> dangling;           ///< true: no running container; the caller looks
  std::optional<std::string> until;       ///< made before this moment, RFC 3339 in UTC

  /// Errors: invalid for an unknown key or a value that is none of its own.
  static Result<NetworkFilter> parse(const Strings& texts);
  /// Everything but `dangling`.
  bool fits(const net::Network& network) const;
};

/// One pool for each subnet, with the range, the gateway and the auxiliary addresses ("NAME=IP") that lie in it.
/// Errors: invalid for one that lies in no subnet, or for a second one in the same.
Result<std::vector<net::Pool>> pools_from(const Strings& subnets, const Strings& ranges, const Strings& gateways,
                                          const Strings& auxiliary);

}  // namespace compose::cli
