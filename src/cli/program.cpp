#include "cli/program.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <exception>

#include "base/strings.hpp"
#include "cli/commands.hpp"
#include "cli/context.hpp"
#include "cli/help.hpp"
#include "cli/rootless.hpp"
#include "cli/version.hpp"
#include "sys/file.hpp"
#include "sys/heap.hpp"

namespace compose::cli {
namespace {

constexpr int kFailure = 1;

std::string program_name(const char* argv0) {
  const std::string path = argv0 == nullptr ? "compose" : argv0;
  const std::string name = path.substr(path.find_last_of('/') + 1);
  return name == "docker-compose" ? name : "compose";
}

void complain(std::string_view text) { static_cast<void>(sys::write_all(STDERR_FILENO, text).ok()); }

int usage_failure(const std::string& message, const std::string& hint) {
  complain(fmt::format("{}\nSee '{} --help'.\n", message, hint));
  return kFailure;
}

/// The command's flags and those global ones whose name it does not use itself; a letter it uses is left out.
std::vector<Flag> with_globals(const Command& command, GlobalOptions& options) {
  std::vector<Flag> all = command.flags;
  for (Flag flag : global_flags(options)) {
    const bool taken =
        std::any_of(command.flags.begin(), command.flags.end(), [&](const Flag& own) { return own.name == flag.name; });
    if (taken) continue;
    if (std::any_of(command.flags.begin(), command.flags.end(),
                    [&](const Flag& own) { return flag.letter != 0 && own.letter == flag.letter; }))
      flag.letter = 0;
    all.push_back(flag);
  }
  return all;
}

/// `group`: the words before, "" or "image".
int unknown_command(const std::string& program, const std::string& group, const std::string& word) {
  const std::string prefix = group.empty() ? std::string{} : group + " ";
  Strings names;
  for (const Entry& entry : entries())
    for (const std::string_view name : {entry.name, entry.alias})
      if (!entry.hidden && name.starts_with(prefix) && name.find(' ', prefix.size()) == std::string_view::npos)
        names.emplace_back(name.substr(prefix.size()));
  std::string message = fmt::format("unknown command: \"{} {}{}\"", program, prefix, word);
  if (const auto guess = nearest(word, names)) message += fmt::format(" (did you mean \"{}\"?)", *guess);
  return usage_failure(message, group.empty() ? program : program + " " + group);
}

std::string count_message(const std::string& program, const Command& command) {
  const std::string name = fmt::format("{} {}", program, command.name);
  if (command.max_args == 0) return fmt::format("\"{}\" accepts no arguments", name);
  if (command.min_args == command.max_args)
    return fmt::format("\"{}\" requires exactly {} argument{}", name, command.min_args,
                       command.min_args == 1 ? "" : "s");
  if (command.max_args == SIZE_MAX)
    return fmt::format("\"{}\" requires at least {} argument{}", name, command.min_args,
                       command.min_args == 1 ? "" : "s");
  return fmt::format("\"{}\" requires {} to {} arguments", name, command.min_args, command.max_args);
}

int perform(const Command& command, GlobalOptions options, const Strings& arguments, const std::string& program) {
  Context context{std::move(options), program};
  const auto result = command.run(context, arguments);
  if (result) return *result;
  const std::string message = result.error().message();
  if (!message.empty()) context.progress().failure(message);
  return result.error().code() == Errc::cancelled ? 128 + SIGINT : context.failure_code();
}

/// Commands that need no engine, and so no right either.
bool only_reads_files(std::string_view name) {
  constexpr std::string_view kNames[] = {"__complete",
                                         "__describe",
                                         "__man",
                                         "alpha viz",
                                         "check",
                                         "completion",
                                         "config",
                                         "convert",
                                         "diff",
                                         "doctor",
                                         "graph",
                                         "export kubernetes",
                                         "import kubernetes",
                                         "publish",
                                         "version"};
  return std::ranges::find(kNames, name) != std::end(kNames) || name.starts_with("kubernetes ") ||
         name.starts_with("bridge ");
}

/// Commands that change something in one step, of which there is nothing to show beforehand.
bool changes_without_a_plan(std::string_view name) {
  constexpr std::string_view kNames[] = {"attach",
                                         "commit",
                                         "export",
                                         "export kubernetes",
                                         "image import",
                                         "image load",
                                         "image prune",
                                         "image rm",
                                         "image save",
                                         "image tag",
                                         "import kubernetes",
                                         "install-service",
                                         "kubernetes apply",
                                         "kubernetes delete",
                                         "network create",
                                         "network prune",
                                         "network rm",
                                         "wait"};
  return std::ranges::find(kNames, name) != std::end(kNames);
}

int run_command(const Entry& entry, const Strings& words, GlobalOptions options, const std::string& program) {
  const Command command = entry.make();
  const std::vector<Flag> flags = with_globals(command, options);
  const auto outcome = parse_flags(flags, words, command.interspersed);
  const std::string hint = fmt::format("{} {}", program, command.name);
  if (const auto* error = std::get_if<UsageError>(&outcome)) return usage_failure(error->message, hint);
  const Parsed& parsed = std::get<Parsed>(outcome);
  if (options.help) {
    const std::vector<Flag> global{flags.begin() + static_cast<std::ptrdiff_t>(command.flags.size()), flags.end()};
    return print(command_help(program, command, global)) ? 0 : kFailure;
  }
  if (parsed.arguments.size() < command.min_args || parsed.arguments.size() > command.max_args)
    return usage_failure(count_message(program, command), hint);
  if (const auto applied = apply_environment(options); !applied)
    return usage_failure(applied.error().message(), program);
  if (const auto possible = make_progress({options.progress_mode, options.ansi_mode}); !possible)
    return usage_failure(possible.error().message(), program);
  for (const Flag* flag : parsed.given)
    if (!flag->deprecated.empty()) complain(fmt::format("warning: --{}: {}\n", flag->name, flag->deprecated));

  if (options.dry_run && changes_without_a_plan(command.name)) {
    complain(fmt::format(" DRY-RUN MODE - {} {}: not run\n", command.name, join(parsed.arguments, " ")));
    return 0;
  }
  if (!rootless::needed() || only_reads_files(entry.name))
    return perform(command, std::move(options), parsed.arguments, program);
  const std::string run_root = options.run_root;
  const auto code =
      rootless::run(run_root, [&] { return perform(command, std::move(options), parsed.arguments, program); });
  if (code) return *code;
  complain(fmt::format("{}\n", code.error().message()));
  return kFailure;
}

int run_arguments(const Strings& arguments, const std::string& program) {
  GlobalOptions options;
  std::vector<Flag> flags = global_flags(options);
  flags.push_back({"version", 'v', &options.version, "Show the version", {}, true});
  const auto outcome = parse_flags(flags, arguments, false);
  if (const auto* error = std::get_if<UsageError>(&outcome)) return usage_failure(error->message, program);
  Strings words = std::get<Parsed>(outcome).arguments;
  const std::vector<Flag> global{flags.begin(), flags.end() - 1};
  if (options.version) return print(version_line()) ? 0 : kFailure;
  if (!words.empty() && words[0] == "help") {  // "compose help up"
    words.erase(words.begin());
    options.help = true;
    if (words == Strings{"exit-codes"}) return print(exit_codes_help()) ? 0 : kFailure;
  }
  if (words.empty()) return print(root_help(program, global)) ? 0 : kFailure;

  const Found found = find_entry(words);
  if (found.entry == nullptr) return unknown_command(program, {}, words[0]);
  if (found.entry->make == nullptr) {
    if (words.size() > found.words && !words[found.words].starts_with('-'))
      return unknown_command(program, std::string{found.entry->name}, words[found.words]);
    return print(group_help(program, *found.entry, global)) ? 0 : kFailure;
  }
  words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(found.words));
  if (options.help) words = {"--help"};
  options.help = false;
  return run_command(*found.entry, words, std::move(options), program);
}

}  // namespace

int run_program(int argc, char** argv) {
  sys::prepare_heap();
  ::signal(SIGPIPE, SIG_IGN);  // a closed pipe ends a write, not the program in the middle of its work
  try {
    return run_arguments(Strings(argv + std::min(argc, 1), argv + argc), program_name(argc > 0 ? argv[0] : nullptr));
  } catch (const std::exception& error) {
    complain(fmt::format("compose: internal error (please report it): {}\n", error.what()));
    return kFailure;
  }
}

}  // namespace compose::cli
