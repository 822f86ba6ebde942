// compose-runtime on containers that a monitor keeps, and on its own.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cstring>
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

  /// Runs compose-runtime with both streams in one file.
  Result runtime(std::vector<std::string> words) {
    const std::string file = folder / "output";
    const UniqueFd output{::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    const UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    auto program = sys::program_path("compose-runtime");
    if (!program) return {-1, program.error().message()};
    sys::SpawnOptions options;
    options.program = *program;
    options.arguments = {"compose-runtime", "--root", root()};
    options.arguments.insert(options.arguments.end(), words.begin(), words.end());
    options.fds = {{null.get(), 0}, {output.get(), 1}, {output.get(), 2}};
    auto child = sys::spawn(options);
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
