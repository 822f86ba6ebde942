#pragma once
// The services and what they wait for, drawn. Pure.
#include <map>
#include <string>

#include "compose/model/project.hpp"

namespace compose::cli {

/// service -> "running (healthy)", "exited (1)"; services without containers are not in it.
using ServiceStates = std::map<std::string, std::string>;

struct GraphDetails {
  bool images = false;
  bool networks = false;
  bool ports = false;
  std::string indent = "  ";  ///< dot: before each statement
};

/// For a terminal: from the services nothing depends on down to what everything stands on, with the conditions in
/// brackets. What has been drawn in full already ends with "…".
std::string draw_tree(const model::Project& project, const ServiceStates& states, bool colour);
/// A Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html); dashed: not required.
std::string draw_mermaid(const model::Project& project, const ServiceStates& states);
/// The DOT language of Graphviz (https://graphviz.org/doc/info/lang.html).
std::string draw_dot(const model::Project& project, const ServiceStates& states, const GraphDetails& details = {});

}  // namespace compose::cli
