// compose exec: a command in a running container. Without a terminal this program becomes the runtime's exec, so pipes
// and signals are the command's own; with one it stays between the terminal and the command's pseudo-terminal.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "base/ids.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/terminal_proxy.hpp"
#include "sys/file.hpp"
#include "sys/message.hpp"
#include "sys/process.hpp"
#include "sys/program.hpp"

namespace compose::cli {
namespace {

struct Options {
  bool detach = false;
  Strings env;
  int index = 0;
  std::optional<bool> interactive;
  std::optional<bool> no_tty;
  std::optional<bool> tty;
  bool privileged = false;
  std::string user;
  std::string workdir;
};

bool wants_terminal(const Options& options) {
  if (options.detach) return options.tty.value_or(false);
  if (options.no_tty) return !*options.no_tty;
  if (options.tty) return *options.tty;
  return is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO);
}

Strings runtime_arguments(const Context& context, const std::string& program, const state::ContainerRecord& container,
                          const Options& options, const Strings& command, bool terminal, const std::string& socket) {
  Strings arguments = {program, "--root", context.paths().run_containers(), "exec"};
  const auto add = [&](std::initializer_list<std::string> words) { arguments.insert(arguments.end(), words); };
  if (terminal) add({"--tty"});
  if (!socket.empty()) add({"--console-socket", socket});
  if (options.detach) add({"--detach"});
  if (options.privileged) add({"--privileged"});
  if (!options.user.empty()) add({"--user", options.user});
  if (!options.workdir.empty()) add({"--cwd", options.workdir});
  if (terminal)
    if (const char* term = std::getenv("TERM"); term != nullptr) add({"--env", std::string{"TERM="} + term});
  for (const std::string& variable : options.env) {
    if (variable.find('=') != std::string::npos) {
      add({"--env", variable});
    } else if (const char* value = std::getenv(variable.c_str()); value != nullptr) {
      add({"--env", variable + "=" + value});
    }
  }
  arguments.push_back(container.id);
  arguments.insert(arguments.end(), command.begin(), command.end());
  return arguments;
}

/// Replaces this process.
Error become(const std::string& program, const Strings& arguments) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::execv(program.c_str(), argv.data());
  return os_error("starting {}", program);
}

/// Waits for the runtime to connect with the pseudo-terminal, or to end without.
Result<UniqueFd> receive_terminal(int listener, int pidfd) {
  pollfd polled[] = {{listener, POLLIN, 0}, {pidfd, POLLIN, 0}};
  while (::poll(polled, 2, -1) < 0)
    if (errno != EINTR) return os_error("waiting for the terminal");
  if ((polled[0].revents & POLLIN) == 0) return UniqueFd{};
  const UniqueFd connection{::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)};
  if (!connection.valid()) return os_error("accepting the runtime's connection");
  TRY_ASSIGN(sys::Message message, sys::receive_message(connection.get()));
  if (message.fds.empty()) return make_error(Errc::corrupt, "the runtime sent no terminal");
  return std::move(message.fds.front());
}

struct SocketFile {
  std::string path;
  ~SocketFile() { ::unlink(path.c_str()); }
};

Result<int> exec_with_terminal(Context& context, const std::string& program, const state::ContainerRecord& container,
                               const Options& options, const Strings& command) {
  if (!is_terminal(STDIN_FILENO)) return make_error(Errc::invalid, "the input device is not a TTY");
  const SocketFile socket{fmt::format("{}/exec-{}.sock", context.paths().run_root(), short_id(random_id()))};
  TRY_ASSIGN(const UniqueFd listener, sys::listen_unix(socket.path, SOCK_STREAM));
  sys::SpawnOptions spawn;
  spawn.program = program;
  spawn.arguments = runtime_arguments(context, program, container, options, command, true, socket.path);
  spawn.fds = {{0, 0}, {1, 1}, {2, 2}};
  TRY_ASSIGN(const sys::Child child, sys::spawn(spawn));
  TRY_ASSIGN(const UniqueFd master, receive_terminal(listener.get(), child.pidfd.get()));
  if (master.valid()) TRY(proxy_terminal(master.get(), {}));
  TRY_ASSIGN(const sys::ExitStatus status, sys::wait_child(child.pid));
  return status.code;
}

Result<int> exec(Context& context, const Options& options, const Strings& arguments) {
  const Strings command{arguments.begin() + 1, arguments.end()};
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = {arguments[0]}, .name_is_enough = true}));
  TRY_ASSIGN(const auto container, context.container(scope, arguments[0], options.index));
  TRY_ASSIGN(const std::string program, sys::program_path("compose-runtime"));
  const bool terminal = wants_terminal(options);
  if (context.options().dry_run) {
    context.progress().event(
        {.kind = "Exec", .name = container.name, .text = "Started", .status = ProgressEvent::Status::done});
    return 0;
  }
  if (terminal && !options.detach) return exec_with_terminal(context, program, container, options, command);
  if (options.detach || !options.interactive.value_or(true)) {
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || ::dup2(null, STDIN_FILENO) < 0) return os_error("opening /dev/null");
  }
  return become(program, runtime_arguments(context, program, container, options, command, false, {}));
}

}  // namespace

Command exec_command() {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  Command command{.name = "exec",
                  .usage = "[OPTIONS] SERVICE COMMAND [ARGS...]",
                  .summary = "Run a command in a running container"};
  command.details =
      "A terminal is given to the command when standard input and output are one, -T prevents it. The exit code is the "
      "command's, 126 when it cannot be executed, 127 when it does not exist.";
  command.flags = {
      {"detach", 'd', &o.detach, "Return at once, the command goes on"},
      {"env", 'e', &o.env, "Set a variable; without a value it is taken from here", "NAME=VALUE"},
      {"index", 0, &o.index, "Container number N of the service"},
      {"interactive", 'i', &o.interactive, "Pass standard input on (on by default)", {}, true},
      {"no-tty", 'T', &o.no_tty, "No terminal"},
      {"privileged", 0, &o.privileged, "All capabilities"},
      {"tty", 't', &o.tty, "A terminal (on by default when there is one)", {}, true},
      {"user", 'u', &o.user, "Run as this user", "USER[:GROUP]"},
      {"workdir", 'w', &o.workdir, "Folder to start in", "DIR"},
  };
  command.min_args = 2;
  command.interspersed = false;
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& arguments) { return exec(context, *options, arguments); };
  return command;
}

}  // namespace compose::cli
