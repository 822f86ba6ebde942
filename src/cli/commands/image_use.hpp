#pragma once
#include "cli/context.hpp"

namespace compose::cli {

/// Ids of images that containers of any project use, once for each container.
Result<Strings> images_in_use(const Context& context);

}  // namespace compose::cli
