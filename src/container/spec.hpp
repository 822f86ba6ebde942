#pragma once
// From a service and its image to the OCI configuration of one container, the same that Docker gives: its
// capabilities, seccomp profile, masked paths, mounts and devices. Pure: what must be looked up on the host comes in.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "compose/model/service.hpp"
#include "container/id_range.hpp"
#include "image/image_config.hpp"
#include "runtime/spec/spec.hpp"

namespace compose::container {

/// A device node of the host.
struct HostDevice {
  std::string path;
  char type = 'c';  ///< c or b
  std::int64_t major = 0, minor = 0;
  std::uint32_t mode = 0;  ///< permission bits
  std::uint32_t uid = 0, gid = 0;
};

/// What make_spec must know about the machine.
struct HostInfo {
  std::string architecture = "amd64";  ///< GOARCH
  int kernel_major = 6, kernel_minor = 1;
  int possible_cpus = 0;            ///< with a thermal_throttle directory to mask: cpu0 … cpuN-1
  int last_capability = 40;         ///< /proc/sys/kernel/cap_last_cap
  std::string hostname;             ///< for `network_mode: host`
  std::vector<HostDevice> devices;  ///< every node below /dev; needed for `privileged` only
};
/// Reads them (with the devices only when asked).
Result<HostInfo> probe_host(bool with_devices);

/// The node at a host path (symbolic links followed), or all nodes below it when it is a directory; empty when there
/// is nothing of the kind.
std::vector<HostDevice> find_devices(const std::string& path);

struct SpecInput {
  const model::Service& service;
  const image::ImageConfig& image;
  std::string project{};
  std::string id{};    ///< 64 hexadecimal digits
  std::string name{};  ///< the container's
  int number = 1;
  std::string rootfs{};   ///< the empty directory the overlay is mounted on
  std::string run_dir{};  ///< holds hosts, hostname and resolv.conf
  std::string cgroup{};   ///< "/compose/<project>/<id>"; the service's cgroup_parent replaces "/compose/<project>"
  /// Volumes, binds, secrets and configs, tmpfs of `volumes`, in any order: sorted here by depth of their target.
  std::vector<runtime::spec::Mount> mounts{};
  /// `devices` and blkio_config: host path -> its node, or all nodes below it.
  std::map<std::string, std::vector<HostDevice>> host_devices{};
  std::vector<std::uint32_t> additional_gids{};  ///< group_add, resolved
  std::optional<IdRange> ids{};                  ///< in a user namespace of its own
  std::optional<std::string> seccomp_profile{};  ///< text of the file that security_opt names
};

/// Errc::invalid names the attribute: `cap_add: unknown capability "FOO"`, `ulimits.nofile: …`. Namespaces that come
/// from other containers (`service:`, `container:`) have an empty path: set_namespace fills it at each start.
Result<runtime::spec::Spec> make_spec(const SpecInput& input, const HostInfo& host);

/// Puts the path of a namespace ("network", "ipc", "pid") to join into a spec.
void set_namespace(runtime::spec::Spec& spec, const std::string& type, const std::string& path);

}  // namespace compose::container
