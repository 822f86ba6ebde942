#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "container/layered_tree.hpp"

namespace compose::container {

/// `group_add`: numbers as they are, names looked up in the image's /etc/group (group(5)). Errc::not_found names one
/// that is not there.
Result<std::vector<std::uint32_t>> resolve_groups(const std::vector<std::string>& groups, const LayeredTree& image);

}  // namespace compose::container
