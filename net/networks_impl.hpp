#pragma once
// What the parts of net::Networks share.
#include <map>
#include <string>
#include <vector>

#include "net/bridge/links.hpp"
#include "net/firewall/firewall.hpp"
#include "net/network_files.hpp"
#include "net/networks.hpp"
#include "net/ports/claims.hpp"

namespace compose::net {

bool is_bridge(const Network& network);
bool has_ipv6(const Network& network);
void append(std::vector<firewall::Entry>& list, std::vector<firewall::Entry> more);

struct Networks::Impl {
  NetworkFiles files;
  firewall::Firewall rules;
  /// Sockets that keep claimed ports ours, by container.
  std::map<std::string, std::vector<ports::Hold>> holds;

  Impl(std::string state_root, std::string run_root)
      : files{state_root, std::move(run_root)}, rules{firewall::table_name(state_root)} {}

  Result<std::vector<Network>> load_all() const;
  /// All elements our table should have.
  Result<std::vector<firewall::Entry>> all_entries() const;
  /// Brings a change into the kernel; `files` must not hold it yet. A table that is missing or has lost an element
  /// (somebody flushed the ruleset) is rebuilt from the files, plus and minus the change.
  Result<void> change_rules(const std::vector<firewall::Entry>& added,
                            const std::vector<firewall::Entry>& removed) const;
  Result<void> bring_up(const Network& network) const;
};

}  // namespace compose::net
