// Volumes, bind mounts, tmpfs, configs and secrets as volumes of pods; volumes as PersistentVolumeClaims.
#include <algorithm>

#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "compose/kubernetes/context.hpp"

namespace compose::kubernetes {
namespace {

using model::Mount;

struct Source {
  std::string service;  ///< who wrote the mount
  std::size_t index = 0;
  Mount mount;
  bool read_only = false;
};

/// The mounts of a service and of those it takes volumes from (volumes_from), its own last; the last at a target
/// counts.
std::vector<Source> all_mounts(Context& context, const std::string& name, int depth = 0) {
  std::vector<Source> mounts;
  const model::Service& service = context.service(name);
  for (const std::string& line : service.volumes_from) {
    const std::size_t colon = line.starts_with("container:") ? std::string::npos : line.find(':');
    const std::string other = line.substr(0, colon);
    if (!context.leader_of.contains(other) || depth > 16) {
      context.report.dropped("services." + name + ".volumes_from",
                             fmt::format("\"{}\" is not a service of the project", other));
      continue;
    }
    for (Source& source : all_mounts(context, other, depth + 1)) {
      source.read_only = source.read_only || line.ends_with(":ro");
      mounts.push_back(std::move(source));
    }
  }
  for (std::size_t i = 0; i < service.volumes.size(); ++i)
    mounts.push_back({name, i, service.volumes[i], service.volumes[i].read_only});
  return mounts;
}

std::string mode_text(std::uint32_t mode) { return fmt::format("{:04o}", mode); }

class MountWriter {
 public:
  MountWriter(Context& context, const Workload& workload, const std::string& name)
      : context_{context},
        workload_{workload},
        service_{context.service(name)},
        name_{context.name_of("services", name)},
        path_{"services." + name} {}

  Mounts run() {
    for (const Source& source : all_mounts(context_, service_.name)) mount(source);
    for (std::size_t i = 0; i < service_.tmpfs.size(); ++i) tmpfs(i);
    if (service_.shm_size) memory("shm", "/dev/shm", *service_.shm_size, path_ + ".shm_size");
    files(service_.configs, context_.project.configs, "config");
    files(service_.secrets, context_.project.secrets, "secret");
    return std::move(out_);
  }

 private:
  void volume(const std::string& name, std::string_view kind, Value source, Place place) {
    Value item = object({{"name", text(name, place)}});
    put_always(item, kind, std::move(source));
    append(out_.volumes, std::move(item));
  }

  // The later mount at a path counts, as in Compose.
  Value& at_target(const std::string& name, const std::string& target, bool read_only, Place place) {
    if (target.find(':') != std::string::npos)
      context_.problem(path_, fmt::format("service \"{}\" mounts at \"{}\": Kubernetes knows no path with \":\"",
                                          service_.name, target));
    auto& items = out_.mounts.items();
    items.erase(std::remove_if(items.begin(), items.end(),
                               [&](const Value& one) { return text_at(one, {"mountPath"}) == target; }),
                items.end());
    Value item = object({{"name", text(name)}, {"mountPath", text(target, place)}});
    if (read_only) put(item, "readOnly", flag(true));
    append(out_.mounts, std::move(item));
    return items.back();
  }

  void memory(const std::string& kind, const std::string& target, std::int64_t size, const std::string& at,
              bool read_only = false) {
    const std::string name = dns_label(kind + "-" + name_);
    Value source = object({{"medium", text("Memory")}});
    if (size > 0) put(source, "sizeLimit", text(bytes_quantity(size), context_.at(at)));
    volume(name, "emptyDir", std::move(source), context_.at(at));
    at_target(name, target, read_only, context_.at(at));
  }

  void mount(const Source& source) {
    const std::string at = fmt::format("services.{}.volumes[{}]", source.service, source.index);
    const Mount& mount = source.mount;
    const std::string label = context_.name_of("services", source.service);
    if (mount.type == "volume" && !mount.source.empty()) {
      claim(mount, at, source.read_only);
    } else if (mount.type == "volume") {
      const std::string name = dns_label(fmt::format("anonymous-{}-{}", source.index, label));
      volume(name, "emptyDir", empty_mapping(), context_.at(at));
      at_target(name, mount.target, source.read_only, context_.at(at));
      context_.report.approximated(at + ".type", "emptyDir: an anonymous volume lives as long as its pod");
      if (source.service != service_.name &&
          context_.leader_of.at(source.service) != context_.leader_of.at(service_.name))
        context_.report.dropped(path_ + ".volumes_from",
                                fmt::format("the anonymous volume at {} of \"{}\" is not shared: give it a name",
                                            mount.target, source.service));
    } else if (mount.type == "bind") {
      bind(mount, at, label, source);
    } else if (mount.type == "tmpfs") {
      memory(fmt::format("memory-{}", source.index), mount.target, mount.tmpfs.size.value_or(0), at, source.read_only);
    } else if (mount.type == "image") {
      const std::string name = dns_label(fmt::format("image-{}-{}", source.index, label));
      volume(name, "image", object({{"reference", text(mount.source, context_.at(at))}}), context_.at(at));
      Value& item = at_target(name, mount.target, true, context_.at(at));
      if (!mount.image.subpath.empty()) put(item, "subPath", text(sub_path(mount.image.subpath, at)));
    } else {
      context_.report.dropped(at, fmt::format("volumes of type \"{}\" have no counterpart", mount.type));
    }
  }

  void claim(const Mount& mount, const std::string& at, bool read_only) {
    const model::Volume& known = context_.project.volumes.at(mount.source);
    const std::string claim_name = known.external ? dns_label(known.name) : context_.name_of("volumes", mount.source);
    const std::string name = dns_label(mount.source);
    volume(name, "persistentVolumeClaim", object({{"claimName", text(claim_name, context_.at(at))}}), context_.at(at));
    Value& item = at_target(name, mount.target, read_only, context_.at(at + ".target"));
    if (!mount.volume.subpath.empty()) put(item, "subPath", text(sub_path(mount.volume.subpath, at), context_.at(at)));
    const ImageFacts& image = context_.image(service_.name);
    const bool filled = !mount.volume.nocopy && !read_only &&
                        std::find(image.volumes.begin(), image.volumes.end(), mount.target) != image.volumes.end();
    if (filled)
      context_.report.approximated(
          at + ".source",
          fmt::format("the claim begins empty: what the image has at {} is not copied into it", mount.target));
  }

  const std::string& sub_path(const std::string& path, const std::string& at) {
    const Strings parts = split(path, '/');
    if (path.starts_with('/') || std::find(parts.begin(), parts.end(), "..") != parts.end())
      context_.problem(at, fmt::format("subpath \"{}\" leaves the volume: name a folder in it", path));
    return path;
  }

  void host_path(const Mount& mount, const std::string& at, const std::string& name, std::string_view type,
                 bool read_only) {
    Value source = object({{"path", text(mount.source, context_.at(at))}, {"type", text(std::string{type})}});
    volume(name, "hostPath", std::move(source), context_.at(at));
    Value& item = at_target(name, mount.target, read_only, context_.at(at + ".target"));
    const std::string& propagation = mount.bind.propagation;
    if (propagation == "rshared" || propagation == "shared") put(item, "mountPropagation", text("Bidirectional"));
    if (propagation == "rslave" || propagation == "slave") put(item, "mountPropagation", text("HostToContainer"));
    if (propagation == "shared" || propagation == "slave")
      context_.report.approximated(at + ".bind.propagation", "with everything below the mount point");
    context_.report.approximated(at + ".source", "hostPath: every node must have this path, with the same content");
  }

  void config_map(const Mount& mount, const std::string& at, const std::string& name, const HostPath& known,
                  bool read_only) {
    const std::string map = file_key(context_, mount.source);
    Value source = object({{"name", text(map, context_.at(at))}});
    if (known.kind == HostPath::Kind::directory) {
      Value items = Value::sequence();
      std::size_t number = 0;
      for (const auto& [file, unused] : known.files)
        append(items, object({{"key", text(fmt::format("file-{}", number++))}, {"path", text(file)}}));
      put(source, "items", std::move(items));
    }
    volume(name, "configMap", std::move(source), context_.at(at));
    Value& item = at_target(name, mount.target, true, context_.at(at + ".target"));
    if (known.kind == HostPath::Kind::file) put(item, "subPath", text("content"));
    context_.report.approximated(at + ".source", read_only
                                                     ? "copied into a ConfigMap when exporting"
                                                     : "copied into a ConfigMap when exporting; read-only in the pod");
    if (!read_only) context_.report.approximated(at + ".read_only", "a ConfigMap is read-only");
  }

  void bind(const Mount& mount, const std::string& at, const std::string& label, const Source& source) {
    const std::string name = dns_label(fmt::format("bind-{}-{}", source.index, label));
    const auto found = context_.options.paths.find(mount.source);
    const HostPath nothing;
    const HostPath& known = found == context_.options.paths.end() ? nothing : found->second;
    const Directories choice = context_.options.directories;
    using Kind = HostPath::Kind;
    if (choice == Directories::host_path && known.kind != Kind::file) {
      host_path(mount, at, name,
                known.kind == Kind::other     ? ""
                : mount.bind.create_host_path ? "DirectoryOrCreate"
                                              : "Directory",
                source.read_only);
    } else if (known.kind == Kind::file && !known.too_large) {
      config_map(mount, at, name, known, source.read_only);
    } else if (known.kind == Kind::file && choice == Directories::host_path) {
      host_path(mount, at, name, "File", source.read_only);
    } else if (known.kind == Kind::directory && choice == Directories::config_map && !known.too_large) {
      config_map(mount, at, name, known, source.read_only);
    } else {
      refuse(mount, at, known);
    }
  }

  void refuse(const Mount& mount, const std::string& at, const HostPath& known) {
    const char* what = known.kind == HostPath::Kind::missing ? "which is not there"
                       : known.kind == HostPath::Kind::other ? "which is neither a file nor a folder"
                       : known.kind == HostPath::Kind::directory
                           ? known.too_large ? "a folder of more than 1 MB" : "a folder"
                           : "a file of more than 1 MB";
    context_.problem(
        at, fmt::format(
                "service \"{}\" mounts {} of this host, {}; nodes of a cluster do not have it. Choose: COPY it in the "
                "service's Dockerfile; a named volume that a one-shot service fills; --directories config-map "
                "(a copy, read-only, up to 1 MB); or --directories host-path (every node has it)",
                service_.name, mount.source, what));
  }

  void tmpfs(std::size_t index) {
    const std::string& line = service_.tmpfs[index];
    const std::string at = fmt::format("{}.tmpfs[{}]", path_, index);
    const std::size_t colon = line.find(':');
    std::int64_t size = 0;
    bool read_only = false;
    if (colon != std::string::npos)
      for (const std::string& option : split(std::string_view{line}.substr(colon + 1), ',')) {
        if (option.starts_with("size=")) size = parse_bytes(option.substr(5)).value_or(0);
        if (option == "ro") read_only = true;
      }
    memory(fmt::format("tmpfs-{}", index), line.substr(0, colon), size, at, read_only);
  }

  void files(const std::vector<model::FileReference>& references,
             const std::map<std::string, model::FileObject>& objects, const std::string& kind) {
    const bool secret = kind == "secret";
    for (std::size_t i = 0; i < references.size(); ++i) {
      const model::FileReference& reference = references[i];
      const std::string at = fmt::format("{}.{}s[{}]", path_, kind, i);
      const auto known = objects.find(reference.source);
      if (known == objects.end()) continue;
      const std::string object_name =
          known->second.external ? dns_label(known->second.name) : context_.name_of(kind + "s", reference.source);
      const std::string name = dns_label(
          fmt::format("{}-{}{}", kind, reference.source, reference.mode ? "-" + mode_text(*reference.mode) : ""));
      Value source = object({{secret ? "secretName" : "name", text(object_name, context_.at(at))}});
      if (reference.mode)
        put(source, "defaultMode", number(static_cast<std::int64_t>(*reference.mode), context_.at(at + ".mode")));
      volume(name, secret ? "secret" : "configMap", std::move(source), context_.at(at));
      std::string target = reference.target;
      if (target.empty()) target = secret ? reference.source : "/" + reference.source;
      if (!target.starts_with('/')) target = (secret ? "/run/secrets/" : "/") + target;
      put(at_target(name, target, true, context_.at(at)), "subPath", text("content"));
      const bool owned =
          (!reference.uid.empty() && reference.uid != "0") || (!reference.gid.empty() && reference.gid != "0");
      if (!owned) {
        context_.report.exact(at + ".uid", "files belong to root");
        context_.report.exact(at + ".gid", "files belong to root");
      }
    }
  }

  Context& context_;
  const Workload& workload_;
  const model::Service& service_;
  std::string name_;
  std::string path_;
  Mounts out_;
};

std::int64_t pods_of(const Context& context, const Workload& workload) {
  if (workload.kind == Kind::daemon_set) return 2;
  return context.service(workload.leader).replicas();
}

std::string access_of(const model::Volume& volume) {
  const std::string asked = instruction(volume.labels, "access");
  if (asked == "rwx") return "ReadWriteMany";
  if (asked == "rwo") return "ReadWriteOnce";
  return asked;
}

void check_sharing(Context& context, const std::string& name, const model::Volume& volume,
                   const std::set<std::string>& users) {
  std::int64_t pods = 0;
  Strings who;
  for (const std::string& user : users) {
    pods += pods_of(context, context.workloads.at(user));
    who.push_back(fmt::format("\"{}\"", user));
  }
  if (pods < 2 || volume.external || !access_of(volume).empty()) return;
  if (context.options.shared_volumes == SharedVolumes::refuse)
    context.problem("volumes." + name, fmt::format("volume \"{}\" is mounted by {} pods ({}), which needs storage that "
                                                   "several nodes can mount at once. Choose: "
                                                   "--shared-volumes rwx, or the label kubernetes.access: "
                                                   "ReadWriteMany at the volume (with kubernetes.class for "
                                                   "the storage class); --shared-volumes same-node (all these pods on "
                                                   "one node); or network_mode: service:NAME "
                                                   "(one pod)",
                                                   name, pods, join(who, ", ")));
}

bool is_shared(const Context& context, const std::string& volume) {
  const auto users = context.users.find(volume);
  if (users == context.users.end()) return false;
  if (users->second.size() > 1) return true;
  return pods_of(context, context.workloads.at(*users->second.begin())) > 1;
}

std::string claim_access(const Context& context, const std::string& name, const model::Volume& volume) {
  if (const std::string asked = access_of(volume); !asked.empty()) return asked;
  return is_shared(context, name) && context.options.shared_volumes == SharedVolumes::read_write_many ? "ReadWriteMany"
                                                                                                      : "ReadWriteOnce";
}

void check_labels(Context& context, const std::string& path, const model::Volume& volume) {
  constexpr std::string_view kModes[] = {"", "ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod"};
  const std::string size = instruction(volume.labels, "size");
  const std::string storage = instruction(volume.labels, "class");
  if (!size.empty() && !is_quantity(size))
    context.problem(path, fmt::format("label kubernetes.size: \"{}\" is not an amount, such as 20Gi", size));
  if (!storage.empty() && !is_subdomain(storage))
    context.problem(path, fmt::format("label kubernetes.class: \"{}\" is not a storage class's name", storage));
  if (const std::string access = access_of(volume);
      std::find(std::begin(kModes), std::end(kModes), access) == std::end(kModes))
    context.problem(path, fmt::format("label kubernetes.access: \"{}\": choose ReadWriteOnce (rwo), ReadWriteMany "
                                      "(rwx), ReadOnlyMany or ReadWriteOncePod",
                                      access));
}

}  // namespace

std::string file_key(const Context& context, const std::string& path) {
  std::string relative = path;
  const std::string& folder = context.project.working_dir;
  if (relative.starts_with(folder + "/")) relative.erase(0, folder.size() + 1);
  const std::size_t slash = path.rfind('/');
  return dns_label(fmt::format("file-{}-{}", path.substr(slash + 1), sha256_hex(relative).substr(0, 8)));
}

void plan_volumes(Context& context) {
  for (const auto& [leader, workload] : context.workloads)
    for (const std::string& member : workload.members)
      for (const Source& source : all_mounts(context, member))
        if (source.mount.type == "volume" && !source.mount.source.empty())
          context.users[source.mount.source].insert(leader);
  for (const auto& [name, users] : context.users) {
    const auto volume = context.project.volumes.find(name);
    if (volume != context.project.volumes.end()) check_sharing(context, name, volume->second, users);
  }
}

Mounts mounts_of(Context& context, const Workload& workload, const std::string& name) {
  return MountWriter(context, workload, name).run();
}

bool keeps_one_pod(const Context& context, const Workload& workload, std::string& why) {
  for (const auto& [name, users] : context.users) {
    if (!users.contains(workload.leader)) continue;
    const model::Volume& volume = context.project.volumes.at(name);
    if (claim_access(context, name, volume) == "ReadWriteMany") continue;
    if (pods_of(context, workload) > 1) continue;
    why = fmt::format("volume \"{}\" can be mounted on one node at a time", name);
    return true;
  }
  return false;
}

void export_claims(Context& context) {
  for (const auto& [name, volume] : context.project.volumes) {
    const std::string path = "volumes." + name;
    context.note_name("volumes", name, volume.name, volume.external);
    if (volume.external || !context.users.contains(name)) continue;
    Value metadata = context.metadata(context.name_of("volumes", name), "", context.at(path));
    put_labels(metadata, volume.labels, context, path + ".labels");
    check_labels(context, path + ".labels", volume);
    std::string size = instruction(volume.labels, "size");
    if (size.empty()) {
      size = "1Gi";
      context.warn(fmt::format(
          "volume \"{}\": the claim asks for 1Gi; the label kubernetes.size at the volume says otherwise", name));
    }
    Value spec = object({{"accessModes", texts({claim_access(context, name, volume)}, context.at(path))},
                         {"resources", object({{"requests", object({{"storage", text(size)}})}})}});
    if (const std::string storage = instruction(volume.labels, "class"); !storage.empty())
      put(spec, "storageClassName", text(storage));
    context.add("volumes", "v1", "PersistentVolumeClaim", std::move(metadata), object({{"spec", std::move(spec)}}),
                context.at(path));
  }
}

}  // namespace compose::kubernetes
