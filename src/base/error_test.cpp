#include "base/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace compose {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return make_error(Errc::invalid, "{} is odd", number);
  return number / 2;
}

Result<int> quarter(int number) {
  TRY_ASSIGN(const int once, half(number));
  TRY_ASSIGN(const int twice, half(once).with("second half of {}", number));
  return twice;
}

TEST(Result, PassesValuesOn) { EXPECT_EQ(*quarter(12), 3); }

TEST(Result, ErrorsCollectContext) {
  const auto result = quarter(6);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message(), "second half of 6: 3 is odd");
  EXPECT_EQ(result.error().code(), Errc::invalid);
}

TEST(Error, KeepsErrnoAndItsText) {
  errno = ENOENT;
  const Error error = os_error("open {}", "/x");
  EXPECT_EQ(error.message(), "open /x: No such file or directory");
  EXPECT_EQ(error.sys_errno(), ENOENT);
  EXPECT_EQ(error.code(), Errc::not_found);
}

}  // namespace
}  // namespace compose
