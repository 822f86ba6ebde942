#pragma once
// The directory of one container below the runtime's root: state.json (for people and other programs) and plan.bin (the
// launch plan, so that exec needs neither the bundle nor a JSON parser for the container's rights and filter).
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "runtime/launch/plan.hpp"

namespace compose::runtime::container {

struct Identity {
  pid_t pid = 0;
  std::uint64_t start_time = 0;  ///< field 22 of /proc/PID/stat: with the pid it names the process for ever
  std::string owner;             ///< who keeps it: "compose" (a monitor) or "compose-runtime"
  std::string project;
};

/// Writes both files into `directory`, which exists; `serialized` is launch::serialize(plan), which may be at hand.
Result<void> save(const std::string& directory, const launch::LaunchPlan& plan, std::string_view serialized,
                  const Identity& identity);

}  // namespace compose::runtime::container
