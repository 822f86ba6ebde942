#include <algorithm>
#include <set>

#include "base/strings.hpp"
#include "container/spec_parts.hpp"

namespace compose::container {
namespace {

using runtime::spec::Mount;
using Options = std::vector<std::string>;

constexpr std::int64_t kDefaultShmSize = 64 << 20;

Mount mount(std::string destination, std::string type, std::string source, Options options) {
  Mount result;
  result.destination = std::move(destination);
  result.type = std::move(type);
  result.source = std::move(source);
  result.options = std::move(options);
  return result;
}

// moby, daemon/pkg/oci/defaults.go
std::vector<Mount> default_mounts(const model::Service& service, bool writable_cgroups) {
  const char* sys = service.privileged ? "rw" : "ro";
  const char* cgroup = service.privileged || writable_cgroups ? "rw" : "ro";
  std::vector<Mount> mounts{
      mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
      mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
      mount("/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
      mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", sys}),
      mount("/sys/fs/cgroup", "cgroup", "cgroup", {cgroup, "nosuid", "noexec", "nodev"}),
      mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"})};
  if (service.ipc != "none") {
    mounts.push_back(mount("/dev/shm", "tmpfs", "shm",
                           {"nosuid", "noexec", "nodev", "mode=1777",
                            fmt::format("size={}", service.shm_size.value_or(kDefaultShmSize))}));
  }
  return mounts;
}

// hosts, hostname and resolv.conf: binds of the files in the run directory.
std::vector<Mount> file_mounts(const SpecInput& input) {
  std::vector<Mount> mounts;
  for (const char* name : {"resolv.conf", "hostname", "hosts"}) {
    Options options{"rbind", "rprivate"};
    if (input.service.read_only) options.emplace_back("ro");
    mounts.push_back(mount(std::string{"/etc/"} + name, "bind", input.run_dir + "/" + name, std::move(options)));
  }
  return mounts;
}

std::vector<Mount> service_tmpfs(const model::Service& service) {
  std::vector<Mount> mounts;
  for (const auto& text : service.tmpfs) {
    const auto colon = text.find(':');
    const std::string options = colon == std::string::npos ? "" : text.substr(colon + 1);
    mounts.push_back(mount(text.substr(0, colon), "tmpfs", "tmpfs", tmpfs_options(options)));
  }
  return mounts;
}

std::size_t depth(const std::string& path) {
  return static_cast<std::size_t>(std::ranges::count(path, '/')) + (path.ends_with('/') ? 0 : 1);
}

std::string without_trailing_slash(const std::string& path) {
  return path.size() > 1 && path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
}

// "exec" takes back "noexec": a flag and its opposite share a name; "size=" and the like are named by their key.
std::string option_name(const std::string& option) {
  static const std::set<std::string> kFlags = {"exec", "suid", "dev", "atime", "diratime", "relatime"};
  if (option == "ro" || option == "rw") return "rw";
  if (option.starts_with("no") && kFlags.contains(option.substr(2))) return option.substr(2);
  return option.substr(0, option.find('='));
}

}  // namespace

Options tmpfs_options(const std::string& given) {
  Options result{"noexec", "nosuid", "nodev"};
  if (given.empty()) return result;
  for (const auto& option : split(given, ',')) {
    if (option.empty()) continue;
    std::erase_if(result, [&](const std::string& other) { return option_name(other) == option_name(option); });
    result.push_back(option);
  }
  return result;
}

std::vector<Mount> spec_mounts(const SpecInput& input) {
  std::vector<Mount> own = input.mounts;
  std::ranges::move(service_tmpfs(input.service), std::back_inserter(own));
  for (auto& entry : own) entry.destination = without_trailing_slash(entry.destination);

  std::set<std::string> taken;
  for (const auto& entry : own) taken.insert(entry.destination);
  const auto options = security_options(input.service);
  std::vector<Mount> result = default_mounts(input.service, options.ok() && options->writable_cgroups);
  // The user's /dev replaces everything we would put below it.
  std::erase_if(result, [&](const Mount& entry) {
    return taken.contains(entry.destination) || (taken.contains("/dev") && entry.destination.starts_with("/dev/"));
  });
  for (auto& entry : file_mounts(input)) {
    if (!taken.contains(entry.destination)) own.push_back(std::move(entry));
  }
  std::ranges::stable_sort(own, {}, [](const Mount& entry) { return depth(entry.destination); });
  std::ranges::move(own, std::back_inserter(result));
  return result;
}

}  // namespace compose::container
