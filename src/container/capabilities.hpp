#pragma once
// Docker's choice of capabilities.
#include <string>
#include <vector>

#include "base/error.hpp"
#include "compose/model/service.hpp"

namespace compose::container {

/// "CAP_CHOWN", … of a container: Docker's default list with cap_add and cap_drop applied (ALL in either; names with
/// or without CAP_, in any case), all up to `last_capability` when privileged. Errc::invalid names an unknown one.
Result<std::vector<std::string>> container_capabilities(const model::Service& service, int last_capability);

}  // namespace compose::container
