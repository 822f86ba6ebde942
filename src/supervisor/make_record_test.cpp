#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

#include "base/unique_fd.hpp"
#include "supervisor/application.hpp"
#include "supervisor/containers.hpp"
#include "supervisor/json_lines.hpp"

namespace compose::supervisor {
namespace {

using testing::ElementsAre;

class MakeRecord : public testing::Test {
 protected:
  MakeRecord() {
    application_.project.name = "p";
    application_.project.working_dir = "/p";
    application_.project.files = {"/p/a.yaml", "/p/b.yaml"};
    application_.project.networks["front"].name = "p_front";
    application_.project.networks["back"].name = "p_back";
    application_.project.networks["back"].internal = true;
    application_.images["web"] = "sha256:1";
    application_.hashes["web"] = "h";
    application_.loaded["sha256:1"].id = "sha256:1";
    service().name = "web";
    service().image = "nginx";
  }
  model::Service& service() { return application_.project.services["web"]; }
  image::ImageConfig& image() { return application_.loaded["sha256:1"].config; }
  state::ContainerRecord make(bool one_off = false) {
    Place place;
    place.service = "web";
    place.id = std::string(64, 'a');
    place.name = "p-web-1";
    place.one_off = one_off;
    auto record = make_record(application_, place);
    EXPECT_TRUE(record) << record.error().message();
    return record ? *record : state::ContainerRecord{};
  }

  Application application_;
};

TEST_F(MakeRecord, CarriesTheLabelsOtherToolsLookFor) {
  service().labels["mine"] = "1";
  service().depends_on["db"].condition = model::Condition::healthy;
  const auto labels = make().labels;
  EXPECT_EQ(labels.at("mine"), "1");
  EXPECT_EQ(labels.at("com.docker.compose.project"), "p");
  EXPECT_EQ(labels.at("com.docker.compose.service"), "web");
  EXPECT_EQ(labels.at("com.docker.compose.container-number"), "1");
  EXPECT_EQ(labels.at("com.docker.compose.oneoff"), "False");
  EXPECT_EQ(labels.at("com.docker.compose.config-hash"), "h");
  EXPECT_EQ(labels.at("com.docker.compose.project.config_files"), "/p/a.yaml,/p/b.yaml");
  EXPECT_EQ(labels.at("com.docker.compose.depends_on"), "db:service_healthy:false");
}

TEST_F(MakeRecord, OrdersNetworksByPriorityAndLeavesThroughOneThatIsNotInternal) {
  service().networks["back"].priority = 10;
  service().networks["front"].aliases = {"www"};
  const auto record = make();
  ASSERT_EQ(record.networks.size(), 2U);
  EXPECT_EQ(record.networks[0].name, "p_back");
  EXPECT_FALSE(record.networks[0].default_route);
  EXPECT_EQ(record.networks[1].name, "p_front");
  EXPECT_TRUE(record.networks[1].default_route);
  EXPECT_THAT(record.networks[1].aliases, ElementsAre("web", "www", "aaaaaaaaaaaa"));
}

TEST_F(MakeRecord, TakesWhatAServiceSaysAboutItsInterface) {
  auto& front = service().networks["front"];
  front.interface_name = "lan0";
  front.link_local_ips = {"169.254.8.8", "fe80::8"};
  front.driver_opts["com.docker.network.endpoint.sysctls"] =
      "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.accept_ra=2";
  const auto network = make().networks.at(0);
  EXPECT_EQ(network.interface, "lan0");
  EXPECT_THAT(network.link_local, ElementsAre("169.254.8.8/16", "fe80::8/64"));
  EXPECT_EQ(network.sysctls, (std::map<std::string, std::string>{{"ipv4.conf.IFNAME.log_martians", "1"},
                                                                 {"ipv6.conf.IFNAME.accept_ra", "2"}}));
}

TEST_F(MakeRecord, RefusesWhatCannotBeAnInterface) {
  const auto error = [&](const model::ServiceNetwork& network) {
    service().networks["front"] = network;
    Place place;
    place.service = "web";
    const auto record = make_record(application_, place);
    return record ? std::string{} : record.error().message();
  };
  model::ServiceNetwork network;
  network.interface_name = "a-name-that-is-too-long";
  EXPECT_NE(error(network).find("1 to 15 bytes"), std::string::npos);
  network = {};
  network.link_local_ips = {"10.0.0.1"};
  EXPECT_NE(error(network).find("10.0.0.1 is not link-local"), std::string::npos);
  network = {};
  network.driver_opts["com.docker.network.endpoint.sysctls"] = "kernel.panic=1";
  EXPECT_NE(error(network).find("kernel.panic=1"), std::string::npos);
  network = {};
  network.driver_opts["unknown"] = "1";
  EXPECT_NE(error(network).find("\"unknown\" is not known"), std::string::npos);
}

TEST_F(MakeRecord, AOneOffContainerHasNeitherTheServicesAddressNorItsPolicy) {
  service().networks["front"].ipv4_address = "10.0.0.9";
  service().restart = "always";
  EXPECT_EQ(make().networks[0].wanted_ipv4, "10.0.0.9");
  EXPECT_EQ(make().restart.condition, "always");
  EXPECT_EQ(make(true).networks[0].wanted_ipv4, "");
  EXPECT_EQ(make(true).restart.condition, "");
}

TEST_F(MakeRecord, JoinsTheNamespacesOfOtherContainers) {
  service().network_mode = "service:db";
  service().ipc = "container:x";
  const auto record = make();
  EXPECT_TRUE(record.networks.empty());
  EXPECT_EQ(record.joins, (std::map<std::string, std::string>{{"ipc", "container:x"}, {"network", "service:db"}}));
}

TEST_F(MakeRecord, ReadsPublishedPortsAndRanges) {
  service().ports = {{"", 80, "8080", "127.0.0.1", "tcp", "", ""},
                     {"", 81, "9000-9010", "", "udp", "", ""},
                     {"", 82, "", "", "", "", ""}};
  const auto ports = make().ports;
  ASSERT_EQ(ports.size(), 3U);
  EXPECT_EQ(ports[0], (state::PortRecord{"127.0.0.1", 8080, 0, 0, 80, "tcp"}));
  EXPECT_EQ(ports[1], (state::PortRecord{"", 9000, 9010, 0, 81, "udp"}));
  EXPECT_EQ(ports[2], (state::PortRecord{"", 0, 0, 0, 82, "tcp"}));
}

TEST_F(MakeRecord, RefusesAPortThatCannotBe) {
  for (const char* text : {"x", "70000", "9-8", "1-"}) {
    service().ports = {{"", 80, text, "", "tcp", "", ""}};
    EXPECT_FALSE(make_record(application_, {.service = "web", .id = "i", .name = "n"})) << text;
  }
}

TEST_F(MakeRecord, NamesThePlaceOfALogOptionThatCannotBe) {
  service().logging = model::Logging{"json-file", {{"max-sice", "10m"}}};
  const auto record = make_record(application_, {.service = "web", .id = "i", .name = "n"});
  ASSERT_FALSE(record);
  EXPECT_THAT(record.error().message(), ::testing::HasSubstr("did you mean \"max-size\"?"));
}

TEST_F(MakeRecord, TakesTheImagesHealthcheckAndStopSignal) {
  image().healthcheck = image::Healthcheck{{"CMD-SHELL", "test -e /x"}, std::chrono::seconds{5}, {}, {}, {}, 2};
  image().stop_signal = "SIGQUIT";
  const auto record = make();
  EXPECT_THAT(record.healthcheck.test, ElementsAre("/bin/sh", "-c", "test -e /x"));
  EXPECT_EQ(record.healthcheck.interval, std::chrono::seconds{5});
  EXPECT_EQ(record.healthcheck.retries, 2U);
  EXPECT_EQ(record.stop_signal, "SIGQUIT");
  EXPECT_EQ(record.stop_grace, std::chrono::seconds{10});
}

TEST_F(MakeRecord, NeedsAnImage) {
  application_.images.clear();
  const auto record = make_record(application_, {.service = "web", .id = "i", .name = "n"});
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code(), Errc::not_found);
}

TEST(Signals, AreKnownByNameAndNumber) {
  for (const char* text : {"SIGTERM", "TERM", "term", "15"}) EXPECT_EQ(parse_signal(text).value_or(0), SIGTERM) << text;
  EXPECT_EQ(parse_signal("RTMIN+3").value_or(0), SIGRTMIN + 3);
  for (const char* text : {"", "0", "SIGNONE", "999", "RTMIN+99"}) EXPECT_FALSE(parse_signal(text)) << text;
}

TEST(JsonLines, PutsPiecesTogether) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  UniqueFd near{ends[0]};
  UniqueFd far{ends[1]};
  JsonLines lines;
  ASSERT_TRUE(write_socket(far.get(), "{\"a\":1}\n{\"b\""));
  EXPECT_EQ(*lines.fill(near.get(), MSG_DONTWAIT), JsonLines::State::data);
  EXPECT_EQ(lines.next(), "{\"a\":1}");
  EXPECT_EQ(lines.next(), std::nullopt);
  EXPECT_EQ(*lines.fill(near.get(), MSG_DONTWAIT), JsonLines::State::nothing);
  ASSERT_TRUE(write_socket(far.get(), ":2}\n"));
  EXPECT_EQ(*lines.fill(near.get(), MSG_DONTWAIT), JsonLines::State::data);
  EXPECT_EQ(lines.next(), "{\"b\":2}");
  far.reset();
  EXPECT_EQ(*lines.fill(near.get(), MSG_DONTWAIT), JsonLines::State::closed);
}

}  // namespace
}  // namespace compose::supervisor
