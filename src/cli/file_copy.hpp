#pragma once
// Copies trees between folders and tar streams. Symbolic links are copied, never followed.
#include <sys/types.h>

#include <optional>
#include <string>

#include "base/error.hpp"

namespace compose::cli {

struct CopyOwner {
  std::optional<uid_t> uid{};  ///< nothing: as in the source
  std::optional<gid_t> gid{};
};

/// `name` in the folder `from` (a descriptor) becomes `new_name` in the folder `to`; the name "." copies what is in
/// `from` itself. What is there already is replaced, folders are merged.
Result<void> copy_tree(int from, const std::string& name, int to, const std::string& new_name, const CopyOwner& owner);
/// `name` in the folder `from` as a tar (pax) on the descriptor `out`, its paths beginning with `new_name`.
Result<void> write_tar(int from, const std::string& name, const std::string& new_name, int out);
/// Unpacks a tar (compressed or not) from the descriptor `in` (which it takes over) into the folder `to`.
Result<void> read_tar(int in, int to, const CopyOwner& owner);

}  // namespace compose::cli
