#include "net/host_settings.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include "net/bridge/links.hpp"
#include "sys/file.hpp"

namespace compose::net {

namespace {

using Settings = std::map<std::string, std::string>;

/// Sets `name` to `wanted` unless it is so already; the former value goes to `former`.
Result<void> change(const std::string& name, const std::string& wanted, Settings& former) {
  const auto now = read_net_sysctl(name);
  if (!now || *now == wanted) return {};
  TRY(write_net_sysctl(name, wanted));
  former.emplace(name, *now);
  return {};
}

constexpr const char* kForward4 = "ipv4/ip_forward";
constexpr const char* kForward6 = "ipv6/conf/all/forwarding";

constexpr nft::Family kFamily = nft::Family::inet;
constexpr const char* kTable = "compose-host";
constexpr const char* kChain = "former-settings";  // no packet ever comes here: its rules are notes

/// What the others have noted: "ipv4/ip_forward=0" is the comment of a rule.
Result<Settings> noted(const firewall::Firewall& rules) {
  Settings former;
  TRY(rules.with_socket([&](netlink::Socket& socket) -> Result<void> {
    TRY_ASSIGN(const bool there, nft::chain_exists(socket, kFamily, kTable, kChain));
    if (!there) return {};
    TRY_ASSIGN(const std::vector<nft::ListedRule> notes, nft::rules(socket, kFamily, kTable, kChain));
    for (const nft::ListedRule& note : notes)
      if (const auto equals = note.comment.rfind('='); equals != std::string::npos)
        former.emplace(note.comment.substr(0, equals), note.comment.substr(equals + 1));
    return {};
  }));
  return former;
}

Result<void> note(const firewall::Firewall& rules, const Settings& former) {
  return rules.with_socket([&](netlink::Socket& socket) -> Result<void> {
    nft::Transaction transaction;
    transaction.remove_table(kFamily, kTable);
    if (!former.empty()) transaction.add_table({kFamily, kTable, {}, {{kChain, std::nullopt, {}}}});
    for (const auto& [name, value] : former)
      transaction.append_rule(kFamily, kTable, kChain, nft::Rule{}.counter(), name + "=" + value);
    return transaction.commit(socket).with("the host's nf_tables");
  });
}

}  // namespace

Result<sys::FileLock> lock_host_settings() {
  UniqueFd fd{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
  if (!fd.valid()) return os_error("open the network namespace");
  if (retry_eintr([&] { return ::flock(fd.get(), LOCK_EX); }) != 0) return os_error("lock the network namespace");
  return sys::FileLock::adopt(std::move(fd));
}

Result<void> enable_forwarding(const NetworkFiles& files, const firewall::Firewall& rules, bool ipv6) {
  TRY_ASSIGN(const Settings ours, files.load_sysctls());
  TRY_ASSIGN(const Settings others, noted(rules));
  Settings former = others;  // whoever came first knows best
  former.insert(ours.begin(), ours.end());
  TRY(change(kForward4, "1", former));
  if (ipv6 && read_net_sysctl(kForward6) == "0") {
    TRY_ASSIGN(const std::vector<Link> links, list_links());
    for (const Link& link : links) {
      const std::string name = "ipv6/conf/" + link.name + "/accept_ra";
      if (!link.kind.empty() || read_net_sysctl(name) != "1") continue;
      TRY(change(name, "2", former));
    }
    TRY(change(kForward6, "1", former));
  }
  if (former != others) TRY(note(rules, former));
  if (former != ours) TRY(files.save_sysctls(former));
  return {};
}

Result<void> restore_settings(const NetworkFiles& files, const firewall::Firewall& rules, bool needed) {
  TRY_ASSIGN(const Settings ours, files.load_sysctls());
  TRY_ASSIGN(const Settings others, noted(rules));
  Settings former = others;
  former.insert(ours.begin(), ours.end());
  if (needed) {
    if (former != others) TRY(note(rules, former));
    return files.save_sysctls({});
  }
  for (const auto& [name, value] : former) {
    const char* set_by_us = name.ends_with("/accept_ra") ? "2" : "1";
    if (read_net_sysctl(name) == set_by_us) (void)write_net_sysctl(name, value).ok();  // an interface may be gone
  }
  if (!others.empty()) TRY(note(rules, {}));
  return files.save_sysctls({});
}

}  // namespace compose::net
