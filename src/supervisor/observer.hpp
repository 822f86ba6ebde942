#pragma once
// What is: the project's containers, networks and volumes as a plan's input.
#include "compose/plan/observed.hpp"
#include "supervisor/addresses.hpp"
#include "supervisor/application.hpp"
#include "supervisor/containers.hpp"

namespace compose::supervisor {

/// `application` (may be null) gives today's dependencies of services it knows; containers of other services keep
/// those they were made with.
Result<plan::Observed> observe(const Context& context, const Containers& containers, Addresses& addresses,
                               const Application* application);

}  // namespace compose::supervisor
