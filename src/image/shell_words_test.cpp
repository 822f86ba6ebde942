#include "image/shell_words.hpp"

#include <gtest/gtest.h>

#include <map>

namespace compose::image {
namespace {

std::optional<std::string> variable(std::string_view name) {
  static const std::map<std::string, std::string, std::less<>> kVariables = {
      {"A", "one"}, {"B", "two words"}, {"EMPTY", ""}, {"PATH_LIKE", "/usr/local/bin:/usr/bin"}, {"F", "name.tar.gz"}};
  const auto it = kVariables.find(name);
  return it == kVariables.end() ? std::nullopt : std::optional{it->second};
}

std::string word(const std::string& text, char escape = '\\') {
  const Result<std::string> result = expand_word(text, variable, escape);
  return result ? *result : "error: " + result.error().message();
}

TEST(ShellWords, VariablesQuotesAndEscapes) {
  EXPECT_EQ(word("$A"), "one");
  EXPECT_EQ(word("x${A}y"), "xoney");
  EXPECT_EQ(word("'$A'"), "$A");
  EXPECT_EQ(word("\"$A $B\""), "one two words");
  EXPECT_EQ(word("\\$A"), "$A");
  EXPECT_EQ(word("\"\\$A\""), "$A");
  EXPECT_EQ(word("\"a\\nb\""), "a\\nb");
  EXPECT_EQ(word("`$A", '`'), "$A");
  EXPECT_EQ(word("$NONE"), "");
  EXPECT_EQ(word("a$"), "a$");
  EXPECT_EQ(word("$1x"), "x");
  EXPECT_EQ(word("\\"), "\\");
}

TEST(ShellWords, Modifiers) {
  EXPECT_EQ(word("${NONE:-x}"), "x");
  EXPECT_EQ(word("${EMPTY:-x}"), "x");
  EXPECT_EQ(word("${EMPTY-x}"), "");
  EXPECT_EQ(word("${A:+x}"), "x");
  EXPECT_EQ(word("${EMPTY:+x}"), "");
  EXPECT_EQ(word("${EMPTY+x}"), "x");
  EXPECT_EQ(word("${NONE:-${A}-${NONE:-deep}}"), "one-deep");
  EXPECT_EQ(word("${NONE:?must be set}"), "error: NONE: must be set");
  EXPECT_EQ(word("${F%.*}"), "name.tar");
  EXPECT_EQ(word("${F%%.*}"), "name");
  EXPECT_EQ(word("${PATH_LIKE#*/}"), "usr/local/bin:/usr/bin");
  EXPECT_EQ(word("${PATH_LIKE##*/}"), "bin");
  EXPECT_EQ(word("${PATH_LIKE/usr/opt}"), "/opt/local/bin:/usr/bin");
  EXPECT_EQ(word("${PATH_LIKE//usr/opt}"), "/opt/local/bin:/opt/bin");
}

TEST(ShellWords, MistakesAreErrors) {
  EXPECT_EQ(word("'open").substr(0, 6), "error:");
  EXPECT_EQ(word("\"open").substr(0, 6), "error:");
  EXPECT_EQ(word("${A").substr(0, 6), "error:");
  EXPECT_EQ(word("${}").substr(0, 6), "error:");
  EXPECT_EQ(word("${A^^}").substr(0, 6), "error:");
}

TEST(ShellWords, UnquotedValuesAreSplitInLists) {
  const auto words = expand_words("a $B \"$B\" $NONE 'x y'", variable);
  ASSERT_TRUE(words);
  EXPECT_EQ(*words, (std::vector<std::string>{"a", "two", "words", "two words", "x y"}));
}

TEST(ShellWords, SplitKeepsQuotes) {
  EXPECT_EQ(split_words("a=\"b c\" d\\ e  'f g'"), (std::vector<std::string>{"a=\"b c\"", "d\\ e", "'f g'"}));
}

TEST(ShellWords, TextKeepsQuotes) {
  const auto text = expand_text("say \"$A\" 'and' \\$A \\n\n", variable);
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, "say \"one\" 'and' $A \\n\n");
}

TEST(ShellWords, JsonStrings) {
  EXPECT_EQ(parse_json_strings(R"( ["a", "b c"] )"), (std::vector<std::string>{"a", "b c"}));
  EXPECT_FALSE(parse_json_strings("[a, b]"));
  EXPECT_FALSE(parse_json_strings("[1]"));
  EXPECT_FALSE(parse_json_strings("echo [\"a\"]"));
}

}  // namespace
}  // namespace compose::image
