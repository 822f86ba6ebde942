#include "build/dockerfile.hpp"

#include <gtest/gtest.h>

#include "build/stages.hpp"

namespace compose::build {
namespace {

Dockerfile parsed(const std::string& text) {
  Result<Dockerfile> file = parse_dockerfile(text, "Dockerfile");
  EXPECT_TRUE(file) << file.error().message();
  return file ? *file : Dockerfile{};
}

std::string error_of(const std::string& text) {
  const Result<Dockerfile> file = parse_dockerfile(text, "Dockerfile");
  return file ? "" : file.error().message();
}

TEST(Dockerfile, JoinsContinuedLinesAndKeepsTheirPlace) {
  const Dockerfile file = parsed("FROM a\n\n# comment\nrun one \\\n  # inside\n\n  two \\\n three\nCMD x\n");
  ASSERT_EQ(file.instructions.size(), 3U);
  const Instruction& run = file.instructions[1];
  EXPECT_EQ(run.keyword, "RUN");
  EXPECT_EQ(run.arguments, "one   two  three");
  EXPECT_EQ(run.text, "RUN one   two  three");
  EXPECT_EQ(run.line, 4);
  EXPECT_EQ(run.last_line, 8);
  EXPECT_EQ(file.instructions[2].line, 9);
}

TEST(Dockerfile, EscapeDirectiveAndDoubledEscapes) {
  const Dockerfile file = parsed("# escape=`\nFROM a\nRUN dir `\n c:\\\n");
  EXPECT_EQ(file.escape, '`');
  EXPECT_EQ(file.instructions[1].arguments, "dir  c:\\");
  EXPECT_EQ(parsed("FROM a\nRUN echo \\\\\nRUN b\n").instructions.size(), 3U) << "two backslashes continue nothing";
  EXPECT_EQ(parsed("FROM a\r\nRUN a \\\r\n b\r\n").instructions[1].arguments, "a  b");
}

TEST(Dockerfile, DirectivesOnlyAtTheTop) {
  EXPECT_EQ(parsed("# syntax=docker/dockerfile:1\n# check=skip=all\nFROM a\n").syntax, "docker/dockerfile:1");
  EXPECT_EQ(parsed("# a comment\n# escape=`\nFROM a\n").escape, '\\');
  EXPECT_NE(error_of("# escape=x\nFROM a\n").find("Dockerfile:1"), std::string::npos);
  EXPECT_NE(error_of("# syntax=a\n# syntax=b\nFROM a\n").find("twice"), std::string::npos);
}

TEST(Dockerfile, FlagsEndWhereArgumentsBegin) {
  const Dockerfile file = parsed("FROM a\nCOPY --from=b --chown=1:2 --link c --d /e\n");
  const Instruction& copy = file.instructions[1];
  ASSERT_EQ(copy.flags.size(), 3U);
  EXPECT_EQ(copy.flag("from")->value, "b");
  EXPECT_FALSE(copy.flag("link")->has_value);
  EXPECT_EQ(copy.arguments, "c --d /e");
}

TEST(Dockerfile, HereDocuments) {
  const Dockerfile file =
      parsed("FROM a\nRUN <<EOF cat - <<-\"B\"\none $X\nEOF\n\ttwo\n\tB\nCOPY <<a.txt /x\nhi\na.txt\nCMD [\"<<no\"]\n");
  const Instruction& run = file.instructions[1];
  ASSERT_EQ(run.heredocs.size(), 2U);
  EXPECT_EQ(run.heredocs[0].content, "one $X\n");
  EXPECT_TRUE(run.heredocs[0].expand);
  EXPECT_EQ(run.heredocs[1].content, "two\n");
  EXPECT_FALSE(run.heredocs[1].expand);
  EXPECT_EQ(run.last_line, 6);
  EXPECT_EQ(file.instructions[2].heredocs[0].name, "a.txt");
  EXPECT_TRUE(file.instructions[3].heredocs.empty());
  EXPECT_TRUE(parsed("FROM a\nRUN cat <<<word\n").instructions[1].heredocs.empty()) << "a here-string is the shell's";
  EXPECT_NE(error_of("FROM a\nRUN <<EOF\nnever closed\n").find("Dockerfile:2"), std::string::npos);
}

TEST(Dockerfile, UnknownInstructionIsShownWithItsLineAndTheNearestOne) {
  EXPECT_EQ(error_of("FROM a\n\nRUNN x \\\n y\n"),
            "Dockerfile:3: unknown instruction \"RUNN\" (did you mean RUN?)\n"
            "     3 | RUNN x \\\n"
            "       | ^^^^\n"
            "     4 |  y");
  EXPECT_NE(error_of("").find("no instruction"), std::string::npos);
  EXPECT_NE(error_of(std::string{"FROM a\0", 7}).find("text file"), std::string::npos);
}

StagePlan planned(const std::string& text, const Arguments& args = {}, const std::string& target = "") {
  Result<StagePlan> plan = plan_stages(parsed(text), args, target);
  EXPECT_TRUE(plan) << plan.error().message();
  return plan ? std::move(*plan) : StagePlan{};
}

constexpr const char* kStages =
    "ARG BASE=debian\nARG TAG\nFROM ${BASE}:${TAG:-12} AS Build\nRUN x\nFROM build AS test\nFROM scratch AS other\n"
    "COPY --from=build a b\nFROM alpine\nCOPY --from=2 c d\nRUN --mount=type=bind,from=test,target=/t x\n";

TEST(Stages, GlobalArgumentsReachFrom) {
  EXPECT_EQ(planned(kStages).stages[0].base, "debian:12");
  EXPECT_EQ(planned(kStages, {{"TAG", "11"}, {"BASE", "ubuntu"}}).stages[0].base, "ubuntu:11");
  EXPECT_EQ(planned("FROM --platform=$BUILDPLATFORM a\n").stages[0].platform.substr(0, 6), "linux/");
}

TEST(Stages, OnlyWhatTheTargetNeedsIsBuilt) {
  EXPECT_EQ(planned(kStages).needed(), (std::set<std::size_t>{0, 1, 2, 3}));
  EXPECT_EQ(planned(kStages, {}, "test").needed(), (std::set<std::size_t>{0, 1}));
  EXPECT_EQ(planned(kStages, {}, "OTHER").target, 2U);
  EXPECT_EQ(planned(kStages, {}, "1").target, 1U);
}

TEST(Stages, MistakesNameTheLine) {
  const auto error = [](const std::string& text, const std::string& target = "") {
    const Result<StagePlan> plan = plan_stages(parsed(text), {}, target);
    return plan ? "" : plan.error().message();
  };
  EXPECT_NE(error("RUN x\nFROM a\n").find("Dockerfile:1"), std::string::npos);
  EXPECT_NE(error("ARG A=1\n").find("no FROM"), std::string::npos);
  EXPECT_NE(error("FROM a b\n").find("AS"), std::string::npos);
  EXPECT_NE(error("FROM a AS 1x\n").find("no name"), std::string::npos);
  EXPECT_NE(error("FROM $NONE\n").find("no value"), std::string::npos);
  EXPECT_NE(error("FROM --speed=1 a\n").find("--speed"), std::string::npos);
  EXPECT_NE(error("FROM a AS builder\n", "bulder").find("\"builder\""), std::string::npos);
}

}  // namespace
}  // namespace compose::build
