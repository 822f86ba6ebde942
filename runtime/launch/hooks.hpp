#pragma once
// The state of a container as JSON, and the programs that get it on standard input (config.md, "POSIX-platform Hooks").
#include <sys/types.h>

#include <string>
#include <vector>

#include "base/error.hpp"
#include "runtime/launch/plan.hpp"

namespace compose::runtime::launch {

/// A text as a JSON string, with its quotes. Bytes that are not UTF-8 pass as they are.
std::string json_string(std::string_view text);

/// The specification's state object (runtime.md, "State"); `status` is creating, created, running or stopped.
std::string state_json(const LaunchPlan& plan, const std::string& status, pid_t pid);

/// Runs the hooks one after the other; the first that fails or takes too long ends it. `name` is for the error.
Result<void> run_hooks(const std::vector<HookPlan>& hooks, const std::string& state, const char* name);
/// The same for poststart and poststop: all of them run, and what fails is a warning on standard error (runtime.md,
/// "Lifecycle").
void run_all_hooks(const std::vector<HookPlan>& hooks, const std::string& state, const char* name);

}  // namespace compose::runtime::launch
