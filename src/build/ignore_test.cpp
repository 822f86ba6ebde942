#include "build/ignore.hpp"

#include <gtest/gtest.h>

namespace compose::build {
namespace {

TEST(PathMatches, LikeGo) {
  EXPECT_TRUE(path_matches("*.go", "a.go"));
  EXPECT_FALSE(path_matches("*.go", "d/a.go"));
  EXPECT_TRUE(path_matches("a?c", "abc"));
  EXPECT_FALSE(path_matches("a?c", "a/c"));
  EXPECT_TRUE(path_matches("[a-c]x", "bx"));
  EXPECT_TRUE(path_matches("[^a-c]x", "dx"));
  EXPECT_FALSE(path_matches("[a-c]x", "dx"));
  EXPECT_TRUE(path_matches("\\*", "*"));
  EXPECT_FALSE(path_matches("\\*", "a"));
  EXPECT_FALSE(path_matches("[a", "a"));
  EXPECT_TRUE(path_matches("a*b*c*d*e", "aXbXcXdXe"));
  EXPECT_FALSE(path_matches(std::string(30, '*') + "b", std::string(5000, 'a'))) << "and quickly";
}

TEST(IgnoreRules, LastMatchDecides) {
  const IgnoreRules rules{"# comment\n*.md\n!README.md\n  secret/ \n/top\n**/node_modules\ndocs/**/*.tmp\n\n"};
  EXPECT_TRUE(rules.ignored("a.md"));
  EXPECT_FALSE(rules.ignored("README.md"));
  EXPECT_FALSE(rules.ignored("d/a.md"));
  EXPECT_TRUE(rules.ignored("secret"));
  EXPECT_TRUE(rules.ignored("secret/key"));
  EXPECT_TRUE(rules.ignored("top"));
  EXPECT_TRUE(rules.ignored("a/b/node_modules/c"));
  EXPECT_TRUE(rules.ignored("node_modules"));
  EXPECT_TRUE(rules.ignored("docs/x.tmp"));
  EXPECT_TRUE(rules.ignored("docs/a/b/x.tmp"));
  EXPECT_FALSE(rules.ignored("docs/a/x.txt"));
  EXPECT_FALSE(rules.ignored("# comment"));
}

TEST(IgnoreRules, ExceptionsInsideIgnoredFolders) {
  const IgnoreRules rules{"*\n!src\nsrc/*.log\n!a/b/keep"};
  EXPECT_TRUE(rules.ignored("x"));
  EXPECT_FALSE(rules.ignored("src/main.c"));
  EXPECT_TRUE(rules.ignored("src/x.log"));
  EXPECT_TRUE(rules.ignored("a"));
  EXPECT_TRUE(rules.may_contain_exceptions("a"));
  EXPECT_TRUE(rules.may_contain_exceptions("a/b"));
  EXPECT_FALSE(rules.may_contain_exceptions("x"));
  EXPECT_FALSE(rules.ignored("a/b/keep/file"));
}

}  // namespace
}  // namespace compose::build
