#pragma once
// The store as its own parts, the builder and the registry client see it: workspaces, layers, blobs, the index.
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "image/byte_stream.hpp"
#include "image/store.hpp"
#include "sys/lock.hpp"

namespace compose::image {

/// A folder in tmp/ for unfinished work. Its lock file is locked as long as the process lives, so that others can tell
/// garbage from work in progress. Removed with the object.
class Workspace {
 public:
  static Result<Workspace> create(const std::string& tmp_dir);
  Workspace(Workspace&&) noexcept = default;
  Workspace& operator=(Workspace&&) noexcept = default;
  ~Workspace();
  const std::string& path() const { return path_; }
  /// In the workspace of a build's step while that has, or may have, processes and a control group, which are found by
  /// the workspace's name.
  static constexpr std::string_view kStepMark = "bundle";
  /// Removes the workspaces of processes that are gone, but for those of steps, which the builder ends first. Returns
  /// the number.
  static Result<int> sweep(const std::string& tmp_dir);

 private:
  Workspace(std::string path, sys::FileLock lock) : path_{std::move(path)}, lock_{std::move(lock)} {}
  std::string path_;
  std::optional<sys::FileLock> lock_;
};

/// Keeps garbage collection away from layers that no image names yet.
using UseLock = UniqueFd;

/// One line of images/index.json.
struct IndexEntry {
  std::string manifest_digest;
  std::uint64_t manifest_size = 0;
  std::string image_id;
  std::string name;         ///< full; "" for a dangling image
  std::string tagged_at;    ///< RFC 3339
  std::string repo_digest;  ///< "docker.io/library/nginx@sha256:…" or ""
};

class Store::Internal {
 public:
  explicit Internal(const std::string& root);
  Result<void> make_folders() const;

  const std::string root;
  const std::string images;
  const std::string layers_dir;
  const std::string tmp;

  Result<UseLock> use() const;                     ///< shared; waits for a running collection
  Result<std::optional<UseLock>> collect() const;  ///< exclusive; nothing while somebody uses the store
  Result<Workspace> workspace() const { return Workspace::create(tmp); }

  // Layers
  std::string layer_folder(const std::string& chain) const;
  /// Nothing when that layer is not here.
  Result<std::optional<Layer>> layer(const std::string& chain) const;
  /// Compares a layer's digest after a restart of the machine; nothing when it is damaged.
  Result<std::optional<Layer>> prove_layer(const std::string& chain, const std::string& record) const;
  /// Takes over `folder` (diff/, replaced/, headers.zst) as the layer on top of `parent_chain`. If somebody was faster
  /// the layer that is there stays.
  Result<Layer> add_layer(const std::string& folder, const std::string& parent_chain, Layer layer) const;
  /// Unpacks a tar (compressed or not) as the layer on `parent`; checks the diff id if one is given, before the layer
  /// becomes visible.
  Result<Layer> unpack_layer(ByteReaderPtr tar, const std::vector<Layer>& parents,
                             const std::string& expected_diff_id) const;
  /// The uncompressed tar of a layer; what comes out has its diff id or the result is Errc::corrupt.
  Result<void> write_layer_tar(const Layer& layer, const std::function<Result<void>(std::string_view)>& sink) const;
  /// The layers of a configuration, lowest first; Errc::not_found if one is missing.
  Result<std::vector<Layer>> layers_of(const ImageConfig& config) const;

  // Blobs
  std::string blob_path(const std::string& digest) const;
  Result<std::string> write_blob(const std::string& bytes) const;  ///< returns its digest
  Result<std::string> read_blob(const std::string& digest) const;  ///< checked against the digest

  // Index
  Result<std::vector<IndexEntry>> read_index() const;
  /// Reads, changes and writes the index under its lock; writes only if `change` returns true.
  Result<void> change_index(const std::function<bool(std::vector<IndexEntry>&)>& change) const;

  // Images
  /// Stores an image whose layers are here: `config_json` are the exact bytes; a manifest is made unless one is given
  /// (what a registry sent). Gives it the names; without any it is dangling.
  Result<Image> add_image(const std::string& config_json, const std::vector<Reference>& names,
                          const std::string& manifest_json = {}, const std::string& repo_digest = {}) const;
  Result<Image> read_image(const std::string& image_id, const std::vector<IndexEntry>& index) const;
  /// The id a text means, or nothing.
  Result<std::optional<std::string>> resolve_id(const std::string& name_or_id,
                                                const std::vector<IndexEntry>& index) const;
  /// Removes blobs and layers that nothing refers to. `report` may be null.
  Result<void> collect_garbage(PruneReport* report) const;
};

/// The OCI manifest that names the layers by their uncompressed tars.
std::string layout_manifest(const std::string& config_json, const std::vector<Layer>& layers);
/// "2026-01-02T03:04:05.123456789Z"
std::string now_rfc3339();
/// GOARCH of this machine.
std::string host_architecture();

}  // namespace compose::image
