#pragma once
// The folder an export is: base/ with the objects, overlays/NAME/ with what differs in an environment, as kustomize
// reads them; and beside them the report and the names that had to change.
#include <map>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "compose/kubernetes/export.hpp"

namespace compose::kubernetes {

struct Environment {
  std::string name;            ///< of the overlay
  std::string namespace_name;  ///< "" = the one kubectl is in
  Export exported;             ///< all of it, as if it were exported alone, with the base's project name
};

/// Relative path -> text.
using Folder = std::map<std::string, std::string>;

/// base/*.yaml, base/kustomization.yaml, overlays/NAME/…, report.json, and names.json when a name had to change;
/// common/ for what the base and all overlays have, when an overlay lacks an object of the base. An overlay's patches
/// are JSON patches (RFC 6902), which every kustomize since that of kubectl 1.14 reads alike.
Folder folder_of(const Export& base, const std::vector<Environment>& environments,
                 const std::string& namespace_name = {});

/// All objects of an export as one stream, for "kubectl apply -f -".
std::string stream_of(const Export& exported);

}  // namespace compose::kubernetes
