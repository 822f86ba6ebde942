#include "compose/compare/compare.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "compose/compare/check.hpp"
#include "compose/load/fake_files.hpp"

namespace compose::compare {
namespace {

constexpr const char* kBase = R"(name: shop
services:
  web:
    image: nginx:1.29
    ports: ["80:80"]
    environment: {SITE: shop}
  db:
    image: mariadb:11
    volumes: ["data:/var/lib/mysql"]
volumes: {data: {}}
)";

load::LoadResult loaded(load::FakeFiles files, const std::vector<std::string>& names) {
  load::Options options;
  options.working_dir = "/p";
  options.files = names;
  load::LoadResult result = load::load(options, files);
  EXPECT_TRUE(result.ok()) << result.report();
  return result;
}

std::string text_of(const std::vector<Row>& rows) {
  std::string text;
  for (const Row& row : rows) {
    text += row.section + (row.setting.empty() ? "" : " " + row.setting);
    for (const Cell& cell : row.cells) text += " | " + (cell.there ? cell.value + " (" + cell.place + ")" : "-");
    text += "\n";
  }
  return text;
}

TEST(Compare, NamesEachSettingWithItsPlaceOnEachSide) {
  const load::FakeFiles files{{"/p/base.yaml", kBase},
                              {"/p/staging.yaml",
                               "services:\n  web:\n    environment: {DEBUG: \"1\"}\n    ports: [\"8080:8080\"]\n"
                               "  mail: {image: mail:2}\n"},
                              {"/p/prod.yaml", "services:\n  web:\n    image: nginx:1.30\n    mem_limit: 256m\n"}};
  const auto staging = loaded(files, {"base.yaml", "staging.yaml"});
  const auto prod = loaded(files, {"base.yaml", "prod.yaml"});
  EXPECT_EQ(
      text_of(compare({&staging, &prod})),
      "service mail | defined (staging.yaml:5:9) | -\n"
      "service web environment.DEBUG | 1 (staging.yaml:3:26) | -\n"
      "service web image | nginx:1.29 (base.yaml:4:12) | nginx:1.30 (prod.yaml:3:12)\n"
      "service web mem_limit | - | 268435456 (prod.yaml:4:16)\n"
      "service web ports[8080] | {\"mode\":\"ingress\",\"protocol\":\"tcp\",\"published\":\"8080\",\"target\":8080} "
      "(staging.yaml:4:13) | -\n");
}

TEST(Compare, TheProjectsNameAndTheOrderOfPortsDoNotCount) {
  const load::FakeFiles files{
      {"/p/a.yaml", "name: a\nservices: {web: {image: x, ports: [\"1:1\", \"2:2\"]}}\nvolumes: {v: {}}\n"},
      {"/p/b.yaml", "name: b\nservices: {web: {image: x, ports: [\"2:2\", \"1:1\"]}}\nvolumes: {v: {}}\n"}};
  const auto a = loaded(files, {"a.yaml"});
  const auto b = loaded(files, {"b.yaml"});
  EXPECT_EQ(text_of(compare({&a, &b})), "");
  EXPECT_EQ(text_of(compare({&a, &a, &b})), "");
}

std::string findings_of(const std::string& services, const std::string& more = {}) {
  const load::FakeFiles files{{"/p/compose.yaml", "name: p\n" + more + "services:\n" + services}};
  const auto result = loaded(files, {"compose.yaml"});
  const auto report = check(result);
  if (!report) return "error: " + report.error().message() + "\n";
  std::string text;
  for (const Finding& one : report->findings)
    text += fmt::format("{} {} {}{}\n", one.place, one.service, one.rule,
                        one.waived.empty() ? "" : " (" + one.waived + ")");
  for (const std::string& one : report->unused) text += one + "\n";
  return text;
}

constexpr const char* kFine = "    mem_limit: 64m\n    restart: always\n    healthcheck: {test: 'true'}\n";

TEST(Check, FindsWhatShouldNotGoToProduction) {
  EXPECT_EQ(findings_of("  db:\n    image: mariadb\n    ports: ['3306:3306', '127.0.0.1:3307:3306']\n"
                        "    environment:\n      WP_DEBUG: 'true'\n      NODE_ENV: development\n      MY_PASSWORD: x\n"
                        "      OTHER_PASSWORD_FILE: /run/secrets/x\n      X_DEBUG: 'false'\n    privileged: true\n"),
            "compose.yaml:8:17 db debug-setting\n"
            "compose.yaml:7:17 db debug-setting\n"
            "compose.yaml:4:12 db moving-tag\n"
            "compose.yaml:3:3 db no-healthcheck\n"
            "compose.yaml:3:3 db no-limit\n"
            "compose.yaml:3:3 db no-restart\n"
            "compose.yaml:12:17 db privileged\n"
            "compose.yaml:5:13 db published-database\n"
            "compose.yaml:9:20 db secret-in-environment\n");
}

TEST(Check, IsSilentAboutWhatIsFine) {
  EXPECT_EQ(findings_of(std::string{"  web:\n    image: nginx:1.29\n    ports: ['80:80']\n"} + kFine), "");
  EXPECT_EQ(findings_of(std::string{"  web:\n    image: nginx@sha256:" + std::string(64, 'a') + "\n"} + kFine), "");
}

TEST(Check, WaiversNeedAReasonAndAUse) {
  const std::string web = std::string{"  web:\n    image: nginx:latest\n"} + kFine;
  EXPECT_EQ(findings_of(web + "    x-waive: {moving-tag: pinned by the registry}\n"),
            "compose.yaml:4:12 web moving-tag (pinned by the registry)\n");
  EXPECT_EQ(findings_of(web, "x-waive: {moving-tag: all of them}\n"),
            "compose.yaml:5:12 web moving-tag (all of them)\n");
  EXPECT_NE(findings_of(web + "    x-waive: {moving-tag: ''}\n").find("needs a reason"), std::string::npos);
  EXPECT_NE(findings_of(web + "    x-waive: {no-such: x}\n").find("there is no rule \"no-such\""), std::string::npos);
  EXPECT_NE(findings_of(web + "    x-waive: {privileged: it was}\n").find("is not needed (any more)"),
            std::string::npos);
}

TEST(Check, AOneShotNeedsNoHealthCheckAndNoRestart) {
  EXPECT_EQ(findings_of(std::string{"  web:\n    image: nginx:1.29\n    depends_on: {init: {condition: "
                                    "service_completed_successfully}}\n"} +
                        kFine + "  init: {image: 'nginx:1.29', mem_limit: 64m}\n"),
            "");
}

}  // namespace
}  // namespace compose::compare
