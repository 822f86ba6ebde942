// Commands of Docker Compose that need Docker's services: known, and answered with the reason and what to do instead.
#include "cli/commands/all.hpp"
#include "cli/context.hpp"

namespace compose::cli {
namespace {

struct Sinks {
  bool flag = false;
  std::string text;
  int number = 0;
  Strings list;
};

struct RefusedFlag {
  std::string_view name;
  char letter = 0;
  enum class Kind : std::uint8_t { flag, text, number, list } kind = Kind::flag;
};
using Kind = RefusedFlag::Kind;

/// A command that always fails with `reason`, also when one of its flags is given.
Command refused(std::string_view name, std::string_view summary, std::string_view reason,
                std::initializer_list<RefusedFlag> flags) {
  auto sinks = std::make_shared<Sinks>();
  Command command{.name = name, .usage = "[OPTIONS] [ARGS...]", .summary = summary};
  command.details = reason;
  for (const RefusedFlag& one : flags) {
    Flag flag{one.name, one.letter, &sinks->flag, {}, {}, true, reason};
    if (one.kind == Kind::text) flag.target = &sinks->text;
    if (one.kind == Kind::number) flag.target = &sinks->number;
    if (one.kind == Kind::list) flag.target = &sinks->list;
    command.flags.push_back(flag);
  }
  command.run = [sinks, reason](Context&, const Strings&) -> Result<int> {
    return make_error(Errc::unsupported, "{}", reason);
  };
  return command;
}

constexpr std::string_view kPublish =
    "projects are not published to registries as OCI artifacts; keep the files in version control, \"config -o FILE\" "
    "writes one resolved file";
constexpr std::string_view kBridge =
    "there are no transformer images to run; \"config --format json\" gives other tools the resolved model";

Command publish(std::string_view name) {
  return refused(name, "Projects are not published to registries", kPublish,
                 {{"app"},
                  {"insecure-registry"},
                  {"oci-version", 0, Kind::text},
                  {"resolve-image-digests"},
                  {"with-env"},
                  {"yes", 'y'}});
}

}  // namespace

Command publish_command() { return publish("publish"); }
Command alpha_publish_command() { return publish("alpha publish"); }

Command bridge_convert_command() {
  return refused("bridge convert", "There are no transformer images", kBridge,
                 {{"output", 'o', Kind::text}, {"templates", 0, Kind::text}, {"transformation", 't', Kind::list}});
}
Command bridge_create_command() {
  return refused("bridge transformations create", "There are no transformer images", kBridge,
                 {{"from", 'f', Kind::text}});
}
Command bridge_list_command() {
  return refused("bridge transformations list", "There are no transformer images", kBridge,
                 {{"format", 0, Kind::text}, {"quiet", 'q'}});
}
Command alpha_dry_run_command() {
  return refused("alpha dry-run", "Old form of --dry-run",
                 "give --dry-run to the command itself: \"compose --dry-run up\"", {});
}
Command alpha_generate_command() {
  return refused("alpha generate", "Files are not made from containers",
                 "a file is not made from containers: the containers here came from one, see \"compose ls\"",
                 {{"format", 0, Kind::text}, {"name", 0, Kind::text}, {"project-dir", 0, Kind::text}});
}

}  // namespace compose::cli
