// Names go, images without a name and use go, and with them what nothing refers to any more.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "image/digest.hpp"
#include "image/json_values.hpp"
#include "image/store_internal.hpp"
#include "sys/file.hpp"

namespace compose::image {

namespace {

using Json = nlohmann::json;

/// Blobs a manifest names, itself included; layers of a manifest from a registry have other digests than files here.
Result<void> mark_manifest(const Store::Internal& store, const IndexEntry& entry, std::set<std::string>& used) {
  used.insert(entry.manifest_digest);
  used.insert(entry.image_id);
  TRY_ASSIGN(const std::string text, store.read_blob(entry.manifest_digest));
  const Json document = Json::parse(text, nullptr, false);
  for (const Json& layer : json_items(document, "layers")) used.insert(json_text(layer, "digest"));
  return {};
}

Result<void> mark_layers(const Store::Internal& store, const std::string& image_id, std::set<std::string>& chains) {
  TRY_ASSIGN(const std::string text, store.read_blob(image_id));
  TRY_ASSIGN(const ImageConfig config, parse_image_config(text));
  std::string chain;
  for (const std::string& diff_id : config.diff_ids) {
    chain = chain_id(chain, diff_id);
    chains.insert(chain);
  }
  return {};
}

/// What is known of blobs of registries whose layers are in no image any more.
Result<void> forget_blobs(const Store::Internal& store, const std::vector<IndexEntry>& index) {
  std::set<std::string> diffs;
  for (const IndexEntry& entry : index) {
    const Result<std::string> text = store.read_blob(entry.image_id);
    const Result<ImageConfig> config = text ? parse_image_config(*text) : Result<ImageConfig>{text.error()};
    if (config) diffs.insert(config->diff_ids.begin(), config->diff_ids.end());
  }
  const std::string folder = store.images + "/known-blobs";
  TRY_ASSIGN(const std::vector<std::string> names, sys::list_directory(folder));
  for (const std::string& name : names) {
    if (!diffs.contains("sha256:" + name)) ::unlink((folder + "/" + name).c_str());
  }
  return {};
}

/// Layers that results of build steps name: a step's record lists its own and the chain below it.
Result<void> mark_build_steps(const Store::Internal& store, std::set<std::string>& chains) {
  const std::string folder = store.root + "/build/steps";
  TRY_ASSIGN(const std::vector<std::string> names, sys::list_directory(folder));
  for (const std::string& name : names) {
    const Result<std::string> text = sys::read_file(folder + "/" + name);
    if (!text) continue;
    const Json document = Json::parse(*text, nullptr, false);
    std::string chain;
    for (const std::string& diff_id : json_texts(document, "chain")) {
      chain = chain_id(chain, diff_id);
      chains.insert(chain);
    }
  }
  return {};
}

/// Half-written files of killed processes (sys::write_file_atomic); nobody else is at work now.
Result<void> remove_partial_files(const std::string& folder) {
  TRY_ASSIGN(const std::vector<std::string> names, sys::list_directory(folder));
  for (const std::string& name : names) {
    if (name.find(".tmp-") != std::string::npos) ::unlink((folder + "/" + name).c_str());
  }
  return {};
}

}  // namespace

Result<void> Store::Internal::collect_garbage(PruneReport* report) const {
  std::set<std::string> blobs;
  std::set<std::string> chains;
  TRY_ASSIGN(const std::vector<IndexEntry> index, read_index());
  for (const IndexEntry& entry : index) {
    // A damaged image must not stop the collection, nor lose what can still be named.
    (void)mark_manifest(*this, entry, blobs);
    (void)mark_layers(*this, entry.image_id, chains);
  }
  TRY(mark_build_steps(*this, chains));
  TRY(forget_blobs(*this, index));
  {
    TRY_ASSIGN(const sys::FileLock lock, sys::FileLock::acquire(images + "/lock"));
    TRY(remove_partial_files(images));
  }
  TRY(remove_partial_files(root + "/build/steps"));
  TRY_ASSIGN(const std::vector<std::string> blob_names, sys::list_directory(images + "/blobs/sha256"));
  for (const std::string& name : blob_names) {
    if (blobs.contains("sha256:" + name)) continue;
    const std::string path = images + "/blobs/sha256/" + name;
    struct stat status {};
    if (report && ::stat(path.c_str(), &status) == 0) report->reclaimed += static_cast<std::uint64_t>(status.st_size);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return os_error("remove \"{}\"", path);
  }
  TRY_ASSIGN(const std::vector<std::string> layer_names, sys::list_directory(layers_dir));
  for (const std::string& name : layer_names) {
    const std::string chain = "sha256:" + name;
    if (chains.contains(chain)) continue;
    TRY_ASSIGN(const std::optional<Layer> unused, layer(chain));
    if (report && unused) report->reclaimed += unused->size;
    if (report) report->removal.deleted.push_back(chain);
    // Moved first, so that a layer is never seen half removed.
    TRY_ASSIGN(const Workspace space, workspace());
    if (::rename((layers_dir + "/" + name).c_str(), (space.path() + "/layer").c_str()) != 0) {
      return os_error("remove layer {}", chain);
    }
  }
  return {};
}

Result<Removal> Store::remove(const std::string& name_or_id, bool force, const std::vector<std::string>& in_use) {
  const Internal& store = internal();
  Removal removal;
  std::optional<Error> refused;
  TRY(store.change_index([&](std::vector<IndexEntry>& index) {
    Result<std::optional<std::string>> id = store.resolve_id(name_or_id, index);
    if (!id || !*id) {
      refused = id ? make_error(Errc::not_found, "no such image: \"{}\"", name_or_id) : std::move(id).error();
      return false;
    }
    const std::string image = **id;
    const Result<Reference> name = parse_reference(name_or_id);
    const auto of_image = [&](const IndexEntry& entry) { return entry.image_id == image; };
    const auto named = std::find_if(index.begin(), index.end(), [&](const IndexEntry& entry) {
      return of_image(entry) && name.ok() && entry.name == name->full();
    });
    // An entry without a name is the digest the image was pulled by: it goes with the last name.
    const auto uses = std::count_if(index.begin(), index.end(),
                                    [&](const IndexEntry& entry) { return of_image(entry) && !entry.name.empty(); });
    const bool all = named == index.end();
    if (all && uses > 1 && !force) {
      refused =
          make_error(Errc::busy, "image \"{}\" has {} names: remove them one by one, or with force", name_or_id, uses);
      return false;
    }
    const bool last = all || uses <= 1;
    if (last && std::find(in_use.begin(), in_use.end(), image) != in_use.end()) {
      refused = make_error(Errc::busy, "image \"{}\" is used by a container", name_or_id);
      return false;
    }
    for (auto it = index.begin(); it != index.end();) {
      const bool goes = of_image(*it) && (last || it->name == name->full());
      if (goes && !it->name.empty()) {
        if (const Result<Reference> gone = parse_reference(it->name)) removal.untagged.push_back(gone->familiar());
      }
      it = goes ? index.erase(it) : it + 1;
    }
    if (last) removal.deleted.push_back(image);
    return true;
  }));
  if (refused) return *refused;
  // With somebody else at work the layers stay until the next prune.
  TRY_ASSIGN(const std::optional<UseLock> lock, store.collect());
  if (lock && !removal.deleted.empty()) {
    PruneReport report;
    TRY(store.collect_garbage(&report));
    removal.deleted.insert(removal.deleted.end(), report.removal.deleted.begin(), report.removal.deleted.end());
  }
  return removal;
}

Result<PruneReport> Store::prune(const PruneOptions& options) {
  const Internal& store = internal();
  PruneReport report;
  TRY(store.change_index([&](std::vector<IndexEntry>& index) {
    const auto goes = [&](const IndexEntry& entry) {
      const bool kept = std::find(options.keep.begin(), options.keep.end(), entry.image_id) != options.keep.end();
      return !kept && (options.all || entry.name.empty());
    };
    std::set<std::string> deleted;
    for (const IndexEntry& entry : index) {
      if (!goes(entry)) continue;
      deleted.insert(entry.image_id);
      if (const Result<Reference> name = parse_reference(entry.name))
        report.removal.untagged.push_back(name->familiar());
    }
    index.erase(std::remove_if(index.begin(), index.end(), goes), index.end());
    report.removal.deleted.assign(deleted.begin(), deleted.end());
    return !deleted.empty();
  }));
  TRY(Workspace::sweep(store.tmp));
  TRY_ASSIGN(const std::optional<UseLock> lock, store.collect());
  if (lock) TRY(store.collect_garbage(&report));
  return report;
}

}  // namespace compose::image
