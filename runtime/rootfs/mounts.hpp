#pragma once
// Carries out the plan's root steps in the mount namespace of the calling
// process. Mounts are made detached (fsopen(2), open_tree(2)), completed with
// all their flags, and only then moved onto a descriptor of the target: at no
// moment is a mount visible without its restrictions, and no path is looked up
// twice.
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "runtime/launch/plan.hpp"
#include "runtime/rootfs/prepared.hpp"

namespace compose::runtime::rootfs {

/// Cuts the calling process's mounts off from the host's (or as
/// plan.root_propagation asks), mounts the overlay or the root on itself, and
/// opens it. Runs in the new mount namespace.
Result<UniqueFd> mount_root(const launch::LaunchPlan& plan, const Prepared& prepared);

/// A new proc file system of the caller's pid namespace, detached.
Result<UniqueFd> new_proc();

class StepRunner {
 public:
  /// `proc`: what new_proc() made, for the step that mounts /proc; -1: none.
  StepRunner(const launch::LaunchPlan& plan, int root, const Prepared& prepared, int proc)
      : plan_{plan}, root_{root}, prepared_{prepared}, proc_{proc} {}
  /// Errors begin with the step: `mount "/proc" (mounts[3]): permission
  /// denied`.
  Result<void> run(const launch::RootStep& step);

 private:
  Result<void> filesystem(const launch::RootStep& step);
  Result<void> ready_proc(const launch::RootStep& step, int target);
  Result<void> host_sysfs(const launch::RootStep& step, int target);
  Result<void> bind(const launch::RootStep& step);
  Result<UniqueFd> bind_source(const launch::RootStep& step) const;
  Result<void> cgroups(const launch::RootStep& step);
  Result<void> device(const launch::RootStep& step);
  Result<void> symlink(const launch::RootStep& step);
  Result<void> mask(const launch::RootStep& step);
  Result<void> mask_directory(int target);
  Result<void> readonly(const launch::RootStep& step);
  Result<void> remount(const launch::RootStep& step);
  Result<UniqueFd> target_directory(const launch::RootStep& step);

  const launch::LaunchPlan& plan_;
  int root_;
  const Prepared& prepared_;
  int proc_;
  UniqueFd null_;   ///< the host's /dev/null, checked
  UniqueFd empty_;  ///< a read-only tmpfs that covers masked directories
};

/// A pseudo-terminal of the container's own devpts, its end mounted on
/// /dev/console.
struct Terminal {
  UniqueFd master, slave;
};
/// `relayed`: as launch::Options::relayed_terminal.
Result<Terminal> open_terminal(int root, bool relayed);
/// Bind-mounts the terminal on /dev/console of the root.
Result<void> mount_console(int root, const Terminal& terminal);

/// pivot_root(2) onto `root` and away with the old one; or with `no_pivot`
/// mount --move and chroot.
Result<void> pivot(int root, bool no_pivot);
/// After pivot(): the root's own flags and propagation.
Result<void> finish_root(const launch::LaunchPlan& plan);

}  // namespace compose::runtime::rootfs
