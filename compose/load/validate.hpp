#pragma once
// Stages: the checks a schema cannot make. First within one value, then between the parts of the whole project.
#include <map>
#include <set>
#include <string>

#include "compose/load/session.hpp"

namespace compose::load {

/// Conflicts inside one resource: external with a driver, a secret with two sources, a port's address.
void validate_model(Value& model, Session& session);

/// What the files declare, whether or not it is right: a reference to something that has a mistake is no mistake.
struct Declared {
  std::map<std::string, std::set<std::string, std::less<>>, std::less<>> names;  ///< by section
  std::set<std::string, std::less<>> broken_sections;
  std::set<std::string, std::less<>> incomplete_services;  ///< whose image, build or base has a mistake
};
Declared collect_declared(const Value& model);

/// Undefined references, cycles, attributes that exclude or contradict each other. `project` is the whole typed
/// project; `disabled` are the services left out by their profiles.
void check_consistency(const Value& project, const Value& disabled, const Declared& declared, Session& session);

/// `environment: [A]` in list form takes A from the environment of the file it stands in; secrets and configs that
/// name a variable get its value as hidden content.
void resolve_environment_lists(Value& model, const Environment& environment, Session& session);

/// The key under which a secret's or config's content from a variable travels; never printed.
constexpr std::string_view kHiddenContent = "#content";

}  // namespace compose::load
