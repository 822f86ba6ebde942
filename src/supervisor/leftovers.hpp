#pragma once
#include <string>

#include "state/paths.hpp"

namespace compose::supervisor {

/// Removes what killed processes left half-written (sys::write_file_atomic: "NAME.tmp-PID-NUMBER") where this project's
/// supervisor and the host's shared network files are; files of processes that live are left alone.
void remove_half_written(const state::Paths& paths, const std::string& project);
/// The same for one container alone.
void remove_half_written(const state::Paths& paths, const std::string& project, const std::string& id);

}  // namespace compose::supervisor
