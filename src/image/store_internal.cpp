#include "image/store_internal.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>

#include "image/digest.hpp"
#include "image/json_values.hpp"
#include "image/rfc3339.hpp"
#include "sys/file.hpp"

namespace compose::image {

namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t kMaxBlob = std::size_t{16} << 20;
constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kConfigType = "application/vnd.oci.image.config.v1+json";
constexpr const char* kLayerType = "application/vnd.oci.image.layer.v1.tar";
constexpr const char* kRefName = "org.opencontainers.image.ref.name";
constexpr const char* kImageId = "compose.image.id";
constexpr const char* kTaggedAt = "compose.image.tagged";
constexpr const char* kRepoDigest = "compose.image.repo-digest";

std::string annotation(const Json& descriptor, const char* name) {
  const Json* annotations = json_member(descriptor, "annotations");
  return annotations ? json_text(*annotations, name) : std::string{};
}

Result<UseLock> lock_file(const std::string& path, int operation) {
  UseLock fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!fd.valid()) return os_error("open \"{}\"", path);
  if (retry_eintr([&] { return ::flock(fd.get(), operation); }) != 0) {
    if (errno == EWOULDBLOCK) return UseLock{};
    return os_error("lock \"{}\"", path);
  }
  return fd;
}

}  // namespace

std::string layout_manifest(const std::string& config_json, const std::vector<Layer>& layers) {
  OrderedJson manifest;
  manifest["schemaVersion"] = 2;
  manifest["mediaType"] = kManifestType;
  manifest["config"] = {{"mediaType", kConfigType}, {"digest", digest_of(config_json)}, {"size", config_json.size()}};
  manifest["layers"] = OrderedJson::array();
  for (const Layer& layer : layers) {
    manifest["layers"].push_back({{"mediaType", kLayerType}, {"digest", layer.diff_id}, {"size", layer.tar_size}});
  }
  return manifest.dump();
}

std::string now_rfc3339() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return rfc3339(now);
}

std::string host_architecture() {
  utsname names{};
  ::uname(&names);
  const std::string machine = names.machine;
  static const std::map<std::string, std::string> kGoNames = {
      {"x86_64", "amd64"}, {"aarch64", "arm64"},      {"armv7l", "arm"},      {"armv6l", "arm"},
      {"i686", "386"},     {"i386", "386"},           {"riscv64", "riscv64"}, {"ppc64le", "ppc64le"},
      {"s390x", "s390x"},  {"loongarch64", "loong64"}};
  const auto it = kGoNames.find(machine);
  return it == kGoNames.end() ? machine : it->second;
}

Store::Internal::Internal(const std::string& state_root)
    : root{state_root}, images{state_root + "/images"}, layers_dir{state_root + "/layers"}, tmp{state_root + "/tmp"} {}

Result<void> Store::Internal::make_folders() const {
  if (sys::exists(images + "/index.json") && sys::exists(tmp)) return {};
  for (const std::string& folder : {images, images + "/blobs/sha256", layers_dir, tmp}) {
    TRY(sys::make_directories(folder, 0700));
  }
  // Images hold setuid programs and secrets of their makers: nobody else may walk in, also when a folder was there
  // with other rights.
  for (const std::string& folder : {images, layers_dir, tmp}) {
    if (::chmod(folder.c_str(), 0700) != 0) return os_error("change the mode of \"{}\"", folder);
  }
  TRY(sys::write_file_atomic(images + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})", 0600));
  TRY_ASSIGN(const sys::FileLock lock, sys::FileLock::acquire(images + "/lock"));
  if (sys::exists(images + "/index.json")) return {};
  return sys::write_file_atomic(images + "/index.json", R"({"schemaVersion":2,"manifests":[]})", 0600);
}

Result<UseLock> Store::Internal::use() const { return lock_file(images + "/use.lock", LOCK_SH); }

Result<std::optional<UseLock>> Store::Internal::collect() const {
  TRY_ASSIGN(UseLock lock, lock_file(images + "/use.lock", LOCK_EX | LOCK_NB));
  if (!lock.valid()) return std::optional<UseLock>{};
  return std::optional{std::move(lock)};
}

std::string Store::Internal::blob_path(const std::string& digest) const {
  return images + "/blobs/sha256/" + digest.substr(digest.find(':') + 1);
}

Result<std::string> Store::Internal::write_blob(const std::string& bytes) const {
  const std::string digest = digest_of(bytes);
  if (!sys::exists(blob_path(digest))) {
    TRY(sys::write_file_atomic(blob_path(digest), bytes, 0600, sys::Durability::durable));
  }
  return digest;
}

Result<std::string> Store::Internal::read_blob(const std::string& digest) const {
  TRY(parse_digest(digest));
  TRY_ASSIGN(std::string bytes, sys::read_file(blob_path(digest), kMaxBlob));
  if (digest_of(bytes) != digest)
    return make_error(Errc::corrupt, "blob {} is damaged: pull, load or build the image again", digest);
  return bytes;
}

Result<std::vector<IndexEntry>> Store::Internal::read_index() const {
  const std::string path = images + "/index.json";
  TRY_ASSIGN(const std::string text, sys::read_file(path));
  const Json document = Json::parse(text, nullptr, false);
  const auto manifests = document.is_object() ? document.find("manifests") : document.end();
  if (!document.is_object() || manifests == document.end() || !manifests->is_array()) {
    return make_error(Errc::corrupt, "\"{}\" is no OCI image index", path);
  }
  std::vector<IndexEntry> entries;
  for (const Json& item : *manifests) {
    if (!item.is_object()) return make_error(Errc::corrupt, "\"{}\": an entry is no object", path);
    IndexEntry entry;
    entry.manifest_digest = json_text(item, "digest");
    entry.manifest_size = json_size(item, "size");
    entry.image_id = annotation(item, kImageId);
    entry.name = annotation(item, kRefName);
    entry.tagged_at = annotation(item, kTaggedAt);
    entry.repo_digest = annotation(item, kRepoDigest);
    TRY(parse_digest(entry.manifest_digest).with("\"{}\"", path));
    TRY(parse_digest(entry.image_id).with("\"{}\"", path));
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<void> Store::Internal::change_index(const std::function<bool(std::vector<IndexEntry>&)>& change) const {
  TRY_ASSIGN(const sys::FileLock lock, sys::FileLock::acquire(images + "/lock"));
  TRY_ASSIGN(std::vector<IndexEntry> entries, read_index());
  if (!change(entries)) return {};
  OrderedJson document;
  document["schemaVersion"] = 2;
  document["mediaType"] = "application/vnd.oci.image.index.v1+json";
  document["manifests"] = OrderedJson::array();
  for (const IndexEntry& entry : entries) {
    OrderedJson item;
    item["mediaType"] = kManifestType;
    item["digest"] = entry.manifest_digest;
    item["size"] = entry.manifest_size;
    OrderedJson& annotations = item["annotations"];
    if (!entry.name.empty()) annotations[kRefName] = entry.name;
    annotations[kImageId] = entry.image_id;
    annotations[kTaggedAt] = entry.tagged_at;
    if (!entry.repo_digest.empty()) annotations[kRepoDigest] = entry.repo_digest;
    document["manifests"].push_back(std::move(item));
  }
  return sys::write_file_atomic(images + "/index.json", document.dump(1) + "\n", 0600, sys::Durability::durable);
}

Result<Image> Store::Internal::add_image(const std::string& config_json, const std::vector<Reference>& names,
                                         const std::string& manifest_json, const std::string& repo_digest) const {
  TRY_ASSIGN(const ImageConfig config, parse_image_config(config_json));
  TRY_ASSIGN(const std::vector<Layer> layers, layers_of(config));
  const std::string manifest = manifest_json.empty() ? layout_manifest(config_json, layers) : manifest_json;
  TRY_ASSIGN(const std::string id, write_blob(config_json));
  TRY_ASSIGN(const std::string manifest_digest, write_blob(manifest));
  const std::string now = now_rfc3339();
  TRY(change_index([&](std::vector<IndexEntry>& index) {
    bool changed = false;
    const auto is_ours = [&](const IndexEntry& entry) { return entry.image_id == id; };
    for (const Reference& name : names) {
      const std::string full = name.full();
      const auto same =
          std::find_if(index.begin(), index.end(), [&](const IndexEntry& entry) { return entry.name == full; });
      if (same != index.end() && same->image_id == id && same->manifest_digest == manifest_digest) {
        // Pulled again: daily and weekly count from now.
        if (!repo_digest.empty()) {
          same->repo_digest = repo_digest;
          same->tagged_at = now;
          changed = true;
        }
        continue;
      }
      changed = true;
      if (same != index.end()) {
        // The image that had the name stays, without one, unless it has others: containers may use it.
        const std::string old = same->image_id;
        const auto uses =
            std::count_if(index.begin(), index.end(), [&](const IndexEntry& entry) { return entry.image_id == old; });
        if (uses == 1 && old != id) {
          same->name.clear();
        } else {
          index.erase(same);
        }
      }
      index.push_back({manifest_digest, manifest.size(), id, full, now, repo_digest});
    }
    const auto has_digest = [&](const IndexEntry& entry) { return is_ours(entry) && entry.repo_digest == repo_digest; };
    if (!names.empty()) {
      // With a name it is no longer dangling; a digest it was pulled by stays, since files may name it.
      const auto dangling = std::remove_if(index.begin(), index.end(), [&](const IndexEntry& entry) {
        return is_ours(entry) && entry.name.empty() && (entry.repo_digest.empty() || entry.repo_digest == repo_digest);
      });
      changed = changed || dangling != index.end();
      index.erase(dangling, index.end());
    } else if (std::none_of(index.begin(), index.end(), is_ours) ||
               (!repo_digest.empty() && std::none_of(index.begin(), index.end(), has_digest))) {
      index.push_back({manifest_digest, manifest.size(), id, "", now, repo_digest});
      changed = true;
    }
    return changed;
  }));
  TRY_ASSIGN(const std::vector<IndexEntry> index, read_index());
  return read_image(id, index);
}

Result<Image> Store::Internal::read_image(const std::string& image_id, const std::vector<IndexEntry>& index) const {
  Image image;
  image.id = image_id;
  for (const IndexEntry& entry : index) {
    if (entry.image_id != image_id) continue;
    image.manifest_digest = entry.manifest_digest;
    image.last_tagged = std::max(image.last_tagged, entry.tagged_at);
    if (!entry.name.empty()) {
      TRY_ASSIGN(const Reference name, parse_reference(entry.name));
      image.names.push_back(name.familiar());
    }
    if (!entry.repo_digest.empty()) {
      TRY_ASSIGN(const Reference name, parse_reference(entry.repo_digest));
      image.repo_digests.push_back(name.familiar());
    }
  }
  std::sort(image.names.begin(), image.names.end());
  std::sort(image.repo_digests.begin(), image.repo_digests.end());
  image.repo_digests.erase(std::unique(image.repo_digests.begin(), image.repo_digests.end()), image.repo_digests.end());
  TRY_ASSIGN(const std::string config, read_blob(image_id));
  TRY_ASSIGN(image.config, parse_image_config(config));
  TRY_ASSIGN(const std::vector<Layer> layers, layers_of(image.config));
  for (const Layer& layer : layers) {
    image.size += layer.size;
    image.layer_dirs.insert(image.layer_dirs.begin(), layer.dir);
  }
  return image;
}

Result<std::optional<std::string>> Store::Internal::resolve_id(const std::string& text,
                                                               const std::vector<IndexEntry>& index) const {
  const auto found = [](const std::string& id) { return Result<std::optional<std::string>>{std::optional{id}}; };
  const bool digest = is_digest(text);
  if (!digest) {
    if (const Result<Reference> name = parse_reference(text)) {
      const bool by_digest = !name->digest.empty();
      // An index's digest may stand for images of several platforms: the one that came last.
      const IndexEntry* newest = nullptr;
      for (const IndexEntry& entry : index) {
        if (!by_digest && entry.name == name->full()) return found(entry.image_id);
        // "name:tag@digest": the tag is only for the reader.
        const bool right = entry.manifest_digest == name->digest || entry.repo_digest.ends_with("@" + name->digest);
        const std::string repository = name->domain + "/" + name->path;
        if (by_digest && right &&
            (entry.repo_digest.starts_with(repository + "@") || entry.name.starts_with(repository + ":")) &&
            (newest == nullptr || newest->tagged_at <= entry.tagged_at)) {
          newest = &entry;
        }
      }
      if (newest != nullptr) return found(newest->image_id);
    }
  }
  const std::string digits = text.starts_with("sha256:") ? text.substr(7) : text;
  const bool hex = std::all_of(digits.begin(), digits.end(),
                               [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (digits.size() < 4 || digits.size() > 64 || !hex) return std::optional<std::string>{};
  std::set<std::string> matches;
  for (const IndexEntry& entry : index) {
    if (entry.image_id.compare(7, digits.size(), digits) == 0) matches.insert(entry.image_id);
  }
  if (matches.size() > 1)
    return make_error(Errc::invalid, "\"{}\" is the beginning of {} image ids", text, matches.size());
  if (matches.empty()) return std::optional<std::string>{};
  return found(*matches.begin());
}

}  // namespace compose::image
