#include "build/cache_usage.hpp"

#include "image/size_on_disk.hpp"
#include "sys/file.hpp"

namespace compose::build {

Result<CacheUsage> cache_usage(const image::Store& store) {
  CacheUsage usage;
  const std::string folder = store.root() + "/build";
  if (!sys::exists(folder)) return usage;
  for (const char* kind : {"/steps", "/cache"}) {
    if (!sys::exists(folder + kind)) continue;
    TRY_ASSIGN(const std::vector<std::string> names, sys::list_directory(folder + kind));
    usage.records += names.size();
  }
  TRY_ASSIGN(usage.size, image::size_on_disk(folder));
  return usage;
}

}  // namespace compose::build
