#pragma once
// The runtime configuration of a container, config.json of the OCI runtime specification 1.3 (config.md,
// config-linux.md), as plain values. Members keep the specification's names in snake_case; an absent JSON member
// is an empty string, container or optional. Nothing here touches the system.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace compose::runtime::spec {

/// The newest version of the specification whose members are all understood.
inline constexpr const char* kOciVersion = "1.3.0";

/// A size in character cells.
struct ConsoleSize {
  std::uint32_t height = 0, width = 0;
};

/// Numeric ids inside the container. `username` is Docker's user string ("name", "uid", "name:group", "1000:50"):
/// when it is not empty it wins over the numbers and is resolved by the container itself against its own
/// /etc/passwd and /etc/group just before exec (our use of a member that the specification leaves to Windows).
struct User {
  std::uint32_t uid = 0, gid = 0;
  std::optional<std::uint32_t> umask;
  std::vector<std::uint32_t> additional_gids;
  std::string username;
};

/// Names such as "CAP_CHOWN", in each of the five sets of capabilities(7).
struct Capabilities {
  std::vector<std::string> bounding, effective, inheritable, permitted, ambient;
};

struct Rlimit {
  std::string type;  ///< "RLIMIT_NOFILE"
  std::uint64_t soft = 0, hard = 0;
};

struct Scheduler {
  std::string policy;
  std::int32_t nice = 0, priority = 0;
  std::vector<std::string> flags;
  std::uint64_t runtime = 0, deadline = 0, period = 0;
};

struct IoPriority {
  std::string io_class;
  int priority = 0;
};

struct Process {
  bool terminal = false;
  std::optional<ConsoleSize> console_size;
  User user;
  std::vector<std::string> args, env;
  std::string cwd;
  std::optional<Capabilities> capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::string apparmor_profile, selinux_label;
  std::optional<int> oom_score_adj;
  std::optional<Scheduler> scheduler;
  std::optional<IoPriority> io_priority;
  std::string exec_cpu_affinity_initial, exec_cpu_affinity_final;
};

struct Root {
  std::string path;
  bool readonly = false;
};

struct IdMapping {
  std::uint32_t container_id = 0, host_id = 0, size = 0;
};

struct Mount {
  std::string destination, type, source;
  std::vector<std::string> options;
  std::vector<IdMapping> uid_mappings, gid_mappings;
};

struct Hook {
  std::string path;
  std::vector<std::string> args, env;
  std::optional<int> timeout;  ///< seconds
};

struct Hooks {
  std::vector<Hook> prestart, create_runtime, create_container, start_container, poststart, poststop;
  bool empty() const;
};

struct Namespace {
  std::string type;  ///< pid network mount ipc uts user cgroup time
  std::string path;  ///< to join; empty: a new one
};

struct Device {
  std::string type;  ///< b c u p
  std::string path;
  std::int64_t major = 0, minor = 0;
  std::optional<std::uint32_t> file_mode, uid, gid;
};

struct DeviceRule {
  bool allow = false;
  std::string type;  ///< a b c, empty = a
  std::optional<std::int64_t> major, minor;
  std::string access;  ///< of r w m, empty = rwm
};

struct Memory {
  std::optional<std::int64_t> limit, reservation, swap, kernel, kernel_tcp;
  std::optional<std::uint64_t> swappiness;
  std::optional<bool> disable_oom_killer, use_hierarchy, check_before_update;
};

struct Cpu {
  std::optional<std::uint64_t> shares, burst, period, realtime_period;
  std::optional<std::int64_t> quota, realtime_runtime, idle;
  std::string cpus, mems;
};

struct ThrottleDevice {
  std::int64_t major = 0, minor = 0;
  std::uint64_t rate = 0;
};

struct WeightDevice {
  std::int64_t major = 0, minor = 0;
  std::optional<std::uint16_t> weight, leaf_weight;
};

struct BlockIo {
  std::optional<std::uint16_t> weight, leaf_weight;
  std::vector<WeightDevice> weight_device;
  std::vector<ThrottleDevice> read_bps, write_bps, read_iops, write_iops;
};

struct HugepageLimit {
  std::string page_size;
  std::uint64_t limit = 0;
};

struct NetworkPriority {
  std::string name;
  std::uint32_t priority = 0;
};

struct RdmaLimit {
  std::optional<std::uint32_t> hca_handles, hca_objects;
};

struct Resources {
  std::vector<DeviceRule> devices;
  std::optional<Memory> memory;
  std::optional<Cpu> cpu;
  std::optional<std::int64_t> pids_limit;
  std::optional<BlockIo> block_io;
  std::vector<HugepageLimit> hugepage_limits;
  std::optional<std::uint32_t> network_class_id;
  std::vector<NetworkPriority> network_priorities;
  std::map<std::string, RdmaLimit> rdma;
  std::map<std::string, std::string> unified;
};

struct SeccompArg {
  std::uint32_t index = 0;
  std::uint64_t value = 0, value_two = 0;
  std::string op;
};

struct SeccompRule {
  std::vector<std::string> names;
  std::string action;
  std::optional<std::uint32_t> errno_ret;
  std::vector<SeccompArg> args;
};

struct Seccomp {
  std::string default_action;
  std::optional<std::uint32_t> default_errno_ret;
  std::vector<std::string> architectures, flags;
  std::string listener_path, listener_metadata;
  std::vector<SeccompRule> syscalls;
};

struct TimeOffset {
  std::int64_t secs = 0;
  std::uint32_t nanosecs = 0;
};

struct Personality {
  std::string domain;
  std::vector<std::string> flags;
};

/// A network device of the host that moves into the container's network namespace.
struct NetDevice {
  std::string name;  ///< inside; empty: as on the host
};

struct MemoryPolicy {
  std::string mode, nodes;
  std::vector<std::string> flags;
};

struct Linux {
  std::vector<IdMapping> uid_mappings, gid_mappings;
  std::map<std::string, std::string> sysctl;
  std::optional<Resources> resources;
  std::string cgroups_path;
  std::vector<Namespace> namespaces;
  std::vector<Device> devices;
  std::optional<Seccomp> seccomp;
  std::string rootfs_propagation;
  std::vector<std::string> masked_paths, readonly_paths;
  std::string mount_label;
  std::optional<Personality> personality;
  std::map<std::string, TimeOffset> time_offsets;
  std::map<std::string, NetDevice> net_devices;  ///< by the host's name
  std::optional<MemoryPolicy> memory_policy;
  std::string intel_rdt;  ///< the member as JSON text, which compile() refuses
};

struct Spec {
  std::string oci_version = kOciVersion;
  Root root;
  std::vector<Mount> mounts;
  std::optional<Process> process;
  std::string hostname, domainname;
  Hooks hooks;
  std::map<std::string, std::string> annotations;
  Linux linux_;  ///< `linux` is a macro under the GNU dialects
};

/// Annotations only we understand.
inline constexpr const char* kOverlayAnnotation = "compose.overlay";  ///< {"lower":[top first],"upper":"","work":""}
inline constexpr const char* kUserAnnotation = "compose.user";        ///< as User::username
inline constexpr const char* kInitAnnotation = "compose.init";        ///< "true": run under our small init

/// Reads config.json. Unknown members are ignored (the specification demands it); a member of the wrong type or a
/// number out of range is Errc::invalid naming the member ("linux.resources.memory.limit: expected an integer").
Result<Spec> parse(std::string_view json);
/// Reads a process object as `exec --process` gets it.
Result<Process> parse_process(std::string_view json);
/// Reads a resources object as `update --resources` gets it.
Result<Resources> parse_resources(std::string_view json);
/// config.json text, indented; parse() of it gives the same value.
std::string to_json(const Spec& spec);

}  // namespace compose::runtime::spec
