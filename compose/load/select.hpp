#pragma once
// Stage: selection. Which services take part (profiles, names given by the user) and which resources they need.
#include "compose/load/session.hpp"

namespace compose::load {

/// Moves the services that no active profile enables from `project`'s services to `disabled`. "*" enables all.
void split_by_profiles(Value& project, Value& disabled, const std::vector<std::string>& profiles);

/// Keeps the named services, whatever their profile, and what they depend on. An unknown name is an error.
void select_services(Value& project, Value& disabled, const std::vector<std::string>& names,
                     std::vector<std::string>& profiles, Session& session);

/// Drops networks, volumes, secrets, configs and models that no service uses.
void drop_unused(Value& project);

}  // namespace compose::load
