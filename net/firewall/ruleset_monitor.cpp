#include "net/firewall/ruleset_monitor.hpp"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "net/endpoint/netlink.hpp"

namespace compose::net::firewall {

namespace {

constexpr Duration kQuiet = std::chrono::milliseconds{50};
constexpr std::uint16_t kNewGeneration = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN;

/// Is one of the messages the end of a transaction that a program of another name made?
bool tells_of_others(std::string_view bytes, std::string_view own_name) {
  while (bytes.size() >= sizeof(nlmsghdr)) {
    nlmsghdr head{};
    std::memcpy(&head, bytes.data(), sizeof head);
    if (head.nlmsg_len < sizeof head || head.nlmsg_len > bytes.size()) return true;
    constexpr std::size_t kHeaders = sizeof(nlmsghdr) + sizeof(nfgenmsg);
    if (head.nlmsg_type == kNewGeneration && head.nlmsg_len >= kHeaders) {
      std::string name;
      netlink::for_each_attribute(bytes.substr(kHeaders, head.nlmsg_len - kHeaders),
                                  [&](const netlink::Attribute& attribute) {
                                    if (attribute.type == NFTA_GEN_PROC_NAME) name = attribute.text();
                                  });
      if (name != own_name) return true;
    }
    const std::size_t step = NLMSG_ALIGN(head.nlmsg_len);
    if (step >= bytes.size()) return false;
    bytes.remove_prefix(step);
  }
  return false;
}

}  // namespace

Result<std::unique_ptr<RulesetMonitor>> RulesetMonitor::start(async::EventLoop& loop, std::function<void()> on_change) {
  UniqueFd socket{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER)};
  if (!socket.valid()) return os_error("open a netlink socket");
  // An unbound socket has the port number 0, which is the one the kernel leaves out when it tells everybody.
  sockaddr_nl any{};
  any.nl_family = AF_NETLINK;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0)
    return os_error("bind a netlink socket");
  const int group = NFNLGRP_NFTABLES;
  if (::setsockopt(socket.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
    return os_error("listen for changes of nf_tables");
  return std::unique_ptr<RulesetMonitor>{new RulesetMonitor{loop, std::move(socket), std::move(on_change)}};
}

RulesetMonitor::RulesetMonitor(async::EventLoop& loop, UniqueFd socket, std::function<void()> on_change)
    : loop_{loop}, socket_{std::move(socket)}, on_change_{std::move(on_change)} {
  watch_ = loop_.watch_readable(socket_.get(), [this] { on_readable(); });
}

void RulesetMonitor::on_readable() {
  // The name a transaction is told with is its thread's.
  std::array<char, 17> own_name{};
  ::prctl(PR_GET_NAME, own_name.data());
  std::array<char, 65536> buffer;
  bool others = false;
  while (true) {
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    // Messages were lost when there were too many: somebody loads a large ruleset.
    if (got < 0 && errno == ENOBUFS) {
      others = true;
      continue;
    }
    if (got <= 0) break;
    others = others || tells_of_others({buffer.data(), static_cast<std::size_t>(got)}, own_name.data());
  }
  if (!others || pending_) return;
  pending_ = loop_.call_after(kQuiet, [this] {
    pending_.reset();
    on_change_();
  });
}

}  // namespace compose::net::firewall
