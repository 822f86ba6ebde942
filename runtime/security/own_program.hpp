#pragma once
// Programs of ours that end up inside a container's namespaces before they are replaced.
#include <string>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::runtime::security {

/// A descriptor of `program` through a mount of its own that is read-only (or, where mounts are not to be had, a sealed
/// copy in memory). Run from there as /proc/self/fd/N, the program's file cannot be opened for writing through
/// /proc/PID/exe by anybody inside (CVE-2019-5736); nothing is copied and the page cache is shared.
Result<UniqueFd> read_only_program(const std::string& program);

/// Whether this process runs from such a place already.
bool runs_protected();

}  // namespace compose::runtime::security
