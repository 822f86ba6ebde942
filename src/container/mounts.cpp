#include "container/mounts.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <algorithm>
#include <set>

#include "base/ids.hpp"
#include "base/strings.hpp"
#include "container/layered_tree.hpp"
#include "container/spec_parts.hpp"
#include "container/volume.hpp"
#include "container/volume_content.hpp"
#include "sys/file.hpp"

namespace compose::container {
namespace {

using Mount = runtime::spec::Mount;
using Options = std::vector<std::string>;

std::string clean_target(const std::string& target) {
  return target.size() > 1 && target.ends_with('/') ? target.substr(0, target.size() - 1) : target;
}

class MountMaker {
 public:
  MountMaker(const state::Paths& paths, const CreateInput& input, const LayeredTree& image)
      : paths_{paths},
        input_{input},
        service_{input.service},
        image_{image},
        own_ids_{!input.service.userns_mode.empty() && input.service.userns_mode != "host"} {}

  Result<Mounts> run(const std::vector<GrantedFile>& granted) {
    for (std::size_t i = 0; i < service_.volumes.size(); ++i) {
      const auto position = input_.project.where(fmt::format("services.{}.volumes[{}]", service_.name, i));
      auto made = one(service_.volumes[i]);
      if (made.ok()) continue;
      if (position.known()) return std::move(made).with("{}", position.to_string()).error();
      return std::move(made).error();
    }
    for (const auto& file : granted) grant(file);
    for (const auto& source : service_.volumes_from) TRY(from(source));
    for (const auto& path : input_.image.config.volumes) TRY(of_image(path));
    return std::move(result_);
  }

 private:
  Result<void> one(const model::Mount& mount) {
    if (mount.type == "bind") return bind(mount);
    if (mount.type == "volume") return volume(mount);
    if (mount.type == "tmpfs") return tmpfs(mount);
    if (mount.type == "image") return image(mount);
    return make_error(Errc::unsupported, "a mount of type \"{}\" is not supported on Linux", mount.type);
  }

  // On disk, files keep the ids that they have inside; what the kernel makes up (proc, sysfs, cgroups) has no disk.
  void map_ids(Mount& mount) const {
    if (!own_ids_ || mount.type != "bind") return;
    struct statfs status{};
    if (::statfs(mount.source.c_str(), &status) != 0) return;
    for (const long made_up : {PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC}) {
      if (status.f_type == made_up) return;
    }
    const bool recursive = std::ranges::find(mount.options, "rbind") != mount.options.end();
    mount.options.emplace_back(recursive ? "ridmap" : "idmap");
  }

  void add(Mount mount, std::string type, std::string name, bool anonymous = false) {
    map_ids(mount);
    state::MountRecord record;
    record.type = std::move(type);
    record.name = std::move(name);
    record.source = mount.source;
    record.target = mount.destination;
    record.anonymous = anonymous;
    taken_.insert(mount.destination);
    result_.records.push_back(std::move(record));
    result_.mounts.push_back(std::move(mount));
  }

  static Mount bind_of(const std::string& source, const std::string& target, Options options) {
    Mount mount;
    mount.destination = clean_target(target);
    mount.type = "bind";
    mount.source = source;
    mount.options = std::move(options);
    return mount;
  }

  Result<void> bind(const model::Mount& mount) {
    if (!sys::exists(mount.source)) {
      if (!mount.bind.create_host_path) {
        return make_error(Errc::not_found, "bind source path does not exist: {}", mount.source);
      }
      TRY(sys::make_directories(mount.source).with("create the bind source"));
    }
    // "disabled": the mounts below the source stay outside. "readonly" asks for the whole tree read-only or failure.
    const std::string& recursive = mount.bind.recursive;
    Options options{recursive == "disabled" ? "bind" : "rbind"};
    options.push_back(mount.bind.propagation.empty() ? "rprivate" : mount.bind.propagation);
    if (mount.read_only) options.emplace_back(recursive == "readonly" ? "rro" : "ro");
    add(bind_of(mount.source, mount.target, std::move(options)), "bind", "");
    return {};
  }

  Result<void> volume(const model::Mount& mount) {
    VolumeInfo wanted;
    const bool anonymous = mount.source.empty();
    if (anonymous) {
      wanted = anonymous_volume(clean_target(mount.target));
      wanted.labels.insert(mount.volume.labels.begin(), mount.volume.labels.end());
    } else if (const auto found = input_.project.volumes.find(mount.source); found != input_.project.volumes.end()) {
      wanted = project_volume(input_.project, mount.source);
      if (found->second.external) {
        TRY_ASSIGN(const auto existing, find_volume(paths_, wanted.name));
        if (!existing) {
          return make_error(Errc::not_found, "volume \"{}\" is declared as external, but it does not exist",
                            wanted.name);
        }
      }
    } else {
      wanted.name = mount.source;  // `run -v name:/path`
    }
    if (anonymous && !input_.anonymous_volumes.contains(clean_target(mount.target))) {
      own_volumes_.push_back(wanted.name);
      TRY(set_own_volumes(paths_, input_.project.name, input_.id, own_volumes_));
    }
    TRY_ASSIGN(const VolumeInfo volume, ensure_volume(paths_, wanted));
    return volume.driver_opts.empty() ? plain_volume(volume, mount, anonymous) : device_volume(volume, mount);
  }

  VolumeInfo anonymous_volume(const std::string& target) const {
    VolumeInfo volume;
    const auto carried = input_.anonymous_volumes.find(target);
    volume.name = carried != input_.anonymous_volumes.end() ? carried->second : random_id();
    volume.anonymous = true;
    volume.project = input_.project.name;
    volume.labels["com.docker.volume.anonymous"] = "";
    volume.labels["com.docker.compose.project"] = input_.project.name;
    return volume;
  }

  // A directory of ours.
  Result<void> plain_volume(const VolumeInfo& volume, const model::Mount& mount, bool anonymous) {
    if (!mount.volume.nocopy && mount.volume.subpath.empty()) {
      TRY(fill_volume(paths_, volume.name, image_, mount.target));
    }
    std::string source = paths_.volume_data(volume.name);
    if (!mount.volume.subpath.empty()) {
      TRY_ASSIGN(source, below(source, mount.volume.subpath));
    }
    Options options{"rbind", "rprivate"};
    if (mount.read_only) options.emplace_back("ro");
    add(bind_of(source, mount.target, std::move(options)), "volume", volume.name, anonymous);
    return {};
  }

  // The local driver's options say what mount(8) would be told: type, device, o.
  Result<void> device_volume(const VolumeInfo& volume, const model::Mount& mount) {
    const auto option = [&](const char* name) {
      const auto found = volume.driver_opts.find(name);
      return found == volume.driver_opts.end() ? std::string{} : found->second;
    };
    const std::string device = option("device");
    Options options;
    for (auto& word : split(option("o"), ',')) {
      if (!word.empty()) options.push_back(std::move(word));
    }
    const bool binds =
        std::ranges::find(options, "bind") != options.end() || std::ranges::find(options, "rbind") != options.end();
    if (mount.read_only) options.emplace_back("ro");
    if (binds) {
      if (!sys::exists(device)) {
        return make_error(Errc::not_found, "volume \"{}\": its device \"{}\" does not exist", volume.name, device);
      }
      options.emplace_back("rprivate");
      add(bind_of(device, mount.target, std::move(options)), "volume", volume.name);
      return {};
    }
    if (option("type").empty()) {
      return make_error(Errc::invalid, "volume \"{}\": driver_opts need a type", volume.name);
    }
    Mount result = bind_of(device, mount.target, std::move(options));
    result.type = option("type");
    add(std::move(result), "volume", volume.name);
    return {};
  }

  // `subpath` of a volume, which may not lead out of it (openat2(2), RESOLVE_IN_ROOT).
  static Result<std::string> below(const std::string& root, const std::string& subpath) {
    const UniqueFd top{::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (!top.valid()) return os_error("open \"{}\"", root);
    struct open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    const UniqueFd found{static_cast<int>(::syscall(SYS_openat2, top.get(), subpath.c_str(), &how, sizeof(how)))};
    if (!found.valid()) return os_error("subpath \"{}\" of the volume", subpath);
    return root + "/" + subpath;
  }

  Result<void> tmpfs(const model::Mount& mount) {
    Options given;
    if (mount.tmpfs.size) given.push_back(fmt::format("size={}", *mount.tmpfs.size));
    if (mount.tmpfs.mode) given.push_back(fmt::format("mode={:o}", *mount.tmpfs.mode));
    if (mount.read_only) given.emplace_back("ro");
    Mount result = bind_of("tmpfs", mount.target, tmpfs_options(join(given, ",")));
    result.type = "tmpfs";
    add(std::move(result), "tmpfs", "");
    return {};
  }

  Result<void> image(const model::Mount& mount) {
    const auto found = input_.images.find(mount.source);
    if (found == input_.images.end()) {
      return make_error(Errc::not_found, "image \"{}\" of a mount is not there", mount.source);
    }
    std::vector<std::string> layers = found->second.layer_dirs;
    if (!mount.image.subpath.empty()) {
      TRY_ASSIGN(const LayeredTree tree, LayeredTree::open(layers));
      TRY_ASSIGN(const auto folder, tree.directory(mount.image.subpath));
      if (!folder)
        return make_error(Errc::not_found, "the image \"{}\" has no folder \"{}\"", mount.source, mount.image.subpath);
      TRY_ASSIGN(layers, folder->paths());
      // They part the layers from each other and the options of a mount.
      if (mount.image.subpath.find_first_of(":,\\") != std::string::npos)
        return make_error(Errc::unsupported, "subpath \"{}\": overlayfs takes no \":\", \",\" or \"\\\" in a path",
                          mount.image.subpath);
    }
    if (layers.size() == 1) {
      add(bind_of(layers.front(), mount.target, {"rbind", "rprivate", "ro"}), "image", mount.source);
      return {};
    }
    if (own_ids_) {
      return make_error(Errc::unsupported, "userns_mode: the image \"{}\" has several layers and cannot be mounted",
                        mount.source);
    }
    Mount result = bind_of("overlay", mount.target, {"ro", "lowerdir=" + join(layers, ":")});
    result.type = "overlay";
    add(std::move(result), "image", mount.source);
    return {};
  }

  void grant(const GrantedFile& file) {
    if (taken_.contains(file.target)) return;
    Mount mount = bind_of(paths_.run_container(input_.id) + "/" + file.name, file.target, {"rbind", "rprivate", "ro"});
    taken_.insert(mount.destination);
    result_.mounts.push_back(std::move(mount));
  }

  // Volumes and binds of another container; what the service mounts itself comes first.
  Result<void> from(const std::string& text) {
    std::string source = text;
    bool read_only = false;
    for (const std::string suffix : {":ro", ":rw", ":z", ":Z"}) {
      if (!source.ends_with(suffix)) continue;
      read_only = suffix == ":ro";
      source.resize(source.size() - suffix.size());
      break;
    }
    const auto found = input_.volumes_from.find(source);
    if (found == input_.volumes_from.end()) {
      return make_error(Errc::not_found, "volumes_from: no container for \"{}\"", source);
    }
    TRY_ASSIGN(const auto other, state::load_record(paths_, input_.project.name, found->second));
    for (const auto& record : other.mounts) {
      if (taken_.contains(record.target) || (record.type != "volume" && record.type != "bind")) continue;
      Options options{"rbind", "rprivate"};
      if (read_only) options.emplace_back("ro");
      add(bind_of(record.source, record.target, std::move(options)), record.type, record.name);
    }
    return {};
  }

  Result<void> of_image(const std::string& path) {
    const std::string target = clean_target(path);
    const bool on_tmpfs = std::ranges::any_of(service_.tmpfs, [&](const std::string& text) {
      return clean_target(text.substr(0, text.find(':'))) == target;
    });
    if (taken_.contains(target) || on_tmpfs) return {};
    model::Mount mount;
    mount.type = "volume";
    mount.target = target;
    return volume(mount);
  }

  const state::Paths& paths_;
  const CreateInput& input_;
  const model::Service& service_;
  const LayeredTree& image_;
  bool own_ids_;
  std::set<std::string> taken_;
  std::vector<std::string> own_volumes_;  ///< anonymous ones that nobody had before
  Mounts result_;
};

}  // namespace

Result<Mounts> make_mounts(const state::Paths& paths, const CreateInput& input, const LayeredTree& image,
                           const std::vector<GrantedFile>& granted) {
  return MountMaker{paths, input, image}.run(granted);
}

}  // namespace compose::container
