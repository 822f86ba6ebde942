#include <sched.h>

#include <algorithm>
#include <array>

#include "runtime/launch/compile_parts.hpp"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace compose::runtime::launch {
namespace {

std::uint64_t namespace_flag(std::string_view type) {
  static constexpr std::array<std::pair<std::string_view, std::uint64_t>, 8> kTypes = {{{"mount", CLONE_NEWNS},
                                                                                        {"pid", CLONE_NEWPID},
                                                                                        {"network", CLONE_NEWNET},
                                                                                        {"ipc", CLONE_NEWIPC},
                                                                                        {"uts", CLONE_NEWUTS},
                                                                                        {"user", CLONE_NEWUSER},
                                                                                        {"cgroup", CLONE_NEWCGROUP},
                                                                                        {"time", CLONE_NEWTIME}}};
  for (const auto& [name, flag] : kTypes) {
    if (name == type) return flag;
  }
  return 0;
}

bool is_ipc_sysctl(std::string_view name) {
  static constexpr std::array<std::string_view, 8> kNames = {"kernel.msgmax", "kernel.msgmnb",         "kernel.msgmni",
                                                             "kernel.sem",    "kernel.shmall",         "kernel.shmmax",
                                                             "kernel.shmmni", "kernel.shm_rmid_forced"};
  return name.starts_with("fs.mqueue.") || std::ranges::find(kNames, name) != kNames.end();
}

/// "net.ipv4.conf.eth0/1.forwarding" → "net/ipv4/conf/eth0.1/forwarding": dots and slashes trade places when the
/// first separator is a dot (sysctl.d(5)).
std::string sysctl_path(std::string name) {
  const auto first = name.find_first_of("./");
  if (first == std::string::npos || name[first] == '/') return name;
  for (char& c : name) {
    if (c == '.') {
      c = '/';
    } else if (c == '/') {
      c = '.';
    }
  }
  return name;
}

}  // namespace

Result<void> compile_namespaces(const spec::Linux& config, LaunchPlan& plan) {
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < config.namespaces.size(); ++i) {
    const auto& entry = config.namespaces[i];
    const std::uint64_t flag = namespace_flag(entry.type);
    if (flag == 0) return make_error(Errc::invalid, "linux.namespaces[{}]: unknown type \"{}\"", i, entry.type);
    if ((seen & flag) != 0) return make_error(Errc::invalid, "linux.namespaces[{}]: \"{}\" twice", i, entry.type);
    seen |= flag;
    if (entry.path.empty()) {
      plan.create_namespaces |= flag;
    } else if (!entry.path.starts_with('/')) {
      return make_error(Errc::invalid, "linux.namespaces[{}]: \"{}\" is not an absolute path", i, entry.path);
    } else {
      plan.join_namespaces.push_back({flag, entry.path});
    }
  }
  const bool new_user = (plan.create_namespaces & CLONE_NEWUSER) != 0;
  if (new_user && (config.uid_mappings.empty() || config.gid_mappings.empty())) {
    return make_error(Errc::invalid, "linux.uidMappings: a user namespace needs mappings of uids and gids");
  }
  if (!new_user && (seen & CLONE_NEWUSER) == 0 && !(config.uid_mappings.empty() && config.gid_mappings.empty())) {
    return make_error(Errc::invalid, "linux.uidMappings: mappings need a user namespace");
  }
  if (new_user) {
    plan.uid_mappings = config.uid_mappings;
    plan.gid_mappings = config.gid_mappings;
  }
  if (!config.time_offsets.empty() && (plan.create_namespaces & CLONE_NEWTIME) == 0) {
    return make_error(Errc::invalid, "linux.timeOffsets: offsets need a new time namespace");
  }
  for (const auto& [clock, offset] : config.time_offsets) {
    if (clock != "monotonic" && clock != "boottime") {
      return make_error(Errc::invalid, "linux.timeOffsets: no clock \"{}\"", clock);
    }
    plan.time_offsets += fmt::format("{} {} {}\n", clock, offset.secs, offset.nanosecs);
  }
  return {};
}

Result<void> compile_sysctls(const spec::Spec& spec, LaunchPlan& plan) {
  std::uint64_t owned = plan.create_namespaces;
  for (const auto& joined : plan.join_namespaces) owned |= joined.flag;
  for (const auto& [name, value] : spec.linux_.sysctl) {
    const std::string path = sysctl_path(name);
    std::string dotted = path;
    std::ranges::replace(dotted, '/', '.');
    std::uint64_t needed = 0;
    if (dotted.starts_with("net.")) {
      needed = CLONE_NEWNET;
    } else if (is_ipc_sysctl(dotted)) {
      needed = CLONE_NEWIPC;
    } else if (dotted == "kernel.domainname" || dotted == "kernel.hostname") {
      needed = CLONE_NEWUTS;
    }
    const bool climbs = ("/" + path + "/").find("/../") != std::string::npos || path.starts_with('/');
    if (needed == 0 || climbs) {
      return make_error(Errc::invalid, "linux.sysctl: \"{}\" is not in a separate kernel namespace", name);
    }
    if ((owned & needed) == 0) {
      return make_error(Errc::invalid, "linux.sysctl: \"{}\" is not allowed in the host's {} namespace", name,
                        needed == CLONE_NEWNET   ? "network"
                        : needed == CLONE_NEWIPC ? "ipc"
                                                 : "uts");
    }
    if (dotted == "kernel.hostname" || (dotted == "kernel.domainname" && !spec.domainname.empty() && value != spec.domainname)) {
      return make_error(Errc::invalid, "linux.sysctl: \"{}\" is what the member {} is for", name, dotted.substr(7));
    }
    plan.sysctls.emplace_back(path, value);
  }
  return {};
}

}  // namespace compose::runtime::launch
