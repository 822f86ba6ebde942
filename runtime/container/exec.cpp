#include "runtime/container/exec.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "runtime/launch/become.hpp"
#include "runtime/launch/hooks.hpp"
#include "runtime/launch/sync.hpp"
#include "runtime/rootfs/mounts.hpp"
#include "sys/file.hpp"
#include "sys/message.hpp"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace compose::runtime::container {
namespace {

using launch::Failure;
namespace sync = launch::sync;

/// The namespaces in which the container's process differs from us: joining one's own user namespace is an error
/// (setns(2)), joining the others again costs time.
std::uint64_t differing_namespaces(pid_t pid) {
  static constexpr std::array<std::pair<const char*, std::uint64_t>, 8> kTypes = {{{"user", CLONE_NEWUSER},
                                                                                   {"mnt", CLONE_NEWNS},
                                                                                   {"pid", CLONE_NEWPID},
                                                                                   {"net", CLONE_NEWNET},
                                                                                   {"ipc", CLONE_NEWIPC},
                                                                                   {"uts", CLONE_NEWUTS},
                                                                                   {"cgroup", CLONE_NEWCGROUP},
                                                                                   {"time", CLONE_NEWTIME}}};
  std::uint64_t flags = 0;
  for (const auto& [name, flag] : kTypes) {
    struct stat ours{};
    struct stat theirs{};
    const bool known = ::stat(fmt::format("/proc/self/ns/{}", name).c_str(), &ours) == 0 &&
                       ::stat(fmt::format("/proc/{}/ns/{}", pid, name).c_str(), &theirs) == 0;
    if (known && (ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev)) flags |= flag;
  }
  return flags;
}

struct Join {
  int container = -1;  ///< pidfd of its first process
  std::uint64_t namespaces = 0;
  std::vector<int> task_files;
  int sync = -1;
  int label = -1;
  int root = -1;  ///< of a container that shares its mount namespace: its root is a chroot(2)
};

Failure failure_of(const Error& error) { return {error.message(), error.sys_errno(), 125}; }

Result<void> take_terminal(const launch::ProcessPlan& process, bool relayed, int sync_fd) {
  const UniqueFd root{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  TRY_ASSIGN(const rootfs::Terminal terminal, rootfs::open_terminal(root.get(), relayed));
  const winsize size{process.rows, process.columns, 0, 0};
  if (size.ws_row != 0) ::ioctl(terminal.master.get(), TIOCSWINSZ, &size);
  const std::array<int, 1> fds{terminal.master.get()};
  TRY(sys::send_message(sync_fd, std::string(1, sync::kTerminal), fds));
  TRY(launch::place_stdio(terminal.slave.get(), terminal.slave.get(), terminal.slave.get()));
  if (::ioctl(0, TIOCSCTTY, 0) != 0) return os_error("terminal: make it the controlling one");
  return {};
}

Result<void> enter(const launch::ProcessPlan& process, const ExecOptions& options, Join& join) {
  // Files of an undumpable process belong to the machine's root, so these are opened first.
  UniqueFd oom_score;
  if (process.oom_score_adj) {
    oom_score.reset(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
    if (!oom_score.valid()) return os_error("process.oomScoreAdj");
  }
  if (!process.apparmor_profile.empty() || !process.selinux_label.empty()) {
    join.label = ::open("/proc/self/attr/exec", O_WRONLY | O_CLOEXEC);
  }
  // Undumpable before the container's processes can see us (CVE-2016-9962).
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return os_error("make the process undumpable");
  if (!process.terminal) TRY(launch::place_stdio(options.stdio.input, options.stdio.output, options.stdio.error));
  std::vector<int> keep = join.task_files;
  keep.push_back(join.container);
  keep.push_back(join.sync);
  if (join.root >= 0) keep.push_back(join.root);
  if (join.label >= 0) keep.push_back(join.label);
  if (oom_score.valid()) keep.push_back(oom_score.get());
  launch::close_other_fds(3 + options.preserve_fds, keep);
  for (const int file : join.task_files) {
    if (::write(file, "0", 1) != 1) return os_error("enter the control group");
    ::close(file);
  }
  if (process.exec_cpus_final.empty()) {
    launch::reset_affinity();
  } else {
    TRY(launch::set_affinity(process.exec_cpus_final));
  }
  if (oom_score.valid()) {
    TRY(sys::write_all(oom_score.get(), std::to_string(*process.oom_score_adj)).with("process.oomScoreAdj"));
    oom_score.reset();
  }
  if (::setns(join.container, static_cast<int>(join.namespaces)) != 0)
    return os_error("join the container's namespaces");
  ::close(join.container);
  if (join.root >= 0) {
    if (::fchdir(join.root) != 0 || ::chroot(".") != 0) return os_error("enter the container's root");
    ::close(join.root);
  }
  if ((join.namespaces & CLONE_NEWUSER) != 0 && (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0)) {
    return os_error("become root of the user namespace");
  }
  if (::setsid() < 0) return os_error("setsid");
  return process.terminal ? take_terminal(process, options.relayed_terminal, join.sync) : Result<void>{};
}

[[noreturn]] void run_exec_child(const launch::ProcessPlan& process, const ExecOptions& options, Join& join,
                                 const std::string& id) {
  if (auto done = enter(process, options, join); !done) launch::fail(join.sync, failure_of(done.error()));
  launch::BecomeHooks hooks;
  hooks.sync = join.sync;
  hooks.preserve_fds = options.preserve_fds;
  hooks.keyring_name = id;
  hooks.label_fd = join.label;
  hooks.die_with_parent = options.die_with_us;
  launch::fail(join.sync, launch::become(process, hooks));
}

Result<pid_t> clone_exec(int group, UniqueFd& pidfd) {
  clone_args arguments{};
  int fd = -1;
  arguments.flags = CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&fd);  // NOLINT: clone3(2)
  arguments.exit_signal = SIGCHLD;
  if (group >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(group);
  }
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) return os_error("create the process");
  if (pid > 0) pidfd.reset(fd);
  return static_cast<pid_t>(pid);
}

}  // namespace

Result<ExecProcess> exec_in(const Container& container, const launch::ProcessPlan& process,
                            const ExecOptions& options) {
  TRY_ASSIGN(const UniqueFd init, container.open_process());
  Join join;
  join.container = init.get();
  const std::uint64_t differing = differing_namespaces(container.pid());
  UniqueFd unified;
  std::vector<UniqueFd> task_files;
  if (auto group = container.group()) {
    for (const auto& [controllers, sub] : options.cgroups) {
      TRY_ASSIGN(group, group->below(controllers, sub).with("--cgroup"));
    }
    TRY_ASSIGN(unified, group->unified_fd());
    TRY_ASSIGN(task_files, group->task_files());
    for (const auto& file : task_files) join.task_files.push_back(file.get());
  }
  UniqueFd root;
  if (options.shared_mounts) {
    root.reset(::open(fmt::format("/proc/{}/root", container.pid()).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root.valid() || !container.alive()) return os_error("open the container's root");
    join.root = root.get();
  }
  if (options.owner && !process.terminal) {
    // So that the container's users can open /dev/stderr: inside, our ids do not exist.
    for (const int fd : {options.stdio.input, options.stdio.output, options.stdio.error}) {
      struct stat status{};
      if (::fstat(fd, &status) != 0 || !S_ISFIFO(status.st_mode)) continue;
      (void)!::fchown(fd, options.owner->first, options.owner->second);
    }
  }
  // "The runtime's parent process" of the specification; the child starts with the same.
  if (!process.exec_cpus_initial.empty()) TRY(launch::set_affinity(process.exec_cpus_initial));
  TRY_ASSIGN(auto pair, sys::seqpacket_pair());
  join.sync = pair.second.get();
  join.namespaces = differing & ~std::uint64_t{CLONE_NEWPID};
  if ((differing & CLONE_NEWPID) != 0 && ::setns(init.get(), CLONE_NEWPID) != 0) {
    return os_error("join the container's pid namespace");
  }
  ExecProcess result;
  auto pid = clone_exec(unified.get(), result.pidfd);
  if (!pid && pid.error().sys_errno() == EBUSY && options.cgroups.empty()) {
    // An init like systemd has made groups of its own: where it is there is room.
    TRY_ASSIGN(unified, container.group()->unified_fd_of(container.pid()));
    pid = clone_exec(unified.get(), result.pidfd);
  }
  TRY_ASSIGN(result.pid, std::move(pid));
  if (result.pid == 0) run_exec_child(process, options, join, container.id());
  result.sync = std::move(pair.first);
  return result;
}

Result<ExecProcess::Outcome> ExecProcess::wait_started(const launch::LaunchPlan& container) {
  Outcome outcome;
  bool about_to_exec = false;
  for (;;) {
    TRY_ASSIGN(sys::Message message, sync::receive(sync.get()));
    if (message.data.empty()) break;
    if (message.data[0] == sync::kExec) about_to_exec = true;
    if (message.data[0] == sync::kTerminal && message.fds.size() == 1) outcome.terminal = std::move(message.fds[0]);
    if (message.data[0] == sync::kListener && message.fds.size() == 1) {
      const std::string state = launch::state_json(container, "running", pid);
      TRY(sync::send_listener(container.process, message.fds[0].get(), pid, state));
    }
    if (message.data[0] == sync::kFailed) {
      outcome.failure = sync::decode_failure(message.data);
      return outcome;
    }
  }
  if (!about_to_exec) outcome.failure = Failure{"the process ended before it ran its program", 0, 125};
  return outcome;
}

}  // namespace compose::runtime::container
