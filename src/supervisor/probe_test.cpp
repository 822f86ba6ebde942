#include "supervisor/probe.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "supervisor/orphans.hpp"
#include "sys/file.hpp"

namespace compose::supervisor {
namespace {

/// A folder of helpers in which compose-runtime is the shell.
class ProbeTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "probe.XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    const auto shell = sys::read_file("/bin/sh");
    ASSERT_TRUE(shell);
    ASSERT_TRUE(sys::write_file_atomic(folder_ + "/compose-runtime", *shell, 0755));
    ::setenv("COMPOSE_LIBEXEC", folder_.c_str(), 1);
  }
  void TearDown() override {
    ::unsetenv("COMPOSE_LIBEXEC");
    EXPECT_TRUE(sys::remove_tree(folder_));
  }

  std::string folder_;
};

TEST_F(ProbeTest, TheRuntimeIsOpenedOnceAndCannotBeWritten) {
  RuntimeProgram runtime;
  const auto program = runtime.open();
  ASSERT_TRUE(program) << program.error().message();
  EXPECT_EQ(runtime.open().value(), *program);
  struct statvfs status{};
  ASSERT_EQ(::fstatvfs(*program, &status), 0);
  const int seals = ::fcntl(*program, F_GET_SEALS);
  EXPECT_TRUE((status.f_flag & ST_RDONLY) != 0 || (seals >= 0 && (seals & F_SEAL_WRITE) != 0));
}

TEST_F(ProbeTest, ACommandGivesItsOutputAndItsCode) {
  async::EventLoop loop;
  RuntimeProgram runtime;
  const auto program = runtime.open();
  ASSERT_TRUE(program) << program.error().message();
  ProbeCommand command;
  command.program = *program;
  command.arguments = {"compose-runtime", "-c", "echo out; echo err >&2; exit 7"};
  ProbeOutcome outcome;
  auto probe = Probe::start(loop, command, [&](const ProbeOutcome& ended) {
    outcome = ended;
    loop.stop();
  });
  ASSERT_TRUE(probe) << probe.error().message();
  loop.run();
  EXPECT_EQ(outcome.exit_code, 7);
  EXPECT_EQ(outcome.output, "out\nerr\n");
  EXPECT_FALSE(outcome.timed_out);
}

TEST_F(ProbeTest, WhatAKilledCommandLeavesIsWaitedFor) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  async::EventLoop loop;
  RuntimeProgram runtime;
  const auto program = runtime.open();
  ASSERT_TRUE(program) << program.error().message();
  ProbeCommand command;
  command.program = *program;
  command.arguments = {"compose-runtime", "-c", "sleep 1000 & setsid sleep 1000 & echo ready; wait"};
  auto probe = Probe::start(loop, command, [](const ProbeOutcome&) {});
  ASSERT_TRUE(probe) << probe.error().message();
  (*probe)->on_output = [&](std::string_view) { loop.stop(); };
  loop.run();
  probe->reset();
  siginfo_t ended{};
  while (::waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT) == 0) reap_orphans();
  EXPECT_EQ(errno, ECHILD);
  ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

TEST(Orphans, AreThoseThatNobodyWaitsFor) {
  const ProcessIds self{100, 90, 80};
  EXPECT_FALSE(unawaited({200, 90, 80}, self)) << "a program in our group";
  EXPECT_FALSE(unawaited({200, 200, 80}, self)) << "a probe";
  EXPECT_TRUE(unawaited({200, 200, 200}, self)) << "a monitor, or a command inside a container";
  EXPECT_TRUE(unawaited({201, 200, 80}, self)) << "of a probe, before it has a session";
  EXPECT_TRUE(unawaited({201, 201, 200}, self)) << "a job of somebody's shell";
}

}  // namespace
}  // namespace compose::supervisor
