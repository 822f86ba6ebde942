#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "image/registry/challenge.hpp"
#include "image/registry/credentials.hpp"
#include "image/registry/host.hpp"
#include "image/registry/manifest.hpp"
#include "image/registry/repository.hpp"
#include "image/registry/settings.hpp"
#include "image/registry/spool.hpp"

namespace compose::image::registry {
namespace {

using ::testing::HasSubstr;

const std::string kDigest = "sha256:" + std::string(64, 'a');

TEST(Challenge, HasItsParametersWhateverTheirQuotes) {
  const auto all = parse_challenges(
      R"(Bearer realm="https://auth.example/token?a=b,c",service=reg.example , scope="repository:a/b:pull,push", Basic realm="a \"b\"")");
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].scheme, "bearer");
  EXPECT_EQ(all[0].parameters.at("realm"), "https://auth.example/token?a=b,c");
  EXPECT_EQ(all[0].parameters.at("service"), "reg.example");
  EXPECT_EQ(all[0].parameters.at("scope"), "repository:a/b:pull,push");
  EXPECT_EQ(all[1].scheme, "basic");
  EXPECT_EQ(all[1].parameters.at("realm"), "a \"b\"");
}

TEST(Challenge, TakesAnythingWithoutEnd) {
  for (const std::string text : {"", ",,,", "\"", "Bearer realm=\"x", "=", "Basic", "Bearer a=b c=d", "\x01\x02"}) {
    (void)parse_challenges(text);
  }
  EXPECT_EQ(parse_challenges("Basic").front().scheme, "basic");
}

TEST(Credentials, ComeFromTheKeyOfTheRegistry) {
  const std::string config = R"({"auths": {
      "https://index.docker.io/v1/": {"auth": "aHViOnBhc3M="},
      "https://reg.example:5000/v2/": {"username": "a", "password": "b"},
      "tok.example": {"identitytoken": "T"}},
      "credHelpers": {"help.example": "pass"}, "credsStore": "store"})";
  EXPECT_EQ(find_credentials(config, "docker.io")->stored.name, "hub");
  EXPECT_EQ(find_credentials(config, "docker.io")->stored.password, "pass");
  EXPECT_EQ(find_credentials(config, "reg.example:5000")->stored.password, "b");
  EXPECT_EQ(find_credentials(config, "tok.example")->stored.identity_token, "T");
  EXPECT_EQ(find_credentials(config, "help.example")->helper, "pass");
  EXPECT_EQ(find_credentials(config, "other.example")->helper, "store");
  EXPECT_TRUE(find_credentials("{}", "x")->stored.empty());
  EXPECT_FALSE(find_credentials("[]", "x").ok());
  EXPECT_FALSE(find_credentials(R"({"auths": {"x": {"auth": "%"}}})", "x").ok());
}

TEST(Manifest, TellsImagesFromIndexes) {
  const std::string manifest = R"({"config": {"digest": ")" + kDigest + R"(", "size": 1}, "layers": []})";
  EXPECT_FALSE(*is_index(manifest, "application/vnd.oci.image.manifest.v1+json; charset=utf-8"));
  EXPECT_TRUE(*is_index(R"({"manifests": []})", ""));
  EXPECT_EQ(is_index(manifest, "application/vnd.oci.image.index.v1+json").error().code(), Errc::corrupt);
  EXPECT_EQ(is_index(R"({"manifests": [], "layers": []})", "").error().code(), Errc::corrupt);
  EXPECT_EQ(is_index(R"({"schemaVersion": 1, "fsLayers": []})", "").error().code(), Errc::unsupported);
  EXPECT_EQ(is_index("<html>", "").error().code(), Errc::corrupt);
}

TEST(Manifest, RefusesWhatItCannotTrust) {
  EXPECT_FALSE(parse_manifest("{}").ok());
  EXPECT_FALSE(parse_manifest(R"({"config": {"digest": "sha256:../x"}})").ok());
  EXPECT_FALSE(parse_manifest(R"({"config": {"digest": ")" + kDigest + R"(", "size": 999999999}})").ok());
  EXPECT_EQ(
      parse_manifest(R"({"config": {"digest": ")" + kDigest +
                     R"("}, "layers": [{"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",)"
                     R"("digest": ")" +
                     kDigest + R"("}]})")
          .error()
          .code(),
      Errc::unsupported);
}

Descriptor entry(const std::string& architecture, const std::string& variant = "") {
  Descriptor result;
  result.digest = architecture + variant;
  result.platform = {"linux", architecture, variant};
  return result;
}

TEST(Platform, TheNewestVariantThatRunsIsChosen) {
  const Index index{{entry("unknown"), entry("amd64"), entry("arm", "v5"), entry("arm", "v6"), entry("arm", "v7"),
                     entry("arm64", "v8")}};
  const auto choice = [&](const char* platform) {
    const auto found = choose(index, *parse_platform(platform));
    return found ? found->digest : found.error().message();
  };
  EXPECT_EQ(choice("linux/amd64"), "amd64");
  EXPECT_EQ(choice("linux/arm/v6"), "armv6");
  EXPECT_EQ(choice("linux/arm"), "armv7");
  EXPECT_EQ(choice("linux/arm64"), "arm64v8");
  EXPECT_EQ(choice("aarch64"), "arm64v8");
  EXPECT_THAT(choice("linux/riscv64"),
              HasSubstr("there is no image for linux/riscv64 (there is: linux/amd64, linux/arm/v5"));
  EXPECT_FALSE(parse_platform("a/b/c/d").ok());
  EXPECT_FALSE(parse_platform("linux//v7").ok());
}

TEST(RegistrySettings, NameTheLineOfAMistake) {
  const auto hosts = parse_registries(
      "registries:\n  docker.io:\n    mirrors: [https://m.example/prefix/]\n  r:5000: {insecure: true, ca: /ca.pem}\n",
      "f");
  ASSERT_TRUE(hosts.ok()) << hosts.error().message();
  EXPECT_EQ(hosts->at("docker.io").mirrors.at(0).target, "/prefix");
  EXPECT_TRUE(hosts->at("r:5000").insecure);
  EXPECT_EQ(hosts->at("r:5000").ca, "/ca.pem");
  const std::pair<const char*, const char*> mistakes[] = {
      {"registries:\n  x:\n    mirror: []\n", "f:3: unknown key \"mirror\""},
      {"registries:\n  x:\n    mirrors: [ftp://a]\n", "f:3: \"ftp://a\" is no"},
      {"registries:\n  x: {certificate: /a}\n", "f:2: \"certificate\" and \"key\" belong together"},
      {"registry: {}\n", "f:1: unknown key \"registry\""},
      {"registries: [", "f:1: "},
  };
  for (const auto& [text, message] : mistakes) {
    const auto wrong = parse_registries(text, "f");
    ASSERT_FALSE(wrong.ok()) << text;
    EXPECT_THAT(wrong.error().message(), HasSubstr(message));
  }
}

TEST(RegistrySettings, CertificatesLieInAFolderOfTheHost) {
  char folder[] = "/tmp/registry-test-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string host = std::string{folder} + "/r.example:5000";
  ASSERT_EQ(std::system(("mkdir " + host).c_str()), 0);
  for (const char* name : {"ca.crt", "client.cert", "client.key", "alone.cert", "notes.txt"})
    std::ofstream{host + "/" + name};
  Settings settings;
  settings.certificate_dirs = {std::string{folder} + "/missing", folder};
  const http::TlsSettings tls = tls_settings(settings, "r.example:5000");
  EXPECT_THAT(tls.authorities, testing::ElementsAre(host + "/ca.crt"));
  EXPECT_EQ(tls.certificate, host + "/client.cert");
  EXPECT_EQ(tls.key, host + "/client.key");
  EXPECT_TRUE(tls.verify);
  EXPECT_TRUE(tls_settings(settings, "r.example").authorities.empty());
  ASSERT_EQ(std::system(("rm -r " + std::string{folder}).c_str()), 0);
}

TEST(RegistrySettings, PlainHttpIsForThisMachineOnly) {
  for (const char* host : {"localhost", "localhost:5000", "127.0.0.1", "127.1.2.3:80", "[::1]:5000"})
    EXPECT_TRUE(is_local(host)) << host;
  for (const char* host : {"docker.io", "localhost.example", "127.evil.example", "10.0.0.1:5000", "[::2]"})
    EXPECT_FALSE(is_local(host)) << host;
}

TEST(Retries, WaitLongerEachTimeAndAsLongAsAsked) {
  using std::chrono::milliseconds;
  EXPECT_EQ(retry_pause(milliseconds{250}, 1, {}), milliseconds{250});
  EXPECT_EQ(retry_pause(milliseconds{250}, 3, {}), milliseconds{1000});
  EXPECT_EQ(retry_pause(milliseconds{250}, 1, "7"), milliseconds{7000});
  EXPECT_EQ(retry_pause(milliseconds{250}, 1, "99999999999"), milliseconds{30'000});
  EXPECT_EQ(retry_pause(milliseconds{250}, 40, {}), milliseconds{30'000});
  EXPECT_EQ(retry_pause(milliseconds{250}, 1, "soon"), milliseconds{250});
}

TEST(ErrorText, ShowsWhatTheRegistrySaysWithoutItsControlCharacters) {
  EXPECT_EQ(error_text(R"({"errors": [{"code": "DENIED", "message": "no\u001b[31m way"}, {"code": "X"}]})"),
            "no[31m way (DENIED); X");
  EXPECT_EQ(error_text("<html>"), "");
}

TEST(Spool, IsReadWhileItGrowsAndTellsOfFailure) {
  const auto spool = Spool::create("/tmp");
  ASSERT_TRUE(spool.ok());
  const ByteReaderPtr reader = Spool::reader(*spool);
  char buffer[16];
  ASSERT_TRUE((*spool)->append("abc").ok());
  EXPECT_EQ(*reader->read(buffer, sizeof buffer), 3U);
  std::thread writer{[&] {
    (void)(*spool)->append("de");
    (*spool)->fail(make_error(Errc::failed, "cut"));
  }};
  Result<std::size_t> got = std::size_t{0};
  do got = reader->read(buffer, sizeof buffer);
  while (got.ok());
  EXPECT_EQ(got.error().message(), "cut");
  writer.join();
}

}  // namespace
}  // namespace compose::image::registry
