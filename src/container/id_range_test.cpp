#include "container/id_range.hpp"

#include <gtest/gtest.h>

#include "container/test_folder.hpp"
#include "sys/file.hpp"

namespace compose::container {
namespace {

std::string error_of(const std::string& text) {
  const auto mode = parse_userns_mode(text);
  return mode ? "" : mode.error().message();
}

TEST(UsernsMode, IsTheHostsByDefault) {
  EXPECT_FALSE(parse_userns_mode("")->own_ids);
  EXPECT_FALSE(parse_userns_mode("host")->own_ids);
}

TEST(UsernsMode, TakesARangeOrAsksForOne) {
  EXPECT_TRUE(parse_userns_mode("auto")->own_ids);
  EXPECT_FALSE(parse_userns_mode("auto")->given.has_value());
  EXPECT_EQ(parse_userns_mode("100000:65536")->given, (IdRange{100000, 65536}));
}

TEST(UsernsMode, NeverMapsTheHostsRoot) {
  for (const char* text : {"0:65536", "1:0", "1:4294967295", "4294967295:1", "99999999999999999999:1"}) {
    EXPECT_NE(error_of(text), "") << text;
  }
  EXPECT_EQ(error_of("keep-id"), "userns_mode: \"keep-id\" is none of host, auto and FIRST:SIZE (100000:65536)");
}

class Ids : public TestFolder {};

TEST_F(Ids, BelongToOneContainerUntilItIsGone) {
  const state::Paths paths{path("root"), path("run")};
  const std::string one = path("one");
  ASSERT_TRUE(sys::make_directories(one).ok());
  const auto first = claim_ids(paths, one);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->first % 65536, 0U);
  EXPECT_GE(first->first, 0x70000000U);
  EXPECT_EQ(*claim_ids(paths, one), *first) << "a repeated creation";
  // Another container that hashes to the same place: the claim says so.
  const std::string file = path("root/userns/") + std::to_string((first->first - 0x70000000U) / 65536);
  const std::string two = path("two");
  ASSERT_TRUE(sys::make_directories(two).ok());
  ASSERT_TRUE(sys::write_file_atomic(file, two).ok());
  const auto other = claim_ids(paths, one);
  ASSERT_TRUE(other.ok());
  EXPECT_NE(other->first, first->first);
  ASSERT_TRUE(sys::remove_tree(two).ok());
  EXPECT_EQ(claim_ids(paths, one)->first, first->first) << "what a crash has left is taken over";
  ASSERT_TRUE(release_ids(paths, one).ok());
  EXPECT_FALSE(sys::exists(file));
}

}  // namespace
}  // namespace compose::container
