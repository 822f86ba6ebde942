#pragma once
// A container's file system as it sees it, for cp, export and commit.
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "cli/context.hpp"
#include "cli/file_copy.hpp"

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
  /// Those of a running container that has its own.
  const ContainerIds& ids() const { return ids_; }
  /// A path in the container; symbolic links are followed inside it (openat2(2), RESOLVE_IN_ROOT).
  Result<UniqueFd> open_path(const std::string& path, int flags) const;
  /// The same for a path's parent: `name` becomes the last part, which is not followed.
  Result<UniqueFd> open_parent(const std::string& path, std::string& name) const;

 private:
  explicit ContainerRoot(UniqueFd fd, ContainerIds ids = {}) : fd_{std::move(fd)}, ids_{ids} {}
  UniqueFd fd_;
  ContainerIds ids_;
};

/// While it lives, what this thread makes belongs to the container's root: a file system with mapped ids takes nobody
/// else's files (EOVERFLOW). Without ids of its own nothing changes.
class ActingAsContainer {
 public:
  static Result<ActingAsContainer> begin(const ContainerIds& ids);
  ActingAsContainer(ActingAsContainer&& other) noexcept : acting_{std::exchange(other.acting_, false)} {}
  ActingAsContainer& operator=(ActingAsContainer&&) = delete;
  ~ActingAsContainer();

 private:
  explicit ActingAsContainer(bool acting) : acting_{acting} {}
  bool acting_;
};

/// As ContainerRoot::open_path below any folder.
Result<UniqueFd> open_below(int root, const std::string& path, int flags);

}  // namespace compose::cli
