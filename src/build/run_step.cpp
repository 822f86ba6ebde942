// RUN and its mounts.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.hpp"
#include "build/session.hpp"
#include "sys/file.hpp"

namespace compose::build {

namespace {

constexpr const char* kDefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The command as the shell gets it: here-documents behind the line, as they stand in the file; a lone one is the
/// whole script, run by what its "#!" line says if it has one.
std::vector<std::string> command_of(const image::ImageConfig& config, const Instruction& item) {
  if (std::optional<std::vector<std::string>> exec = image::parse_json_strings(item.arguments)) return *exec;
  std::vector<std::string> command = image::shell_of(config);
  if (item.heredocs.empty()) {
    command.push_back(item.arguments);
    return command;
  }
  const Heredoc& first = item.heredocs.front();
  const std::string_view rest = trim(item.arguments);
  const bool lone = item.heredocs.size() == 1 && rest.find_first_of(" \t;|&>") == std::string_view::npos;
  if (lone) {
    command.push_back(first.content);
    return command;
  }
  std::string script = item.arguments;
  for (const Heredoc& heredoc : item.heredocs) script += "\n" + heredoc.content + heredoc.name;
  command.push_back(script);
  return command;
}

/// A lone here-document that begins with "#!" is run as a program.
bool is_script(const Instruction& item) {
  return item.heredocs.size() == 1 && item.heredocs[0].content.starts_with("#!") &&
         trim(item.arguments).find_first_of(" \t;|&>") == std::string_view::npos;
}

std::vector<std::string> script_command(const image::ImageConfig& config, const Instruction& item) {
  std::vector<std::string> command = image::shell_of(config);
  command.push_back("/dev/pipes/" + item.heredocs[0].name);
  return command;
}

}  // namespace

/// As Docker's history has it: "RUN |2 A=1 B=2 /bin/sh -c …" with the stage's own arguments.
std::string Session::run_history(const StageState& state, const std::vector<std::string>& command) const {
  std::string text = "RUN ";
  if (!state.declared.empty()) {
    text += fmt::format("|{} ", state.declared.size());
    for (const std::string& name : state.declared)
      text += fmt::format("{}={} ", name, lookup(state)(name).value_or(""));
  }
  return text + join(command, " ") + " # compose";
}

/// What the command sees: the image's variables, the stage's arguments, a path.
std::vector<std::string> Session::run_environment(const StageState& state) const {
  std::vector<std::string> environment = state.config.env;
  for (const auto& [name, value] : state.args) {
    if (!state.config.env_value(name)) environment.push_back(name + "=" + value);
  }
  if (!state.config.env_value("PATH")) environment.emplace_back(kDefaultPath);
  return environment;
}

/// --network and --security, on top of what the build says.
Result<Session::RunOptions> Session::run_options(const Instruction& item) const {
  RunOptions options{request_.build.network, request_.build.privileged};
  const model::Strings& granted = request_.build.entitlements;
  const auto allowed = [&](const char* name) {
    return std::find(granted.begin(), granted.end(), name) != granted.end();
  };
  if (const Flag* flag = item.flag("network")) {
    options.network = flag->value;
    if (flag->value == "host" && request_.build.network != "host" && !allowed("network.host"))
      return make_error(Errc::permission,
                        "--network=host needs build.network: host or build.entitlements: [network.host]");
  }
  if (const Flag* flag = item.flag("security")) {
    if (flag->value != "sandbox" && flag->value != "insecure")
      return make_error(Errc::invalid, "--security is sandbox or insecure, not \"{}\"", flag->value);
    if (flag->value == "insecure" && !allowed("security.insecure"))
      return make_error(Errc::permission, "--security=insecure needs build.entitlements: [security.insecure]");
    options.privileged = options.privileged || flag->value == "insecure";
  }
  if (options.network == "default") options.network.clear();
  if (!options.network.empty() && options.network != "none" && options.network != "host")
    return make_error(Errc::invalid, "the network of a build is default, host or none, not \"{}\"", options.network);
  return options;
}

Result<void> Session::run_command(StageRun& run, const Instruction& item) {
  TRY_ASSIGN(const RunOptions options, run_options(item));
  const std::vector<std::string> command = command_of(run.state.config, item);
  const std::vector<std::string> environment = run_environment(run.state);
  TRY_ASSIGN(const std::string mounts, mounts_key(run, item));
  FileStep step;
  step.instruction = &item;
  step.name = step_name(run, item);
  step.created_by = run_history(run.state, is_script(item) ? script_command(run.state.config, item) : command);
  step.key = KeyBuilder{}
                 .add("run 2")
                 .add(run.state.chain())
                 .add(command)
                 .add(environment)
                 .add(run.state.config.user)
                 .add(run.state.config.working_dir)
                 .add(options.network)
                 .add(options.privileged ? "privileged" : "")
                 .add(mounts)
                 .digest();
  step.make = [&](const std::string& workspace, const std::string& folder, int number) -> Result<void> {
    RunRequest request;
    request.id = step_container_id(workspace);
    request.workspace = workspace;
    request.upper = folder + "/diff";
    request.lower = run.state.view().layers();
    request.arguments = command;
    request.environment = environment;
    request.user = run.state.config.user;
    request.working_dir = run.state.config.working_dir;
    request.network = options.network == "none"   ? RunRequest::Network::none
                      : options.network == "host" ? RunRequest::Network::host
                                                  : RunRequest::Network::own;
    request.privileged = options.privileged;
    return execute(run, item, std::move(request), folder, step.name, number);
  };
  return file_step(run, step);
}

/// Runs the command with its mounts; the upper directory is then the layer.
Result<void> Session::execute(StageRun& run, const Instruction& item, RunRequest request, const std::string& folder,
                              const std::string& step_name, int number) {
  for (const auto& [name, value] : request_.proxy_args) request.environment.push_back(name + "=" + value);
  for (const auto& [name, value] : build_args_) {
    if (is_proxy_argument(name) && !run.state.args.contains(name)) request.environment.push_back(name + "=" + value);
  }
  request.extra_hosts = request_.build.extra_hosts;
  request.ulimits = request_.build.ulimits;
  request.shm_size = request_.build.shm_size;
  request.finish_spec = request_.finish_spec;
  TRY_ASSIGN(StepMounts extra, step_mounts(run, item, request.workspace));
  request.mounts = std::move(extra.mounts);
  request.environment.insert(request.environment.end(), extra.environment.begin(), extra.environment.end());
  if (is_script(item)) {
    const std::string script = request.workspace + "/script";
    const std::string target = "/dev/pipes/" + item.heredocs[0].name;
    TRY(sys::write_file_atomic(script, item.heredocs[0].content, 0755));
    request.mounts.push_back({RunMount::Kind::file, target, script, {}, "", true, {}});
    request.arguments = {target};
  }
  // The upper directory is the root of the container, so it needs the rights of the root below.
  TRY_ASSIGN(image::LayerWriter writer, image::LayerWriter::create(folder, run.state.view()));
  TRY(writer.finish());
  TRY_ASSIGN(const int code, runner_.run(request, [&](std::string_view line, bool standard_error) {
    report({BuildEvent::Kind::output, number, step_name, std::string{line}, standard_error, 0});
  }));
  if (code != 0) return make_error(Errc::failed, "{}: exit code {}", item.text, code);
  return remove_mount_points(request);
}

}  // namespace compose::build
