// create, start and run.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/strings.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/foreground.hpp"
#include "runtime/container/container.hpp"
#include "runtime/container/state_file.hpp"
#include "runtime/launch/hooks.hpp"
#include "runtime/launch/launch.hpp"
#include "sys/file.hpp"
#include "sys/message.hpp"
#include "sys/process.hpp"

namespace compose::runtime::cli {
namespace {

using container::Container;

constexpr OptionSpec kOptions[] = {{"bundle", 'b', true},        {"config", 'f', true},     {"console-socket", 0, true},
                                   {"pid-file", 0, true},        {"preserve-fds", 0, true}, {"no-pivot", 0, false},
                                   {"no-new-keyring", 0, false}, {"detach", 'd', false},    {"keep", 0, false},
                                   {"no-subreaper", 0, false},   {"pidfd-socket", 0, true}};

/// The absolute path without links, as the state shows it.
Result<std::string> absolute(const std::string& path) {
  char* resolved = ::realpath(path.empty() ? "." : path.c_str(), nullptr);
  if (resolved == nullptr) return os_error("bundle {}", path);
  std::string result = resolved;
  ::free(resolved);  // NOLINT: realpath's allocation
  return result;
}

Result<launch::LaunchPlan> make_plan(const Globals& globals, const Arguments& arguments, const std::string& id) {
  TRY_ASSIGN(const std::string bundle, absolute(arguments.get("bundle")));
  std::string config = arguments.get("config", "config.json");
  if (!config.starts_with('/')) config.insert(0, bundle + "/");
  TRY_ASSIGN(const std::string text, sys::read_file(config));
  launch::CompileRequest request;
  TRY_ASSIGN(request.spec, spec::parse(text).with("{}", config));
  request.container_id = id;
  request.bundle = bundle;
  request.seccomp_cache_dir = globals.root + "/.seccomp";
  TRY_ASSIGN(launch::HostFacts facts, launch::probe_host());
  if (globals.no_cgroups) facts.cgroup_writable = false;
  TRY_ASSIGN(launch::LaunchPlan plan, launch::compile(request, facts).with("{}", config));
  if (request.spec.process) warn(launch::capability_warnings(*request.spec.process, facts));
  // The program must know that the sockets are its own (sd_listen_fds(3)): it is process 1 in there.
  if (const char* listen = std::getenv("LISTEN_FDS"); listen != nullptr) {
    plan.process.env.insert(plan.process.env.end(), {fmt::format("LISTEN_FDS={}", listen), "LISTEN_PID=1"});
  }
  struct stat root{};
  if (::stat(plan.root.c_str(), &root) != 0) return os_error("{}: root.path {}", config, plan.root);
  return plan;
}

/// What create and run share: a container's directory that goes again unless it is kept.
class NewContainer {
 public:
  static Result<NewContainer> make(const Globals& globals, const std::string& id) {
    TRY(container::check_id(id));
    TRY(sys::make_directories(globals.root, 0700));
    NewContainer result{globals.root + "/" + id};
    if (::mkdir(result.path_.c_str(), 0700) != 0) {
      result.path_.clear();
      if (errno == EEXIST) return make_error(Errc::exists, "container with id \"{}\" exists already", id);
      return os_error("create {}/{}", globals.root, id);
    }
    return result;
  }
  explicit NewContainer(std::string path) : path_{std::move(path)} {}
  NewContainer(NewContainer&& other) noexcept : path_{std::exchange(other.path_, {})} {}
  NewContainer& operator=(NewContainer&&) = delete;
  NewContainer(const NewContainer&) = delete;
  ~NewContainer() {
    if (!path_.empty()) (void)sys::remove_tree(path_);
  }
  const std::string& path() const { return path_; }
  void keep() && { path_.clear(); }

 private:
  std::string path_;
};

/// A group that others are in would be limited, frozen and killed with the container. In version 1 they may be in one
/// hierarchy only.
Result<void> check_group_is_free(const launch::LaunchPlan& plan) {
  if (!plan.use_cgroup) return {};
  const auto group = cgroup::Group::open(plan.layout, plan.cgroup.path);
  if (!group.exists()) return {};
  if (group.in_use()) {
    return make_error(Errc::busy, "linux.cgroupsPath: container's cgroup is not empty: {}", plan.cgroup.path);
  }
  if (group.frozen().value_or(false)) {
    return make_error(Errc::busy, "linux.cgroupsPath: container's cgroup unexpectedly frozen: {}", plan.cgroup.path);
  }
  return {};
}

struct Started {
  std::optional<launch::Launch> launch;
  UniqueFd terminal;
};

/// 126 and 127 speak of the program, as in a shell. The runtime's own failures are 1, as with runc and crun: 125 is what
/// the engines that call it keep for theirs.
int status_of(int failure) { return failure == 126 || failure == 127 ? failure : 1; }

/// Up to `ready` or `running`; undone when it fails.
Result<Started> bring_up(const launch::LaunchPlan& plan, const launch::Options& options, int& exit_code) {
  TRY(check_group_is_free(plan));
  Started started;
  TRY_ASSIGN(started.launch, launch::Launch::begin(plan, options));
  for (;;) {
    auto notice = started.launch->receive(/*wait=*/true);
    if (!notice) {
      started.launch->abandon();
      return std::move(notice).error();
    }
    switch ((*notice)->kind) {
      case launch::Notice::Kind::terminal:
        started.terminal = std::move((*notice)->terminal);
        break;
      case launch::Notice::Kind::failed:
        started.launch->abandon();
        exit_code = status_of((*notice)->failure.exit_code);
        return Error{errc_from_errno((*notice)->failure.sys_errno), (*notice)->failure.message,
                     (*notice)->failure.sys_errno};
      case launch::Notice::Kind::resolver:
        break;
      case launch::Notice::Kind::ready:
      case launch::Notice::Kind::running:
        return started;
    }
  }
}

Result<void> write_pid_file(const Arguments& arguments, pid_t pid) {
  if (!arguments.has("pid-file")) return {};
  return sys::write_file_atomic(arguments.get("pid-file"), std::to_string(pid));
}

Result<launch::Options> launch_options(const Arguments& arguments) {
  launch::Options options;
  const auto preserve = parse_unsigned(arguments.get("preserve-fds", "0"));
  if (!preserve || *preserve > 4096) {
    return make_error(Errc::invalid, "--preserve-fds {}: not a number of descriptors", arguments.get("preserve-fds"));
  }
  options.preserve_fds = static_cast<int>(*preserve);
  // systemd's socket activation counts on top of what was asked for (sd_listen_fds(3)).
  if (const char* listen = std::getenv("LISTEN_FDS"); listen != nullptr) {
    options.preserve_fds += static_cast<int>(parse_unsigned(listen).value_or(0));
  }
  options.new_keyring = !arguments.flag("no-new-keyring");
  options.no_pivot = arguments.flag("no-pivot");
  return options;
}

/// The terminal and the pidfd, to who waits for them.
Result<void> hand_over(const Arguments& arguments, const Started& started) {
  if (arguments.has("pidfd-socket")) {
    TRY(send_pidfd(arguments.get("pidfd-socket"), started.launch->pidfd()));
  }
  if (!arguments.has("console-socket") || !started.terminal.valid()) return {};
  return send_to_console_socket(arguments.get("console-socket"), started.terminal);
}

}  // namespace

Result<std::string> only_id(const Arguments& arguments) {
  if (arguments.words().empty()) return make_error(Errc::invalid, "the id of a container is missing");
  if (arguments.words().size() > 1)
    return make_error(Errc::invalid, "unexpected argument \"{}\"", arguments.words()[1]);
  return arguments.words().front();
}

Result<int> create(const Globals& globals, Words words) {
  TRY_ASSIGN(const Arguments arguments, Arguments::parse(words, kOptions, true));
  TRY_ASSIGN(const std::string id, only_id(arguments));
  TRY(container::check_id(id));
  TRY_ASSIGN(launch::LaunchPlan plan, make_plan(globals, arguments, id));
  if (plan.process.terminal != arguments.has("console-socket")) {
    return make_error(Errc::invalid, "{}",
                      plan.process.terminal ? "cannot allocate tty if runc will detach without setting console socket"
                                            : "cannot use console socket if runc will not detach or allocate tty");
  }
  TRY_ASSIGN(NewContainer fresh, NewContainer::make(globals, id));
  TRY_ASSIGN(launch::Options options, launch_options(arguments));
  TRY_ASSIGN(const UniqueFd listener, sys::listen_unix(fresh.path() + "/start.sock", SOCK_SEQPACKET));
  options.start_listener = listener.get();
  int exit_code = 1;
  auto started = bring_up(plan, options, exit_code);
  if (!started) return std::move(started).error();
  const pid_t pid = started->launch->pid();
  const auto finish = [&]() -> Result<void> {
    TRY(hand_over(arguments, *started));
    TRY(container::save(fresh.path(), plan, launch::serialize(plan),
                        {pid, sys::process_start_time(pid), "compose-runtime", {}}));
    return write_pid_file(arguments, pid);
  };
  if (auto done = finish(); !done) {
    started->launch->abandon();
    return std::move(done).error();
  }
  std::move(fresh).keep();
  return 0;
}

Result<int> start(const Globals& globals, Words words) {
  TRY_ASSIGN(const Arguments arguments, Arguments::parse(words, {}, true));
  TRY_ASSIGN(const std::string id, only_id(arguments));
  TRY_ASSIGN(const Container container, Container::load(globals.root, id));
  switch (container.status()) {
    case Container::Status::created:
      break;
    case Container::Status::stopped:
      return make_error(Errc::invalid, "cannot start a container that has stopped");
    default:
      return make_error(Errc::invalid, "cannot start an already running container");
  }
  TRY_ASSIGN(const launch::LaunchPlan plan, container.plan());
  const pid_t pid = container.pid();
  int exit_code = 1;
  auto done = launch::start_created(plan, pid, container.start_socket(), exit_code);
  ::unlink(container.start_socket().c_str());
  if (!done) return fail_with(status_of(exit_code), done.error().message());
  launch::run_all_hooks(plan.poststart, launch::state_json(plan, "running", pid), "poststart");
  return 0;
}

Result<int> run(const Globals& globals, Words words) {
  TRY_ASSIGN(const Arguments arguments, Arguments::parse(words, kOptions, true));
  TRY_ASSIGN(const std::string id, only_id(arguments));
  TRY(container::check_id(id));
  TRY_ASSIGN(launch::LaunchPlan plan, make_plan(globals, arguments, id));
  const bool detach = arguments.flag("detach");
  if (detach && plan.process.terminal && !arguments.has("console-socket")) {
    return make_error(Errc::invalid, "cannot allocate tty if runc will detach without setting console socket");
  }
  if (arguments.has("console-socket") && !(detach && plan.process.terminal)) {
    return make_error(Errc::invalid, "cannot use console socket if runc will not detach or allocate tty");
  }
  TRY_ASSIGN(NewContainer fresh, NewContainer::make(globals, id));
  TRY_ASSIGN(launch::Options options, launch_options(arguments));
  options.relayed_terminal = !detach;
  if (!detach) block_signals();
  if (plan.process.rows == 0) own_terminal_size(plan.process.rows, plan.process.columns);
  int exit_code = 1;
  auto started = bring_up(plan, options, exit_code);
  if (!started) return fail_with(exit_code, started.error().message());
  const pid_t pid = started->launch->pid();
  TRY(hand_over(arguments, *started));
  TRY(container::save(fresh.path(), plan, launch::serialize(plan),
                      {pid, sys::process_start_time(pid), "compose-runtime", {}}));
  TRY(write_pid_file(arguments, pid));
  launch::run_all_hooks(plan.poststart, launch::state_json(plan, "running", pid), "poststart");
  if (detach) {
    std::move(fresh).keep();
    return 0;
  }
  const UniqueFd pidfd = started->launch->take_pidfd();
  TRY_ASSIGN(const int status, wait_in_foreground(pid, pidfd.get(), std::move(started->terminal)));
  if (arguments.flag("keep")) {
    std::move(fresh).keep();
    return status;
  }
  TRY_ASSIGN(const Container container, Container::load(globals.root, id));
  TRY(container.remove());
  launch::run_all_hooks(plan.poststop, launch::state_json(plan, "stopped", 0), "poststop");
  return status;
}

}  // namespace compose::runtime::cli
