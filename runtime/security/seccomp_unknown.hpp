#pragma once
#include <cstdint>
#include <string>

#include "runtime/spec/spec.hpp"

namespace compose::runtime::security {

/// Instructions (struct sock_filter[]) to run before the filter of `seccomp`, with the kernel's value of its default
/// action: system calls newer than any the profile names fail with ENOSYS, as on a kernel without them. C libraries try
/// a new call first and take the old one only after ENOSYS; EPERM from a profile that is older than they are ends them.
/// Empty when the default action lets calls through, or is ENOSYS itself. The rule is runc's.
std::string refuse_unknown_calls(const spec::Seccomp& seccomp, std::uint32_t default_action);

}  // namespace compose::runtime::security
