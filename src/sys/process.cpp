#include "sys/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>

#include "base/crash_point.hpp"
#include "base/strings.hpp"
#include "sys/file.hpp"

extern char** environ;

namespace compose::sys {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  list.reserve(texts.size() + 1);
  for (const auto& text : texts) list.push_back(const_cast<char*>(text.c_str()));  // NOLINT: execve's old signature
  list.push_back(nullptr);
  return list;
}

/// Owns the two attribute objects of posix_spawn.
struct SpawnSetup {
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
  SpawnSetup() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
  ~SpawnSetup() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
};

/// Brings each descriptor to its number. They first go to high numbers, so that one move cannot overwrite the source
/// of another.
Result<std::vector<UniqueFd>> map_descriptors(const SpawnOptions& options, SpawnSetup& setup) {
  int highest = 2;
  for (const auto& [ours, theirs] : options.fds) highest = std::max({highest, ours, theirs});
  std::vector<UniqueFd> high;
  for (const auto& [ours, theirs] : options.fds) {
    high.emplace_back(::fcntl(ours, F_DUPFD_CLOEXEC, highest + 1));
    if (!high.back().valid()) return os_error("duplicate descriptor {}", ours);
    ::posix_spawn_file_actions_adddup2(&setup.actions, high.back().get(), theirs);
  }
  // Ours are all close-on-exec, but what we inherited ourselves may not be.
  int keep_to = 2;
  for (const auto& [ours, theirs] : options.fds) keep_to = std::max(keep_to, theirs);
  for (int fd = 3; fd <= keep_to; ++fd) {
    const bool wanted =
        std::any_of(options.fds.begin(), options.fds.end(), [fd](const auto& pair) { return pair.second == fd; });
    if (!wanted && ::fcntl(fd, F_GETFD) >= 0) ::posix_spawn_file_actions_addclose(&setup.actions, fd);
  }
  ::posix_spawn_file_actions_addclosefrom_np(&setup.actions, keep_to + 1);
  return high;
}

}  // namespace

Result<Child> spawn(const SpawnOptions& options) {
  SpawnSetup setup;
  TRY_ASSIGN(const std::vector<UniqueFd> high, map_descriptors(options, setup));
  if (!options.working_directory.empty()) {
    ::posix_spawn_file_actions_addchdir_np(&setup.actions, options.working_directory.c_str());
  }
  int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (options.new_session) flags |= POSIX_SPAWN_SETSID;
  if (options.new_group) flags |= POSIX_SPAWN_SETPGROUP;
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&setup.attributes, &none);
  ::posix_spawnattr_setsigdefault(&setup.attributes, &all);
  ::posix_spawnattr_setflags(&setup.attributes, static_cast<short>(flags));
  const auto argv = pointers(options.arguments);
  const auto envp = options.environment ? pointers(*options.environment) : std::vector<char*>{};
  Child child;
  crash_point("spawn", options.program.c_str());
  const int code = ::posix_spawn(&child.pid, options.program.c_str(), &setup.actions, &setup.attributes, argv.data(),
                                 options.environment ? envp.data() : environ);
  if (code != 0) return os_error_from(code, fmt::format("run {}", options.program));
  crash_point("spawned", options.program.c_str());
  TRY_ASSIGN(child.pidfd, open_pidfd(child.pid));
  return child;
}

namespace {
ExitStatus to_status(int status) {
  if (WIFSIGNALED(status)) return {128 + WTERMSIG(status), WTERMSIG(status)};
  return {WEXITSTATUS(status), 0};
}
}  // namespace

Result<ExitStatus> wait_child(pid_t pid) {
  int status = 0;
  if (retry_eintr([&] { return ::waitpid(pid, &status, 0); }) < 0) return os_error("wait for process {}", pid);
  return to_status(status);
}

Result<std::optional<ExitStatus>> try_wait_child(pid_t pid) {
  int status = 0;
  const pid_t got = retry_eintr([&] { return ::waitpid(pid, &status, WNOHANG); });
  if (got < 0) return os_error("wait for process {}", pid);
  if (got == 0) return std::optional<ExitStatus>{};
  return std::optional<ExitStatus>{to_status(status)};
}

Result<UniqueFd> open_pidfd(pid_t pid) {
  UniqueFd fd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  if (!fd.valid()) return os_error("pidfd_open {}", pid);
  return fd;
}

Result<void> send_signal(int pidfd, int signal) {
  crash_point("signal");
  if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) != 0) return os_error("send signal {}", signal);
  return {};
}

std::uint64_t process_start_time(pid_t pid) {
  const auto stat = read_file(fmt::format("/proc/{}/stat", pid), 4096);
  if (!stat) return 0;
  // The command name may hold blanks and brackets: fields count from the last ')'. Field 22 is the 20th after it.
  const auto close = stat->rfind(')');
  if (close == std::string::npos || close + 2 > stat->size()) return 0;
  const auto fields = split(std::string_view{*stat}.substr(close + 2), ' ');
  return fields.size() > 19 ? parse_unsigned(fields[19]).value_or(0) : 0;
}

std::string boot_id() {
  static const std::string id = [] {  // asked for each record of a listing
    const auto text = read_file("/proc/sys/kernel/random/boot_id", 64);
    return text ? std::string{trim(*text)} : std::string{};
  }();
  return id;
}

}  // namespace compose::sys
