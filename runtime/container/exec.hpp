#pragma once
// A further process in a running container.
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "runtime/container/container.hpp"
#include "runtime/launch/launch.hpp"
#include "runtime/launch/plan.hpp"

namespace compose::runtime::container {

struct ExecOptions {
  launch::Stdio stdio;
  int preserve_fds = 0;
  bool relayed_terminal = false;  ///< as launch::Options::relayed_terminal
  bool die_with_us = true;     ///< the process is killed when this one ends (not for --detach)
  bool shared_mounts = false;  ///< the container has no mount namespace of its own (LaunchPlan::shared_mounts)
  std::optional<std::pair<std::uint32_t, std::uint32_t>> owner;  ///< the container's root in its user namespace, to us
  /// Groups below the container's, each for these controllers (none: all); the container's own otherwise.
  std::vector<std::pair<std::vector<std::string>, std::string>> cgroups;
};

/// A process on its way into the container.
struct ExecProcess {
  pid_t pid = 0;
  UniqueFd pidfd, sync;

  struct Outcome {
    UniqueFd terminal;                       ///< the master, if the process has one
    std::optional<launch::Failure> failure;  ///< it could not be run
  };
  /// Waits until its program runs or has failed to. `container` is the container's plan: if its filter has a listener,
  /// that gets this process's descriptor too.
  Result<Outcome> wait_started(const launch::LaunchPlan& container);
};

/// Joins the container's namespaces and control groups and becomes the process. The caller is single-threaded; its own
/// children enter the container's pid namespace from now on.
Result<ExecProcess> exec_in(const Container& container, const launch::ProcessPlan& process, const ExecOptions& options);

}  // namespace compose::runtime::container
