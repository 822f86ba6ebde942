// compose-runtime: the command line of an OCI runtime (runc's options and messages).
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "runtime/cli/commands.hpp"
#include "runtime/launch/hooks.hpp"
#include "runtime/monitor/log_format.hpp"
#include "runtime/security/own_program.hpp"
#include "sys/file.hpp"

#ifndef COMPOSE_VERSION
#define COMPOSE_VERSION "0.1.0"
#endif

#ifdef __SANITIZE_ADDRESS__
// At its end the leak check makes a thread, which after setns(2) is born in the container's PID namespace, where its
// process waits for it for ever. Valgrind looks for leaks here.
extern "C" int __lsan_is_turned_off() { return 1; }  // NOLINT: the sanitizer's name
#endif

namespace compose::runtime::cli {
namespace {

constexpr OptionSpec kGlobalOptions[] = {
    {"root", 0, true},       {"log", 0, true},     {"log-format", 0, true},      {"debug", 0, false},
    {"version", 'v', false}, {"help", 'h', false}, {"systemd-cgroup", 0, false}, {"cgroup-manager", 0, true},
    {"rootless", 0, true},   {"criu", 0, true},    {"log-level", 0, true}};

struct Command {
  std::string_view name;
  Result<int> (*run)(const Globals&, Words);
  bool enters;  ///< processes of ours get into the container
  const char* help;
};

constexpr std::array<Command, 15> kCommands = {{
    {"create", create, true, "create a container"},
    {"start", start, false, "run the program of a created container"},
    {"run", run, true, "create and start a container"},
    {"exec", exec, true, "run a further process in a container"},
    {"state", state, false, "print the state of a container"},
    {"kill", kill, false, "send a signal to a container's first process"},
    {"delete", remove, false, "remove what is left of a container"},
    {"list", list, false, "list the containers below the root"},
    {"ps", ps, false, "list the processes of a container"},
    {"pause", pause, false, "freeze all processes of a container"},
    {"resume", resume, false, "let a paused container go on"},
    {"update", update, false, "change the limits of a container"},
    {"events", events, false, "print usage figures"},
    {"features", features, false, "print what this runtime can do"},
    {"spec", write_spec, false, "write a config.json to begin with"},
}};

int last_exit_status = 1;

/// An error goes to standard error for people, and to the log file in the format that its reader asked for.
void report(const Arguments& globals, const std::string& message) {
  std::fprintf(stderr, "compose-runtime: %s\n", message.c_str());
  if (!globals.has("log")) return;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::string time = monitor::format_time(now);
  const std::string line =
      globals.get("log-format") == "json"
          ? fmt::format("{{\"level\":\"error\",\"msg\":{},\"time\":\"{}\"}}\n", launch::json_string(message), time)
          : fmt::format("time=\"{}\" level=error msg={}\n", time, launch::json_string(message));
  const UniqueFd log{::open(globals.get("log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)};
  if (log.valid()) (void)sys::write_all(log.get(), line);
}

std::string default_root() {
  const char* runtime_dir = std::getenv("XDG_RUNTIME_DIR");
  if (::geteuid() != 0 && runtime_dir != nullptr) return std::string{runtime_dir} + "/compose-runtime";
  return "/run/compose-runtime";
}

void print_help() {
  std::fputs("usage: compose-runtime [--root DIR] [--log FILE] [--log-format text|json] COMMAND [OPTION...] [ID]\n\n",
             stdout);
  for (const auto& command : kCommands) {
    std::printf("  %-10s %s\n", std::string{command.name}.c_str(), command.help);
  }
}

/// Processes that enter a container come from a read-only copy of this program, see own_program.hpp.
void protect_program(char** argv) {
  if (security::runs_protected()) {
    ::prctl(PR_SET_NAME, "compose-runtime");  // run by a descriptor, it has that number as its name
    return;
  }
  auto program = security::read_only_program("/proc/self/exe");
  if (!program) return;
  const std::string path = fmt::format("/proc/self/fd/{}", program->get());
  ::execv(path.c_str(), argv);
}

int main_of(int argc, char** argv) {
  const std::vector<std::string> words{argv + 1, argv + argc};
  auto globals = Arguments::parse(words, kGlobalOptions, false);
  if (!globals) {
    std::fprintf(stderr, "compose-runtime: %s\n", globals.error().message().c_str());
    return 1;
  }
  if (globals->flag("version")) {
    std::puts("compose-runtime version " COMPOSE_VERSION "\nspec: 1.3.0");
    return 0;
  }
  const auto& rest = globals->words();
  if (globals->flag("help") || rest.empty() || rest.front() == "help") {
    print_help();
    return rest.empty() && !globals->flag("help") ? 1 : 0;
  }
  Globals options;
  options.root = globals->get("root", default_root());
  options.root_is_given = globals->has("root");
  options.no_cgroups = globals->get("cgroup-manager") == "disabled";
  options.debug = globals->flag("debug");
  for (const auto& command : kCommands) {
    if (command.name != rest.front()) continue;
    if (rest.size() == 2 && (rest[1] == "--help" || rest[1] == "-h")) {
      std::printf("usage: compose-runtime [OPTION...] %s [OPTION...] [ID]\n\n%s\n", rest.front().c_str(), command.help);
      return 0;
    }
    if (command.enters) protect_program(argv);
    const auto status = command.run(options, Words{rest}.subspan(1));
    if (status) return *status;
    report(*globals, status.error().message());
    return last_exit_status;
  }
  report(*globals, fmt::format("unknown command \"{}\"", rest.front()));
  return 1;
}

}  // namespace

Result<int> fail_with(int status, const std::string& message) {
  last_exit_status = status;
  return make_error(Errc::failed, "{}", message);
}

void warn(std::span<const std::string> warnings) {
  for (const std::string& warning : warnings) std::fprintf(stderr, "warning: %s\n", warning.c_str());
}

}  // namespace compose::runtime::cli

int main(int argc, char** argv) { return compose::runtime::cli::main_of(argc, argv); }
