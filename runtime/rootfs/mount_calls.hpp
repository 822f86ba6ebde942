#pragma once
// The new mount system calls with our errors; see fsopen(2), fsconfig(2), fsmount(2), open_tree(2), move_mount(2).
#include <cstdint>
#include <string>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::runtime::rootfs {

/// A file system being configured.
class NewFilesystem {
 public:
  static Result<NewFilesystem> open(const std::string& type);
  /// "key=value" or "flag".
  Result<void> option(const std::string& word);
  Result<void> source(const std::string& source);
  /// Creates it, with the MOUNT_ATTR_* of its one mount. The mount is detached.
  Result<UniqueFd> mount(std::uint64_t attributes);

 private:
  NewFilesystem(UniqueFd fd, std::string type) : fd_{std::move(fd)}, type_{std::move(type)} {}
  /// The kernel's own explanation, if it left one, else errno.
  Error problem(const std::string& what) const;
  UniqueFd fd_;
  std::string type_;
};

/// A detached copy of the mount (tree) at `path`, relative to `directory`; "" is the directory itself.
Result<UniqueFd> clone_mount(int directory, const std::string& path, bool recursive, bool no_follow = false);
/// mount_setattr(2) of one mount or its whole tree; `propagation`: MS_PRIVATE, MS_SLAVE …, 0 to leave it.
Result<void> set_mount_attributes(int mount, std::uint64_t set, std::uint64_t clear, bool recursive,
                                  std::uint64_t propagation = 0);
/// MS_PRIVATE, MS_SLAVE … with or without MS_REC.
Result<void> set_mount_propagation(int mount, std::uint64_t flags);
/// Puts a detached mount on the open target.
Result<void> attach_mount(int mount, int target);

}  // namespace compose::runtime::rootfs
