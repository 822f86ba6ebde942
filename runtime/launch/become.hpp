#pragma once
// The last stretch of a start and of an exec: from a privileged process inside the container's namespaces to the
// container's program.
#include <functional>

#include "runtime/launch/launch.hpp"
#include "runtime/launch/plan.hpp"

namespace compose::runtime::launch {

/// What may still be told or asked on the way.
struct BecomeHooks {
  int sync = -1;  ///< for Failure and kExec; becomes close-on-exec
  int preserve_fds = 0;
  bool new_keyring = true;
  bool die_with_parent = false;
  std::string keyring_name;
  /// Runs when all is checked, with full rights (wait for start, hooks); it gets the program's environment.
  std::function<Result<void>(const std::vector<std::string>& env)> before_drop;
  int label_fd = -1;  ///< where the security label goes: a file of the host's proc, opened before pivot_root
};

/// Does not return when it works. The calling process is already rooted in the container.
Failure become(const ProcessPlan& plan, const BecomeHooks& hooks);

/// Sends the failure on the sync socket and ends the process.
[[noreturn]] void fail(int sync, const Failure& failure);

/// Signal dispositions and mask as a new program expects them.
void reset_signals();
/// Closes everything from `first` on except `keep` (which need not be sorted).
void close_other_fds(int first, std::vector<int> keep);
/// All CPUs that the control group allows: those of the runtime's caller are not the container's business.
void reset_affinity();
/// Bit i stands for CPU i.
Result<void> set_affinity(const std::vector<std::uint64_t>& cpus);
/// Moves `fds` to 0, 1 and 2.
Result<void> place_stdio(int input, int output, int error);

}  // namespace compose::runtime::launch
