#pragma once
// Docker's seccomp profiles: rules that apply only with some capabilities, architectures or kernels.
#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "runtime/spec/spec.hpp"

namespace compose::container {

struct SeccompConditions {
  std::vector<std::string> capabilities;  ///< of the container's bounding set
  std::string architecture;               ///< GOARCH
  int kernel_major = 0, kernel_minor = 0;
  auto operator<=>(const SeccompConditions&) const = default;
};

/// Docker's default profile (github.com/moby/profiles, seccomp v0.2.3), as data.
std::string_view default_seccomp_profile();

/// The rules of a profile in Docker's form (`archMap`, `includes`, `excludes`) or in the OCI form that hold under these
/// conditions. Errc::invalid when the text is no profile.
Result<runtime::spec::Seccomp> resolve_seccomp(std::string_view profile, const SeccompConditions& conditions);

/// The same for the default profile, which nearly all containers have under the same few conditions: it is read once
/// for each of them. Can be called from any thread.
Result<runtime::spec::Seccomp> resolve_default_seccomp(const SeccompConditions& conditions);

}  // namespace compose::container
