// Builds with RUN steps that a fake runner answers: what the builder decides, without containers.
#include "build/builder.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "base/strings.hpp"
#include "build/cache_usage.hpp"
#include "build/run.hpp"
#include "image/merged_view.hpp"
#include "image/store_internal.hpp"
#include "image/testing/tar_builder.hpp"
#include "sys/file.hpp"

namespace compose::build {
namespace {

using image::testing::tar;
using image::testing::TempFolder;

std::string message(const auto& result) { return result ? "" : result.error().message(); }

/// Understands "write PATH TEXT" and "exit N"; notes everything it was asked for.
class FakeRunner : public Runner {
 public:
  Result<int> run(const RunRequest& request, const OutputLine& output) override {
    const std::string command = request.arguments.back();
    commands.push_back(command);
    environments.push_back(request.environment);
    mounts = request.mounts;
    users.push_back(request.user);
    const std::vector<std::string> words = split(command, ' ');
    output("ran " + command, false);
    if (words[0] == "exit") return static_cast<int>(parse_unsigned(words.back()).value_or(1));
    if (words[0] == "write") {
      const std::string path = request.upper + words[1];
      TRY(sys::make_directories(path.substr(0, path.rfind('/'))));
      TRY(sys::write_file_atomic(path, words.size() > 2 ? words[2] : "x"));
    }
    return 0;
  }
  std::vector<std::string> commands;
  std::vector<std::vector<std::string>> environments;
  std::vector<std::string> users;
  std::vector<RunMount> mounts;
};

class BuilderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "layers keep the owners of their files, which needs root";
    Result<image::Store> opened = image::Store::open(folder_ / "root");
    ASSERT_TRUE(opened) << message(opened);
    store_.emplace(std::move(*opened));
    const std::string path =
        folder_.write("base.tar", tar({{"etc/", '5'},
                                       {"etc/passwd", '0', "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n"},
                                       {"etc/group", '0', "root:x:0:\nstaff:x:50:\n"},
                                       {"var/run", '2', "", "/run"},
                                       {"run/", '5'}}));
    ASSERT_TRUE(store_->import_rootfs(path, {"base", {"CMD base"}, "", ""}));
  }

  Result<image::Image> build(const std::string& dockerfile) {
    folder_.write("ctx/Dockerfile", dockerfile);
    request_.build.context = folder_ / "ctx";
    request_.build.dockerfile = "Dockerfile";
    events_.clear();
    request_.progress = [this](const BuildEvent& event) { events_.push_back(event); };
    return build_for_test(request_, *store_, runner_);
  }
  image::Image built(const std::string& dockerfile) {
    Result<image::Image> result = build(dockerfile);
    EXPECT_TRUE(result) << message(result);
    return result ? *result : image::Image{};
  }
  std::string file(const image::Image& image, const std::string& path) const {
    const auto content = image::MergedView{image.layer_dirs}.read_file(path, 100'000);
    return content && *content ? **content : "(none)";
  }
  struct stat status(const image::Image& image, const std::string& path) const {
    const auto entry = image::MergedView{image.layer_dirs}.resolve(path, false);
    return entry && *entry ? (*entry)->status : (struct stat){};
  }
  std::size_t cached() const {
    std::size_t count = 0;
    for (const BuildEvent& event : events_)
      count += event.kind == BuildEvent::Kind::cached && event.name.find("FROM") == std::string::npos;
    return count;
  }

  TempFolder folder_;
  std::optional<image::Store> store_;
  FakeRunner runner_;
  BuildRequest request_;
  std::vector<BuildEvent> events_;
};

TEST_F(BuilderTest, UnchangedBuildRunsNothingAndGivesTheSameImage) {
  folder_.write("ctx/a.txt", "a");
  const std::string text = "FROM base\nARG WHO=me\nRUN write /x $WHO\nCOPY a.txt /dir/\nWORKDIR /w\nCMD [\"c\"]\n";
  request_.tags = {"app:1"};
  const image::Image first = built(text);
  const image::Image second = built(text);
  EXPECT_EQ(first.id, second.id);
  EXPECT_EQ(first.names, std::vector<std::string>{"app:1"});
  EXPECT_EQ(runner_.commands.size(), 1U);
  EXPECT_EQ(cached(), 3U);
  EXPECT_EQ(file(second, "/dir/a.txt"), "a");
  EXPECT_TRUE(S_ISDIR(status(second, "/w").st_mode));
}

TEST_F(BuilderTest, ChangesReachOnlyWhatDependsOnThem) {
  folder_.write("ctx/a.txt", "a");
  folder_.write("ctx/b.txt", "b");
  const std::string text = "FROM base\nCOPY a.txt /\nRUN write /one\nCOPY b.txt /\nRUN write /two\n";
  built(text);
  folder_.write("ctx/b.txt", "changed");
  const image::Image image = built(text);
  EXPECT_EQ(cached(), 2U);
  EXPECT_EQ(runner_.commands.size(), 3U);
  EXPECT_EQ(file(image, "b.txt"), "changed");
  folder_.write("ctx/a.txt", "a");  // a new time is no change
  built(text);
  EXPECT_EQ(runner_.commands.size(), 3U);
  folder_.write("ctx/a.txt", "a", 0755);  // new rights are
  built(text);
  EXPECT_EQ(runner_.commands.size(), 5U);
}

TEST_F(BuilderTest, NoCacheRunsEverythingAgain) {
  const std::string text = "FROM base\nRUN write /one\n";
  built(text);
  request_.no_cache = true;
  built(text);
  EXPECT_EQ(runner_.commands.size(), 2U);
}

TEST_F(BuilderTest, AFilterRunsOneStageAgain) {
  const std::string text =
      "FROM base AS one\nRUN write /one\nFROM base AS two\nRUN write /two\nFROM two\nCOPY --from=one /one /\n";
  built(text);
  request_.build.no_cache_filter = {"one"};
  built(text);
  EXPECT_EQ(runner_.commands.size(), 3U);
  EXPECT_EQ(std::ranges::count(runner_.commands, runner_.commands.back()), 2);
}

TEST_F(BuilderTest, CopyChoosesAndPlacesFilesAsDockerDoes) {
  folder_.write("ctx/src/a.txt", "a");
  folder_.write("ctx/src/sub/b.txt", "b", 0600);
  folder_.write("ctx/c.txt", "c");
  folder_.write("ctx/skip.log", "no");
  folder_.write("ctx/src/skip.log", "no");
  ::symlink("a.txt", (folder_ / "ctx/src/link").c_str());
  ::symlink("/etc/shadow", (folder_ / "ctx/out").c_str());
  folder_.write("ctx/.dockerignore", "**/*.log\nDockerfile\n");
  const image::Image image = built(
      "FROM base\nWORKDIR /w\nCOPY src rel\nCOPY c.txt new/\nCOPY c.txt /named\nCOPY *.txt src/a* /many/\n"
      "COPY --chown=app:staff --chmod=0640 c.txt /owned/c\nCOPY c.txt /var/run/via-link\nCOPY . /all\nCOPY --chown=7 "
      "c.txt /seven\n");
  EXPECT_EQ(file(image, "/w/rel/a.txt"), "a");
  EXPECT_EQ(file(image, "/w/rel/sub/b.txt"), "b");
  EXPECT_EQ(status(image, "/w/rel/sub/b.txt").st_mode & 07777U, 0600U);
  EXPECT_TRUE(S_ISLNK(status(image, "/w/rel/link").st_mode));
  EXPECT_EQ(file(image, "/w/rel/skip.log"), "(none)");
  EXPECT_EQ(file(image, "/w/new/c.txt"), "c");
  EXPECT_EQ(file(image, "/named"), "c");
  EXPECT_EQ(file(image, "/many/a.txt"), "a");
  EXPECT_EQ(file(image, "/many/c.txt"), "c");
  EXPECT_EQ(status(image, "/owned/c").st_uid, 1000U);
  EXPECT_EQ(status(image, "/owned/c").st_gid, 50U);
  EXPECT_EQ(status(image, "/owned/c").st_mode & 07777U, 0640U);
  EXPECT_EQ(status(image, "/owned").st_uid, 1000U);
  EXPECT_EQ(file(image, "/run/via-link"), "c") << "links of the image are followed in the image";
  EXPECT_TRUE(S_ISLNK(status(image, "/all/out").st_mode));
  EXPECT_EQ(file(image, "/all/Dockerfile"), "(none)");
  EXPECT_EQ(status(image, "/seven").st_gid, 7U);
  EXPECT_EQ(status(image, "/named").st_uid, 0U);
}

TEST_F(BuilderTest, FoldersGoThroughLinksOfTheImage) {
  folder_.write("ctx/tree/var/run/x", "x");
  const image::Image image = built("FROM base\nCOPY tree /\n");
  EXPECT_EQ(file(image, "/run/x"), "x");
  EXPECT_TRUE(S_ISLNK(status(image, "/var/run").st_mode));
}

TEST_F(BuilderTest, CopyCannotLeaveTheContext) {
  folder_.write("outside", "secret");
  ::symlink("../outside", (folder_ / "ctx-link").c_str());
  folder_.write("ctx/x", "x");
  ::symlink("../outside", (folder_ / "ctx/climb").c_str());
  ::symlink((folder_ / "outside").c_str(), (folder_ / "ctx/absolute").c_str());
  for (const char* source : {"../outside", "climb", "absolute", "a/../../outside"}) {
    const auto result = build(fmt::format("FROM base\nCOPY {} /leak\n", source));
    EXPECT_FALSE(result) << source;
  }
}

TEST_F(BuilderTest, CopyFromAStageKeepsOwnersAndUnneededStagesDoNotRun) {
  const image::Image image = built(
      "FROM base AS one\nRUN write /f\nCOPY --chown=5:6 Dockerfile /owned\nFROM base AS never\nRUN exit 1\n"
      "FROM scratch\nCOPY --from=one /owned /etc/passwd /\nCOPY --from=0 /f /g\n");
  EXPECT_EQ(status(image, "/owned").st_uid, 5U);
  EXPECT_EQ(file(image, "/g"), "x");
  EXPECT_EQ(image.config.env,
            std::vector<std::string>{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"});
  EXPECT_FALSE(image.config.cmd);
  EXPECT_EQ(runner_.commands.size(), 1U);
}

TEST_F(BuilderTest, ExcludeAndParents) {
  folder_.write("ctx/d/a.c", "a");
  folder_.write("ctx/d/e/b.h", "b");
  const image::Image image = built("FROM base\nCOPY --exclude=*.c d /x/\nCOPY --parents d/e/b.h /p/\n");
  EXPECT_EQ(file(image, "/x/a.c"), "(none)");
  EXPECT_EQ(file(image, "/x/e/b.h"), "b");
  EXPECT_EQ(file(image, "/p/d/e/b.h"), "b");
}

TEST_F(BuilderTest, AddUnpacksArchivesAndCopyDoesNot) {
  folder_.write("ctx/a.tar", tar({{"in/", '5'}, {"in/file", '0', "packed"}}));
  const image::Image image = built("FROM base\nADD a.tar /opt/\nCOPY a.tar /copied.tar\nADD --chown=3:4 a.tar /o/\n");
  EXPECT_EQ(file(image, "/opt/in/file"), "packed");
  EXPECT_EQ(file(image, "/opt/a.tar"), "(none)");
  EXPECT_NE(file(image, "/copied.tar"), "(none)");
  EXPECT_EQ(status(image, "/o").st_uid, 3U);
  EXPECT_EQ(status(image, "/o/in/file").st_uid, 0U) << "the archive says whose its files are";
}

TEST_F(BuilderTest, HereDocumentsBecomeFiles) {
  const image::Image image = built(
      "FROM base\nARG N=1\nCOPY <<one.txt <<\"two.txt\" /d/\n$N \"q\"\none.txt\n$N\ntwo.txt\nCOPY <<E /single\nx\nE\n");
  EXPECT_EQ(file(image, "/d/one.txt"), "1 \"q\"\n");
  EXPECT_EQ(file(image, "/d/two.txt"), "$N\n");
  EXPECT_EQ(file(image, "/single"), "x\n");
}

TEST_F(BuilderTest, ArgumentsAndEnvironmentOfRun) {
  request_.build.args = {{"A", "given"}, {"HTTP_PROXY", "http://proxy"}, {"UNUSED", "x"}};
  built("ARG G=global\nFROM base\nARG A=default\nARG B=$A-b\nARG G\nENV A=env\nUSER app\nRUN write /x\n");
  const std::vector<std::string>& environment = runner_.environments.at(0);
  const std::set<std::string> seen{environment.begin(), environment.end()};
  EXPECT_TRUE(seen.contains("A=env"));
  EXPECT_TRUE(seen.contains("B=given-b"));
  EXPECT_TRUE(seen.contains("G=global"));
  EXPECT_TRUE(seen.contains("HTTP_PROXY=http://proxy"));
  EXPECT_FALSE(seen.contains("UNUSED=x"));
  EXPECT_EQ(runner_.users.at(0), "app");
  request_.build.args["HTTP_PROXY"] = "http://other";
  built("ARG G=global\nFROM base\nARG A=default\nARG B=$A-b\nARG G\nENV A=env\nUSER app\nRUN write /x\n");
  EXPECT_EQ(runner_.commands.size(), 1U) << "a proxy is no reason to build again";
}

TEST_F(BuilderTest, TriggersOfTheBaseRunInTheChild) {
  request_.tags = {"parent"};
  const image::Image parent = built("FROM base\nONBUILD RUN write /triggered\nONBUILD ENV T=1\n");
  EXPECT_EQ(parent.config.on_build.size(), 2U);
  request_.tags = {"child"};
  const image::Image child = built("FROM parent\n");
  EXPECT_EQ(file(child, "/triggered"), "x");
  EXPECT_EQ(child.config.env_value("T"), "1");
  EXPECT_TRUE(child.config.on_build.empty());
}

TEST_F(BuilderTest, LabelsTagsAndTargetOfTheComposeFile) {
  request_.build.labels = {{"com.example", "v"}};
  request_.build.tags = {"extra:2"};
  request_.tags = {"main"};
  request_.build.target = "first";
  const image::Image image = built("FROM base AS first\nFROM base\nRUN exit 1\n");
  EXPECT_EQ(image.config.labels.at("com.example"), "v");
  EXPECT_EQ(image.names, (std::vector<std::string>{"extra:2", "main:latest"}));
}

TEST_F(BuilderTest, MountsOfRun) {
  folder_.write("ctx/in.txt", "bound");
  folder_.write("secret.txt", "hush");
  request_.build.secrets = {{"s1", "", "", "", {}}};
  request_.secrets = {{"s1", {folder_ / "secret.txt", {}}}};
  built(
      "FROM base\nRUN --mount=type=cache,target=/c,id=k --mount=type=secret,id=s1 --mount=type=secret,id=s1,env=S "
      "--mount=type=tmpfs,target=/t,size=1m --mount=type=bind,target=/b "
      "--mount=type=bind,from=base,source=/etc,target=/e write /x\n");
  ASSERT_EQ(runner_.mounts.size(), 5U);
  EXPECT_EQ(runner_.mounts[0].target, "/c");
  EXPECT_EQ(runner_.mounts[1].target, "/run/secrets/s1");
  EXPECT_EQ(runner_.mounts[2].size, 1 << 20);
  EXPECT_TRUE(runner_.mounts[3].read_only);
  EXPECT_EQ(runner_.environments[0].back(), "S=hush");
  const auto missing = build("FROM base\nRUN --mount=type=secret,id=none,required=true write /y\n");
  EXPECT_NE(message(missing).find("build.secrets"), std::string::npos);
}

TEST_F(BuilderTest, FailuresNameTheLine) {
  const auto failed = build("FROM base\n\nRUN exit \\\n  7\n");
  ASSERT_FALSE(failed);
  EXPECT_NE(
      message(failed).find("Dockerfile:3: RUN exit   7: exit code 7\n     3 | RUN exit \\\n       | ^^^\n     4 |   7"),
      std::string::npos)
      << message(failed);
  const struct {
    const char* text;
    const char* part;
  } kCases[] = {
      {"FROM nothere\n", "Dockerfile:1: the image \"nothere\""},
      {"FROM base\nCOPY missing /\n", "Dockerfile:2: \"missing\" is not there"},
      {"FROM base\nCOPY --from=nothere a /\n", "Dockerfile:2: the image \"nothere\""},
      {"FROM base\nCOPY a b /c\n", "Dockerfile:2: with several sources"},
      {"FROM base\nCOPY Dockerfile /etc\nCOPY --chown=nobody99 Dockerfile /x\n", "Dockerfile:3: --chown=nobody99"},
      {"FROM base\nRUN --often x\n", "Dockerfile:2: RUN has no flag --often"},
      {"FROM base\nENV\n", "Dockerfile:2: ENV needs"},
      {"FROM base\nCOPY --chmod=999 Dockerfile /\n", "Dockerfile:2: --chmod"},
      {"FROM base\nCOPY Dockerfile /etc/passwd/x\n", "Dockerfile:2:"},
  };
  for (const auto& item : kCases) {
    const auto result = build(item.text);
    EXPECT_NE(message(result).find(item.part), std::string::npos) << item.text << "→ " << message(result);
  }
  EXPECT_EQ(sys::list_directory(folder_ / "root/tmp")->size(), 0U);
  EXPECT_EQ(sys::list_directory(folder_ / "root/build/locks")->size(), 0U);
}

TEST_F(BuilderTest, ReproducibleWithSourceDateEpoch) {
  request_.build.args = {{"SOURCE_DATE_EPOCH", "1000000000"}};
  request_.no_cache = true;
  const std::string text = "FROM scratch\nCOPY --chown=1:1 Dockerfile /d/e/f\nWORKDIR /w\n";
  const image::Image first = built(text);
  EXPECT_EQ(first.config.created, "2001-09-09T01:46:40Z");
  EXPECT_EQ(built(text).id, first.id);
}

TEST_F(BuilderTest, BaseImagesOfTheStagesThatCount) {
  folder_.write("ctx/Dockerfile", "FROM a AS x\nFROM b AS y\nCOPY --from=c / /\nCOPY --from=x / /\nFROM d\n");
  request_.build.context = folder_ / "ctx";
  request_.build.target = "y";
  const auto images = base_images(request_);
  ASSERT_TRUE(images);
  EXPECT_EQ(*images, (std::vector<std::string>{"a", "b", "c"}));
}

TEST_F(BuilderTest, RemovedLayersAreBuiltAgain) {
  const std::string text = "FROM base\nRUN write /x\n";
  const image::Image image = built(text);
  ASSERT_TRUE(store_->prune({true, {}}));
  EXPECT_TRUE(sys::exists(image.layer_dirs[0])) << "the step cache keeps what it names";
  ASSERT_TRUE(sys::remove_tree(folder_ / "root/build/steps"));
  ASSERT_TRUE(store_->prune({true, {}}));
  EXPECT_FALSE(sys::exists(image.layer_dirs[0]));
}

TEST_F(BuilderTest, WhatTheCacheTakesUpIsCountedAndGoes) {
  EXPECT_EQ(cache_usage(*store_)->records, 0U);
  built("FROM base\nRUN --mount=type=cache,target=/c,id=k write /x\nRUN write /y\n");
  folder_.write("root/build/cache/" + sys::list_directory(folder_ / "root/build/cache")->at(0) + "/kept",
                std::string(1 << 20, 'x'));
  const auto usage = cache_usage(*store_);
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->records, 3U) << "two steps and what the first keeps";
  EXPECT_GE(usage->size, 1U << 20);
  ASSERT_TRUE(drop_cache(*store_));
  EXPECT_EQ(cache_usage(*store_)->records, 0U);
  EXPECT_EQ(cache_usage(*store_)->size, 0U);
}

}  // namespace
}  // namespace compose::build
