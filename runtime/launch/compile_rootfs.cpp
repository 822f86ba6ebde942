#include <sched.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "base/strings.hpp"
#include "runtime/launch/compile_parts.hpp"
#include "runtime/rootfs/mount_options.hpp"

namespace compose::runtime::launch {
namespace {

using Kind = RootStep::Kind;

/// Files of /proc that may be replaced: what lxcfs serves, and two that images
/// check. Anything else below /proc could divert the runtime's own writes there
/// (CVE-2019-16884, CVE-2025-52881).
bool may_mount_in_proc(std::string_view path) {
  static constexpr std::array<std::string_view, 14> kAllowed = {"/proc/cpuinfo",
                                                                "/proc/diskstats",
                                                                "/proc/meminfo",
                                                                "/proc/stat",
                                                                "/proc/swaps",
                                                                "/proc/uptime",
                                                                "/proc/loadavg",
                                                                "/proc/slabinfo",
                                                                "/proc/net/dev",
                                                                "/proc/sys/kernel/ns_last_pid",
                                                                "/proc/sys/crypto/fips_enabled",
                                                                "/proc/mdstat",
                                                                "/proc/pressure",
                                                                "/proc/config.gz"};
  return std::ranges::find(kAllowed, path) != kAllowed.end();
}

Result<RootStep> compile_mount(const spec::Mount& mount, const std::string& where, const LaunchPlan& plan) {
  const auto options = rootfs::parse_mount_options(mount.options);
  RootStep step;
  step.where = where;
  step.target = clean_path(mount.destination);
  step.type = mount.type;
  step.source = mount.source;
  step.data = options.data;
  step.attr_set = options.attr_set;
  step.attr_clear = options.attr_clear;
  step.recursive_attr_set = options.recursive_attr_set;
  step.recursive_attr_clear = options.recursive_attr_clear;
  step.superblock_flags = options.superblock_flags;
  step.propagation = options.propagation;
  step.recursive = options.recursive;
  step.copy_up = options.copy_up;
  step.uid_mappings = mount.uid_mappings;
  step.gid_mappings = mount.gid_mappings;
  step.recursive_id_map = options.recursive_id_map;
  if (options.id_map && step.uid_mappings.empty() && step.gid_mappings.empty()) {
    // Without mappings of its own the mount takes the container's.
    step.uid_mappings = plan.uid_mappings;
    step.gid_mappings = plan.gid_mappings;
    const auto joined = std::ranges::find(plan.join_namespaces, std::uint64_t{CLONE_NEWUSER}, &NamespacePath::flag);
    if (joined != plan.join_namespaces.end()) step.id_map_of = joined->path;
  }
  const bool has_none = step.uid_mappings.empty() && step.id_map_of.empty();
  if (step.uid_mappings.empty() != step.gid_mappings.empty() || (options.id_map && has_none)) {
    return make_error(Errc::invalid, "{}: an id-mapped mount needs mappings of uids and gids", where);
  }
  if (step.target == "/") return make_error(Errc::invalid, "{}: a mount cannot replace the root", where);
  if (step.target.starts_with("/proc/") && !may_mount_in_proc(step.target)) {
    return make_error(Errc::invalid, "{}: \"{}\" cannot be mounted because it is inside /proc", where, step.target);
  }
  if (options.remount) {
    step.kind = Kind::remount;
  } else if (options.bind || mount.type == "bind" || mount.type == "rbind") {
    step.kind = Kind::bind;
    if (step.source.empty()) return make_error(Errc::invalid, "{}: a bind mount needs a source", where);
  } else if (mount.type == "cgroup" || mount.type == "cgroup2") {
    step.kind = Kind::cgroup;
  } else if (mount.type.empty()) {
    return make_error(Errc::invalid, "{}: the mount has no type", where);
  }
  if (step.kind != Kind::bind && (!has_none || !step.gid_mappings.empty())) {
    return make_error(Errc::invalid, "{}: id mappings are for bind mounts", where);
  }
  if (step.target == "/proc" && step.kind != Kind::bind && mount.type != "proc") {
    return make_error(Errc::invalid, "{}: \"/proc\" can only be a proc file system, not {}", where, mount.type);
  }
  return step;
}

RootStep device_step(std::string path, std::string type, std::uint32_t major, std::uint32_t minor, std::string where) {
  RootStep step;
  step.kind = Kind::device;
  step.where = std::move(where);
  step.target = std::move(path);
  step.type = std::move(type);
  step.major = major;
  step.minor = minor;
  step.mode = 0666;
  return step;
}

RootStep link_step(const char* text, const char* target) {
  RootStep step;
  step.kind = Kind::symlink;
  step.where = "default links";
  step.source = text;
  step.target = target;
  return step;
}

/// config-linux.md, "Default Devices", and the links every Unix has in /dev
/// (runtime-linux.md).
void add_default_devices(LaunchPlan& plan, const spec::Linux& config) {
  struct Node {
    const char* path;
    std::uint32_t minor;
  };
  static constexpr Node kNodes[] = {
      {"/dev/null", 3}, {"/dev/zero", 5}, {"/dev/full", 7}, {"/dev/random", 8}, {"/dev/urandom", 9}};
  const auto asked_for = [&](std::string_view path) {
    return std::ranges::any_of(config.devices, [&](const auto& device) { return device.path == path; });
  };
  for (const auto& node : kNodes) {
    if (!asked_for(node.path)) plan.steps.push_back(device_step(node.path, "c", 1, node.minor, "default devices"));
  }
  if (!asked_for("/dev/tty")) plan.steps.push_back(device_step("/dev/tty", "c", 5, 0, "default devices"));
  plan.steps.push_back(link_step("/proc/self/fd", "/dev/fd"));
  plan.steps.push_back(link_step("/proc/self/fd/0", "/dev/stdin"));
  plan.steps.push_back(link_step("/proc/self/fd/1", "/dev/stdout"));
  plan.steps.push_back(link_step("/proc/self/fd/2", "/dev/stderr"));
  plan.steps.push_back(link_step("/proc/kcore", "/dev/core"));
  plan.steps.push_back(link_step("pts/ptmx", "/dev/ptmx"));
}

Result<void> add_devices(LaunchPlan& plan, const spec::Linux& config) {
  for (std::size_t i = 0; i < config.devices.size(); ++i) {
    const auto& device = config.devices[i];
    const std::string where = fmt::format("linux.devices[{}]", i);
    if (device.type.size() != 1 || std::string_view{"bcup"}.find(device.type) == std::string_view::npos) {
      return make_error(Errc::invalid, "{}: unknown type \"{}\"", where, device.type);
    }
    if (device.major < 0 || device.minor < 0 || device.major > 0xFFF || device.minor > 0xFFFFF) {
      return make_error(Errc::invalid, "{}: no such device number {}:{}", where, device.major, device.minor);
    }
    RootStep step =
        device_step(clean_path(device.path), device.type == "u" ? "c" : device.type,
                    static_cast<std::uint32_t>(device.major), static_cast<std::uint32_t>(device.minor), where);
    step.mode = device.file_mode.value_or(0666) & 07777;
    step.uid = device.uid.value_or(0);
    step.gid = device.gid.value_or(0);
    plan.steps.push_back(std::move(step));
  }
  return {};
}

void add_path_steps(LaunchPlan& plan, const std::vector<std::string>& paths, Kind kind, const char* where) {
  std::set<std::string> seen;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (!seen.insert(clean_path(paths[i])).second) continue;
    RootStep step;
    step.kind = kind;
    step.where = fmt::format("{}[{}]", where, i);
    step.target = clean_path(paths[i]);
    step.optional = true;
    plan.steps.push_back(std::move(step));
  }
}

/// What a container in the mount namespace of others cannot have: without
/// mounts of its own nothing can be hidden.
Result<void> check_shared_mounts(const CompileRequest& request, const LaunchPlan& plan) {
  const spec::Linux& config = request.spec.linux_;
  const char* member = plan.overlay                         ? "an overlay root"
                       : plan.readonly_root                 ? "root.readonly"
                       : !config.masked_paths.empty()       ? "linux.maskedPaths"
                       : !config.readonly_paths.empty()     ? "linux.readonlyPaths"
                       : !config.rootfs_propagation.empty() ? "linux.rootfsPropagation"
                       : plan.process.terminal              ? "process.terminal"
                       : request.init || request.resolver   ? "init"
                                                            : nullptr;
  if (member == nullptr) return {};
  return make_error(Errc::unsupported, "linux.namespaces: {} needs a mount namespace of the container's own", member);
}

}  // namespace

std::string clean_path(std::string_view path) {
  std::vector<std::string> parts;
  for (auto& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
      continue;
    }
    parts.push_back(std::move(part));
  }
  return "/" + join(parts, "/");
}

Result<void> compile_rootfs(const CompileRequest& request, LaunchPlan& plan) {
  const spec::Spec& spec = request.spec;
  plan.shared_mounts = (plan.create_namespaces & CLONE_NEWNS) == 0;
  if (plan.shared_mounts) return check_shared_mounts(request, plan);
  bool dev_is_bound = false;
  bool has_init_bind = false;
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
    TRY_ASSIGN(RootStep step, compile_mount(spec.mounts[i], fmt::format("mounts[{}]", i), plan));
    dev_is_bound = dev_is_bound || (step.kind == Kind::bind && step.target == "/dev");
    has_init_bind = has_init_bind || step.target == "/sbin/docker-init";
    plan.steps.push_back(std::move(step));
  }
  if (request.init && !has_init_bind) {
    RootStep step;
    step.kind = Kind::bind;
    step.where = "init";
    step.target = "/sbin/docker-init";
    step.attr_set = MOUNT_ATTR_RDONLY;
    plan.steps.push_back(std::move(step));
  }
  // The host's own /dev is not ours to fill.
  if (!dev_is_bound) {
    const auto dev = std::ranges::find_if(plan.steps, [](const RootStep& step) {
      return step.target == "/dev" && step.kind == Kind::filesystem && (step.attr_set & MOUNT_ATTR_RDONLY) != 0;
    });
    // One of its own becomes read-only when it has been filled.
    std::optional<RootStep> seal;
    if (dev != plan.steps.end()) {
      dev->attr_set &= ~std::uint64_t{MOUNT_ATTR_RDONLY};
      seal = RootStep{};
      seal->kind = Kind::remount;
      seal->type = "seal";  // the child puts the console in first
      seal->where = dev->where;
      seal->target = dev->target;
      seal->attr_set = MOUNT_ATTR_RDONLY;
    }
    TRY(add_devices(plan, spec.linux_));
    add_default_devices(plan, spec.linux_);
    if (seal) plan.steps.push_back(std::move(*seal));
  }
  add_path_steps(plan, spec.linux_.readonly_paths, Kind::readonly, "linux.readonlyPaths");
  add_path_steps(plan, spec.linux_.masked_paths, Kind::mask, "linux.maskedPaths");
  return {};
}

}  // namespace compose::runtime::launch
