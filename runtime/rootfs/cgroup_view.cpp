// What a container sees under /sys/fs/cgroup: its own groups and nothing above them.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.hpp"
#include "runtime/rootfs/mount_calls.hpp"
#include "runtime/rootfs/mounts.hpp"

namespace compose::runtime::rootfs {
namespace {

using cgroup::Hierarchy;
using cgroup::Version;
using launch::RootStep;

/// One hierarchy, detached: with a cgroup namespace a mount of its own, whose top is the namespace's root; without one
/// a bind of the container's directory.
Result<UniqueFd> hierarchy_mount(const launch::LaunchPlan& plan, const Hierarchy& hierarchy, std::uint64_t attributes) {
  const bool own_namespace = (plan.create_namespaces & CLONE_NEWCGROUP) != 0;
  if (!own_namespace || !plan.use_cgroup) {
    const std::string directory = hierarchy.mount_point + (plan.use_cgroup ? plan.cgroup.path : hierarchy.own_path);
    TRY_ASSIGN(UniqueFd tree, clone_mount(AT_FDCWD, directory, false));
    TRY(set_mount_attributes(tree.get(), attributes, 0, false));
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
  const UniqueFd target{::openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!target.valid()) return os_error("open {}", name);
  return attach_mount(mount.get(), target.get()).with("{}", name);
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
