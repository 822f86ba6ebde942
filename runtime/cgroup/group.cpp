#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/crash_point.hpp"
#include "base/strings.hpp"
#include "runtime/cgroup/bpf.hpp"
#include "runtime/cgroup/cgroup.hpp"
#include "sys/file.hpp"

namespace compose::runtime::cgroup {
namespace {

/// One write(2) to a control file, as the kernel wants it.
int write_file(const std::string& path, std::string_view value) {
  const UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
  if (!fd.valid()) return errno;
  const ssize_t written = retry_eintr([&] { return ::write(fd.get(), value.data(), value.size()); });
  return written < 0 ? errno : 0;
}

std::string read_text(const std::string& path) {
  auto text = sys::read_file(path, 1 << 20);
  return text ? std::string{trim(*text)} : std::string{};
}

/// Pairs that must fit together at any time: in one direction of a change the second has to be written first. memsw may
/// not be below memory, a runtime not above its period, nor the share of time, on the way, above a parent's.
bool may_go_second(std::string_view first, std::string_view second) {
  static constexpr std::pair<std::string_view, std::string_view> kPairs[] = {
      {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"},
      {"cpu.cfs_period_us", "cpu.cfs_quota_us"},
      {"cpu.rt_period_us", "cpu.rt_runtime_us"}};
  return std::ranges::find(kPairs, std::pair{first, second}) != std::end(kPairs);
}

/// A new v1 cpuset group has no cpus and memory nodes and takes no process until it gets some
/// (Documentation/admin-guide/cgroup-v1/cpusets.rst).
void inherit_cpuset(const std::string& directory) {
  const std::string parent = directory.substr(0, directory.rfind('/'));
  for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
    if (read_text(directory + file).empty()) write_file(directory + file, read_text(parent + file));
  }
  // The groups made below from now on get theirs from the kernel, and this setting too.
  write_file(directory + "/cgroup.clone_children", "1");
}

/// Fills every level, from the top down, unless the last has what it needs from the one above. Two containers may make
/// their common parents at the same time: a level that the other has made and not yet filled is filled here.
void complete_cpuset(const std::string& top, const std::string& path) {
  if (!read_text(top + path + "/cpuset.cpus").empty() && !read_text(top + path + "/cpuset.mems").empty()) return;
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    inherit_cpuset(top + path.substr(0, slash));
    if (slash == std::string::npos) return;
  }
}

/// mkdir of every level below `top`. Another container's removal of an empty parent may come between two levels, hence
/// the second and third try.
int make_levels(const std::string& top, const std::string& path) {
  int code = 0;
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (::mkdir((top + path).c_str(), 0755) == 0) {
      crash_point("made group", top.c_str());
      return 0;
    }
    if (errno != ENOENT) return errno == EEXIST ? 0 : errno;
    code = ENOENT;
    for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      const std::string level = top + path.substr(0, slash);
      if (::mkdir(level.c_str(), 0755) != 0 && errno != EEXIST) {
        code = errno;
        break;
      }
    }
  }
  return code;
}

/// Lets the children of every level above the group use the v2 controllers there are. The usual group has them already
/// from the first one of its project, and the write would wait for a lock even if it changes nothing.
void enable_controllers(const std::string& top, const std::string& path, const std::vector<std::string>& controllers) {
  const std::string text = read_text(top + path + "/cgroup.controllers");
  const auto there = split(text, ' ');
  if (std::ranges::all_of(controllers, [&](const auto& name) { return std::ranges::count(there, name) != 0; })) return;
  std::string all;
  for (const auto& name : controllers) all += (all.empty() ? "+" : " +") + name;
  if (all.empty()) return;
  std::string level = top;
  std::size_t slash = 0;
  while (slash != std::string::npos) {
    if (write_file(level + "/cgroup.subtree_control", all) != 0) {
      // One controller that cannot be had (threaded domain, a parent that keeps it) must not cost the others.
      for (const auto& name : controllers) write_file(level + "/cgroup.subtree_control", "+" + name);
    }
    slash = path.find('/', slash + 1);
    if (slash != std::string::npos) level = top + path.substr(0, slash);
  }
}

/// The groups right below. The kernel counts them in the directory's links (fs/kernfs/inode.c), so the usual group,
/// which has none, costs one call instead of one for each of its forty files.
std::vector<std::string> subgroups(const std::string& directory) {
  std::vector<std::string> result;
  struct stat status{};
  if (::stat(directory.c_str(), &status) != 0 || status.st_nlink == 2) return result;
  const UniqueFd fd{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (auto names = sys::list_directory(directory)) {
    for (const auto& name : *names) {
      if (::fstatat(fd.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode))
        result.push_back(directory + "/" + name);
    }
  }
  return result;
}

/// rmdir of the group's own subgroups, deepest first, then itself.
int remove_levels(const std::string& directory) {
  crash_point("remove group");
  if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) return 0;
  for (const auto& below : subgroups(directory)) remove_levels(below);
  return ::rmdir(directory.c_str()) == 0 || errno == ENOENT ? 0 : errno;
}

void collect_processes(const std::string& directory, std::set<pid_t>& pids) {
  for (const auto& line : split(read_text(directory + "/cgroup.procs"), '\n')) {
    if (const auto pid = parse_unsigned(line); pid && *pid != 0) pids.insert(static_cast<pid_t>(*pid));
  }
  for (const auto& below : subgroups(directory)) collect_processes(below, pids);
}

bool events_say(const std::string& directory, std::string_view line) {
  const auto lines = split(read_text(directory + "/cgroup.events"), '\n');
  return std::ranges::find(lines, line) != lines.end();
}

/// Waits until cgroup.events has `line`; the kernel notifies with POLLPRI (cgroup-v2.rst, "[Un]populated
/// Notification").
bool wait_event(const std::string& directory, std::string_view line, int timeout_ms) {
  const UniqueFd fd{::open((directory + "/cgroup.events").c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd.valid()) return true;
  for (int rounds = 0; rounds < 64; ++rounds) {
    std::string text(256, '\0');
    const ssize_t size = ::pread(fd.get(), text.data(), text.size(), 0);
    if (size < 0) return true;  // removed meanwhile
    text.resize(static_cast<std::size_t>(size));
    const auto lines = split(text, '\n');
    if (std::ranges::find(lines, line) != lines.end()) return true;
    pollfd poll{fd.get(), POLLPRI, 0};
    if (::poll(&poll, 1, timeout_ms) <= 0) break;
  }
  return events_say(directory, line);
}

void pause_ms(int milliseconds) {
  const timespec time{0, milliseconds * 1000000L};
  ::nanosleep(&time, nullptr);
}

/// A record without its path, or one that climbs, must never become "all processes of this machine".
Result<void> refuse_top(const std::string& path, const char* what) {
  bool below = false;
  for (const auto& part : split(path, '/')) {
    if (part == "..") return make_error(Errc::invalid, "{} control group \"{}\": the path climbs", what, path);
    below = below || (!part.empty() && part != ".");
  }
  if (below) return {};
  return make_error(Errc::invalid, "{} control group \"{}\": that is the top, with all processes of this machine", what,
                    path);
}

}  // namespace

const Group::Place* Group::place(std::string_view controller) const {
  for (const auto& place : places_) {
    if (std::ranges::find(place.controllers, controller) != place.controllers.end()) return &place;
  }
  return nullptr;
}

const Group::Place* Group::unified() const {
  for (const auto& place : places_) {
    if (place.version == Version::v2) return &place;
  }
  return nullptr;
}

const Group::Place* Group::any() const {
  if (const Place* found = unified()) return found;
  if (const Place* found = place("freezer")) return found;
  return places_.empty() ? nullptr : &places_.front();
}

Group Group::open(const Layout& layout, const std::string& path) {
  Group group;
  group.path_ = path;
  for (const auto& hierarchy : layout.hierarchies) {
    group.places_.push_back(
        {hierarchy.version, hierarchy.controllers, hierarchy.mount_point, hierarchy.mount_point + path});
  }
  return group;
}

Result<Group> Group::below(const std::vector<std::string>& controllers, const std::string& sub) const {
  Group group = *this;
  if (controllers.empty()) {
    for (Place& place : group.places_) place.directory += "/" + sub;
  }
  for (const std::string& controller : controllers) {
    const Place* found = place(controller);
    if (found == nullptr || found->version != Version::v1) {
      return make_error(Errc::invalid, "unknown controller \"{}\": no hierarchy of version 1 has it", controller);
    }
    const auto index = static_cast<std::size_t>(found - places_.data());
    group.places_[index].directory = places_[index].directory + "/" + sub;
  }
  return group;
}

Result<Group> Group::create(const Layout& layout, const Plan& plan) {
  Group group = open(layout, plan.path);
  Result<void> done;
  for (const auto& place : group.places_) {
    const bool cpuset =
        place.version == Version::v1 && std::ranges::find(place.controllers, "cpuset") != place.controllers.end();
    const int code = make_levels(place.mount_point, plan.path);
    if (code != 0) {
      done = os_error_from(code, fmt::format("create control group {}", place.directory));
      break;
    }
    if (cpuset) complete_cpuset(place.mount_point, plan.path);
    if (place.version == Version::v2) enable_controllers(place.mount_point, plan.path, place.controllers);
  }
  if (done) done = group.apply(plan);
  if (!done) {
    (void)group.remove();
    return std::move(done).error();
  }
  return group;
}

std::map<std::string, std::string> Group::directories() const {
  std::map<std::string, std::string> result;
  for (const auto& place : places_) {
    result[place.version == Version::v2 ? "" : join(place.controllers, ",")] = place.directory;
  }
  return result;
}

bool Group::exists() const {
  return std::ranges::any_of(places_, [](const Place& place) { return sys::exists(place.directory); });
}

Result<UniqueFd> Group::unified_fd() const {
  const Place* place = unified();
  if (place == nullptr) return UniqueFd{};
  UniqueFd fd{::open(place->directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (!fd.valid()) return os_error("open control group {}", place->directory);
  return fd;
}

Result<UniqueFd> Group::unified_fd_of(pid_t member) const {
  TRY_ASSIGN(const std::string groups, sys::read_file(fmt::format("/proc/{}/cgroup", member)));
  const Place* place = unified();
  for (const std::string& line : split(groups, '\n')) {
    if (place == nullptr || !line.starts_with("0::" + path_ + "/")) continue;
    const std::string directory = place->mount_point + line.substr(3);
    UniqueFd fd{::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (!fd.valid()) return os_error("open control group {}", directory);
    return fd;
  }
  return make_error(Errc::busy, "control group {} takes no process, and process {} is in none below it", path_, member);
}

Result<std::vector<UniqueFd>> Group::task_files() const {
  std::vector<UniqueFd> files;
  for (const auto& place : places_) {
    if (place.version == Version::v2) continue;
    UniqueFd fd{::open((place.directory + "/tasks").c_str(), O_WRONLY | O_CLOEXEC)};
    if (!fd.valid()) return os_error("open {}/tasks", place.directory);
    files.push_back(std::move(fd));
  }
  return files;
}

Result<void> Group::attach(pid_t pid) const {
  for (const auto& place : places_) {
    if (const int code = write_file(place.directory + "/cgroup.procs", std::to_string(pid)); code != 0) {
      return os_error_from(code, fmt::format("move process {} to control group {}", pid, place.directory));
    }
  }
  return {};
}

Result<void> Group::apply(const Plan& plan) const {
  // The rules for devices are many writes to one file: it is opened once.
  std::string open_path;
  UniqueFd open_fd;
  const auto write_setting = [&](const std::string& path, std::string_view value) {
    if (path != open_path) {
      open_fd = UniqueFd{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
      open_path = open_fd.valid() ? path : std::string{};
      if (!open_fd.valid()) return errno;
    }
    const ssize_t written = retry_eintr([&] { return ::write(open_fd.get(), value.data(), value.size()); });
    return written < 0 ? errno : 0;
  };
  for (std::size_t i = 0; i < plan.settings.size(); ++i) {
    const Setting& setting = plan.settings[i];
    const Place* where = setting.controller.empty() ? unified() : place(setting.controller);
    if (where == nullptr) continue;
    int code = ENOENT;
    // "a|b": the same control under the names of two schedulers.
    for (const auto& file : split(setting.file, '|')) {
      code = write_setting(where->directory + "/" + file, setting.value);
      if (code != ENOENT && code != EACCES) break;
    }
    if (code == EINVAL && i + 1 < plan.settings.size() && may_go_second(setting.file, plan.settings[i + 1].file)) {
      write_file(where->directory + "/" + plan.settings[i + 1].file, plan.settings[i + 1].value);
      code = write_file(where->directory + "/" + setting.file, setting.value);
    }
    // A write-only attribute that this kernel was built without shows as EACCES from open() of a missing cgroup file.
    if (code == 0 || (setting.optional && (code == ENOENT || code == EACCES || code == EOPNOTSUPP))) continue;
    return os_error_from(code, fmt::format("linux.resources.{}: write \"{}\" to {}/{}", setting.where, setting.value,
                                           where->directory, setting.file));
  }
  if (!plan.device_program.empty()) {
    TRY_ASSIGN(const UniqueFd fd, unified_fd());
    TRY(attach_device_program(fd.get(), plan.device_program));
  }
  return {};
}

Result<void> Group::freeze() const {
  TRY(refuse_top(path_, "freeze"));
  if (const Place* place = unified()) {
    if (const int code = write_file(place->directory + "/cgroup.freeze", "1"); code != 0) {
      return os_error_from(code, fmt::format("freeze {}", place->directory));
    }
    if (!wait_event(place->directory, "frozen 1", 2000)) {
      write_file(place->directory + "/cgroup.freeze", "0");
      return make_error(Errc::timeout, "freeze {}: a process could not be stopped", place->directory);
    }
    return {};
  }
  const Place* freezer = place("freezer");
  if (freezer == nullptr) return make_error(Errc::unsupported, "this host has no control group that can freeze");
  const std::string file = freezer->directory + "/freezer.state";
  for (int round = 0; round < 500; ++round) {
    // Processes that fork meanwhile are caught by writing again (freezer-subsystem.rst).
    if (const int code = write_file(file, "FROZEN"); code != 0) return os_error_from(code, "write " + file);
    if (read_text(file) == "FROZEN") return {};
    pause_ms(1);
  }
  write_file(file, "THAWED");
  return make_error(Errc::timeout, "freeze {}: a process could not be stopped", freezer->directory);
}

Result<void> Group::thaw() const {
  const Place* two = unified();
  const Place* one = place("freezer");
  if (two == nullptr && one == nullptr) {
    return make_error(Errc::unsupported, "this host has no control group that can freeze");
  }
  const auto write = [](const std::string& file, const char* value) -> Result<void> {
    if (const int code = write_file(file, value); code != 0) return os_error_from(code, "write " + file);
    return {};
  };
  if (two == nullptr || frozen_in_v1()) TRY(write(one->directory + "/freezer.state", "THAWED"));
  if (two != nullptr) TRY(write(two->directory + "/cgroup.freeze", "0"));
  return {};
}

/// With a hybrid layout freeze() takes v2; others may have taken v1, and there not even SIGKILL ends what is frozen.
bool Group::frozen_in_v1() const {
  const Place* freezer = place("freezer");
  if (freezer == nullptr) return false;
  const std::string state = read_text(freezer->directory + "/freezer.state");
  return state == "FROZEN" || state == "FREEZING";
}

Result<bool> Group::frozen() const {
  if (frozen_in_v1()) return true;
  if (const Place* place = unified()) return events_say(place->directory, "frozen 1");
  return false;
}

Result<void> Group::kill_all() const {
  TRY(refuse_top(path_, "kill"));
  if (const Place* place = unified()) {
    const int code = write_file(place->directory + "/cgroup.kill", "1");
    // Whoever a killed monitor was just moving in may be in some of the groups and not in the unified one.
    std::set<pid_t> left;
    for (const Place& other : places_) collect_processes(other.directory, left);
    for (const pid_t pid : left) ::kill(pid, SIGKILL);
    if (frozen_in_v1()) TRY(thaw());
    if (code == 0) return {};
    if (code == ENOENT && !sys::exists(place->directory)) return {};
  }
  // Freezing first keeps a fork bomb from outrunning the signals; a kernel without a freezer gets more rounds.
  const bool has_freezer = place("freezer") != nullptr;
  for (int round = 0; round < 50; ++round) {
    const bool stopped = has_freezer && freeze().ok();
    TRY(signal_all(SIGKILL));
    if (stopped) TRY(thaw());
    if (wait_empty(10)) break;
  }
  return {};
}

Result<void> Group::signal_all(int signo) const {
  TRY(refuse_top(path_, "signal"));
  TRY_ASSIGN(const auto pids, processes());
  for (const pid_t pid : pids) {
    if (::kill(pid, signo) != 0 && errno != ESRCH) return os_error("signal process {}", pid);
  }
  return {};
}

Result<std::vector<pid_t>> Group::processes() const {
  std::set<pid_t> pids;
  if (const Place* place = any()) collect_processes(place->directory, pids);
  return std::vector<pid_t>{pids.begin(), pids.end()};
}

bool Group::populated() const {
  if (const Place* place = unified()) return events_say(place->directory, "populated 1");
  const auto pids = processes();
  return pids && !pids->empty();
}

bool Group::in_use() const {
  std::set<pid_t> pids;
  for (const auto& place : places_) collect_processes(place.directory, pids);
  return !pids.empty();
}

bool Group::wait_empty(int timeout_ms) const {
  if (const Place* place = unified()) return wait_event(place->directory, "populated 0", timeout_ms);
  for (int waited = 0; populated(); ++waited) {
    if (waited >= timeout_ms) return false;
    pause_ms(1);
  }
  return true;
}

Result<void> Group::remove() const {
  TRY(refuse_top(path_, "remove"));
  Result<void> result;
  for (const auto& place : places_) {
    int code = 0;
    // A task that has exited still holds its group for a moment after its parent has reaped it.
    for (int round = 0; round < 200; ++round) {
      code = remove_levels(place.directory);
      if (code != EBUSY) break;
      pause_ms(1);
    }
    if (code != 0) {
      result = os_error_from(code, fmt::format("remove control group {}", place.directory));
      continue;
    }
    std::string level = path_;
    while (level.rfind('/') != 0) {
      level.resize(level.rfind('/'));
      if (::rmdir((place.mount_point + level).c_str()) != 0) break;
    }
  }
  return result;
}

}  // namespace compose::runtime::cgroup
