#pragma once
// Fills the tree of one layer in overlayfs form. Everything that comes from a tar or a build context passes here, and
// nothing it does can reach outside the tree: directories are opened one component at a time without following links;
// links are resolved by hand, inside the tree of this layer and the layers below it.
#include <sys/stat.h>

#include <cstdint>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "image/merged_view.hpp"

namespace compose::image {

struct FileAttributes {
  mode_t mode = 0644;  ///< permission bits with setuid, setgid, sticky
  uid_t uid = 0;
  gid_t gid = 0;
  timespec mtime{};
  /// Only security.capability, system.posix_acl_* and user.* are set: marks of overlayfs or of a security module of
  /// another host have no business in a layer.
  std::map<std::string, std::string> xattrs;
};

/// The attributes of a file of this host, with the xattrs that a layer keeps.
FileAttributes attributes_of(const std::string& host_path, const struct stat& status);
bool is_kept_xattr(const std::string& name);

/// What had to make room for a later entry of the same name; the older content is kept, because the layer's tar has it.
struct ReplacedPath {
  std::string path;  ///< physical
  std::string kept;  ///< relative to the folder given to create()
};

class LayerWriter {
 public:
  /// Fills `folder`/diff, which is made; `below` is what lies under the layer. Replaced entries go to
  /// `folder`/replaced.
  static Result<LayerWriter> create(const std::string& folder, MergedView below);
  LayerWriter(LayerWriter&&) noexcept;
  LayerWriter& operator=(LayerWriter&&) noexcept;
  ~LayerWriter();

  /// Paths may begin with "/" and have "." parts; ".." is Errc::invalid. Parents that do not exist are made with the
  /// attributes they have below (0755 root otherwise). An entry of the same name is replaced, directories by
  /// directories are merged. The results are physical paths.
  Result<std::string> directory(const std::string& path, const FileAttributes& attributes);
  Result<std::string> symbolic_link(const std::string& path, const std::string& target,
                                    const FileAttributes& attributes);
  Result<std::string> hard_link(const std::string& path, const std::string& target);
  Result<std::string> special(const std::string& path, mode_t type, dev_t device, const FileAttributes& attributes);
  /// Hides what is below; an entry of this layer with that name stays (image-spec layer.md, "whiteouts").
  Result<void> whiteout(const std::string& path);
  Result<void> opaque(const std::string& path);

  /// A file being written: `fd` is for pwrite; close() sets its attributes.
  struct File {
    std::string path;
    UniqueFd fd;
  };
  Result<File> file(const std::string& path);
  Result<void> close(File file, std::uint64_t size, const FileAttributes& attributes);

  /// This layer, as far as it is written, on what lies below.
  const MergedView& view() const;
  /// Where the tree is: `folder`/diff.
  const std::string& tree() const;

  /// Sets the times of directories, which every entry in them changes. Last call.
  Result<void> finish();

  const std::vector<ReplacedPath>& replaced() const;
  std::uint64_t bytes() const;  ///< of files' contents as given to close()

 private:
  struct State;
  explicit LayerWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace compose::image
