#pragma once
// Notices when somebody else changes the host's nf_tables: the kernel tells the group NFNLGRP_NFTABLES of every
// transaction and who made it.
#include <functional>
#include <memory>

#include "async/event_loop.hpp"
#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::net::firewall {

class RulesetMonitor {
 public:
  /// `on_change` is called on the loop at most every 50 ms, that long after the first transaction of a process of
  /// another name (our own programs know what they do). Errors: permission.
  static Result<std::unique_ptr<RulesetMonitor>> start(async::EventLoop& loop, std::function<void()> on_change);

 private:
  RulesetMonitor(async::EventLoop& loop, UniqueFd socket, std::function<void()> on_change);
  void on_readable();

  async::EventLoop& loop_;
  UniqueFd socket_;
  std::function<void()> on_change_;
  async::Timer pending_;
  async::Watch watch_;
};

}  // namespace compose::net::firewall
