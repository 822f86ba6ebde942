#pragma once
// The words of a mount's "options" (config.md "Mounts", mount(8)) as what the kernel takes.
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace compose::runtime::rootfs {

struct MountOptions {
  std::uint64_t attr_set = 0, attr_clear = 0;                      ///< MOUNT_ATTR_*
  std::uint64_t recursive_attr_set = 0, recursive_attr_clear = 0;  ///< the "rro" family
  std::uint64_t superblock_flags = 0;  ///< MS_SYNCHRONOUS, MS_DIRSYNC, MS_MANDLOCK, MS_LAZYTIME
  std::uint64_t propagation = 0;       ///< MS_* with MS_REC
  bool bind = false, recursive = false, remount = false, copy_up = false;
  bool id_map = false, recursive_id_map = false;
  std::string data;  ///< what is left for the file system, comma separated
};

MountOptions parse_mount_options(const std::vector<std::string>& options);

/// linux.rootfsPropagation and the propagation words: "rslave" → MS_SLAVE|MS_REC. 0 for an unknown word.
std::uint64_t propagation_flags(const std::string& word);

/// Every word that needs no file system's help, for `features`.
std::vector<std::string> known_mount_options();

}  // namespace compose::runtime::rootfs
