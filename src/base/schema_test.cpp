#include "base/schema.hpp"

#include <gtest/gtest.h>

namespace compose {
namespace {

TEST(Schema, NothingIsGuessedAbout) {
  EXPECT_TRUE(check_schema(1, 1));
  EXPECT_TRUE(check_schema(1, 2));
  EXPECT_TRUE(check_schema(2, 2));
  EXPECT_EQ(check_schema(3, 2).error().code(), Errc::unsupported);
  EXPECT_EQ(check_schema(0, 2).error().code(), Errc::corrupt);
  EXPECT_EQ(check_schema(-1, 2).error().code(), Errc::corrupt);
}

}  // namespace
}  // namespace compose
