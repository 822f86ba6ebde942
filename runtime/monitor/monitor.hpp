#pragma once
// One container's keeper: its parent, the owner of its output, its log and its exit record. Mechanism only; what to do
// about an exit is the supervisor's business.
#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::runtime::monitor {

/// Starts the container of the request in `request` (a memfd) and keeps it; `supervisor` is the socket to whoever
/// spawned us. Returns the exit status of the monitor process when all is told.
int run_monitor(UniqueFd request, UniqueFd supervisor);

}  // namespace compose::runtime::monitor
