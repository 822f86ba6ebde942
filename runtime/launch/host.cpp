#include <unistd.h>

#include "base/strings.hpp"
#include "runtime/launch/plan.hpp"
#include "runtime/security/capabilities.hpp"
#include "sys/file.hpp"
#include "sys/program.hpp"
#include "sys/user_namespace.hpp"

namespace compose::runtime::launch {

Result<HostFacts> probe_host() {
  HostFacts facts;
  TRY_ASSIGN(facts.cgroups, cgroup::detect_layout());
  facts.capabilities = security::own_bounding();
  if (const auto last = sys::read_file("/proc/sys/kernel/cap_last_cap", 64)) {
    facts.last_capability = static_cast<int>(parse_unsigned(trim(*last)).value_or(40));
  }
  if (const auto enabled = sys::read_file("/sys/module/apparmor/parameters/enabled", 16)) {
    // The module may be built in without its file system being there: then no profile can be loaded either.
    facts.apparmor = trim(*enabled) == "Y" && sys::exists("/sys/kernel/security/apparmor");
  }
  facts.selinux = sys::exists("/sys/fs/selinux/enforce");
  facts.rootless = !sys::in_initial_user_namespace();
  facts.cgroup_writable = !facts.cgroups.hierarchies.empty();
  for (const auto& hierarchy : facts.cgroups.hierarchies) {
    facts.cgroup_writable = facts.cgroup_writable && ::access(hierarchy.mount_point.c_str(), W_OK) == 0;
  }
  if (auto program = sys::program_path("compose-init")) facts.init_program = std::move(*program);
  return facts;
}

}  // namespace compose::runtime::launch
