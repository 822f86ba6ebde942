// The small languages inside a project's files: interpolation, env files, ports, volumes, command lines, paths.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "compose/load/dotenv.hpp"
#include "compose/load/paths.hpp"
#include "compose/load/project_files.hpp"
#include "compose/load/short_syntax.hpp"
#include "compose/load/split_command.hpp"
#include "compose/load/substitute.hpp"

namespace compose::load {
namespace {

Environment variables(std::initializer_list<std::pair<const char*, const char*>> all) {
  Environment out;
  for (const auto& [name, value] : all) out.set(name, {value, "test", {}});
  return out;
}

std::string replaced(std::string_view text) {
  const Environment environment = variables({{"A", "a"}, {"E", ""}, {"D", "$A"}});
  const Substituted result = substitute(text, [&](std::string_view name) { return environment.find(name); });
  return result.error ? "error: " + result.error->message : result.text;
}

TEST(Substitute, KnowsEveryOperator) {
  EXPECT_EQ(replaced("$A ${A} $$A $U|${U}|"), "a a $A ||");
  EXPECT_EQ(replaced("${U:-x} ${E:-x} ${U-x} ${E-x}|"), "x x x |");
  EXPECT_EQ(replaced("${A:+y} ${E:+y}|${E+y} ${U+y}|"), "y |y |");
  EXPECT_EQ(replaced("${U:?gone}"), "error: required variable U is missing a value: gone");
  EXPECT_EQ(replaced("${E?gone}|${E:?}"), "error: required variable E is missing a value");
}

TEST(Substitute, NestsDefaultsLazily) {
  EXPECT_EQ(replaced("${U:-${V:-${A}z}}"), "az");
  EXPECT_EQ(replaced("${A:-${U:?never looked at}}"), "a");
  EXPECT_EQ(replaced("${U:-{json}}"), "{json}");
  EXPECT_EQ(replaced("${U:-a}b}"), "ab}");
  EXPECT_EQ(replaced("${D}"), "$A") << "a value is not replaced again";
}

TEST(Substitute, LeavesOtherDollarsAlone) {
  EXPECT_EQ(replaced("$ $1 $(date) 5$"), "$ $1 $(date) 5$");
  for (const char* wrong : {"${", "${}", "${1A}", "${ A }", "${A.B}", "${A/x/y}", "${A:-x", "${#A}", "${A:}"}) {
    EXPECT_THAT(replaced(wrong), testing::StartsWith("error")) << wrong;
  }
}

TEST(Substitute, BoundsNesting) {
  std::string deep;
  for (int i = 0; i < 10000; ++i) deep += "${U:-";
  EXPECT_THAT(replaced(deep + std::string(10000, '}')), testing::HasSubstr("nested"));
}

std::string env(std::string_view text) {
  const Environment shell = variables({{"SHELL_VAR", "s"}});
  Environment out;
  const auto error = parse_dotenv(text, 1, [&](std::string_view name) { return shell.find(name); }, out);
  std::string shown;
  for (const auto& [name, variable] : out.all()) shown += name + "=" + variable.value + ";";
  if (error)
    shown +=
        "error " + std::to_string(error->place.line) + ":" + std::to_string(error->place.column) + " " + error->message;
  return shown;
}

TEST(Dotenv, ReadsQuotesCommentsAndVariables) {
  EXPECT_EQ(env("A=1\nexport B=2\nC: 3\n# no\nD=x # c\nE=x#y\n"), "A=1;B=2;C=3;D=x;E=x#y;");
  EXPECT_EQ(env("A='$X \\n'\nB=\"a\\tb\\\"$A\\$\"\nC=$A$SHELL_VAR\n"), "A=$X \\n;B=a\tb\"$X \\n$;C=$X \\ns;");
  EXPECT_EQ(env("A='two\nlines'\nSHELL_VAR\nNONE\nB=\n"), "A=two\nlines;B=;SHELL_VAR=s;");
}

TEST(Dotenv, SaysWhereAMistakeIs) {
  EXPECT_THAT(env("A=1\n%=2\n"), testing::HasSubstr("error 2:1 unexpected character \"%\""));
  EXPECT_THAT(env("A=\"x\n"), testing::HasSubstr("error 1:3 unterminated"));
  EXPECT_THAT(env("A B=1\n"), testing::HasSubstr("key cannot contain a space"));
  EXPECT_THAT(env("A='a''b'\n"), testing::HasSubstr("error"));
}

TEST(Dotenv, RawTakesLinesLiterally) {
  Environment out;
  EXPECT_FALSE(parse_raw_env("A='q'\n#c\nB=$X # y\n", 1, out).has_value());
  EXPECT_EQ(out.find("A")->value, "'q'");
  EXPECT_EQ(out.find("B")->value, "$X # y");
}

std::string ports(std::string_view text) {
  const PortSpecs specs = parse_ports(text);
  if (!specs.error.empty()) return specs.error;
  std::string out;
  for (const PortSpec& port : specs.ports) {
    out += port.host_ip + "|" + port.published + "|" + std::to_string(port.target) + "|" + port.protocol + " ";
  }
  return out;
}

TEST(Ports, HaveShortForms) {
  EXPECT_EQ(ports("80"), "||80|tcp ");
  EXPECT_EQ(ports("8080:80/udp"), "|8080|80|udp ");
  EXPECT_EQ(ports("127.0.0.1::80"), "127.0.0.1||80|tcp ");
  EXPECT_EQ(ports("[::1]:8080:80"), "::1|8080|80|tcp ");
  EXPECT_EQ(ports("8000-8001:9-10"), "|8001|10|tcp |8000|9|tcp ") << "in the order of the texts";
  EXPECT_EQ(ports("8000-8010:80"), "|8000-8010|80|tcp ");
  for (const char* wrong : {"", "x", "80:x", "99999", "70000:80", "1-2:1-3", "82-80", "80/icmp", "1.2.3:80:80"}) {
    EXPECT_THAT(ports(wrong), testing::Not(testing::HasSubstr("|"))) << wrong;
  }
}

std::string mount(std::string_view text) {
  const MountSpec spec = parse_mount(text);
  if (!spec.error.empty()) return spec.error;
  return spec.type + " " + spec.source + " " + spec.target + (spec.read_only ? " ro" : "") +
         (spec.nocopy ? " nocopy" : "") + spec.propagation + spec.selinux;
}

TEST(Mounts, HaveShortForms) {
  EXPECT_EQ(mount("/data"), "volume  /data");
  EXPECT_EQ(mount("v1:/data:ro,nocopy"), "volume v1 /data ro nocopy");
  EXPECT_EQ(mount("./x:/y:rshared"), "bind ./x /yrshared");
  EXPECT_EQ(mount("C:\\x:/y"), "bind C:\\x /y");
  EXPECT_EQ(mount("v:/data"), "volume  v:/data") << "one letter is a drive";
  EXPECT_THAT(mount(":/x"), testing::HasSubstr("empty section"));
  EXPECT_THAT(mount("/a:/b:ro:x"), testing::HasSubstr("too many colons"));
}

TEST(Commands, SplitAsAShellWould) {
  const auto words = [](std::string_view text) {
    std::vector<std::string> out;
    return split_command(text, out) ? out : std::vector<std::string>{"invalid"};
  };
  EXPECT_THAT(words("a 'b c' \"d\\\" e\" f\\ g"), testing::ElementsAre("a", "b c", "d\" e", "f g"));
  EXPECT_THAT(words("a | b"), testing::ElementsAre("a"));
  EXPECT_THAT(words("a '' b"), testing::ElementsAre("a", "", "b"));
  EXPECT_THAT(words("a 'b"), testing::ElementsAre("invalid"));
  EXPECT_THAT(words(""), testing::ElementsAre());
}

TEST(Paths, AreJoinedAndCleaned) {
  EXPECT_EQ(join_path("/a/b", "../c/./d//"), "/a/c/d");
  EXPECT_EQ(join_path("/a", "/b"), "/b");
  EXPECT_EQ(clean_path("../../x/.."), "../..");
  EXPECT_EQ(clean_path("/../x"), "/x");
  EXPECT_EQ(relative_path("/a/b", "/a/c/d"), "../c/d");
  EXPECT_EQ(relative_path("/a/b", "/a/b"), ".");
  EXPECT_EQ(parent_path("/a"), "/");
}

TEST(ProjectName, KeepsWhatFits) {
  EXPECT_EQ(normalize_project_name("My Proj_1"), "myproj_1");
  EXPECT_EQ(normalize_project_name("_-lead"), "lead");
  EXPECT_EQ(normalize_project_name("\xC3\xA9t\xC3\xA9"), "t");
}

}  // namespace
}  // namespace compose::load
