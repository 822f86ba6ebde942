#include "cli/watch_sync.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>

#include "base/strings.hpp"
#include "base/unique_fd.hpp"
#include "cli/container_files.hpp"
#include "sys/file.hpp"

namespace compose::cli {
namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY;

struct Split {
  std::string folder;
  std::string name;
};

Split split_path(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

Result<void> give_owner(int fd, const std::string& path, const CopyOwner& owner) {
  const uid_t uid = owner.uid ? owner.target.outside(*owner.uid) : static_cast<uid_t>(-1);
  const gid_t gid = owner.gid ? owner.target.outside(*owner.gid) : static_cast<gid_t>(-1);
  if (::fchown(fd, uid, gid) != 0)
    return os_error("giving {} its owner", path);
  return {};
}

/// A folder in the container; what is missing of it is made.
Result<UniqueFd> open_or_make(int root, const std::string& path, const CopyOwner& owner) {
  auto there = open_below(root, path, kFolder);
  if (there || there.error().sys_errno() != ENOENT || path == "/") return there;
  const Split at = split_path(path);
  TRY_ASSIGN(const UniqueFd parent, open_or_make(root, at.folder, owner));
  if (::mkdirat(parent.get(), at.name.c_str(), 0755) != 0 && errno != EEXIST) return os_error("making {}", path);
  TRY_ASSIGN(UniqueFd made, open_below(root, path, kFolder));
  TRY(give_owner(made.get(), path, owner));
  return made;
}

/// rm -r of one name in a folder; links are removed, never followed.
Result<void> remove_entry(int folder, const std::string& name) {
  if (::unlinkat(folder, name.c_str(), 0) == 0 || errno == ENOENT || errno == ENOTDIR) return {};
  if (errno != EISDIR && errno != EPERM) return os_error("removing {}", name);
  const UniqueFd inside{::openat(folder, name.c_str(), kFolder | O_NOFOLLOW | O_CLOEXEC)};
  if (!inside.valid()) return os_error("removing {}", name);
  TRY_ASSIGN(const auto names, sys::list_directory(fmt::format("/proc/self/fd/{}", inside.get())));
  for (const std::string& one : names) TRY(remove_entry(inside.get(), one));
  if (::unlinkat(folder, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return os_error("removing {}", name);
  return {};
}

Result<void> remove_target(int root, const std::string& target) {
  const Split at = split_path(target);
  const auto folder = open_below(root, at.folder, kFolder);
  if (!folder && (folder.error().sys_errno() == ENOENT || folder.error().sys_errno() == ENOTDIR)) return {};
  if (!folder) return folder.error();
  return remove_entry(folder->get(), at.name);
}

std::string link_text(int folder, const char* name) {
  char text[PATH_MAX];
  const ssize_t size = ::readlinkat(folder, name, text, sizeof text);
  return size < 0 ? std::string{} : std::string(text, static_cast<std::size_t>(size));
}

}  // namespace

Result<void> sync_path(int root, const std::string& source, const std::string& target, const CopyOwner& owner) {
  struct stat info {};
  if (::lstat(source.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return remove_target(root, target);
    return os_error("{}", source);
  }
  if (S_ISDIR(info.st_mode)) {
    if (target == "/") return {};
    const auto there = open_below(root, target, O_PATH | O_NOFOLLOW);
    struct stat old {};
    if (there && ::fstat(there->get(), &old) == 0 && S_ISREG(old.st_mode)) TRY(remove_target(root, target));
    TRY_ASSIGN(const UniqueFd folder, open_or_make(root, target, owner));
    if (!there && ::fchmod(folder.get(), info.st_mode & 07777U) != 0) return os_error("giving {} its mode", target);
    return {};
  }
  if (!S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)) return {};  // sockets, devices and pipes mean nothing inside
  const Split from = split_path(source);
  const Split to = split_path(target);
  const UniqueFd source_folder{::open(from.folder.c_str(), kFolder | O_CLOEXEC)};
  if (!source_folder.valid()) return os_error("{}", from.folder);
  TRY_ASSIGN(const UniqueFd folder, open_or_make(root, to.folder, owner));
  struct stat old {};
  if (::fstatat(folder.get(), to.name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(old.st_mode))
    TRY(remove_entry(folder.get(), to.name));
  return copy_tree(source_folder.get(), from.name, folder.get(), to.name, owner);
}

bool sync_differs(int root, const std::string& source, const std::string& target) {
  struct stat ours {};
  struct stat theirs {};
  const bool here = ::lstat(source.c_str(), &ours) == 0;
  const auto there = open_below(root, target, O_PATH | O_NOFOLLOW);
  if (!there || ::fstat(there->get(), &theirs) != 0) return here;
  if (!here || (ours.st_mode & S_IFMT) != (theirs.st_mode & S_IFMT)) return true;
  if (S_ISDIR(ours.st_mode)) return false;
  if (S_ISLNK(ours.st_mode)) return link_text(AT_FDCWD, source.c_str()) != link_text(there->get(), "");
  return ours.st_size != theirs.st_size || ours.st_mtim.tv_sec != theirs.st_mtim.tv_sec ||
         ours.st_mtim.tv_nsec != theirs.st_mtim.tv_nsec;
}

}  // namespace compose::cli
