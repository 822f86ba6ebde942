#include "runtime/launch/child.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "base/strings.hpp"
#include "runtime/launch/become.hpp"
#include "runtime/launch/hooks.hpp"
#include "runtime/launch/sync.hpp"
#include "runtime/rootfs/mounts.hpp"
#include "runtime/rootfs/paths.hpp"
#include "sys/file.hpp"
#include "sys/message.hpp"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace compose::runtime::launch {
namespace {

class Child {
 public:
  Child(const LaunchPlan& plan, const Options& options, const ChildSetup& setup)
      : plan_{plan}, options_{options}, setup_{setup}, sync_{setup.sync} {}

  /// The recipe, in order. Returns only with a failure.
  Failure run() {
    if (auto done = prepare_network(); !done) return failure(done.error());
    if (auto done = prepare(); !done) return failure(done.error());
    if (auto done = build_root(); !done) return failure(done.error());
    if (auto done = set_up_network(); !done) return failure(done.error());
    if (auto done = enter_root(); !done) return failure(done.error());
    BecomeHooks hooks;
    hooks.sync = sync_;
    hooks.preserve_fds = options_.preserve_fds;
    hooks.new_keyring = options_.new_keyring;
    hooks.keyring_name = plan_.container_id;
    hooks.label_fd = label_.get();
    hooks.before_drop = [&](const auto& env) { return before_drop(env); };
    return become(plan_.process, hooks);
  }
  int sync() const { return sync_; }

 private:
  static Failure failure(const Error& error) { return {error.message(), error.sys_errno(), 125}; }
  bool creates(std::uint64_t flag) const { return (plan_.create_namespaces & flag) != 0; }

  void make_own_proc();
  Result<void> prepare_network();
  Result<void> prepare();
  Result<void> open_process_files();
  Result<void> settle_descriptors();
  Result<void> join_namespaces();
  Result<void> enter_shared_mounts();
  Result<void> wait_for_go();
  Result<void> own_time();
  Result<void> build_root();
  Result<void> open_console();
  Result<void> set_up_network();
  Result<void> set_names();
  Result<void> enter_root();
  Result<void> before_drop(const std::vector<std::string>& env);
  std::string state(const char* status) const { return state_json(plan_, status, host_pid_); }

  const LaunchPlan& plan_;
  const Options& options_;
  const ChildSetup& setup_;
  int sync_;
  bool gone_ = false;
  bool ipv6_is_off_ = false;
  pid_t host_pid_ = 0;
  UniqueFd root_;
  UniqueFd proc_;      ///< the container's proc file system, before it is mounted
  UniqueFd settings_;  ///< its directory "sys", which is read-only later; invalid: the host's is written to
  UniqueFd label_;
  UniqueFd time_offsets_;
  UniqueFd oom_score_;
};

/// The settings of a new network are written through a proc file system that only this container has: see
/// net::endpoint::configure(). It needs a pid namespace of its own; the root of a user namespace may not make one here.
void Child::make_own_proc() {
  if (!creates(CLONE_NEWPID) || !creates(CLONE_NEWNET) || creates(CLONE_NEWUSER)) return;
  auto made = rootfs::new_proc();
  if (!made) return;
  proc_ = std::move(*made);
  settings_.reset(::openat(proc_.get(), "sys", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/// First of all, because the parent waits for it.
Result<void> Child::prepare_network() {
  make_own_proc();
  if (!awaits_interfaces(plan_)) return {};
  ipv6_is_off_ = net::endpoint::ipv6_off_by_default(plan_.attachments, settings_.get());
  return sys::send_message(sync_, std::string(1, sync::kBorn));
}

/// Closes what belongs to the parent, early: a process in a shared pid
/// namespace might look at our descriptors.
Result<void> Child::settle_descriptors() {
  if (!plan_.process.terminal) {
    TRY(place_stdio(options_.stdio.input, options_.stdio.output, options_.stdio.error));
  }
  std::vector<int> keep{sync_};
  keep.insert(keep.end(), setup_.task_files.begin(), setup_.task_files.end());
  for (const auto& mount : setup_.prepared.mounts) keep.push_back(mount.tree.get());
  if (setup_.prepared.root.valid()) keep.push_back(setup_.prepared.root.get());
  if (options_.start_listener >= 0) keep.push_back(options_.start_listener);
  for (const UniqueFd* file : {&proc_, &settings_, &label_, &time_offsets_, &oom_score_}) {
    if (file->valid()) keep.push_back(file->get());
  }
  close_other_fds(3 + options_.preserve_fds, keep);
  return {};
}

/// All writes to /proc go through the host's own proc file system or a new one that is nowhere mounted yet, which no
/// image can have touched (CVE-2025-52881).
/// The files are opened before anything else: those of an undumpable process belong to the machine's root.
Result<void> Child::open_process_files() {
  if (!plan_.time_offsets.empty()) time_offsets_.reset(::open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC));
  if (plan_.process.oom_score_adj) {
    oom_score_.reset(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
    if (!oom_score_.valid()) return os_error("process.oomScoreAdj");
  }
  if (!plan_.process.apparmor_profile.empty()) {
    label_.reset(::open("/proc/self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC));
    if (!label_.valid()) label_.reset(::open("/proc/self/attr/exec", O_WRONLY | O_CLOEXEC));
    if (!label_.valid()) return os_error("process.apparmorProfile");
  } else if (!plan_.process.selinux_label.empty()) {
    label_.reset(::open("/proc/self/attr/exec", O_WRONLY | O_CLOEXEC));
    if (!label_.valid()) return os_error("process.selinuxLabel");
  }
  return {};
}

Result<void> Child::prepare() {
  TRY(open_process_files());
  // Nothing inside may read our memory or reach our program through /proc before it is replaced (CVE-2016-9962). In a
  // user namespace of its own that comes after the maps: an ordinary user could not write those of an undumpable
  // process, and nobody else is in there yet.
  const auto become_undumpable = []() -> Result<void> {
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return os_error("make the process undumpable");
    return {};
  };
  if (!creates(CLONE_NEWUSER)) TRY(become_undumpable());
  ::umask(0);
  TRY(settle_descriptors());
  for (const int file : setup_.task_files) {
    if (::write(file, "0", 1) != 1) return os_error("enter the control group");
    ::close(file);
  }
  reset_affinity();
  if (::setsid() < 0) return os_error("setsid");
  TRY(join_namespaces());
  if (creates(CLONE_NEWUSER)) {
    TRY(wait_for_go());
    TRY(become_undumpable());
    if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) return os_error("become root of the user namespace");
  }
  // Only now: the namespace's root is the group one is in when it is made.
  if (creates(CLONE_NEWCGROUP) && ::unshare(CLONE_NEWCGROUP) != 0) return os_error("create the cgroup namespace");
  if (creates(CLONE_NEWTIME)) TRY(own_time());
  if (oom_score_.valid()) {
    TRY(sys::write_all(oom_score_.get(), std::to_string(*plan_.process.oom_score_adj)).with("process.oomScoreAdj"));
    oom_score_.reset();
  }
  return set_names();
}

Result<void> Child::join_namespaces() {
  for (const auto& entry : setup_.paths) {
    // Last of all: until then /proc is the host's.
    if (entry.flag == CLONE_NEWNS) continue;
    const UniqueFd fd{::open(entry.path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd.valid()) return os_error("join namespace {}", entry.path);
    if (::setns(fd.get(), static_cast<int>(entry.flag)) != 0) return os_error("join namespace {}", entry.path);
  }
  return {};
}

Result<void> Child::wait_for_go() {
  if (gone_) return {};
  gone_ = true;
  TRY_ASSIGN(const sys::Message message, sync::receive(sync_));
  if (message.data.empty() || message.data[0] != sync::kGo) {
    return make_error(Errc::cancelled, "the runtime gave up");
  }
  host_pid_ = static_cast<pid_t>(parse_unsigned(std::string_view{message.data}.substr(1)).value_or(0));
  return {};
}

Result<void> Child::own_time() {
  if (::unshare(CLONE_NEWTIME) != 0) return os_error("create the time namespace");
  // Offsets can be set until the first process is in (time_namespaces(7)).
  if (!plan_.time_offsets.empty()) {
    TRY(sys::write_all(time_offsets_.get(), plan_.time_offsets).with("linux.timeOffsets"));
    time_offsets_.reset();
  }
  const UniqueFd fd{::open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC)};
  if (!fd.valid() || ::setns(fd.get(), CLONE_NEWTIME) != 0) return os_error("enter the time namespace");
  return {};
}

Result<void> Child::set_names() {
  if (!plan_.hostname.empty() && ::sethostname(plan_.hostname.c_str(), plan_.hostname.size()) != 0) {
    return os_error("hostname \"{}\"", plan_.hostname);
  }
  if (!plan_.domainname.empty() && ::setdomainname(plan_.domainname.c_str(), plan_.domainname.size()) != 0) {
    return os_error("domainname \"{}\"", plan_.domainname);
  }
  return {};
}

Result<void> Child::build_root() {
  if (plan_.shared_mounts) return {};
  TRY_ASSIGN(root_, rootfs::mount_root(plan_, setup_.prepared));
  rootfs::StepRunner runner{plan_, root_.get(), setup_.prepared, proc_.get()};
  bool needs_console = plan_.process.terminal;
  for (const auto& step : plan_.steps) {
    if (step.type == "seal" && std::exchange(needs_console, false)) TRY(open_console());
    TRY(runner.run(step));
  }
  // Whatever else this process may still reach, a whole tree of the host is not
  // among it.
  proc_.reset();
  for (const auto& mount : setup_.prepared.mounts) ::close(mount.tree.get());
  if (setup_.prepared.root.valid()) ::close(setup_.prepared.root.get());
  if (needs_console) TRY(open_console());
  if (auto cwd = rootfs::make_directory_in_root(root_.get(), plan_.process.cwd); !cwd) {
    // A read-only root or a file in the way: entering it will say so.
    (void)cwd;
  }
  return {};
}

Result<void> Child::open_console() {
  TRY_ASSIGN(const rootfs::Terminal terminal, rootfs::open_terminal(root_.get(), options_.relayed_terminal));
  const winsize size{plan_.process.rows, plan_.process.columns, 0, 0};
  if (size.ws_row != 0) ::ioctl(terminal.master.get(), TIOCSWINSZ, &size);
  TRY(rootfs::mount_console(root_.get(), terminal));
  const std::array<int, 1> fds{terminal.master.get()};
  TRY(sys::send_message(sync_, std::string(1, sync::kTerminal), fds));
  TRY(place_stdio(terminal.slave.get(), terminal.slave.get(), terminal.slave.get()));
  if (::ioctl(0, TIOCSCTTY, 0) != 0) return os_error("terminal: make it the controlling one");
  return {};
}

Result<void> Child::set_up_network() {
  TRY(wait_for_go());
  if (creates(CLONE_NEWNET)) TRY(net::endpoint::configure(plan_.attachments, ipv6_is_off_, settings_.get()));
  if (plan_.resolver) {
    TRY_ASSIGN(const auto sockets, net::endpoint::open_resolver());
    const std::array<int, 2> fds{sockets.udp.get(), sockets.tcp.get()};
    TRY(sys::send_message(sync_, std::string(1, sync::kResolver), fds));
  }
  for (const auto& [name, value] : plan_.sysctls) {
    TRY(sys::write_kernel_file_at(settings_.get(), settings_.valid() ? name : "/proc/sys/" + name, value)
            .with("linux.sysctl \"{}\"", name));
  }
  settings_.reset();
  return {};
}

Result<void> Child::enter_root() {
  if (!plan_.prestart.empty() || !plan_.create_runtime.empty()) {
    TRY(sys::send_message(sync_, std::string(1, sync::kHooks)));
    TRY_ASSIGN(const sys::Message message, sync::receive(sync_));
    if (message.data.empty() || message.data[0] != sync::kContinue) {
      return make_error(Errc::cancelled, "the runtime gave up");
    }
  }
  if (!plan_.create_container.empty()) {
    // In the container's root, which is not "/" yet: what runc's hooks count on.
    if (root_.valid() && ::fchdir(root_.get()) != 0) return os_error("enter the root");
    TRY(run_hooks(plan_.create_container, state("creating"), "createContainer"));
  }
  if (plan_.shared_mounts) return enter_shared_mounts();
  TRY(rootfs::pivot(root_.get(), options_.no_pivot));
  root_.reset();
  return rootfs::finish_root(plan_);
}

Result<void> Child::enter_shared_mounts() {
  for (const auto& entry : setup_.paths) {
    if (entry.flag != CLONE_NEWNS) continue;
    const UniqueFd fd{::open(entry.path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd.valid() || ::setns(fd.get(), CLONE_NEWNS) != 0) return os_error("join namespace {}", entry.path);
  }
  if (::chroot(plan_.root.c_str()) != 0 || ::chdir("/") != 0) return os_error("root.path: enter {}", plan_.root);
  return {};
}

/// Where `create` ends and waits for `start`.
Result<void> Child::before_drop(const std::vector<std::string>& env) {
  if (options_.hold) {
    TRY(sys::send_message(sync_, std::string(1, sync::kReady)));
    TRY_ASSIGN(const sys::Message message, sync::receive(sync_));
    if (message.data.empty()) return make_error(Errc::cancelled, "the runtime gave up");
  }
  if (options_.start_listener >= 0) {
    TRY(sys::send_message(sync_, std::string(1, sync::kReady)));
    const int starter = retry_eintr([&] { return ::accept4(options_.start_listener, nullptr, nullptr, SOCK_CLOEXEC); });
    if (starter < 0) return os_error("wait for start");
    ::close(options_.start_listener);
    // From here on errors go to whoever started us; the number stays, so that
    // become() need not know.
    if (::dup3(starter, sync_, O_CLOEXEC) < 0) return os_error("wait for start");
    ::close(starter);
  }
  if (plan_.process.args.empty()) return make_error(Errc::invalid, "process: missing in config.json");
  // These run inside the container: with its program's environment where they have none of their own.
  std::vector<HookPlan> hooks = plan_.start_container;
  for (auto& hook : hooks) {
    if (hook.env.empty()) hook.env = env;
  }
  return run_hooks(hooks, state("created"), "startContainer");
}

}  // namespace

void run_child(const LaunchPlan& plan, const Options& options, const ChildSetup& setup) {
  Child child{plan, options, setup};
  const Failure failure = child.run();
  fail(child.sync(), failure);
}

}  // namespace compose::runtime::launch
