// compose run: one container beside the service's own, in the foreground like a program started here.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/monitor_attach.hpp"
#include "cli/run_options.hpp"
#include "cli/service_images.hpp"
#include "cli/session.hpp"

namespace compose::cli {
namespace {

using nlohmann::json;

Result<json> run_request(Context& context, model::Project& project, const std::string& name, const RunOptions& options,
                         const Strings& command) {
  const ImageSettings how{.build = options.build,
                          .no_build = false,
                          .pull = options.pull,
                          .quiet_pull = options.quiet_pull || options.quiet,
                          .quiet_build = options.quiet_build || options.quiet};
  const Strings concerned = options.no_deps ? Strings{name} : with_dependencies(project, {name});
  TRY_ASSIGN(auto images, resolve_images(context, project, concerned, how));
  model::Service& service = project.services.at(name);
  TRY(apply_run_options(project, service, options, command));
  json settings = {{"name", options.name},
                   {"auto_remove", options.rm},
                   {"service_ports", !service.ports.empty()},
                   {"use_aliases", options.use_aliases},
                   {"no_deps", options.no_deps},
                   {"detach", options.detach}};
  if (context.options().dry_run) settings["dry_run"] = true;
  return json{{"op", "run"},
              {"project", model::project_to_json(project)},
              {"images", std::move(images)},
              {"service", name},
              {"options", std::move(settings)}};
}

/// The conversation up to "started" and, later, the result.
class Conversation {
 public:
  Conversation(Context& context, supervisor::Client client, bool quiet)
      : context_{context}, client_{std::move(client)}, quiet_{quiet} {}

  /// Reads what has come; progress is shown until the container runs.
  Result<void> hear() {
    while (!outcome_) {
      TRY_ASSIGN(const auto event, next_event(client_));
      if (!event) return {};
      const std::string kind = event->value("event", "");
      if (kind == "started") {
        container_id_ = event->value("id", "");
      } else if (kind == "result") {
        outcome_ = supervisor::Client::outcome(*event);
      } else if (!quiet_ && container_id_.empty()) {
        show_event(context_, *event);
      }
    }
    return {};
  }

  /// Waits for the container's start or a result; Ctrl-C gives up.
  Result<void> wait_start() {
    TRY_ASSIGN(Signals signals, Signals::take({SIGINT, SIGTERM}));
    while (true) {
      TRY(hear());
      if (outcome_ || !container_id_.empty()) return {};
      TRY(wait_readable(client_.fd(), signals.fd()));
      if (signals.next() == 0) continue;
      TRY(client_.cancel());
      return Error{Errc::cancelled, "canceled"};
    }
  }

  Result<supervisor::Outcome> wait_result() {
    while (true) {
      TRY(hear());
      if (outcome_) return *outcome_;
      TRY(wait_readable(client_.fd(), -1));
    }
  }

  int fd() const { return outcome_ ? -1 : client_.fd(); }
  const std::string& container_id() const { return container_id_; }

 private:
  Context& context_;
  supervisor::Client client_;
  bool quiet_;
  std::string container_id_;
  std::optional<supervisor::Outcome> outcome_;
};

Result<int> run(Context& context, const RunOptions& options, const Strings& arguments) {
  const std::string& name = arguments[0];
  TRY_ASSIGN(model::Project project, context.load_project({.services = {name}}));
  if (!project.services.contains(name)) return make_error(Errc::not_found, "no such service: {}", name);
  if (options.terminal() && !options.detach && !is_terminal(STDIN_FILENO))
    return make_error(Errc::invalid, "the input device is not a TTY");
  TRY_ASSIGN(const json request,
             run_request(context, project, name, options, {arguments.begin() + 1, arguments.end()}));
  if (options.remove_orphans || environment_bool("COMPOSE_REMOVE_ORPHANS")) TRY(remove_orphans(context, project));
  if (context.options().dry_run) {
    TRY_ASSIGN(const auto pretended, ask(context, project.name, request, {.operation = "run"}));
    return pretended.exit_code;
  }
  TRY_ASSIGN(auto client, supervisor::Client::connect(context.paths(), project.name, supervisor::Spawn::if_absent));
  TRY(client.send(request));
  Conversation conversation{context, std::move(client), options.quiet};
  if (!options.quiet) context.progress().begin("run");
  const auto started = conversation.wait_start();
  context.progress().end();
  TRY(started);
  if (!options.detach && !conversation.container_id().empty()) {
    AttachSettings settings;
    settings.input = options.interactive.value_or(true);
    settings.terminal = options.terminal();
    settings.detach_keys = "\x10\x11";  // ctrl-p ctrl-q
    auto end = attach_container(context, conversation.container_id(), settings);
    if (!end && end.error().code() != Errc::not_found) return std::move(end).error();
    if (end && *end == AttachEnd::detached) return 0;
  }
  TRY_ASSIGN(const auto outcome, conversation.wait_result());
  if (!outcome.ok && (outcome.exit_code == 126 || outcome.exit_code == 127)) {  // as a shell says it
    context.progress().failure(outcome_error(outcome).message());
    return outcome.exit_code;
  }
  if (!outcome.ok) return outcome_error(outcome);
  if (options.detach && !context.options().dry_run) TRY(print(conversation.container_id() + "\n"));
  return outcome.exit_code;
}

}  // namespace

Command run_command() {
  auto options = std::make_shared<RunOptions>();
  RunOptions& o = *options;
  Command command{.name = "run",
                  .usage = "[OPTIONS] SERVICE [COMMAND] [ARGS...]",
                  .summary = "Run a command in a new container of a service"};
  command.details =
      "What the service depends on is started and stays. Ports are published only with -P or -p. The exit code is the "
      "command's, 128 + n after signal n. Ctrl-P Ctrl-Q leaves the container running. Without --rm it stays until "
      "down; "
      "stop, restart, pause and rm leave it alone.";
  command.flags = {
      {"build", 0, &o.build, "Build the image first"},
      {"cap-add", 0, &o.cap_add, "Add a capability", "NAME"},
      {"cap-drop", 0, &o.cap_drop, "Drop a capability", "NAME"},
      {"detach", 'd', &o.detach, "Return at once and print the container's id"},
      {"entrypoint", 0, &o.entrypoint, "Replace the entrypoint", "COMMAND"},
      {"env", 'e', &o.env, "Set a variable; without a value it is taken from here", "NAME=VALUE"},
      {"env-from-file", 0, &o.env_from_file, "Set variables from a file", "FILE"},
      {"interactive", 'i', &o.interactive, "Pass standard input on (on by default)"},
      {"label", 'l', &o.labels, "Add a label", "NAME=VALUE"},
      {"name", 0, &o.name, "The container's name", "NAME"},
      {"no-deps", 0, &o.no_deps, "Do not start what the service depends on"},
      {"no-tty", 'T', &o.no_tty, "No terminal"},
      {"publish", 'p', &o.publish, "Publish a port", "PORT"},
      {"pull", 0, &o.pull, "Which images to get anew: always, missing, never, build", "POLICY"},
      {"quiet", 'q', &o.quiet, "No progress"},
      {"quiet-build", 0, &o.quiet_build, "No output of builds"},
      {"quiet-pull", 0, &o.quiet_pull, "No progress of pulls"},
      {"remove-orphans", 0, &o.remove_orphans, "Also remove containers of services the files do not have"},
      {"rm", 0, &o.rm, "Remove the container when it ends"},
      {"service-ports", 'P', &o.service_ports, "Publish the service's ports"},
      {"tty", 't', &o.tty, "A terminal (on by default when there is one)", {}, true},
      {"use-aliases", 0, &o.use_aliases, "Be reachable under the service's names"},
      {"user", 'u', &o.user, "Run as this user", "USER[:GROUP]"},
      {"volume", 'v', &o.volumes, "Mount a folder or volume", "[SOURCE:]TARGET"},
      {"workdir", 'w', &o.workdir, "Folder to start in", "DIR"},
  };
  command.min_args = 1;
  command.interspersed = false;
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& arguments) { return run(context, *options, arguments); };
  return command;
}

}  // namespace compose::cli
