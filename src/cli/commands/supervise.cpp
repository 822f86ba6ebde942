// The project's supervisor, started by the other commands and by monitors that lost theirs.
#include "supervisor/supervisor.hpp"

#include "cli/commands/all.hpp"
#include "cli/context.hpp"

namespace compose::cli {

Command supervise_command() {
  struct Options {
    std::string project;
    int lock_fd = -1;
    int ready_fd = -1;
    bool adopt = false;
  };
  auto options = std::make_shared<Options>();
  Command command{
      .name = "supervise", .usage = "--project NAME", .summary = "Look after one project until nothing of it runs"};
  command.flags = {{"project", 0, &options->project, "The project", "NAME"},
                   {"lock-fd", 0, &options->lock_fd, "Descriptor that holds the project's lock", "FD"},
                   {"ready-fd", 0, &options->ready_fd, "Descriptor that is told when requests are answered", "FD"},
                   {"adopt", 0, &options->adopt, "Take over what runs"}};
  command.max_args = 0;
  command.run = [options](Context& context, const Strings&) -> Result<int> {
    if (options->project.empty()) return make_error(Errc::invalid, "--project is missing");
    return supervisor::supervise({.paths = context.paths(),
                                  .project = options->project,
                                  .lock_fd = options->lock_fd,
                                  .adopt = options->adopt,
                                  .ready_fd = options->ready_fd});
  };
  return command;
}

}  // namespace compose::cli
