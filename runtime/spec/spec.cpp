#include "runtime/spec/spec.hpp"

#include <concepts>
#include <limits>
#include <nlohmann/json.hpp>

#include "runtime/spec/archive.hpp"

namespace compose::runtime::spec {
namespace {

// One function per object serves both directions: `a` is a Reader or a Writer (archive.hpp).
template <typename A, typename T>
void fields_of_process(A& a, T& v) {
  a("terminal", v.terminal);
  a("consoleSize", v.console_size);
  a("user", v.user);
  a("args", v.args);
  a("env", v.env);
  a("cwd", v.cwd);
  a("capabilities", v.capabilities);
  a("rlimits", v.rlimits);
  a("noNewPrivileges", v.no_new_privileges);
  a("apparmorProfile", v.apparmor_profile);
  a("selinuxLabel", v.selinux_label);
  a("oomScoreAdj", v.oom_score_adj);
  a("scheduler", v.scheduler);
  a("ioPriority", v.io_priority);
  a.object("execCPUAffinity", [&](A& inner) {
    inner("initial", v.exec_cpu_affinity_initial);
    inner("final", v.exec_cpu_affinity_final);
  });
}

template <typename A, typename T>
void fields_of_linux(A& a, T& v) {
  a("uidMappings", v.uid_mappings);
  a("gidMappings", v.gid_mappings);
  a("sysctl", v.sysctl);
  a("resources", v.resources);
  a("cgroupsPath", v.cgroups_path);
  a("namespaces", v.namespaces);
  a("devices", v.devices);
  a("seccomp", v.seccomp);
  a("rootfsPropagation", v.rootfs_propagation);
  a("maskedPaths", v.masked_paths);
  a("readonlyPaths", v.readonly_paths);
  a("mountLabel", v.mount_label);
  a("personality", v.personality);
  a("timeOffsets", v.time_offsets);
  a("netDevices", v.net_devices);
  a("memoryPolicy", v.memory_policy);
  a.raw("intelRdt", v.intel_rdt);
}

template <typename A, typename T>
void fields_of_resources(A& a, T& v) {
  a("devices", v.devices);
  a("memory", v.memory);
  a("cpu", v.cpu);
  a.object("pids", [&](A& inner) { inner("limit", v.pids_limit); });
  a("blockIO", v.block_io);
  a("hugepageLimits", v.hugepage_limits);
  a.object("network", [&](A& inner) {
    inner("classID", v.network_class_id);
    inner("priorities", v.network_priorities);
  });
  a("rdma", v.rdma);
  a("unified", v.unified);
}

}  // namespace

template <typename T, typename U>
concept Is = std::same_as<std::remove_const_t<T>, U>;

template <typename A, Is<ConsoleSize> T>
void fields(A& a, T& v) {
  a("height", v.height);
  a("width", v.width);
}
template <typename A, Is<User> T>
void fields(A& a, T& v) {
  a("uid", v.uid);
  a("gid", v.gid);
  a("umask", v.umask);
  a("additionalGids", v.additional_gids);
  a("username", v.username);
}
template <typename A, Is<Capabilities> T>
void fields(A& a, T& v) {
  a("bounding", v.bounding);
  a("effective", v.effective);
  a("inheritable", v.inheritable);
  a("permitted", v.permitted);
  a("ambient", v.ambient);
}
template <typename A, Is<Rlimit> T>
void fields(A& a, T& v) {
  a("type", v.type);
  a("soft", v.soft);
  a("hard", v.hard);
}
template <typename A, Is<Scheduler> T>
void fields(A& a, T& v) {
  a("policy", v.policy);
  a("nice", v.nice);
  a("priority", v.priority);
  a("flags", v.flags);
  a("runtime", v.runtime);
  a("deadline", v.deadline);
  a("period", v.period);
}
template <typename A, Is<IoPriority> T>
void fields(A& a, T& v) {
  a("class", v.io_class);
  a("priority", v.priority);
}
template <typename A, Is<Process> T>
void fields(A& a, T& v) {
  fields_of_process(a, v);
}
template <typename A, Is<Root> T>
void fields(A& a, T& v) {
  a("path", v.path);
  a("readonly", v.readonly);
}
template <typename A, Is<IdMapping> T>
void fields(A& a, T& v) {
  a("containerID", v.container_id);
  a("hostID", v.host_id);
  a("size", v.size);
}
template <typename A, Is<Mount> T>
void fields(A& a, T& v) {
  a("destination", v.destination);
  a("type", v.type);
  a("source", v.source);
  a("options", v.options);
  a("uidMappings", v.uid_mappings);
  a("gidMappings", v.gid_mappings);
}
template <typename A, Is<Hook> T>
void fields(A& a, T& v) {
  a("path", v.path);
  a("args", v.args);
  a("env", v.env);
  a("timeout", v.timeout);
}
template <typename A, Is<Hooks> T>
void fields(A& a, T& v) {
  a("prestart", v.prestart);
  a("createRuntime", v.create_runtime);
  a("createContainer", v.create_container);
  a("startContainer", v.start_container);
  a("poststart", v.poststart);
  a("poststop", v.poststop);
}
template <typename A, Is<Namespace> T>
void fields(A& a, T& v) {
  a("type", v.type);
  a("path", v.path);
}
template <typename A, Is<Device> T>
void fields(A& a, T& v) {
  a("type", v.type);
  a("path", v.path);
  a("major", v.major);
  a("minor", v.minor);
  a("fileMode", v.file_mode);
  a("uid", v.uid);
  a("gid", v.gid);
}
template <typename A, Is<DeviceRule> T>
void fields(A& a, T& v) {
  a.always("allow", v.allow);
  a("type", v.type);
  a("major", v.major);
  a("minor", v.minor);
  a("access", v.access);
}
template <typename A, Is<Memory> T>
void fields(A& a, T& v) {
  a("limit", v.limit);
  a("reservation", v.reservation);
  a("swap", v.swap);
  a("kernel", v.kernel);
  a("kernelTCP", v.kernel_tcp);
  a("swappiness", v.swappiness);
  a("disableOOMKiller", v.disable_oom_killer);
  a("useHierarchy", v.use_hierarchy);
  a("checkBeforeUpdate", v.check_before_update);
}
template <typename A, Is<Cpu> T>
void fields(A& a, T& v) {
  a("shares", v.shares);
  a("quota", v.quota);
  a("burst", v.burst);
  a("period", v.period);
  a("realtimeRuntime", v.realtime_runtime);
  a("realtimePeriod", v.realtime_period);
  a("idle", v.idle);
  a("cpus", v.cpus);
  a("mems", v.mems);
}
template <typename A, Is<ThrottleDevice> T>
void fields(A& a, T& v) {
  a("major", v.major);
  a("minor", v.minor);
  a("rate", v.rate);
}
template <typename A, Is<WeightDevice> T>
void fields(A& a, T& v) {
  a("major", v.major);
  a("minor", v.minor);
  a("weight", v.weight);
  a("leafWeight", v.leaf_weight);
}
template <typename A, Is<BlockIo> T>
void fields(A& a, T& v) {
  a("weight", v.weight);
  a("leafWeight", v.leaf_weight);
  a("weightDevice", v.weight_device);
  a("throttleReadBpsDevice", v.read_bps);
  a("throttleWriteBpsDevice", v.write_bps);
  a("throttleReadIOPSDevice", v.read_iops);
  a("throttleWriteIOPSDevice", v.write_iops);
}
template <typename A, Is<HugepageLimit> T>
void fields(A& a, T& v) {
  a("pageSize", v.page_size);
  a("limit", v.limit);
}
template <typename A, Is<NetworkPriority> T>
void fields(A& a, T& v) {
  a("name", v.name);
  a("priority", v.priority);
}
template <typename A, Is<RdmaLimit> T>
void fields(A& a, T& v) {
  a("hcaHandles", v.hca_handles);
  a("hcaObjects", v.hca_objects);
}
template <typename A, Is<Resources> T>
void fields(A& a, T& v) {
  fields_of_resources(a, v);
}
template <typename A, Is<SeccompArg> T>
void fields(A& a, T& v) {
  a("index", v.index);
  a("value", v.value);
  a("valueTwo", v.value_two);
  a("op", v.op);
}
template <typename A, Is<SeccompRule> T>
void fields(A& a, T& v) {
  a("names", v.names);
  a("action", v.action);
  a("errnoRet", v.errno_ret);
  a("args", v.args);
}
template <typename A, Is<Seccomp> T>
void fields(A& a, T& v) {
  a("defaultAction", v.default_action);
  a("defaultErrnoRet", v.default_errno_ret);
  a("architectures", v.architectures);
  a("flags", v.flags);
  a("listenerPath", v.listener_path);
  a("listenerMetadata", v.listener_metadata);
  a("syscalls", v.syscalls);
}
template <typename A, Is<TimeOffset> T>
void fields(A& a, T& v) {
  a("secs", v.secs);
  a("nanosecs", v.nanosecs);
}
template <typename A, Is<Personality> T>
void fields(A& a, T& v) {
  a("domain", v.domain);
  a("flags", v.flags);
}
template <typename A, Is<NetDevice> T>
void fields(A& a, T& v) {
  a("name", v.name);
}
template <typename A, Is<MemoryPolicy> T>
void fields(A& a, T& v) {
  a("mode", v.mode);
  a("nodes", v.nodes);
  a("flags", v.flags);
}
template <typename A, Is<Linux> T>
void fields(A& a, T& v) {
  fields_of_linux(a, v);
}
template <typename A, Is<Spec> T>
void fields(A& a, T& v) {
  a("ociVersion", v.oci_version);
  a("root", v.root);
  a("mounts", v.mounts);
  a("process", v.process);
  a("hostname", v.hostname);
  a("domainname", v.domainname);
  a("hooks", v.hooks);
  a("annotations", v.annotations);
  a("linux", v.linux_);
}

bool Hooks::empty() const {
  return prestart.empty() && create_runtime.empty() && create_container.empty() && start_container.empty() &&
         poststart.empty() && poststop.empty();
}

namespace {

template <typename T>
Result<T> parse_text(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return make_error(Errc::invalid, "not valid JSON");
  T value;
  std::optional<Error> problem;
  Reader reader{json, {}, problem};
  reader.read(json, value, "");
  if (problem) return *problem;
  return value;
}

}  // namespace

Result<Spec> parse(std::string_view json) {
  TRY_ASSIGN(Spec spec, parse_text<Spec>(json));
  if (spec.oci_version.empty() || spec.oci_version.substr(0, 2) != "1.") {
    return make_error(Errc::unsupported, "ociVersion \"{}\": only version 1 is understood", spec.oci_version);
  }
  return spec;
}

Result<Process> parse_process(std::string_view json) { return parse_text<Process>(json); }
Result<Resources> parse_resources(std::string_view json) { return parse_text<Resources>(json); }

std::string to_json(const Spec& spec) {
  Writer writer;
  fields(writer, spec);
  return writer.result().dump(1, '\t', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace compose::runtime::spec
