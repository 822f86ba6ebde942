#pragma once
// From the OCI configuration to a flat plan that the kernel side executes without thinking.
//
// compile() decides everything that can be decided beforehand (it runs in the supervisor or in compose-runtime);
// the plan is plain data that crosses to the monitor as bytes; launch.hpp applies it.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "net/endpoint/endpoint.hpp"
#include "runtime/cgroup/cgroup.hpp"
#include "runtime/spec/spec.hpp"

namespace compose::runtime::launch {

/// An overlay root, mounted by the container itself in its own mount namespace. Host paths; `lower` has the top
/// layer first. An empty `upper` gives a read-only overlay.
struct Overlay {
  std::vector<std::string> lower;
  std::string upper, work;
};

/// What compile() must know about the machine.
struct HostFacts {
  cgroup::Layout cgroups;
  int last_capability = 40;
  std::uint64_t capabilities = ~std::uint64_t{0};  ///< the bounding set we have ourselves
  bool apparmor = false, selinux = false;
  bool cgroup_writable = true;  ///< false: containers are started without a group (rootless without delegation)
  bool rootless = false;
  std::string init_program;  ///< compose-init, for `init: true`
};

/// Reads the facts of this machine and process.
Result<HostFacts> probe_host();

struct CompileRequest {
  spec::Spec spec;
  std::string container_id;
  std::string bundle;              ///< absolute; a relative root.path is below it
  std::optional<Overlay> overlay;  ///< without it the annotation compose.overlay counts, else root.path is the root
  std::vector<net::endpoint::Attachment> attachments;
  bool resolver = false;          ///< open the resolver's sockets at 127.0.0.11 in the network namespace
  std::string seccomp_cache_dir;  ///< compiled filters by hash; empty: no cache
  bool init = false;              ///< run the command under our small init as pid 1 (also annotation compose.init)
};

struct NamespacePath {
  std::uint64_t flag = 0;  ///< CLONE_NEWNET …
  std::string path;
};

/// One thing to do to the new root, in order. `target` is a path inside the container.
struct RootStep {
  enum class Kind : std::uint8_t {
    filesystem,  ///< a new file system of `type` with `data`
    bind,        ///< `source` of the host
    cgroup,      ///< the container's view of its control groups
    device,      ///< a node, or a bind of the host's node where nodes cannot be made
    symlink,     ///< `source` is the text of the link
    mask,        ///< hide: /dev/null over a file, an empty read-only tmpfs over a directory
    readonly,    ///< the same tree, read-only
    remount,     ///< change the flags of what is mounted there
  };
  Kind kind = Kind::filesystem;
  std::string where;  ///< "mounts[3]", for errors
  std::string source, target, type, data;
  std::uint64_t attr_set = 0, attr_clear = 0;                      ///< MOUNT_ATTR_* of this mount
  std::uint64_t recursive_attr_set = 0, recursive_attr_clear = 0;  ///< MOUNT_ATTR_* of the whole tree ("rro")
  std::uint64_t superblock_flags = 0;                              ///< MS_SYNCHRONOUS, MS_DIRSYNC, MS_MANDLOCK …
  std::uint64_t propagation = 0;                                   ///< MS_PRIVATE …, 0: leave; with MS_REC
  bool recursive = false;                                          ///< rbind
  bool copy_up = false;                                            ///< tmpcopyup: the image's content into the tmpfs
  bool no_follow = false;  ///< the last component of the source or target is not followed
  bool optional = false;   ///< a missing target (mask) is no error
  std::uint32_t mode = 0, uid = 0, gid = 0;
  std::uint32_t major = 0, minor = 0;
  std::vector<spec::IdMapping> uid_mappings, gid_mappings;  ///< an id-mapped mount
  std::string id_map_of;                                    ///< …by the mappings of this user namespace
  bool recursive_id_map = false;                            ///< of the whole tree ("ridmap")
};

struct ResourceLimit {
  int resource = 0;  ///< RLIMIT_*
  std::uint64_t soft = 0, hard = 0;
};

/// Bit i stands for capability i.
struct CapabilityMasks {
  std::uint64_t bounding = 0, effective = 0, inheritable = 0, permitted = 0, ambient = 0;
};

/// Arguments of sched_setattr(2).
struct SchedulerPlan {
  std::uint32_t policy = 0, priority = 0;
  std::int32_t nice = 0;
  std::uint64_t flags = 0, runtime = 0, deadline = 0, period = 0;
};

/// Arguments of set_mempolicy(2): bit i of `nodes` stands for node i.
struct MemoryPolicyPlan {
  std::uint32_t mode = 0;
  std::vector<std::uint64_t> nodes;
};

/// What the process is when it starts; `exec` into a running container uses the same.
struct ProcessPlan {
  std::vector<std::string> args, env;  ///< no args: the configuration has no process; it can be created, not started
  std::string cwd;
  bool terminal = false;
  std::uint16_t rows = 0, columns = 0;
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::uint32_t> groups;
  std::string user;  ///< see spec::User::username
  std::uint32_t umask = 022;
  bool set_capabilities = false;  ///< false: as they are (the specification's absent member: none)
  CapabilityMasks capabilities;
  std::vector<ResourceLimit> limits;
  bool no_new_privileges = false;
  std::string apparmor_profile, selinux_label;
  std::optional<int> oom_score_adj;
  std::optional<SchedulerPlan> scheduler;
  std::optional<std::uint32_t> io_priority;  ///< as ioprio_set(2) takes it
  std::optional<MemoryPolicyPlan> memory_policy;
  /// Bit i stands for CPU i: of processes that exec brings in, before and after they enter the container's groups.
  std::vector<std::uint64_t> exec_cpus_initial, exec_cpus_final;
  std::uint64_t personality = 0;
  bool set_personality = false;
  std::string seccomp_program;  ///< struct sock_filter[], empty: unconfined
  std::uint32_t seccomp_flags = 0;
  std::string seccomp_listener, seccomp_metadata;
};

struct HookPlan {
  std::string path;
  std::vector<std::string> args, env;
  int timeout = 0;  ///< seconds, 0: none
};

struct LaunchPlan {
  std::string container_id, bundle;
  std::uint64_t create_namespaces = 0;  ///< CLONE_NEW*
  std::vector<NamespacePath> join_namespaces;
  /// No mount namespace of its own: nothing is mounted then, and the root is entered by chroot(2), since mounts and
  /// pivot_root(2) would change the namespace of others.
  bool shared_mounts = false;
  std::vector<spec::IdMapping> uid_mappings, gid_mappings;
  std::string time_offsets;  ///< as /proc/PID/timens_offsets takes it
  bool use_cgroup = true;
  cgroup::Layout layout;
  cgroup::Plan cgroup;
  std::string root;  ///< absolute host path: the root, or the empty directory the overlay is mounted on
  std::optional<Overlay> overlay;
  bool readonly_root = false;
  std::uint64_t root_propagation = 0;
  std::string mount_label;
  std::vector<RootStep> steps;
  std::string hostname, domainname;
  std::vector<std::pair<std::string, std::string>> sysctls;  ///< "net/ipv4/ip_forward"
  std::vector<net::endpoint::Attachment> attachments;
  std::vector<std::pair<std::string, std::string>> net_devices;  ///< the host's name, the container's
  bool resolver = false;
  std::vector<HookPlan> prestart, create_runtime, create_container, start_container, poststart, poststop;
  std::vector<std::pair<std::string, std::string>> annotations;
  ProcessPlan process;
};

/// Checks the configuration and flattens it; pure but for the seccomp cache. Errors are Errc::invalid naming the
/// member ("mounts[3]: unknown option", "linux.seccomp…"), or Errc::unsupported for what this host lacks.
Result<LaunchPlan> compile(const CompileRequest& request, const HostFacts& facts);
/// The process part alone, for exec; `base` gives seccomp and labels that the container has.
Result<ProcessPlan> compile_process(const spec::Process& process, const HostFacts& facts);
/// What is left out of its capabilities, and must be told (config.md, "capabilities"): names that nobody knows or that
/// this process has no right to give, and ambient ones that are not inheritable and permitted.
std::vector<std::string> capability_warnings(const spec::Process& process, const HostFacts& facts);

/// Bytes for the monitor and for the container's state directory; versioned.
std::string serialize(const LaunchPlan& plan);
/// Refuses (Errc::corrupt) anything that serialize() of the same version cannot have written, in bounded memory.
Result<LaunchPlan> deserialize(std::string_view bytes);
/// One line per member that is set, for golden tests and `--debug`.
std::string to_text(const LaunchPlan& plan);

}  // namespace compose::runtime::launch
