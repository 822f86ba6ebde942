#include "cli/graph_drawing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/strings.hpp"
#include "cli/args.hpp"
#include "cli/terminal.hpp"

namespace compose::cli {
namespace {

std::string_view condition_word(model::Condition condition) {
  if (condition == model::Condition::healthy) return "healthy";
  return condition == model::Condition::completed_successfully ? "completed" : "started";
}

class Tree {
 public:
  Tree(const model::Project& project, const ServiceStates& states, bool colour)
      : project_{project}, states_{states}, colour_{colour} {}

  /// From the services nothing depends on down to what everything stands on.
  std::string draw() {
    std::set<std::string> needed;
    for (const auto& [name, service] : project_.services)
      for (const auto& [dependency, how] : service.depends_on) needed.insert(dependency);
    std::string text;
    for (const auto& [name, service] : project_.services)
      if (!needed.contains(name)) text += node(name, {}, "", "");
    return text;
  }

 private:
  std::string label(const std::string& name) const {
    const auto state = states_.find(name);
    if (state == states_.end()) return name;
    const bool good = state->second.starts_with("running") || state->second == "exited (0)";
    return name + "  " + paint(good ? "32" : "33", state->second, colour_);
  }

  std::string node(const std::string& name, std::string_view condition, const std::string& here,
                   const std::string& below) {
    std::string text = here + label(name);
    if (!condition.empty()) text += paint("2", fmt::format("  [{}]", condition), colour_);
    const auto found = project_.services.find(name);
    const bool repeated = !shown_.insert(name).second;
    if (found == project_.services.end()) return text + "\n";
    if (repeated && !found->second.depends_on.empty()) return text + "  …\n";
    text += "\n";
    std::size_t left = found->second.depends_on.size();
    for (const auto& [dependency, how] : found->second.depends_on) {
      const bool last = --left == 0;
      text += node(dependency, condition_word(how.condition), below + (last ? "└─ " : "├─ "),
                   below + (last ? "   " : "│  "));
    }
    return text;
  }

  const model::Project& project_;
  const ServiceStates& states_;
  bool colour_;
  std::set<std::string> shown_;
};

/// Mermaid's ids know letters, digits, "-" and "_" (and "end" is a word of its own); names of services have dots too.
std::string mermaid_id(const std::string& name) {
  std::string id = "s_";
  for (const char c : name) id += c == '.' ? std::string{"_dot_"} : std::string{c};
  return id;
}

/// A text between quotes of DOT.
std::string dot_text(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '\n') {
      quoted += "\\n";
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string port_text(const model::Port& port) {
  const std::string host = port.host_ip.empty() ? std::string{} : port.host_ip + ":";
  const std::string published = port.published.empty() ? std::string{} : port.published + ":";
  return fmt::format("{}{}{}/{}", host, published, port.target, port.protocol);
}

/// The lines of a service's node.
std::string dot_label(const model::Service& service, const ServiceStates& states, const GraphDetails& details) {
  std::string label = service.name;
  if (const auto state = states.find(service.name); state != states.end()) label += "\n" + state->second;
  if (details.images && !service.image.empty()) label += "\n" + service.image;
  if (details.ports)
    for (const model::Port& port : service.ports) label += "\n" + port_text(port);
  if (details.networks)
    for (const auto& [network, how] : service.networks) label += "\nnetwork " + network;
  return label;
}

}  // namespace

std::string draw_tree(const model::Project& project, const ServiceStates& states, bool colour) {
  return Tree{project, states, colour}.draw();
}

std::string draw_mermaid(const model::Project& project, const ServiceStates& states) {
  std::string text = "flowchart TD\n";
  for (const auto& [name, service] : project.services) {
    const auto state = states.find(name);
    text +=
        fmt::format("  {}[\"{}{}\"]\n", mermaid_id(name), name, state == states.end() ? "" : "<br/>" + state->second);
  }
  for (const auto& [name, service] : project.services)
    for (const auto& [dependency, how] : service.depends_on)
      text += fmt::format("  {} {}|{}| {}\n", mermaid_id(name), how.required ? "-->" : "-.->",
                          condition_word(how.condition), mermaid_id(dependency));
  return text;
}

std::string draw_dot(const model::Project& project, const ServiceStates& states, const GraphDetails& details) {
  std::string text = fmt::format("digraph {} {{\n{}node [shape=box];\n", dot_text(project.name), details.indent);
  for (const auto& [name, service] : project.services)
    text += fmt::format("{}{} [label={}];\n", details.indent, dot_text(name),
                        dot_text(dot_label(service, states, details)));
  for (const auto& [name, service] : project.services)
    for (const auto& [dependency, how] : service.depends_on)
      text += fmt::format("{}{} -> {} [label=\"{}\"{}];\n", details.indent, dot_text(name), dot_text(dependency),
                          condition_word(how.condition), how.required ? "" : ", style=dashed");
  return text + "}\n";
}

}  // namespace compose::cli
