#include "image/reference.hpp"

#include <gtest/gtest.h>

#include "image/digest.hpp"

namespace compose::image {
namespace {

const std::string kDigits(64, 'a');
const std::string kDigest = "sha256:" + kDigits;

TEST(Reference, ShortNamesGetTheDefaultRegistryAndTag) {
  const Result<Reference> name = parse_reference("nginx");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->full(), "docker.io/library/nginx:latest");
  EXPECT_EQ(name->familiar(), "nginx:latest");
}

TEST(Reference, WrittenPartsAreKept) {
  const struct {
    const char* text;
    const char* full;
    const char* familiar;
  } kCases[] = {
      {"nginx:1.25", "docker.io/library/nginx:1.25", "nginx:1.25"},
      {"bitnami/redis", "docker.io/bitnami/redis:latest", "bitnami/redis:latest"},
      {"index.docker.io/library/nginx", "docker.io/library/nginx:latest", "nginx:latest"},
      {"localhost:5000/a/b:t", "localhost:5000/a/b:t", "localhost:5000/a/b:t"},
      {"localhost/a", "localhost/a:latest", "localhost/a:latest"},
      {"ghcr.io/a/b__c--d.e:v1", "ghcr.io/a/b__c--d.e:v1", "ghcr.io/a/b__c--d.e:v1"},
      {"[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"},
      {"docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest"},
      {"docker.io/localhost/c", "docker.io/localhost/c:latest", "docker.io/localhost/c:latest"},
      {"docker.io/a.b", "docker.io/library/a.b:latest", "a.b:latest"},
  };
  for (const auto& item : kCases) {
    const Result<Reference> name = parse_reference(item.text);
    ASSERT_TRUE(name) << item.text;
    EXPECT_EQ(name->full(), item.full);
    EXPECT_EQ(name->familiar(), item.familiar);
  }
}

TEST(Reference, ANameLikeAnIdKeepsItsHost) {
  const Result<Reference> name = parse_reference("docker.io/library/" + kDigits);
  ASSERT_TRUE(name);
  EXPECT_EQ(name->familiar_name(), "docker.io/library/" + kDigits);
}

TEST(Reference, DigestWithoutTagHasNoTag) {
  const Result<Reference> name = parse_reference("nginx@" + kDigest);
  ASSERT_TRUE(name);
  EXPECT_EQ(name->tag, "");
  EXPECT_EQ(name->full(), "docker.io/library/nginx@" + kDigest);
}

TEST(Reference, RefusesWhatTheGrammarDoesNotKnow) {
  for (const std::string& text :
       {std::string{""}, std::string{"Nginx"}, std::string{"a//b"}, std::string{"/a"}, std::string{"a/"},
        std::string{"a:"}, std::string{"a:b c"}, std::string{"a___b"}, std::string{"a..b"}, std::string{"-a"},
        std::string{"a@sha256:../../x"}, std::string{"a@sha512:" + kDigits}, kDigits, std::string{"http://a/b"},
        "a:" + std::string(129, 'x'), std::string(300, 'a'), std::string{"../a"}, std::string{"a/../b"},
        std::string{"a:5000:/b"}}) {
    EXPECT_FALSE(parse_reference(text)) << text;
  }
}

TEST(Digest, OnlySha256InLowerCase) {
  EXPECT_TRUE(is_digest(kDigest));
  for (const std::string& text : {std::string{"sha256:../../x"}, "sha256:" + std::string(64, 'A'),
                                  "sha256:" + std::string(63, 'a'), "md5:" + kDigits, kDigits, std::string{}}) {
    EXPECT_FALSE(is_digest(text)) << text;
  }
}

TEST(Digest, ChainIdFollowsTheSpecification) {
  EXPECT_EQ(chain_id("", kDigest), kDigest);
  EXPECT_EQ(chain_id(kDigest, kDigest), digest_of(kDigest + " " + kDigest));
}

}  // namespace
}  // namespace compose::image
