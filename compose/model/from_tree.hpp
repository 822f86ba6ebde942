#pragma once
// The typed project from the loader's canonical tree.
#include <functional>

#include "base/error.hpp"
#include "compose/model/project.hpp"
#include "yaml/value.hpp"

namespace compose::model {

/// Tells people's form of a place.
using Describe = std::function<SourcePos(const yaml::Place&)>;

/// `tree` is the canonical form ("config"), `disabled` the services left out by name. A value of the wrong kind is
/// Errc::corrupt with its path. Positions are taken from the tree's places.
Result<Project> project_from_tree(const yaml::Value& tree, const yaml::Value& disabled, const Describe& describe);

/// The canonical tree of a project (without positions), fields that are not set left out.
yaml::Value tree_of(const Project& project);
yaml::Value tree_of(const Service& service);

}  // namespace compose::model
