#pragma once
// depends_on after `up`: for whom a container that its policy restarts has to wait, and who is restarted when a service
// is back after a crash. Docker Compose forgets both once `up` has ended. Pure: containers come in as values.
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "compose/model/service.hpp"

namespace compose::supervisor::policy {

/// One container of the project, one-off ones apart.
struct Member {
  std::string id, service;
  std::map<std::string, model::Dependency> depends_on;
  std::vector<std::string> shares_with;  ///< services in whose network, process or IPC namespace it lives
  bool up = false;                       ///< its program runs
  bool busy = false;                     ///< something will still happen to it without anybody asking
  bool stop_requested = false;           ///< somebody ended it, or is about to
  bool restarting = false;               ///< it has ended and its policy starts it again
  bool hooks_pending = false;            ///< post_start has not ended
  bool probed = false, healthy = false;  ///< it has a health check; and that passes
};

/// Running, and healthy where there is a health check.
bool ready(const Member& member);

/// The first service that keeps `member` from being restarted now: one on its way that is not where the condition wants
/// it. What was stopped or has ended for good keeps nobody: it would for ever. "": none.
std::string awaited(const Member& member, std::span<const Member> others);

/// The services that are restarted when `service` is back: those that ask for it (`restart: true`) and those in its
/// namespaces. One that does not run started later than the crash, or will: it has waited.
std::vector<std::string> dependents(const std::string& service, std::span<const Member> others);

/// Which containers have crashed and are not back yet.
class Crashes {
 public:
  /// To be told of every change. True: it is ready again after its policy has restarted it.
  bool recovered(const Member& member);

 private:
  std::set<std::string> crashed_;
};

}  // namespace compose::supervisor::policy
