// compose watch: changes of the sources go into the running containers (develop.watch).
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/session.hpp"
#include "cli/up_options.hpp"
#include "cli/watcher.hpp"

namespace compose::cli {
namespace {

struct Options {
  bool no_up = false;
  bool prune = true;
  bool quiet = false;
};

Result<int> watch(Context& context, const Options& options, const Strings& services) {
  TRY_ASSIGN(const model::Project project, context.load_project({.services = services}));
  const bool colour = context.colour(STDOUT_FILENO);
  WatchSettings settings{.prune = options.prune, .quiet = options.quiet};
  settings.say = [colour](const std::string& text) {
    static_cast<void>(print(paint("92", "⦿", colour) + " " + text + "\n").ok());
  };
  if (context.options().dry_run)
    return make_error(Errc::unsupported, "--dry-run: nothing can be said of changes that have not been made");
  // Followed before the build: what is saved during it is not lost.
  TRY_ASSIGN(Watcher watcher, Watcher::open(context, project, services, settings));
  if (!options.no_up) {
    UpOptions up;
    up.build = true;
    up.quiet_build = options.quiet;
    TRY_ASSIGN(const auto request, apply_request(context, project, services, up, "apply"));
    TRY(ask(context, project.name, request, {.operation = "up"}));
  }
  TRY_ASSIGN(Signals signals, Signals::take({SIGINT, SIGTERM}));
  settings.say("Watch enabled");
  watcher.begin();
  while (signals.next() == 0) {
    pollfd polled[] = {{watcher.fd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}};
    if (::poll(polled, 2, watcher.timeout()) < 0 && errno != EINTR) return os_error("waiting for changes");
    watcher.turn();
  }
  return 128 + SIGINT;
}

Command make_command(std::string_view name, std::string_view summary) {
  auto options = std::make_shared<Options>();
  Command command{.name = name, .usage = "[OPTIONS] [SERVICE...]", .summary = summary};
  command.details =
      "Follows the paths in develop.watch: sync copies what changes into the running containers, rebuild builds and "
      "replaces them, restart and sync+restart restart them, sync+exec runs a command. Ctrl-C ends it, the services go "
      "on.";
  command.flags = {{"no-up", 0, &options->no_up, "Do not build and start the services first"},
                   {"prune", 0, &options->prune, "Remove images that a rebuild has replaced"},
                   {"quiet", 0, &options->quiet, "No output of builds"}};
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) { return watch(context, *options, services); };
  return command;
}

}  // namespace

Command watch_command() { return make_command("watch", "Bring changes of the sources into the running containers"); }
Command alpha_watch_command() { return make_command("alpha watch", "Old name of watch"); }

}  // namespace compose::cli
