// Archives of images: what `docker save`, podman, skopeo and umoci write, and OCI layout folders.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "image/digest.hpp"
#include "image/json_values.hpp"
#include "image/layer_tar.hpp"
#include "image/store_internal.hpp"
#include "image/tar_reader.hpp"
#include "sys/file.hpp"

namespace compose::image {

namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t kMaxDocument = std::size_t{16} << 20;
constexpr std::size_t kMaxMembers = 100'000;
constexpr int kMaxIndexDepth = 4;
constexpr const char* kContainerdName = "io.containerd.image.name";
constexpr const char* kRefName = "org.opencontainers.image.ref.name";

Error corrupt(const std::string& why) { return make_error(Errc::corrupt, "the archive is no image archive: {}", why); }

/// The files of an archive or a layout folder by name.
class Members {
 public:
  virtual ~Members() = default;
  virtual bool has(const std::string& name) const = 0;
  virtual Result<ByteReaderPtr> open(const std::string& name) const = 0;

  Result<std::string> read(const std::string& name) const {
    TRY_ASSIGN(const ByteReaderPtr reader, open(name));
    return read_everything(*reader, kMaxDocument).with("\"{}\"", name);
  }
  Result<Json> read_json(const std::string& name) const {
    TRY_ASSIGN(const std::string text, read(name));
    Json document = Json::parse(text, nullptr, false);
    if (document.is_discarded()) return corrupt(fmt::format("\"{}\" is not JSON", name));
    return document;
  }
  /// A blob of a layout, checked.
  Result<std::string> read_blob(const std::string& digest) const {
    TRY_ASSIGN(const std::string digits, parse_digest(digest));
    TRY_ASSIGN(std::string bytes, read("blobs/sha256/" + digits));
    if (digest_of(bytes) != digest) return corrupt(fmt::format("blob {} has other content than its name says", digest));
    return bytes;
  }
};

class FolderMembers : public Members {
 public:
  explicit FolderMembers(std::string folder) : folder_{std::move(folder)} {}
  bool has(const std::string& name) const override { return sys::exists(folder_ + "/" + name); }
  Result<ByteReaderPtr> open(const std::string& name) const override {
    UniqueFd fd{::open((folder_ + "/" + name).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (!fd.valid()) return os_error("open \"{}/{}\"", folder_, name);
    return read_fd(std::move(fd));
  }

 private:
  std::string folder_;
};

class TarMembers : public Members {
 public:
  static Result<TarMembers> scan(UniqueFd fd) {
    TarMembers members;
    struct stat status{};
    if (::fstat(fd.get(), &status) != 0) return os_error("stat the archive");
    members.fd_ = std::move(fd);
    const ByteReaderPtr all = read_range(members.fd_.get(), 0, static_cast<std::uint64_t>(status.st_size));
    TarReader reader{*all};
    while (true) {
      TRY_ASSIGN(const std::optional<TarEntry> entry, reader.next());
      if (!entry) return members;
      if (members.places_.size() > kMaxMembers) return corrupt("it has too many members");
      const std::string name = lexical_path(entry->path);
      if (entry->type == TarEntry::Type::file && !entry->sparse) {
        members.places_[name] = {reader.position(), entry->size};
      } else if (entry->type == TarEntry::Type::symbolic_link || entry->type == TarEntry::Type::hard_link) {
        // Old `docker save` links equal layers: "../<id>/layer.tar".
        const bool relative = entry->type == TarEntry::Type::symbolic_link && !entry->link_target.starts_with('/');
        members.links_[name] = lexical_path(relative ? name + "/../" + entry->link_target : entry->link_target);
      }
    }
  }

  bool has(const std::string& name) const override { return places_.contains(follow(name)); }
  Result<ByteReaderPtr> open(const std::string& name) const override {
    const auto it = places_.find(follow(name));
    if (it == places_.end()) return corrupt(fmt::format("\"{}\" is missing", name));
    return read_range(fd_.get(), it->second.offset, it->second.size);
  }

 private:
  struct Place {
    std::uint64_t offset;
    std::uint64_t size;
  };
  std::string follow(const std::string& name) const {
    std::string current = lexical_path(name);
    for (int i = 0; i < 8; ++i) {
      const auto it = links_.find(current);
      if (it == links_.end()) break;
      current = it->second;
    }
    return current;
  }
  UniqueFd fd_;
  std::map<std::string, Place> places_;
  std::map<std::string, std::string> links_;
};

/// A seekable file with the archive uncompressed: the file itself, or a copy without a name.
Result<UniqueFd> seekable_archive(const std::string& path, const std::string& tmp) {
  UniqueFd fd{path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd.valid()) return os_error("open \"{}\"", path);
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return os_error("stat \"{}\"", path);
  char first[6] = {};
  if (S_ISREG(status.st_mode) && ::lseek(fd.get(), 0, SEEK_CUR) == 0) {
    const ssize_t size = ::pread(fd.get(), first, sizeof first, 0);
    if (size >= 0 && detect_compression({first, static_cast<std::size_t>(size)}) == Compression::none) return fd;
  }
  UniqueFd copy{::open(tmp.c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, 0600)};
  if (!copy.valid()) return os_error("make a file in \"{}\"", tmp);
  TRY_ASSIGN(const UnpackLimits limits, limits_for(tmp));
  TRY_ASSIGN(const ByteReaderPtr plain, decompress(read_fd(std::move(fd))));
  ReadAhead ahead{*plain};
  std::vector<char> buffer(std::size_t{256} << 10);
  std::uint64_t total = 0;
  while (true) {
    TRY_ASSIGN(const std::size_t got, ahead.read(buffer.data(), buffer.size()));
    if (got == 0) return copy;
    total += got;
    if (total > limits.bytes) return make_error(Errc::corrupt, "the archive does not fit on this disk");
    TRY(sys::write_all(copy.get(), {buffer.data(), got}));
  }
}

/// One image of an archive, before its layers are unpacked.
struct Candidate {
  std::string config;
  std::vector<std::string> layers;  ///< members, lowest first
  std::vector<Reference> names;
};

Result<std::vector<Candidate>> docker_candidates(const Members& members) {
  TRY_ASSIGN(const Json document, members.read_json("manifest.json"));
  if (!document.is_array()) return corrupt("\"manifest.json\" is no array");
  std::vector<Candidate> result;
  for (const Json& item : document) {
    Candidate candidate;
    const std::string config = json_text(item, "Config");
    if (config.empty()) return corrupt("\"manifest.json\" names no configuration");
    TRY_ASSIGN(candidate.config, members.read(config));
    for (const std::string& layer : json_texts(item, "Layers")) candidate.layers.push_back(layer);
    for (const std::string& tag : json_texts(item, "RepoTags")) {
      TRY_ASSIGN(Reference name, parse_reference(tag));
      candidate.names.push_back(std::move(name));
    }
    result.push_back(std::move(candidate));
  }
  return result;
}

/// In a layout the name is what containerd wrote, or a reference of its own kind: a whole name, or only a tag, which
/// names nothing here.
std::vector<Reference> layout_names(const Json& descriptor) {
  const Json* annotations = json_member(descriptor, "annotations");
  if (!annotations) return {};
  for (const char* key : {kContainerdName, kRefName}) {
    const std::string text = json_text(*annotations, key);
    if (text.find_first_of(":/") == std::string::npos) continue;
    if (Result<Reference> name = parse_reference(text)) return {*name};
  }
  return {};
}

bool fits_host(const Json& descriptor) {
  const Json* platform = json_member(descriptor, "platform");
  if (!platform) return true;
  return json_text(*platform, "os") == "linux" && json_text(*platform, "architecture") == host_architecture();
}

Result<void> layout_candidates(const Members& members, const Json& index, const std::vector<Reference>& names,
                               int depth, std::vector<Candidate>& result) {
  if (depth > kMaxIndexDepth) return corrupt("image indexes are nested too deeply");
  for (const Json& descriptor : json_items(index, "manifests")) {
    if (!fits_host(descriptor)) continue;
    std::vector<Reference> own = layout_names(descriptor);
    if (own.empty()) own = names;
    TRY_ASSIGN(const std::string text, members.read_blob(json_text(descriptor, "digest")));
    const Json document = Json::parse(text, nullptr, false);
    const bool is_index = json_member(document, "manifests") != nullptr;
    const bool is_manifest = json_member(document, "layers") != nullptr || json_member(document, "config") != nullptr;
    // A document that is both could be read as two different images (CVE-2021-41190).
    if (is_index == is_manifest) return corrupt("a manifest is ambiguous");
    if (is_index) {
      TRY(layout_candidates(members, document, own, depth + 1, result));
      continue;
    }
    Candidate candidate;
    candidate.names = own;
    const Json* config = json_member(document, "config");
    TRY_ASSIGN(candidate.config, members.read_blob(config ? json_text(*config, "digest") : ""));
    for (const Json& layer : json_items(document, "layers")) {
      TRY_ASSIGN(const std::string digits, parse_digest(json_text(layer, "digest")));
      candidate.layers.push_back("blobs/sha256/" + digits);
    }
    result.push_back(std::move(candidate));
  }
  return {};
}

Result<Image> load_candidate(const Store::Internal& store, const Members& members, const Candidate& candidate) {
  TRY_ASSIGN(const ImageConfig config, parse_image_config(candidate.config));
  if (config.diff_ids.size() != candidate.layers.size())
    return corrupt("it has not as many layers as its configuration");
  std::vector<Layer> layers;
  for (std::size_t i = 0; i < candidate.layers.size(); ++i) {
    const std::string parent = layers.empty() ? "" : layers.back().chain_id;
    TRY_ASSIGN(std::optional<Layer> layer, store.layer(chain_id(parent, config.diff_ids[i])));
    if (!layer) {
      TRY_ASSIGN(ByteReaderPtr tar, members.open(candidate.layers[i]));
      TRY_ASSIGN(layer,
                 store.unpack_layer(std::move(tar), layers, config.diff_ids[i]).with("layer {}", config.diff_ids[i]));
    }
    layers.push_back(std::move(*layer));
  }
  return store.add_image(candidate.config, candidate.names);
}

Result<std::vector<Image>> load_members(const Store::Internal& store, const Members& members) {
  std::vector<Candidate> candidates;
  if (members.has("manifest.json")) {
    TRY_ASSIGN(candidates, docker_candidates(members));
  } else if (members.has("index.json")) {
    TRY_ASSIGN(const Json index, members.read_json("index.json"));
    TRY(layout_candidates(members, index, {}, 0, candidates));
  } else {
    return corrupt("it has neither manifest.json nor index.json (a root file system is for \"image import\")");
  }
  if (candidates.empty()) return corrupt("it has no image for this machine");
  std::vector<Image> images;
  for (const Candidate& candidate : candidates) {
    TRY_ASSIGN(Image image, load_candidate(store, members, candidate));
    images.push_back(std::move(image));
  }
  return images;
}

/// Writes members to a descriptor, each once.
class ArchiveWriter {
 public:
  explicit ArchiveWriter(int fd) : fd_{fd} {}
  Result<void> add(const std::string& name, const std::string& content) {
    if (!names_.insert(name).second) return {};
    return sys::write_all(fd_, archive_member(name, content.size()) + content + padding(content.size()));
  }
  Result<void> add_blob(const std::string& content) { return add(blob_name(digest_of(content)), content); }
  Result<void> add_layer(const Store::Internal& store, const Layer& layer) {
    const std::string name = blob_name(layer.diff_id);
    if (!names_.insert(name).second) return {};
    TRY(sys::write_all(fd_, archive_member(name, layer.tar_size)));
    TRY(store.write_layer_tar(layer, [this](std::string_view bytes) { return sys::write_all(fd_, bytes); }));
    return sys::write_all(fd_, padding(layer.tar_size));
  }
  Result<void> finish() { return sys::write_all(fd_, std::string(1024, '\0')); }
  static std::string blob_name(const std::string& digest) { return "blobs/sha256/" + digest.substr(7); }

 private:
  static std::string padding(std::uint64_t size) { return std::string((512 - size % 512) % 512, '\0'); }
  int fd_;
  std::set<std::string> names_;
};

struct SavedImage {
  std::string id;
  std::vector<Reference> names;
};

Result<void> write_archive(const Store::Internal& store, const std::vector<SavedImage>& images,
                           ArchiveWriter& archive) {
  OrderedJson docker = OrderedJson::array();
  OrderedJson index = {{"schemaVersion", 2}, {"mediaType", "application/vnd.oci.image.index.v1+json"}};
  index["manifests"] = OrderedJson::array();
  for (const SavedImage& image : images) {
    TRY_ASSIGN(const std::string config_json, store.read_blob(image.id));
    TRY_ASSIGN(const ImageConfig config, parse_image_config(config_json));
    TRY_ASSIGN(const std::vector<Layer> layers, store.layers_of(config));
    const std::string manifest = layout_manifest(config_json, layers);
    OrderedJson entry = {{"Config", ArchiveWriter::blob_name(image.id)}, {"RepoTags", OrderedJson::array()}};
    entry["Layers"] = OrderedJson::array();
    for (const Layer& layer : layers) {
      TRY(archive.add_layer(store, layer));
      entry["Layers"].push_back(ArchiveWriter::blob_name(layer.diff_id));
    }
    TRY(archive.add_blob(config_json));
    TRY(archive.add_blob(manifest));
    OrderedJson descriptor = {{"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                              {"digest", digest_of(manifest)},
                              {"size", manifest.size()}};
    if (image.names.empty()) index["manifests"].push_back(descriptor);
    for (const Reference& name : image.names) {
      entry["RepoTags"].push_back(name.familiar());
      descriptor["annotations"] = {{kContainerdName, name.full()}, {kRefName, name.tag}};
      index["manifests"].push_back(descriptor);
    }
    docker.push_back(std::move(entry));
  }
  TRY(archive.add("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
  TRY(archive.add("index.json", index.dump()));
  TRY(archive.add("manifest.json", docker.dump()));
  return archive.finish();
}

}  // namespace

Result<std::vector<Image>> Store::load(const std::string& archive_path) {
  TRY_ASSIGN(const UseLock use, internal_->use());
  TRY(Workspace::sweep(internal_->tmp));
  struct stat status{};
  if (archive_path != "-" && ::stat(archive_path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
    return load_members(*internal_, FolderMembers{archive_path}).with("load \"{}\"", archive_path);
  }
  TRY_ASSIGN(UniqueFd fd, seekable_archive(archive_path, internal_->tmp).with("load \"{}\"", archive_path));
  TRY_ASSIGN(const TarMembers members, TarMembers::scan(std::move(fd)).with("load \"{}\"", archive_path));
  return load_members(*internal_, members).with("load \"{}\"", archive_path);
}

Result<void> Store::save(const std::vector<std::string>& names_or_ids, const std::string& archive_path) const {
  TRY_ASSIGN(const UseLock use, internal_->use());
  std::vector<SavedImage> images;
  for (const std::string& text : names_or_ids) {
    TRY_ASSIGN(const std::optional<Image> image, find(text));
    if (!image) return make_error(Errc::not_found, "no such image: \"{}\"", text);
    auto it =
        std::find_if(images.begin(), images.end(), [&](const SavedImage& saved) { return saved.id == image->id; });
    if (it == images.end()) it = images.insert(images.end(), SavedImage{image->id, {}});
    // Saved by name it keeps that name, saved by id it has none.
    const Result<Reference> name = parse_reference(text);
    if (name && std::find(image->names.begin(), image->names.end(), name->familiar()) != image->names.end()) {
      it->names.push_back(*name);
    }
  }
  if (archive_path == "-") {
    ArchiveWriter archive{STDOUT_FILENO};
    return write_archive(*internal_, images, archive);
  }
  const std::string part = archive_path + ".part";
  UniqueFd fd{::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  if (!fd.valid()) return os_error("create \"{}\"", part);
  ArchiveWriter archive{fd.get()};
  Result<void> written = write_archive(*internal_, images, archive);
  if (written && ::rename(part.c_str(), archive_path.c_str()) != 0) written = os_error("create \"{}\"", archive_path);
  if (!written) ::unlink(part.c_str());
  return written;
}

}  // namespace compose::image
