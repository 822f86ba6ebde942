// compose __man FOLDER: the manual pages, from the table that --help comes from; the build installs them.
#include <cctype>

#include "base/strings.hpp"
#include "cli/commands.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/help.hpp"
#include "cli/version.hpp"
#include "sys/file.hpp"

namespace compose::cli {
namespace {

/// Text for roff(7): no line begins with a control character, backslashes and dashes stay what they are.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string page_name(std::string_view command) {
  std::string name = "compose";
  if (!command.empty()) name += fmt::format("-{}", command);
  for (char& c : name)
    if (c == ' ') c = '-';
  return name;
}

std::string head(const std::string& page, std::string_view summary) {
  return fmt::format(".TH {} 1 \"\" \"compose {}\" \"compose\"\n.SH NAME\n{} \\- {}\n", escaped(upper(page)),
                     version_number(), escaped(page), escaped(summary));
}

std::string options(std::span<const Flag> flags, std::string_view title) {
  std::string text;
  for (const Flag& flag : flags) {
    if (flag.hidden) continue;
    std::string names = flag.letter == 0 ? std::string{} : fmt::format("-{}, ", flag.letter);
    names += fmt::format("--{}", flag.name);
    if (flag.takes_value()) names += fmt::format(" {}", flag.value.empty() ? "VALUE" : flag.value);
    text += fmt::format(".TP\n.B {}\n{}\n", escaped(names), escaped(flag.help));
    if (!flag.refused.empty()) text += fmt::format("Refused: {}.\n", escaped(flag.refused));
  }
  return text.empty() ? text : fmt::format(".SH {}\n{}", title, text);
}

std::string command_page(const Entry& entry) {
  const Command command = entry.make();
  const std::string page = page_name(entry.name);
  std::string text = head(page, entry.summary);
  text += fmt::format(".SH SYNOPSIS\n.B compose {}\n{}\n.SH DESCRIPTION\n{}.\n", escaped(entry.name),
                      escaped(command.usage), escaped(command.summary));
  if (!command.details.empty()) text += fmt::format(".PP\n{}\n", escaped(command.details));
  text += options(command.flags, "OPTIONS");
  text += ".SH SEE ALSO\n.BR compose (1)\n";
  return text;
}

std::string root_page() {
  GlobalOptions unused;
  std::string text = head("compose", "define and run multi-container applications without a daemon");
  text += ".SH SYNOPSIS\n.B compose\n[OPTIONS] COMMAND [ARGS...]\n.SH DESCRIPTION\nRuns what Compose files describe.\n";
  text += options(global_flags(unused), "GLOBAL OPTIONS");
  text += ".SH COMMANDS\n";
  for (const Entry& entry : entries())
    if (!entry.hidden && entry.make != nullptr)
      text += fmt::format(".TP\n.BR {} (1)\n{}\n", escaped(page_name(entry.name)), escaped(entry.summary));
  text += ".SH EXIT STATUS\n.nf\n" + escaped(exit_codes_help()) + ".fi\n";
  return text;
}

Result<int> write_pages(const std::string& folder) {
  TRY(sys::make_directories(folder));
  TRY(sys::write_file_atomic(folder + "/compose.1", root_page()));
  for (const Entry& entry : entries())
    if (!entry.hidden && entry.make != nullptr)
      TRY(sys::write_file_atomic(fmt::format("{}/{}.1", folder, page_name(entry.name)), command_page(entry)));
  return 0;
}

}  // namespace

Command man_command() {
  Command command{.name = "__man", .usage = "FOLDER", .summary = "Write the manual pages"};
  command.min_args = command.max_args = 1;
  command.run = [](Context&, const Strings& arguments) { return write_pages(arguments[0]); };
  return command;
}

}  // namespace compose::cli
