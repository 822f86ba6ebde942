// RUN and its mounts.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/ids.hpp"
#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "base/units.hpp"
#include "build/session.hpp"
#include "sys/file.hpp"

namespace compose::build {

namespace {

constexpr const char* kDefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
using Options = std::map<std::string, std::string>;

std::string option(const Options& options, std::initializer_list<const char*> names,
                   const std::string& otherwise = "") {
  for (const char* name : names) {
    if (const auto it = options.find(name); it != options.end()) return it->second;
  }
  return otherwise;
}

bool flag_option(const Options& options, std::initializer_list<const char*> names, bool otherwise) {
  const std::string text = to_lower(option(options, names, otherwise ? "true" : "false"));
  return text == "true" || text == "1";
}

Result<std::uint32_t> number_option(const Options& options, const char* name, int base, std::uint32_t otherwise) {
  const std::string text = option(options, {name});
  if (text.empty()) return otherwise;
  char* end = nullptr;
  const unsigned long value = std::strtoul(text.c_str(), &end, base);
  if (*end != '\0' || value > 0xfffffffeUL) return make_error(Errc::invalid, "--mount: {}={} is no number", name, text);
  return static_cast<std::uint32_t>(value);
}

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

std::string created_by(const StageState& state, const std::vector<std::string>& command) {
  std::string text = "RUN ";
  if (!state.args.empty()) {
    text += fmt::format("|{} ", state.args.size());
    for (const auto& [name, value] : state.args) text += fmt::format("{}={} ", name, value);
  }
  return text + join(command, " ") + " # compose";
}

}  // namespace

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
  for (const Flag& flag : item.flags) {
    if (flag.name == "network") {
      options.network = flag.value;
    } else if (flag.name == "security") {
      if (flag.value != "sandbox" && flag.value != "insecure") {
        return make_error(Errc::invalid, "--security is sandbox or insecure, not \"{}\"", flag.value);
      }
      const model::Strings& granted = request_.build.entitlements;
      const bool allowed = std::find(granted.begin(), granted.end(), "security.insecure") != granted.end();
      if (flag.value == "insecure" && !allowed) {
        return make_error(Errc::permission, "--security=insecure needs build.entitlements: [security.insecure]");
      }
      options.privileged = options.privileged || flag.value == "insecure";
    } else if (flag.name != "mount") {
      return make_error(Errc::invalid, "RUN has no flag --{}", flag.name);
    }
  }
  if (options.network == "default" || options.network == "host") options.network.clear();
  if (!options.network.empty() && options.network != "none") {
    return make_error(Errc::invalid, "the network of a build is default, host or none, not \"{}\"", options.network);
  }
  return options;
}

Result<void> Session::run_command(StageRun& run, const Instruction& item) {
  if (item.arguments.empty()) return make_error(Errc::invalid, "RUN needs a command");
  TRY_ASSIGN(const RunOptions options, run_options(item));
  const std::vector<std::string> command = command_of(run.state.config, item);
  const std::vector<std::string> environment = run_environment(run.state);
  TRY_ASSIGN(const std::string mounts, mounts_key(run, item));
  FileStep step;
  step.instruction = &item;
  step.name = step_name(run, item);
  step.created_by = created_by(run.state, command);
  step.key = KeyBuilder{}
                 .add("run 1")
                 .add(run.state.chain())
                 .add(command)
                 .add(environment)
                 .add(run.state.config.user)
                 .add(run.state.config.working_dir)
                 .add(options.network)
                 .add(options.privileged ? "privileged" : "")
                 .add(mounts)
                 .digest();
  step.make = [&](const std::string& workspace, const std::string& folder) -> Result<void> {
    RunRequest request;
    request.id = "build-" + random_id().substr(0, 32);
    request.workspace = workspace;
    request.upper = folder + "/diff";
    request.lower = run.state.view().layers();
    request.arguments = command;
    request.environment = environment;
    request.user = run.state.config.user;
    request.working_dir = run.state.config.working_dir;
    request.network_none = options.network == "none";
    request.privileged = options.privileged;
    return execute(run, item, std::move(request), folder, step.name);
  };
  return file_step(run, step);
}

/// Runs the command with its mounts; the upper directory is then the layer.
Result<void> Session::execute(StageRun& run, const Instruction& item, RunRequest request, const std::string& folder,
                              const std::string& step_name) {
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
    request.mounts.push_back({RunMount::Kind::file, target, script, {}, true, {}});
    request.arguments = {target};
  }
  // The upper directory is the root of the container, so it needs the rights of the root below.
  TRY_ASSIGN(image::LayerWriter writer, image::LayerWriter::create(folder, run.state.view()));
  TRY(writer.finish());
  const int number = steps_;
  TRY_ASSIGN(const int code, runner_.run(request, [&](std::string_view line, bool standard_error) {
    report({BuildEvent::Kind::output, number, step_name, std::string{line}, standard_error, 0});
  }));
  if (code != 0) return make_error(Errc::failed, "{}: exit code {}", item.text, code);
  return remove_mount_points(request);
}

/// What the mounts add to the step's key: where things come from, not what is in a cache or a secret.
Result<std::string> Session::mounts_key(StageRun& run, const Instruction& item) {
  KeyBuilder key;
  for (const Flag& flag : item.flags) {
    if (flag.name != "mount") continue;
    key.add(flag.value);
    const Options options = parse_mount_options(flag.value);
    if (option(options, {"type"}, "bind") != "bind") continue;
    TRY_ASSIGN(const SourceTree tree,
               source_tree(option(options, {"from"}), static_cast<std::size_t>(run.stage.index)));
    CopyOptions copy;
    copy.sources = {option(options, {"source", "src"}, "/")};
    copy.destination = "/";
    TRY_ASSIGN(const CopyPlan plan, plan_copy(tree, copy));
    TRY_ASSIGN(const std::string digest, copy_digest(tree, copy, plan));
    key.add(digest);
  }
  return key.digest();
}

Result<Session::StepMounts> Session::step_mounts(StageRun& run, const Instruction& item, const std::string& workspace) {
  StepMounts result;
  for (const Flag& flag : item.flags) {
    if (flag.name != "mount") continue;
    TRY_ASSIGN(const std::string text, image::expand_word(flag.value, lookup(run.state), plan_.file.escape));
    TRY(add_mount(run, parse_mount_options(text), workspace, result).with("--mount={}", flag.value));
  }
  return result;
}

Result<void> Session::add_mount(StageRun& run, const Options& options, const std::string& workspace,
                                StepMounts& result) {
  const std::string type = option(options, {"type"}, "bind");
  if (type == "secret") return secret_mount(run, options, workspace, result);
  if (type == "ssh") {
    const std::string id = option(options, {"id"}, "default");
    const auto agent = request_.build.ssh.find(id);
    const char* inherited = ::getenv("SSH_AUTH_SOCK");
    const std::string socket = agent != request_.build.ssh.end() && !agent->second.empty() ? agent->second
                               : inherited                                                 ? inherited
                                                                                           : "";
    if (agent == request_.build.ssh.end() || socket.empty()) {
      if (!flag_option(options, {"required"}, false)) return {};
      return make_error(Errc::not_found, "there is no ssh agent \"{}\": name it in build.ssh", id);
    }
    const std::string target = option(options, {"target", "dst", "destination"}, "/run/buildkit/ssh_agent.0");
    result.mounts.push_back({RunMount::Kind::file, target, socket, {}, false, {}});
    result.environment.push_back("SSH_AUTH_SOCK=" + target);
    return {};
  }
  const std::string given = option(options, {"target", "dst", "destination"});
  if (given.empty()) return make_error(Errc::invalid, "it needs a target");
  const std::string target = image::change_directory(run.state.config.working_dir, given);
  RunMount mount;
  if (type == "tmpfs") {
    mount.kind = RunMount::Kind::tmpfs;
    if (const std::string size = option(options, {"size"}); !size.empty()) {
      TRY_ASSIGN(mount.size, parse_bytes(size));
    }
  } else if (type == "cache") {
    TRY_ASSIGN(mount, cache_mount(run, options, result));
  } else if (type == "bind") {
    TRY_ASSIGN(mount, bind_mount(run, options, result));
  } else {
    return make_error(Errc::invalid, "the type is bind, cache, tmpfs, secret or ssh, not \"{}\"", type);
  }
  mount.target = target;
  result.mounts.push_back(std::move(mount));
  return {};
}

/// A copy of what the source names, so that .dockerignore counts and writes (with rw) are lost as they should be.
Result<RunMount> Session::bind_mount(StageRun& run, const Options& options, StepMounts& result) {
  TRY_ASSIGN(const SourceTree tree, source_tree(option(options, {"from"}), static_cast<std::size_t>(run.stage.index)));
  const std::string source = option(options, {"source", "src"}, "/");
  const bool writable = flag_option(options, {"rw", "readwrite"}, false);
  TRY_ASSIGN(const std::optional<image::ViewEntry> entry, tree.view.resolve(source));
  if (!entry) return make_error(Errc::not_found, "\"{}\" is not there", source);
  RunMount mount;
  mount.read_only = !writable;
  mount.kind = S_ISDIR(entry->status.st_mode) ? RunMount::Kind::folder : RunMount::Kind::file;
  if (!writable && tree.view.layers().size() == 1 && tree.ignore.empty()) {
    mount.source = entry->host;
    return mount;
  }
  if (!writable && mount.kind == RunMount::Kind::folder && entry->path.empty() && tree.view.layers().size() > 1) {
    mount.kind = RunMount::Kind::overlay;
    mount.lower = tree.view.layers();
    return mount;
  }
  TRY_ASSIGN(image::Workspace space, internal_.workspace());
  CopyOptions copy;
  copy.sources = {source};
  copy.destination = mount.kind == RunMount::Kind::folder ? "/tree" : "/file";
  TRY_ASSIGN(const CopyPlan plan, plan_copy(tree, copy));
  TRY_ASSIGN(image::LayerWriter writer, image::LayerWriter::create(space.path(), image::MergedView{}));
  TRY(write_copy(tree, copy, plan, writer, file_time()));
  TRY(writer.finish());
  mount.source = writer.tree() + copy.destination;
  result.workspaces.push_back(std::move(space));
  return mount;
}

Result<void> Session::secret_mount(StageRun& run, const Options& options, const std::string& workspace,
                                   StepMounts& result) {
  const std::string target_option = option(options, {"target", "dst", "destination"});
  std::string id = option(options, {"id"});
  if (id.empty()) id = target_option.substr(target_option.rfind('/') + 1);
  if (id.empty()) return make_error(Errc::invalid, "a secret needs an id");
  const BuildSecret* secret = nullptr;
  for (const model::FileReference& reference : request_.build.secrets) {
    const std::string& name = reference.target.empty() ? reference.source : reference.target;
    if (name != id && reference.source != id) continue;
    if (const auto it = request_.secrets.find(reference.source); it != request_.secrets.end()) secret = &it->second;
  }
  if (!secret) {
    if (!flag_option(options, {"required"}, false)) return {};
    return make_error(Errc::not_found, "there is no secret \"{}\": name it in build.secrets", id);
  }
  std::string content = secret->content.value_or("");
  if (!secret->content) {
    TRY_ASSIGN(content, sys::read_file(secret->file).with("secret \"{}\"", id));
  }
  const std::string variable = option(options, {"env"});
  if (!variable.empty()) result.environment.push_back(variable + "=" + content);
  if (!variable.empty() && target_option.empty()) return {};
  TRY_ASSIGN(const std::uint32_t mode, number_option(options, "mode", 8, 0400));
  TRY_ASSIGN(const std::uint32_t uid, number_option(options, "uid", 10, 0));
  TRY_ASSIGN(const std::uint32_t gid, number_option(options, "gid", 10, 0));
  // On a tmpfs when there is one: a secret should not reach the disk.
  std::string folder = workspace;
  if (!request_.run_root.empty()) {
    TRY(sys::make_directories(request_.run_root + "/build", 0700));
    TRY_ASSIGN(image::Workspace space, image::Workspace::create(request_.run_root + "/build"));
    folder = space.path();
    result.workspaces.push_back(std::move(space));
  }
  const std::string path = fmt::format("{}/secret-{}", folder, result.mounts.size());
  TRY(sys::write_file_atomic(path, content, 0600));
  if (::chown(path.c_str(), uid, gid) != 0 || ::chmod(path.c_str(), mode) != 0)
    return os_error("set the rights of secret \"{}\"", id);
  const std::string target = target_option.empty()
                                 ? "/run/secrets/" + id
                                 : image::change_directory(run.state.config.working_dir, target_option);
  result.mounts.push_back({RunMount::Kind::file, target, path, {}, true, {}});
  return {};
}

Result<RunMount> Session::cache_mount(StageRun& run, const Options& options, StepMounts& result) {
  const std::string target =
      image::change_directory(run.state.config.working_dir, option(options, {"target", "dst", "destination"}));
  const std::string id = option(options, {"id"}, target);
  const std::string sharing = option(options, {"sharing"}, "shared");
  if (sharing != "shared" && sharing != "private" && sharing != "locked") {
    return make_error(Errc::invalid, "sharing is shared, private or locked, not \"{}\"", sharing);
  }
  RunMount mount;
  mount.read_only = flag_option(options, {"ro", "readonly"}, false);
  std::string name = id;
  // A private cache that is in use gets a sibling.
  for (int copy = 0; sharing == "private"; ++copy) {
    name = copy == 0 ? id : fmt::format("{}#{}", id, copy);
    TRY_ASSIGN(std::optional<sys::FileLock> lock,
               sys::FileLock::try_acquire(cache_.lock_path("cache-" + sha256_hex(name))));
    if (!lock) continue;
    result.locks.push_back(std::move(*lock));
    break;
  }
  if (sharing == "locked") {
    TRY_ASSIGN(sys::FileLock lock, sys::FileLock::acquire(cache_.lock_path("cache-" + sha256_hex(name))));
    result.locks.push_back(std::move(lock));
  }
  TRY_ASSIGN(mount.source, cache_.mount_folder(name));
  TRY_ASSIGN(const std::uint32_t mode, number_option(options, "mode", 8, 0755));
  TRY_ASSIGN(const std::uint32_t uid, number_option(options, "uid", 10, 0));
  TRY_ASSIGN(const std::uint32_t gid, number_option(options, "gid", 10, 0));
  if (::chown(mount.source.c_str(), uid, gid) != 0 || ::chmod(mount.source.c_str(), mode) != 0) {
    return os_error("set the rights of the cache \"{}\"", id);
  }
  return mount;
}

}  // namespace compose::build
