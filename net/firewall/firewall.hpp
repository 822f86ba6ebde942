#pragma once
// Puts the rules of ruleset.hpp into the kernel.
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "net/endpoint/netlink.hpp"
#include "net/firewall/ruleset.hpp"

namespace compose::net::firewall {

/// Works in the network namespace of the first call; calls may come from several threads.
class Firewall {
 public:
  explicit Firewall(std::string table) : table_{std::move(table)}, kept_{std::make_unique<Kept>()} {}

  /// Is our table there, in this version's layout?
  Result<bool> present() const;
  /// Replaces the table by one with these elements, in one transaction.
  Result<void> rebuild(std::span<const Entry> entries) const;
  /// Adds and removes elements in one transaction; adding one that is there is fine. One to remove that is not there
  /// makes the whole fail with not_found: rebuild() then.
  Result<void> change(std::span<const Entry> added, std::span<const Entry> removed) const;
  Result<void> remove() const;
  /// Is there a table like ours of another state root?
  Result<bool> others_present() const;

  /// Hands `work` the socket that all calls use: closing one of its own would cost it the wait described below.
  Result<void> with_socket(const std::function<Result<void>(netlink::Socket&)>& work) const;

  /// Does the kernel have our table as it was made, with exactly these elements?
  Result<bool> intact(std::span<const Entry> entries) const;
  /// What input chains of others do by policy.
  Result<InputPolicy> input_policy() const;

  /// Lets the bridge's own traffic through forward chains of the host that drop by policy, by rules at their end with
  /// our comment: what the bridge's containers send, and the answers. New connections from outside are left to that
  /// chain's own rules, except where Docker set the policy (it does so as soon as it runs, not the administrator):
  /// there they are let through, and our own table decides; so they are where the network is `open`. Repeating it
  /// changes nothing. Tells whether a rule was added.
  Result<bool> pass_foreign_chains(const std::string& bridge, bool ipv6, bool open) const;
  /// Removes those rules again.
  Result<void> leave_foreign_chains(std::span<const std::string> bridges) const;

 private:
  // One socket for all calls: when one is closed the kernel first finishes what it has put off of earlier
  // transactions, which takes an RCU grace period, some 15 ms.
  struct Kept {
    std::mutex mutex;
    std::optional<netlink::Socket> socket;
  };

  /// What `work(socket)` returns. A socket that failed may hold the rest of an answer and is not used again.
  template <typename Work>
  auto on_socket(Work work) const -> decltype(work(std::declval<netlink::Socket&>()));

  std::string table_;
  std::unique_ptr<Kept> kept_;
};

}  // namespace compose::net::firewall
