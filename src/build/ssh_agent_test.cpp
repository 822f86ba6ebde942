// The socket of RUN --mount=type=ssh, and the agent behind it, by the host's own ssh programs.
#include "build/ssh_agent.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "build/remote.hpp"
#include "image/testing/tar_builder.hpp"

namespace compose::build {
namespace {

using image::testing::TempFolder;

/// What a shell command gives: 0 for success.
int shell(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()); }

class SshAgentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!find_program("ssh-agent") || !find_program("ssh-keygen"))
      GTEST_SKIP() << "ssh-agent and ssh-keygen (package openssh-client) are not installed";
    ASSERT_EQ(shell("ssh-keygen -q -t ed25519 -N '' -C one -f " + (folder_ / "key")), 0);
  }
  TempFolder folder_;
};

TEST_F(SshAgentTest, KeysAreThereAndTheAgentEnds) {
  std::string socket;
  {
    const auto agent = KeyAgent::start({folder_ / "key"}, folder_ / "");
    ASSERT_TRUE(agent) << agent.error().message();
    socket = (*agent)->socket();
    const auto front = AgentSocket::create(folder_ / "front", socket);
    ASSERT_TRUE(front) << front.error().message();
    EXPECT_EQ(shell("SSH_AUTH_SOCK=" + (folder_ / "front") + " ssh-add -l"), 0);
    EXPECT_EQ(shell("SSH_AUTH_SOCK=" + (folder_ / "front") + " ssh-add -T " + (folder_ / "key.pub")), 0) << "it signs";
    // Again, and at once: connections do not wait for each other.
    EXPECT_EQ(shell("export SSH_AUTH_SOCK=" + (folder_ / "front") + "; ssh-add -l & ssh-add -l && wait $!"), 0);
  }
  EXPECT_NE(shell("SSH_AUTH_SOCK=" + socket + " ssh-add -l"), 0);
}

TEST_F(SshAgentTest, WhatIsNoKeyIsSaid) {
  const auto none = KeyAgent::start({folder_ / "missing"}, folder_ / "");
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message().find("missing"), std::string::npos) << none.error().message();
  ASSERT_EQ(shell("ssh-keygen -q -t ed25519 -N secret -f " + (folder_ / "locked")), 0);
  EXPECT_FALSE(KeyAgent::start({folder_ / "locked"}, folder_ / ""));
  EXPECT_FALSE(AgentSocket::create(folder_ / "nowhere", folder_ / "missing"));
}

}  // namespace
}  // namespace compose::build
