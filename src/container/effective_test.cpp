#include "container/effective.hpp"

#include <gmock/gmock.h>

namespace compose::container {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

image::ImageConfig image_with(std::vector<std::string> entrypoint, std::vector<std::string> cmd) {
  image::ImageConfig image;
  image.entrypoint = std::move(entrypoint);
  image.cmd = std::move(cmd);
  return image;
}

model::Service service_with(std::optional<model::Strings> entrypoint, std::optional<model::Strings> command) {
  model::Service service;
  service.entrypoint = std::move(entrypoint);
  service.command = std::move(command);
  return service;
}

TEST(EffectiveCommand, IsTheImagesUnlessTheServiceSaysOtherwise) {
  const auto image = image_with({"/entry"}, {"serve", "-v"});
  EXPECT_THAT(effective_command(service_with({}, {}), image), ElementsAre("/entry", "serve", "-v"));
  EXPECT_THAT(effective_command(service_with({}, model::Strings{"other"}), image), ElementsAre("/entry", "other"));
}

TEST(EffectiveCommand, AnEntrypointOfTheServiceDropsTheImagesCommand) {
  const auto image = image_with({"/entry"}, {"serve"});
  EXPECT_THAT(effective_command(service_with(model::Strings{"/mine"}, {}), image), ElementsAre("/mine"));
  EXPECT_THAT(effective_command(service_with(model::Strings{"/mine"}, model::Strings{"x"}), image),
              ElementsAre("/mine", "x"));
}

TEST(EffectiveCommand, AnEmptyListClears) {
  const auto image = image_with({"/entry"}, {"serve"});
  EXPECT_THAT(effective_command(service_with({}, model::Strings{}), image), ElementsAre("/entry"));
  EXPECT_THAT(effective_command(service_with(model::Strings{}, {}), image), ElementsAre("serve"));
  EXPECT_THAT(effective_command(service_with(model::Strings{}, model::Strings{"sh"}), image), ElementsAre("sh"));
}

TEST(EffectiveEnvironment, TheServiceWinsOverTheImageAndBothOverTheDefaults) {
  image::ImageConfig image;
  image.env = {"PATH=/opt/bin", "LANG=C", "GONE=1"};
  model::Service service;
  service.environment = {{"LANG", "de"}, {"NEW", ""}, {"GONE", std::nullopt}};
  EXPECT_THAT(effective_environment(service, image, "web1"),
              ElementsAre("PATH=/opt/bin", "HOSTNAME=web1", "LANG=de", "NEW="));
  service.tty = true;
  EXPECT_THAT(effective_environment(service, {}, "h"),
              ElementsAre("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=h",
                          "TERM=xterm", "LANG=de", "NEW="));
}

TEST(EffectiveHealthcheck, TakesFromTheImageWhatTheServiceLeavesOpen) {
  image::ImageConfig image;
  image.healthcheck = image::Healthcheck{.test = {"CMD", "probe"}, .interval = 7s, .retries = 4};
  model::Service service;
  auto merged = effective_healthcheck(service, image);
  ASSERT_TRUE(merged);
  EXPECT_THAT(merged->test, ElementsAre("CMD", "probe"));
  EXPECT_EQ(merged->interval, Duration{7s});
  EXPECT_EQ(merged->timeout, std::nullopt);

  service.healthcheck.emplace();
  service.healthcheck->interval = 1s;
  merged = effective_healthcheck(service, image);
  ASSERT_TRUE(merged);
  EXPECT_THAT(merged->test, ElementsAre("CMD", "probe"));
  EXPECT_EQ(merged->interval, Duration{1s});
  EXPECT_EQ(merged->retries, 4U);
}

TEST(EffectiveHealthcheck, IsNoneWhenDisabled) {
  image::ImageConfig image;
  image.healthcheck = image::Healthcheck{.test = {"CMD", "probe"}};
  model::Service service;
  service.healthcheck.emplace();
  service.healthcheck->disable = true;
  EXPECT_FALSE(effective_healthcheck(service, image));
  service.healthcheck->disable = false;
  service.healthcheck->test = {"NONE"};
  EXPECT_FALSE(effective_healthcheck(service, image));
  EXPECT_FALSE(effective_healthcheck({}, {}));
}

TEST(EffectiveExposedPorts, JoinsImageExposeAndPorts) {
  image::ImageConfig image;
  image.exposed_ports = {"80/tcp", "443/tcp"};
  model::Service service;
  service.expose = {"8000-8002/udp", "9000"};
  model::Port port;
  port.target = 80;
  service.ports = {port};
  EXPECT_THAT(effective_exposed_ports(service, image),
              ElementsAre("443/tcp", "80/tcp", "8000/udp", "8001/udp", "8002/udp", "9000/tcp"));
}

TEST(Effective, NamesAndDirectories) {
  model::Service service;
  image::ImageConfig image;
  image.user = "www-data";
  image.stop_signal = "SIGQUIT";
  EXPECT_EQ(effective_hostname(service, std::string(64, 'a')), "aaaaaaaaaaaa");
  EXPECT_EQ(effective_working_dir(service, image), "/");
  EXPECT_EQ(effective_user(service, image), "www-data");
  EXPECT_EQ(effective_stop_signal(service, image), "SIGQUIT");
  service.hostname = "box";
  service.working_dir = "srv";
  service.user = "0";
  service.stop_signal = "SIGINT";
  EXPECT_EQ(effective_hostname(service, std::string(64, 'a')), "box");
  EXPECT_EQ(effective_working_dir(service, image), "/srv");
  EXPECT_EQ(effective_user(service, image), "0");
  EXPECT_EQ(effective_stop_signal(service, image), "SIGINT");
}

}  // namespace
}  // namespace compose::container
