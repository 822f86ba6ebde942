// compose-runtime on containers that a monitor keeps, and on its own.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <thread>

#include "base/strings.hpp"
#include "runtime/testing/bench_container.hpp"
#include "sys/file.hpp"
#include "sys/message.hpp"
#include "sys/process.hpp"
#include "sys/program.hpp"

namespace compose::runtime::testing {
namespace {

using ::testing::HasSubstr;

class RuntimeProgram : public Bench {
 protected:
  struct Result {
    int status = -1;
    std::string output;
  };
  std::string root() const { return folder / "run"; }
  void write_config() { ASSERT_TRUE(sys::write_file_atomic(folder / "bundle/config.json", spec::to_json(spec)).ok()); }

  /// Begins compose-runtime with both streams in `file`.
  compose::Result<sys::Child> begin(const std::vector<std::string>& words, const std::string& file = "/dev/null") {
    const UniqueFd output{::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    const UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    TRY_ASSIGN(const std::string program, sys::program_path("compose-runtime"));
    sys::SpawnOptions options;
    options.program = program;
    options.arguments = {"compose-runtime", "--root", root()};
    options.arguments.insert(options.arguments.end(), words.begin(), words.end());
    options.fds = {{null.get(), 0}, {output.get(), 1}, {output.get(), 2}};
    return sys::spawn(options);
  }
  Result runtime(const std::vector<std::string>& words) {
    const std::string file = folder / "output";
    auto child = begin(words, file);
    if (!child) return {-1, child.error().message()};
    auto status = sys::wait_child(child->pid);
    return {status ? status->code : -1, sys::read_file(file).value_or("")};
  }
  Result exec(std::vector<std::string> words) {
    words.insert(words.begin(), "exec");
    return runtime(std::move(words));
  }
  monitor::Client start_sleeping() {
    spec.process->args = {"/bin/sleep", "1000"};
    auto client = start();
    while (next_event(client).kind != monitor::Event::Kind::started) {
    }
    return client;
  }
  void stop(monitor::Client& client) {
    EXPECT_TRUE(client.kill_all().ok());
    finish(client);
  }
  const std::string& id() const { return request.container_id; }
};

TEST_F(RuntimeProgram, ExecsIntoAMonitoredContainer) {
  spec.process->user.username = "alice";
  spec.linux_.seccomp = default_seccomp();
  auto client = start_sleeping();
  auto result = exec({id(), "sh", "-c",
                      "echo in $(hostname) $(id -u) $HOME; grep -E 'CapInh|CapBnd|Seccomp:' /proc/self/status; cat "
                      "/proc/self/cgroup | cut -d: -f3 | sort -u; exit 5"});
  EXPECT_EQ(result.status, 5);
  EXPECT_EQ(result.output,
            "in testbox 1000 /home/alice\nCapInh:\t0000000000000000\nCapBnd:\t00000000a80425fb\nSeccomp:\t2\n/\n");
  result = exec({"--user", "0", "--env", "A=b", "--cwd", "/tmp", id(), "sh", "-c",
                 "id -u; echo $A; pwd; ls /proc/self/fd | tr '\\n' ' '"});
  EXPECT_EQ(result.output, "0\nb\n/tmp\n0 1 2 3 ") << "3 is ls's own";
  result = exec({"--cap", "CAP_SYS_ADMIN", "--user", "0", id(), "grep", "CapInh", "/proc/self/status"});
  EXPECT_EQ(result.output, "CapInh:\t0000000000000000\n");
  stop(client);
}

TEST_F(RuntimeProgram, TellsWhyItCannotExec) {
  auto client = start_sleeping();
  auto result = exec({id(), "nosuch"});
  EXPECT_EQ(result.status, 127);
  EXPECT_THAT(result.output, HasSubstr("exec: \"nosuch\": executable file not found in $PATH"));
  EXPECT_EQ(exec({id(), "/etc/passwd"}).status, 126);
  for (int fd = 3; fd <= 20; ++fd) {
    EXPECT_NE(exec({"--cwd", "/proc/self/fd/" + std::to_string(fd), id(), "true"}).status, 0);
  }
  for (const char* user : {"", ":", "1000:", "-1", "4294967296", "abc:def", " 0"}) {
    EXPECT_NE(exec({"--user", user, id(), "true"}).status, 0) << user;
  }
  EXPECT_THAT(exec({"--cgroup", "a/../..", id(), "true"}).output, HasSubstr("`..` components are not allowed"));
  EXPECT_EQ(exec({id(), "sh", "-c", "kill -9 $$"}).status, 137);
  EXPECT_EQ(exec({"no-such-container", "true"}).output,
            "compose-runtime: container \"no-such-container\" does not exist\n");
  stop(client);
}

TEST_F(RuntimeProgram, ExecsIntoGroupsBelowTheContainers) {
  if (!sys::exists("/sys/fs/cgroup/memory/tasks")) GTEST_SKIP() << "needs control groups v1";
  auto client = start_sleeping();
  for (const char* hierarchy : {"memory", "pids"}) {
    ASSERT_TRUE(sys::make_directories(fmt::format("/sys/fs/cgroup/{}{}/below", hierarchy, spec.linux_.cgroups_path)));
  }
  const auto groups = [&](std::vector<std::string> options) {
    options.insert(options.end(), {id(), "sh", "-c", "grep -E ':(memory|pids|cpuset):' /proc/self/cgroup | cut -d: -f2- | sort"});
    return exec(options).output;
  };
  EXPECT_EQ(groups({}), "cpuset:/\nmemory:/\npids:/\n");
  EXPECT_EQ(groups({"--cgroup", "memory,pids:below"}), "cpuset:/\nmemory:/below\npids:/below\n");
  EXPECT_EQ(groups({"--cgroup", "memory:below", "--cgroup", "pids:/"}), "cpuset:/\nmemory:/below\npids:/\n");
  EXPECT_THAT(exec({"--cgroup", "nosuch:below", id(), "true"}).output, HasSubstr("unknown controller \"nosuch\""));
  EXPECT_THAT(exec({"--cgroup", "cpuset:below", id(), "true"}).output, HasSubstr("No such file"));
  stop(client);
}

TEST_F(RuntimeProgram, ExecsToWhereAnInitHasMoved) {
  auto client = start_sleeping();
  const std::string top = sys::exists("/sys/fs/cgroup/unified") ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";
  const std::string group = top + spec.linux_.cgroups_path;
  const auto controllers = split(trim(sys::read_file(group + "/cgroup.controllers").value_or("")), ' ');
  if (controllers.front().empty()) {
    stop(client);
    GTEST_SKIP() << "no controller of version 2 reaches a container's group here";
  }
  // As systemd does it: then the group itself takes no process any more.
  ASSERT_TRUE(sys::make_directories(group + "/init.scope"));
  const std::string processes = sys::read_file(group + "/cgroup.procs").value_or("");
  ASSERT_TRUE(sys::write_kernel_file(group + "/init.scope/cgroup.procs", trim(processes)));
  ASSERT_TRUE(sys::write_kernel_file(group + "/cgroup.subtree_control", "+" + std::string{controllers.front()}));
  EXPECT_EQ(exec({id(), "sh", "-c", "grep ^0: /proc/self/cgroup"}).output, "0::/init.scope\n");
  stop(client);
}

TEST_F(RuntimeProgram, RefusesAGroupThatIsFrozenAndEndsWhatOthersFroze) {
  if (!sys::exists("/sys/fs/cgroup/freezer/tasks")) GTEST_SKIP() << "needs a freezer of control groups v1";
  spec.process->args = {"/bin/sleep", "1000"};
  spec.linux_.cgroups_path += "-frozen";
  write_config();
  const std::string group = "/sys/fs/cgroup/freezer" + spec.linux_.cgroups_path;
  ASSERT_TRUE(sys::make_directories(group).ok());
  ASSERT_TRUE(sys::write_kernel_file(group + "/freezer.state", "FROZEN").ok());
  for (const char* command : {"run", "create"}) {
    const auto result = runtime({command, "--bundle", folder / "bundle", "own"});
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.output, HasSubstr("container's cgroup unexpectedly frozen"));
  }
  ASSERT_EQ(::rmdir(group.c_str()), 0);
  ASSERT_EQ(runtime({"run", "--detach", "--bundle", folder / "bundle", "own"}).status, 0);
  ASSERT_TRUE(sys::write_kernel_file(group + "/freezer.state", "FROZEN").ok());
  EXPECT_THAT(runtime({"state", "own"}).output, HasSubstr("\"status\": \"paused\""));
  EXPECT_EQ(runtime({"delete", "--force", "own"}).status, 0);
  EXPECT_FALSE(sys::exists(group));
}

TEST_F(RuntimeProgram, GoesThroughAWholeLifeByItself) {
  spec.process->args = {"/bin/sleep", "1000"};
  spec.linux_.cgroups_path += "-own";
  write_config();
  auto result = runtime({"create", "--bundle", folder / "bundle", "--pid-file", folder / "pid", "own"});
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(runtime({"state", "own"}).output, HasSubstr("\"status\": \"created\""));
  EXPECT_NE(runtime({"delete", "own"}).status, 0);
  EXPECT_NE(runtime({"create", "--bundle", folder / "bundle", "own"}).status, 0) << "the id is taken";
  EXPECT_EQ(runtime({"start", "own"}).status, 0);
  EXPECT_NE(runtime({"start", "own"}).status, 0);
  EXPECT_EQ(runtime({"exec", "own", "true"}).status, 0);
  EXPECT_EQ(runtime({"pause", "own"}).status, 0);
  EXPECT_THAT(runtime({"state", "own"}).output, HasSubstr("\"status\": \"paused\""));
  EXPECT_NE(runtime({"exec", "own", "true"}).status, 0);
  EXPECT_EQ(runtime({"resume", "own"}).status, 0);
  EXPECT_EQ(runtime({"update", "--pids-limit", "33", "own"}).status, 0);
  EXPECT_THAT(runtime({"events", "--stats", "own"}).output, HasSubstr("\"limit\":33"));
  EXPECT_EQ(runtime({"list", "-q"}).output, "own\n");
  EXPECT_EQ(runtime({"delete", "--force", "own"}).status, 0);
  EXPECT_NE(runtime({"state", "own"}).status, 0);
}

TEST_F(RuntimeProgram, CreatesWhatHasNoProcessButDoesNotStartIt) {
  spec.process.reset();
  write_config();
  ASSERT_EQ(runtime({"create", "--bundle", folder / "bundle", "own"}).output, "");
  EXPECT_THAT(runtime({"start", "own"}).output, HasSubstr("process: missing in config.json"));
  EXPECT_EQ(runtime({"delete", "--force", "own"}).status, 0);
}

TEST_F(RuntimeProgram, TakesNoGroupThatOthersAreIn) {
  const std::string hierarchy = "/sys/fs/cgroup/pids";
  if (!sys::exists(hierarchy + "/cgroup.procs")) GTEST_SKIP() << "control groups of version 1 only";
  const std::string path = "/compose-others-" + std::to_string(::getpid());
  ASSERT_TRUE(sys::make_directories(hierarchy + path + "/inner").ok());
  const pid_t other = ::fork();
  if (other == 0) {
    ::pause();
    ::_exit(0);
  }
  ASSERT_TRUE(sys::write_kernel_file(hierarchy + path + "/inner/cgroup.procs", std::to_string(other)).ok());
  spec.linux_.cgroups_path = path;
  write_config();
  const auto created = runtime({"create", "--bundle", folder / "bundle", "others"});
  EXPECT_NE(created.status, 0);
  EXPECT_THAT(created.output, HasSubstr("container's cgroup is not empty: " + path));
  EXPECT_EQ(::waitpid(other, nullptr, WNOHANG), 0) << "it lives";
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
  ::rmdir((hierarchy + path + "/inner").c_str());
  EXPECT_EQ(::rmdir((hierarchy + path).c_str()), 0);
}

TEST_F(RuntimeProgram, RunsTheHooksAfterOneThatFails) {
  spec.process->args = {"/bin/true"};
  const auto hook = [&](const char* script) { return spec::Hook{"/bin/sh", {"sh", "-c", script}, {}, {}}; };
  const std::string note = "cat >> " + (folder / "states") + "; echo >> " + (folder / "states");
  spec.hooks.prestart = {hook(note.c_str())};
  spec.hooks.poststart = {hook("exit 3"), hook(note.c_str())};
  spec.hooks.poststop = {hook("exit 4"), hook(note.c_str())};
  write_config();
  const auto result = runtime({"run", "--bundle", folder / "bundle", "own"});
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.output,
            "warning: error running poststart hook #0: /bin/sh ended with exit status 3\n"
            "warning: error running poststop hook #0: /bin/sh ended with exit status 4\n");
  std::string seen;
  for (const auto& line : split(sys::read_file(folder / "states").value_or(""), '\n')) {
    const auto at = line.find(R"("status":")");
    if (at != std::string::npos) seen += line.substr(at + 10, line.find('"', at + 10) - at - 10) + " ";
  }
  EXPECT_EQ(seen, "created running stopped ");
}

TEST_F(RuntimeProgram, RunsTheHooksOfAllSixPoints) {
  const std::string note = folder / "hooks";
  const auto hook = [](const std::string& point, const std::string& file) {
    const std::string script =
        fmt::format("{{ printf '{} '; grep -o '\"status\":\"[a-z]*\"' | cut -d: -f2; }} >> {}", point, file);
    return std::vector<spec::Hook>{{"/bin/sh", {"sh", "-c", script}, {"PATH=/usr/bin:/bin"}, {}}};
  };
  spec.hooks.prestart = hook("prestart", note);
  spec.hooks.create_runtime = hook("createRuntime", note);
  spec.hooks.create_container = hook("createContainer", note);
  // It begins in the container's root.
  spec.hooks.create_container.push_back({"/bin/sh", {"sh", "-c", "echo from within > ./data/made"}, {}, {}});
  spec.hooks.start_container = hook("startContainer", "/data/hooks");  // this one sees the container's files only
  spec.hooks.poststart = hook("poststart", note);
  spec.hooks.poststop = hook("poststop", note);
  spec.process->args = {"/bin/cat", "/data/hooks"};
  write_config();
  EXPECT_EQ(runtime({"run", "--bundle", folder / "bundle", "own"}).output, "startContainer \"created\"\n");
  EXPECT_EQ(sys::read_file(folder / "bundle/rootfs/data/made").value_or(""), "from within\n");
  EXPECT_EQ(sys::read_file(note).value_or(""),
            "prestart \"created\"\ncreateRuntime \"creating\"\ncreateContainer \"creating\"\n"
            "poststart \"running\"\npoststop \"stopped\"\n");
}

TEST_F(RuntimeProgram, SendsItsTerminalsToTheConsoleSocket) {
  const auto listener = sys::listen_unix(folder / "console", SOCK_STREAM);
  ASSERT_TRUE(listener.ok());
  const auto read_terminal = [&](const std::string& until) {
    const UniqueFd peer{::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC)};
    auto message = sys::receive_message(peer.get());
    std::string text;
    if (!message || message->fds.size() != 1) return text;
    char buffer[256];
    while (text.find(until) == std::string::npos) {
      const ssize_t size = ::read(message->fds[0].get(), buffer, sizeof buffer);
      if (size <= 0) break;
      text.append(buffer, static_cast<std::size_t>(size));
    }
    return text;
  };
  spec.process->terminal = true;
  spec.process->args = {"/bin/sh", "-c", "test -t 0 && echo first; exec sleep 1000"};
  write_config();
  EXPECT_THAT(runtime({"create", "--bundle", folder / "bundle", "own"}).output, HasSubstr("console socket"));
  ASSERT_EQ(runtime({"create", "--bundle", folder / "bundle", "--console-socket", folder / "console", "own"}).output,
            "");
  EXPECT_EQ(runtime({"start", "own"}).output, "");
  EXPECT_EQ(read_terminal("\n"), "first\r\n");
  EXPECT_EQ(runtime({"exec", "--detach", "--tty", "--console-socket", folder / "console", "own", "sh", "-c",
                     "test -t 0 && test -t 2 && echo second"})
                .output,
            "");
  EXPECT_EQ(read_terminal("\n"), "second\r\n");
  EXPECT_EQ(runtime({"delete", "--force", "own"}).status, 0);
}

TEST_F(RuntimeProgram, RelaysItsTerminalWithOneCarriageReturnALine) {
  spec.process->terminal = true;
  spec.process->args = {"/bin/sh", "-c", "test -t 1 && echo one; echo two"};
  write_config();
  const std::vector<std::string> run = {"run", "--bundle", folder / "bundle", "own"};
  EXPECT_EQ(runtime(run).output, "one\ntwo\n") << "into a file";
  const UniqueFd ours{::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
  ASSERT_TRUE(ours.valid() && ::grantpt(ours.get()) == 0 && ::unlockpt(ours.get()) == 0);
  const UniqueFd theirs{::open(::ptsname(ours.get()), O_RDWR | O_NOCTTY | O_CLOEXEC)};
  ASSERT_TRUE(theirs.valid());
  const auto program = sys::program_path("compose-runtime");
  ASSERT_TRUE(program.ok());
  sys::SpawnOptions options;
  options.program = *program;
  options.arguments = {"compose-runtime", "--root", root()};
  options.arguments.insert(options.arguments.end(), run.begin(), run.end());
  options.fds = {{theirs.get(), 0}, {theirs.get(), 1}, {theirs.get(), 2}};
  auto child = sys::spawn(options);
  ASSERT_TRUE(child.ok());
  ASSERT_TRUE(sys::wait_child(child->pid).ok());
  char text[256];
  const ssize_t size = ::read(ours.get(), text, sizeof text);
  ASSERT_GT(size, 0);
  EXPECT_EQ(std::string(text, static_cast<std::size_t>(size)), "one\r\ntwo\r\n") << "on a terminal";
}

bool eventually(const std::function<bool()>& holds) {
  for (int attempt = 0; attempt < 20000; ++attempt) {
    if (holds()) return true;
    ::usleep(1000);
  }
  return false;
}

/// The first child of `pid`, once it is there.
pid_t child_of(pid_t pid) {
  std::string children;
  eventually([&] {
    children = sys::read_file(fmt::format("/proc/{0}/task/{0}/children", pid)).value_or("");
    return !children.empty();
  });
  return static_cast<pid_t>(parse_unsigned(split(children, ' ').front()).value_or(0));
}

TEST_F(RuntimeProgram, CannotBeWrittenToWhileItWaits) {  // CVE-2019-5736
  auto client = start_sleeping();
  auto running = begin({"exec", id(), "sleep", "1000"});
  ASSERT_TRUE(running.ok());
  ASSERT_NE(child_of(running->pid), 0);
  EXPECT_NE(::access(fmt::format("/proc/{}/exe", running->pid).c_str(), W_OK), 0);
  EXPECT_EQ(errno, EROFS);
  ASSERT_TRUE(sys::send_signal(running->pidfd.get(), SIGTERM).ok());
  EXPECT_TRUE(sys::wait_child(running->pid).ok());
  stop(client);
}

/// Goes on with the traced `runtime` until a process of its making is about to join namespaces; that one, stopped.
pid_t until_it_joins(pid_t runtime) {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, __WALL);
    if (pid < 0 || (pid == runtime && !WIFSTOPPED(status))) return 0;
    if (!WIFSTOPPED(status)) continue;
    __ptrace_syscall_info info{};
    const bool call = WSTOPSIG(status) == (SIGTRAP | 0x80) &&
                      ::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0 &&
                      info.op == PTRACE_SYSCALL_INFO_ENTRY;
    if (pid != runtime && call && info.entry.nr == SYS_setns) return pid;
    ::ptrace(pid == runtime ? PTRACE_CONT : PTRACE_SYSCALL, pid, 0, 0);
  }
}

TEST_F(RuntimeProgram, HasNothingToBeSeenWhenItJoinsTheContainer) {  // CVE-2016-9962
  auto client = start_sleeping();
  const std::string program = sys::program_path("compose-runtime").value_or("");
  const pid_t runtime = ::fork();
  if (runtime == 0) {
    const int null = ::open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; ++fd) ::dup2(null, fd);
    if (::setresgid(1, 1, 1) != 0 || ::ptrace(PTRACE_TRACEME, 0, 0, 0) != 0 || ::raise(SIGSTOP) != 0) ::_exit(100);
    ::execl(program.c_str(), "compose-runtime", "--root", root().c_str(), "exec", id().c_str(), "true", nullptr);
    ::_exit(101);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(runtime, &status, WUNTRACED), runtime);
  ASSERT_EQ(::ptrace(PTRACE_SETOPTIONS, runtime, 0,
                     PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK),
            0);
  ASSERT_EQ(::ptrace(PTRACE_CONT, runtime, 0, 0), 0);
  const pid_t joining = until_it_joins(runtime);
  ASSERT_GT(joining, 0);
  // Files in /proc of a process that can be dumped belong to its group, those of others to the machine's root.
  const std::string files = fmt::format("/proc/{}/fd", joining);
  struct stat info{};
  EXPECT_EQ(::stat(files.c_str(), &info), 0);
  EXPECT_EQ(info.st_gid, 0U) << "it can be dumped";
  const auto open = sys::list_directory(files);
  ASSERT_TRUE(open.ok());
  for (const auto& fd : *open) {
    char target[256] = {};
    ASSERT_GT(::readlink(fmt::format("{}/{}", files, fd).c_str(), target, sizeof target - 1), 0);
    EXPECT_TRUE(target[0] != '/' || std::string_view{target} == "/dev/null") << target;
  }
  ::kill(joining, SIGKILL);
  ::kill(runtime, SIGKILL);
  while (::waitpid(joining, &status, __WALL) == joining && WIFSTOPPED(status)) {
  }
  while (::waitpid(runtime, &status, __WALL) == runtime && WIFSTOPPED(status)) {
  }
  stop(client);
}

TEST_F(RuntimeProgram, RunsForAnOrdinaryUser) {
  constexpr uid_t kUser = 54321;
  std::erase_if(spec.linux_.namespaces, [](const auto& entry) { return entry.type == "network"; });
  spec.linux_.namespaces.push_back({"user", ""});
  spec.linux_.uid_mappings = spec.linux_.gid_mappings = {{0, kUser, 1}};
  spec.linux_.resources.reset();
  spec.linux_.cgroups_path.clear();
  std::erase_if(spec.mounts,
                [](const auto& mount) { return mount.destination != "/proc" && mount.destination != "/dev"; });
  spec.process->oom_score_adj = 500;
  spec.process->args = {"/bin/sh", "-c", "id -u; cat /proc/self/oom_score_adj"};
  write_config();
  ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
  ASSERT_EQ(::chown(folder.path().c_str(), kUser, kUser), 0);
  const std::string program = sys::program_path("compose-runtime").value_or("");
  // Several times: whether the process or its maps come first is a matter of luck.
  for (int round = 0; round < 8; ++round) {
    const std::string file = folder / ("output" + std::to_string(round));
    const pid_t pid = ::fork();
    if (pid == 0) {
      const int output = ::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0666);
      ::dup2(output, 1);
      ::dup2(output, 2);
      if (::setgroups(0, nullptr) != 0 || ::setresgid(kUser, kUser, kUser) != 0) ::_exit(100);
      if (::setresuid(kUser, kUser, kUser) != 0) ::_exit(100);
      ::execl(program.c_str(), "compose-runtime", "--root", (folder / "users").c_str(), "run", "--bundle",
              (folder / "bundle").c_str(), "own", nullptr);
      ::_exit(101);
    }
    auto status = sys::wait_child(pid);
    ASSERT_TRUE(status.ok());
    EXPECT_EQ(status->code, 0);
    EXPECT_EQ(sys::read_file(file).value_or(""), "0\n500\n");
  }
}

TEST_F(RuntimeProgram, SharesTheMountsOfOthersWithoutChangingThem) {
  std::erase_if(spec.linux_.namespaces, [](const auto& entry) { return entry.type == "mount"; });
  spec.linux_.masked_paths.clear();
  spec.linux_.readonly_paths.clear();
  spec.process->args = {"/bin/sleep", "1000"};
  write_config();
  const std::string before = sys::read_file("/proc/self/mountinfo").value_or("");
  ASSERT_EQ(runtime({"run", "--detach", "--bundle", folder / "bundle", "own"}).output, "");
  const auto inside = runtime({"exec", "own", "sh", "-c", "ls -d /bin /usr; ls /proc"});
  EXPECT_THAT(inside.output, HasSubstr("/usr: No such file")) << "the root of an exec is the container's, too";
  EXPECT_EQ(runtime({"delete", "--force", "own"}).status, 0);
  EXPECT_EQ(sys::read_file("/proc/self/mountinfo").value_or(""), before);
}

/// Takes one descriptor from the listener's socket and answers its first notification with `error`.
struct Agent {
  explicit Agent(const std::string& path, int error) {
    auto listener = sys::listen_unix(path, SOCK_STREAM);
    EXPECT_TRUE(listener.ok());
    thread = std::thread{[this, error, socket = std::move(*listener)] { serve(socket.get(), error); }};
  }
  ~Agent() { wait(); }
  void wait() {
    if (thread.joinable()) thread.join();
  }
  void serve(int socket, int error) {
    const UniqueFd peer{::accept4(socket, nullptr, nullptr, SOCK_CLOEXEC)};
    auto message = sys::receive_message(peer.get(), 65536);
    if (!message || message->fds.size() != 1) return;
    state = message->data;
    seccomp_notif asked{};
    if (::ioctl(message->fds[0].get(), SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0) return;
    call = asked.data.nr;
    seccomp_notif_resp answer{asked.id, 0, -error, 0};
    ::ioctl(message->fds[0].get(), SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
  std::string state;
  int call = -1;
  std::thread thread;
};

TEST_F(RuntimeProgram, HandsTheFilterToItsListener) {
  spec.linux_.seccomp.emplace().default_action = "SCMP_ACT_ALLOW";
  spec.linux_.seccomp->listener_path = folder / "agent.sock";
  spec.linux_.seccomp->listener_metadata = "mine";
  spec.linux_.seccomp->syscalls = {{{"mkdir", "mkdirat"}, "SCMP_ACT_NOTIFY", {}, {}}};
  spec.process->args = {"/bin/sh", "-c", "mkdir /x 2>/dev/null; exec sleep 1000"};
  write_config();
  const auto expect_answered = [](const Agent& agent, const char* status) {
    EXPECT_TRUE(agent.call == SYS_mkdir || agent.call == SYS_mkdirat) << agent.call;
    EXPECT_THAT(agent.state, HasSubstr(R"("fds":["seccompFd"])"));
    EXPECT_THAT(agent.state, HasSubstr(R"("metadata":"mine")"));
    EXPECT_THAT(agent.state, HasSubstr(fmt::format(R"("status":"{}")", status)));
  };
  ASSERT_EQ(runtime({"create", "--bundle", folder / "bundle", "own"}).output, "");
  {
    Agent agent{folder / "agent.sock", EXDEV};
    EXPECT_EQ(runtime({"start", "own"}).output, "");
    agent.wait();
    expect_answered(agent, "created");
  }
  (void)::unlink((folder / "agent.sock").c_str());
  {
    Agent agent{folder / "agent.sock", EDOM};
    const auto result = runtime({"exec", "own", "mkdir", "/y"});
    agent.wait();
    EXPECT_THAT(result.output, HasSubstr(::strerror(EDOM)));
    expect_answered(agent, "running");
  }
  EXPECT_EQ(runtime({"delete", "--force", "own"}).status, 0);
}

TEST_F(RuntimeProgram, RunsInTheForeground) {
  spec.process->args = {"/bin/sh", "-c", "echo out; exit 3"};
  write_config();
  const auto result = runtime({"run", "--bundle", folder / "bundle", "own"});
  EXPECT_EQ(result.status, 3);
  EXPECT_EQ(result.output, "out\n");
  EXPECT_EQ(runtime({"list", "-q"}).output, "");
}

TEST_F(RuntimeProgram, TakesItsOverlayFromTheAnnotation) {
  for (const char* name : {"upper", "work", "merged"}) ASSERT_TRUE(sys::make_directories(folder / name).ok());
  spec.root.path = folder / "merged";
  spec.annotations[spec::kOverlayAnnotation] = R"({"lower":[")" + (folder / "bundle/rootfs") + R"("],"upper":")" +
                                               (folder / "upper") + R"(","work":")" + (folder / "work") + R"("})";
  spec.process->args = {"/bin/sh", "-c", "echo built > /result"};
  write_config();
  const auto result = runtime({"run", "--bundle", folder / "bundle", "build"});
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(sys::read_file(folder / "upper/result").value_or(""), "built\n");
}

TEST_F(RuntimeProgram, WritesErrorsWhereClientsLookForThem) {
  spec.process->args = {"nosuch"};
  write_config();
  EXPECT_EQ(runtime({"--log", folder / "log.json", "--log-format", "json", "run", "--bundle", folder / "bundle", "own"})
                .status,
            127);
  EXPECT_THAT(sys::read_file(folder / "log.json").value_or(""),
              HasSubstr(R"({"level":"error","msg":"exec: \"nosuch\": executable file not found in $PATH","time":")"));
}

}  // namespace
}  // namespace compose::runtime::testing
