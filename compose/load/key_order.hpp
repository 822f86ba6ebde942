#pragma once
// Stage: print. The order in which `config` prints keys.
#include "yaml/value.hpp"

namespace compose::load {

/// Orders the keys of every mapping of a canonical project, in place: attributes as Docker Compose prints them (the
/// sections of a project, "type" before "source" before "target", …), then those it has in byte order, names and
/// extensions in byte order throughout.
void order_keys(yaml::Value& project);

}  // namespace compose::load
