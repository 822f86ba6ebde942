#include "cli/rootless_world.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/strings.hpp"
#include "cli/rootless.hpp"
#include "net/endpoint/endpoint.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::cli::rootless {
namespace {

struct Pipe {
  UniqueFd read, write;
  static Result<Pipe> make() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) return os_error("make a pipe");
    return Pipe{UniqueFd{fds[0]}, UniqueFd{fds[1]}};
  }
};

Result<std::string> find_program(const char* name, const char* package) {
  const char* path = std::getenv("PATH");
  for (const auto& folder : split(std::string{path == nullptr ? "" : path} + ":/usr/bin:/usr/sbin", ':')) {
    if (folder.starts_with('/') && ::access((folder + "/" + name).c_str(), X_OK) == 0) return folder + "/" + name;
  }
  return make_error(Errc::not_found, "containers without root need {}: apt-get install {}, or use sudo", name, package);
}

/// A byte from the other side; an error with `what` when it has gone.
Result<void> await(const UniqueFd& fd, const char* what) {
  char byte = 0;
  const ssize_t got = retry_eintr([&] { return ::read(fd.get(), &byte, 1); });
  if (got != 1) return make_error(Errc::failed, "{}", what);
  return {};
}

// ---- The keeper: process 1 of the world. ----

/// The network's resolver is slirp4netns's own, whatever address the host's is at.
Result<void> mount_resolv_conf(const WorldFiles& files) {
  char* target = ::realpath("/etc/resolv.conf", nullptr);
  if (target == nullptr) return {};  // a host without one
  const std::string path = target;
  std::free(target);  // NOLINT: realpath's allocation
  TRY(sys::write_file_atomic(files.resolv_conf(), "nameserver 10.0.2.3\n"));
  if (::mount(files.resolv_conf().c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) return os_error("{}", path);
  return {};
}

Result<void> furnish(const WorldFiles& files) {
  if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) return os_error("become root of the user namespace");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return os_error("make the mounts our own");
  if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) return os_error("mount /proc");
  TRY(mount_resolv_conf(files));
  return net::endpoint::configure({});
}

void on_child(int) {}  // only interrupts the wait for the lock

/// Reaps what the commands have left to us; true when nothing is left.
bool reap(bool wait) {
  for (;;) {
    const pid_t done = ::waitpid(-1, nullptr, wait ? 0 : WNOHANG);
    if (done < 0) return errno == ECHILD;
    if (done == 0) return false;
  }
}

/// `life` stays open as long as the keeper lives: slirp4netns ends with it.
[[noreturn]] void keep(const WorldFiles& files, const UniqueFd& life) {
  ::setsid();
  ::prctl(PR_SET_NAME, "compose-keeper");
  for (int signo = 1; signo < NSIG; ++signo) ::signal(signo, SIG_DFL);
  struct sigaction action{};
  action.sa_handler = on_child;
  ::sigaction(SIGCHLD, &action, nullptr);
  if (::chdir("/") != 0) ::_exit(1);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; ++fd) ::dup2(null, fd);
  // The command's own descriptors, its lock above all, must not live on in us.
  ::dup2(life.get(), 3);
  ::close_range(4, ~0U, 0);
  const UniqueFd lock{::open(files.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  for (;;) {
    reap(/*wait=*/true);
    // Every command under way holds the lock shared: what it starts may still become ours.
    if (::flock(lock.get(), LOCK_EX) != 0) continue;
    if (reap(/*wait=*/false)) break;
    ::flock(lock.get(), LOCK_UN);
  }
  for (const auto& name : {files.keeper(), files.forwarder(), files.log(), files.resolv_conf()}) ::unlink(name.c_str());
  ::_exit(0);
}

[[noreturn]] void keeper_main(const WorldFiles& files, Pipe& go, Pipe& ready, const Pipe& life) {
  go.write.reset();
  ready.read.reset();
  if (!await(go.read, "")) ::_exit(1);
  if (auto done = furnish(files); !done) {
    const std::string text = done.error().message();
    (void)!::write(ready.write.get(), text.data(), text.size());
    ::_exit(1);
  }
  (void)!::write(ready.write.get(), "", 1);
  ready.write.reset();
  go.read.reset();
  keep(files, life.write);
}

// ---- The command that makes the world. ----

Result<IdRange> range_of(const char* file, const std::string& user) {
  const auto text = sys::read_file(file).value_or("");
  const auto range = subordinate_ids(text, user, ::getuid());
  if (!range) {
    return make_error(Errc::not_found,
                      "{} has no ids for user {}: as root, usermod --add-subuids 100000-165535 "
                      "--add-subgids 100000-165535 {}; or use sudo",
                      file, user, user);
  }
  return *range;
}

Result<void> map_ids(const char* program, const char* file, const std::string& user, pid_t pid, unsigned own) {
  TRY_ASSIGN(const IdRange range, range_of(file, user));
  sys::SpawnOptions options;
  TRY_ASSIGN(options.program, find_program(program, "uidmap"));
  options.arguments = {program,
                       std::to_string(pid),
                       "0",
                       std::to_string(own),
                       "1",
                       "1",
                       std::to_string(range.first),
                       std::to_string(range.count)};
  options.fds = {{2, 2}};
  TRY_ASSIGN(const sys::Child child, sys::spawn(options));
  TRY_ASSIGN(const sys::ExitStatus status, sys::wait_child(child.pid));
  if (status.code != 0) return make_error(Errc::failed, "{} could not map the ids of {}", program, user);
  return {};
}

/// slirp4netns(1) carries the world's traffic as the user's own; it ends with the keeper, which holds `end`.
Result<void> start_network(const WorldFiles& files, pid_t pid, const UniqueFd& end) {
  TRY_ASSIGN(Pipe ready, Pipe::make());
  ::unlink(files.forwarder().c_str());
  const UniqueFd log{::open(files.log().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  const UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  if (!log.valid() || !null.valid()) return os_error("open {}", files.log());
  sys::SpawnOptions options;
  TRY_ASSIGN(options.program, find_program("slirp4netns", "slirp4netns"));
  options.arguments = {"slirp4netns", "--configure",  "--mtu=65520",     "--disable-host-loopback", "--ready-fd=3",
                       "--exit-fd=4", "--api-socket", files.forwarder(), std::to_string(pid),       "tap0"};
  options.fds = {{null.get(), 0}, {log.get(), 1}, {log.get(), 2}, {ready.write.get(), 3}, {end.get(), 4}};
  options.new_session = true;
  TRY_ASSIGN(const sys::Child child, sys::spawn(options));
  ready.write.reset();
  if (!await(ready.read, "")) {
    return make_error(Errc::failed, "slirp4netns gave no network: {}", trim(sys::read_file(files.log()).value_or("")));
  }
  return {};
}

Result<pid_t> clone_keeper(const WorldFiles& files, Pipe& go, Pipe& ready, Pipe& life, UniqueFd& pidfd) {
  clone_args arguments{};
  int fd = -1;
  arguments.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&fd);  // NOLINT: clone3(2)
  arguments.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) {
    return os_error(
        "create a user namespace (is it allowed? see sysctl kernel.unprivileged_userns_clone and "
        "user.max_user_namespaces)");
  }
  if (pid == 0) {
    life.read.reset();
    keeper_main(files, go, ready, life);
  }
  pidfd.reset(fd);
  return static_cast<pid_t>(pid);
}

std::string user_name() {
  const passwd* entry = ::getpwuid(::getuid());
  return entry == nullptr ? std::to_string(::getuid()) : entry->pw_name;
}

}  // namespace

Result<UniqueFd> find_keeper(const WorldFiles& files) {
  TRY_ASSIGN(const std::string text, sys::read_file(files.keeper(), 256));
  const auto words = split(trim(text), ' ');
  const auto pid = words.size() == 2 ? parse_unsigned(words[0]) : std::nullopt;
  const auto start = words.size() == 2 ? parse_unsigned(words[1]) : std::nullopt;
  if (!pid || !start) return make_error(Errc::corrupt, "{}: not a process", files.keeper());
  TRY_ASSIGN(UniqueFd pidfd, sys::open_pidfd(static_cast<pid_t>(*pid)));
  if (sys::process_start_time(static_cast<pid_t>(*pid)) != *start) {
    return make_error(Errc::not_found, "{}: the process has ended", files.keeper());
  }
  return pidfd;
}

Result<UniqueFd> make_world(const WorldFiles& files) {
  const std::string user = user_name();
  TRY(find_program("slirp4netns", "slirp4netns"));
  TRY_ASSIGN(Pipe go, Pipe::make());
  TRY_ASSIGN(Pipe ready, Pipe::make());
  TRY_ASSIGN(Pipe life, Pipe::make());  // slirp4netns reads it, the keeper alone can write
  UniqueFd pidfd;
  TRY_ASSIGN(const pid_t pid, clone_keeper(files, go, ready, life, pidfd));
  const auto finish = [&]() -> Result<void> {
    life.write.reset();
    TRY(map_ids("newuidmap", "/etc/subuid", user, pid, ::getuid()));
    TRY(map_ids("newgidmap", "/etc/subgid", user, pid, ::getgid()));
    ready.write.reset();
    if (::write(go.write.get(), "", 1) != 1) return os_error("tell the keeper to go on");
    std::string said = sys::read_all(ready.read.get(), 4096).value_or("");
    if (said != std::string(1, '\0')) return make_error(Errc::failed, "{}", said.empty() ? "the keeper ended" : said);
    TRY(start_network(files, pid, life.read));
    return sys::write_file_atomic(files.keeper(), fmt::format("{} {}\n", pid, sys::process_start_time(pid)), 0600);
  };
  if (auto done = finish(); !done) {
    (void)sys::send_signal(pidfd.get(), SIGKILL);
    (void)sys::wait_child(pid);
    return std::move(done).with("a user's own namespaces").error();
  }
  return pidfd;
}

}  // namespace compose::cli::rootless
