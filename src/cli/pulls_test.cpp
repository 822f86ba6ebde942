#include "cli/pulls.hpp"

#include <gtest/gtest.h>

namespace compose::cli {
namespace {

using namespace std::chrono_literals;

TEST(PullPolicy, SaysWhenARegistryIsAsked) {
  const std::string then = "2026-01-02T03:04:05.5Z";
  const auto at = std::chrono::system_clock::from_time_t(1767323045);  // the same moment
  struct Case {
    const char* policy;
    bool present;
    std::chrono::seconds later;
    bool pulls;
  };
  const Case cases[] = {
      {"", false, 0s, true},
      {"", true, 0s, false},
      {"missing", false, 0s, true},
      {"missing", true, 0s, false},
      {"if_not_present", true, 0s, false},
      {"always", true, 0s, true},
      {"refresh", true, 0s, true},
      {"never", false, 0s, false},
      {"build", false, 0s, false},
      {"daily", true, 23h, false},
      {"daily", true, 25h, true},
      {"daily", false, 0s, true},
      {"weekly", true, 167h, false},
      {"weekly", true, 169h, true},
      {"every_1h30m", true, 89min, false},
      {"every_1h30m", true, 91min, true},
      {"every_2w1d", true, 24h * 14, false},
      {"every_2w1d", true, 24h * 16, true},
  };
  for (const Case& item : cases) {
    const auto pulls = wants_pull(item.policy, item.present, then, at + item.later);
    ASSERT_TRUE(pulls.ok());
    EXPECT_EQ(*pulls, item.pulls) << item.policy << " after " << item.later.count() << " s";
  }
}

TEST(PullPolicy, RefusesOtherWords) {
  for (const char* policy : {"sometimes", "every_", "every_5", "every_5y", "every_d", "every_99999999999d"})
    EXPECT_EQ(wants_pull(policy, true, "", {}).error().code(), Errc::invalid) << policy;
}

}  // namespace
}  // namespace compose::cli
