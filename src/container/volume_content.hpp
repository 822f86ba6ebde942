#pragma once
// A new volume's first content.
#include <string>

#include "base/error.hpp"
#include "container/layered_tree.hpp"
#include "state/paths.hpp"

namespace compose::container {

/// Docker's rule: an empty volume receives the content, owner and mode of the image's directory at `path`. A volume
/// with anything in it, or a path that is no directory in the image, leaves it as it is. A copy that was interrupted
/// is begun again.
Result<void> fill_volume(const state::Paths& paths, const std::string& name, const LayeredTree& image,
                         const std::string& path);

}  // namespace compose::container
