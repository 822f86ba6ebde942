#pragma once
// Stage: normalisation. What the files imply is written out: the default network, dependencies by links and shared
// namespaces, real names of networks and volumes, build defaults, variables without a value.
#include "compose/load/session.hpp"

namespace compose::load {

void normalize(Value& model, const std::string& project_name, const Environment& environment, Session& session);

}  // namespace compose::load
