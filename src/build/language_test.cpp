// Small parts of the language: modes, mounts, checks, addresses.
#include <gtest/gtest.h>

#include "build/cache_transfer.hpp"
#include "build/contexts.hpp"
#include "build/file_mode.hpp"
#include "build/lint.hpp"
#include "build/mount_options.hpp"
#include "build/network.hpp"
#include "build/remote.hpp"

namespace compose::build {
namespace {

mode_t changed(const char* text, mode_t mode, bool folder = false) {
  const Result<ModeChange> change = ModeChange::parse(text);
  EXPECT_TRUE(change) << text;
  return change ? change->apply(mode, folder) : 0;
}

TEST(FileMode, AsChmodHasIt) {
  EXPECT_EQ(changed("0640", 0777), 0640U);
  EXPECT_EQ(changed("4755", 0600), 04755U);
  EXPECT_EQ(changed("u=rwX,go=rX", 0600), 0644U);
  EXPECT_EQ(changed("u=rwX,go=rX", 0700, true), 0755U);
  EXPECT_EQ(changed("a+x,o-r", 0644), 0751U);
  EXPECT_EQ(changed("g=u", 0740), 0770U);
  EXPECT_EQ(changed("+x", 0644), 0755U);
  EXPECT_EQ(changed("u+s,g+s,+t", 0755), 07755U);
  EXPECT_EQ(changed("u-s", 04755), 0755U);
  EXPECT_EQ(changed("o=", 0777), 0770U);
  for (const char* text : {"", "9", "88888888", "u", "z+x", "u+y", "u=rw,", "17777"})
    EXPECT_FALSE(ModeChange::parse(text)) << text;
}

Result<MountOptions> mount(const std::string& text) {
  return parse_mount(
      text, [](std::string_view name) { return std::optional{"<" + std::string{name} + ">"}; }, '\\');
}

TEST(Mounts, OptionsOfEachType) {
  const auto bind = mount("from=one,src=/a,dst=/b/$X,rw");
  ASSERT_TRUE(bind) << bind.error().message();
  EXPECT_EQ(bind->type, MountOptions::Type::bind);
  EXPECT_EQ(bind->from, "one");
  EXPECT_EQ(bind->source, "/a");
  EXPECT_EQ(bind->target, "/b/<X>");
  EXPECT_TRUE(bind->writable);
  const auto cache = mount("type=cache,target=/c,\"id=with,comma\",sharing=locked,mode=0700,uid=5,ro");
  ASSERT_TRUE(cache) << cache.error().message();
  EXPECT_EQ(cache->id, "with,comma");
  EXPECT_EQ(cache->sharing, MountOptions::Sharing::locked);
  EXPECT_EQ(cache->mode, 0700U);
  EXPECT_EQ(cache->uid, 5U);
  EXPECT_FALSE(cache->writable);
  EXPECT_EQ(mount("type=tmpfs,target=/t,size=1m")->size, 1 << 20);
  EXPECT_TRUE(mount("type=secret,id=s,required")->required);
  EXPECT_EQ(mount("type=secret,target=/x/name")->id, "name");
  EXPECT_FALSE(mount("type=ssh,required=false")->required);
}

TEST(Mounts, WhatIsWrongIsSaid) {
  const struct {
    const char* text;
    const char* part;
  } kCases[] = {{"type=disk,target=/x", "\"disk\""},
                {"type=tmpfs,target=/x,sise=1", "did you mean \"size\""},
                {"type=cache", "needs a target"},
                {"type=tmpfs,target=/x,from=a", "has no \"from\""},
                {"type=cache,target=/x,mode=999", "no number for mode"},
                {"type=cache,target=/x,uid=-1", "no number for uid"},
                {"type=secret,id=s,required=maybe", "true or false"},
                {"type=secret", "needs an id"},
                {"target=", "has no value"}};
  for (const auto& item : kCases) {
    const auto result = mount(item.text);
    ASSERT_FALSE(result) << item.text;
    EXPECT_NE(result.error().message().find(item.part), std::string::npos) << result.error().message();
  }
}

std::string rules(const std::string& text) {
  const Result<Dockerfile> file = parse_dockerfile(text, "Dockerfile");
  EXPECT_TRUE(file) << text;
  const Result<LintReport> report = lint(*file);
  EXPECT_TRUE(report) << text;
  std::string result;
  for (const LintWarning& warning : report->warnings) result += fmt::format("{}:{} ", warning.rule, warning.line);
  return result;
}

TEST(Lint, EachRule) {
  EXPECT_EQ(rules("FROM a\nCMD [\"x\"]\n"), "");
  EXPECT_EQ(rules("FROM a AS Base\n"), "StageNameCasing:1 ");
  EXPECT_EQ(rules("FROM a as base\n"), "FromAsCasing:1 ");
  EXPECT_EQ(rules("FROM a\nRUN x \\\n\n  y\n"), "NoEmptyContinuation:2 ");
  EXPECT_EQ(rules("FROM a\nRUN <<E\n\nE\n"), "");
  EXPECT_EQ(rules("FROM a\nRUN x\nrun y\n"), "ConsistentInstructionCasing:3 ");
  EXPECT_EQ(rules("FROM a AS b\nFROM a AS b\n"), "DuplicateStageName:2 ");
  EXPECT_EQ(rules("FROM a AS context\n"), "ReservedStageName:1 ");
  EXPECT_EQ(rules("FROM a\nCMD x\n"), "JSONArgsRecommended:2 ");
  EXPECT_EQ(rules("FROM a\nSHELL [\"sh\"]\nCMD x\n"), "");
  EXPECT_EQ(rules("FROM a\nMAINTAINER me\n"), "MaintainerDeprecated:2 ");
  EXPECT_EQ(rules("FROM $A\n"), "UndefinedArgInFrom:1 ");
  EXPECT_EQ(rules("ARG A\nFROM $A\n"), "");
  EXPECT_EQ(rules("FROM a\nWORKDIR b\nWORKDIR /c\nWORKDIR d\n"), "WorkdirRelativePath:2 ");
  EXPECT_EQ(rules("FROM a\nCMD [\"x\"]\nCMD [\"y\"]\n"), "MultipleInstructionsDisallowed:3 ");
  EXPECT_EQ(rules("FROM a\nENV A b\n"), "LegacyKeyValueFormat:2 ");
  EXPECT_EQ(rules("FROM --platform=$TARGETPLATFORM a\n"), "RedundantTargetPlatform:1 ");
  EXPECT_EQ(rules("FROM --platform=linux/amd64 a\n"), "FromPlatformFlagConstDisallowed:1 ");
  EXPECT_EQ(rules("FROM a\nARG DB_PASSWORD\nENV MONKEY=1 PUBLIC_KEY=2\n"), "SecretsUsedInArgOrEnv:2 ");
  EXPECT_EQ(rules("FROM a\nEXPOSE 80/TCP 1:2\n"), "ExposeProtoCasing:2 ExposeInvalidFormat:2 ");
  EXPECT_EQ(rules("ARG G=1\nFROM a\nENV X=$G Y=${G:-1} Z='$G'\n"), "UndefinedVar:3 ");
  EXPECT_EQ(rules("# check=skip=MaintainerDeprecated\nFROM a\nMAINTAINER me\nCMD x\n"), "JSONArgsRecommended:4 ");
  EXPECT_EQ(rules("# check=skip=all\nFROM a\nCMD x\n"), "");
}

TEST(Addresses, OfRepositories) {
  const auto git = [](const char* text) { return parse_git(text).value_or(GitSource{}); };
  EXPECT_EQ(git("https://h/x.git#v1:sub/dir"), (GitSource{"https://h/x.git", "v1", "sub/dir"}));
  EXPECT_EQ(git("git@h:me/x.git"), (GitSource{"git@h:me/x.git", "", ""}));
  EXPECT_EQ(git("github.com/a/b#:d"), (GitSource{"https://github.com/a/b", "", "d"}));
  EXPECT_EQ(git("git://h/x"), (GitSource{"git://h/x", "", ""}));
  EXPECT_FALSE(parse_git("https://h/x.tar.gz"));
  EXPECT_FALSE(parse_git("git://h/x#--upload-pack=evil"));
  EXPECT_EQ(url_file_name("https://h/a/b.txt?x=/y#z"), "b.txt");
  EXPECT_EQ(url_file_name("https://h/a/"), "");
  EXPECT_EQ(url_file_name("https://h"), "");
  EXPECT_EQ(url_file_name("https://h/a/.."), "");
  EXPECT_EQ(url_file_name("https://h/a%2fb"), "");
}

TEST(Contexts, NamesAreNormal) {
  const model::StringMap contexts = {
      {"busybox", "docker-image://other"}, {"d", "/folder"}, {"s", "service:x"}, {"g", "https://h/x.git"}};
  EXPECT_EQ(find_context(contexts, "docker.io/library/busybox:latest")->location, "other");
  EXPECT_EQ(find_context(contexts, "d")->kind, NamedContext::Kind::folder);
  EXPECT_EQ(find_context(contexts, "s")->kind, NamedContext::Kind::service);
  EXPECT_EQ(find_context(contexts, "g")->kind, NamedContext::Kind::remote);
  EXPECT_FALSE(find_context(contexts, "busybox:1"));
}

TEST(Caches, Specs) {
  EXPECT_EQ(parse_cache_spec("me/app:cache", false)->place, "me/app:cache");
  const auto local = parse_cache_spec("type=local,dest=/x,mode=max", true);
  ASSERT_TRUE(local);
  EXPECT_EQ(local->place, "/x");
  EXPECT_TRUE(local->all_stages);
  EXPECT_EQ(parse_cache_spec("type=registry,ref=a/b", false)->place, "a/b");
  EXPECT_TRUE(parse_cache_spec("type=inline", true));
  EXPECT_FALSE(parse_cache_spec("type=gha", true));
  EXPECT_FALSE(parse_cache_spec("type=local,dest=/x", false)) << "cache_from has src";
  EXPECT_EQ(parse_cache_spec("inline", true)->type, CacheSpec::Type::inline_);
  EXPECT_FALSE(parse_cache_spec("type=registry,mode=max", true)) << "no ref";
  EXPECT_FALSE(parse_cache_spec("type=registry,ref=a/b,mode=most", true));
  const auto there = parse_cache_spec("type=registry,ref=a/b,mode=max,ignore-error=true,compression=zstd", true);
  ASSERT_TRUE(there);
  EXPECT_TRUE(there->all_stages && there->ignore_error);
  EXPECT_EQ(there->unused, std::vector<std::string>{"compression"});
}

TEST(Caches, RecordsComeBackAndMalformedOnesDoNot) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const StepRecords records = {{std::string(64, '1'), {{digest}, false, "2026-01-01T00:00:00Z"}}};
  const Result<StepRecords> again = parse_records(records_json(records));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->begin()->second.chain, std::vector<std::string>{digest});
  EXPECT_FALSE(parse_records("{}"));
  EXPECT_TRUE(parse_records(R"([{"key": "../../x", "chain": [], "created": "x"}, 7, {"key": 5}])")->empty());
}

TEST(StepNetworks, ServersThatCanBeReached) {
  EXPECT_EQ(step_resolv_conf("nameserver 10.0.0.1\nsearch a b\n", ""), "nameserver 10.0.0.1\nsearch a b\n");
  EXPECT_EQ(step_resolv_conf("nameserver 127.0.0.53\noptions edns0\n", "nameserver 1.2.3.4\n"),
            "nameserver 1.2.3.4\noptions edns0\n");
  EXPECT_EQ(step_resolv_conf("nameserver ::1\n", ""), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
}

}  // namespace
}  // namespace compose::build
