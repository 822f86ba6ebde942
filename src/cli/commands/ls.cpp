// compose ls: the projects of this host.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/glob.hpp"
#include "cli/listing.hpp"

namespace compose::cli {
namespace {

struct Options {
  bool all = false;
  bool quiet = false;
  std::string format = "table";
  Strings filters;
};

/// "exited(1), running(2)"; without `all` only what runs.
std::string states_text(const state::ProjectSummary& project, bool all) {
  Strings parts;
  for (const auto& [word, count] : project.states)
    if (all || (word != "exited" && word != "created")) parts.push_back(fmt::format("{}({})", word, count));
  return join(parts, ", ");
}

constexpr std::string_view kName = "name=";

Result<void> check(const Strings& filters) {
  for (const std::string& filter : filters)
    if (!filter.starts_with(kName))
      return make_error(Errc::invalid, "unknown filter \"{}\": only name=PATTERN is supported", filter);
  return {};
}

bool matches(const Strings& filters, const std::string& name) {
  return std::ranges::all_of(filters,
                             [&](const std::string& filter) { return glob_search(filter.substr(kName.size()), name); });
}

Result<int> list(Context& context, const Options& options) {
  TRY(check(options.filters));
  TRY_ASSIGN(const auto projects, state::list_projects(context.paths()));
  std::vector<nlohmann::ordered_json> rows;
  std::string names;
  for (const state::ProjectSummary& project : projects) {
    if (!options.all && !project.states.contains("running") && !project.states.contains("restarting") &&
        !project.states.contains("paused"))
      continue;
    if (!matches(options.filters, project.name)) continue;
    names += project.name + "\n";
    rows.push_back({{"Name", project.name},
                    {"Status", states_text(project, options.all)},
                    {"ConfigFiles", join(project.config_files, ",")}});
  }
  if (options.quiet) {
    TRY(print(names));
    return 0;
  }
  Listing listing{{{"NAME", "Name"}, {"STATUS", "Status"}, {"CONFIG FILES", "ConfigFiles"}}};
  listing.json = JsonShape::array;
  TRY_ASSIGN(const std::string text, render_listing(listing, options.format, rows));
  TRY(print(text));
  return 0;
}

}  // namespace

Command ls_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "ls", .usage = "[OPTIONS]", .summary = "List the projects of this host"};
  command.flags = {{"all", 'a', &options->all, "Also projects of which nothing runs"},
                   {"filter", 0, &options->filters, "Only those that match, e.g. name=web*", "FILTER"},
                   {"format", 0, &options->format, "table, json or a Go template", "FORMAT"},
                   {"quiet", 'q', &options->quiet, "Only names"}};
  command.max_args = 0;
  command.run = [options](Context& context, const Strings&) { return list(context, *options); };
  return command;
}

}  // namespace compose::cli
