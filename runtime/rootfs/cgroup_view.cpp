// What a container sees under /sys/fs/cgroup: its own groups and nothing above them.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.hpp"
#include "runtime/rootfs/mount_calls.hpp"
#include "runtime/rootfs/mounts.hpp"
#include "sys/user_namespace.hpp"

namespace compose::runtime::rootfs {
namespace {

using cgroup::Hierarchy;
using cgroup::Version;
using launch::RootStep;

bool of_another_user(const launch::LaunchPlan& plan) {
  return (plan.create_namespaces & CLONE_NEWUSER) != 0 || joins_user_namespace(plan) ||
         !sys::in_initial_user_namespace();
}

/// One hierarchy, detached: a bind of the container's directory, which a cgroup namespace of the container shows as the
/// root that it is there (cgroup_namespaces(7)). The root of a user namespace may have no way to that directory: there
/// it is a mount of its own. Such a mount takes the lock that all hierarchies share, and a file system of the kernel's
/// each, so it is not the rule.
Result<UniqueFd> hierarchy_mount(const launch::LaunchPlan& plan, const Hierarchy& hierarchy, std::uint64_t attributes) {
  const bool own_namespace = (plan.create_namespaces & CLONE_NEWCGROUP) != 0;
  if (!own_namespace || !plan.use_cgroup || !of_another_user(plan)) {
    const std::string directory = hierarchy.mount_point + (plan.use_cgroup ? plan.cgroup.path : hierarchy.own_path);
    TRY_ASSIGN(UniqueFd tree, clone_mount(AT_FDCWD, directory, false));
    TRY(set_mount_attributes(tree.get(), attributes, 0, false, MS_PRIVATE));
    return tree;
  }
  TRY_ASSIGN(NewFilesystem system, NewFilesystem::open(hierarchy.version == Version::v2 ? "cgroup2" : "cgroup"));
  TRY(system.source("cgroup"));
  if (hierarchy.version == Version::v1) {
    bool named = false;
    for (const auto& controller : hierarchy.controllers) {
      TRY(system.option(controller));
      named = named || controller.starts_with("name=");
    }
    if (named) TRY(system.option("none"));
  }
  return system.mount(attributes);
}

Result<void> mount_in(int parent, const char* name, const UniqueFd& mount) {
  if (::mkdirat(parent, name, 0755) != 0 && errno != EEXIST) return os_error("mkdir {}", name);
  // By name: nobody else has this directory.
  if (::move_mount(mount.get(), "", parent, name, MOVE_MOUNT_F_EMPTY_PATH) != 0) return os_error("move_mount {}", name);
  return {};
}

}  // namespace

Result<void> StepRunner::cgroups(const RootStep& step) {
  TRY_ASSIGN(const UniqueFd target, target_directory(step));
  if (plan_.layout.pure_v2()) {
    TRY_ASSIGN(const UniqueFd mount, hierarchy_mount(plan_, plan_.layout.hierarchies.front(), step.attr_set));
    if (step.propagation != 0) TRY(set_mount_propagation(mount.get(), step.propagation));
    return attach_mount(mount.get(), target.get());
  }
  TRY_ASSIGN(NewFilesystem system, NewFilesystem::open("tmpfs"));
  TRY(system.source("tmpfs"));
  TRY(system.option("mode=755"));
  TRY_ASSIGN(const UniqueFd base, system.mount(step.attr_set & ~std::uint64_t{MOUNT_ATTR_RDONLY}));
  // A detached tree takes no mounts on kernels before 6.15: attach it first.
  TRY(attach_mount(base.get(), target.get()));
  for (const auto& hierarchy : plan_.layout.hierarchies) {
    const std::string name = hierarchy.mount_point.substr(hierarchy.mount_point.rfind('/') + 1);
    TRY_ASSIGN(const UniqueFd mount, hierarchy_mount(plan_, hierarchy, step.attr_set));
    TRY(mount_in(base.get(), name.c_str(), mount));
    if (hierarchy.controllers.size() < 2 || hierarchy.version == Version::v2) continue;
    for (const auto& controller : hierarchy.controllers) {
      // "cpu" and "cpuacct" beside "cpu,cpuacct"
      if (controller != name && ::symlinkat(name.c_str(), base.get(), controller.c_str()) != 0 && errno != EEXIST) {
        return os_error("link {}", controller);
      }
    }
  }
  if (step.propagation != 0) TRY(set_mount_propagation(base.get(), step.propagation));
  return set_mount_attributes(base.get(), step.attr_set, 0, false);
}

}  // namespace compose::runtime::rootfs
