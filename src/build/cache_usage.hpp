#pragma once
#include <cstddef>
#include <cstdint>

#include "image/store.hpp"

namespace compose::build {

/// What drop_cache() would remove now; layers are the store's.
struct CacheUsage {
  std::size_t records = 0;  ///< results of steps, and caches of RUN --mount=type=cache
  std::uint64_t size = 0;   ///< bytes on disk
};
Result<CacheUsage> cache_usage(const image::Store& store);

}  // namespace compose::build
