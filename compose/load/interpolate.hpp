#pragma once
// Stage: interpolation. Replaces the variables in every string of a document (keys stay as they are), then gives the
// attributes that are no strings their type: `privileged: ${P}` becomes a boolean.
#include "compose/load/session.hpp"

namespace compose::load {

/// Works on a whole document in place.
void interpolate(Value& document, const Environment& environment, Session& session);

/// Interpolates one text outside of a document (a project name); errors are reported at `value`.
void interpolate_scalar(Value& value, const Path& path, const Environment& environment, Session& session);

}  // namespace compose::load
