#pragma once
// The way back: a Compose project from the manifests that the export wrote. What the loss report called approximated or
// dropped is lost; the rest is the same model again.
#include <string>
#include <vector>

#include "base/error.hpp"
#include "yaml/value.hpp"

namespace compose::kubernetes {

struct Imported {
  yaml::Value project;               ///< the Compose file
  std::vector<std::string> ignored;  ///< objects that did not take part, "Kind/name"
};

/// `objects` are those of one export, in any order. Errc::invalid when there is no workload of ours among them.
Result<Imported> import_objects(const std::vector<yaml::Value>& objects);

}  // namespace compose::kubernetes
