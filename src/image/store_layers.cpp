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

/// The tree's own rights let everybody in (containers look at it through overlayfs); the folder around it does not.
Result<void> write_layer_record(const std::string& folder, const Layer& layer) {
  const Json document = {
      {"diff_id", layer.diff_id}, {"chain_id", layer.chain_id}, {"size", layer.size}, {"tar_size", layer.tar_size}};
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
  TRY_ASSIGN(Layer layer, parse_layer(*text, folder));
  return std::optional{std::move(layer)};
}

Result<Layer> Store::Internal::add_layer(const std::string& folder, const std::string& parent_chain,
                                         Layer layer) const {
  layer.chain_id = chain_id(parent_chain, layer.diff_id);
  const std::string target = layer_folder(layer.chain_id);
  layer.dir = target + "/diff";
  TRY(write_layer_record(folder, layer));
  if (::renameat2(AT_FDCWD, folder.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE) != 0) {
    if (errno != EEXIST && errno != ENOTEMPTY) return os_error("store layer {}", layer.chain_id);
    TRY_ASSIGN(const std::optional<Layer> existing, this->layer(layer.chain_id));
    if (!existing) return make_error(Errc::corrupt, "the folder \"{}\" is no layer: remove it", target);
    return *existing;
  }
  return layer;
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
