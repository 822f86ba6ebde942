#pragma once
// Volumes: <root>/volumes/<name>/{meta.json,_data}. A name's volume may be shared by projects, so each is changed
// under its own lock.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "compose/model/project.hpp"
#include "state/paths.hpp"
#include "state/records.hpp"

namespace compose::container {

struct VolumeInfo {
  std::string name;
  std::string driver = "local";
  std::map<std::string, std::string> driver_opts;
  std::map<std::string, std::string> labels;  ///< of the user, and com.docker.compose.{project,volume,…}
  std::string project;                        ///< "" = made by nobody's project
  std::string key;                            ///< in the project's `volumes`
  bool anonymous = false;
  std::string hash;  ///< plan::volume_hash
  state::Time created_at;
};

/// Makes the volume if it is not there. Errc::invalid: a name that is no volume name ([a-zA-Z0-9][a-zA-Z0-9_.-]+),
/// a driver other than local. An existing volume is left as it is and returned as it was made.
Result<VolumeInfo> ensure_volume(const state::Paths& paths, const VolumeInfo& wanted);
Result<std::optional<VolumeInfo>> find_volume(const state::Paths& paths, const std::string& name);
/// Sorted by name.
Result<std::vector<VolumeInfo>> list_volumes(const state::Paths& paths);
/// Removes it with its data; one that is not there is fine.
Result<void> remove_volume(const state::Paths& paths, const std::string& name);

/// The volume of the project's `volumes` with Docker Compose's labels.
VolumeInfo project_volume(const model::Project& project, const std::string& key);

}  // namespace compose::container
