#pragma once
// Id-mapped mounts (config.md, "Mounts": uidMappings, gidMappings, idmap, ridmap; mount_setattr(2)).
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "runtime/spec/spec.hpp"

namespace compose::runtime::rootfs {

/// Maps the ids of mounts. The kernel takes a user namespace for a mapping: one is made for each mapping asked for,
/// with nobody in it. /proc must be the one of this process's pid namespace.
class IdMapper {
 public:
  /// `mount` is a detached copy; files of id containerID look as if they were hostID's, and the other way round.
  Result<void> map(int mount, const std::vector<spec::IdMapping>& uids, const std::vector<spec::IdMapping>& gids,
                   bool recursive);
  /// The same with the mappings of a user namespace that exists: the file below /proc, or a mount of it.
  static Result<void> map_as(int mount, const std::string& user_namespace, bool recursive);

 private:
  struct Known {
    std::string uids, gids;
    UniqueFd space;
  };
  std::vector<Known> known_;
};

/// The text for uid_map and gid_map: "inside outside count" a line.
std::string map_text(const std::vector<spec::IdMapping>& mappings);

/// The id outside that stands for `id` inside; nothing if it is not mapped.
std::optional<std::uint32_t> id_outside(const std::vector<spec::IdMapping>& mappings, std::uint32_t id);

}  // namespace compose::runtime::rootfs
