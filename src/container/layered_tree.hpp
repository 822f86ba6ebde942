#pragma once
// Reads the tree that overlayfs would show for a stack of layers, without mounting anything and without ever leaving
// the layers: every step is taken relative to an open directory and symbolic links are followed by hand, inside the
// tree. Whiteouts and opaque directories as in Documentation/filesystems/overlayfs.rst.
#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::container {

/// A directory of the tree: the same directory in every layer that contributes to it, top first.
class MergedDirectory {
 public:
  struct Entry {
    std::string name;
    struct stat info{};
    int layer_fd = -1;  ///< directory it is in, in the layer that gives it; valid as long as the MergedDirectory
  };

  /// An entry that is not hidden, or nothing.
  Result<std::optional<Entry>> find(const std::string& name) const;
  /// All entries, by name.
  Result<std::vector<Entry>> list() const;
  /// The directory `name` below this one; `find` must have given a directory.
  Result<MergedDirectory> open(const std::string& name) const;
  /// The topmost one: its owner, mode and extended attributes are those of the merged directory.
  int top_fd() const { return parts_.front()->get(); }
  /// The directories it is made of, as absolute paths, top first: what overlayfs shows of them is this directory.
  Result<std::vector<std::string>> paths() const;

 private:
  friend class LayeredTree;
  std::vector<std::shared_ptr<UniqueFd>> parts_;
};

class LayeredTree {
 public:
  /// `layers`: absolute directories, top first, at least one.
  static Result<LayeredTree> open(const std::vector<std::string>& layers);

  const MergedDirectory& root() const { return root_; }
  /// The directory at `path`, symbolic links followed inside the tree; nothing when there is none or it is no
  /// directory.
  Result<std::optional<MergedDirectory>> directory(const std::string& path) const;
  /// The content of a regular file of at most a megabyte, or nothing.
  Result<std::optional<std::string>> read_file(const std::string& path) const;

 private:
  struct Found;
  Result<std::optional<Found>> resolve(const std::string& path) const;
  MergedDirectory root_;
};

/// Copies everything below `from` into the directory `to_fd` (which should be empty) with owners, modes, times,
/// extended attributes and hard links; the owner, mode and attributes of `from` itself go to `to_fd` too.
Result<void> copy_tree(const MergedDirectory& from, int to_fd);

}  // namespace compose::container
