// compose exec: a command in a running container. Without a terminal this program becomes the runtime's exec, so pipes
// and signals are the command's own; with one it stays between the terminal and the command's pseudo-terminal.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/ids.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/terminal_proxy.hpp"
#include "runtime/security/own_program.hpp"
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

/// Replaces this process. Run from the read-only copy at once, the runtime need not run itself again from there.
Error become(const std::string& program, const Strings& arguments) {
  const auto copy = runtime::security::read_only_program(program);
  const std::string path = copy ? fmt::format("/proc/self/fd/{}", copy->get()) : program;
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::execv(path.c_str(), argv.data());
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

/// The command goes on without us: it holds nothing of ours but, until it is started, a place for the runtime's errors.
Result<int> exec_detached(const std::string& program, const Strings& arguments) {
  const UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  int pipe[2];
  if (!null.valid() || ::pipe2(pipe, O_CLOEXEC | O_NONBLOCK) != 0) return os_error("making a pipe");
  const UniqueFd reader{pipe[0]};
  UniqueFd writer{pipe[1]};
  sys::SpawnOptions spawn;
  spawn.program = program;
  spawn.arguments = arguments;
  spawn.fds = {{null.get(), 0}, {null.get(), 1}, {writer.get(), 2}};
  TRY_ASSIGN(const sys::Child child, sys::spawn(spawn));
  writer = UniqueFd{};
  TRY_ASSIGN(const sys::ExitStatus status, sys::wait_child(child.pid));
  char buffer[4096];
  for (ssize_t size; (size = ::read(reader.get(), buffer, sizeof buffer)) > 0;)
    TRY(sys::write_all(STDERR_FILENO, {buffer, static_cast<std::size_t>(size)}));
  return status.code;
}

/// Without a terminal of its own the command must not get ours either (-T): what is one becomes a pipe.
Result<int> exec_with_pipes(const std::string& program, const Strings& arguments) {
  struct Way {
    int from = -1;
    int to = -1;
    UniqueFd end{};  ///< the one that is ours
  };
  std::vector<Way> ways;
  std::vector<UniqueFd> theirs;
  sys::SpawnOptions spawn;
  spawn.program = program;
  spawn.arguments = arguments;
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    int pipe[2];
    if (!is_terminal(fd)) {
      spawn.fds.emplace_back(fd, fd);
      continue;
    }
    if (::pipe2(pipe, O_CLOEXEC) != 0) return os_error("making a pipe");
    const bool input = fd == STDIN_FILENO;
    theirs.emplace_back(pipe[input ? 0 : 1]);
    spawn.fds.emplace_back(pipe[input ? 0 : 1], fd);
    Way way{input ? fd : pipe[0], input ? pipe[1] : fd, UniqueFd{pipe[input ? 1 : 0]}};
    ways.push_back(std::move(way));
  }
  TRY_ASSIGN(const sys::Child child, sys::spawn(spawn));
  theirs.clear();
  bool ended = false;
  const auto reading = [&](const Way& way) { return way.end.valid() && !(ended && way.from == STDIN_FILENO); };
  while (true) {
    std::vector<pollfd> polled;
    for (const Way& way : ways) polled.push_back({reading(way) ? way.from : -1, POLLIN, 0});
    polled.push_back({ended ? -1 : child.pidfd.get(), POLLIN, 0});
    const bool output = std::any_of(ways.begin(), ways.end(),
                                    [](const Way& way) { return way.end.valid() && way.from != STDIN_FILENO; });
    // What the command's own children still hold open is not waited for, what is written is.
    const int ready = ::poll(polled.data(), polled.size(), ended ? 0 : -1);
    if (ready < 0 && errno != EINTR) return os_error("waiting for the command");
    if (ended && (ready <= 0 || !output)) break;
    if (polled.back().revents != 0) ended = true;
    for (std::size_t i = 0; i < ways.size(); ++i) {
      if (ready <= 0 || polled[i].revents == 0) continue;
      char buffer[32768];
      const ssize_t size = ::read(ways[i].from, buffer, sizeof buffer);
      if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (size <= 0 || !sys::write_all(ways[i].to, {buffer, static_cast<std::size_t>(size)})) ways[i].end = UniqueFd{};
    }
  }
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
  const Strings words = runtime_arguments(context, program, container, options, command, false, {});
  if (options.detach) return exec_detached(program, words);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (is_terminal(fd)) return exec_with_pipes(program, words);
  return become(program, words);
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
