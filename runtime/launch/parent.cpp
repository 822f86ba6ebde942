#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "base/crash_point.hpp"
#include "base/strings.hpp"
#include "net/endpoint/device.hpp"
#include "runtime/launch/child.hpp"
#include "runtime/launch/hooks.hpp"
#include "runtime/launch/launch.hpp"
#include "runtime/launch/sync.hpp"
#include "runtime/rootfs/id_map.hpp"
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
  return plan.create_namespaces & ~std::uint64_t{CLONE_NEWCGROUP | CLONE_NEWTIME};
}

const NamespacePath* joined_user(const LaunchPlan& plan) {
  const auto found = std::ranges::find(plan.join_namespaces, std::uint64_t{CLONE_NEWUSER}, &NamespacePath::flag);
  return found == plan.join_namespaces.end() ? nullptr : &*found;
}

/// The process between: enters the user namespace and makes the container's process there, as a child of our own.
[[noreturn]] void make_in_user_namespace(const UniqueFd& space, std::uint64_t flags, int sync,
                                         const std::function<void()>& run) {
  int pidfd = -1;
  const auto make = [&]() -> Result<void> {
    if (::setns(space.get(), CLONE_NEWUSER) != 0) return os_error("join the user namespace");
    if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) return os_error("become root of the user namespace");
    clone_args arguments{};
    arguments.flags = flags | CLONE_PARENT | CLONE_PIDFD;
    arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);  // NOLINT: clone3(2)
    const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) run();
    if (pid < 0) return os_error("create the container's process and namespaces");
    return {};
  };
  const auto made = make();
  const std::array<int, 1> fds{pidfd};
  (void)(made ? sys::send_message(sync, "+", fds) : sys::send_message(sync, "-" + made.error().message()));
  ::_exit(0);
}

/// The number that this process knows a process by; in the pid namespace of the process between it has another.
Result<pid_t> pid_of(int pidfd) {
  constexpr std::string_view kField = "Pid:";
  TRY_ASSIGN(const std::string info, sys::read_file(fmt::format("/proc/self/fdinfo/{}", pidfd)));
  for (const auto& line : split(info, '\n')) {
    if (!line.starts_with(kField)) continue;
    const auto pid = parse_unsigned(trim(std::string_view{line}.substr(kField.size())));
    if (pid && *pid > 0) return static_cast<pid_t>(*pid);
  }
  return make_error(Errc::failed, "the container's process has gone");
}

/// With a user namespace to join, the others must be created inside of it, so that they belong to it.
Result<Cloned> clone_in_user_namespace(const NamespacePath& user, std::uint64_t flags, const UniqueFd& group,
                                       const std::function<void()>& run) {
  const UniqueFd space{::open(user.path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!space.valid()) return os_error("join namespace {}", user.path);
  TRY_ASSIGN(auto pair, sys::seqpacket_pair());
  TRY_ASSIGN(const Cloned between, clone_child(0, group));
  if (between.pid == 0) make_in_user_namespace(space, flags, pair.second.get(), run);
  pair.second.reset();
  auto message = sync::receive(pair.first.get());
  (void)sys::wait_child(between.pid);
  if (!message) return std::move(message).error();
  const std::string_view text = message->data;
  if (text != "+" || message->fds.size() != 1) {
    return make_error(Errc::failed, "{}", text.empty() ? "the user namespace's process has gone" : text.substr(1));
  }
  Cloned cloned;
  cloned.pidfd = std::move(message->fds[0]);
  TRY_ASSIGN(cloned.pid, pid_of(cloned.pidfd.get()));
  return cloned;
}

std::string own_namespace(std::uint64_t flag) {
  const char* name = flag == CLONE_NEWNET      ? "net"
                     : flag == CLONE_NEWIPC    ? "ipc"
                     : flag == CLONE_NEWUTS    ? "uts"
                     : flag == CLONE_NEWCGROUP ? "cgroup"
                                               : "time";
  return fmt::format("/proc/self/ns/{}", name);
}

/// Namespaces that this process is in for the moment of the clone.
class BorrowedNamespaces {
 public:
  BorrowedNamespaces() = default;
  BorrowedNamespaces(const BorrowedNamespaces&) = delete;
  BorrowedNamespaces& operator=(const BorrowedNamespaces&) = delete;
  ~BorrowedNamespaces() { (void)give_back(); }

  Result<void> enter(const NamespacePath& entry) {
    UniqueFd own{::open(own_namespace(entry.flag).c_str(), O_RDONLY | O_CLOEXEC)};
    const UniqueFd fd{::open(entry.path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!own.valid() || !fd.valid() || ::setns(fd.get(), static_cast<int>(entry.flag)) != 0) {
      return os_error("join namespace {}", entry.path);
    }
    own_.push_back(std::move(own));
    return {};
  }
  Result<void> give_back() {
    for (const auto& own : std::exchange(own_, {})) {
      if (::setns(own.get(), 0) != 0) return os_error("return to the own namespace");
    }
    return {};
  }

 private:
  std::vector<UniqueFd> own_;
};

/// A pid namespace is entered by children only, so the parent sets its own for them. Another user namespace may have no
/// rights over the other namespaces to be joined, so the process is born in them.
Result<void> choose_namespaces(const LaunchPlan& plan, ChildSetup& setup, BorrowedNamespaces& borrowed) {
  const bool other_user =
      ((plan.create_namespaces & CLONE_NEWUSER) != 0 || joined_user(plan) != nullptr) && ::geteuid() == 0;
  for (const auto& entry : plan.join_namespaces) {
    if (entry.flag == CLONE_NEWUSER) continue;
    if (other_user && entry.flag != CLONE_NEWPID && entry.flag != CLONE_NEWNS) {
      TRY(borrowed.enter(entry));
      continue;
    }
    if (entry.flag != CLONE_NEWPID) {
      setup.paths.push_back(entry);
      continue;
    }
    const UniqueFd fd{::open(entry.path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd.valid() || ::setns(fd.get(), CLONE_NEWPID) != 0) return os_error("join namespace {}", entry.path);
  }
  return {};
}

/// What a process in a new user namespace cannot take for itself: the pipes that are its standard streams, so that its
/// users can open /dev/stderr, and limits above ours.
Result<void> give_to_stranger(const LaunchPlan& plan, const Options& options, pid_t pid) {
  if ((plan.create_namespaces & CLONE_NEWUSER) == 0 || ::geteuid() != 0) return {};
  const auto uid = rootfs::id_outside(plan.uid_mappings, 0);
  const auto gid = rootfs::id_outside(plan.gid_mappings, 0);
  if (!plan.process.terminal && uid && gid) {
    for (const int fd : {options.stdio.input, options.stdio.output, options.stdio.error}) {
      struct stat status{};
      if (::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode)) (void)!::fchown(fd, *uid, *gid);
    }
  }
  for (const auto& limit : plan.process.limits) {
    const auto resource = static_cast<__rlimit_resource>(limit.resource);
    rlimit value{};
    if (::prlimit(pid, resource, nullptr, &value) != 0 || limit.hard <= value.rlim_max) continue;
    value.rlim_max = limit.hard;
    // Without the right to, the process itself fails and says so.
    (void)::prlimit(pid, resource, &value, nullptr);
  }
  return {};
}

std::string network_of(const LaunchPlan& plan, pid_t pid) {
  for (const auto& entry : plan.join_namespaces) {
    if (entry.flag == CLONE_NEWNET) return entry.path;
  }
  return fmt::format("/proc/{}/ns/net", pid);
}

bool readable(int socket) {
  pollfd poll{socket, POLLIN, 0};
  return ::poll(&poll, 1, 0) != 0;
}

Result<void> wait_for_birth(int socket) {
  TRY_ASSIGN(const sys::Message message, sync::receive(socket));
  if (message.data.size() == 1 && message.data[0] == sync::kBorn) return {};
  return make_error(Errc::failed, "the container's process ended before it had interfaces");
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
    TRY_ASSIGN(setup.prepared, rootfs::prepare_mounts(plan));
    BorrowedNamespaces borrowed;
    TRY(choose_namespaces(plan, setup, borrowed));
    setup.sync = pair.second.get();
    for (const auto& file : task_files) setup.task_files.push_back(file.get());
    Cloned cloned;
    if (const NamespacePath* user = joined_user(plan)) {
      const auto run = [&] { run_child(plan, options, setup); };
      TRY_ASSIGN(cloned, clone_in_user_namespace(*user, clone_flags(plan), unified, run));
    } else {
      TRY_ASSIGN(cloned, clone_child(clone_flags(plan), unified));
      if (cloned.pid == 0) run_child(plan, options, setup);
    }
    TRY(borrowed.give_back());
    s.pid = cloned.pid;
    s.pidfd = std::move(cloned.pidfd);
    s.sync = std::move(pair.first);
    pair.second.reset();
    TRY(write_maps(plan, s.pid));
    TRY(give_to_stranger(plan, options, s.pid));
    if (awaits_interfaces(plan)) TRY(wait_for_birth(s.sync.get()));
    for (const auto& attachment : plan.attachments) TRY(net::endpoint::create_pair(attachment, s.pid));
    TRY(net::endpoint::move_devices(plan.net_devices, network_of(plan, s.pid)).with("linux.netDevices"));
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
