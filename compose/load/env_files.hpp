#pragma once
// Stage: env files. Those of the project (.env, --env-file, include's) feed interpolation; those of services become
// their environment, label files their labels.
#include <string>
#include <vector>

#include "compose/load/session.hpp"

namespace compose::load {

/// Reads the files in order (a later one sees and overrides the earlier) and adds what `environment` lacks.
void add_env_files(const std::vector<std::string>& files, const Place& asked, const std::string& asked_path,
                   Environment& environment, Session& session);

/// Merges every service's env_file into its environment and label_file into its labels, and takes both attributes
/// out. Services are typed already.
void resolve_service_files(Value& services, const Environment& environment, Session& session);

}  // namespace compose::load
