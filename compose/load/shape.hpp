#pragma once
// Stage: types. Every attribute gets the type the model has for it (durations, sizes, commands, ...), and the tree the
// canonical form that `config` prints: what is not set is not there.
#include "compose/load/session.hpp"

namespace compose::load {

/// In place, on the whole project.
void shape_project(Value& project, Session& session);

/// The form of JSON output: no extensions ("x-") below the top level, and the limits of block devices with the keys
/// Docker Compose gives them there ("Path", "Rate", "Weight").
void json_form(Value& project);

}  // namespace compose::load
