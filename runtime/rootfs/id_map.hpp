#pragma once
// Id-mapped mounts (config.md, "Mounts": uidMappings, gidMappings, idmap,
// ridmap; mount_setattr(2)).
//
// The kernel asks for rights over the file system itself, which the container's
// process may have given up with its user namespace, and for a user namespace
// that stands for the mapping. So the runtime makes these mounts beforehand,
// detached, and the container's process only puts them in place.
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "runtime/launch/plan.hpp"

namespace compose::runtime::rootfs {

struct MappedMount {
  const launch::RootStep* step = nullptr;
  UniqueFd tree;
};

/// The id-mapped mounts of the plan, in its order. /proc must be the one of
/// this process's pid namespace.
Result<std::vector<MappedMount>> make_mapped_mounts(const launch::LaunchPlan& plan);

/// The text for uid_map and gid_map: "inside outside count" a line.
std::string map_text(const std::vector<spec::IdMapping>& mappings);

}  // namespace compose::runtime::rootfs
