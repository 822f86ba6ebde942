#include "cli/container_files.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>

#include "base/strings.hpp"
#include "image/store.hpp"
#include "sys/file.hpp"
#include "sys/user_namespace.hpp"

namespace compose::cli {
namespace {

/// A mount namespace of our own: what is mounted from here on goes with this process.
Result<void> leave_mounts() {
  if (::unshare(CLONE_NEWNS) != 0) return os_error("making a mount namespace (this needs root)");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return os_error("making mounts private");
  return {};
}

/// An empty folder to mount on: a tmpfs over /mnt of our own namespace.
Result<std::string> mount_point() {
  if (::mount("tmpfs", "/mnt", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700") != 0)
    return os_error("mounting a tmpfs on /mnt");
  const std::string path = "/mnt/rootfs";
  if (::mkdir(path.c_str(), 0755) != 0) return os_error("making {}", path);
  return path;
}

Result<UniqueFd> open_folder(const std::string& path) {
  UniqueFd fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd.valid()) return os_error("opening {}", path);
  return fd;
}

/// Mounts the layers; their paths may be longer than a page together, so each is given by the number of a descriptor.
Result<std::string> mount_layers(const Context& context, const state::ContainerRecord& container, bool writable) {
  TRY_ASSIGN(const image::Store store, image::Store::open(context.paths().root()));
  TRY_ASSIGN(const auto image, store.find(container.image_id));
  if (!image)
    return make_error(Errc::not_found, "the image of container {} is not on this host any more", container.name);
  const std::string own = context.paths().container(container.project, container.id);
  Strings lower = image->layer_dirs;
  if (!writable) lower.insert(lower.begin(), own + "/upper");
  TRY(leave_mounts());
  TRY_ASSIGN(const std::string target, mount_point());
  std::vector<UniqueFd> folders;
  Strings numbered;
  for (const std::string& layer : lower) {
    TRY_ASSIGN(UniqueFd folder, open_folder(layer));
    numbered.push_back(fmt::format("/proc/self/fd/{}", folder.get()));
    folders.push_back(std::move(folder));
  }
  std::string options = sys::in_initial_user_namespace() ? "lowerdir=" : "userxattr,lowerdir=";
  options += join(numbered, ":");
  if (writable) options += fmt::format(",upperdir={0}/upper,workdir={0}/work", own);
  if (numbered.size() == 1 && !writable) {
    if (::mount(numbered[0].c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0)
      return os_error("mounting {}", lower[0]);
    return target;
  }
  if (::mount("overlay", target.c_str(), "overlay", writable ? 0 : MS_RDONLY, options.c_str()) != 0)
    return os_error("mounting the files of container {}", container.name);
  return target;
}

Result<void> mount_volumes(const state::ContainerRecord& container, int root) {
  for (const auto& mount : container.mounts) {
    if (mount.source.empty() || (mount.type != "bind" && mount.type != "volume")) continue;
    const auto target = open_below(root, mount.target, O_PATH);
    if (!target) continue;  // it has never been started, so the folder is not there yet
    const std::string path = fmt::format("/proc/self/fd/{}", target->get());
    if (::mount(mount.source.c_str(), path.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
      return os_error("mounting {} on {}", mount.source, mount.target);
  }
  return {};
}

/// From its first mapping, which is the only one we make.
Result<ContainerIds> ids_of(pid_t pid) {
  struct stat ours{};
  struct stat theirs{};
  if (::stat("/proc/self/ns/user", &ours) != 0 || ::stat(fmt::format("/proc/{}/ns/user", pid).c_str(), &theirs) != 0)
    return os_error("opening the user namespace of process {}", pid);
  if (ours.st_ino == theirs.st_ino) return ContainerIds{};
  TRY_ASSIGN(const std::string map, sys::read_file(fmt::format("/proc/{}/uid_map", pid)));
  ContainerIds ids;
  unsigned inside = 0;
  if (std::sscanf(map.c_str(), "%u %u %u", &inside, &ids.first, &ids.size) != 3 || inside != 0)
    return make_error(Errc::corrupt, "the ids of process {} are mapped in a way we do not make: {}", pid, trim(map));
  return ids;
}

/// A change of the file system ids takes those away that are about files (capabilities(7)).
Result<void> restore_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return os_error("reading the own capabilities");
  for (auto& part : data) part.effective = part.permitted;
  if (::syscall(SYS_capset, &header, data) != 0) return os_error("taking back the own capabilities");
  return {};
}

}  // namespace

Result<UniqueFd> open_below(int root, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd{static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how))};
  if (!fd.valid()) return os_error("{}", path);
  return fd;
}

Result<ActingAsContainer> ActingAsContainer::begin(const ContainerIds& ids) {
  ActingAsContainer acting{ids.size != 0};
  if (!acting.acting_) return acting;
  ::setfsgid(ids.first);
  ::setfsuid(ids.first);
  TRY(restore_capabilities());
  return acting;
}

ActingAsContainer::~ActingAsContainer() {
  if (!acting_) return;
  ::setfsuid(::geteuid());
  ::setfsgid(::getegid());
}

Result<ContainerRoot> ContainerRoot::open(const Context& context, const state::ContainerRecord& container,
                                          Access access) {
  if (container.phase == state::Phase::running) {
    TRY_ASSIGN(UniqueFd fd, open_folder(fmt::format("/proc/{}/root", container.pid)));
    TRY_ASSIGN(const ContainerIds ids, ids_of(container.pid));
    return ContainerRoot{std::move(fd), ids};
  }
  TRY_ASSIGN(const std::string path, mount_layers(context, container, access == Access::write));
  TRY_ASSIGN(UniqueFd fd, open_folder(path));
  TRY(mount_volumes(container, fd.get()));
  return ContainerRoot{std::move(fd)};
}

Result<ContainerRoot> ContainerRoot::open_layers(const Context& context, const state::ContainerRecord& container) {
  TRY_ASSIGN(const std::string path, mount_layers(context, container, false));
  TRY_ASSIGN(UniqueFd fd, open_folder(path));
  return ContainerRoot{std::move(fd)};
}

Result<UniqueFd> ContainerRoot::open_path(const std::string& path, int flags) const {
  return open_below(fd_.get(), path.empty() ? "/" : path, flags);
}

Result<UniqueFd> ContainerRoot::open_parent(const std::string& path, std::string& name) const {
  std::string whole = path;
  while (whole.size() > 1 && whole.back() == '/') whole.pop_back();
  const std::size_t slash = whole.rfind('/');
  name = whole.substr(slash == std::string::npos ? 0 : slash + 1);
  const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : whole.substr(0, slash);
  return open_path(parent, O_RDONLY | O_DIRECTORY);
}

}  // namespace compose::cli
