#pragma once
// The parts make_spec is put together from.
#include <string>
#include <vector>

#include "container/spec.hpp"

namespace compose::container {

/// Docker's mounts of every container, less those a mount of the user replaces; then the user's, parents first.
std::vector<runtime::spec::Mount> spec_mounts(const SpecInput& input);

/// Options of a tmpfs: Docker's defaults with `given` ("size=64m,exec") over them, the last of a kind winning.
std::vector<std::string> tmpfs_options(const std::string& given);

/// Control group limits and device rules.
Result<runtime::spec::Resources> spec_resources(const SpecInput& input, const HostInfo& host);

/// Nodes for `devices`, and for a privileged container every node of the host.
Result<std::vector<runtime::spec::Device>> spec_devices(const SpecInput& input, const HostInfo& host);

Result<std::vector<runtime::spec::Rlimit>> spec_rlimits(const model::Service& service);

/// What `security_opt` says.
struct SecurityOptions {
  bool no_new_privileges = false;
  bool seccomp_unconfined = false;
  std::string seccomp_file;  ///< path of a profile
  std::string apparmor;
  bool label_disable = false;
  std::string label_user, label_role, label_type, label_level;
  bool system_paths_unconfined = false;
  bool writable_cgroups = false;
};
/// Errc::invalid names an option we do not know.
Result<SecurityOptions> security_options(const model::Service& service);

}  // namespace compose::container
