#pragma once
// build.cache_from and build.cache_to: results of steps that travel between hosts.
//
//   type=local,dest=FOLDER / src=FOLDER   FOLDER/steps.json and FOLDER/layers.tar (an image archive), mode=min|max
//   type=inline / type=registry,ref=IMAGE or just IMAGE   the records stand in the image's own configuration
//
// A record is the key of a step (a digest of everything it depends on, the same on every host) and the layers it ended
// with, so what comes from elsewhere is never wrong, only unused. The trust is that in the folder or image itself.
#include <map>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "build/step_cache.hpp"
#include "image/store.hpp"

namespace compose::build {

struct CacheSpec {
  enum class Type { local, inline_, registry };
  Type type = Type::registry;
  std::string place;        ///< folder or image
  bool all_stages = false;  ///< mode=max
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

/// Makes the steps of a cache known here. Errc::not_found when there is none.
Result<void> import_cache(const CacheSpec& spec, image::Store& store, const StepCache& cache);

/// Writes FOLDER anew. `images` are configurations whose layers the records name; they are in the store only meanwhile.
Result<void> export_local(const CacheSpec& spec, image::Store& store, const std::vector<image::ImageConfig>& images,
                          const StepRecords& records);

}  // namespace compose::build
