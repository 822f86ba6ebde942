#pragma once
// Mounts that the runtime makes before the container's process is there.
//
// With its user namespace that process gives up what some mounts need: rights over the file system whose ids are
// mapped, over the folders that lead to a bind's source, over device numbers, over an overlay's layers. So these are
// made beforehand, detached, and the process only puts them in place.
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "runtime/launch/plan.hpp"

namespace compose::runtime::rootfs {

struct PreparedMount {
  const launch::RootStep* step = nullptr;
  UniqueFd tree;
};

struct Prepared {
  UniqueFd root;  ///< detached; invalid: the container mounts its root itself
  std::vector<PreparedMount> mounts;

  const PreparedMount* find(const launch::RootStep& step) const;
};

/// Is there an existing user namespace that the container joins?
bool joins_user_namespace(const launch::LaunchPlan& plan);

/// The id-mapped mounts of the plan; for a container in a new user namespace, as far as the caller has the rights,
/// also its other binds, its device nodes and its root. An overlay's layers are id-mapped then: on disk, files keep
/// the ids that they have inside.
Result<Prepared> prepare_mounts(const launch::LaunchPlan& plan);

/// The overlay of the plan at `target`, an empty directory.
Result<void> mount_overlay(const launch::Overlay& overlay, const std::string& target);

}  // namespace compose::runtime::rootfs
