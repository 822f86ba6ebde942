#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/crash_point.hpp"
#include "runtime/launch/child.hpp"
#include "runtime/launch/hooks.hpp"
#include "runtime/launch/launch.hpp"
#include "runtime/launch/sync.hpp"
#include "sys/file.hpp"
#include "sys/message.hpp"
#include "sys/process.hpp"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace compose::runtime::launch {

struct Launch::State {
  const LaunchPlan* plan = nullptr;
  pid_t pid = 0;
  UniqueFd pidfd, sync;
  std::optional<cgroup::Group> group;
  bool about_to_exec = false;
  bool ports_open = false;

  /// The container has configured its interfaces: its bridges may forward to it
  /// at once.
  void open_ports() {
    if (std::exchange(ports_open, true)) return;
    for (const auto& attachment : plan->attachments) (void)net::endpoint::open_port(attachment);
  }
};

namespace {

struct Cloned {
  pid_t pid = 0;
  UniqueFd pidfd;
};

Result<Cloned> clone_child(std::uint64_t flags, const UniqueFd& group) {
  clone_args arguments{};
  int pidfd = -1;
  arguments.flags = flags | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);  // NOLINT: clone3(2)
  arguments.exit_signal = SIGCHLD;
  if (group.valid()) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(group.get());
  }
  crash_point("clone");
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid > 0) crash_point("cloned");
  if (pid < 0) return os_error("create the container's process and namespaces");
  return Cloned{static_cast<pid_t>(pid), UniqueFd{pidfd}};
}

Result<void> write_maps(const LaunchPlan& plan, pid_t pid) {
  if (plan.uid_mappings.empty()) return {};
  if (::geteuid() != 0) {
    // An ordinary user may map its own gid only after giving up setgroups
    // (user_namespaces(7)).
    TRY(sys::write_kernel_file(fmt::format("/proc/{}/setgroups", pid), "deny"));
  }
  TRY(sys::write_kernel_file(fmt::format("/proc/{}/uid_map", pid), rootfs::map_text(plan.uid_mappings))
          .with("linux.uidMappings"));
  return sys::write_kernel_file(fmt::format("/proc/{}/gid_map", pid), rootfs::map_text(plan.gid_mappings))
      .with("linux.gidMappings");
}

/// What clone3 creates; the rest the child unshares at its right moment.
std::uint64_t clone_flags(const LaunchPlan& plan) {
  const std::uint64_t later = CLONE_NEWCGROUP | CLONE_NEWTIME;
  const bool joins_user =
      std::ranges::any_of(plan.join_namespaces, [](const auto& entry) { return entry.flag == CLONE_NEWUSER; });
  // With a user namespace to join, the others must be created inside of it.
  return joins_user ? plan.create_namespaces & CLONE_NEWPID : plan.create_namespaces & ~later;
}

/// A pid namespace is entered by children only, so the parent sets its own for
/// them.
Result<void> choose_pid_namespace(const LaunchPlan& plan, ChildSetup& setup) {
  for (const auto& entry : plan.join_namespaces) {
    if (entry.flag != CLONE_NEWPID) {
      // The user namespace comes first: it decides on the rights to join the
      // others.
      setup.paths.insert(entry.flag == CLONE_NEWUSER ? setup.paths.begin() : setup.paths.end(), entry);
      continue;
    }
    const UniqueFd fd{::open(entry.path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd.valid() || ::setns(fd.get(), CLONE_NEWPID) != 0) return os_error("join namespace {}", entry.path);
  }
  return {};
}

bool readable(int socket) {
  pollfd poll{socket, POLLIN, 0};
  return ::poll(&poll, 1, 0) != 0;
}

/// Tells the child to go on. A child that is gone already has left its reason
/// in the socket: receive() finds it.
Result<void> tell_child(int socket, std::string_view text) {
  auto sent = sys::send_message(socket, text);
  if (!sent && sent.error().sys_errno() != EPIPE && sent.error().sys_errno() != ECONNRESET) return sent;
  return {};
}

}  // namespace

Launch::Launch(std::unique_ptr<State> state) : state_{std::move(state)} {}
Launch::Launch(Launch&&) noexcept = default;
Launch& Launch::operator=(Launch&&) noexcept = default;
Launch::~Launch() = default;
pid_t Launch::pid() const { return state_->pid; }
int Launch::pidfd() const { return state_->pidfd.get(); }
UniqueFd Launch::take_pidfd() { return std::move(state_->pidfd); }
int Launch::fd() const { return state_->sync.get(); }

Result<Launch> Launch::begin(const LaunchPlan& plan, const Options& options) {
  auto state = std::make_unique<State>();
  state->plan = &plan;
  UniqueFd unified;
  std::vector<UniqueFd> task_files;
  if (plan.use_cgroup) {
    TRY_ASSIGN(state->group, cgroup::Group::create(plan.layout, plan.cgroup));
  }
  Launch launch{std::move(state)};
  const auto start = [&]() -> Result<void> {
    State& s = *launch.state_;
    if (s.group) {
      TRY_ASSIGN(unified, s.group->unified_fd());
      TRY_ASSIGN(task_files, s.group->task_files());
    }
    TRY_ASSIGN(auto pair, sys::seqpacket_pair());
    ChildSetup setup;
    TRY_ASSIGN(setup.mapped, rootfs::make_mapped_mounts(plan));
    TRY(choose_pid_namespace(plan, setup));
    setup.sync = pair.second.get();
    for (const auto& file : task_files) setup.task_files.push_back(file.get());
    TRY_ASSIGN(Cloned cloned, clone_child(clone_flags(plan), unified));
    if (cloned.pid == 0) run_child(plan, options, setup);
    s.pid = cloned.pid;
    s.pidfd = std::move(cloned.pidfd);
    s.sync = std::move(pair.first);
    pair.second.reset();
    TRY(write_maps(plan, s.pid));
    for (const auto& attachment : plan.attachments) TRY(net::endpoint::create_pair(attachment, s.pid));
    return tell_child(s.sync.get(), sync::kGo + std::to_string(s.pid));
  };
  if (auto done = start(); !done) {
    // What the child has to say about its own end is the better reason;
    // receive() reads it.
    if (launch.state_->sync.valid() && readable(launch.state_->sync.get())) return launch;
    launch.abandon();
    return std::move(done).error();
  }
  return launch;
}

Result<std::optional<Notice>> Launch::receive(bool wait) {
  State& s = *state_;
  for (;;) {
    if (!wait && !readable(s.sync.get())) return std::optional<Notice>{};
    TRY_ASSIGN(sys::Message message, sync::receive(s.sync.get()));
    std::optional<Notice> notice{std::in_place};
    if (message.data.empty()) {
      notice->kind = s.about_to_exec ? Notice::Kind::running : Notice::Kind::failed;
      if (!s.about_to_exec) notice->failure.message = "the container's process ended before it ran its program";
      return notice;
    }
    switch (message.data[0]) {
      case sync::kTerminal:
        if (message.fds.size() != 1) break;
        notice->kind = Notice::Kind::terminal;
        notice->terminal = std::move(message.fds[0]);
        return notice;
      case sync::kResolver:
        if (message.fds.size() != 2) break;
        s.open_ports();
        notice->kind = Notice::Kind::resolver;
        notice->resolver = {std::move(message.fds[0]), std::move(message.fds[1])};
        return notice;
      case sync::kReady:
        s.open_ports();
        notice->kind = Notice::Kind::ready;
        return notice;
      case sync::kFailed:
        notice->kind = Notice::Kind::failed;
        notice->failure = sync::decode_failure(message.data);
        return notice;
      case sync::kExec:
        s.about_to_exec = true;
        s.open_ports();
        continue;
      case sync::kHooks: {
        // The deprecated prestart hooks saw a created container in the version
        // that defined them, and crun's still do.
        TRY(run_hooks(s.plan->prestart, state_json(*s.plan, "created", s.pid), "prestart"));
        TRY(run_hooks(s.plan->create_runtime, state_json(*s.plan, "creating", s.pid), "createRuntime"));
        TRY(tell_child(s.sync.get(), std::string(1, sync::kContinue)));
        continue;
      }
      case sync::kListener:
        if (message.fds.size() != 1) break;
        TRY(sync::send_listener(s.plan->process, message.fds[0].get(), s.pid, state_json(*s.plan, "creating", s.pid)));
        continue;
      default:
        break;
    }
    return make_error(Errc::corrupt, "the container's process sent an unknown message");
  }
}

Result<void> Launch::release() { return tell_child(state_->sync.get(), std::string(1, sync::kContinue)); }

void Launch::abandon() {
  State& s = *state_;
  if (s.pidfd.valid()) {
    (void)sys::send_signal(s.pidfd.get(), SIGKILL);
    (void)sys::wait_child(s.pid);
    for (const auto& attachment : s.plan->attachments) (void)net::endpoint::remove_pair(attachment);
  }
  if (s.group) {
    (void)s.group->kill_all();
    (void)s.group->wait_empty(2000);
    (void)s.group->remove();
  }
}

}  // namespace compose::runtime::launch
