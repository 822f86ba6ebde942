#include "state/why.hpp"

#include <gmock/gmock.h>

#include <cstdlib>

#include "sys/file.hpp"

namespace compose::state {
namespace {

using ::testing::HasSubstr;

class WhyTest : public testing::Test {
 protected:
  WhyTest() {
    in_.service = "web";
    in_.folder = "/state";
    in_.free_bytes = 1 << 30;
  }
  ContainerRecord& container(int exit_code) {
    ContainerRecord record;
    record.name = "p-web-1";
    record.service = "web";
    record.phase = Phase::exited;
    record.exit_code = exit_code;
    record.started_at = Time{std::chrono::seconds{100}};
    record.finished_at = Time{std::chrono::seconds{101}};
    in_.containers = {record};
    return in_.containers[0];
  }
  void request(const char* op, const char* services = "") {
    in_.events.push_back({Time{std::chrono::seconds{101}},
                          "request",
                          "",
                          "",
                          "",
                          {{"op", op}, {"services", services}, {"uid", "0"}, {"pid", "7"}, {"command", "compose x"}}});
  }
  std::string headline() const { return judge(in_).headline; }
  WhyInput in_;
};

TEST_F(WhyTest, NamesTheMemoryLimit) {
  container(137).oom_killed = true;
  in_.attributes["mem_limit"] = "\"16777216\"";
  EXPECT_THAT(headline(), HasSubstr("out of memory"));
  EXPECT_THAT(headline(), HasSubstr("16777216"));
}

TEST_F(WhyTest, TellsAPersonFromTheOutside) {
  container(137).stopped_by_user = true;
  request("kill", "web");
  EXPECT_THAT(headline(), HasSubstr("killed by \"compose x\" (user id 0, process 7)"));
  container(137);
  in_.events.clear();
  EXPECT_THAT(headline(), HasSubstr("SIGKILL from outside"));
}

TEST_F(WhyTest, ARequestForAnotherServiceIsNotTheCause) {
  container(143).stopped_by_user = true;
  request("stop", "web");
  request("kill", "db");
  EXPECT_THAT(headline(), HasSubstr("it was stopped by"));
}

TEST_F(WhyTest, NamesExitCodesAndSignals) {
  container(3);
  EXPECT_EQ(headline(), "it exited with code 3");
  container(139);
  EXPECT_THAT(headline(), HasSubstr("SIGSEGV (signal 11)"));
}

TEST_F(WhyTest, NamesAReadOnlyRoot) {
  container(1);
  in_.attributes["read_only"] = "true";
  in_.lines = {"sh: can't create /x: Read-only file system"};
  EXPECT_THAT(headline(), HasSubstr("root file system is read-only"));
}

TEST_F(WhyTest, NamesTheFailingProbe) {
  ContainerRecord& record = container(0);
  record.phase = Phase::running;
  record.health = {"unhealthy", 3, {{{}, {}, 7, "refused"}}};
  record.healthcheck.test = {"check"};
  const Verdict verdict = judge(in_);
  EXPECT_THAT(verdict.headline, HasSubstr("failed 3 times"));
  EXPECT_THAT(verdict.details, ::testing::Contains(HasSubstr("exit code 7")));
  EXPECT_THAT(verdict.details, ::testing::Contains(HasSubstr("refused")));
}

TEST_F(WhyTest, AFullDiskComesFirst) {
  container(0);
  in_.free_bytes = 0;
  EXPECT_THAT(headline(), HasSubstr("the disk of /state is full"));
}

TEST_F(WhyTest, AFailedStartIsToldWhenNothingIsLeft) {
  in_.failure = FailureRecord{{}, "service \"web\": secret \"db\": no such file", "compose.yaml:7:5", {}};
  EXPECT_THAT(headline(), HasSubstr("compose.yaml:7:5: service \"web\": secret"));
  in_.failure.reset();
  EXPECT_THAT(headline(), HasSubstr("it was never started"));
}

TEST_F(WhyTest, ADependencyThatFailedIsAskedAbout) {
  FailedContainer db;
  db.record.service = "db";
  in_.failure = FailureRecord{{}, "service \"db\" is unhealthy: container p-db-1", "", {db}};
  const Verdict verdict = judge(in_);
  EXPECT_THAT(verdict.headline, HasSubstr("another service failed"));
  EXPECT_EQ(verdict.ask, std::vector<std::string>{"db"});
}

TEST_F(WhyTest, RemembersFailuresAndWhatWorked) {
  std::string directory = testing::TempDir() + "why.XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const Paths paths{directory, directory + "/run"};
  ASSERT_TRUE(sys::make_directories(paths.project("p")));
  EXPECT_FALSE(load_failure(paths, "p"));
  ContainerRecord record;
  record.project = "p";
  record.service = "web";
  record.made_from = "{\"image\":\"x\"}";
  ASSERT_TRUE(save_failure(paths, "p", {Time{std::chrono::seconds{5}}, "m", "f:1:1", {{record, {"line"}}}}));
  const auto failure = load_failure(paths, "p");
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->message, "m");
  EXPECT_EQ(failure->containers.at(0).record.service, "web");
  EXPECT_EQ(failure->containers.at(0).lines, std::vector<std::string>{"line"});
  EXPECT_EQ(load_worked(paths, "p", "web"), "");
  ASSERT_TRUE(save_worked(paths, record));
  EXPECT_EQ(load_worked(paths, "p", "web"), record.made_from);
  EXPECT_TRUE(sys::remove_tree(directory));
}

}  // namespace
}  // namespace compose::state
