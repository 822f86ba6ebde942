#pragma once
// What a monitor leaves on disk for others.
#include <ctime>
#include <string>

#include "base/error.hpp"
#include "runtime/monitor/client.hpp"
#include "runtime/monitor/request.hpp"

namespace compose::runtime::monitor {

/// state.json and plan.bin in run_dir, by which compose-runtime finds the container. `plan` is request.plan serialized.
Result<void> write_container_state(const Request& request, std::string_view plan, pid_t pid, std::uint64_t start_time);

/// exit.json in state_dir, durable when it returns.
Result<void> write_exit_record(const Request& request, const Event& exit, const timespec& started,
                               const timespec& finished);

}  // namespace compose::runtime::monitor
