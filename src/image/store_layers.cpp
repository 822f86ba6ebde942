// Layers of the store: unpacked, taken over, given back as tars.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/sha256.hpp"
#include "image/digest.hpp"
#include "image/json_values.hpp"
#include "image/layer_tar.hpp"
#include "image/store_internal.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::image {

namespace {

using Json = nlohmann::json;

constexpr const char* kHeaders = "/headers.zst";

Result<Layer> parse_layer(const std::string& text, const std::string& folder) {
  const Json document = Json::parse(text, nullptr, false);
  if (!document.is_object()) return make_error(Errc::corrupt, "\"{}/layer.json\" is damaged", folder);
  Layer layer;
  layer.diff_id = json_text(document, "diff_id");
  layer.chain_id = json_text(document, "chain_id");
  layer.size = json_size(document, "size");
  layer.tar_size = json_size(document, "tar_size");
  layer.dir = folder + "/diff";
  TRY(parse_digest(layer.diff_id));
  TRY(parse_digest(layer.chain_id));
  return layer;
}

/// The boot during which a layer was written and may not have reached the disk yet; "" once it is known to have.
std::string unproven_boot(const std::string& text) { return json_text(Json::parse(text, nullptr, false), "boot_id"); }

const std::string& this_boot() {
  static const std::string id = sys::boot_id();
  return id;
}

/// The tree's own rights let everybody in (containers look at it through overlayfs); the folder around it does not.
Result<void> write_layer_record(const std::string& folder, const Layer& layer, const std::string& boot_id) {
  Json document = {
      {"diff_id", layer.diff_id}, {"chain_id", layer.chain_id}, {"size", layer.size}, {"tar_size", layer.tar_size}};
  if (!boot_id.empty()) document["boot_id"] = boot_id;
  if (::chmod(folder.c_str(), 0700) != 0) return os_error("change the mode of \"{}\"", folder);
  return sys::write_file_atomic(folder + "/layer.json", document.dump() + "\n", 0600);
}

}  // namespace

std::string Store::Internal::layer_folder(const std::string& chain) const {
  return layers_dir + "/" + chain.substr(chain.find(':') + 1);
}

Result<std::optional<Layer>> Store::Internal::layer(const std::string& chain) const {
  const std::string folder = layer_folder(chain);
  Result<std::string> text = sys::read_file(folder + "/layer.json");
  if (!text) {
    if (text.error().code() == Errc::not_found) return std::optional<Layer>{};
    return std::move(text).error();
  }
  const std::string boot = unproven_boot(*text);
  Result<Layer> layer = parse_layer(*text, folder);
  if (!layer || (!boot.empty() && boot != this_boot())) return prove_layer(chain, *text);
  return std::optional{std::move(*layer)};
}

/// Files of a layer are not synced when it is made: that would cost more than making it. If the machine has started
/// since, a power cut may have emptied them, so the layer's digest is compared once; a damaged layer is removed.
Result<std::optional<Layer>> Store::Internal::prove_layer(const std::string& chain, const std::string& record) const {
  const std::string folder = layer_folder(chain);
  const Result<Layer> layer = parse_layer(record, folder);
  const auto ignore = [](std::string_view) { return Result<void>{}; };
  if (layer && layer->chain_id == chain && write_layer_tar(*layer, ignore)) {
    TRY(write_layer_record(folder, *layer, ""));
    return std::optional{*layer};
  }
  TRY_ASSIGN(const Workspace space, workspace());
  if (::rename(folder.c_str(), (space.path() + "/layer").c_str()) != 0 && errno != ENOENT) {
    return os_error("remove the damaged layer \"{}\"", folder);
  }
  return std::optional<Layer>{};
}

Result<Layer> Store::Internal::add_layer(const std::string& folder, const std::string& parent_chain,
                                         Layer layer) const {
  layer.chain_id = chain_id(parent_chain, layer.diff_id);
  const std::string target = layer_folder(layer.chain_id);
  layer.dir = target + "/diff";
  TRY(write_layer_record(folder, layer, this_boot()));
  // A second time when the folder that was in the way turned out to be damaged, and is gone.
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (::renameat2(AT_FDCWD, folder.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE) == 0) return layer;
    if (errno != EEXIST && errno != ENOTEMPTY) return os_error("store layer {}", layer.chain_id);
    TRY_ASSIGN(const std::optional<Layer> existing, this->layer(layer.chain_id));
    if (existing) return *existing;
  }
  return make_error(Errc::corrupt, "the folder \"{}\" is no layer: remove it", target);
}

Result<Layer> Store::Internal::unpack_layer(ByteReaderPtr tar, const std::vector<Layer>& parents,
                                            const std::string& expected_diff_id) const {
  TRY_ASSIGN(const Workspace space, workspace());
  std::vector<std::string> below;
  for (auto it = parents.rbegin(); it != parents.rend(); ++it) below.push_back(it->dir);
  const std::string folder = space.path() + "/layer";
  TRY_ASSIGN(LayerWriter writer, LayerWriter::create(folder, MergedView{std::move(below)}));
  TRY_ASSIGN(ByteReaderPtr plain, decompress(std::move(tar)));
  TRY_ASSIGN(const UnpackLimits limits, limits_for(root));
  HashingReader hashed{std::move(plain)};
  {
    ReadAhead ahead{hashed};
    TRY(unpack_tar(ahead, writer, folder + kHeaders, limits));
  }
  Layer layer;
  layer.diff_id = hashed.digest();
  layer.size = writer.bytes();
  layer.tar_size = hashed.size();
  if (!expected_diff_id.empty() && layer.diff_id != expected_diff_id) {
    return make_error(Errc::corrupt, "the layer's content has the digest {}, expected {}", layer.diff_id,
                      expected_diff_id);
  }
  return add_layer(folder, parents.empty() ? "" : parents.back().chain_id, std::move(layer));
}

Result<void> Store::Internal::write_layer_tar(const Layer& layer,
                                              const std::function<Result<void>(std::string_view)>& sink) const {
  Sha256 hash;
  const ByteSink hashing = [&](std::string_view bytes) {
    hash.update(bytes.data(), bytes.size());
    return sink(bytes);
  };
  const std::string folder = layer_folder(layer.chain_id);
  if (sys::exists(folder + kHeaders)) {
    TRY(replay_tar(folder, folder + kHeaders, hashing).with("layer {}", layer.diff_id));
  } else {
    TRY(write_canonical_tar(folder + "/diff", hashing).with("layer {}", layer.diff_id));
  }
  if ("sha256:" + hash.finish_hex() != layer.diff_id) {
    return make_error(Errc::corrupt, "the files of layer {} in \"{}\" have been changed", layer.diff_id, folder);
  }
  return {};
}

Result<std::vector<Layer>> Store::Internal::layers_of(const ImageConfig& config) const {
  std::vector<Layer> result;
  std::string chain;
  for (const std::string& diff_id : config.diff_ids) {
    chain = chain_id(chain, diff_id);
    TRY_ASSIGN(std::optional<Layer> layer, this->layer(chain));
    if (!layer) return make_error(Errc::not_found, "layer {} is missing: pull, load or build the image again", diff_id);
    result.push_back(std::move(*layer));
  }
  return result;
}

}  // namespace compose::image
