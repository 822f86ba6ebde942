#include "cli/help.hpp"

#include <algorithm>

#include "cli/table.hpp"

namespace compose::cli {
namespace {

std::string_view value_name(const Flag& flag) {
  if (!flag.takes_value()) return {};
  if (!flag.value.empty()) return flag.value;
  if (std::holds_alternative<int*>(flag.target) || std::holds_alternative<std::optional<int>*>(flag.target)) return "N";
  return std::holds_alternative<Strings*>(flag.target) ? "VALUE..." : "VALUE";
}

std::string default_text(const Flag& flag) {
  if (const auto* text = std::get_if<std::string*>(&flag.target); text != nullptr && !(*text)->empty())
    return fmt::format(" (default \"{}\")", **text);
  if (const auto* number = std::get_if<int*>(&flag.target); number != nullptr && **number != 0)
    return fmt::format(" (default {})", **number);
  if (const auto* yes = std::get_if<bool*>(&flag.target); yes != nullptr && **yes) return " (default true)";
  return {};
}

std::string flag_lines(std::span<const Flag> flags) {
  std::string text;
  std::size_t width = 0;
  std::vector<std::pair<std::string, std::string>> lines;
  for (const Flag& flag : flags) {
    if (flag.hidden) continue;
    std::string left = flag.letter == 0 ? "      " : fmt::format("  -{}, ", flag.letter);
    left += fmt::format("--{} {}", flag.name, value_name(flag));
    width = std::max(width, left.size());
    lines.emplace_back(std::move(left), std::string{flag.help} + default_text(flag));
  }
  for (const auto& [left, right] : lines) text += fmt::format("{:<{}}  {}\n", left, width, right);
  return text;
}

std::string command_lines(std::string_view group) {
  std::string text;
  std::size_t width = 0;
  const auto shown = [&](const Entry& entry) -> std::string_view {
    if (entry.hidden) return {};
    if (group.empty()) return entry.name.find(' ') == std::string_view::npos ? entry.name : std::string_view{};
    if (!entry.name.starts_with(group) || entry.name.size() <= group.size() || entry.name[group.size()] != ' ')
      return {};
    return entry.name.substr(group.size() + 1);
  };
  for (const Entry& entry : entries()) width = std::max(width, shown(entry).size());
  for (const Entry& entry : entries())
    if (const auto name = shown(entry); !name.empty())
      text += fmt::format("  {:<{}}  {}\n", name, width, entry.summary);
  return text;
}

}  // namespace

std::string root_help(const std::string& program, std::span<const Flag> global) {
  return fmt::format(
      "\nUsage:  {0} [OPTIONS] COMMAND\n\nDefine and run multi-container applications without a daemon\n\nOptions:\n{1}"
      "  -v, --version  Show the version\n\nCommands:\n{2}\nRun '{0} COMMAND --help' for more information on a "
      "command.\n",
      program, flag_lines(global), command_lines({}));
}

std::string group_help(const std::string& program, const Entry& group, std::span<const Flag> global) {
  return fmt::format(
      "\nUsage:  {0} {1} COMMAND\n\n{2}\n\nCommands:\n{3}\nGlobal options:\n{4}\nRun '{0} {1} COMMAND --help' for more "
      "information on a command.\n",
      program, group.name, group.summary, command_lines(group.name), flag_lines(global));
}

std::string exit_codes_help() {
  return R"(
Exit codes

  0        done; an attached up: all containers have ended, or it was left with "d"
  1        any error, also an unknown command or flag and wrong files; doctor: something is missing
  2        diff: the sides differ
  3        check: something was found that is not waived
  4        up: a rolling update failed and was rolled back (deploy.update_config.failure_action: rollback)
  125      exec: the runtime failed before the command could be looked up
  126      run, exec: the command cannot be executed
  127      run, exec: there is no such command
  128+n    run, exec, wait, up --exit-code-from: signal n ended the process
  130      the command was cancelled by Ctrl-C or SIGTERM (an attached up has then stopped its containers, watch and
           logs -f have left them alone)
  others   run, exec, wait: the process's own code; up --exit-code-from SERVICE: that of the service's first end;
           up --abort-on-container-exit: that of the container that ended first
)";
}

std::string command_help(const std::string& program, const Command& command, std::span<const Flag> global) {
  std::string text = fmt::format("\nUsage:  {} {}{}{}\n\n{}\n", program, command.name, command.usage.empty() ? "" : " ",
                                 command.usage, command.summary);
  if (!command.details.empty()) text += fmt::format("\n{}\n", command.details);
  if (std::any_of(command.flags.begin(), command.flags.end(), [](const Flag& flag) { return !flag.hidden; }))
    text += fmt::format("\nOptions:\n{}", flag_lines(command.flags));
  text += fmt::format("\nGlobal options:\n{}", flag_lines(global));
  return text;
}

}  // namespace compose::cli
