#pragma once
// build.cache_from and build.cache_to: results of steps that travel between hosts.
//
//   type=local,dest=FOLDER / src=FOLDER   FOLDER/steps.json and FOLDER/layers.tar (an image archive), mode=min|max
//   type=inline             the records stand in the configuration of the image that is built
//   type=registry,ref=NAME  an index at a registry; the records stand in the configurations of its images (mode=max:
//   one
//                           for each stage). cache_from reads these and images with type=inline, also as just NAME; of
//                           what lies at a registry only the layers come that a step of this build wants.
//
// A record is the key of a step (a digest of everything it depends on, the same on every host) and the layers it ended
// with, so what comes from elsewhere is never wrong, only unused. The trust is that in the folder or image itself.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "build/builder.hpp"
#include "build/step_cache.hpp"
#include "image/registry/registry.hpp"
#include "image/store.hpp"

namespace compose::build {

struct CacheSpec {
  enum class Type { local, inline_, registry };
  Type type = Type::registry;
  std::string place;        ///< folder or image
  bool all_stages = false;  ///< mode=max
  bool ignore_error = false;
  std::vector<std::string> unused;  ///< settings that have no effect here
};
/// One entry of cache_from or cache_to ("IMAGE" is type=registry). Errors: invalid, and unsupported for the stores of
/// hosting services (gha, s3, azblob).
Result<CacheSpec> parse_cache_spec(const std::string& text, bool to);

using StepRecords = std::map<std::string, StepResult>;  ///< by key

std::string records_json(const StepRecords& records);
/// Errc::corrupt when it is none; entries with malformed keys or digests are left out.
Result<StepRecords> parse_records(const std::string& json);

/// Puts the records into the configuration of an image, those alone whose layers it has.
std::string with_records(const std::string& config_json, const StepRecords& records,
                         const std::vector<std::string>& diff_ids);

/// Steps of caches at registries: known from the beginning, fetched when one is wanted.
class RemoteSteps {
 public:
  void add(image::registry::Registry& registry, image::registry::RemoteImage image, const StepRecords& records);
  bool empty() const { return steps_.empty(); }
  /// The result of a step once its layers are here; nothing when no cache has it. May be called from several threads.
  Result<std::optional<StepResult>> fetch(const std::string& key) const;

 private:
  struct Step {
    StepResult result;
    std::size_t image = 0;
  };
  image::registry::Registry* registry_ = nullptr;
  std::vector<image::registry::RemoteImage> images_;
  std::map<std::string, Step> steps_;  ///< by key
};

/// Makes the steps of a cache known: here, or in `remote`. Errc::not_found when there is none.
Result<void> import_cache(const CacheSpec& spec, image::Store& store, const StepCache& cache,
                          const OpenRegistry& registry, RemoteSteps& remote);

/// Sends the records and layers of `images` to spec.place.
Result<void> export_registry(const CacheSpec& spec, const std::vector<image::ImageConfig>& images,
                             const StepRecords& records, const OpenRegistry& registry);

/// Writes FOLDER anew. `images` are configurations whose layers the records name; they are in the store only meanwhile.
Result<void> export_local(const CacheSpec& spec, image::Store& store, const std::vector<image::ImageConfig>& images,
                          const StepRecords& records);

}  // namespace compose::build
