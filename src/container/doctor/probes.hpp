#pragma once
// The single checks of doctor.hpp.
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "container/doctor/doctor.hpp"

namespace compose::container::doctor {

Check ok(std::string name, std::string detail);
Check warning(std::string name, std::string detail, std::string remedy);
Check missing(std::string name, std::string detail, std::string remedy);

/// Runs `attempt` on a thread of its own, whose namespaces (CLONE_NEW… flags of unshare(2)) end with it. The error of
/// unshare is returned without running it.
Result<void> in_own_namespaces(int flags, const std::function<Result<void>()>& attempt);

Check check_kernel_calls();
Check check_capabilities();
Check check_namespaces();
Check check_overlay(const state::Paths& paths);
Check check_seccomp();
std::vector<Check> check_cgroups();
Check check_bridge();
Check check_firewall();
Check check_resolver();
Check check_programs();
std::vector<Check> check_folders(const state::Paths& paths);
Check check_limits();

}  // namespace compose::container::doctor
