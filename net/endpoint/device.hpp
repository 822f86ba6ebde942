#pragma once
// Network devices of the host that a container takes over (linux.netDevices of the runtime specification).
#include <span>
#include <string>
#include <utility>

#include "base/error.hpp"

namespace compose::net::endpoint {

/// Moves devices from the current network namespace into the one at `netns` (a path such as /proc/PID/ns/net), each
/// under its new name (which may end with "%d": the next free number), keeps their addresses of global scope, and
/// brings them up there. The caller is single-threaded: it visits the other namespace for a moment.
/// Errors: not_found (no such device), exists (the name is taken there), invalid (the namespace is the current one).
Result<void> move_devices(std::span<const std::pair<std::string, std::string>> devices, const std::string& netns);

}  // namespace compose::net::endpoint
