#pragma once
#include <cstdint>
#include <string>

#include "base/error.hpp"

namespace compose::image {

/// Bytes on disk below a folder, and of the folders in it; what goes meanwhile does not count.
Result<std::uint64_t> size_on_disk(const std::string& folder);

}  // namespace compose::image
