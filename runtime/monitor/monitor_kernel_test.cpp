#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/strings.hpp"
#include "runtime/monitor/attach.hpp"
#include "runtime/testing/bench_container.hpp"
#include "sys/file.hpp"
#include "sys/lock.hpp"
#include "sys/process.hpp"

namespace compose::runtime::testing {
namespace {

using ::testing::HasSubstr;
using Kind = monitor::Event::Kind;

class MonitorTest : public Bench {
 protected:
  std::string socket() const { return request.run_dir + "/monitor.sock"; }

  /// Reads from an attached client until `text` has come (or the monitor has gone).
  static std::string read_until(monitor::Attached& attached, const std::string& text) {
    std::string got;
    while (got.find(text) == std::string::npos) {
      auto item = attached.receive();
      if (!item) break;
      if (!*item) {
        pollfd poll{attached.fd(), POLLIN, 0};
        if (::poll(&poll, 1, 20000) <= 0) break;
        continue;
      }
      if ((*item)->kind == monitor::Attached::Item::Kind::closed) break;
      got += (*item)->bytes;
    }
    return got;
  }
  /// Waits until a file has content.
  static std::string wait_for_file(const std::string& path) {
    for (int i = 0; i < 10000; ++i) {
      if (auto text = sys::read_file(path); text && !text->empty()) return *text;
      ::usleep(1000);
    }
    return {};
  }
  /// The fields of /proc/PID/stat that follow the name.
  static std::vector<std::string> stat_of(pid_t pid) {
    const auto stat = sys::read_file(fmt::format("/proc/{}/stat", pid));
    return stat ? split(stat->substr(stat->rfind(')') + 2), ' ') : std::vector<std::string>{"", "0"};
  }
  static bool wait_for_state(pid_t pid, const std::string& letter) {
    for (int i = 0; i < 20000 && stat_of(pid)[0] != letter; ++i) ::usleep(1000);
    return stat_of(pid)[0] == letter;
  }
  static void wait_started(monitor::Client& client) {
    while (next_event(client).kind != Kind::started) {
    }
  }
};

TEST_F(MonitorTest, TellsCreatedStartedExitedInOrder) {
  spec.process->args = {"/bin/sh", "-c", "echo out; echo err >&2; exit 7"};
  auto client = start();
  EXPECT_EQ(next_event(client).kind, Kind::created);
  const auto started = next_event(client);
  EXPECT_EQ(started.kind, Kind::started) << started.message;
  EXPECT_GT(started.pid, 1);
  EXPECT_GT(started.start_time, 0U);
  const auto outcome = finish(client);
  EXPECT_EQ(outcome.last.kind, Kind::exited) << outcome.last.message;
  EXPECT_EQ(outcome.last.exit_code, 7);
  EXPECT_EQ(outcome.output, "out\n");
  EXPECT_EQ(outcome.errors, "err\n");
  auto record = sys::read_file(folder / "state/exit.json");
  ASSERT_TRUE(record.ok());
  EXPECT_THAT(*record, HasSubstr("\"exit_code\":7,\"signal\":0"));
  EXPECT_EQ(next_event(client).kind, Kind::lost) << "the monitor leaves when its news has been heard";
}

TEST_F(MonitorTest, HearsOfAnEndBeforeItHearsOfTheStart) {
  // So many that there is time to stop it before it runs its program.
  for (int i = 0; i < 300; ++i) spec.mounts.push_back({fmt::format("/tmp/{}", i), "tmpfs", "tmpfs", {}, {}, {}});
  pid_t container = 0;
  {
    auto first = start();
    container = next_event(first).pid;
    ASSERT_EQ(::kill(container, SIGSTOP), 0);
    ASSERT_TRUE(first.goodbye().ok());
  }
  auto client = monitor::Client::connect(socket());
  ASSERT_TRUE(client.ok()) << client.error().message();
  const auto present = next_event(*client);  // it looks for events now
  if (present.kind != Kind::created) GTEST_SKIP() << "the container's program ran before it could be stopped";
  const pid_t keeper = std::stoi(stat_of(container)[1]);
  ASSERT_EQ(::kill(keeper, SIGSTOP), 0);
  ASSERT_TRUE(wait_for_state(keeper, "T"));
  // The kernel tells what happened first, first.
  ASSERT_EQ(::kill(keeper, SIGCHLD), 0);
  ASSERT_EQ(::kill(container, SIGCONT), 0);
  ASSERT_TRUE(wait_for_state(container, "Z"));
  ASSERT_EQ(::kill(keeper, SIGCONT), 0);
  EXPECT_EQ(finish(*client).last.kind, Kind::exited);
}

TEST_F(MonitorTest, ReportsSignals) {
  spec.process->args = {"/bin/sleep", "1000"};
  auto client = start();
  wait_started(client);
  ASSERT_TRUE(client.signal(SIGKILL).ok());
  const auto last = finish(client).last;
  EXPECT_EQ(last.exit_code, 137);
  EXPECT_EQ(last.signal, SIGKILL);
  EXPECT_FALSE(last.oom_killed);
}

TEST_F(MonitorTest, IsTakenUpAgainAfterItsSupervisorVanished) {
  spec.process->args = {"/bin/sh", "-c", "echo one; while [ ! -e /data/go ]; do sleep 0.01; done; echo two; exit 4"};
  monitor::Event started;
  {
    auto client = start();
    EXPECT_EQ(next_event(client).kind, Kind::created);
    started = next_event(client);
  }
  auto second = monitor::Client::connect(socket());
  ASSERT_TRUE(second.ok()) << second.error().message();
  const auto again = next_event(*second);
  EXPECT_EQ(again.kind, Kind::started);
  EXPECT_EQ(again.pid, started.pid);
  EXPECT_EQ(again.start_time, started.start_time);
  ASSERT_TRUE(sys::write_file_atomic(folder / "bundle/rootfs/data/go", "x").ok());
  const auto outcome = finish(*second);
  EXPECT_EQ(outcome.last.exit_code, 4);
  EXPECT_EQ(outcome.output, "one\ntwo\n");
}

TEST_F(MonitorTest, RecordsAnExitThatNobodyHears) {
  spec.process->args = {"/bin/sh", "-c", "while [ ! -e /data/go ]; do sleep 0.01; done; exit 42"};
  {
    auto client = start();
    wait_started(client);
    ASSERT_TRUE(client.goodbye().ok());
  }
  ASSERT_TRUE(sys::write_file_atomic(folder / "bundle/rootfs/data/go", "x").ok());
  EXPECT_THAT(wait_for_file(folder / "state/exit.json"), HasSubstr("\"exit_code\":42"));
}

TEST_F(MonitorTest, StartsASupervisorWithTheLockWhenItsOwnVanishes) {
  // The "supervisor" writes its arguments and whether the passed descriptor holds the lock.
  const std::string script = folder / "supervisor";
  ASSERT_TRUE(sys::write_file_atomic(script,
                                     "#!/bin/sh\nreadlink /proc/self/fd/3 > " + (folder / "lockfile") +
                                         "\necho \"$@\" > " + (folder / "told") + "\n",
                                     0755)
                  .ok());
  request.respawn_argv = {script, "supervise", "--project", "p"};
  request.project_lock_path = folder / "lock";
  spec.process->args = {"/bin/sleep", "1000"};
  {
    auto client = start();
    wait_started(client);
  }
  EXPECT_EQ(wait_for_file(folder / "told"), "supervise --project p --lock-fd 3\n");
  EXPECT_EQ(wait_for_file(folder / "lockfile"), folder / "lock\n");
  auto client = monitor::Client::connect(socket());
  ASSERT_TRUE(client.ok());
  ASSERT_TRUE(client->kill_all().ok());
  EXPECT_EQ(finish(*client).last.exit_code, 137);
}

TEST_F(MonitorTest, LeavesTheSupervisorThatHoldsTheLockAlone) {
  const std::string script = folder / "supervisor";
  ASSERT_TRUE(sys::write_file_atomic(script, "#!/bin/sh\necho > " + (folder / "told") + "\n", 0755).ok());
  request.respawn_argv = {script};
  request.project_lock_path = folder / "lock";
  auto lock = sys::FileLock::acquire(folder / "lock");
  ASSERT_TRUE(lock.ok());
  spec.process->args = {"/bin/sh", "-c", "while [ ! -e /data/go ]; do sleep 0.01; done"};
  {
    auto client = start();
    wait_started(client);
  }
  ::usleep(700'000);  // longer than the longest jitter
  EXPECT_FALSE(sys::exists(folder / "told"));
  auto client = monitor::Client::connect(socket());
  ASSERT_TRUE(client.ok());
  ASSERT_TRUE(sys::write_file_atomic(folder / "bundle/rootfs/data/go", "x").ok());
  EXPECT_EQ(finish(*client).last.exit_code, 0);
}

TEST_F(MonitorTest, RotatesItsLog) {
  request.log.max_size = 2000;
  request.log.max_files = 3;
  run("for i in 0 1 2 3 4 5 6 7 8 9; do for j in 0 1 2 3 4 5 6 7 8 9; do echo line $i$j; sleep 0.001; done; done");
  EXPECT_TRUE(sys::exists(folder / "state/log.1"));
  EXPECT_TRUE(sys::exists(folder / "state/log.2"));
  EXPECT_FALSE(sys::exists(folder / "state/log.3"));
  for (const char* name : {"state/log", "state/log.1", "state/log.2"}) {
    EXPECT_LE(sys::read_file(folder / name).value_or("").size(), 2000U) << name;
  }
  EXPECT_THAT(log_text("stdout"), ::testing::EndsWith("line 99\n"));
}

TEST_F(MonitorTest, MarksPiecesOfALine) {
  EXPECT_EQ(run("printf 'no end'").output, "no end");
  EXPECT_THAT(sys::read_file(request.log.path).value_or(""), HasSubstr(" stdout P no end\n"));
}

TEST_F(MonitorTest, GivesATerminal) {
  spec.process->terminal = true;
  spec.process->console_size = spec::ConsoleSize{30, 90};
  spec.process->args = {"/bin/sh", "-c",
                        "test -t 0 && test -t 1 && echo terminal; stty size; ls -l /dev/console | cut -c1"};
  auto client = start();
  EXPECT_EQ(finish(client).output, "terminal\r\n30 90\r\nc\r\n");
}

TEST_F(MonitorTest, LetsOneTypeIntoItsTerminal) {
  spec.process->terminal = true;
  request.wait_attach = true;
  spec.process->args = {"/bin/sh", "-c", "read line; stty size; echo got $line; exit 6"};
  auto client = start();
  EXPECT_EQ(next_event(client).kind, Kind::created);
  auto attached = monitor::Attached::connect(socket());
  ASSERT_TRUE(attached.ok());
  ASSERT_TRUE(attached->resize(50, 120).ok());
  wait_started(client);
  ASSERT_TRUE(attached->send_input("hello\n").ok());
  EXPECT_THAT(read_until(*attached, "got hello"), HasSubstr("50 120"));
  EXPECT_EQ(finish(client).last.exit_code, 6);
}

TEST_F(MonitorTest, EndsAContainerThatIsStillHeld) {
  request.wait_attach = true;
  auto client = start();
  EXPECT_EQ(next_event(client).kind, Kind::created);
  ASSERT_TRUE(client.signal(SIGTERM).ok());
  const auto last = finish(client).last;
  EXPECT_EQ(last.kind, Kind::failed);
  EXPECT_EQ(last.message, "the container's process ended before it ran its program");
}

TEST_F(MonitorTest, HoldsItsProgramUntilItIsToldToRunIt) {
  request.hold = true;
  spec.process->args = {"/bin/sh", "-c", "echo ran; exit 5"};
  auto client = start();
  EXPECT_EQ(next_event(client).kind, Kind::created);
  pollfd poller{client.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&poller, 1, 300), 0) << "nothing happens by itself";
  ASSERT_TRUE(client.run().ok());
  const auto last = finish(client).last;
  EXPECT_EQ(last.kind, Kind::exited);
  EXPECT_EQ(last.exit_code, 5);
}

TEST_F(MonitorTest, TheSupervisorThatComesNextMayLetItRun) {
  request.hold = true;
  spec.process->args = {"/bin/sh", "-c", "exit 5"};
  std::optional<monitor::Client> first{start()};
  EXPECT_EQ(next_event(*first).kind, Kind::created);
  first.reset();
  auto second = monitor::Client::connect(socket());
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(next_event(*second).kind, Kind::created);
  ASSERT_TRUE(second->run().ok());
  EXPECT_EQ(finish(*second).last.exit_code, 5);
}

TEST_F(MonitorTest, PassesStandardInputAndItsEnd) {
  request.open_stdin = true;
  spec.process->args = {"/bin/wc", "-c"};
  auto client = start();
  wait_started(client);
  auto attached = monitor::Attached::connect(socket());
  ASSERT_TRUE(attached.ok());
  ASSERT_TRUE(attached->send_input(std::string(200'000, 'x')).ok());
  ASSERT_TRUE(attached->end_input().ok());
  EXPECT_EQ(read_until(*attached, "\n"), "200000\n");
  EXPECT_EQ(finish(client).last.exit_code, 0);
}

TEST_F(MonitorTest, MakesSendersWaitForAContainerThatDoesNotRead) {
  request.open_stdin = true;
  spec.process->args = {"/bin/sh", "-c", "while [ ! -e /data/go ]; do sleep 0.01; done; wc -c"};
  auto client = start();
  wait_started(client);
  auto attached = monitor::Attached::connect(socket());
  ASSERT_TRUE(attached.ok());
  // More than its pipe, the monitor's queue and the socket hold together: the sender gets stuck until somebody reads.
  ::fcntl(attached->fd(), F_SETFL, O_NONBLOCK);
  std::size_t sent = 0;
  const std::string piece(4096, 'x');
  for (int idle = 0; idle < 50 && sent < (16U << 20); ++idle) {
    while (attached->send_input(piece)) {
      sent += piece.size();
      idle = 0;
    }
    ::usleep(1000);
  }
  EXPECT_LT(sent, 4U << 20);
  ::fcntl(attached->fd(), F_SETFL, 0);
  ASSERT_TRUE(sys::write_file_atomic(folder / "bundle/rootfs/data/go", "x").ok());
  ASSERT_TRUE(attached->end_input().ok());
  EXPECT_EQ(read_until(*attached, "\n"), std::to_string(sent) + "\n");
  finish(client);
}

TEST_F(MonitorTest, LosesNothingWhenAClientReadsSlowly) {
  request.wait_attach = true;
  spec.process->args = {
      "/bin/sh", "-c",
      "i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; echo end"};
  auto client = start();
  EXPECT_EQ(next_event(client).kind, Kind::created);
  auto attached = monitor::Attached::connect(socket());
  ASSERT_TRUE(attached.ok());
  ::usleep(100'000);
  EXPECT_EQ(read_until(*attached, "end\n").size(), 20000U * 41 + 4);
  EXPECT_EQ(finish(client).last.exit_code, 0);
}

TEST_F(MonitorTest, IsSmall) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "a sanitizer's own memory is in the figure";
#endif
  spec.process->args = {"/bin/sleep", "1000"};
  spec.linux_.seccomp = default_seccomp();
  auto client = start();
  wait_started(client);
  auto stat =
      sys::read_file("/proc/" + std::to_string(::getpid()) + "/task/" + std::to_string(::getpid()) + "/children");
  ASSERT_TRUE(stat.ok());
  const auto pid = split(trim(*stat), ' ').back();
  std::uint64_t private_kib = 0;
  for (const auto& line : split(sys::read_file("/proc/" + pid + "/smaps_rollup").value_or(""), '\n')) {
    if (!line.starts_with("Private_Dirty:")) continue;
    const auto digits = line.find_first_of("0123456789");
    private_kib = parse_unsigned(line.substr(digits, line.find(' ', digits) - digits)).value_or(0);
  }
  RecordProperty("private_dirty_kib", static_cast<int>(private_kib));
  std::printf("monitor: %lu KiB private dirty\n", static_cast<unsigned long>(private_kib));
  // With a request larger than a usual one; test_scale measures those of real services, which stay under 150.
  EXPECT_LT(private_kib, 200U);
  ASSERT_TRUE(client.kill_all().ok());
  finish(client);
}

}  // namespace
}  // namespace compose::runtime::testing
