#include "base/strings.hpp"

#include <gtest/gtest.h>

#include "base/ids.hpp"
#include "base/sha256.hpp"

namespace compose {
namespace {

TEST(Strings, SplitKeepsEmptyParts) { EXPECT_EQ(split("a,,b", ','), (std::vector<std::string>{"a", "", "b"})); }
TEST(Strings, TrimTakesBlanksOffBothEnds) { EXPECT_EQ(trim(" \ta b\n"), "a b"); }

TEST(Strings, NumbersAreWholeOrNothing) {
  EXPECT_EQ(parse_unsigned("42"), 42U);
  EXPECT_FALSE(parse_unsigned("42x"));
  EXPECT_FALSE(parse_unsigned("99999999999999999999"));
  EXPECT_EQ(parse_signed("-7"), -7);
  EXPECT_FALSE(parse_signed("+-7"));
}

TEST(Strings, NearestSuggestsOnlyWhatIsNear) {
  const std::vector<std::string> keys{"depends_on", "deploy", "image"};
  EXPECT_EQ(nearest("depend_on", keys), "depends_on");
  EXPECT_FALSE(nearest("xyz", keys));
}

TEST(Strings, ShellQuoteRoundTrips) {
  EXPECT_EQ(shell_quote("a-b"), "a-b");
  EXPECT_EQ(shell_quote("it's"), "'it'\\''s'");
}

TEST(Sha256, KnownAnswer) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Ids, AreLongAndDifferent) {
  EXPECT_EQ(random_id().size(), 64U);
  EXPECT_NE(random_id(), random_id());
}

}  // namespace
}  // namespace compose
