#include "state/log_reader.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::state {
namespace {

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string directory = testing::TempDir() + "log.XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    paths_ = Paths{directory, directory + "/run"};
  }
  void TearDown() override { EXPECT_TRUE(sys::remove_tree(paths_.root())); }

  static std::string line(const std::string& text, char tag = 'F',
                          const char* time = "2026-01-01T00:00:00.000000000Z") {
    return std::string{time} + " stdout " + tag + " " + text + "\n";
  }
  void append(const std::string& path, const std::string& text) const {
    FILE* file = std::fopen(path.c_str(), "ae");
    ASSERT_NE(file, nullptr);
    ASSERT_EQ(std::fwrite(text.data(), 1, text.size(), file), text.size());
    ASSERT_EQ(std::fclose(file), 0);
  }
  std::vector<std::string> read(const LogQuery& query = {}) const {
    std::vector<std::string> texts;
    EXPECT_TRUE(read_log(path(), query, [&](const LogLine& entry) {
      texts.push_back(entry.text);
      return true;
    }));
    return texts;
  }
  std::string path() const { return paths_.root() + "/log"; }

  void make_container(const std::string& id, const std::string& service) const {
    ASSERT_TRUE(sys::make_directories(paths_.container("p", id)));
    ContainerRecord r;
    r.id = id;
    r.name = "p-" + service + "-1";
    r.project = "p";
    r.service = service;
    r.phase = Phase::running;
    r.pid = ::getpid();
    r.start_time = sys::process_start_time(r.pid);
    r.boot_id = sys::boot_id();
    ASSERT_TRUE(save_record(paths_, r));
  }
  static std::vector<std::string> drain(LogFollower& follower) {
    std::vector<std::string> texts;
    EXPECT_TRUE(follower.drain([&](const FollowedLine& f) { texts.push_back(f.container->id + ":" + f.line.text); }));
    return texts;
  }
  static bool readable(const LogFollower& follower) {
    pollfd poller{follower.fd(), POLLIN, 0};
    return ::poll(&poller, 1, 0) == 1;
  }

  Paths paths_{"", ""};
};

using Texts = std::vector<std::string>;

TEST(LogLine, KnowsStreamTagAndText) {
  const auto full = parse_log_line("2026-01-01T00:00:00.5Z stderr F a b ");
  ASSERT_TRUE(full);
  EXPECT_TRUE(full->to_stderr);
  EXPECT_FALSE(full->partial);
  EXPECT_EQ(full->text, "a b ");
  EXPECT_TRUE(parse_log_line("2026-01-01T00:00:00Z stdout P x")->partial);
  EXPECT_EQ(parse_log_line("2026-01-01T00:00:00Z stdout F ")->text, "");
  for (const char* bad : {"", "x", "2026-01-01T00:00:00Z stdout", "2026-01-01T00:00:00Z stdin F x", "y stdout F x"}) {
    EXPECT_FALSE(parse_log_line(bad)) << bad;
  }
}

TEST_F(LogTest, ReadsRotatedFilesOldestFirst) {
  append(path() + ".2", line("1"));
  append(path() + ".1", line("2") + line("3"));
  append(path(), line("4") + "2026-01-01T00:00:00Z stdout F half");
  EXPECT_EQ(read(), (Texts{"1", "2", "3", "4"}));
}

TEST_F(LogTest, ALogThatIsNotThereHasNoLines) { EXPECT_EQ(read(), Texts{}); }

TEST_F(LogTest, TailCountsOverRotatedFiles) {
  append(path() + ".1", line("1") + line("2") + line("3"));
  append(path(), line("4") + line("5"));
  EXPECT_EQ(read({0, {}, {}}), Texts{});
  EXPECT_EQ(read({1, {}, {}}), (Texts{"5"}));
  EXPECT_EQ(read({2, {}, {}}), (Texts{"4", "5"}));
  EXPECT_EQ(read({3, {}, {}}), (Texts{"3", "4", "5"}));
  EXPECT_EQ(read({99, {}, {}}), (Texts{"1", "2", "3", "4", "5"}));
}

TEST_F(LogTest, TailTakesThePiecesOfALineAsOne) {
  append(path(), line("1") + line("2a", 'P') + line("2b", 'P') + line("2c") + line("3"));
  EXPECT_EQ(read({2, {}, {}}), (Texts{"2a", "2b", "2c", "3"}));
}

TEST_F(LogTest, TailReadsLinesLongerThanABlock) {
  const std::string text(700'000, 'x');
  append(path(), line("1") + line(text) + line("3"));
  EXPECT_EQ(read({2, {}, {}}), (Texts{text, "3"}));
  EXPECT_EQ(read({3, {}, {}}), (Texts{"1", text, "3"}));
}

TEST_F(LogTest, SinceAndUntilBoundTheTime) {
  append(path(), line("1", 'F', "2026-01-01T00:00:01Z") + line("2", 'F', "2026-01-01T00:00:02Z") +
                     line("3", 'F', "2026-01-01T00:00:03Z"));
  const auto second = parse_time("2026-01-01T00:00:02Z");
  EXPECT_EQ(read({{}, *second, {}}), (Texts{"2", "3"}));
  EXPECT_EQ(read({{}, {}, *second}), (Texts{"1", "2"}));
}

TEST_F(LogTest, FollowsWhatIsWrittenLater) {
  make_container("a", "web");
  append(paths_.log("p", "a"), line("1") + line("2"));
  auto follower = LogFollower::open(paths_, "p", {}, {1, {}, {}});
  ASSERT_TRUE(follower);
  EXPECT_EQ(drain(*follower), (Texts{"a:2"}));
  EXPECT_FALSE(readable(*follower));
  append(paths_.log("p", "a"), line("3"));
  EXPECT_TRUE(readable(*follower));
  EXPECT_EQ(drain(*follower), (Texts{"a:3"}));
  EXPECT_TRUE(follower->anything_running());
}

TEST_F(LogTest, FollowsOverRotations) {
  make_container("a", "web");
  const std::string log = paths_.log("p", "a");
  append(log, line("1"));
  auto follower = LogFollower::open(paths_, "p", {}, {});
  ASSERT_TRUE(follower);
  EXPECT_EQ(drain(*follower), (Texts{"a:1"}));
  append(log, line("2"));
  ASSERT_EQ(std::rename(log.c_str(), (log + ".2").c_str()), 0);
  append(log + ".1", line("3"));
  append(log, line("4"));
  EXPECT_EQ(drain(*follower), (Texts{"a:2", "a:3", "a:4"}));
}

TEST_F(LogTest, FollowsAServiceIntoItsNextContainer) {
  make_container("a", "web");
  append(paths_.log("p", "a"), line("1"));
  auto follower = LogFollower::open(paths_, "p", {{"web"}, {}, false}, {0, {}, {}});
  ASSERT_TRUE(follower);
  EXPECT_EQ(drain(*follower), Texts{});
  append(paths_.log("p", "a"), line("2"));
  EXPECT_EQ(drain(*follower), (Texts{"a:2"}));
  ASSERT_TRUE(sys::remove_tree(paths_.container("p", "a")));
  make_container("b", "web");
  make_container("c", "db");
  append(paths_.log("p", "c"), line("9"));
  append(paths_.log("p", "b"), line("3"));
  EXPECT_TRUE(readable(*follower));
  EXPECT_EQ(drain(*follower), (Texts{"b:3"}));
}

TEST_F(LogTest, KnowsWhenAllHaveEnded) {
  make_container("a", "web");
  auto follower = LogFollower::open(paths_, "p", {}, {});
  ASSERT_TRUE(follower);
  ASSERT_TRUE(follower->anything_running()) << "before the first drain";
  drain(*follower);
  ASSERT_TRUE(follower->anything_running());
  auto record = load_record(paths_, "p", "a");
  ASSERT_TRUE(record);
  record->phase = Phase::exited;
  ASSERT_TRUE(save_record(paths_, *record));
  EXPECT_TRUE(readable(*follower));
  drain(*follower);
  EXPECT_FALSE(follower->anything_running());
}

}  // namespace
}  // namespace compose::state
