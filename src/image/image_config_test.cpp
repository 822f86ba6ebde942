#include "image/image_config.hpp"

#include <gtest/gtest.h>

#include "image/config_instructions.hpp"
#include "image/rfc3339.hpp"

namespace compose::image {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

ImageConfig with_changes(const std::vector<std::pair<std::string, std::string>>& changes) {
  ImageConfig config;
  InstructionContext context;
  context.lookup = [&](std::string_view name) { return config.env_value(name); };
  for (const auto& [keyword, arguments] : changes) {
    const Result<void> result = apply_instruction(config, keyword, arguments, context);
    EXPECT_TRUE(result) << result.error().message();
  }
  return config;
}

std::string error_of(const std::string& keyword, const std::string& arguments) {
  ImageConfig config;
  InstructionContext context;
  context.lookup = [](std::string_view) { return std::nullopt; };
  const Result<void> result = apply_instruction(config, keyword, arguments, context);
  return result ? "" : result.error().message();
}

TEST(ImageConfig, WrittenAndReadAgainIsTheSame) {
  ImageConfig config = with_changes({{"CMD", R"(["a", "b"])"},
                                     {"ENV", "A=1 B=\"x y\""},
                                     {"EXPOSE", "80 53/udp"},
                                     {"LABEL", "l=v"},
                                     {"VOLUME", "/data"},
                                     {"HEALTHCHECK", "--interval=5s --retries=2 CMD curl -f localhost"},
                                     {"SHELL", R"(["/bin/bash", "-c"])"},
                                     {"ONBUILD", "RUN true"},
                                     {"USER", "app"},
                                     {"STOPSIGNAL", "SIGQUIT"}});
  config.architecture = "amd64";
  config.os = "linux";
  config.diff_ids = {kDigest};
  config.history = {{"2020-01-01T00:00:00Z", "CMD", "", "", true}};
  const Result<ImageConfig> again = parse_image_config(to_json(config));
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(*again, config);
}

TEST(ImageConfig, IsWrittenAsGoWouldWriteItAgain) {
  ImageConfig config;
  config.history = {{"", "RUN a <b >c && d \xe2\x80\xa8\xe2\x80\xa9 \xc3\xa9\n", "", "", false}};
  const std::string text = to_json(config);
  EXPECT_NE(text.find(R"("created_by":"RUN a \u003cb \u003ec \u0026\u0026 d \u2028\u2029 )"
                      "\xc3\xa9\\n\""),
            std::string::npos)
      << text;
  config.diff_ids = {kDigest};
  EXPECT_EQ(parse_image_config(to_json(config))->history, config.history);
  EXPECT_EQ(rfc3339({1'000'000'000, 120'000'000}), "2001-09-09T01:46:40.12Z");
  EXPECT_EQ(rfc3339({1'000'000'000, 123'456'789}), "2001-09-09T01:46:40.123456789Z");
  EXPECT_EQ(rfc3339({1'000'000'000, 0}), "2001-09-09T01:46:40Z");
}

TEST(ImageConfig, RefusesOtherTypesAndBadDigests) {
  for (const std::string& text :
       {std::string{"[]"}, std::string{"{"}, std::string{"{}"},
        std::string{R"({"rootfs":{"diff_ids":["sha256:../x"]}})"}, std::string{R"({"os":5,"rootfs":{"diff_ids":[]}})"},
        std::string{R"({"config":{"Env":"A=b"},"rootfs":{"diff_ids":[]}})"},
        std::string{R"({"config":{"Cmd":[1]},"rootfs":{"diff_ids":[]}})"},
        std::string{R"({"history":[5],"rootfs":{"diff_ids":[]}})"}}) {
    EXPECT_FALSE(parse_image_config(text)) << text;
  }
}

TEST(ImageConfig, NullMembersAreAbsent) {
  const auto config =
      parse_image_config(R"({"config":{"Cmd":null,"Env":null,"Volumes":null},"rootfs":{"diff_ids":[]}})");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_FALSE(config->cmd);
}

TEST(ConfigInstructions, ShellFormGoesThroughTheShell) {
  const ImageConfig config = with_changes({{"CMD", "echo \"hi\" there"}});
  EXPECT_EQ(*config.cmd, (std::vector<std::string>{"/bin/sh", "-c", "echo \"hi\" there"}));
}

TEST(ConfigInstructions, EntrypointDropsTheCommandOfTheBaseOnly) {
  ImageConfig config;
  config.cmd = {"base"};
  InstructionContext context;
  context.lookup = [](std::string_view) { return std::nullopt; };
  ASSERT_TRUE(apply_instruction(config, "ENTRYPOINT", R"(["e"])", context));
  EXPECT_FALSE(config.cmd);
  ASSERT_TRUE(apply_instruction(config, "CMD", R"(["c"])", context));
  ASSERT_TRUE(apply_instruction(config, "ENTRYPOINT", R"(["f"])", context));
  EXPECT_EQ(*config.cmd, std::vector<std::string>{"c"});
}

TEST(ConfigInstructions, EnvReplacesInPlaceAndSeesWhatCameBefore) {
  const ImageConfig config = with_changes({{"ENV", "A=1"}, {"ENV", "B=$A-x A=2"}, {"ENV", "OLD form with  blanks"}});
  EXPECT_EQ(config.env, (std::vector<std::string>{"A=2", "B=1-x", "OLD=form with  blanks"}));
}

TEST(ConfigInstructions, ExposeTakesRangesAndProtocols) {
  const ImageConfig config = with_changes({{"EXPOSE", "80 8000-8002/tcp 53/udp"}});
  EXPECT_EQ(config.exposed_ports, (std::set<std::string>{"80/tcp", "8000/tcp", "8001/tcp", "8002/tcp", "53/udp"}));
}

TEST(ConfigInstructions, WorkdirIsRelativeToTheLastOne) {
  EXPECT_EQ(with_changes({{"WORKDIR", "/a"}, {"WORKDIR", "b/../c"}, {"WORKDIR", "d"}}).working_dir, "/a/c/d");
}

TEST(ConfigInstructions, HealthcheckForms) {
  EXPECT_EQ(with_changes({{"HEALTHCHECK", "NONE"}}).healthcheck->test, std::vector<std::string>{"NONE"});
  const ImageConfig config = with_changes({{"HEALTHCHECK", "--start-period=1m --timeout=3s CMD [\"a\", \"b\"]"}});
  EXPECT_EQ(config.healthcheck->test, (std::vector<std::string>{"CMD", "a", "b"}));
  EXPECT_EQ(config.healthcheck->start_period, std::chrono::minutes{1});
}

TEST(ConfigInstructions, MistakesAreNamed) {
  EXPECT_NE(error_of("EXPOSE", "70000").find("70000"), std::string::npos);
  EXPECT_NE(error_of("EXPOSE", "9-8").find("empty"), std::string::npos);
  EXPECT_NE(error_of("HEALTHCHECK", "--often=1s CMD x").find("--often"), std::string::npos);
  EXPECT_NE(error_of("HEALTHCHECK", "RUN x").find("CMD or NONE"), std::string::npos);
  EXPECT_NE(error_of("SHELL", "bash -c").find("JSON array"), std::string::npos);
  EXPECT_NE(error_of("ENV", "A").find("no value"), std::string::npos);
  EXPECT_NE(error_of("ENV", "A=1 B").find("\"B\""), std::string::npos);
  EXPECT_NE(error_of("ONBUILD", "FROM x").find("FROM"), std::string::npos);
  EXPECT_NE(error_of("USER", "$NOBODY").find("empty"), std::string::npos);
}

}  // namespace
}  // namespace compose::image
