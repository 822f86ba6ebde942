#include "base/units.hpp"

#include <gtest/gtest.h>

namespace compose {
namespace {

using namespace std::chrono_literals;

TEST(Units, DurationsAreGos) {
  EXPECT_EQ(*parse_duration("1m30s"), 90s);
  EXPECT_EQ(*parse_duration("1.5h"), 90min);
  EXPECT_EQ(*parse_duration("2d"), 48h);
  EXPECT_FALSE(parse_duration("10"));
  EXPECT_FALSE(parse_duration("1x"));
  EXPECT_EQ(format_duration(90s), "1m30s");
  EXPECT_EQ(format_duration(1h), "1h0m0s");
  EXPECT_EQ(format_duration(1500ms), "1.5s");
  EXPECT_EQ(format_duration(100us), "100\xc2\xb5s");
  EXPECT_EQ(format_duration(0s), "0s");
}

TEST(Units, SizesArePowersOf1024) {
  EXPECT_EQ(*parse_bytes("64m"), 64 << 20);
  EXPECT_EQ(*parse_bytes("1.5GiB"), 1610612736);
  EXPECT_EQ(*parse_bytes("1kb"), 1024);
  EXPECT_EQ(*parse_bytes("-1"), -1);
  EXPECT_FALSE(parse_bytes("1x"));
  EXPECT_FALSE(parse_bytes(""));
}

TEST(Units, HumanForms) {
  EXPECT_EQ(format_bytes(12345678), "12.35MB");
  EXPECT_EQ(human_duration(3s), "3 seconds");
  EXPECT_EQ(human_duration(61s), "About a minute");
  EXPECT_EQ(human_duration(5h), "5 hours");
}

}  // namespace
}  // namespace compose
