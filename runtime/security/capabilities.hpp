#pragma once
// Names and numbers of capabilities(7).
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace compose::runtime::security {

/// "CAP_CHOWN", "chown" or "ALL" is not a name here: exactly the kernel's spelling, any letter case, with CAP_.
std::optional<int> capability_number(std::string_view name);
/// "CAP_CHOWN"; empty for a number without a name.
std::string capability_name(int number);
std::vector<std::string> capability_names(std::uint64_t mask);
/// The mask of the names; unknown ones are skipped, as the specification wants (config.md, "capabilities").
std::uint64_t capability_mask(const std::vector<std::string>& names);

/// Drops everything outside `keep` from the bounding set of this thread.
Result<void> limit_bounding(std::uint64_t keep);
/// capset(2) of the three sets.
Result<void> set_capabilities(std::uint64_t effective, std::uint64_t permitted, std::uint64_t inheritable);
/// Clears the ambient set and raises `mask`.
Result<void> set_ambient(std::uint64_t mask);
/// The bounding set of this thread.
std::uint64_t own_bounding();

}  // namespace compose::runtime::security
