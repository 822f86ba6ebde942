#pragma once
// The lock that makes one process the supervisor of a project, and how that process is started.
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "state/paths.hpp"
#include "sys/lock.hpp"

namespace compose::supervisor {

/// What a supervisor that answers writes to its ready descriptor; anything else there is the text of a failure.
inline constexpr const char* kReadyAnswer = "ready";

/// The project's lock if nobody has it. The lock file goes with the last supervisor, so a lock on a file that was
/// removed meanwhile does not count and is tried again on the new file. Makes the run directory.
Result<std::optional<sys::FileLock>> try_project_lock(const state::Paths& paths, const std::string& project);

/// `compose supervise --project … --root … --run-root …`
std::vector<std::string> supervise_arguments(const std::string& program, const state::Paths& paths,
                                             const std::string& project);

Result<UniqueFd> open_null();

}  // namespace compose::supervisor
