#pragma once
// <root>/projects/<p>/left-volumes.json: the anonymous volumes of containers that were removed to make room for the
// next one at their place, until that has them. Only their records know whose they are: a crash in between must not
// lose them.
#include <map>
#include <string>
#include <vector>

#include "state/paths.hpp"
#include "state/records.hpp"

namespace compose::state {

using VolumesByTarget = std::map<std::string, std::string>;  ///< path in the container -> name of the volume

/// What the last container at this place of the service left; empty: nothing, or somebody has it.
/// Errc::corrupt, or Errc::unsupported for the file of a newer version.
Result<VolumesByTarget> left_volumes(const Paths& paths, const std::string& project, const std::string& service,
                                     int number);
/// Notes it, or with nothing in `volumes` that it has been taken. The last one takes the file away.
Result<void> leave_volumes(const Paths& paths, const std::string& project, const std::string& service, int number,
                           const VolumesByTarget& volumes);
/// The names of all that are noted.
Result<std::vector<std::string>> all_left_volumes(const Paths& paths, const std::string& project);
void forget_left_volumes(const Paths& paths, const std::string& project);

}  // namespace compose::state
