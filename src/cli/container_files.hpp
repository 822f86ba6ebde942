#pragma once
// A container's file system as it sees it, for cp, export and commit.
#include <string>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "cli/context.hpp"

namespace compose::cli {

/// The root of a container's files. Of a running container it is the container's own view; of a stopped one the
/// overlay with its volumes, mounted in a mount namespace that ends with this process, so that nothing stays.
class ContainerRoot {
 public:
  enum class Access : std::uint8_t { read, write };
  static Result<ContainerRoot> open(const Context& context, const state::ContainerRecord& container, Access access);
  /// As open for reading, but only the image's and the container's own files, without volumes.
  static Result<ContainerRoot> open_layers(const Context& context, const state::ContainerRecord& container);

  int fd() const { return fd_.get(); }
  /// A path in the container; symbolic links are followed inside it (openat2(2), RESOLVE_IN_ROOT).
  Result<UniqueFd> open_path(const std::string& path, int flags) const;
  /// The same for a path's parent: `name` becomes the last part, which is not followed.
  Result<UniqueFd> open_parent(const std::string& path, std::string& name) const;

 private:
  explicit ContainerRoot(UniqueFd fd) : fd_{std::move(fd)} {}
  UniqueFd fd_;
};

/// As ContainerRoot::open_path below any folder.
Result<UniqueFd> open_below(int root, const std::string& path, int flags);

}  // namespace compose::cli
