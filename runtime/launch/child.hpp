#pragma once
// The container's side of a start.
#include <sched.h>

#include <vector>

#include "base/unique_fd.hpp"
#include "runtime/launch/launch.hpp"
#include "runtime/launch/plan.hpp"
#include "runtime/rootfs/prepared.hpp"

namespace compose::runtime::launch {

struct ChildSetup {
  int sync = -1;                     ///< our end of the pair
  std::vector<int> task_files;       ///< see cgroup::Group::task_files
  std::vector<NamespacePath> paths;  ///< those left to join, in plan order
  rootfs::Prepared prepared;
};

/// Does the child say (sync::kBorn) when its new network namespace is ready for its interfaces?
inline bool awaits_interfaces(const LaunchPlan& plan) {
  return (plan.create_namespaces & CLONE_NEWNET) != 0 && !plan.attachments.empty();
}

/// The process after clone3 up to execve; never returns.
[[noreturn]] void run_child(const LaunchPlan& plan, const Options& options, const ChildSetup& setup);

}  // namespace compose::runtime::launch
