#include "container/prepare.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "compose/plan/reconcile.hpp"
#include "container/groups.hpp"
#include "container/id_range.hpp"
#include "container/mounts.hpp"
#include "container/run_files.hpp"
#include "container/spec.hpp"
#include "container/spec_parts.hpp"
#include "container/volume.hpp"
#include "sys/file.hpp"
#include "sys/user_namespace.hpp"

namespace compose::container {
namespace {

namespace spec = runtime::spec;

constexpr std::string_view kService = "service:";
constexpr std::string_view kContainer = "container:";

std::string config_path(const state::Paths& paths, const std::string& project, const std::string& id) {
  return paths.container(project, id) + "/config.json";
}
std::string files_path(const state::Paths& paths, const std::string& project, const std::string& id) {
  return paths.container(project, id) + "/files.json";
}
std::string own_volumes_path(const state::Paths& paths, const std::string& project, const std::string& id) {
  return paths.container(project, id) + "/own-volumes";
}

bool joins(const std::string& mode) { return mode.starts_with(kService) || mode.starts_with(kContainer); }

NetworkKind network_kind(const std::string& mode) {
  if (mode == "host") return NetworkKind::host;
  if (mode == "none") return NetworkKind::none;
  return joins(mode) ? NetworkKind::joined : NetworkKind::own;
}

// Whether another container may join the ipc namespace and must then see the same /dev/shm.
bool shares_shm(const model::Project& project, const model::Service& service) {
  return service.ipc == "shareable" || std::ranges::any_of(project.services, [&](const auto& entry) {
           return entry.second.ipc == std::string{kService} + service.name;
         });
}

RunFiles describe(const CreateInput& input, const spec::Spec& made, std::vector<GrantedFile> granted,
                  runtime::launch::Overlay overlay) {
  const model::Service& service = input.service;
  RunFiles files;
  files.hostname = made.hostname;
  files.domainname = service.domainname;
  files.network = network_kind(service.network_mode);
  files.dns = service.dns;
  files.dns_search = service.dns_search;
  files.dns_options = service.dns_opt;
  files.extra_hosts = service.extra_hosts;
  files.files = std::move(granted);
  files.shares_shm = shares_shm(input.project, service);
  files.joins_shm = joins(service.ipc);
  files.overlay = std::move(overlay);
  return files;
}

// The overlay's root directory shows the attributes of the upper one: they must be the image's.
Result<void> make_upper(const std::string& path, const LayeredTree& image) {
  struct stat info{};
  if (::fstat(image.root().top_fd(), &info) != 0) return os_error("stat the image's root");
  TRY(sys::make_directories(path));
  if (::chown(path.c_str(), info.st_uid, info.st_gid) != 0) return os_error("chown \"{}\"", path);
  if (::chmod(path.c_str(), info.st_mode & 07777U) != 0) return os_error("chmod \"{}\"", path);
  return {};
}

spec::Mount shm_mount(const std::string& source) {
  spec::Mount mount;
  mount.destination = "/dev/shm";
  mount.type = "bind";
  mount.source = source;
  mount.options = {"rbind", "rprivate", "nosuid", "noexec", "nodev"};
  return mount;
}

Result<void> add_host_lookups(SpecInput& spec_input, const LayeredTree& image) {
  const model::Service& service = spec_input.service;
  for (const auto& device : service.devices) spec_input.host_devices[device.source] = find_devices(device.source);
  if (const auto& blkio = service.blkio_config) {
    for (const auto& weight : blkio->weight_device) spec_input.host_devices[weight.path] = find_devices(weight.path);
    for (const auto* rates :
         {&blkio->device_read_bps, &blkio->device_write_bps, &blkio->device_read_iops, &blkio->device_write_iops}) {
      for (const auto& rate : *rates) spec_input.host_devices[rate.path] = find_devices(rate.path);
    }
  }
  TRY_ASSIGN(spec_input.additional_gids, resolve_groups(service.group_add, image));
  TRY_ASSIGN(const SecurityOptions options, security_options(service));
  if (!options.seccomp_file.empty()) {
    TRY_ASSIGN(spec_input.seccomp_profile, sys::read_file(options.seccomp_file));
  }
  return {};
}

Result<std::optional<IdRange>> ids_for(const state::Paths& paths, const CreateInput& input) {
  TRY_ASSIGN(const UserNamespaceMode mode, parse_userns_mode(input.service.userns_mode));
  if (!mode.own_ids || mode.given) return mode.given;
  if (!sys::in_initial_user_namespace()) {
    return make_error(Errc::unsupported,
                      "userns_mode: without root there are no further ids to give; containers have yours already");
  }
  TRY_ASSIGN(const IdRange range, claim_ids(paths, paths.container(input.project.name, input.id)));
  return std::optional{range};
}

Result<spec::Spec> describe_spec(const state::Paths& paths, const CreateInput& input, const LayeredTree& image,
                                 std::vector<spec::Mount> mounts) {
  SpecInput spec_input{.service = input.service, .image = input.image.config};
  spec_input.project = input.project.name;
  spec_input.id = input.id;
  spec_input.name = input.name;
  spec_input.number = input.number;
  spec_input.run_dir = paths.run_container(input.id);
  spec_input.rootfs = spec_input.run_dir + "/rootfs";
  spec_input.cgroup = state::Paths::cgroup(input.project.name, input.id);
  spec_input.mounts = std::move(mounts);
  TRY_ASSIGN(spec_input.ids, ids_for(paths, input));
  const auto at_shm = std::ranges::find(spec_input.mounts, "/dev/shm", &spec::Mount::destination);
  if (at_shm == spec_input.mounts.end() && (shares_shm(input.project, input.service) || joins(input.service.ipc))) {
    spec_input.mounts.push_back(shm_mount(spec_input.run_dir + "/shm"));
  }
  TRY(add_host_lookups(spec_input, image));
  TRY_ASSIGN(const HostInfo host, probe_host(input.service.privileged));
  return make_spec(spec_input, host);
}

// Where the attribute stands that a message of make_spec begins with ("cap_add: …"), or the service.
std::string position_of(const CreateInput& input, const std::string& message) {
  const std::string attribute = message.substr(0, message.find_first_of(":. "));
  const auto position = input.project.where(fmt::format("services.{}.{}", input.service.name, attribute));
  return position.known() ? position.to_string() + ": " : "";
}

/// A layer below all those of images, the same for all containers: what every container gets something mounted on. An
/// image without one of these files would else get it in the container's own layer, which costs a copy of /etc and a
/// new file each.
Result<void> make_mount_points(const state::Paths& paths) {
  const std::string layer = paths.mount_points();
  const std::string last = layer + "/etc/resolv.conf";
  if (sys::exists(last)) return {};
  for (const char* directory : {"/dev", "/etc", "/proc", "/sys"}) TRY(sys::make_directories(layer + directory, 0755));
  for (const std::string& file : {layer + "/etc/hostname", layer + "/etc/hosts", last})
    TRY(sys::write_file_atomic(file, "", 0644));
  return {};
}

/// The directory of a container. ext4 puts all that is made below one directory into one part of its disk, and who
/// makes a file there is led past each file that was removed in the last minutes (fs/ext4/ialloc.c, recently_deleted):
/// after the removal of a few hundred containers that is most of the cost of a new one. So the containers are spread,
/// as home directories are (chattr(1), "T"). Other file systems do not take the hint and have no need of it.
Result<void> make_container_directory(const std::string& directory, mode_t mode) {
  if (::mkdir(directory.c_str(), mode) == 0 || errno == EEXIST) return {};
  const std::string parent = directory.substr(0, directory.rfind('/'));
  TRY(sys::make_directories(parent, mode));
  const UniqueFd fd{::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (int flags = 0; ::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) == 0) {
    flags |= FS_TOPDIR_FL;
    (void)::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags);
  }
  return sys::make_directories(directory, mode);
}

}  // namespace

Result<Created> create_container(const state::Paths& paths, const CreateInput& input) {
  const std::string directory = paths.container(input.project.name, input.id);
  TRY_ASSIGN(const auto image, LayeredTree::open(input.image.layer_dirs));
  TRY(make_container_directory(directory, 0700));

  Created created;
  runtime::launch::Overlay overlay{input.image.layer_dirs, directory + "/upper", directory + "/work"};
  TRY(make_mount_points(paths));
  overlay.lower.push_back(paths.mount_points());
  TRY(make_upper(overlay.upper, image));
  TRY(sys::make_directories(overlay.work, 0700));

  TRY_ASSIGN(auto granted, granted_files(input.project, input.service));
  for (const auto& file : granted) {
    if (file.source.empty() || ::access(file.source.c_str(), R_OK) == 0) continue;
    return os_error("{}{}: cannot read \"{}\"", file.where, file.what, file.source);
  }
  TRY_ASSIGN(auto mounts, make_mounts(paths, input, image, granted));
  created.mounts = std::move(mounts.records);

  auto made = describe_spec(paths, input, image, std::move(mounts.mounts));
  if (!made.ok()) {
    const std::string position = position_of(input, made.error().message());
    return std::move(made).with("{}service \"{}\"", position, input.service.name).error();
  }
  created.spec = std::move(made).value();
  created.files = describe(input, created.spec, std::move(granted), std::move(overlay));
  // Secrets that come from the environment stand in it.
  TRY(sys::write_file_atomic(files_path(paths, input.project.name, input.id), to_json(created.files), 0600));
  TRY(sys::write_file_atomic(config_path(paths, input.project.name, input.id), spec::to_json(created.spec), 0600));
  return created;
}

namespace {

/// `root_id` is the container's root as the host sees it.
Result<void> write_names(const RunFiles& files, const StartInput& input, const std::string& run_dir,
                         std::uint32_t root_id) {
  const auto host_file = [](const char* path) {
    auto content = sys::read_file(path);
    return content.ok() ? std::move(content).value() : std::string{};
  };
  std::string hosts = hosts_text(files, input.addresses, input.host_gateway);
  if (files.network == NetworkKind::host) {
    hosts = host_file("/etc/hosts");
    if (!hosts.empty() && !hosts.ends_with('\n')) hosts += '\n';
    for (const auto& [host, targets] : files.extra_hosts) {
      for (const auto& target : targets)
        hosts += (target == "host-gateway" ? "127.0.0.1" : target) + "\t" + host + "\n";
    }
  }
  const std::string host_resolv = host_file("/etc/resolv.conf");
  const bool asks_resolver = input.resolver && files.network == NetworkKind::own;
  const std::string resolv = asks_resolver ? resolver_text(files, host_resolv) : direct_text(files, host_resolv);
  const std::array<std::pair<const char*, std::string>, 3> texts{
      {{"hosts", hosts}, {"hostname", files.hostname + "\n"}, {"resolv.conf", resolv}}};
  for (const auto& [name, text] : texts) {
    const std::string path = fmt::format("{}/{}", run_dir, name);
    TRY(sys::write_file_atomic(path, text));
    if (root_id != 0 && ::chown(path.c_str(), root_id, root_id) != 0) return os_error("chown \"{}\"", path);
  }
  return {};
}

Result<void> write_secrets(const RunFiles& files, const std::string& run_dir, std::uint32_t root_id) {
  std::set<std::string> directories;
  for (const auto& file : files.files) directories.insert(run_dir + "/" + file.name.substr(0, file.name.find('/')));
  for (const auto& directory : directories) TRY(sys::make_directories(directory, 0700));
  for (GrantedFile file : files.files) {
    file.uid += root_id;
    file.gid += root_id;
    TRY(write_granted(file, run_dir));
  }
  return {};
}

Result<std::unique_ptr<Created>> read_created(const state::Paths& paths, const StartInput& input) {
  auto created = std::make_unique<Created>();
  TRY_ASSIGN(const std::string files, sys::read_file(files_path(paths, input.project, input.id)));
  TRY_ASSIGN(created->files, run_files_from_json(files));
  TRY_ASSIGN(const std::string config, sys::read_file(config_path(paths, input.project, input.id)));
  TRY_ASSIGN(created->spec, spec::parse(config));
  return created;
}

// Mounts whose source is a file of another container's run directory.
void use_files_of(spec::Spec& made, const std::string& own_dir, const std::string& other_dir,
                  std::initializer_list<const char*> names) {
  for (auto& mount : made.mounts) {
    for (const char* name : names) {
      if (mount.source == own_dir + "/" + name) mount.source = other_dir + "/" + name;
    }
  }
}

// A container that joins a network is called like the one it joins (Docker's rule).
Result<void> take_name_of(spec::Spec& made, const RunFiles& files, const std::string& other_dir) {
  TRY_ASSIGN(const std::string content, sys::read_file(other_dir + "/hostname"));
  const std::string name{trim(content)};
  for (auto& variable : made.process->env) {
    if (variable == "HOSTNAME=" + files.hostname) variable = "HOSTNAME=" + name;
  }
  if (!made.hostname.empty()) made.hostname = name;
  return {};
}

}  // namespace

Result<Start> prepare_start(const state::Paths& paths, const StartInput& input, std::unique_ptr<Created> created) {
  if (!created) {
    TRY_ASSIGN(created, read_created(paths, input));
  }
  const RunFiles& files = created->files;
  Start start{std::move(created->spec), files.overlay};
  TRY(make_mount_points(paths));  // somebody may have emptied the cache

  const std::string run_dir = paths.run_container(input.id);
  TRY(make_container_directory(run_dir, 0755));
  TRY(sys::make_directories(run_dir + "/rootfs", 0755));
  if (files.shares_shm) {
    TRY(sys::make_directories(run_dir + "/shm"));
    if (::chmod((run_dir + "/shm").c_str(), 01777) != 0) return os_error("chmod \"{}/shm\"", run_dir);
  }
  const auto& mappings = start.spec.linux_.uid_mappings;
  const std::uint32_t root_id = mappings.empty() ? 0 : mappings.front().host_id;
  TRY(write_names(files, input, run_dir, root_id));
  TRY(write_secrets(files, run_dir, root_id));

  if (!input.network_container.empty()) {
    const std::string other = paths.run_container(input.network_container);
    use_files_of(start.spec, run_dir, other, {"hosts", "hostname", "resolv.conf"});
    TRY(take_name_of(start.spec, files, other));
  }
  if (files.joins_shm && !input.ipc_container.empty()) {
    use_files_of(start.spec, run_dir, paths.run_container(input.ipc_container), {"shm"});
  }
  for (const auto& [type, path] : input.namespaces) set_namespace(start.spec, type, path);
  return start;
}

Result<void> set_own_volumes(const state::Paths& paths, const std::string& project, const std::string& id,
                             const std::vector<std::string>& names) {
  const std::string path = own_volumes_path(paths, project, id);
  if (!names.empty()) return sys::write_file_atomic(path, join(names, "\n"), 0600);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return os_error("remove {}", path);
  return {};
}

Result<void> remove_container(const state::Paths& paths, const std::string& project, const std::string& id) {
  if (const auto names = sys::read_file(own_volumes_path(paths, project, id))) {
    for (const std::string& name : split(*names, '\n')) TRY(remove_volume(paths, name));
  }
  TRY(sys::remove_tree(paths.run_container(id)));
  TRY(sys::remove_tree(paths.container(project, id)));
  return release_ids(paths, paths.container(project, id));
}

Result<std::map<std::string, std::string>> granted_digests(const model::Project& project,
                                                           const model::Service& service) {
  std::map<std::string, std::string> digests;
  TRY_ASSIGN(const auto granted, granted_files(project, service));
  for (const auto& file : granted) {
    std::string content = file.content;
    if (!file.source.empty()) {
      auto read = sys::read_file(file.source);
      if (!read.ok()) return std::move(read).with("{}{}", file.where, file.what).error();
      content = std::move(read).value();
    }
    digests[fmt::format("{} at {}", file.what, file.target)] = "sha256:" + sha256_hex(content);
  }
  return digests;
}

Result<std::string> service_hash(const model::Project& project, const model::Service& service) {
  std::string text = model::config_hash(project, service);
  TRY_ASSIGN(const auto granted, granted_files(project, service));
  for (const auto& file : granted) {
    std::string content = file.content;
    if (!file.source.empty()) {
      auto read = sys::read_file(file.source);
      if (!read.ok()) return std::move(read).with("{}{}", file.where, file.what).error();
      content = std::move(read).value();
    }
    text += "\n" + file.target + " " + sha256_hex(content);
  }
  return granted.empty() ? text : sha256_hex(text);
}

}  // namespace compose::container
