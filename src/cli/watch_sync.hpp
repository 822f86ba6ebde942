#pragma once
// Brings single files from the host into a container's file system, or takes away what is gone.
#include "base/error.hpp"
#include "cli/file_copy.hpp"

namespace compose::cli {

/// Makes `target` (absolute, in the container whose root folder is `root`) what `source` (absolute, on the host) is: a
/// file with its content, mode and time, a symbolic link, a folder (its content apart), or nothing when there is no
/// such source. Folders on the way are made. Symbolic links in the way are followed inside the container only
/// (openat2(2), RESOLVE_IN_ROOT). Everything made belongs to `owner`.
Result<void> sync_path(int root, const std::string& source, const std::string& target, const CopyOwner& owner);

/// Whether a regular file at `target` differs from the one at `source`: by size or time of change, or one is missing
/// or of another kind. Links are compared by what they say, folders by being there.
bool sync_differs(int root, const std::string& source, const std::string& target);

}  // namespace compose::cli
