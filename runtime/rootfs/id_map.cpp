#include "runtime/rootfs/id_map.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "sys/file.hpp"
#include "sys/process.hpp"

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

namespace compose::runtime::rootfs {
namespace {

/// A user namespace that nobody is in: it lives as long as the descriptor.
Result<UniqueFd> namespace_for(const std::string& uids, const std::string& gids) {
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
    TRY(sys::write_kernel_file(fmt::format("/proc/{}/uid_map", pid), uids).with("uidMappings"));
    TRY(sys::write_kernel_file(fmt::format("/proc/{}/gid_map", pid), gids).with("gidMappings"));
    UniqueFd fd{::open(fmt::format("/proc/{}/ns/user", pid).c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd.valid()) return os_error("open the user namespace");
    return fd;
  };
  auto result = open_mapped();
  (void)sys::send_signal(process.get(), SIGKILL);
  (void)sys::wait_child(static_cast<pid_t>(pid));
  return result;
}

Result<void> set_id_map(int mount, int user_namespace, bool recursive) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<std::uint64_t>(user_namespace);
  const unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U);
  if (::mount_setattr(mount, "", flags, &attributes, sizeof attributes) == 0) return {};
  if (errno == EINVAL) {
    return make_error(Errc::unsupported, "{} cannot map ids",
                      recursive ? "its file system, or one mounted below it," : "its file system");
  }
  return os_error("map ids");
}

}  // namespace

Result<void> IdMapper::map(int mount, const std::vector<spec::IdMapping>& uids,
                           const std::vector<spec::IdMapping>& gids, bool recursive) {
  const std::string uid_text = map_text(uids);
  const std::string gid_text = map_text(gids);
  auto found = std::ranges::find_if(
      known_, [&](const Known& known) { return known.uids == uid_text && known.gids == gid_text; });
  if (found == known_.end()) {
    TRY_ASSIGN(UniqueFd space, namespace_for(uid_text, gid_text));
    known_.push_back({uid_text, gid_text, std::move(space)});
    found = std::prev(known_.end());
  }
  return set_id_map(mount, found->space.get(), recursive);
}

Result<void> IdMapper::map_as(int mount, const std::string& user_namespace, bool recursive) {
  const UniqueFd space{::open(user_namespace.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!space.valid()) return os_error("open {}", user_namespace);
  return set_id_map(mount, space.get(), recursive);
}

std::string map_text(const std::vector<spec::IdMapping>& mappings) {
  std::string text;
  for (const auto& map : mappings) text += fmt::format("{} {} {}\n", map.container_id, map.host_id, map.size);
  return text;
}

std::optional<std::uint32_t> id_outside(const std::vector<spec::IdMapping>& mappings, std::uint32_t id) {
  for (const auto& map : mappings) {
    if (id >= map.container_id && id - map.container_id < map.size) return map.host_id + (id - map.container_id);
  }
  return std::nullopt;
}

}  // namespace compose::runtime::rootfs
