// Control groups, the network, our programs and folders.
#include <fcntl.h>
#include <sched.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "base/strings.hpp"
#include "base/unique_fd.hpp"
#include "base/units.hpp"
#include "container/doctor/probes.hpp"
#include "net/bridge/links.hpp"
#include "net/endpoint/endpoint.hpp"
#include "net/firewall/firewall.hpp"
#include "runtime/cgroup/cgroup.hpp"
#include "sys/file.hpp"
#include "sys/program.hpp"
#include "sys/user_namespace.hpp"

namespace compose::container::doctor {
namespace {

namespace cgroup = runtime::cgroup;

struct Controller {
  const char* name;     ///< as version 2 has it
  const char* v1_name;  ///< where version 1 calls it differently
  const char* used_for;
};

constexpr std::array kControllers = {Controller{"memory", "memory", "mem_limit"},
                                     Controller{"cpu", "cpu", "cpus, cpu_shares"},
                                     Controller{"pids", "pids", "pids_limit"}, Controller{"cpuset", "cpuset", "cpuset"},
                                     Controller{"io", "blkio", "blkio_config"}};

const cgroup::Hierarchy* hierarchy_of(const cgroup::Layout& layout, const Controller& controller) {
  const auto* found = layout.find(controller.name);
  return found != nullptr ? found : layout.find(controller.v1_name);
}

Check check_controllers(const cgroup::Layout& layout) {
  std::vector<std::string> present;
  std::vector<std::string> lacking;
  for (const auto& controller : kControllers) {
    const auto* hierarchy = hierarchy_of(layout, controller);
    if (hierarchy == nullptr) {
      lacking.push_back(fmt::format("{} ({})", controller.name, controller.used_for));
    } else {
      present.push_back(fmt::format("{} (v{})", controller.name, hierarchy->version == cgroup::Version::v1 ? 1 : 2));
    }
  }
  if (lacking.empty()) return ok("cgroup controllers", join(present, ", "));
  return warning("cgroup controllers", "missing: " + join(lacking, ", "),
                 "services that set these limits will be refused; enable them on the kernel's command line "
                 "(cgroup_enable=memory) or in the parent's cgroup.subtree_control");
}

Check check_device_control(const cgroup::Layout& layout) {
  if (layout.find("devices") != nullptr) return ok("device control", "devices controller (v1)");
  if (layout.unified() != nullptr) return ok("device control", "eBPF programs on the unified hierarchy");
  return missing("device control", "neither a devices controller nor a unified hierarchy",
                 "mount cgroup2 at /sys/fs/cgroup");
}

Check check_cgroup_rights(const cgroup::Layout& layout) {
  std::vector<std::string> closed;
  for (const auto& hierarchy : layout.hierarchies) {
    if (::access(hierarchy.mount_point.c_str(), W_OK) != 0) closed.push_back(hierarchy.mount_point);
  }
  if (closed.empty())
    return ok("cgroup rights", fmt::format("{} hierarchies can be written", layout.hierarchies.size()));
  if (!sys::in_initial_user_namespace()) {
    return warning("cgroup rights", "an ordinary user cannot write " + join(closed, ", "),
                   "containers run, but limits of memory, cpu and processes are not applied");
  }
  return missing("cgroup rights", "cannot write " + join(closed, ", "),
                 "run it as root; in a container, mount /sys/fs/cgroup read-write");
}

Result<void> make_bridge() {
  net::BridgeSpec bridge;
  bridge.name = "doctor0";
  bridge.mac = "02:42:0a:00:00:01";
  return net::ensure_bridge(bridge);
}

Result<void> make_pair() {
  TRY(make_bridge());
  const UniqueFd own{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
  if (!own.valid()) return os_error("open the network namespace");
  net::endpoint::Attachment attachment;
  attachment.bridge = "doctor0";
  attachment.host_interface = "vcdoctor";
  attachment.interface = "eth0";
  return net::endpoint::create_pair_in(attachment, own.get());
}

std::string existing_parent(std::string path) {
  while (path.size() > 1 && !sys::exists(path)) path = std::filesystem::path(path).parent_path();
  return path;
}

Check check_folder(const std::string& name, const std::string& folder, const char* option) {
  const std::string parent = existing_parent(folder);
  if (::access(parent.c_str(), W_OK | X_OK) != 0) {
    return missing(name, os_error("{}", parent).message(),
                   fmt::format("run it as root or choose another folder: {}", option));
  }
  constexpr std::uint64_t kLittle = std::uint64_t{1} << 30;
  struct statvfs space{};
  if (::statvfs(parent.c_str(), &space) != 0) return warning(name, os_error("{}", parent).message(), "");
  const std::uint64_t free = space.f_bavail * space.f_frsize;
  const std::string found = fmt::format("{}, {} free", folder, format_bytes(free));
  if (name == "state folder" && free < kLittle) return warning(name, found, "make room: images and volumes live there");
  return ok(name, found);
}

}  // namespace

std::vector<Check> check_cgroups() {
  const auto layout = cgroup::detect_layout();
  if (!layout.ok() || layout->hierarchies.empty()) {
    return {missing("cgroups", layout.ok() ? "none is mounted" : layout.error().message(),
                    "mount cgroup2 at /sys/fs/cgroup")};
  }
  return {check_controllers(*layout), check_device_control(*layout), check_cgroup_rights(*layout)};
}

Check check_bridge() {
  if (const auto tried = in_own_namespaces(CLONE_NEWNET, make_bridge); !tried.ok()) {
    return missing("bridge", tried.error().message(), "needs root and the bridge module (modprobe bridge)");
  }
  if (const auto tried = in_own_namespaces(CLONE_NEWNET, make_pair); !tried.ok()) {
    return missing("bridge", "veth: " + tried.error().message(), "needs the veth module (modprobe veth)");
  }
  return ok("bridge", "bridges and veth pairs can be made");
}

Check check_firewall() {
  const auto tried =
      in_own_namespaces(CLONE_NEWNET, [] { return net::firewall::Firewall{"compose_doctor"}.rebuild({}); });
  if (tried.ok()) return ok("nf_tables", "address translation and filters can be set");
  return missing("nf_tables", tried.error().message(),
                 "needs root and the modules nf_tables, nft_nat, nft_masq, nft_redir (modprobe nf_tables)");
}

Check check_resolver() {
  const auto tried = in_own_namespaces(CLONE_NEWNET, []() -> Result<void> {
    TRY(net::endpoint::configure({}));
    auto sockets = net::endpoint::open_resolver();
    return sockets.ok() ? Result<void>{} : Result<void>{std::move(sockets).error()};
  });
  if (tried.ok()) return ok("resolver", "127.0.0.11 can be served in a container's network");
  return missing("resolver", tried.error().message(), "needs root and the modules nft_redir and nf_nat");
}

Check check_programs() {
  std::vector<std::string> lacking;
  for (const char* name : {"compose-monitor", "compose-runtime", "compose-init"}) {
    if (!sys::program_path(name).ok()) lacking.emplace_back(name);
  }
  if (lacking.empty()) return ok("programs", "compose-monitor, compose-runtime, compose-init");
  return missing("programs", "not found: " + join(lacking, ", "),
                 "install the project again, or set COMPOSE_LIBEXEC to the folder they are in");
}

std::vector<Check> check_folders(const state::Paths& paths) {
  return {check_folder("state folder", paths.root(), "--root"),
          check_folder("run folder", paths.run_root(), "--run-root")};
}

}  // namespace compose::container::doctor
