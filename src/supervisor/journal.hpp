#pragma once
// What the supervisor writes down for people who ask later (`events`, `why`).
#include <sys/types.h>

#include <string>
#include <vector>

#include "supervisor/application.hpp"
#include "supervisor/containers.hpp"
#include "supervisor/context.hpp"

namespace compose::supervisor {

/// A command asked for `op`; `peer` is its process.
void note_request(const Context& context, const std::string& op, const std::vector<std::string>& services, pid_t peer);

/// How an `up` failed, with the records and last lines of its containers: they may be gone in a moment.
void remember_failure(const Context& context, const Containers& containers, const Failure& failure);

/// A container is about to be replaced or removed: if it worked, that is what "worked before" means from now on.
void remember_what_worked(const Context& context, const state::ContainerRecord& record);

}  // namespace compose::supervisor
