#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/strings.hpp"
#include "container/spec.hpp"
#include "sys/file.hpp"

namespace compose::container {
namespace {

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

std::optional<HostDevice> node_at(const std::string& path, bool follow) {
  struct stat info{};
  if ((follow ? ::stat(path.c_str(), &info) : ::lstat(path.c_str(), &info)) != 0) return std::nullopt;
  if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode)) return std::nullopt;
  return HostDevice{path,
                    S_ISBLK(info.st_mode) ? 'b' : 'c',
                    major(info.st_rdev),
                    minor(info.st_rdev),
                    static_cast<std::uint32_t>(info.st_mode & 07777U),
                    info.st_uid,
                    info.st_gid};
}

// What Docker leaves out of /dev for a privileged container: mounts of their own and the container's own console.
bool skipped(const std::string& path) {
  return path == "/dev/pts" || path == "/dev/shm" || path == "/dev/fd" || path == "/dev/mqueue" ||
         path == "/dev/console" || path == "/dev/.lxc" || path == "/dev/.lxd-mounts" || path == "/dev/.udev";
}

void collect(const std::string& directory, std::vector<HostDevice>& into) {
  const Directory entries{::opendir(directory.c_str()), &::closedir};
  if (!entries) return;
  while (const dirent* entry = ::readdir(entries.get())) {
    const std::string name = entry->d_name;
    const std::string path = directory + "/" + name;
    if (name == "." || name == ".." || skipped(path)) continue;
    if (entry->d_type == DT_DIR) collect(path, into);
    if (auto node = node_at(path, false)) into.push_back(std::move(*node));
  }
}

std::string go_architecture(const std::string& machine) {
  static const std::map<std::string, std::string> kNames = {
      {"x86_64", "amd64"},    {"aarch64", "arm64"}, {"armv7l", "arm"},     {"i686", "386"},
      {"ppc64le", "ppc64le"}, {"s390x", "s390x"},   {"riscv64", "riscv64"}};
  const auto found = kNames.find(machine);
  return found == kNames.end() ? machine : found->second;
}

// "0-3" or "0-1,4": one more than the largest number.
int cpu_count(std::string_view ranges) {
  std::uint64_t largest = 0;
  for (const auto& range : split(trim(ranges), ',')) {
    largest = std::max(largest, parse_unsigned(split(range, '-').back()).value_or(0));
  }
  return static_cast<int>(std::min<std::uint64_t>(largest, 8191)) + 1;
}

}  // namespace

std::vector<HostDevice> find_devices(const std::string& path) {
  std::vector<HostDevice> result;
  if (auto node = node_at(path, true)) {
    result.push_back(std::move(*node));
    return result;
  }
  collect(path.size() > 1 && path.ends_with('/') ? path.substr(0, path.size() - 1) : path, result);
  std::ranges::sort(result, {}, &HostDevice::path);
  return result;
}

Result<HostInfo> probe_host(bool with_devices) {
  HostInfo host;
  struct utsname names{};
  if (::uname(&names) != 0) return os_error("uname");
  host.hostname = names.nodename;
  host.architecture = go_architecture(names.machine);
  const auto version = split(names.release, '.');
  host.kernel_major = static_cast<int>(parse_unsigned(version.front()).value_or(0));
  if (version.size() > 1) {
    const std::string minor_text = version[1].substr(0, version[1].find_first_not_of("0123456789"));
    host.kernel_minor = static_cast<int>(parse_unsigned(minor_text).value_or(0));
  }
  if (const auto last = sys::read_file("/proc/sys/kernel/cap_last_cap"); last.ok()) {
    host.last_capability = static_cast<int>(parse_unsigned(trim(*last)).value_or(40));
  }
  if (sys::exists("/sys/devices/system/cpu/cpu0/thermal_throttle")) {
    if (const auto possible = sys::read_file("/sys/devices/system/cpu/possible"); possible.ok()) {
      host.possible_cpus = cpu_count(*possible);
    }
  }
  if (with_devices) host.devices = find_devices("/dev");
  return host;
}

}  // namespace compose::container
