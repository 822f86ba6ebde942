#include "cli/version.hpp"

#include "cli/commands/all.hpp"
#include "cli/context.hpp"

namespace compose::cli {

std::string version_number() { return COMPOSE_VERSION; }
std::string version_line() { return fmt::format("Compose version v{}\n", version_number()); }

Command version_command() {
  struct Options {
    std::string format;
    bool is_short = false;
  };
  auto options = std::make_shared<Options>();
  Command command{.name = "version", .usage = "[OPTIONS]", .summary = "Show the version"};
  command.flags = {{"format", 'f', &options->format, "Output format: pretty or json", "FORMAT"},
                   {"short", 0, &options->is_short, "Only the number"}};
  command.max_args = 0;
  command.run = [options](Context&, const Strings&) -> Result<int> {
    if (options->is_short) {
      TRY(print(version_number() + "\n"));
    } else if (options->format == "json") {
      TRY(print(fmt::format("{{\"version\":\"v{}\"}}\n", version_number())));
    } else if (options->format.empty() || options->format == "pretty") {
      TRY(print(version_line()));
    } else {
      return make_error(Errc::invalid, "unknown --format \"{}\" (pretty, json)", options->format);
    }
    return 0;
  };
  return command;
}

}  // namespace compose::cli
