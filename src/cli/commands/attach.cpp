// compose attach: the streams of a container that runs.
#include <signal.h>
#include <unistd.h>

#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/monitor_attach.hpp"
#include "cli/terminal_proxy.hpp"

namespace compose::cli {
namespace {

struct Options {
  std::string detach_keys = "ctrl-p,ctrl-q";
  int index = 0;
  bool no_stdin = false;
  bool sig_proxy = true;
};

Result<int> attach(Context& context, const Options& options, const std::string& service) {
  TRY_ASSIGN(const std::string keys, parse_detach_keys(options.detach_keys));
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = {service}, .name_is_enough = true}));
  TRY_ASSIGN(const auto container, context.container(scope, service, options.index));
  const bool input = !options.no_stdin && container.open_stdin;
  AttachSettings settings;
  settings.input = input;
  settings.terminal = container.tty && input && is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO);
  settings.forward_signals = options.sig_proxy;
  settings.detach_keys = keys;
  TRY_ASSIGN(const AttachEnd end, attach_container(context, container.id, settings));
  if (end == AttachEnd::detached) return 0;
  if (end == AttachEnd::interrupted) return 128 + SIGINT;
  const auto ended = state::load_exit(context.paths(), container.project, container.id);
  return ended ? ended->exit_code : 0;
}

}  // namespace

Command attach_command() {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  Command command{
      .name = "attach", .usage = "[OPTIONS] SERVICE", .summary = "Connect to a running service's input and output"};
  command.flags = {{"detach-keys", 0, &o.detach_keys, "Keys that end it and leave the container alone", "KEYS"},
                   {"index", 0, &o.index, "Container number N of the service"},
                   {"no-stdin", 0, &o.no_stdin, "Only output"},
                   {"sig-proxy", 0, &o.sig_proxy, "Pass signals on to the container"}};
  command.min_args = command.max_args = 1;
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) { return attach(context, *options, services[0]); };
  return command;
}

}  // namespace compose::cli
