#pragma once
// Images to and from registries: https://github.com/opencontainers/distribution-spec and Docker's v2 API.
//
//   image::registry::Registry registry{store, settings};
//   TRY_ASSIGN(const Pulled pulled, registry.pull(reference, {.progress = …}));
//
// One Registry serves any number of threads: they share connections and tokens. A layer comes once, whoever asks: other
// threads and processes wait for it. Nothing becomes visible in the store before its digests have been compared; what a
// killed pull leaves is swept as every unfinished work is (image/store.hpp).
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "image/image_config.hpp"
#include "image/reference.hpp"
#include "image/registry/manifest.hpp"
#include "image/registry/repository.hpp"
#include "image/registry/settings.hpp"
#include "image/store.hpp"

namespace compose::image::registry {

/// What happens to one layer; called from several threads, one call at a time for each transfer.
struct TransferEvent {
  std::string layer;          ///< first 12 digits of its digest
  std::string text;           ///< Docker's words: "Downloading", "Extracting", "Pull complete", "Pushed", …
  bool done = false;          ///< nothing more follows for this layer
  std::uint64_t current = 0;  ///< bytes
  std::uint64_t total = 0;    ///< 0: not known
};
using TransferProgress = std::function<void(const TransferEvent&)>;

struct TransferOptions {
  std::string platform = {};  ///< pull: "linux/arm64"; "" is this machine
  int parallel = 3;           ///< layers at once
  TransferProgress progress = {};
};

struct Pulled {
  Image image;
  std::string digest;    ///< of what the name means at the registry: an index or a manifest
  bool changed = false;  ///< the store had another image, or none, under that name
};

/// An image as its registry has it, before its layers are here.
struct RemoteImage {
  std::shared_ptr<Host> host;
  std::string path;
  Manifest manifest;
  std::string config_json;
  ImageConfig config;
};

class Registry {
 public:
  Registry(Store& store, Settings settings);
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  ~Registry();

  /// Mirrors first, then the registry itself. The image gets the name unless that has a digest; then it is found by it.
  Result<Pulled> pull(const Reference& reference, const TransferOptions& options = {});
  /// Sends an image of the store under that name (which must have a tag). An image that a registry gave keeps its
  /// manifest, and so its digest, if the registry has its layers already. Returns the digest.
  Result<std::string> push(const Reference& reference, const TransferOptions& options = {});
  /// The digest the reference has at its registry now.
  Result<std::string> resolve(const Reference& reference);

  // For the builder's caches, which are images too, and mostly not wanted as a whole.
  /// What the reference means, without layers: one image, or all of this machine's architecture in an index. Mirrors
  /// are asked first.
  Result<std::vector<RemoteImage>> look(const Reference& reference);
  /// Brings the lowest `count` layers into the store. No image names them yet: the caller holds the store (use()).
  Result<void> fetch_layers(const RemoteImage& image, std::size_t count, const TransferOptions& options = {});
  /// Sends configurations whose layers are here as the images of one index, and names that. Returns its digest. The
  /// store learns of no image.
  Result<std::string> push_index(const Reference& reference, const std::vector<std::string>& configs,
                                 const TransferOptions& options = {});

 private:
  Result<std::vector<RemoteImage>> look_at(const std::shared_ptr<Host>& host, const Reference& reference);
  std::shared_ptr<Host> host(const std::string& registry);
  std::shared_ptr<Host> mirror(const std::string& registry, const http::Url& base);
  Result<Pulled> pull_from(const std::shared_ptr<Host>& host, const Reference& reference,
                           const TransferOptions& options);

  Store& store_;
  Settings settings_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Host>> hosts_;
};

}  // namespace compose::image::registry
