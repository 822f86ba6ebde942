// compose graph: the services and what they wait for, with their states when they run.
#include "cli/graph_drawing.hpp"

#include <unistd.h>

#include "cli/commands/all.hpp"
#include "cli/context.hpp"

namespace compose::cli {
namespace {

/// "running (healthy)" of the service's first container; services without one are left out.
Result<ServiceStates> states_of(const Context& context, const std::string& project) {
  ServiceStates states;
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

struct VizOptions {
  bool image = false;
  bool networks = false;
  bool ports = false;
  bool spaces = false;
  int indentation = 1;
};

Result<int> viz(Context& context, const VizOptions& options) {
  TRY_ASSIGN(const model::Project project, context.load_project());
  TRY_ASSIGN(const ServiceStates states, states_of(context, project.name));
  if (options.indentation < 0 || options.indentation > 64)
    return make_error(Errc::invalid, "--indentation-size {}: 0 to 64 is wanted", options.indentation);
  const std::string indent(static_cast<std::size_t>(options.indentation), options.spaces ? ' ' : '\t');
  TRY(print(draw_dot(project, states, {options.image, options.networks, options.ports, indent})));
  return 0;
}

}  // namespace

Command graph_command() {
  auto format = std::make_shared<std::string>("tree");
  Command command{.name = "graph", .usage = "[OPTIONS]", .summary = "Draw the services and what they wait for"};
  command.details =
      "In brackets stands the condition that is waited for. \"compose graph --format dot | dot -Tsvg\" makes a "
      "picture; "
      "a Mermaid drawing is shown by many web sites as it is.";
  command.flags = {{"format", 0, format.get(), "tree, mermaid or dot", "FORMAT"}};
  command.max_args = 0;
  command.run = [format](Context& context, const Strings&) -> Result<int> {
    TRY_ASSIGN(const model::Project project, context.load_project());
    TRY_ASSIGN(const ServiceStates states, states_of(context, project.name));
    if (*format == "tree") {
      TRY(print(draw_tree(project, states, context.colour(STDOUT_FILENO))));
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

Command alpha_viz_command() {
  auto options = std::make_shared<VizOptions>();
  Command command{.name = "alpha viz", .usage = "[OPTIONS]", .summary = "Old form of graph --format dot"};
  command.flags = {{"image", 0, &options->image, "With the images"},
                   {"indentation-size", 0, &options->indentation, "How many tabs or spaces begin a line"},
                   {"networks", 0, &options->networks, "With the networks"},
                   {"ports", 0, &options->ports, "With the published ports"},
                   {"spaces", 0, &options->spaces, "Spaces instead of tabs"}};
  command.max_args = 0;
  command.run = [options](Context& context, const Strings&) { return viz(context, *options); };
  return command;
}

}  // namespace compose::cli
