#pragma once
// The pieces of compile(), one file each.
#include "runtime/launch/plan.hpp"

namespace compose::runtime::launch {

/// Mounts, default devices and links, masked and read-only paths: fills plan.steps.
Result<void> compile_rootfs(const CompileRequest& request, LaunchPlan& plan);
/// Namespaces, id mappings, time offsets.
Result<void> compile_namespaces(const spec::Linux& config, LaunchPlan& plan);
/// Only sysctls that belong to a namespace of the container's own.
Result<void> compile_sysctls(const spec::Spec& spec, LaunchPlan& plan);
/// Scheduler, I/O priority and the CPUs of later processes.
Result<void> compile_scheduling(const spec::Process& process, ProcessPlan& plan);
Result<void> compile_memory_policy(const spec::Linux& config, ProcessPlan& plan);
/// Devices of the host's network that move in; they need a network namespace other than the host's.
Result<void> compile_net_devices(const spec::Linux& config, LaunchPlan& plan);
/// "0-2,5" → bits 0, 1, 2 and 5, in words of 64; nothing if it is no such list or names a bit from `limit` on.
std::optional<std::vector<std::uint64_t>> parse_bit_list(std::string_view list, std::size_t limit);
/// An absolute path without ".", ".." and doubled slashes; ".." at the top is dropped, as under chroot(2).
std::string clean_path(std::string_view path);

}  // namespace compose::runtime::launch
