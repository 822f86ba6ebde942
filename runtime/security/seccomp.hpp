#pragma once
// From the specification's seccomp object (config-linux.md, "Seccomp") to the kernel's filter program.
#include <cstdint>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "runtime/spec/spec.hpp"

namespace compose::runtime::security {

struct Filter {
  std::string program;      ///< struct sock_filter[]
  std::uint32_t flags = 0;  ///< SECCOMP_FILTER_FLAG_*
};

/// Compiles with libseccomp; with a `cache_dir` the program is kept there under the hash of its input, so that the
/// next container with the same profile pays one small read. Errors: Errc::invalid for unknown actions, operators,
/// flags and architectures (system calls this machine does not have are skipped).
Result<Filter> compile_seccomp(const spec::Seccomp& seccomp, const std::string& cache_dir);

/// seccomp(2) SECCOMP_SET_MODE_FILTER. Gives the listener's descriptor when the flags ask for one, else -1.
Result<int> load_seccomp(const std::string& program, std::uint32_t flags);

/// libseccomp's SCMP_ARCH_* of the specification's name.
std::optional<std::uint32_t> architecture_of(const std::string& name);
/// The names our libseccomp knows, for `features`.
std::vector<std::string> seccomp_actions();
std::vector<std::string> seccomp_architectures();

}  // namespace compose::runtime::security
