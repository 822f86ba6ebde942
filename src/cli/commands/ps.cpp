// compose ps: the project's containers, from their records; works with no supervisor and without the files.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "cli/commands/all.hpp"
#include "cli/container_view.hpp"
#include "cli/context.hpp"
#include "cli/listing.hpp"
#include "cli/session.hpp"
#include "cli/terminal.hpp"
#include "cli/tree_watch.hpp"
#include "sys/file.hpp"

namespace compose::cli {
namespace {

struct Options {
  bool all = false;
  bool quiet = false;
  bool services = false;
  bool no_trunc = false;
  bool orphans = true;
  bool watch = false;
  std::string format;
  Strings filters;
  Strings statuses;
};

constexpr std::string_view kStatuses[] = {"paused", "restarting", "removing", "running", "dead", "created", "exited"};

/// --filter status=x is another way to write --status x.
Result<Strings> wanted_statuses(const Options& options) {
  Strings statuses = options.statuses;
  for (const std::string& filter : options.filters) {
    const std::size_t equals = filter.find('=');
    const std::string key = filter.substr(0, equals);
    if (equals == std::string::npos)
      return make_error(Errc::invalid, "arguments to --filter should be in form KEY=VAL");
    if (key != "status") return make_error(Errc::invalid, "unknown filter {}: only status=STATE is supported", key);
    statuses.push_back(filter.substr(equals + 1));
  }
  for (const std::string& status : statuses)
    if (std::find(std::begin(kStatuses), std::end(kStatuses), status) == std::end(kStatuses))
      return make_error(Errc::invalid, "unknown status \"{}\" ({})", status,
                        "paused, restarting, removing, running, dead, created, exited");
  return statuses;
}

std::string services_text(const std::vector<state::ContainerRecord>& containers) {
  Strings names;
  for (const auto& container : containers)
    if (std::find(names.begin(), names.end(), container.service) == names.end()) names.push_back(container.service);
  std::string text;
  for (const std::string& name : names) text += name + "\n";
  return text;
}

std::size_t widest(const std::string& text) {
  std::size_t most = 0;
  for (const std::string& line : split(text, '\n')) most = std::max(most, display_width(trim(line)));
  return most;
}

/// The table; without a format of its own it does without columns until it fits, the least telling first.
Result<std::string> table(Listing listing, const Options& options, const std::vector<nlohmann::ordered_json>& rows,
                          std::size_t columns) {
  const std::string format = options.format == "pretty" ? "" : options.format;
  TRY_ASSIGN(std::string text, render_listing(listing, format, rows));
  if (!format.empty()) return text;
  for (const std::string_view heading : {"COMMAND", "IMAGE", "CREATED", "PORTS", "SERVICE"}) {
    if (widest(text) <= columns) break;
    std::erase_if(listing.columns, [&](const auto& column) { return column.first == heading; });
    TRY_ASSIGN(text, render_listing(listing, format, rows));
  }
  return text;
}

/// What ps prints now, at most so wide if it can be.
Result<std::string> listed(Context& context, const Options& options, const ProjectScope& scope, const Strings& services,
                           std::size_t columns = SIZE_MAX) {
  TRY_ASSIGN(const Strings statuses, wanted_statuses(options));
  Context::Select select{.services = services, .one_off = options.all};
  TRY_ASSIGN(auto containers, context.containers(scope, select));
  std::erase_if(containers, [&](const state::ContainerRecord& container) {
    if (!options.orphans && scope.project && !scope.project->services.contains(container.service)) return true;
    if (!statuses.empty()) return std::find(statuses.begin(), statuses.end(), container.status()) == statuses.end();
    return !options.all && container.phase != state::Phase::running && !container.restarting;
  });
  std::sort(containers.begin(), containers.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  if (options.services) return services_text(containers);
  if (options.quiet) {
    std::string ids;
    for (const auto& container : containers) ids += container.id + "\n";
    return ids;
  }
  const WallTime now = std::chrono::system_clock::now();
  std::vector<nlohmann::ordered_json> rows;
  for (const auto& container : containers) rows.push_back(container_row(container, now, options.no_trunc));
  const Listing listing{{{"NAME", "Name"},
                         {"IMAGE", "Image"},
                         {"COMMAND", "Command"},
                         {"SERVICE", "Service"},
                         {"CREATED", "RunningFor"},
                         {"STATUS", "Status"},
                         {"PORTS", "Ports"}},
                        {{"CONTAINER ID", "ID"}, {"CREATED AT", "CreatedAt"}, {"LOCAL VOLUMES", "LocalVolumes"}}};
  return table(listing, options, rows, columns);
}

/// As many lines as the terminal has room for, none wider than it.
std::string fitted(const std::string& text) {
  const TerminalSize size = terminal_size(STDOUT_FILENO);
  std::string shown;
  int left = size.rows > 1 ? size.rows - 1 : 1000;
  for (const std::string& line : split(text, '\n')) {
    if (left-- <= 0) break;
    const auto columns = static_cast<std::size_t>(size.columns > 0 ? size.columns : 1000);
    shown += std::string{clip_width(line, columns)} + "\x1b[K\n";
  }
  return shown;
}

/// Redrawn on a terminal, at every change and each second for the ages; elsewhere printed again when it has changed.
Result<int> watch(Context& context, const Options& options, const ProjectScope& scope, const Strings& services) {
  TRY(sys::make_directories(context.paths().projects(), 0700));
  // Records are replaced in the project's folder; the containers' own files below it do not matter.
  const auto prune = [](const std::string& folder) { return folder.ends_with("/upper") || folder.ends_with("/work"); };
  TRY_ASSIGN(TreeWatch records, TreeWatch::open({context.paths().project(scope.name)}, prune));
  TRY_ASSIGN(Signals signals, Signals::take({SIGINT, SIGTERM, SIGWINCH}));
  const bool terminal = is_terminal(STDOUT_FILENO) && context.options().ansi_mode != Ansi::never;
  if (terminal) TRY(print("\x1b[?25l\x1b[2J"));
  std::string last;
  while (true) {
    const int columns = terminal ? terminal_size(STDOUT_FILENO).columns : 0;
    auto text = listed(context, options, scope, services, columns > 0 ? static_cast<std::size_t>(columns) : SIZE_MAX);
    if (text && (terminal || *text != last)) {
      const auto shown = print(terminal ? "\x1b[H" + fitted(*text) + "\x1b[J" : *text);
      if (!shown) return shown.error();
      last = *text;
    }
    pollfd polled[] = {{records.fd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}};
    if (::poll(polled, 2, terminal ? 1000 : -1) < 0 && errno != EINTR) return os_error("waiting for changes");
    TRY(records.read());
    for (int signal = signals.next(); signal != 0; signal = signals.next()) {
      if (signal == SIGWINCH) continue;
      if (terminal) TRY(print("\x1b[?25h"));
      return 128 + SIGINT;
    }
  }
}

Result<int> list(Context& context, const Options& options, const Strings& services) {
  TRY_ASSIGN(const ProjectScope scope, context.scope({.name_is_enough = true}));
  TRY_ASSIGN(const std::string text, listed(context, options, scope, services));
  if (options.watch) return watch(context, options, scope, services);
  TRY(print(text));
  return 0;
}

}  // namespace

Command ps_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "ps", .usage = "[OPTIONS] [SERVICE...]", .summary = "List containers"};
  command.flags = {{"all", 'a', &options->all, "Also stopped containers and those made by run"},
                   {"filter", 0, &options->filters, "Only those that match: status=STATE", "FILTER"},
                   {"format", 0, &options->format, "table, json or a Go template", "FORMAT"},
                   {"no-trunc", 0, &options->no_trunc, "Whole commands and ids"},
                   {"orphans", 0, &options->orphans, "Include services the files do not have"},
                   {"quiet", 'q', &options->quiet, "Only ids"},
                   {"services", 0, &options->services, "Only names of services"},
                   {"status", 0, &options->statuses,
                    "Only those in a state: paused, restarting, removing, running, dead, created, exited", "STATE"},
                   {"watch", 'w', &options->watch, "Stay, and show what changes until Ctrl-C"}};
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) { return list(context, *options, services); };
  return command;
}

}  // namespace compose::cli
