// compose install-service: a systemd unit that brings a project back after a reboot.
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/service_unit.hpp"
#include "cli/session.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"
#include "sys/program.hpp"

namespace compose::cli {
namespace {

struct Options {
  std::string directory = "/etc/systemd/system";
  bool uninstall = false;
  bool print = false;
};

/// Runs systemctl where systemd runs; elsewhere the unit is taken up at the next boot.
Result<void> systemctl(Context& context, const Strings& arguments) {
  struct stat status{};
  if (::stat("/run/systemd/system", &status) != 0) {
    context.trace("systemd does not run here; systemctl is not called");
    return {};
  }
  sys::SpawnOptions options;
  options.program = "/usr/bin/systemctl";
  options.arguments = {"systemctl"};
  options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
  TRY_ASSIGN(const sys::Child child, sys::spawn(options).with("systemctl"));
  TRY_ASSIGN(const auto ended, sys::wait_child(child.pid));
  if (ended.code != 0) return make_error(Errc::failed, "systemctl {}: exit code {}", arguments.front(), ended.code);
  return {};
}

Result<int> uninstall(Context& context, const Options& options, const std::string& project) {
  const std::string name = unit_name(project);
  const std::string path = options.directory + "/" + name;
  if (!sys::exists(path))
    return make_error(Errc::not_found, "project \"{}\" has no service: there is no {}", project, path);
  TRY(systemctl(context, {"disable", name}));
  const std::string wanted = options.directory + "/multi-user.target.wants/" + name;
  ::unlink(wanted.c_str());
  if (::unlink(path.c_str()) != 0) return os_error("removing {}", path);
  TRY(systemctl(context, {"daemon-reload"}));
  TRY(print("removed " + path + "\n"));
  return 0;
}

Result<int> install_service(Context& context, const Options& options) {
  TRY_ASSIGN(const ProjectScope scope, context.scope({.name_is_enough = true}));
  if (options.uninstall) return uninstall(context, options, scope.name);
  TRY_ASSIGN(const std::string program, sys::own_program());
  const std::string text = service_unit({scope.name, program, context.paths().root(), context.paths().run_root()});
  if (options.print) {
    TRY(print(text));
    return 0;
  }
  const std::string name = unit_name(scope.name);
  const std::string path = options.directory + "/" + name;
  TRY(sys::make_directories(options.directory + "/multi-user.target.wants", 0755));
  TRY(sys::write_file_atomic(path, text, 0644, sys::Durability::durable));
  // What "systemctl enable" does, for a machine on which systemd does not run at the moment.
  const std::string wanted = options.directory + "/multi-user.target.wants/" + name;
  if (::symlink(("../" + name).c_str(), wanted.c_str()) != 0 && errno != EEXIST) return os_error("making {}", wanted);
  TRY(systemctl(context, {"daemon-reload"}));
  TRY(print(fmt::format(
      "installed {}: services with a restart policy start with the host, what was stopped stays stopped\n", path)));
  return 0;
}

}  // namespace

Command install_service_command() {
  auto options = std::make_shared<Options>();
  Command command{
      .name = "install-service", .usage = "[OPTIONS]", .summary = "Start the project with the host (systemd)"};
  command.details =
      "Writes one systemd unit for the project. After a reboot it starts, in the order of depends_on, the services "
      "whose "
      "restart policy wants that (always, unless-stopped, on-failure); what a person has stopped stays stopped.";
  command.flags = {{"directory", 0, &options->directory, "Folder of the unit", "DIR"},
                   {"print", 0, &options->print, "Only print the unit"},
                   {"uninstall", 0, &options->uninstall, "Remove the unit; what runs runs on"}};
  command.max_args = 0;
  command.run = [options](Context& context, const Strings&) { return install_service(context, *options); };
  return command;
}

/// What the unit runs. The supervisor starts what is to run before it looks at any request.
Command restore_command() {
  auto project = std::make_shared<std::string>();
  Command command{
      .name = "restore", .usage = "--project NAME", .summary = "Start what ran before the host was restarted"};
  command.flags = {{"project", 0, project.get(), "The project", "NAME"}};
  command.max_args = 0;
  command.run = [project](Context& context, const Strings&) -> Result<int> {
    if (project->empty()) return make_error(Errc::invalid, "--project is missing");
    if (!sys::exists(context.paths().project(*project))) return 0;  // it was taken down
    const nlohmann::json request = {{"op", "restore"}};
    TRY_ASSIGN(const auto outcome, ask(context, *project, request, {.operation = "restore"}));
    return outcome.exit_code;
  };
  return command;
}

}  // namespace compose::cli
