// compose doctor: what this host lacks for containers.
#include "container/doctor/doctor.hpp"

#include "cli/commands/all.hpp"
#include "cli/context.hpp"

namespace compose::cli {

Command doctor_command() {
  auto format = std::make_shared<std::string>("text");
  Command command{.name = "doctor", .usage = "[OPTIONS]", .summary = "Say what this host lacks"};
  command.details =
      "Tries what containers need of the kernel and of your rights. The exit code is 1 when something is missing.";
  command.flags = {{"format", 0, format.get(), "text or json", "FORMAT"}};
  command.max_args = 0;
  command.run = [format](Context& context, const Strings&) -> Result<int> {
    if (*format != "text" && *format != "json")
      return make_error(Errc::invalid, "unknown --format \"{}\" (text, json)", *format);
    const auto checks = container::doctor::examine(context.paths());
    TRY(print(*format == "json" ? container::doctor::to_json(checks) + "\n" : container::doctor::to_text(checks)));
    return container::doctor::healthy(checks) ? 0 : 1;
  };
  return command;
}

}  // namespace compose::cli
