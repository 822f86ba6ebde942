#include "image/registry/known_blobs.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "image/digest.hpp"
#include "image/json_values.hpp"
#include "sys/file.hpp"

namespace compose::image::registry {

namespace {

using Json = nlohmann::json;
constexpr std::size_t kMost = 16;
constexpr std::size_t kMaxFile = std::size_t{256} << 10;

std::string file_of(const Store::Internal& store, const std::string& diff_id) {
  return store.images + "/known-blobs/" + diff_id.substr(diff_id.find(':') + 1);
}

}  // namespace

std::vector<KnownBlob> known_blobs(const Store::Internal& store, const std::string& diff_id) {
  std::vector<KnownBlob> result;
  const auto text = sys::read_file(file_of(store, diff_id), kMaxFile);
  if (!text) return result;
  const Json document = Json::parse(*text, nullptr, false);
  if (!document.is_array()) return result;
  for (const Json& item : document) {
    KnownBlob blob{json_text(item, "digest"), json_size(item, "size"), json_text(item, "type"),
                   json_text(item, "registry"), json_text(item, "path")};
    if (is_digest(blob.digest)) result.push_back(std::move(blob));
  }
  return result;
}

void remember_blob(const Store::Internal& store, const std::string& diff_id, const KnownBlob& blob) {
  std::vector<KnownBlob> all = known_blobs(store, diff_id);
  if (!all.empty() && all.front() == blob) return;
  std::erase(all, blob);
  all.insert(all.begin(), blob);
  if (all.size() > kMost) all.resize(kMost);
  Json document = Json::array();
  for (const KnownBlob& item : all) {
    document.push_back({{"digest", item.digest},
                        {"size", item.size},
                        {"type", item.media_type},
                        {"registry", item.registry},
                        {"path", item.path}});
  }
  if (!sys::make_directories(store.images + "/known-blobs", 0700)) return;
  (void)sys::write_file_atomic(file_of(store, diff_id), document.dump() + "\n", 0600);
}

}  // namespace compose::image::registry
