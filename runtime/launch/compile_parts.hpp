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
/// An absolute path without ".", ".." and doubled slashes; ".." at the top is dropped, as under chroot(2).
std::string clean_path(std::string_view path);

}  // namespace compose::runtime::launch
