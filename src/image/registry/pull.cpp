#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "image/digest.hpp"
#include "image/layer_tar.hpp"
#include "image/registry/known_blobs.hpp"
#include "image/registry/registry.hpp"
#include "image/registry/spool.hpp"
#include "image/store_internal.hpp"
#include "sys/file.hpp"
#include "sys/lock.hpp"

namespace compose::image::registry {

namespace {

constexpr std::uint64_t kProgressStep = std::uint64_t{256} << 10;

/// One layer on its way.
struct Task {
  Descriptor blob;
  std::string diff_id;
  std::string chain;
  std::shared_ptr<Spool> spool;
  std::optional<sys::FileLock> lock;
  std::optional<Layer> layer;  ///< once it is in the store
  bool ready = false;          ///< the spool can be read, or the layer is there
};

/// Held by who brings a layer, so that it comes once. The file lies where unfinished work is swept.
Result<sys::FileLock> lock_layer(const Store::Internal& store, const std::string& chain) {
  const std::string path = store.tmp + "/pull-" + chain.substr(7) + ".lock";
  while (true) {
    TRY_ASSIGN(sys::FileLock lock, sys::FileLock::acquire(path));
    struct stat ours {};
    struct stat there {};
    const bool same =
        ::fstat(lock.fd(), &ours) == 0 && ::stat(path.c_str(), &there) == 0 && ours.st_ino == there.st_ino;
    if (same) return lock;
  }
}

class Pull {
 public:
  Pull(const Store::Internal& store, Repository& repository, const TransferOptions& options)
      : store_{store}, repository_{repository}, options_{options} {}

  /// Brings the layers of a manifest into the store.
  Result<void> layers(const Manifest& manifest, const ImageConfig& config) {
    if (manifest.layers.size() != config.diff_ids.size())
      return make_error(Errc::corrupt, "the manifest has {} layers, the configuration {}", manifest.layers.size(),
                        config.diff_ids.size());
    TRY_ASSIGN(limits_, limits_for(store_.tmp));
    std::string chain;
    for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
      chain = chain_id(chain, config.diff_ids[i]);
      Task& task = tasks_.emplace_back();
      task.blob = manifest.layers[i];
      task.diff_id = config.diff_ids[i];
      task.chain = chain;
      if (task.blob.size > limits_.bytes)
        return make_error(Errc::failed, "layer {} ({} bytes) does not fit on this disk", task.blob.digest,
                          task.blob.size);
    }
    std::vector<std::thread> threads;
    const std::size_t count =
        std::min<std::size_t>(tasks_.size(), static_cast<std::size_t>(std::max(1, options_.parallel)));
    for (std::size_t i = 0; i < count; ++i) threads.emplace_back([this] { fetch(); });
    const Result<void> unpacked = unpack();
    stop_ = true;
    for (std::thread& thread : threads) thread.join();
    return unpacked;
  }

 private:
  /// The work of one thread: fetches layers until none is left. Locks are taken in the order of the layers, in every
  /// process, so nobody waits in a circle.
  void fetch() {
    while (true) {
      Task* task = nullptr;
      {
        const std::lock_guard order{order_mutex_};
        if (stop_ || next_ == tasks_.size()) return;
        task = &tasks_[next_++];
        if (!claim(*task)) continue;
      }
      download(*task);
    }
  }

  /// True when the layer has to be fetched by us.
  bool claim(Task& task) {
    const auto settle = [&] {
      const std::lock_guard lock{mutex_};
      task.ready = true;
      changed_.notify_all();
    };
    const auto look = [&] {
      Result<std::optional<Layer>> layer = store_.layer(task.chain);
      if (!layer || !*layer) return false;
      task.layer = std::move(**layer);
      report(task, "Already exists", true);
      settle();
      return true;
    };
    if (look()) return false;
    report(task, "Waiting", false);
    Result<sys::FileLock> lock = lock_layer(store_, task.chain);
    Result<std::shared_ptr<Spool>> spool = Spool::create(store_.tmp);
    if (lock && spool) {
      if (look()) return false;
      task.lock.emplace(std::move(*lock));
      task.spool = std::move(*spool);
      settle();
      return true;
    }
    fail(lock ? spool.error() : lock.error());
    return false;
  }

  void download(Task& task) {
    std::uint64_t shown = 0;
    report(task, "Downloading", false, 0, task.blob.size);
    const auto progress = [&](std::uint64_t done) {
      if (done - shown >= kProgressStep) {
        shown = done;
        report(task, "Downloading", false, done, task.blob.size);
      }
      return !stop_;
    };
    Result<void> done = repository_.blob(
        task.blob, [&](std::string_view piece) { return task.spool->append(piece); }, progress);
    if (done) {
      report(task, "Download complete", false, task.blob.size, task.blob.size);
      task.spool->finish();
    } else {
      task.spool->fail(done.error());
    }
  }

  /// The layers in order, each as soon as its first bytes are there.
  Result<void> unpack() {
    std::vector<Layer> below;
    for (Task& task : tasks_) {
      {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return task.ready || error_; });
        if (error_) return *error_;
      }
      if (!task.layer) {
        Result<Layer> layer = store_.unpack_layer(Spool::reader(task.spool), below, task.diff_id);
        if (!layer) return abort(std::move(layer).with("layer {}", task.blob.digest).error());
        task.layer = std::move(*layer);
        task.lock.reset();
        task.spool.reset();
        report(task, "Pull complete", true, task.blob.size, task.blob.size);
      }
      remember_blob(
          store_, task.diff_id,
          {task.blob.digest, task.blob.size, task.blob.media_type, repository_.registry(), repository_.path()});
      below.push_back(*task.layer);
    }
    return {};
  }

  /// Ends the transfers that still go on, and says why.
  Error abort(Error error) {
    stop_ = true;
    const std::lock_guard lock{mutex_};
    return error_ ? *error_ : error;
  }

  void fail(const Error& error) {
    const std::lock_guard lock{mutex_};
    if (!error_) error_ = error;
    stop_ = true;
    changed_.notify_all();
  }

  void report(const Task& task, std::string text, bool done, std::uint64_t current = 0, std::uint64_t total = 0) {
    if (!options_.progress) return;
    const std::lock_guard lock{report_mutex_};
    options_.progress({task.blob.digest.substr(7, 12), std::move(text), done, current, total});
  }

  const Store::Internal& store_;
  Repository& repository_;
  const TransferOptions& options_;
  UnpackLimits limits_;
  std::vector<Task> tasks_;
  std::atomic<bool> stop_ = false;
  std::mutex order_mutex_;
  std::size_t next_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Error> error_;
  std::mutex report_mutex_;
};

bool worth_another_try(const Error& error) { return error.code() != Errc::cancelled; }

}  // namespace

Registry::Registry(Store& store, Settings settings) : store_{store}, settings_{std::move(settings)} {}
Registry::~Registry() = default;

std::shared_ptr<Host> Registry::host(const std::string& registry) {
  const std::lock_guard lock{mutex_};
  auto& host = hosts_[registry];
  if (!host) host = std::make_shared<Host>(settings_, registry);
  return host;
}

std::shared_ptr<Host> Registry::mirror(const std::string& registry, const http::Url& base) {
  const std::lock_guard lock{mutex_};
  auto& host = hosts_[registry + " " + base.text()];
  if (!host) host = std::make_shared<Host>(settings_, base.authority(), base);
  return host;
}

Result<Pulled> Registry::pull(const Reference& reference, const TransferOptions& options) {
  TRY_ASSIGN(const UseLock use, store_.internal().use());
  TRY(Workspace::sweep(store_.internal().tmp));
  if (const HostSettings* own = settings_.find(reference.domain)) {
    for (const http::Url& base : own->mirrors) {
      Result<Pulled> pulled = pull_from(mirror(reference.domain, base), reference, options);
      if (pulled || !worth_another_try(pulled.error())) return pulled;
    }
  }
  return pull_from(host(reference.domain), reference, options).with("pull \"{}\"", reference.familiar());
}

Result<Pulled> Registry::pull_from(const std::shared_ptr<Host>& host, const Reference& reference,
                                   const TransferOptions& options) {
  const Store::Internal& store = store_.internal();
  TRY_ASSIGN(const Platform platform, parse_platform(options.platform));
  Repository repository{host, reference.path};
  TRY_ASSIGN(FetchedManifest fetched, repository.manifest(reference.digest.empty() ? reference.tag : reference.digest));
  Pulled result;
  result.digest = fetched.digest;
  for (int depth = 0;; ++depth) {
    TRY_ASSIGN(const bool index, is_index(fetched.bytes, fetched.content_type));
    if (!index) break;
    if (depth == 3) return make_error(Errc::corrupt, "image indexes are nested too deeply");
    TRY_ASSIGN(const Index list, parse_index(fetched.bytes));
    TRY_ASSIGN(const Descriptor chosen, choose(list, platform));
    TRY_ASSIGN(fetched, repository.manifest(chosen.digest));
  }
  TRY_ASSIGN(const Manifest manifest, parse_manifest(fetched.bytes));
  TRY_ASSIGN(const std::string config_json, repository.small_blob(manifest.config));
  TRY_ASSIGN(const ImageConfig config, parse_image_config(config_json));
  if (config.os != "linux" && !config.os.empty())
    return make_error(Errc::unsupported, "the image is for {}, not for Linux", config.os);
  if (!options.platform.empty() && config.architecture != platform.architecture)
    return make_error(Errc::not_found, "the image is for {}/{}, not for {}", config.os, config.architecture,
                      platform.text());
  const std::string name = reference.domain + "/" + reference.path;
  TRY_ASSIGN(const auto before, store_.find(reference.full()));
  TRY(Pull(store, repository, options).layers(manifest, config));
  std::vector<Reference> names;
  if (reference.digest.empty()) names.push_back(reference);
  TRY_ASSIGN(result.image, store.add_image(config_json, names, fetched.bytes, name + "@" + result.digest));
  result.changed = !before || before->id != result.image.id;
  return result;
}

Result<std::vector<RemoteImage>> Registry::look(const Reference& reference) {
  if (const HostSettings* own = settings_.find(reference.domain)) {
    for (const http::Url& base : own->mirrors) {
      Result<std::vector<RemoteImage>> found = look_at(mirror(reference.domain, base), reference);
      if (found || !worth_another_try(found.error())) return found;
    }
  }
  return look_at(host(reference.domain), reference);
}

Result<std::vector<RemoteImage>> Registry::look_at(const std::shared_ptr<Host>& host, const Reference& reference) {
  TRY_ASSIGN(const Platform platform, parse_platform(""));
  Repository repository{host, reference.path};
  TRY_ASSIGN(FetchedManifest first, repository.manifest(reference.digest.empty() ? reference.tag : reference.digest));
  TRY_ASSIGN(const bool index, is_index(first.bytes, first.content_type));
  std::vector<std::string> manifests;
  if (index) {
    TRY_ASSIGN(const Index list, parse_index(first.bytes));
    for (const Descriptor& entry : list.manifests) {
      if (!entry.platform.architecture.empty() && entry.platform.architecture != platform.architecture) continue;
      TRY_ASSIGN(FetchedManifest manifest, repository.manifest(entry.digest));
      TRY_ASSIGN(const bool nested, is_index(manifest.bytes, manifest.content_type));
      if (!nested) manifests.push_back(std::move(manifest.bytes));
    }
  } else {
    manifests.push_back(std::move(first.bytes));
  }
  std::vector<RemoteImage> images;
  for (const std::string& bytes : manifests) {
    RemoteImage image{host, reference.path, {}, {}, {}};
    TRY_ASSIGN(image.manifest, parse_manifest(bytes));
    TRY_ASSIGN(image.config_json, repository.small_blob(image.manifest.config));
    // An attestation or another artifact among the images has no configuration of one.
    Result<ImageConfig> config = parse_image_config(image.config_json);
    if (!config || config->diff_ids.size() != image.manifest.layers.size()) continue;
    image.config = std::move(*config);
    images.push_back(std::move(image));
  }
  return images;
}

Result<void> Registry::fetch_layers(const RemoteImage& image, std::size_t count, const TransferOptions& options) {
  Manifest manifest = image.manifest;
  ImageConfig config = image.config;
  manifest.layers.resize(std::min(count, manifest.layers.size()));
  config.diff_ids.resize(manifest.layers.size());
  Repository repository{image.host, image.path};
  return Pull(store_.internal(), repository, options).layers(manifest, config);
}

Result<std::string> Registry::resolve(const Reference& reference) {
  if (!reference.digest.empty()) return reference.digest;
  if (const HostSettings* own = settings_.find(reference.domain)) {
    for (const http::Url& base : own->mirrors) {
      Repository repository{mirror(reference.domain, base), reference.path};
      if (auto digest = repository.manifest_digest(reference.tag)) return digest;
    }
  }
  Repository repository{host(reference.domain), reference.path};
  return repository.manifest_digest(reference.tag).with("resolve \"{}\"", reference.familiar());
}

}  // namespace compose::image::registry
