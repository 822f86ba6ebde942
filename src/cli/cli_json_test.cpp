// Every command and flag of Docker Compose's list is known here. The list is no part of the project; without it the
// test says so.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "cli/commands.hpp"
#include "cli/globals.hpp"
#include "sys/file.hpp"

namespace compose::cli {
namespace {

TEST(CliJson, EveryCommandAndFlagIsKnown) {
  const auto text = sys::read_file(COMPOSE_CLI_JSON);
  if (!text) GTEST_SKIP() << "the list " << COMPOSE_CLI_JSON << " is not here";
  const auto list = nlohmann::json::parse(*text);
  GlobalOptions options;
  const auto global = global_flags(options);
  Strings missing;
  for (const auto& [name, description] : list["commands"].items()) {
    if (name == "(root)") {
      for (const auto& [flag, unused] : description["flags"].items())
        if (flag != "version" &&
            std::none_of(global.begin(), global.end(), [&](const Flag& f) { return f.name == flag; }))
          missing.push_back("--" + flag);
      continue;
    }
    const Found found = find_entry(split(name, ' '));
    if (found.entry == nullptr || found.words != split(name, ' ').size()) {
      missing.push_back(name);
      continue;
    }
    if (found.entry->make == nullptr) continue;
    Command command = found.entry->make();
    command.flags.insert(command.flags.end(), global.begin(), global.end());
    for (const auto& [flag, details] : description["flags"].items()) {
      const auto known =
          std::find_if(command.flags.begin(), command.flags.end(), [&](const Flag& f) { return f.name == flag; });
      if (known == command.flags.end()) {
        missing.push_back(name + " --" + flag);
      } else if (const std::string letter = details["short"]; !letter.empty() && known->letter != letter[0]) {
        missing.push_back(name + " -" + letter);
      } else if ((details["type"] == "bool") == known->takes_value()) {
        missing.push_back(name + " --" + flag + " takes " + details["type"].get<std::string>());
      }
    }
  }
  EXPECT_TRUE(missing.empty()) << "unknown: " << join(missing, ", ");
}

TEST(Commands, AreSortedAndDescribeThemselves) {
  for (const Entry& entry : entries()) {
    if (entry.make == nullptr) continue;
    const Command command = entry.make();
    EXPECT_EQ(command.name, entry.name);
    EXPECT_TRUE(command.run) << entry.name;
    for (const Flag& flag : command.flags)
      EXPECT_TRUE(flag.hidden || !flag.help.empty() || !flag.refused.empty()) << entry.name << " --" << flag.name;
  }
}

}  // namespace
}  // namespace compose::cli
