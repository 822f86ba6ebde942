#pragma once
// Control groups, version 1, 2 and the hybrid of both: every controller is looked up for itself
// (Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst), never by one global switch.
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "runtime/spec/spec.hpp"

namespace compose::runtime::cgroup {

enum class Version : std::uint8_t { v1, v2 };

/// One mounted tree.
struct Hierarchy {
  Version version = Version::v1;
  std::string mount_point;               ///< "/sys/fs/cgroup/memory"
  std::string own_path;                  ///< where this process is in it, "/" at the top
  std::vector<std::string> controllers;  ///< "memory"; a v1 name ("name=systemd") stands here too
  bool operator==(const Hierarchy&) const = default;
};

struct Layout {
  std::vector<Hierarchy> hierarchies;
  bool operator==(const Layout&) const = default;

  /// The tree that has `controller`, or null.
  const Hierarchy* find(std::string_view controller) const;
  /// The v2 tree, or null. On a hybrid host it may have no controller at all; it still kills and freezes groups.
  const Hierarchy* unified() const;
  bool pure_v2() const;
};

/// From the texts of /proc/self/mountinfo and /proc/self/cgroup; `v2_controllers` is the root's cgroup.controllers.
Layout parse_layout(std::string_view mountinfo, std::string_view self_cgroup, std::string_view v2_controllers);
Result<Layout> detect_layout();

/// One limit as the kernel takes it.
struct Setting {
  std::string controller;  ///< whose hierarchy; "" = the unified one
  std::string file;        ///< "memory.limit_in_bytes"
  std::string value;
  std::string where;      ///< the member of config.json it comes from, for errors
  bool optional = false;  ///< a missing file is no error (swap accounting switched off)
  bool operator==(const Setting&) const = default;
};

/// Everything to be done to a group, ready to write; pure data.
struct Plan {
  std::string path;  ///< "/compose/p/id", the same in every hierarchy
  std::vector<Setting> settings;
  std::string device_program;  ///< v2: the eBPF instructions, for BPF_PROG_TYPE_CGROUP_DEVICE; empty: all allowed
};

/// Translates the specification's resources for this host's layout. With v1 the device rules become writes to
/// devices.deny/allow, with v2 one eBPF program. Errors name the member, e.g. a limit whose controller is missing.
Result<Plan> compile(const spec::Resources& resources, const std::string& path, const Layout& layout);

struct Usage {
  std::uint64_t cpu_nanoseconds = 0, cpu_user_nanoseconds = 0, cpu_system_nanoseconds = 0;
  std::uint64_t cpu_periods = 0, cpu_throttled_periods = 0, cpu_throttled_nanoseconds = 0;
  std::uint64_t memory_bytes = 0, memory_peak_bytes = 0, memory_limit_bytes = 0;  ///< a limit of 0: none
  std::uint64_t memory_cache_bytes = 0;  ///< the reclaimable file pages (inactive_file) that `docker stats` deducts
  std::uint64_t swap_bytes = 0, memory_failures = 0, oom_kills = 0;
  std::map<std::string, std::uint64_t> memory_stat;
  std::uint64_t pids = 0, pids_limit = 0;
  std::uint64_t block_read_bytes = 0, block_write_bytes = 0;
};

/// The group of one container in every hierarchy it uses. A handle: destroying it leaves the group alone.
class Group {
 public:
  /// Makes the directories (and their parents) and writes the settings. What it made is removed if it fails.
  static Result<Group> create(const Layout& layout, const Plan& plan);
  /// The group as it is; missing directories are no error (see exists()).
  static Group open(const Layout& layout, const std::string& path);

  /// The group `sub` below this one, in the v1 hierarchies of these controllers or, without any, in all. A controller
  /// without a hierarchy of its own is an error, a group that is not there none.
  Result<Group> below(const std::vector<std::string>& controllers, const std::string& sub) const;

  const std::string& path() const { return path_; }
  /// "controller[,controller]" (or "" for v2) to directory, for state files and stats.
  std::map<std::string, std::string> directories() const;
  bool exists() const;

  /// The v2 directory for clone3(CLONE_INTO_CGROUP); invalid if there is none.
  Result<UniqueFd> unified_fd() const;
  /// The same of the group below this one that `member` is in: one that has moved down and given its controllers on
  /// leaves a group that takes no process (cgroups(7), "no internal processes").
  Result<UniqueFd> unified_fd_of(pid_t member) const;
  /// Opened `tasks` files of the v1 groups. A single-threaded process that writes "0" to each has entered them
  /// without the system-wide lock (and its 10–20 ms) that writing another process's pid to cgroup.procs takes.
  Result<std::vector<UniqueFd>> task_files() const;
  /// Moves another process (all its threads) in.
  Result<void> attach(pid_t pid) const;

  Result<void> apply(const Plan& plan) const;
  Result<void> freeze() const;
  /// In whatever hierarchy it, or somebody else, is frozen.
  Result<void> thaw() const;
  Result<bool> frozen() const;
  /// SIGKILL to every process, also frozen ones: cgroup.kill, or freeze–kill–thaw with v1.
  Result<void> kill_all() const;
  Result<void> signal_all(int signo) const;
  Result<std::vector<pid_t>> processes() const;
  bool populated() const;
  /// Is any process in it, or below it, in any hierarchy? populated() asks one, since a container is in all of them.
  bool in_use() const;
  /// Waits for the last process to go, at most `timeout_ms`; false when some are left.
  bool wait_empty(int timeout_ms) const;
  Result<Usage> usage() const;
  /// How many times the kernel's OOM killer struck in this group.
  std::uint64_t oom_kills() const;
  /// Removes the directories, children first, and parents below the hierarchy's top that have become empty
  /// ("/compose/p", "/compose"). Processes in it are Errc::busy; a group that is gone is no error.
  Result<void> remove() const;

 private:
  struct Place {
    Version version;
    std::vector<std::string> controllers;
    std::string mount_point;
    std::string directory;
  };
  std::string path_;
  std::vector<Place> places_;
  const Place* place(std::string_view controller) const;
  const Place* unified() const;
  const Place* any() const;
  bool frozen_in_v1() const;
};

}  // namespace compose::runtime::cgroup
