// compose doctor: what this host lacks for containers.
#include "container/doctor/doctor.hpp"

#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/rootless.hpp"

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
    std::vector<container::doctor::Check> checks;
    if (rootless::needed()) checks = rootless::examine();
    const auto finish = [&]() -> Result<int> {
      TRY(print(*format == "json" ? container::doctor::to_json(checks) + "\n" : container::doctor::to_text(checks)));
      return container::doctor::healthy(checks) ? 0 : 1;
    };
    if (!container::doctor::healthy(checks)) return finish();
    const auto examine = [&]() -> Result<int> {
      const auto more = container::doctor::examine(context.paths());
      checks.insert(checks.end(), more.begin(), more.end());
      return finish();
    };
    if (!rootless::needed()) return examine();
    // An ordinary user's containers see what their own namespaces offer.
    return rootless::run(context.paths().run_root(), [&] { return examine().value_or(1); });
  };
  return command;
}

}  // namespace compose::cli
