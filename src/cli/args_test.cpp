#include "cli/args.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace compose::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Options {
  bool detach = false;
  bool interactive = true;
  std::optional<bool> tty;
  int index = 0;
  std::optional<int> timeout;
  std::string entrypoint;
  Strings env;
  bool refused = false;

  std::vector<Flag> flags() {
    return {{"detach", 'd', &detach, ""}, {"interactive", 'i', &interactive, ""},
            {"tty", 't', &tty, ""},       {"index", 0, &index, ""},
            {"timeout", 0, &timeout, ""}, {"entrypoint", 0, &entrypoint, ""},
            {"env", 'e', &env, ""},       {"refused", 0, &refused, "", {}, false, "there is no such thing"}};
  }
};

Strings arguments_of(const std::variant<Parsed, UsageError>& outcome) {
  const auto* error = std::get_if<UsageError>(&outcome);
  EXPECT_EQ(error, nullptr) << (error != nullptr ? error->message : "");
  return error == nullptr ? std::get<Parsed>(outcome).arguments : Strings{};
}

std::string error_of(const std::variant<Parsed, UsageError>& outcome) {
  const auto* error = std::get_if<UsageError>(&outcome);
  return error == nullptr ? "no error" : error->message;
}

TEST(Args, ReadsFlagsBetweenArguments) {
  Options o;
  EXPECT_THAT(arguments_of(parse_flags(o.flags(), {"web", "-d", "db", "--timeout", "5"}, true)),
              ElementsAre("web", "db"));
  EXPECT_TRUE(o.detach);
  EXPECT_EQ(o.timeout, 5);
}

TEST(Args, TakesBoolsWithAValue) {
  Options o;
  arguments_of(parse_flags(o.flags(), {"--interactive=false", "--tty=1"}, true));
  EXPECT_FALSE(o.interactive);
  EXPECT_EQ(o.tty, true);
}

TEST(Args, JoinsLetters) {
  Options o;
  EXPECT_THAT(arguments_of(parse_flags(o.flags(), {"-dte", "A=1", "-eB=2", "-e=C=3", "x"}, true)), ElementsAre("x"));
  EXPECT_TRUE(o.detach);
  EXPECT_EQ(o.tty, true);
  EXPECT_THAT(o.env, ElementsAre("A=1", "B=2", "C=3"));
}

TEST(Args, KeepsAnEmptyValue) {
  Options o;
  o.entrypoint = "kept";
  EXPECT_THAT(arguments_of(parse_flags(o.flags(), {"--entrypoint=", "web"}, false)), ElementsAre("web"));
  EXPECT_EQ(o.entrypoint, "");
}

TEST(Args, TakesAValueThatLooksLikeAFlag) {
  Options o;
  arguments_of(parse_flags(o.flags(), {"--entrypoint", "--help", "--index", "-1", "-e", "-x=1"}, true));
  EXPECT_EQ(o.entrypoint, "--help");
  EXPECT_EQ(o.index, -1);
  EXPECT_THAT(o.env, ElementsAre("-x=1"));
}

TEST(Args, LeavesTheContainersCommandAlone) {
  Options o;
  EXPECT_THAT(arguments_of(parse_flags(o.flags(), {"-d", "web", "ls", "-e", "--unknown", "--", "[x]"}, false)),
              ElementsAre("web", "ls", "-e", "--unknown", "--", "[x]"));
  EXPECT_THAT(o.env, IsEmpty());
}

TEST(Args, EndsFlagsAtTwoDashes) {
  Options o;
  EXPECT_THAT(arguments_of(parse_flags(o.flags(), {"-d", "--", "-e", "--x=y"}, true)), ElementsAre("-e", "--x=y"));
  EXPECT_THAT(arguments_of(parse_flags(o.flags(), {"--", "web", "-e"}, false)), ElementsAre("web", "-e"));
}

TEST(Args, TheLastValueWins) {
  Options o;
  arguments_of(parse_flags(o.flags(), {"--index", "1", "--index=2", "-d=true", "-d=false"}, true));
  EXPECT_EQ(o.index, 2);
  EXPECT_FALSE(o.detach);
}

TEST(Args, ExplainsMistakes) {
  Options o;
  EXPECT_EQ(error_of(parse_flags(o.flags(), {"--detcah"}, true)), "unknown flag: --detcah (did you mean --detach?)");
  EXPECT_EQ(error_of(parse_flags(o.flags(), {"-z", "web"}, true)), "unknown shorthand flag: 'z' in -z");
  EXPECT_EQ(error_of(parse_flags(o.flags(), {"--bad", "web", "ls"}, false)), "unknown flag: --bad");
  EXPECT_EQ(error_of(parse_flags(o.flags(), {"--entrypoint"}, true)), "flag needs an argument: --entrypoint");
  EXPECT_EQ(error_of(parse_flags(o.flags(), {"--index", "x"}, true)),
            "invalid argument \"x\" for \"--index\" flag: a whole number is wanted");
  EXPECT_EQ(error_of(parse_flags(o.flags(), {"--detach=maybe"}, true)),
            "invalid argument \"maybe\" for \"-d, --detach\" flag: true or false is wanted");
  EXPECT_EQ(error_of(parse_flags(o.flags(), {"--refused"}, true)), "--refused: there is no such thing");
}

}  // namespace
}  // namespace compose::cli
