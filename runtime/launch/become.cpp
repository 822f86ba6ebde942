#include "runtime/launch/become.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/strings.hpp"
#include "runtime/launch/sync.hpp"
#include "runtime/rootfs/paths.hpp"
#include "runtime/security/capabilities.hpp"
#include "runtime/security/seccomp.hpp"
#include "runtime/security/user.hpp"
#include "sys/file.hpp"
#include "sys/message.hpp"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

namespace compose::runtime::launch {
namespace {

constexpr std::uint64_t kSysAdmin = std::uint64_t{1} << 21;

Failure to_failure(const Error& error, int exit_code = 125) { return {error.message(), error.sys_errno(), exit_code}; }

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (const auto& text : texts) list.push_back(const_cast<char*>(text.c_str()));  // NOLINT: execve's old signature
  list.push_back(nullptr);
  return list;
}

std::optional<std::string> variable(const std::vector<std::string>& env, std::string_view name) {
  for (const auto& entry : env) {
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') {
      return entry.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

/// An account file of the container: a regular file of sane size, or nothing (an image may lack it or play tricks).
std::string account_file(int root, const char* path) {
  auto fd = rootfs::open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) return {};
  struct stat status{};
  if (::fstat(fd->get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  return sys::read_all(fd->get(), std::size_t{16} << 20).value_or({});
}

/// Of a variable that is given several times the last one counts, as with runc.
std::vector<std::string> without_repetitions(const std::vector<std::string>& env) {
  std::vector<std::string> result;
  std::set<std::string_view> seen;
  for (auto entry = env.rbegin(); entry != env.rend(); ++entry) {
    if (seen.insert(std::string_view{*entry}.substr(0, entry->find('='))).second) result.push_back(*entry);
  }
  std::ranges::reverse(result);
  return result;
}

struct Identity {
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::uint32_t> groups;
};

Result<Identity> resolve_identity(const ProcessPlan& plan, std::vector<std::string>& env) {
  Identity who{plan.uid, plan.gid, plan.groups};
  const bool wants_home = variable(env, "HOME").value_or("").empty();
  if (plan.user.empty() && !wants_home) return who;
  const UniqueFd root{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  const std::string passwd = account_file(root.get(), "/etc/passwd");
  std::string home;
  if (plan.user.empty()) {
    home = security::home_of(plan.uid, passwd);
  } else {
    TRY_ASSIGN(const auto user, security::resolve_user(plan.user, passwd, account_file(root.get(), "/etc/group")));
    who.uid = user.uid;
    who.gid = user.gid;
    who.groups = user.groups;
    for (const std::uint32_t extra : plan.groups) {
      if (std::ranges::find(who.groups, extra) == who.groups.end()) who.groups.push_back(extra);
    }
    home = user.home;
  }
  if (wants_home) {
    std::erase_if(env, [](const auto& entry) { return entry.starts_with("HOME="); });
    env.push_back("HOME=" + home);
  }
  return who;
}

Result<void> set_limits(const ProcessPlan& plan) {
  for (const auto& limit : plan.limits) {
    const rlimit value{limit.soft, limit.hard};
    if (::setrlimit(static_cast<__rlimit_resource_t>(limit.resource), &value) != 0) {
      return os_error("process.rlimits: set limit {} to {}:{}", limit.resource, limit.soft, limit.hard);
    }
  }
  return {};
}

struct SchedulerAttributes {  // struct sched_attr of sched_setattr(2)
  std::uint32_t size;
  std::uint32_t policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime, deadline, period;
};

Result<void> set_scheduler(const ProcessPlan& plan) {
  if (plan.scheduler) {
    const auto& wanted = *plan.scheduler;
    SchedulerAttributes attributes{};
    attributes.size = sizeof attributes;
    attributes.policy = wanted.policy;
    attributes.flags = wanted.flags;
    attributes.nice = wanted.nice;
    attributes.priority = wanted.priority;
    attributes.runtime = wanted.runtime;
    attributes.deadline = wanted.deadline;
    attributes.period = wanted.period;
    if (::syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) {
      const bool needs_all_cpus = errno == EPERM && wanted.runtime != 0;
      return os_error("process.scheduler{}",
                      needs_all_cpus ? ": a deadline can't be used together with linux.resources.cpu.cpus" : "");
    }
  }
  if (plan.io_priority && ::syscall(SYS_ioprio_set, 1, 0, *plan.io_priority) != 0) {
    return os_error("process.ioPriority");
  }
  if (plan.memory_policy) {
    const auto& policy = *plan.memory_policy;
    // The kernel reads one bit less than it is told (set_mempolicy(2), "Bugs").
    const std::size_t bits = policy.nodes.empty() ? 0 : policy.nodes.size() * 64 + 1;
    if (::syscall(SYS_set_mempolicy, policy.mode, policy.nodes.empty() ? nullptr : policy.nodes.data(), bits) != 0) {
      return os_error("linux.memoryPolicy");
    }
  }
  return {};
}

/// The executable as execvp(3) would find it, with the messages that users of runtimes know.
Result<std::string> find_program(const ProcessPlan& plan, const std::vector<std::string>& env, int& exit_code) {
  const std::string& name = plan.args.front();
  exit_code = 127;
  const auto check = [](const std::string& path) -> int {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) return errno;
    if (S_ISDIR(status.st_mode)) return EISDIR;
    return ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
  };
  if (name.find('/') != std::string::npos) {
    const int code = check(name);
    if (code == 0) return name;
    if (code != ENOENT && code != ENOTDIR) exit_code = 126;
    return os_error_from(
        code, code == ENOENT ? fmt::format("exec: \"{}\": stat {}", name, name) : fmt::format("exec: \"{}\"", name));
  }
  int worst = ENOENT;
  for (const auto& folder : split(variable(env, "PATH").value_or(""), ':')) {
    const std::string path = (folder.empty() ? std::string{"."} : folder) + "/" + name;
    const int code = name.empty() ? ENOENT : check(path);
    if (code == 0) return path;
    if (code == EACCES) worst = EACCES;
  }
  if (worst == EACCES) {
    exit_code = 126;
    return os_error_from(EACCES, fmt::format("exec: \"{}\"", name));
  }
  return Error{Errc::not_found, fmt::format("exec: \"{}\": executable file not found in $PATH", name), ENOENT};
}

/// Enters the working directory without a way out: it is opened below the root, never through a link of /proc
/// (CVE-2024-21626), and must be reachable from the root afterwards.
Result<void> enter_directory(const std::string& cwd) {
  const UniqueFd root{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  TRY_ASSIGN(const UniqueFd directory, rootfs::open_in_root(root.get(), cwd, O_PATH | O_DIRECTORY).with("process.cwd"));
  if (::fchdir(directory.get()) != 0) return os_error("process.cwd: chdir to cwd (\"{}\")", cwd);
  std::array<char, 4097> buffer{};
  const long size = ::syscall(SYS_getcwd, buffer.data(), buffer.size());
  if (size <= 0 || buffer[0] != '/') {
    return make_error(Errc::invalid, "process.cwd: \"{}\" is outside of the container's root", cwd);
  }
  return {};
}

/// Pipes and the terminal belong to the container's user, so that it can open /dev/stderr anew, as under Docker.
void give_stdio(const ProcessPlan& plan, const Identity& who) {
  for (int fd = 0; fd < 3; ++fd) {
    struct stat status{};
    if (::fstat(fd, &status) != 0 || status.st_uid == who.uid) continue;
    if (S_ISFIFO(status.st_mode) || (plan.terminal && S_ISCHR(status.st_mode))) {
      (void)!::fchown(fd, who.uid, status.st_gid);
    }
  }
}

Result<void> write_label(int fd, const std::string& text) {
  if (::write(fd, text.data(), text.size()) < 0) return os_error("security label \"{}\"", text);
  return {};
}

Result<void> send_listener(int listener, const BecomeHooks& hooks) {
  if (listener < 0) return {};
  const UniqueFd owned{listener};
  const std::array<int, 1> fds{listener};
  return sys::send_message(hooks.sync, std::string(1, sync::kListener), fds);
}

/// Ids, capabilities and the filter, in the one order that works: the bounding set and the ids need rights that the
/// end state may not have; the filter needs CAP_SYS_ADMIN unless no_new_privs is set.
Result<void> drop_rights(const ProcessPlan& plan, const Identity& who, const BecomeHooks& hooks) {
  if (plan.set_capabilities) TRY(security::limit_bounding(plan.capabilities.bounding));
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return os_error("keep capabilities");
  if (::setgroups(who.groups.size(), who.groups.data()) != 0) {
    // In a user namespace without setgroups there is nothing to shed either.
    if (errno != EPERM || !who.groups.empty()) return os_error("process.user: set the supplementary groups");
  }
  if (::setresgid(who.gid, who.gid, who.gid) != 0) return os_error("process.user: set gid {}", who.gid);
  if (::setresuid(who.uid, who.uid, who.uid) != 0) return os_error("process.user: set uid {}", who.uid);
  const bool filter = !plan.seccomp_program.empty();
  const auto& caps = plan.capabilities;
  if (plan.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return os_error("no_new_privs");
  const auto settle = [&]() -> Result<void> {
    if (!plan.set_capabilities) return {};
    TRY(security::set_capabilities(caps.effective, caps.permitted, caps.inheritable));
    return security::set_ambient(caps.ambient);
  };
  if (plan.no_new_privileges || !filter) TRY(settle());
  if (filter) {
    if (!plan.no_new_privileges && plan.set_capabilities) {
      // Ids may have changed: the effective set was cleared then, the permitted one kept.
      TRY(security::set_capabilities(caps.effective | kSysAdmin, caps.permitted | kSysAdmin, caps.inheritable));
    }
    TRY_ASSIGN(const int listener, security::load_seccomp(plan.seccomp_program, plan.seccomp_flags));
    TRY(send_listener(listener, hooks));
    if (!plan.no_new_privileges) TRY(settle());
  }
  return {};
}

void join_keyring(const BecomeHooks& hooks) {
  if (!hooks.new_keyring) return;
  const std::string name = "_ses." + hooks.keyring_name;
  // A kernel without keys, or a quota used up, is no reason not to start.
  ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.c_str(), 0, 0, 0);
}

}  // namespace

void reset_signals() {
  struct sigaction fresh{};
  fresh.sa_handler = SIG_DFL;
  for (int signo = 1; signo < NSIG; ++signo) ::sigaction(signo, &fresh, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void reset_affinity() {
  std::array<unsigned long, 128> all{};
  all.fill(~0UL);
  // Of the CPUs named, the kernel takes those that are there and allowed.
  ::syscall(SYS_sched_setaffinity, 0, sizeof all, all.data());
}

Result<void> set_affinity(const std::vector<std::uint64_t>& cpus) {
  if (::syscall(SYS_sched_setaffinity, 0, cpus.size() * sizeof cpus[0], cpus.data()) < 0) {
    return os_error("process.execCPUAffinity");
  }
  return {};
}

void close_other_fds(int first, std::vector<int> keep) {
  std::ranges::sort(keep);
  for (const int fd : keep) {
    if (fd < first) continue;
    if (fd > first) ::close_range(static_cast<unsigned>(first), static_cast<unsigned>(fd - 1), 0);
    first = fd + 1;
  }
  ::close_range(static_cast<unsigned>(first), ~0U, 0);
}

Result<void> place_stdio(int input, int output, int error) {
  // Out of the way first, so that no move overwrites the source of the next one.
  std::array<int, 3> wanted{input, output, error};
  for (int& fd : wanted) {
    if (fd > 2) continue;
    fd = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) return os_error("standard streams");
  }
  for (int i = 0; i < 3; ++i) {
    if (::dup2(wanted[static_cast<std::size_t>(i)], i) < 0) return os_error("standard streams");
  }
  return {};
}

void fail(int sync, const Failure& failure) {
  (void)sys::send_message(sync, sync::encode(failure));
  ::_exit(failure.exit_code);
}

Failure become(const ProcessPlan& plan, const BecomeHooks& hooks) {
  std::vector<std::string> env = without_repetitions(plan.env);
  auto who = resolve_identity(plan, env);
  if (!who) return to_failure(who.error(), 126);
  if (auto done = set_limits(plan); !done) return to_failure(done.error());
  if (auto done = set_scheduler(plan); !done) return to_failure(done.error());
  if (plan.set_personality && ::personality(plan.personality) == -1) return {"linux.personality", errno, 125};
  join_keyring(hooks);
  give_stdio(plan, *who);
  if (auto done = enter_directory(plan.args.empty() ? "/" : plan.cwd); !done) return to_failure(done.error(), 126);
  int exit_code = 127;
  Result<std::string> program = std::string{};
  if (!plan.args.empty()) program = find_program(plan, env, exit_code);
  if (!program) return to_failure(program.error(), exit_code);
  if (hooks.before_drop) {
    if (auto done = hooks.before_drop(env); !done) return to_failure(done.error());
  }
  const std::string& label = plan.apparmor_profile.empty() ? plan.selinux_label : plan.apparmor_profile;
  if (hooks.label_fd >= 0 && !label.empty()) {
    const std::string text = plan.apparmor_profile.empty() ? label : "exec " + label;
    if (auto done = write_label(hooks.label_fd, text); !done) return to_failure(done.error());
  }
  if (auto done = drop_rights(plan, *who, hooks); !done) return to_failure(done.error());
  // After the ids: changing them clears it (prctl(2)).
  if (hooks.die_with_parent) ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::umask(plan.umask);
  reset_signals();
  const std::vector<char*> argv = pointers(plan.args);
  const std::vector<char*> envp = pointers(env);
  const char ready = sync::kExec;
  (void)!::write(hooks.sync, &ready, 1);
  ::close_range(static_cast<unsigned>(3 + hooks.preserve_fds), ~0U, CLOSE_RANGE_CLOEXEC);
  ::execve(program->c_str(), argv.data(), envp.data());
  const int code = errno;
  const Error error = os_error_from(code, fmt::format("exec {}", plan.args.front()));
  return to_failure(error, code == ENOENT || code == ENOTDIR ? 127 : 126);
}

}  // namespace compose::runtime::launch
