#pragma once
// Copies trees between folders and tar streams. Symbolic links are copied, never followed.
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.hpp"

namespace compose::cli {

/// The ids of a container with a user namespace of its own: `first` is what its root is on the host, and so on for
/// `size` ids. Without a size they are the host's.
struct ContainerIds {
  std::uint32_t first = 0, size = 0;
  std::uint32_t outside(std::uint32_t id) const;  ///< of the host; ids that it does not have become its nobody
  std::uint32_t inside(std::uint32_t id) const;
};

struct CopyOwner {
  std::optional<uid_t> uid{};  ///< as the target has it; nothing: as in the source
  std::optional<gid_t> gid{};
  ContainerIds source{}, target{};
};

/// `name` in the folder `from` (a descriptor) becomes `new_name` in the folder `to`; the name "." copies what is in
/// `from` itself. What is there already is replaced, folders are merged.
Result<void> copy_tree(int from, const std::string& name, int to, const std::string& new_name, const CopyOwner& owner);
/// `name` in the folder `from` as a tar (pax) on the descriptor `out`, its paths beginning with `new_name`.
Result<void> write_tar(int from, const std::string& name, const std::string& new_name, int out,
                       const ContainerIds& source = {});
/// Unpacks a tar (compressed or not) from the descriptor `in` (which it takes over) into the folder `to`.
Result<void> read_tar(int in, int to, const CopyOwner& owner);

}  // namespace compose::cli
