#include "cli/go_template.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace compose::cli {
namespace {

const nlohmann::ordered_json kValue = {
    {"Name", "web"},     {"Code", 3}, {"Up", true}, {"Empty", ""}, {"Labels", {{"a", "1"}, {"b", "2"}}},
    {"Ports", {80, 443}}};

std::string rendered(std::string_view format) {
  const auto text = render_template(format, kValue);
  return text ? *text : "error: " + text.error().message();
}

TEST(GoTemplate, ReplacesFields) {
  EXPECT_EQ(rendered("{{.Name}} {{ .Code }}"), "web 3");
  EXPECT_EQ(rendered("{{.Labels.b}}"), "2");
  EXPECT_EQ(rendered("a\\tb\\n"), "a\tb\n");
}

TEST(GoTemplate, CallsFunctionsAndPipes) {
  EXPECT_EQ(rendered("{{json .Labels}}"), "{\"a\":\"1\",\"b\":\"2\"}");
  EXPECT_EQ(rendered("{{.Name | upper | printf \"<%s>\"}}"), "<WEB>");
  EXPECT_EQ(rendered("{{join .Ports \", \"}} {{len .Ports}} {{index .Ports 1}} {{index .Labels \"a\"}}"),
            "80, 443 2 443 1");
}

TEST(GoTemplate, BranchesAndRepeats) {
  EXPECT_EQ(rendered("{{if .Up}}up{{else}}down{{end}}"), "up");
  EXPECT_EQ(rendered("{{if .Empty}}a{{else if eq .Name \"web\"}}b{{else}}c{{end}}!"), "b!");
  EXPECT_EQ(rendered("{{range .Ports}}<{{.}}>{{end}}"), "<80><443>");
  EXPECT_EQ(rendered("{{with .Labels}}{{.a}}{{end}}"), "1");
  EXPECT_EQ(rendered("{{if and .Up (not .Empty)}}yes{{end}}"), "yes");
}

TEST(GoTemplate, TrimsAndSkipsComments) { EXPECT_EQ(rendered("a  {{- /* note */ -}}  b {{.Code -}} c"), "ab 3c"); }

TEST(GoTemplate, ExplainsMistakes) {
  EXPECT_EQ(rendered("{{.Nope}}"),
            "error: template: no field \"Nope\"; there are Name, Code, Up, Empty, Labels, Ports");
  EXPECT_THAT(rendered("{{.Name"), testing::HasSubstr("is not closed"));
  EXPECT_THAT(rendered("{{if .Up}}x"), testing::HasSubstr("without {{end}}"));
  EXPECT_THAT(rendered("{{wat .Name}}"), testing::HasSubstr("function \"wat\" is not known"));
}

}  // namespace
}  // namespace compose::cli
