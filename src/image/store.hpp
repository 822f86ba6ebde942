#pragma once
// The images of a host: an OCI image layout for configurations and manifests, and every layer unpacked once.
//
//   <root>/images/{oci-layout,index.json,blobs/sha256/…,lock}
//   <root>/layers/<chain id>/{layer.json,diff/…,headers.zst}
//   <root>/tmp/<random>/…          unfinished work, each folder locked by the process that fills it
//
// A layer is its tree in overlayfs form, not its tar: layers made here have one canonical tar (image/layer_tar.hpp),
// of layers that came from elsewhere everything but the files' contents is kept in headers.zst, so both give their tar
// back byte for byte.
//
// A Store holds no state but its paths: any number of processes and threads may use one root. Whatever a killed
// process leaves lies in tmp/ (the next import, load or build sweeps it) or is a layer no image names (prune).
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "image/image_config.hpp"
#include "image/reference.hpp"

namespace compose::image {

struct Layer {
  std::string diff_id;         ///< digest of the uncompressed tar
  std::string chain_id;        ///< digest of it and everything below
  std::uint64_t size = 0;      ///< bytes of the files in it
  std::uint64_t tar_size = 0;  ///< bytes of the uncompressed tar
  std::string dir;             ///< …/diff, absolute
};

struct Image {
  std::string id;                         ///< "sha256:…" of the configuration
  std::string manifest_digest;            ///< "sha256:…"
  std::vector<std::string> names;         ///< familiar, "nginx:latest"; empty: dangling
  std::vector<std::string> repo_digests;  ///< "nginx@sha256:…" for what a registry gave
  ImageConfig config;
  std::vector<std::string> layer_dirs;  ///< top first: ready for overlayfs's lowerdir
  std::uint64_t size = 0;               ///< bytes of all layers' files
  std::string last_tagged;              ///< RFC 3339: when it was built, loaded or tagged here
};

/// One line of `image history`, newest first.
struct HistoryLine {
  HistoryEntry entry;
  std::uint64_t size = 0;  ///< of its layer, 0 without one
};

struct ImportOptions {
  std::string name;  ///< reference to give it; may be empty
  std::vector<std::string>
      changes;               ///< Dockerfile instructions: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR, …
  std::string message;       ///< comment in the history
  std::string architecture;  ///< empty: this machine's
};

struct Removal {
  std::vector<std::string> untagged;  ///< familiar names
  std::vector<std::string> deleted;   ///< image ids and layer chain ids
};

struct PruneOptions {
  bool all = false;               ///< also images with a name
  std::vector<std::string> keep;  ///< ids of images that containers use
};
struct PruneReport {
  Removal removal;
  std::uint64_t reclaimed = 0;  ///< bytes
};

/// What one image takes up.
struct ImageUsage {
  Image image;
  std::uint64_t shared = 0;    ///< bytes of layers that other images have too
  std::uint64_t unique = 0;    ///< bytes of layers only it has
  std::size_t containers = 0;  ///< that use it
};
struct StoreUsage {
  std::vector<ImageUsage> images;        ///< newest first
  std::size_t active_images = 0;         ///< with containers
  std::uint64_t images_size = 0;         ///< bytes, each layer once
  std::uint64_t images_reclaimable = 0;  ///< bytes of layers no image with containers has
  std::size_t build_layers = 0;          ///< layers only the builder's cache has
  std::uint64_t build_size = 0;
  std::size_t unfinished = 0;  ///< work going on, or left by killed processes
  std::uint64_t unfinished_size = 0;
};

class Store {
 public:
  /// Makes the folders (mode 0700) if they are missing. `root` is the state root, by default /var/lib/compose.
  static Result<Store> open(const std::string& root);
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  /// By name ("nginx", "nginx:1.25", "nginx@sha256:…"), by id ("sha256:…", 64 digits) or the beginning of an id (at
  /// least 4 digits; Errc::invalid if it fits several). Nothing when there is no such image.
  Result<std::optional<Image>> find(const std::string& name_or_id) const;
  /// Newest first.
  Result<std::vector<Image>> list() const;
  Result<std::vector<HistoryLine>> history(const Image& image) const;
  Result<std::vector<Layer>> layers(const Image& image) const;  ///< lowest first

  /// An image of one layer from a root file system's tar (plain, gzip, zstd, xz or bzip2). "-" reads standard input.
  Result<Image> import_rootfs(const std::string& tar_path, const ImportOptions& options);
  /// Images from an archive that `docker save`, `podman save` (docker-archive or oci-archive) or skopeo wrote, or from
  /// an OCI layout folder. "-" reads standard input.
  Result<std::vector<Image>> load(const std::string& archive_path);
  /// Writes an archive that is both an OCI layout and a `docker save` archive. "-" writes standard output.
  Result<void> save(const std::vector<std::string>& names_or_ids, const std::string& archive_path) const;

  /// Gives an image another name; an image that had the name loses it.
  Result<void> tag(const std::string& name_or_id, const std::string& new_name);
  /// Removes a name, and the image when it was the last one; an id removes all names (Errc::busy without `force` when
  /// there are several). Layers go with their last image. Images whose ids are in `in_use` are refused.
  Result<Removal> remove(const std::string& name_or_id, bool force = false,
                         const std::vector<std::string>& in_use = {});
  /// Removes images without a name (or all) that are not in use, layers no image or build step needs, and what killed
  /// processes left.
  Result<PruneReport> prune(const PruneOptions& options);
  /// `in_use`: the id of each container's image, once for each container.
  Result<StoreUsage> usage(const std::vector<std::string>& in_use) const;

  const std::string& root() const;

  /// For the builder and the registry client, which add layers and images; see image/store_internal.hpp.
  class Internal;
  Internal& internal() const { return *internal_; }

 private:
  explicit Store(std::unique_ptr<Internal> internal);
  std::unique_ptr<Internal> internal_;
};

}  // namespace compose::image
