#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/sha256.hpp"
#include "image/digest.hpp"
#include "image/registry/known_blobs.hpp"
#include "image/registry/registry.hpp"
#include "image/registry/spool.hpp"
#include "image/store_internal.hpp"

namespace compose::image::registry {

namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kIndexType = "application/vnd.oci.image.index.v1+json";
constexpr const char* kConfigType = "application/vnd.oci.image.config.v1+json";
constexpr const char* kLayerType = "application/vnd.oci.image.layer.v1.tar+gzip";
constexpr const char* kDockerLayerType = "application/vnd.docker.image.rootfs.diff.tar.gzip";

constexpr std::uint64_t kProgressStep = std::uint64_t{256} << 10;

/// gzip (RFC 1952) without a name or time: equal layers are equal blobs.
class GzipWriter {
 public:
  explicit GzipWriter(Spool& spool) : spool_{spool} {
    ready_ = ::deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
  }
  GzipWriter(const GzipWriter&) = delete;
  GzipWriter& operator=(const GzipWriter&) = delete;
  ~GzipWriter() { ::deflateEnd(&stream_); }

  Result<void> write(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::size_t count = std::min<std::size_t>(bytes.size(), std::size_t{1} << 30);
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
      stream_.avail_in = static_cast<uInt>(count);
      while (stream_.avail_in > 0) TRY(step(Z_NO_FLUSH));
      bytes.remove_prefix(count);
    }
    return {};
  }
  /// Returns the digest of all that was written.
  Result<std::string> finish() {
    while (!ended_) TRY(step(Z_FINISH));
    return "sha256:" + hash_.finish_hex();
  }

 private:
  Result<void> step(int flush) {
    if (!ready_) return make_error(Errc::failed, "not enough memory to compress");
    stream_.next_out = reinterpret_cast<Bytef*>(buffer_.data());
    stream_.avail_out = static_cast<uInt>(buffer_.size());
    const int status = ::deflate(&stream_, flush);
    if (status == Z_STREAM_ERROR) return make_error(Errc::failed, "compress the layer");
    ended_ = status == Z_STREAM_END;
    const std::size_t size = buffer_.size() - stream_.avail_out;
    hash_.update(buffer_.data(), size);
    return spool_.append({buffer_.data(), size});
  }
  Spool& spool_;
  z_stream stream_{};
  bool ready_ = false;
  bool ended_ = false;
  Sha256 hash_;
  std::vector<char> buffer_ = std::vector<char>(std::size_t{256} << 10);
};

class Push {
 public:
  Push(const Store::Internal& store, const std::shared_ptr<Host>& host, const Reference& reference,
       const TransferOptions& options)
      : store_{store}, host_{host}, reference_{reference}, options_{options} {}

  Result<std::string> image(const Image& image) {
    TRY_ASSIGN(layers_, store_.layers_of(image.config));
    TRY_ASSIGN(const std::string config, store_.read_blob(image.id));
    TRY_ASSIGN(const std::string kept, store_.read_blob(image.manifest_digest));
    const auto original = parse_manifest(kept);
    if (original && original->layers.size() == layers_.size() && !is_layout(*original)) {
      TRY_ASSIGN(const bool whole, all_there(*original, config));
      if (whole) {
        Repository repository = this->repository();
        return repository.put_manifest(reference_.tag, kept, original->media_type);
      }
    }
    TRY(send(config));
    Repository repository = this->repository();
    return repository.put_manifest(reference_.tag, manifest(config), kManifestType);
  }

  /// One image of an index: its manifest has no name. Returns its entry.
  Result<OrderedJson> part(const std::string& config) {
    TRY_ASSIGN(const ImageConfig parsed, parse_image_config(config));
    TRY_ASSIGN(layers_, store_.layers_of(parsed));
    TRY(send(config));
    const std::string text = manifest(config);
    Repository repository = this->repository();
    TRY_ASSIGN(const std::string digest, repository.put_manifest(digest_of(text), text, kManifestType));
    return OrderedJson{{"mediaType", kManifestType},
                       {"digest", digest},
                       {"size", text.size()},
                       {"platform", {{"architecture", parsed.architecture}, {"os", parsed.os}}}};
  }

 private:
  Repository repository() const { return Repository{host_, reference_.path, true}; }

  /// Manifests made here name uncompressed layers, which no registry has.
  bool is_layout(const Manifest& manifest) const {
    return std::equal(manifest.layers.begin(), manifest.layers.end(), layers_.begin(),
                      [](const Descriptor& blob, const Layer& layer) { return blob.digest == layer.diff_id; });
  }

  /// Whether the registry has, or takes over from a repository of its own, every layer of the manifest the image came
  /// with; the configuration is sent if it is missing.
  Result<bool> all_there(const Manifest& original, const std::string& config) {
    Repository repository = this->repository();
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      TRY_ASSIGN(const bool there, blob_there(repository, original.layers[i].digest, layers_[i].diff_id));
      if (!there) return false;
      report(original.layers[i].digest, "Layer already exists", true);
    }
    TRY(send_config(repository, config));
    return true;
  }

  Result<bool> blob_there(Repository& repository, const std::string& digest, const std::string& diff_id) {
    TRY_ASSIGN(const bool there, repository.has_blob(digest));
    if (there) return true;
    for (const KnownBlob& known : known_blobs(store_, diff_id)) {
      if (known.digest != digest || known.registry != reference_.domain || known.path == reference_.path) continue;
      // A registry that refuses (no right to read there) is no failure: the layer is sent instead.
      const auto mounted = repository.mount_blob(digest, known.path);
      if (mounted && *mounted) return true;
    }
    return false;
  }

  /// Layers and configuration.
  Result<void> send(const std::string& config) {
    blobs_.resize(layers_.size());
    TRY(send_layers());
    Repository repository = this->repository();
    return send_config(repository, config);
  }

  Result<void> send_layers() {
    std::vector<std::thread> threads;
    const std::size_t count =
        std::min<std::size_t>(layers_.size(), static_cast<std::size_t>(std::max(1, options_.parallel)));
    for (std::size_t i = 1; i < count; ++i) threads.emplace_back([this] { work(); });
    work();
    for (std::thread& thread : threads) thread.join();
    return error_ ? Result<void>{*error_} : Result<void>{};
  }

  void work() {
    while (!stop_) {
      const std::size_t i = next_++;
      if (i >= layers_.size()) return;
      Result<Descriptor> blob = send_layer(layers_[i]);
      const std::lock_guard lock{mutex_};
      if (blob) {
        blobs_[i] = std::move(*blob);
      } else {
        stop_ = true;
        if (!error_) error_ = std::move(blob).with("layer {}", layers_[i].diff_id).error();
      }
    }
  }

  Result<Descriptor> send_layer(const Layer& layer) {
    Repository repository = this->repository();
    report(layer.diff_id, "Preparing", false);
    for (const KnownBlob& known : known_blobs(store_, layer.diff_id)) {
      if (known.registry != reference_.domain) continue;
      TRY_ASSIGN(const bool there, blob_there(repository, known.digest, layer.diff_id));
      if (!there) continue;
      report(layer.diff_id, known.path == reference_.path ? "Layer already exists" : "Mounted from " + known.path,
             true);
      return sent(layer, {known.media_type, known.digest, known.size, {}});
    }
    TRY_ASSIGN(const std::shared_ptr<Spool> spool, Spool::create(store_.tmp));
    GzipWriter gzip{*spool};
    TRY(store_.write_layer_tar(layer, [&](std::string_view bytes) -> Result<void> {
      if (stop_) return make_error(Errc::cancelled, "cancelled");
      return gzip.write(bytes);
    }));
    TRY_ASSIGN(const std::string digest, gzip.finish());
    const std::uint64_t size = spool->size();
    TRY_ASSIGN(const bool there, repository.has_blob(digest));
    if (there) {
      report(layer.diff_id, "Layer already exists", true);
      return sent(layer, {kLayerType, digest, size, {}});
    }
    std::uint64_t shown = 0;
    TRY(repository.upload_blob(spool->fd(), size, digest, [&](std::uint64_t done) {
      if (done < shown || done - shown >= kProgressStep) {
        shown = done;
        report(layer.diff_id, "Pushing", false, done, size);
      }
      return !stop_;
    }));
    report(layer.diff_id, "Pushed", true, size, size);
    return sent(layer, {kLayerType, digest, size, {}});
  }

  Descriptor sent(const Layer& layer, Descriptor blob) {
    remember_blob(store_, layer.diff_id, {blob.digest, blob.size, blob.media_type, reference_.domain, reference_.path});
    return blob;
  }

  Result<void> send_config(Repository& repository, const std::string& config) {
    const std::string digest = digest_of(config);
    TRY_ASSIGN(const bool there, repository.has_blob(digest));
    if (there) return {};
    TRY_ASSIGN(const std::shared_ptr<Spool> spool, Spool::create(store_.tmp));
    TRY(spool->append(config));
    return repository.upload_blob(spool->fd(), config.size(), digest, {});
  }

  /// Layers a Docker registry gave keep their blobs; in an OCI manifest they get OCI's name for the same format.
  static std::string oci_type(const std::string& type) {
    return type == kDockerLayerType || type.empty() ? kLayerType : type;
  }

  std::string manifest(const std::string& config) const {
    OrderedJson document = {{"schemaVersion", 2}, {"mediaType", kManifestType}};
    document["config"] = {{"mediaType", kConfigType}, {"digest", digest_of(config)}, {"size", config.size()}};
    document["layers"] = OrderedJson::array();
    for (const Descriptor& blob : blobs_)
      document["layers"].push_back(
          {{"mediaType", oci_type(blob.media_type)}, {"digest", blob.digest}, {"size", blob.size}});
    return document.dump();
  }

  void report(const std::string& digest, std::string text, bool done, std::uint64_t current = 0,
              std::uint64_t total = 0) {
    if (!options_.progress) return;
    const std::lock_guard lock{report_mutex_};
    options_.progress({digest.substr(7, 12), std::move(text), done, current, total});
  }

  const Store::Internal& store_;
  const std::shared_ptr<Host>& host_;
  const Reference& reference_;
  const TransferOptions& options_;
  std::vector<Layer> layers_;
  std::vector<Descriptor> blobs_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::optional<Error> error_;
  std::mutex report_mutex_;
};

}  // namespace

Result<std::string> Registry::push(const Reference& reference, const TransferOptions& options) {
  const Store::Internal& store = store_.internal();
  TRY_ASSIGN(const UseLock use, store.use());
  if (reference.tag.empty())
    return make_error(Errc::invalid, "\"{}\" has no tag to be pushed under", reference.familiar());
  TRY_ASSIGN(const auto image, store_.find(reference.full()));
  if (!image) return make_error(Errc::not_found, "no such image: \"{}\"", reference.familiar());
  const std::shared_ptr<Host> host = this->host(reference.domain);
  Push push{store, host, reference, options};
  TRY_ASSIGN(const std::string digest, push.image(*image).with("push \"{}\"", reference.familiar()));
  const std::string full = reference.full();
  TRY(store.change_index([&](std::vector<IndexEntry>& index) {
    for (IndexEntry& entry : index) {
      if (entry.name == full) entry.repo_digest = reference.domain + "/" + reference.path + "@" + digest;
    }
    return true;
  }));
  return digest;
}

Result<std::string> Registry::push_index(const Reference& reference, const std::vector<std::string>& configs,
                                         const TransferOptions& options) {
  const std::shared_ptr<Host> host = this->host(reference.domain);
  OrderedJson index = {{"schemaVersion", 2}, {"mediaType", kIndexType}, {"manifests", OrderedJson::array()}};
  for (const std::string& config : configs) {
    Push push{store_.internal(), host, reference, options};
    TRY_ASSIGN(OrderedJson entry, push.part(config).with("push \"{}\"", reference.familiar()));
    index["manifests"].push_back(std::move(entry));
  }
  Repository repository{host, reference.path, true};
  return repository.put_manifest(reference.tag, index.dump(), kIndexType).with("push \"{}\"", reference.familiar());
}

}  // namespace compose::image::registry
