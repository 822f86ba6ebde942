#include "runtime/rootfs/id_map.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/rootfs/mount_calls.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::runtime::rootfs {
namespace {

using launch::RootStep;

/// A user namespace that nobody is in: it lives as long as the descriptor.
Result<UniqueFd> namespace_for(const RootStep& step) {
  clone_args arguments{};
  int pidfd = -1;
  arguments.flags = CLONE_NEWUSER | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);  // NOLINT: clone3(2)
  arguments.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) return os_error("create a user namespace");
  if (pid == 0) {
    for (;;) ::pause();
  }
  const UniqueFd process{pidfd};
  const auto open_mapped = [&]() -> Result<UniqueFd> {
    TRY(sys::write_kernel_file(fmt::format("/proc/{}/uid_map", pid), map_text(step.uid_mappings)).with("uidMappings"));
    TRY(sys::write_kernel_file(fmt::format("/proc/{}/gid_map", pid), map_text(step.gid_mappings)).with("gidMappings"));
    UniqueFd fd{::open(fmt::format("/proc/{}/ns/user", pid).c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd.valid()) return os_error("open the user namespace");
    return fd;
  };
  auto result = open_mapped();
  (void)sys::send_signal(process.get(), SIGKILL);
  (void)sys::wait_child(static_cast<pid_t>(pid));
  return result;
}

Result<UniqueFd> make_mapped_mount(const RootStep& step) {
  TRY_ASSIGN(UniqueFd tree, clone_mount(AT_FDCWD, step.source, step.recursive, step.no_follow).with("bind source"));
  TRY_ASSIGN(const UniqueFd space, namespace_for(step));
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<std::uint64_t>(space.get());
  const unsigned flags = AT_EMPTY_PATH | (step.recursive_id_map ? AT_RECURSIVE : 0U);
  if (::mount_setattr(tree.get(), "", flags, &attributes, sizeof attributes) != 0) {
    return os_error("map the ids of {}", step.source);
  }
  return tree;
}

}  // namespace

std::string map_text(const std::vector<spec::IdMapping>& mappings) {
  std::string text;
  for (const auto& map : mappings) text += fmt::format("{} {} {}\n", map.container_id, map.host_id, map.size);
  return text;
}

Result<std::vector<MappedMount>> make_mapped_mounts(const launch::LaunchPlan& plan) {
  std::vector<MappedMount> mounts;
  for (const auto& step : plan.steps) {
    if (step.uid_mappings.empty()) continue;
    TRY_ASSIGN(UniqueFd tree, make_mapped_mount(step).with("mount \"{}\" ({})", step.target, step.where));
    mounts.push_back({&step, std::move(tree)});
  }
  return mounts;
}

}  // namespace compose::runtime::rootfs
