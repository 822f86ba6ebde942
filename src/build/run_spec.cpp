// The config.json of a RUN step: Docker's defaults for build containers.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "build/run.hpp"
#include "runtime/spec/spec.hpp"

namespace compose::build {

namespace {

namespace spec = runtime::spec;

constexpr std::int64_t kShmSize = std::int64_t{64} << 20;

// moby daemon/pkg/oci/caps/defaults.go
const std::vector<std::string>& default_capabilities() {
  static const std::vector<std::string> kNames = {
      "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
      "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
      "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
      "CAP_KILL",    "CAP_AUDIT_WRITE"};
  return kNames;
}

std::vector<std::string> all_capabilities() {
  static const char* const kOthers[] = {"CAP_DAC_READ_SEARCH",
                                        "CAP_LINUX_IMMUTABLE",
                                        "CAP_NET_BROADCAST",
                                        "CAP_NET_ADMIN",
                                        "CAP_IPC_LOCK",
                                        "CAP_IPC_OWNER",
                                        "CAP_SYS_MODULE",
                                        "CAP_SYS_RAWIO",
                                        "CAP_SYS_PTRACE",
                                        "CAP_SYS_PACCT",
                                        "CAP_SYS_ADMIN",
                                        "CAP_SYS_BOOT",
                                        "CAP_SYS_NICE",
                                        "CAP_SYS_RESOURCE",
                                        "CAP_SYS_TIME",
                                        "CAP_SYS_TTY_CONFIG",
                                        "CAP_LEASE",
                                        "CAP_AUDIT_CONTROL",
                                        "CAP_MAC_OVERRIDE",
                                        "CAP_MAC_ADMIN",
                                        "CAP_SYSLOG",
                                        "CAP_WAKE_ALARM",
                                        "CAP_BLOCK_SUSPEND",
                                        "CAP_AUDIT_READ",
                                        "CAP_PERFMON",
                                        "CAP_BPF",
                                        "CAP_CHECKPOINT_RESTORE"};
  std::vector<std::string> names = default_capabilities();
  names.insert(names.end(), std::begin(kOthers), std::end(kOthers));
  return names;
}

std::vector<spec::Mount> default_mounts(const RunRequest& request) {
  const std::int64_t shm = request.shm_size.value_or(kShmSize);
  const std::string sys_mode = request.privileged ? "rw" : "ro";
  return {
      {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}, {}, {}},
      {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}, {}, {}},
      {"/dev/pts",
       "devpts",
       "devpts",
       {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"},
       {},
       {}},
      {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", sys_mode}, {}, {}},
      {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}, {}, {}},
      {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", fmt::format("size={}", shm)}, {}, {}},
      {"/etc/resolv.conf", "bind", request.workspace + "/resolv.conf", {"rbind", "ro"}, {}, {}},
      {"/etc/hosts", "bind", request.workspace + "/hosts", {"rbind", "ro"}, {}, {}},
  };
}

spec::Mount step_mount(const RunMount& mount) {
  const std::string mode = mount.read_only ? "ro" : "rw";
  spec::Mount result{mount.target, "bind", mount.source, {"rbind", mode}, {}, {}};
  if (mount.kind == RunMount::Kind::tmpfs) {
    result.type = "tmpfs";
    result.source = "tmpfs";
    result.options = {"nosuid", "noexec", "nodev"};
    if (mount.size) result.options.push_back(fmt::format("size={}", *mount.size));
  } else if (mount.kind == RunMount::Kind::overlay) {
    result.type = "overlay";
    result.source = "overlay";
    std::string lower;
    for (const std::string& layer : mount.lower) lower += (lower.empty() ? "" : ":") + layer;
    result.options = {mode, "lowerdir=" + lower};
    if (!mount.upper.empty()) {
      result.options.push_back("upperdir=" + mount.upper);
      result.options.push_back("workdir=" + mount.upper + "-work");
    }
  }
  return result;
}

/// "nofile" → "RLIMIT_NOFILE"
spec::Rlimit rlimit(const std::string& name, const model::Ulimit& limit) {
  std::string type = "RLIMIT_";
  std::transform(name.begin(), name.end(), std::back_inserter(type), [](unsigned char c) { return std::toupper(c); });
  const auto value = [](std::int64_t number) { return number < 0 ? UINT64_MAX : static_cast<std::uint64_t>(number); };
  return {type, value(limit.soft), value(limit.hard)};
}

}  // namespace

Result<std::string> bundle_config(const RunRequest& request, const std::string& rootfs) {
  spec::Spec config;
  config.root.path = rootfs;
  config.hostname = "buildkitsandbox";
  config.mounts = default_mounts(request);
  for (const RunMount& mount : request.mounts) config.mounts.push_back(step_mount(mount));

  spec::Process process;
  process.args = request.arguments;
  process.env = request.environment;
  process.cwd = request.working_dir.empty() ? "/" : request.working_dir;
  process.user.username = request.user.empty() ? "0" : request.user;
  const std::vector<std::string> names = request.privileged ? all_capabilities() : default_capabilities();
  process.capabilities = spec::Capabilities{names, names, {}, names, {}};
  for (const auto& [name, limit] : request.ulimits) process.rlimits.push_back(rlimit(name, limit));
  config.process = std::move(process);

  for (const char* type : {"pid", "mount", "ipc", "uts", "cgroup"}) config.linux_.namespaces.push_back({type, ""});
  config.linux_.cgroups_path = kGroups + request.id;
  if (request.network == RunRequest::Network::none) config.linux_.namespaces.push_back({"network", ""});
  if (request.network == RunRequest::Network::own)
    config.linux_.namespaces.push_back({"network", request.network_namespace});
  if (!request.privileged) {
    config.linux_.masked_paths = {"/proc/acpi",
                                  "/proc/asound",
                                  "/proc/interrupts",
                                  "/proc/kcore",
                                  "/proc/keys",
                                  "/proc/latency_stats",
                                  "/proc/sched_debug",
                                  "/proc/scsi",
                                  "/proc/timer_list",
                                  "/proc/timer_stats",
                                  "/sys/devices/virtual/powercap",
                                  "/sys/firmware"};
    config.linux_.readonly_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  }

  const std::vector<std::string> lower =
      request.lower.empty() ? std::vector<std::string>{request.workspace + "/empty"} : request.lower;
  config.annotations[spec::kOverlayAnnotation] =
      nlohmann::json{{"lower", lower}, {"upper", request.upper}, {"work", request.workspace + "/work"}}.dump();
  if (request.finish_spec) TRY(request.finish_spec(config));
  return spec::to_json(config);
}

}  // namespace compose::build
