#include "state/events.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "sys/file.hpp"

namespace compose::state {
namespace {

class EventsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string directory = testing::TempDir() + "events.XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    paths_ = Paths{directory, directory + "/run"};
    ASSERT_TRUE(sys::make_directories(paths_.project("p")));
  }
  void TearDown() override { EXPECT_TRUE(sys::remove_tree(paths_.root())); }
  void append(const std::string& name) {
    ASSERT_TRUE(
        append_event(paths_, "p", {Time{std::chrono::seconds{7}}, "start", "i", name, "web", {{"image", "x"}}}));
  }
  std::string drain(EventFollower& follower) {
    std::string names;
    EXPECT_TRUE(follower.drain([&](const ContainerEvent& event) { names += event.name + " "; }));
    return names;
  }
  Paths paths_{"", ""};
};

TEST_F(EventsTest, AreReadBackInOrder) {
  append("a");
  append("b");
  const auto events = load_events(paths_, "p");
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 2U);
  EXPECT_EQ(events->at(0).name, "a");
  EXPECT_EQ(events->at(1).attributes.at("image"), "x");
  EXPECT_EQ(events->at(1).at, Time{std::chrono::seconds{7}});
}

TEST_F(EventsTest, TornAndForeignLinesAreLeftOut) {
  append("a");
  ASSERT_TRUE(sys::write_file_atomic(paths_.events("p") + ".1", "{\"time\":\nrubbish\n[1]\n"));
  EXPECT_EQ(load_events(paths_, "p")->size(), 1U);
}

TEST_F(EventsTest, AreBounded) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(sys::write_file_atomic(paths_.events("p"), std::string((1 << 20) + 1, '\n')));
    append("a");
  }
  EXPECT_LT(sys::read_file(paths_.events("p"))->size(), 1000U);
  EXPECT_TRUE(sys::exists(paths_.events("p") + ".1"));
  remove_events(paths_, "p");
  EXPECT_TRUE(sys::list_directory(paths_.project("p"))->empty());
}

TEST_F(EventsTest, AreFollowedFromNowOn) {
  append("a");
  auto follower = EventFollower::open(paths_, "p");
  ASSERT_TRUE(follower);
  EXPECT_EQ(drain(*follower), "");
  append("b");
  append("c");
  EXPECT_EQ(drain(*follower), "b c ");
  remove_events(paths_, "p");
  append("d");
  EXPECT_EQ(drain(*follower), "d ");
  ASSERT_TRUE(sys::remove_tree(paths_.project("p")));
  EXPECT_EQ(drain(*follower), "");
  ASSERT_TRUE(sys::make_directories(paths_.project("p")));
  append("e");
  EXPECT_EQ(drain(*follower), "e ");
}

}  // namespace
}  // namespace compose::state
