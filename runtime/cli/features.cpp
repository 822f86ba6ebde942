// features and spec.
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "runtime/cli/commands.hpp"
#include "runtime/launch/plan.hpp"
#include "runtime/rootfs/mount_options.hpp"
#include "runtime/security/capabilities.hpp"
#include "runtime/security/seccomp.hpp"
#include "sys/file.hpp"

namespace compose::runtime::cli {
namespace {

spec::Spec example_spec(const cgroup::Layout& cgroups) {
  spec::Spec spec;
  spec.root = {"rootfs", true};
  spec.hostname = "container";
  auto& process = spec.process.emplace();
  process.terminal = true;
  process.args = {"sh"};
  process.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"};
  process.cwd = "/";
  process.no_new_privileges = true;
  auto& caps = process.capabilities.emplace();
  caps.bounding = caps.effective = caps.permitted = {"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
  process.rlimits = {{"RLIMIT_NOFILE", 1024, 1024}};
  spec.mounts = {{"/proc", "proc", "proc", {}, {}, {}},
                 {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}, {}, {}},
                 {"/dev/pts",
                  "devpts",
                  "devpts",
                  {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"},
                  {},
                  {}},
                 {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}, {}, {}},
                 {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}, {}, {}},
                 {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}, {}, {}},
                 {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}, {}, {}}};
  for (const char* type : {"pid", "network", "ipc", "uts", "mount"}) spec.linux_.namespaces.push_back({type, {}});
  // With version 1 the files of a container's groups are hidden by what is mounted.
  if (cgroups.pure_v2()) spec.linux_.namespaces.push_back({"cgroup", {}});
  spec.linux_.resources.emplace().devices = {{false, "", {}, {}, "rwm"}};
  spec.linux_.masked_paths = {"/proc/acpi",          "/proc/asound",     "/proc/kcore",       "/proc/keys",
                              "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
                              "/sys/firmware",       "/proc/scsi"};
  spec.linux_.readonly_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  return spec;
}

}  // namespace

Result<int> features(const Globals& /*globals*/, Words words) {
  TRY_ASSIGN(const Arguments arguments, Arguments::parse(words, {}, true));
  TRY_ASSIGN(const launch::HostFacts facts, launch::probe_host());
  using Json = nlohmann::ordered_json;
  Json json{{"ociVersionMin", "1.0.0"},
            {"ociVersionMax", spec::kOciVersion},
            {"hooks", {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}},
            {"mountOptions", rootfs::known_mount_options()}};
  json["linux"] =
      Json{{"namespaces", {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"}},
           {"capabilities", security::capability_names(~std::uint64_t{0})},
           {"cgroup", {{"v1", true}, {"v2", true}, {"systemd", false}, {"systemdUser", false}, {"rdma", true}}},
           {"seccomp",
            {{"enabled", true},
             {"actions", security::seccomp_actions()},
             {"operators",
              {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
               "SCMP_CMP_MASKED_EQ"}},
             {"archs", security::seccomp_architectures()},
             {"knownFlags", {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_LOG"}},
             {"supportedFlags",
              {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_LOG"}}}},
           {"apparmor", {{"enabled", facts.apparmor}}},
           {"selinux", {{"enabled", facts.selinux}}},
           {"intelRdt", {{"enabled", false}}},
           {"memoryPolicy",
            {{"modes",
              {"MPOL_DEFAULT", "MPOL_PREFERRED", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_LOCAL", "MPOL_PREFERRED_MANY",
               "MPOL_WEIGHTED_INTERLEAVE"}},
             {"flags", {"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"}}}},
           {"mountExtensions", {{"idmap", {{"enabled", true}}}}},
           {"netDevices", {{"enabled", true}}}};
  json["potentiallyUnsafeConfigAnnotations"] = Json::array({spec::kOverlayAnnotation});
  std::puts(json.dump(4).c_str());
  return 0;
}

Result<int> write_spec(const Globals& /*globals*/, Words words) {
  static constexpr OptionSpec kOptions[] = {{"bundle", 'b', true}, {"rootless", 0, false}};
  TRY_ASSIGN(const Arguments arguments, Arguments::parse(words, kOptions, true));
  const std::string path = arguments.get("bundle", ".") + "/config.json";
  if (sys::exists(path)) return make_error(Errc::exists, "file {} exists. Remove it first", path);
  TRY_ASSIGN(const cgroup::Layout cgroups, cgroup::detect_layout());
  spec::Spec spec = example_spec(cgroups);
  if (arguments.flag("rootless")) {
    std::erase_if(spec.linux_.namespaces, [](const auto& entry) { return entry.type == "network"; });
    spec.linux_.namespaces.push_back({"user", {}});
    spec.linux_.uid_mappings = {{0, static_cast<std::uint32_t>(::geteuid()), 1}};
    spec.linux_.gid_mappings = {{0, static_cast<std::uint32_t>(::getegid()), 1}};
    spec.linux_.resources.reset();
  }
  TRY(sys::write_file_atomic(path, spec::to_json(spec) + "\n", 0644));
  return 0;
}

}  // namespace compose::runtime::cli
