// What the store takes up, and what of it could go.
#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "image/size_on_disk.hpp"
#include "image/store_internal.hpp"
#include "sys/file.hpp"

namespace compose::image {

namespace {

/// Which images have a layer, and whether one of them is in use.
struct LayerUse {
  std::uint64_t size = 0;
  std::size_t images = 0;
  bool active = false;
};

}  // namespace

Result<std::uint64_t> size_on_disk(const std::string& folder) {
  std::uint64_t size = 0;
  TRY_ASSIGN(const std::vector<std::string> names, sys::list_directory(folder));
  for (const std::string& name : names) {
    const std::string path = folder + "/" + name;
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) continue;  // gone meanwhile
    size += static_cast<std::uint64_t>(status.st_blocks) * 512;
    if (!S_ISDIR(status.st_mode)) continue;
    const Result<std::uint64_t> below = size_on_disk(path);
    if (!below && below.error().sys_errno() != ENOENT) return below;
    if (below) size += *below;
  }
  return size;
}

Result<StoreUsage> Store::usage(const std::vector<std::string>& in_use) const {
  StoreUsage usage;
  std::map<std::string, LayerUse> layers;
  TRY_ASSIGN(const std::vector<Image> images, list());
  std::vector<std::vector<Layer>> layers_of_image;
  for (const Image& image : images) {
    const bool active = std::find(in_use.begin(), in_use.end(), image.id) != in_use.end();
    if (active) ++usage.active_images;
    TRY_ASSIGN(std::vector<Layer> own, internal_->layers_of(image.config));
    for (const Layer& layer : own) {
      LayerUse& use = layers[layer.chain_id];
      use.size = layer.size;
      ++use.images;
      use.active = use.active || active;
    }
    layers_of_image.push_back(std::move(own));
  }
  for (std::size_t i = 0; i < images.size(); ++i) {
    ImageUsage one;
    one.image = images[i];
    one.containers = static_cast<std::size_t>(std::count(in_use.begin(), in_use.end(), images[i].id));
    for (const Layer& layer : layers_of_image[i]) {
      (layers[layer.chain_id].images > 1 ? one.shared : one.unique) += layer.size;
    }
    usage.images.push_back(std::move(one));
  }
  for (const auto& [chain, use] : layers) {
    usage.images_size += use.size;
    if (!use.active) usage.images_reclaimable += use.size;
  }
  TRY_ASSIGN(const std::vector<std::string> folders, sys::list_directory(internal_->layers_dir));
  for (const std::string& name : folders) {
    const std::string chain = "sha256:" + name;
    if (layers.contains(chain)) continue;
    TRY_ASSIGN(const std::optional<Layer> layer, internal_->layer(chain));
    ++usage.build_layers;
    if (layer) usage.build_size += layer->size;
  }
  TRY_ASSIGN(const std::vector<std::string> unfinished, sys::list_directory(internal_->tmp));
  usage.unfinished = static_cast<std::size_t>(std::count_if(
      unfinished.begin(), unfinished.end(), [](const std::string& name) { return !name.ends_with(".lock"); }));
  TRY_ASSIGN(usage.unfinished_size, size_on_disk(internal_->tmp));
  return usage;
}

}  // namespace compose::image
