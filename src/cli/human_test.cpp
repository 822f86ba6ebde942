#include "cli/human.hpp"

#include <gtest/gtest.h>

namespace compose::cli {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

WallTime at(std::int64_t s, std::int64_t ns = 0) { return WallTime{} + seconds{s} + nanoseconds{ns}; }

TEST(Human, ReadsRfc3339) {
  EXPECT_EQ(parse_rfc3339("2026-08-20T10:00:00Z").value(), at(1787220000));
  EXPECT_EQ(parse_rfc3339("2026-08-20T12:00:00.5+02:00").value(), at(1787220000, 500'000'000));
  EXPECT_FALSE(parse_rfc3339("2026-08-20"));
  EXPECT_FALSE(parse_rfc3339("nonsense"));
}

TEST(Human, WritesNanoseconds) { EXPECT_EQ(format_rfc3339(at(1787220000, 42)), "2026-08-20T10:00:00.000000042Z"); }

TEST(Human, ReadsSinceAndUntil) {
  const WallTime now = at(1787220000);
  EXPECT_EQ(parse_when("42m", now).value(), now - std::chrono::minutes{42});
  EXPECT_EQ(parse_when("1787220000.25", now).value(), at(1787220000, 250'000'000));
  EXPECT_EQ(parse_when("2026-08-20T10:00:00Z", now).value(), now);
  EXPECT_TRUE(parse_when("2026-08-20", now));
  EXPECT_TRUE(parse_when("2026-08-20T10:00", now));
  EXPECT_FALSE(parse_when("yesterday", now));
}

TEST(Human, SaysHowLongAgo) { EXPECT_EQ(ago("2026-08-20T10:00:00Z", at(1787220000 + 7200)), "2 hours ago"); }

}  // namespace
}  // namespace compose::cli
