// compose __describe: the table of commands and flags as JSON, for the tests that walk it.
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"

namespace compose::cli {
namespace {

using Json = nlohmann::ordered_json;

Json describe(const std::vector<Flag>& flags) {
  Json object = Json::object();
  for (const Flag& flag : flags)
    object[std::string{flag.name}] = {{"letter", flag.letter == 0 ? std::string{} : std::string{flag.letter}},
                                      {"takes_value", flag.takes_value()},
                                      {"help", flag.help},
                                      {"hidden", flag.hidden},
                                      {"refused", flag.refused},
                                      {"deprecated", flag.deprecated}};
  return object;
}

}  // namespace

Command describe_command() {
  Command command{.name = "__describe", .summary = "The table of commands as JSON"};
  command.max_args = 0;
  command.run = [](Context&, const Strings&) -> Result<int> {
    GlobalOptions unused;
    Json commands = {{"", {{"flags", describe(global_flags(unused))}, {"hidden", false}}}};
    for (const Entry& entry : entries()) {
      if (entry.make == nullptr) continue;
      const Command one = entry.make();
      commands[std::string{entry.name}] = {{"flags", describe(one.flags)}, {"hidden", entry.hidden}};
    }
    TRY(print(commands.dump(1) + "\n"));
    return 0;
  };
  return command;
}

}  // namespace compose::cli
