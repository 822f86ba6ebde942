#include "net/firewall/firewall.hpp"

#include <linux/netfilter.h>
#include <linux/netlink.h>

#include <algorithm>
#include <map>
#include <set>

#include "net/endpoint/netlink.hpp"

namespace compose::net::firewall {

namespace {

constexpr nft::Family kFamily = nft::Family::inet;

std::map<std::string, std::vector<nft::Element>> by_set(std::span<const Entry> entries) {
  std::map<std::string, std::vector<nft::Element>> sets;
  for (const Entry& entry : entries) sets[entry.set].push_back(entry.element);
  return sets;
}

std::string comment_for(const std::string& bridge) { return "compose " + bridge; }

/// A chain iptables made: its listing must stay readable for iptables, which knows few native expressions.
bool is_iptables_chain(const nft::BaseChain& chain) {
  return chain.table == "filter" && chain.name == "FORWARD" && chain.family != nft::Family::inet;
}

bool is_dockers(std::span<const nft::ListedRule> rules) {
  bool docker = false;
  for (const nft::ListedRule& rule : rules)
    for (const std::string& target : rule.targets) {
      if (target.starts_with("DOCKER")) docker = true;
      // An administrator's firewall uses the same chain: its policy counts.
      if (target.starts_with("ufw")) return false;
    }
  return docker;
}

bool is_ours(const std::string& table) { return table == "compose" || table.starts_with("compose-"); }

bool concerns(const nft::BaseChain& chain, bool ipv6) {
  if (chain.hook != NF_INET_FORWARD || !chain.policy_drop) return false;
  return chain.family == nft::Family::inet || chain.family == nft::Family::ip ||
         (ipv6 && chain.family == nft::Family::ip6);
}

}  // namespace

template <typename Work>
auto Firewall::on_socket(Work work) const -> decltype(work(std::declval<netlink::Socket&>())) {
  const std::lock_guard lock(kept_->mutex);
  if (!kept_->socket) {
    TRY_ASSIGN(kept_->socket, netlink::Socket::open(NETLINK_NETFILTER));
  }
  auto outcome = work(*kept_->socket);
  if (!outcome.ok()) kept_->socket.reset();
  return outcome;
}

Result<void> Firewall::with_socket(const std::function<Result<void>(netlink::Socket&)>& work) const {
  return on_socket(work);
}

Result<bool> Firewall::present() const {
  return on_socket([&](netlink::Socket& socket) -> Result<bool> {
    return nft::chain_exists(socket, kFamily, table_, kLayoutChain);
  });
}

Result<void> Firewall::rebuild(std::span<const Entry> entries) const {
  return on_socket([&](netlink::Socket& socket) -> Result<void> {
    nft::Transaction transaction;
    transaction.remove_table(kFamily, table_);
    transaction.add_table(base_table(table_));
    for (const auto& [set, elements] : by_set(entries)) transaction.add_elements(kFamily, table_, set, elements);
    return transaction.commit(socket).with("the host's nf_tables");
  });
}

Result<void> Firewall::change(std::span<const Entry> added, std::span<const Entry> removed) const {
  if (added.empty() && removed.empty()) return {};
  return on_socket([&](netlink::Socket& socket) -> Result<void> {
    nft::Transaction transaction;
    for (const auto& [set, elements] : by_set(removed)) transaction.remove_elements(kFamily, table_, set, elements);
    for (const auto& [set, elements] : by_set(added)) transaction.add_elements(kFamily, table_, set, elements);
    return transaction.commit(socket).with("the host's nf_tables");
  });
}

Result<void> Firewall::remove() const {
  return on_socket([&](netlink::Socket& socket) -> Result<void> {
    nft::Transaction transaction;
    transaction.remove_table(kFamily, table_);
    return transaction.commit(socket).with("the host's nf_tables");
  });
}

Result<bool> Firewall::others_present() const {
  return on_socket([&](netlink::Socket& socket) -> Result<bool> {
    TRY_ASSIGN(const std::vector<nft::BaseChain> chains, nft::base_chains(socket));
    return std::any_of(chains.begin(), chains.end(), [&](const nft::BaseChain& chain) {
      return chain.family == kFamily && is_ours(chain.table) && chain.table != table_;
    });
  });
}

Result<bool> Firewall::intact(std::span<const Entry> entries) const {
  TRY_ASSIGN(const bool there, present());
  if (!there) return false;
  return on_socket([&](netlink::Socket& socket) -> Result<bool> {
    const nft::Table wanted = base_table(table_);
    for (const nft::Chain& chain : wanted.chains) {
      const auto rules = nft::rules(socket, kFamily, table_, chain.name);
      if (!rules.ok() || rules->size() != chain.rules.size()) return false;
    }
    std::map<std::string, std::set<std::string>> texts;
    for (const Entry& entry : entries) texts[entry.set].insert(to_text(entry));
    for (const nft::Set& set : wanted.sets) {
      if (set.lifetime_ms != 0) continue;  // what is in it is the packets' doing
      auto elements = nft::elements(socket, kFamily, table_, set.name);
      if (!elements.ok()) return false;
      std::set<std::string> found;
      for (nft::Element& element : *elements) found.insert(to_text(Entry{set.name, std::move(element)}));
      if (found != texts[set.name]) return false;
    }
    return true;
  });
}

Result<InputPolicy> Firewall::input_policy() const {
  return on_socket([&](netlink::Socket& socket) -> Result<InputPolicy> {
    TRY_ASSIGN(const std::vector<nft::BaseChain> chains, nft::base_chains(socket));
    InputPolicy policy;
    for (const nft::BaseChain& chain : chains) {
      if (chain.hook != NF_INET_LOCAL_IN || !chain.policy_drop || is_ours(chain.table)) continue;
      if (chain.family == nft::Family::inet || chain.family == nft::Family::ip) policy.drops4 = true;
      if (chain.family == nft::Family::inet || chain.family == nft::Family::ip6) policy.drops6 = true;
    }
    return policy;
  });
}

Result<bool> Firewall::pass_foreign_chains(const std::string& bridge, bool ipv6, bool open) const {
  return on_socket([&](netlink::Socket& socket) -> Result<bool> {
    TRY_ASSIGN(const std::vector<nft::BaseChain> chains, nft::base_chains(socket));
    nft::Transaction transaction;
    const std::string comment = comment_for(bridge);
    for (const nft::BaseChain& chain : chains) {
      if (!concerns(chain, ipv6)) continue;
      TRY_ASSIGN(const std::vector<nft::ListedRule> rules, nft::rules(socket, chain.family, chain.table, chain.name));
      if (std::any_of(rules.begin(), rules.end(), [&](const auto& rule) { return rule.comment == comment; })) continue;
      const auto append = [&](const nft::Rule& rule) {
        transaction.append_rule(chain.family, chain.table, chain.name, rule, comment);
      };
      append(nft::Rule{}.iifname(bridge).counter().accept());
      if (open || is_dockers(rules)) {
        append(nft::Rule{}.oifname(bridge).counter().accept());
      } else if (is_iptables_chain(chain)) {
        append(nft::Rule{}.oifname(bridge).xt_established().counter().accept());
      } else {
        append(nft::Rule{}.oifname(bridge).ct_state_established().counter().accept());
      }
    }
    const bool added = !transaction.empty();
    TRY(transaction.commit(socket).with("the host's forward chains"));
    return added;
  });
}

Result<void> Firewall::leave_foreign_chains(std::span<const std::string> bridges) const {
  return on_socket([&](netlink::Socket& socket) -> Result<void> {
    TRY_ASSIGN(const std::vector<nft::BaseChain> chains, nft::base_chains(socket));
    nft::Transaction transaction;
    for (const nft::BaseChain& chain : chains) {
      if (chain.hook != NF_INET_FORWARD || is_ours(chain.table)) continue;
      TRY_ASSIGN(const std::vector<nft::ListedRule> rules, nft::rules(socket, chain.family, chain.table, chain.name));
      for (const nft::ListedRule& rule : rules)
        for (const std::string& bridge : bridges)
          if (rule.comment == comment_for(bridge))
            transaction.remove_rule(chain.family, chain.table, chain.name, rule.handle);
    }
    return transaction.commit(socket).with("the host's forward chains");
  });
}

}  // namespace compose::net::firewall
