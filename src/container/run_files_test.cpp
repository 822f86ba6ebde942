#include "container/run_files.hpp"

#include <gmock/gmock.h>

namespace compose::container {
namespace {

using testing::HasSubstr;

RunFiles web() {
  RunFiles files;
  files.hostname = "web1";
  return files;
}

constexpr const char* kHosts =
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n";

TEST(HostsText, NamesTheContainerAndTheExtraHosts) {
  RunFiles files = web();
  files.domainname = "example.org";
  files.extra_hosts = {{"db.local", {"10.0.0.1", "::5"}}, {"host.docker.internal", {"host-gateway"}}};
  EXPECT_EQ(hosts_text(files, {"172.20.0.2", "fd00::2"}, "172.20.0.1"), std::string{kHosts} +
                                                                            "172.20.0.2\tweb1.example.org web1\n"
                                                                            "fd00::2\tweb1.example.org web1\n"
                                                                            "10.0.0.1\tdb.local\n"
                                                                            "::5\tdb.local\n"
                                                                            "172.20.0.1\thost.docker.internal\n");
  EXPECT_EQ(hosts_text(web(), {}, ""), kHosts);
}

TEST(ResolverText, AsksTheResolverWithTheHostsSearchDomains) {
  const std::string host =
      "# made by hand\nnameserver 10.0.0.53\nsearch old.example\nsearch\tcorp.example lan ; comment\noptions edns0\n";
  EXPECT_EQ(resolver_text(web(), host), "nameserver 127.0.0.11\nsearch corp.example lan\noptions ndots:0\n");
  RunFiles files = web();
  files.dns_search = {"."};
  files.dns_options = {"ndots:2", "timeout:1"};
  EXPECT_EQ(resolver_text(files, host), "nameserver 127.0.0.11\noptions ndots:2 timeout:1\n");
}

TEST(DirectText, IsTheHostsUnlessTheServiceSaysOtherwise) {
  const std::string host = "nameserver 10.0.0.53\nsearch lan\noptions edns0\n";
  EXPECT_EQ(direct_text(web(), host), host);
  RunFiles files = web();
  files.dns = {"1.1.1.1"};
  EXPECT_EQ(direct_text(files, host), "nameserver 1.1.1.1\nsearch lan\noptions edns0\n");
  files = web();
  files.dns_search = {"x"};
  EXPECT_EQ(direct_text(files, host), "nameserver 10.0.0.53\nsearch x\noptions edns0\n");
}

TEST(RunFiles, SurviveTheirJson) {
  RunFiles files = web();
  files.network = NetworkKind::joined;
  files.dns = {"1.1.1.1"};
  files.extra_hosts = {{"a", {"b"}}};
  files.overlay = {{"/l2", "/l1"}, "/up", "/work"};
  files.shares_shm = true;
  GrantedFile secret;
  secret.name = "secrets/0";
  secret.content = std::string{"\xff\x00\n\"", 4};
  secret.mode = 0400;
  files.files = {secret};
  const auto back = run_files_from_json(to_json(files));
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(to_json(*back), to_json(files));
  EXPECT_EQ(back->files[0].content, secret.content);
  EXPECT_EQ(back->overlay.lower, files.overlay.lower);
  EXPECT_EQ(run_files_from_json("{}").error().code(), Errc::corrupt);
}

struct Grants : testing::Test {
  model::Project project;
  model::Service service;
  Grants() {
    project.name = "shop";
    service.name = "web";
    project.positions.set("services.web.secrets[0]", {"compose.yaml", 7, 9});
    project.positions.set("secrets.key", {"compose.yaml", 20, 3});
    project.secrets["key"].file = "/keys/key";
  }
  std::string error() const {
    const auto granted = granted_files(project, service);
    return granted.ok() ? "no error" : granted.error().message();
  }
};

TEST_F(Grants, HaveTheSpecificationsTargetsAndModes) {
  project.configs["site"].content = "text";
  project.secrets["token"].environment = "TOKEN";
  project.environment["TOKEN"] = "t0p";
  service.secrets = {{"key", "", "", "", {}}, {"token", "api", "33", "34", 0440}, {"key", "/abs/key", "", "", {}}};
  service.configs = {{"site", "", "", "", {}}, {"site", "/etc/site.conf", "", "", {}}};
  const auto granted = granted_files(project, service);
  ASSERT_TRUE(granted.ok()) << granted.error().message();
  ASSERT_EQ(granted->size(), 5U);
  EXPECT_EQ((*granted)[0].target, "/run/secrets/key");
  EXPECT_EQ((*granted)[0].source, "/keys/key");
  EXPECT_EQ((*granted)[0].mode, 0444U);
  EXPECT_EQ((*granted)[1].target, "/run/secrets/api");
  EXPECT_EQ((*granted)[1].content, "t0p");
  EXPECT_EQ((*granted)[1].uid, 33U);
  EXPECT_EQ((*granted)[1].gid, 34U);
  EXPECT_EQ((*granted)[1].mode, 0440U);
  EXPECT_EQ((*granted)[2].target, "/abs/key");
  EXPECT_EQ((*granted)[3].target, "/site");
  EXPECT_EQ((*granted)[4].target, "/etc/site.conf");
  EXPECT_EQ((*granted)[4].name, "configs/1");
}

TEST_F(Grants, ErrorsNameThePlace) {
  service.secrets = {{"other", "", "", "", {}}};
  EXPECT_EQ(error(), "compose.yaml:7:9: secret \"other\" is not defined in the project");
  service.secrets = {{"key", "", "root", "", {}}};
  EXPECT_EQ(error(), "compose.yaml:7:9: secret \"key\": uid \"root\" is not a number");
  service.secrets = {{"key", "", "", "", {}}};
  project.secrets["key"] = {};
  project.secrets["key"].environment = "MISSING";
  EXPECT_EQ(error(), "compose.yaml:20:3: secret \"key\": the environment variable \"MISSING\" is not set");
  project.secrets["key"].external = true;
  EXPECT_THAT(error(), HasSubstr("compose.yaml:20:3: secret \"key\" is external"));
}

}  // namespace
}  // namespace compose::container
