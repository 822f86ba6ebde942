// RUN --mount: what mounts add to a step's key, and making them.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "build/session.hpp"
#include "sys/file.hpp"

namespace compose::build {

namespace {

using Type = MountOptions::Type;
using Sharing = MountOptions::Sharing;

const std::string kAgentTarget = "/run/buildkit/ssh_agent.";

Result<void> set_rights(const std::string& path, const MountOptions& options, mode_t mode) {
  if (::chown(path.c_str(), options.uid.value_or(0), options.gid.value_or(0)) != 0 ||
      ::chmod(path.c_str(), options.mode.value_or(mode)) != 0)
    return os_error("set the rights of \"{}\"", path);
  return {};
}

bool belongs_to_root(const CopyPlan& plan) {
  return std::all_of(plan.items.begin(), plan.items.end(), [](const CopyItem& item) {
    return item.entry.status.st_uid == 0 && item.entry.status.st_gid == 0;
  });
}

CopyOptions whole(const std::string& source, const std::string& destination) {
  CopyOptions options;
  options.sources = {source};
  options.destination = destination;
  return options;
}

}  // namespace

Result<std::vector<MountOptions>> Session::mount_options(const StageRun& run, const Instruction& item) const {
  std::vector<MountOptions> result;
  for (const Flag& flag : item.flags) {
    if (flag.name != "mount") continue;
    TRY_ASSIGN(MountOptions options,
               parse_mount(flag.value, lookup(run.state), plan_.file.escape).with("--mount={}", flag.value));
    if (image::change_directory(run.state.config.working_dir, options.target) == "/" && !options.target.empty())
      return make_error(Errc::invalid, "--mount={}: nothing can be mounted at \"/\"", flag.value);
    result.push_back(std::move(options));
  }
  return result;
}

/// What the mounts add to the step's key: where things come from, not what is in a cache or a secret.
Result<std::string> Session::mounts_key(StageRun& run, const Instruction& item) {
  KeyBuilder key;
  TRY_ASSIGN(const std::vector<MountOptions> mounts, mount_options(run, item));
  for (const Flag& flag : item.flags)
    if (flag.name == "mount") key.add(flag.value);
  for (const MountOptions& options : mounts) {
    key.add(options.target).add(options.source).add(options.id);
    if (options.type != Type::bind) continue;
    TRY_ASSIGN(const SourceTree tree, source_tree(options.from, static_cast<std::size_t>(run.stage.index)));
    const CopyOptions copy = whole(options.source, "/");
    TRY_ASSIGN(const CopyPlan plan, plan_copy(tree, copy).with("--mount"));
    TRY_ASSIGN(const std::string digest, copy_digest(tree, copy, plan));
    key.add(digest);
  }
  return key.digest();
}

Result<Session::StepMounts> Session::step_mounts(StageRun& run, const Instruction& item, const std::string& workspace) {
  StepMounts result;
  TRY_ASSIGN(const std::vector<MountOptions> mounts, mount_options(run, item));
  for (const MountOptions& options : mounts) TRY(add_mount(run, options, workspace, result).with("--mount"));
  return result;
}

Result<void> Session::add_mount(StageRun& run, const MountOptions& options, const std::string& workspace,
                                StepMounts& result) {
  const std::string target =
      options.target.empty() ? "" : image::change_directory(run.state.config.working_dir, options.target);
  RunMount mount;
  switch (options.type) {
    case Type::secret:
      return secret_mount(target, options, workspace, result);
    case Type::ssh:
      return ssh_mount(target, options, result);
    case Type::tmpfs:
      mount.kind = RunMount::Kind::tmpfs;
      mount.size = options.size;
      break;
    case Type::cache: {
      TRY_ASSIGN(mount, cache_mount(run, options, result));
      break;
    }
    case Type::bind: {
      TRY_ASSIGN(mount, bind_mount(run, options, result));
      break;
    }
  }
  mount.target = target;
  result.mounts.push_back(std::move(mount));
  return {};
}

/// What the source names, with .dockerignore and owners as COPY would have them; writes (with rw) are lost afterwards.
Result<RunMount> Session::bind_mount(StageRun& run, const MountOptions& options, StepMounts& result) {
  TRY_ASSIGN(const SourceTree tree, source_tree(options.from, static_cast<std::size_t>(run.stage.index)));
  TRY_ASSIGN(const std::optional<image::ViewEntry> entry, tree.view.resolve(options.source));
  if (!entry) return make_error(Errc::not_found, "\"{}\" is not there", options.source);
  RunMount mount;
  mount.read_only = !options.writable;
  const bool is_folder = S_ISDIR(entry->status.st_mode);
  mount.kind = is_folder ? RunMount::Kind::folder : RunMount::Kind::file;
  CopyOptions copy = whole(options.source, is_folder ? "/tree" : "/file");
  TRY_ASSIGN(const CopyPlan plan, plan_copy(tree, copy));
  const bool as_it_is = !tree.from_host || (tree.ignore.empty() && belongs_to_root(plan));
  const std::size_t layers = tree.view.layers().size();
  if (as_it_is && mount.read_only && layers == 1) {
    mount.source = entry->host;
    return mount;
  }
  if (as_it_is && is_folder && entry->path.empty() && (layers > 1 || options.writable)) {
    mount.kind = RunMount::Kind::overlay;
    mount.lower = tree.view.layers();
    if (mount.read_only) return mount;
    TRY_ASSIGN(image::Workspace space, internal_.workspace());
    mount.upper = space.path() + "/upper";
    TRY(sys::make_directories(mount.upper, 0755));
    TRY(sys::make_directories(mount.upper + "-work", 0700));
    result.workspaces.push_back(std::move(space));
    return mount;
  }
  TRY_ASSIGN(image::Workspace space, internal_.workspace());
  TRY_ASSIGN(image::LayerWriter writer, image::LayerWriter::create(space.path(), image::MergedView{}));
  TRY(write_copy(tree, copy, plan, writer, file_time()));
  TRY(writer.finish());
  mount.source = writer.tree() + copy.destination;
  result.workspaces.push_back(std::move(space));
  return mount;
}

/// On a tmpfs when there is one: a secret should not reach the disk.
Result<image::Workspace> Session::private_workspace() const {
  if (request_.run_root.empty()) return internal_.workspace();
  TRY(sys::make_directories(request_.run_root + "/build", 0700));
  return image::Workspace::create(request_.run_root + "/build");
}

Result<void> Session::secret_mount(const std::string& target, const MountOptions& options, const std::string&,
                                   StepMounts& result) {
  const BuildSecret* secret = nullptr;
  for (const model::FileReference& reference : request_.build.secrets) {
    const std::string& name = reference.target.empty() ? reference.source : reference.target;
    if (name != options.id && reference.source != options.id) continue;
    if (const auto it = request_.secrets.find(reference.source); it != request_.secrets.end()) secret = &it->second;
  }
  if (!secret) {
    if (!options.required) return {};
    return make_error(Errc::not_found, "there is no secret \"{}\": name it in build.secrets", options.id);
  }
  std::string content = secret->content.value_or("");
  if (!secret->content) {
    TRY_ASSIGN(content, sys::read_file(secret->file).with("secret \"{}\"", options.id));
  }
  if (!options.variable.empty()) result.environment.push_back(options.variable + "=" + content);
  if (!options.variable.empty() && target.empty()) return {};
  TRY_ASSIGN(image::Workspace space, private_workspace());
  const std::string path = space.path() + "/secret";
  TRY(sys::write_file_atomic(path, content, 0600));
  TRY(set_rights(path, options, 0400));
  const std::string place = target.empty() ? "/run/secrets/" + options.id.substr(options.id.rfind('/') + 1) : target;
  result.mounts.push_back({RunMount::Kind::file, place, path, {}, "", true, {}});
  result.workspaces.push_back(std::move(space));
  return {};
}

Result<void> Session::ssh_mount(const std::string& target, const MountOptions& options, StepMounts& result) {
  const std::string id = options.id.empty() ? "default" : options.id;
  const auto named = request_.build.ssh.find(id);
  const char* inherited = ::getenv("SSH_AUTH_SOCK");
  std::string source = named == request_.build.ssh.end() ? "" : named->second;
  if (source.empty() && named != request_.build.ssh.end() && inherited != nullptr) source = inherited;
  if (source.empty()) {
    if (!options.required) return {};
    return make_error(Errc::not_found, "there is no ssh agent \"{}\": name it in build.ssh", id);
  }
  struct stat status {};
  if (::stat(source.c_str(), &status) != 0) status = {};
  TRY_ASSIGN(image::Workspace space, private_workspace());
  if (!S_ISSOCK(status.st_mode)) {
    TRY_ASSIGN(std::unique_ptr<KeyAgent> agent,
               KeyAgent::start(split(source, ','), space.path()).with("build.ssh \"{}\"", id));
    source = agent->socket();
    result.key_agents.push_back(std::move(agent));
  }
  const std::string path = space.path() + "/agent";
  TRY_ASSIGN(std::unique_ptr<AgentSocket> agent, AgentSocket::create(path, source).with("build.ssh \"{}\"", id));
  TRY(set_rights(path, options, 0600));
  const std::string place = target.empty() ? kAgentTarget + std::to_string(result.agents.size()) : target;
  // The first is the one ssh finds by itself.
  if (result.agents.empty()) result.environment.push_back("SSH_AUTH_SOCK=" + place);
  result.mounts.push_back({RunMount::Kind::file, place, path, {}, "", false, {}});
  result.agents.push_back(std::move(agent));
  result.workspaces.push_back(std::move(space));
  return {};
}

Result<RunMount> Session::cache_mount(StageRun& run, const MountOptions& options, StepMounts& result) {
  const std::string target = image::change_directory(run.state.config.working_dir, options.target);
  const std::string id = options.id.empty() ? target : options.id;
  RunMount mount;
  mount.read_only = !options.writable;
  std::string name = id;
  if (!options.from.empty()) {
    TRY_ASSIGN(const SourceTree tree, source_tree(options.from, static_cast<std::size_t>(run.stage.index)));
    name += "@" + tree.identity + ":" + options.source;
  }
  const std::string shared_name = name;
  // A private cache that is in use gets a sibling.
  for (int copy = 0; options.sharing == Sharing::exclusive; ++copy) {
    name = copy == 0 ? shared_name : fmt::format("{}#{}", shared_name, copy);
    TRY_ASSIGN(std::optional<sys::FileLock> lock,
               sys::FileLock::try_acquire(cache_.lock_path("cache-" + sha256_hex(name))));
    if (!lock) continue;
    result.locks.push_back(std::move(*lock));
    break;
  }
  if (options.sharing == Sharing::locked) {
    TRY_ASSIGN(sys::FileLock lock, sys::FileLock::acquire(cache_.lock_path("cache-" + sha256_hex(name))));
    result.locks.push_back(std::move(lock));
  }
  TRY_ASSIGN(const StepCache::MountFolder folder, cache_.mount_folder(name));
  mount.source = folder.path;
  if (!folder.fresh) return mount;
  if (options.from.empty()) {
    TRY(set_rights(mount.source, options, 0755));
  } else {
    TRY(seed_cache(run, options, mount.source));
  }
  return mount;
}

/// What a cache with `from` holds at first.
Result<void> Session::seed_cache(StageRun& run, const MountOptions& options, const std::string& folder) {
  TRY_ASSIGN(const SourceTree tree, source_tree(options.from, static_cast<std::size_t>(run.stage.index)));
  TRY_ASSIGN(const image::Workspace space, internal_.workspace());
  const CopyOptions copy = whole(options.source, "/tree");
  TRY_ASSIGN(const CopyPlan plan, plan_copy(tree, copy));
  TRY_ASSIGN(image::LayerWriter writer, image::LayerWriter::create(space.path(), image::MergedView{}));
  TRY(write_copy(tree, copy, plan, writer, file_time()));
  TRY(writer.finish());
  TRY(set_rights(writer.tree() + "/tree", options, 0755));
  if (::rename((writer.tree() + "/tree").c_str(), folder.c_str()) != 0) return os_error("fill the cache");
  return {};
}

}  // namespace compose::build
