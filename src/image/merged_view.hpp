#pragma once
// The tree that overlayfs would show of a stack of layers, without mounting anything: lookups go from the top layer
// down and honour whiteouts (character device 0:0) and opaque directories (trusted.overlay.opaque), as
// Documentation/filesystems/overlayfs.rst describes them.
//
// Paths are relative to the root of the tree. A *physical* path names an entry without passing a symbolic link.
// Symbolic links are followed inside the tree only; ".." never leaves it. The layers are the store's own and do not
// change while they are read.
#include <sys/stat.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::image {

/// Splits at "/", drops empty parts and ".". ".." stays.
std::vector<std::string> path_components(std::string_view path);
/// The same joined again: "a/b"; "" for the root.
std::string clean_path(std::string_view path);
/// The same with ".." taken literally and kept inside the root: "/a/../../b" is "b".
std::string lexical_path(std::string_view path);
std::string join_path(const std::string& directory, const std::string& name);

bool is_whiteout(const struct stat& status);
/// True when `path` is a directory with overlayfs's mark that hides what is below.
bool is_opaque(const std::string& path);

struct ViewEntry {
  std::string path;  ///< physical, within the tree
  std::string host;  ///< where it really lies: safe for *at() calls without following
  struct stat status{};
};

class MergedView {
 public:
  MergedView() = default;
  /// `layers`: absolute paths, top first.
  explicit MergedView(std::vector<std::string> layers) : layers_{std::move(layers)} {}

  const std::vector<std::string>& layers() const { return layers_; }

  /// The entry at a physical path; a symbolic link is returned as such. Nothing if there is none.
  Result<std::optional<ViewEntry>> lookup(const std::string& physical) const;
  /// Follows symbolic links; the last one only if `follow_last`. Errc::invalid for a loop of links.
  Result<std::optional<ViewEntry>> resolve(std::string_view path, bool follow_last = true) const;
  /// The physical path of `path` with every link followed; what does not exist yet keeps its name.
  Result<std::string> real_path(std::string_view path) const;
  /// Names in the directory at a physical path, sorted.
  Result<std::vector<std::string>> list(const std::string& physical) const;
  Result<std::string> read_link(const ViewEntry& entry) const;
  /// The content of a file, links followed; nothing if it is no regular file. Errc::corrupt beyond `limit` bytes.
  Result<std::optional<std::string>> read_file(std::string_view path, std::size_t limit) const;

 private:
  std::vector<std::string> layers_;
};

}  // namespace compose::image
