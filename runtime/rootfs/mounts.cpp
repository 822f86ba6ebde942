#include "runtime/rootfs/mounts.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.hpp"
#include "runtime/rootfs/copy_up.hpp"
#include "runtime/rootfs/mount_calls.hpp"
#include "runtime/rootfs/paths.hpp"

namespace compose::runtime::rootfs {
namespace {

using launch::RootStep;
using Kind = RootStep::Kind;

const char* verb(Kind kind) {
  switch (kind) {
    case Kind::device:
      return "create device";
    case Kind::symlink:
      return "create link";
    case Kind::mask:
      return "mask";
    case Kind::readonly:
      return "make read-only";
    case Kind::remount:
      return "remount";
    default:
      return "mount";
  }
}

bool is_on(int fd, long magic) {
  struct statfs status{};
  return ::fstatfs(fd, &status) == 0 && status.f_type == magic;
}

bool is_missing(const Error& error) { return error.sys_errno() == ENOENT || error.sys_errno() == ENOTDIR; }

/// Clears and sets flags of the whole tree first, then of its top mount.
Result<void> apply_attributes(int mount, const RootStep& step) {
  if (step.recursive_attr_set != 0 || step.recursive_attr_clear != 0) {
    TRY(set_mount_attributes(mount, step.recursive_attr_set, step.recursive_attr_clear, true));
  }
  if (step.attr_set != 0 || step.attr_clear != 0) {
    TRY(set_mount_attributes(mount, step.attr_set, step.attr_clear, false));
  }
  return {};
}

/// mount(2) for what the new interface cannot carry: values of more than 255
/// bytes, and helpers' odd options.
Result<void> mount_classic(const RootStep& step, int target) {
  unsigned long flags = step.superblock_flags;
  if (step.attr_set & MOUNT_ATTR_RDONLY) flags |= MS_RDONLY;
  if (step.attr_set & MOUNT_ATTR_NOSUID) flags |= MS_NOSUID;
  if (step.attr_set & MOUNT_ATTR_NODEV) flags |= MS_NODEV;
  if (step.attr_set & MOUNT_ATTR_NOEXEC) flags |= MS_NOEXEC;
  if ((step.attr_set & MOUNT_ATTR__ATIME) == MOUNT_ATTR_NOATIME) flags |= MS_NOATIME;
  const std::string path = fmt::format("/proc/self/fd/{}", target);
  if (::mount(step.source.c_str(), path.c_str(), step.type.c_str(), flags, step.data.c_str()) != 0) {
    return os_error("{}", step.type);
  }
  return {};
}

bool needs_classic(const RootStep& step) {
  if (step.type == "overlay" || step.type == "nfs" || step.type == "nfs4" || step.type == "cifs") return true;
  const auto words = split(step.data, ',');
  return std::ranges::any_of(words, [](const auto& word) { return word.size() > 255; });
}

}  // namespace

Result<UniqueFd> new_proc() {
  TRY_ASSIGN(NewFilesystem system, NewFilesystem::open("proc"));
  TRY(system.source("proc"));
  return system.mount(0);
}

Result<void> StepRunner::run(const RootStep& step) {
  Result<void> done;
  switch (step.kind) {
    case Kind::filesystem:
      done = filesystem(step);
      break;
    case Kind::bind:
      done = bind(step);
      break;
    case Kind::cgroup:
      done = cgroups(step);
      break;
    case Kind::device:
      done = device(step);
      break;
    case Kind::symlink:
      done = symlink(step);
      break;
    case Kind::mask:
      done = mask(step);
      break;
    case Kind::readonly:
      done = readonly(step);
      break;
    case Kind::remount:
      done = remount(step);
      break;
  }
  return std::move(done).with("{} \"{}\" ({})", verb(step.kind), step.target, step.where);
}

Result<UniqueFd> StepRunner::target_directory(const RootStep& step) {
  // An image whose /proc or /sys is a link would have the kernel's files
  // mounted where it likes (CVE-2019-19921).
  const bool kernel_files = step.type == "proc" || step.type == "sysfs";
  TRY_ASSIGN(UniqueFd target, make_directory_in_root(root_, step.target, kernel_files));
  if (!step.target.starts_with("/proc/") && step.type != "proc" && is_on(target.get(), PROC_SUPER_MAGIC)) {
    return make_error(Errc::invalid, "the path leads into /proc");
  }
  return target;
}

Result<void> StepRunner::filesystem(const RootStep& step) {
  const bool was_there = open_in_root(root_, step.target, O_PATH | O_DIRECTORY).ok();
  TRY_ASSIGN(const UniqueFd target, target_directory(step));
  if (proc_ >= 0 && step.type == "proc" && step.source == "proc" && step.data.empty() && step.superblock_flags == 0) {
    return ready_proc(step, target.get());
  }
  if (needs_classic(step)) {
    TRY(mount_classic(step, target.get()));
    if (step.propagation == 0) return {};
    TRY_ASSIGN(const UniqueFd mounted, open_in_root(root_, step.target, O_PATH));
    return set_mount_propagation(mounted.get(), step.propagation);
  }
  TRY_ASSIGN(NewFilesystem system, NewFilesystem::open(step.type));
  TRY(system.source(step.source.empty() ? step.type : step.source));
  for (const auto& word : split(step.data, ',')) {
    if (!word.empty()) TRY(system.option(word));
  }
  if (step.type == "tmpfs" && was_there && step.data.find("mode=") == std::string::npos) {
    // Without a mode of its own a tmpfs takes the one of the directory it covers, as under Docker.
    struct stat covered{};
    if (::fstat(target.get(), &covered) != 0) return os_error("read the mode");
    TRY(system.option(fmt::format("mode={:o}", covered.st_mode & 07777)));
  }
  if (step.superblock_flags & MS_SYNCHRONOUS) TRY(system.option("sync"));
  if (step.superblock_flags & MS_DIRSYNC) TRY(system.option("dirsync"));
  if (step.superblock_flags & MS_MANDLOCK) TRY(system.option("mand"));
  if (step.superblock_flags & MS_LAZYTIME) TRY(system.option("lazytime"));
  if (!plan_.mount_label.empty() && (step.type == "tmpfs" || step.type == "mqueue" || step.type == "devpts")) {
    TRY(system.option("context=" + plan_.mount_label));
  }
  // Its content is copied before the mount can be read-only.
  const std::uint64_t late = step.copy_up ? step.attr_set & MOUNT_ATTR_RDONLY : 0;
  auto made = system.mount(step.attr_set & ~late);
  if (!made && step.type == "sysfs" && made.error().sys_errno() == EPERM) {
    // It shows a network, and this one belongs to another user namespace: the host's, read-only.
    return host_sysfs(step, target.get());
  }
  if (!made) return std::move(made).error();
  const UniqueFd mount = std::move(*made);
  if (step.copy_up) TRY(copy_directory(target.get(), mount.get()));
  if (late != 0) TRY(set_mount_attributes(mount.get(), late, 0, false));
  if (step.propagation != 0) TRY(set_mount_propagation(mount.get(), step.propagation));
  return attach_mount(mount.get(), target.get());
}

Result<void> StepRunner::ready_proc(const RootStep& step, int target) {
  TRY(set_mount_attributes(proc_, step.attr_set, 0, false));
  if (step.propagation != 0) TRY(set_mount_propagation(proc_, step.propagation));
  TRY(attach_mount(proc_, target));
  proc_ = -1;  // a second one, if there is such a step, is a new one
  return {};
}

Result<void> StepRunner::host_sysfs(const RootStep& step, int target) {
  TRY_ASSIGN(const UniqueFd tree, clone_mount(AT_FDCWD, "/sys", /*recursive=*/true));
  TRY(set_mount_attributes(tree.get(), step.attr_set | MOUNT_ATTR_RDONLY, 0, /*recursive=*/true));
  TRY(set_mount_propagation(tree.get(), MS_PRIVATE | MS_REC));
  return attach_mount(tree.get(), target);
}

Result<UniqueFd> StepRunner::bind_source(const RootStep& step) const {
  if (const PreparedMount* prepared = prepared_.find(step)) {
    UniqueFd copy{::fcntl(prepared->tree.get(), F_DUPFD_CLOEXEC, 3)};
    if (!copy.valid()) return os_error("bind source {}", step.source);
    return copy;
  }
  return clone_mount(AT_FDCWD, step.source, step.recursive, step.no_follow).with("bind source");
}

Result<void> StepRunner::bind(const RootStep& step) {
  TRY_ASSIGN(const UniqueFd tree, bind_source(step));
  struct stat source{};
  if (::fstat(tree.get(), &source) != 0) return os_error("bind source {}", step.source);
  if (step.target == "/proc" && !is_on(tree.get(), PROC_SUPER_MAGIC)) {
    return make_error(Errc::invalid, "\"/proc\" can only be a proc file system, not {}", step.source);
  }
  TRY_ASSIGN(const UniqueFd target, S_ISDIR(source.st_mode) ? make_directory_in_root(root_, step.target)
                                                            : make_file_in_root(root_, step.target));
  if (!step.target.starts_with("/proc") && is_on(target.get(), PROC_SUPER_MAGIC)) {
    return make_error(Errc::invalid, "the path leads into /proc");
  }
  TRY(apply_attributes(tree.get(), step));
  TRY(set_mount_propagation(tree.get(), step.propagation != 0 ? step.propagation : MS_PRIVATE | MS_REC));
  auto done = attach_mount(tree.get(), target.get());
  if (!done && done.error().sys_errno() == ENOTDIR) {
    return make_error(Errc::invalid, "{} is {} but the target in the image is not", step.source,
                      S_ISDIR(source.st_mode) ? "a directory" : "a file");
  }
  return done;
}

Result<void> StepRunner::device(const RootStep& step) {
  if (const PreparedMount* prepared = prepared_.find(step)) {
    TRY_ASSIGN(const UniqueFd target, make_file_in_root(root_, step.target));
    return attach_mount(prepared->tree.get(), target.get());
  }
  TRY_ASSIGN(const Entry entry, entry_in_root(root_, step.target));
  const mode_t type = step.type == "b" ? S_IFBLK : step.type == "p" ? S_IFIFO : S_IFCHR;
  const dev_t number = step.type == "p" ? 0 : ::makedev(step.major, step.minor);
  if (::mknodat(entry.parent.get(), entry.name.c_str(), type | 0600, number) != 0) {
    if (errno == EPERM) {  // in a user namespace: the host's own node instead
      TRY_ASSIGN(const UniqueFd tree, clone_mount(AT_FDCWD, step.target, false));
      TRY(set_mount_attributes(tree.get(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0,
                               /*recursive=*/false));
      TRY_ASSIGN(const UniqueFd target, make_file_in_root(root_, step.target));
      return attach_mount(tree.get(), target.get());
    }
    if (errno != EEXIST) return os_error("mknod");
  }
  const UniqueFd node{::openat(entry.parent.get(), entry.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)};
  struct stat status{};
  if (!node.valid() || ::fstat(node.get(), &status) != 0) return os_error("open the node");
  if ((status.st_mode & S_IFMT) != type || (type != S_IFIFO && status.st_rdev != number)) {
    return make_error(Errc::exists, "something else is there already");
  }
  // By the descriptor's own magic link, which leads nowhere else (fchmod(2)
  // does not take O_PATH).
  const std::string self = fmt::format("/proc/self/fd/{}", node.get());
  if (::chmod(self.c_str(), step.mode) != 0) return os_error("set the mode");
  if (::fchownat(node.get(), "", step.uid, step.gid, AT_EMPTY_PATH) != 0) return os_error("set the owner");
  return {};
}

Result<void> StepRunner::symlink(const RootStep& step) {
  if (step.source == "/proc/kcore" && ::access("/proc/kcore", F_OK) != 0) return {};
  TRY_ASSIGN(const Entry entry, entry_in_root(root_, step.target));
  if (::symlinkat(step.source.c_str(), entry.parent.get(), entry.name.c_str()) != 0 && errno != EEXIST) {
    return os_error("symlink");
  }
  return {};
}

Result<void> StepRunner::mask(const RootStep& step) {
  auto target = open_in_root(root_, step.target, O_PATH);
  if (!target) return is_missing(target.error()) ? Result<void>{} : Result<void>{std::move(target).error()};
  struct stat status{};
  if (::fstat(target->get(), &status) != 0) return os_error("stat");
  if (S_ISDIR(status.st_mode)) return mask_directory(target->get());
  if (!null_.valid()) {
    // The host's node, and truly the null device: the container cannot have put
    // something else there (CVE-2025-31133).
    null_.reset(::open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat null{};
    if (!null_.valid() || ::fstat(null_.get(), &null) != 0) return os_error("open the host's /dev/null");
    if (!S_ISCHR(null.st_mode) || null.st_rdev != ::makedev(1, 3)) {
      return make_error(Errc::failed, "the host's /dev/null is not the null device");
    }
  }
  TRY_ASSIGN(const UniqueFd copy, clone_mount(null_.get(), "", false));
  return attach_mount(copy.get(), target->get());
}

/// One empty tmpfs serves all: kernels before 6.15 copy only mounts that are
/// attached, so the first is made and attached, and the others are copies of
/// it.
Result<void> StepRunner::mask_directory(int target) {
  if (empty_.valid()) {
    TRY_ASSIGN(const UniqueFd copy, clone_mount(empty_.get(), "", false));
    return attach_mount(copy.get(), target);
  }
  TRY_ASSIGN(NewFilesystem system, NewFilesystem::open("tmpfs"));
  TRY(system.option("size=0"));
  TRY(system.option("nr_inodes=2"));
  TRY_ASSIGN(empty_, system.mount(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  return attach_mount(empty_.get(), target);
}

Result<void> StepRunner::readonly(const RootStep& step) {
  auto target = open_in_root(root_, step.target, O_PATH);
  if (!target) return is_missing(target.error()) ? Result<void>{} : Result<void>{std::move(target).error()};
  TRY_ASSIGN(const UniqueFd copy, clone_mount(target->get(), "", true));
  TRY(set_mount_attributes(copy.get(), MOUNT_ATTR_RDONLY, 0, true));
  return attach_mount(copy.get(), target->get());
}

Result<void> StepRunner::remount(const RootStep& step) {
  TRY_ASSIGN(const UniqueFd target, open_in_root(root_, step.target, O_PATH));
  TRY(apply_attributes(target.get(), step));
  return step.propagation == 0 ? Result<void>{} : set_mount_propagation(target.get(), step.propagation);
}

}  // namespace compose::runtime::rootfs
