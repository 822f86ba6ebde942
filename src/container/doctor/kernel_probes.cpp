// Kernel calls, rights, namespaces, overlayfs, seccomp.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/strings.hpp"
#include "container/doctor/probes.hpp"
#include "sys/file.hpp"

namespace compose::container::doctor {
namespace {

std::string kernel_release() {
  struct utsname names{};
  return ::uname(&names) == 0 ? names.release : "unknown";
}

// A call with arguments that cannot succeed: any error but ENOSYS says that the kernel knows it.
bool known(long number) {
  const long result = ::syscall(number, -1L, 0L, 0L, 0L, 0L, 0L);
  if (result >= 0) ::close(static_cast<int>(result));
  return result >= 0 || errno != ENOSYS;
}

std::uint64_t effective_capabilities() {
  struct __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<struct __user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return 0;
  return data[0].effective | static_cast<std::uint64_t>(data[1].effective) << 32;
}

struct Capability {
  int number;
  const char* name;
};

// Without these nothing works; what containers may be given besides is lost silently by cap_add.
constexpr std::array kNeeded = {Capability{CAP_SYS_ADMIN, "SYS_ADMIN"},
                                Capability{CAP_NET_ADMIN, "NET_ADMIN"},
                                Capability{CAP_CHOWN, "CHOWN"},
                                Capability{CAP_DAC_OVERRIDE, "DAC_OVERRIDE"},
                                Capability{CAP_FOWNER, "FOWNER"},
                                Capability{CAP_MKNOD, "MKNOD"},
                                Capability{CAP_SETUID, "SETUID"},
                                Capability{CAP_SETGID, "SETGID"},
                                Capability{CAP_SETPCAP, "SETPCAP"},
                                Capability{CAP_SYS_CHROOT, "SYS_CHROOT"},
                                Capability{CAP_KILL, "KILL"},
                                Capability{CAP_SETFCAP, "SETFCAP"},
                                Capability{CAP_FSETID, "FSETID"},
                                Capability{CAP_NET_RAW, "NET_RAW"},
                                Capability{CAP_NET_BIND_SERVICE, "NET_BIND_SERVICE"},
                                Capability{CAP_AUDIT_WRITE, "AUDIT_WRITE"},
                                Capability{CAP_SYS_PTRACE, "SYS_PTRACE"}};

struct Namespace {
  int flag;
  const char* name;
};

constexpr std::array kNamespaces = {Namespace{CLONE_NEWNS, "mount"},    Namespace{CLONE_NEWPID, "pid"},
                                    Namespace{CLONE_NEWNET, "network"}, Namespace{CLONE_NEWIPC, "ipc"},
                                    Namespace{CLONE_NEWUTS, "uts"},     Namespace{CLONE_NEWCGROUP, "cgroup"}};

std::string nearest_existing(std::string path) {
  while (path.size() > 1 && !sys::exists(path)) path = std::filesystem::path(path).parent_path();
  return path;
}

Result<void> try_overlay(const std::string& folder) {
  // Our own copy of the mounts, so that what happens here cannot be seen outside.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return os_error("make mounts private");
  for (const char* name : {"/a", "/b", "/upper", "/work", "/merged"}) TRY(sys::make_directories(folder + name, 0700));
  const std::string options = fmt::format("lowerdir={0}/a:{0}/b,upperdir={0}/upper,workdir={0}/work", folder);
  const std::string target = folder + "/merged";
  if (::mount("overlay", target.c_str(), "overlay", 0, options.c_str()) != 0) return os_error("mount an overlay");
  if (::umount2(target.c_str(), MNT_DETACH) != 0) return os_error("unmount");
  return {};
}

}  // namespace

Result<void> in_own_namespaces(int flags, const std::function<Result<void>()>& attempt) {
  Result<void> result;
  // The namespaces belong to the thread and end with it. A mount namespace needs its own root and working directory.
  std::thread{[&] {
    const int needed = flags | ((flags & CLONE_NEWNS) != 0 ? CLONE_FS : 0);
    result = ::unshare(needed) != 0 ? Result<void>{os_error("unshare")} : attempt();
  }}.join();
  return result;
}

Check check_kernel_calls() {
  const std::string release = kernel_release();
  std::vector<std::string> lacking;
  for (const auto& [number, name] : {std::pair{static_cast<long>(SYS_clone3), "clone3"},
                                     {static_cast<long>(SYS_pidfd_open), "pidfd_open"},
                                     {static_cast<long>(SYS_openat2), "openat2"},
                                     {static_cast<long>(SYS_close_range), "close_range"},
                                     {static_cast<long>(SYS_fsopen), "fsopen"},
                                     {static_cast<long>(SYS_move_mount), "move_mount"},
                                     {static_cast<long>(SYS_mount_setattr), "mount_setattr"}}) {
    // close_range(-1, 0) has an empty range and touches no descriptor.
    if (!known(number)) lacking.emplace_back(name);
  }
  if (lacking.empty()) return ok("kernel", release);
  return missing(
      "kernel", fmt::format("{} lacks {}", release, join(lacking, ", ")),
      "use Linux 5.12 or newer (Debian 12 has 6.1); in a container, allow these calls in its seccomp profile");
}

Check check_capabilities() {
  const std::uint64_t have = effective_capabilities();
  std::vector<std::string> lacking;
  for (const auto& capability : kNeeded) {
    if ((have >> capability.number & 1U) == 0) lacking.emplace_back(capability.name);
  }
  if (!lacking.empty()) {
    return missing("rights", fmt::format("this process lacks CAP_{}", join(lacking, ", CAP_")),
                   ::geteuid() == 0 ? "give them to whatever this shell runs in" : "run it as root (sudo)");
  }
  if ((have >> CAP_SYS_RESOURCE & 1U) == 0) {
    return warning("rights", "CAP_SYS_RESOURCE is missing",
                   "ulimits above the present hard limits and a negative oom_score_adj will be refused");
  }
  return ok("rights", "root with all capabilities that are needed");
}

Check check_namespaces() {
  std::vector<std::string> working;
  std::vector<std::string> lacking;
  for (const auto& space : kNamespaces) {
    const auto tried = in_own_namespaces(space.flag, [] { return Result<void>{}; });
    if (tried.ok()) {
      working.emplace_back(space.name);
    } else {
      lacking.push_back(fmt::format("{} ({})", space.name, tried.error().message()));
    }
  }
  if (lacking.empty()) return ok("namespaces", join(working, ", "));
  return missing("namespaces", join(lacking, ", "),
                 "needs root, a kernel with CONFIG_NAMESPACES, and /proc/sys/user/max_*_namespaces above 0");
}

Check check_overlay(const state::Paths& paths) {
  const std::string parent = nearest_existing(paths.root());
  std::string folder = parent + "/.compose-doctor-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) {
    return missing("overlayfs", os_error("make a folder in {}", parent).message(),
                   "choose a state folder that can be written: --root");
  }
  const auto tried = in_own_namespaces(CLONE_NEWNS, [&] { return try_overlay(folder); });
  (void)sys::remove_tree(folder);
  if (tried.ok()) return ok("overlayfs", "works below " + parent);
  return missing("overlayfs", fmt::format("below {}: {}", parent, tried.error().message()),
                 "needs root, the overlay module (modprobe overlay), and a state folder that is not on overlayfs "
                 "itself (--root)");
}

Check check_seccomp() {
  const std::uint32_t action = SECCOMP_RET_ERRNO;
  if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) return ok("seccomp", "filters are available");
  return missing("seccomp", os_error("seccomp").message(),
                 "needs CONFIG_SECCOMP_FILTER; or run services with security_opt: [seccomp=unconfined]");
}

Check check_limits() {
  struct rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return warning("open files", os_error("getrlimit").message(), "");
  const std::string found = fmt::format("soft {}, hard {}", files.rlim_cur, files.rlim_max);
  if (files.rlim_max >= 4096) return ok("open files", found);
  return warning("open files", found, "raise the hard limit (ulimit -Hn 65536): large projects need one per container");
}

}  // namespace compose::container::doctor
