#pragma once
// Paths inside a root that may be hostile: everything is resolved by the kernel below the root's descriptor
// (openat2(2), RESOLVE_IN_ROOT), so that no symbolic link, "..", or rename during the walk leads to the host.
#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::runtime::rootfs {

/// Opens `path` as chroot(root) would see it; `flags` as for open(2), O_CLOEXEC is added. Magic links are never
/// followed; with `no_symlinks` no link is.
Result<UniqueFd> open_in_root(int root, const std::string& path, std::uint64_t flags, bool no_symlinks = false);

/// The directory at `path`, made (0755, with its parents) where missing. O_PATH.
Result<UniqueFd> make_directory_in_root(int root, const std::string& path, bool no_symlinks = false);

/// The file at `path`, an empty one if missing, with its parents. O_PATH.
Result<UniqueFd> make_file_in_root(int root, const std::string& path);

/// {parent directory (made where missing), last component} of a path.
struct Entry {
  UniqueFd parent;
  std::string name;
};
Result<Entry> entry_in_root(int root, const std::string& path);

}  // namespace compose::runtime::rootfs
