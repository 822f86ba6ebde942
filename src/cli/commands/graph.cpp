// compose graph: the services and what they wait for, with their states when they run.
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/strings.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"

namespace compose::cli {
namespace {

using States = std::map<std::string, std::string>;

std::string_view condition_word(model::Condition condition) {
  if (condition == model::Condition::healthy) return "healthy";
  return condition == model::Condition::completed_successfully ? "completed" : "started";
}

/// "running (healthy)" of the service's first container; services without one are left out.
Result<States> states_of(const Context& context, const std::string& project) {
  States states;
  TRY_ASSIGN(const auto containers, state::list_containers(context.paths(), project));
  for (const auto& container : containers) {
    if (container.one_off) continue;
    std::string text = container.status();
    if (container.phase == state::Phase::running && !container.health.status.empty())
      text += " (" + container.health.status + ")";
    if (text == "exited") text += fmt::format(" ({})", container.exit_code);
    states.try_emplace(container.service, std::move(text));
  }
  return states;
}

class Tree {
 public:
  Tree(const model::Project& project, const States& states, bool colour)
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
  const States& states_;
  bool colour_;
  std::set<std::string> shown_;
};

std::string draw_mermaid(const model::Project& project, const States& states) {
  std::string text = "flowchart TD\n";
  for (const auto& [name, service] : project.services) {
    const auto state = states.find(name);
    text += fmt::format("  {}[\"{}{}\"]\n", name, name, state == states.end() ? "" : "<br/>" + state->second);
  }
  for (const auto& [name, service] : project.services)
    for (const auto& [dependency, how] : service.depends_on)
      text += fmt::format("  {} {}|{}| {}\n", name, how.required ? "-->" : "-.->", condition_word(how.condition),
                          dependency);
  return text;
}

std::string draw_dot(const model::Project& project, const States& states) {
  std::string text = fmt::format("digraph \"{}\" {{\n  node [shape=box];\n", project.name);
  for (const auto& [name, service] : project.services) {
    const auto state = states.find(name);
    text += fmt::format("  \"{}\" [label=\"{}{}\"];\n", name, name, state == states.end() ? "" : "\\n" + state->second);
  }
  for (const auto& [name, service] : project.services)
    for (const auto& [dependency, how] : service.depends_on)
      text += fmt::format("  \"{}\" -> \"{}\" [label=\"{}\"{}];\n", name, dependency, condition_word(how.condition),
                          how.required ? "" : ", style=dashed");
  return text + "}\n";
}

}  // namespace

Command graph_command() {
  auto format = std::make_shared<std::string>("tree");
  Command command{.name = "graph", .usage = "[OPTIONS]", .summary = "Draw the services and what they wait for"};
  command.flags = {{"format", 0, format.get(), "tree, mermaid or dot", "FORMAT"}};
  command.max_args = 0;
  command.run = [format](Context& context, const Strings&) -> Result<int> {
    TRY_ASSIGN(const model::Project project, context.load_project());
    TRY_ASSIGN(const States states, states_of(context, project.name));
    if (*format == "tree") {
      TRY(print(Tree{project, states, context.colour(STDOUT_FILENO)}.draw()));
    } else if (*format == "mermaid") {
      TRY(print(draw_mermaid(project, states)));
    } else if (*format == "dot") {
      TRY(print(draw_dot(project, states)));
    } else {
      return make_error(Errc::invalid, "unknown --format \"{}\" (tree, mermaid, dot)", *format);
    }
    return 0;
  };
  return command;
}

}  // namespace compose::cli
