#pragma once
// Volumes that exist with other options than the files ask for now.
#include "base/error.hpp"
#include "cli/context.hpp"

namespace compose::cli {

/// For each such volume of the project: asks whether to make it anew, its data lost (`yes` answers for the user), and
/// then removes the containers that use it and the volume; the `up` or `create` that follows makes them again. Without
/// an answer (no terminal) it is kept, and the supervisor warns.
Result<void> replace_changed_volumes(Context& context, const model::Project& project, bool yes);

}  // namespace compose::cli
