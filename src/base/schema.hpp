#pragma once
// The number of its format that every file of ours on disk carries.
#include "base/error.hpp"

namespace compose {

/// Whether a file with the number `schema` (0 = it has none) is read as one of `known`. A newer version's is
/// Errc::unsupported, any that no version has written is Errc::corrupt: neither is guessed about.
Result<void> check_schema(std::int64_t schema, int known);

}  // namespace compose
