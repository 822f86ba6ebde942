// The rules of develop.watch, and what inotify tells of real folders.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/tree_watch.hpp"
#include "cli/watch_rules.hpp"

namespace compose::cli {
namespace {

namespace fs = std::filesystem;
using Paths = std::set<std::string>;

model::Project project_with(std::vector<model::WatchTrigger> triggers, bool built = false) {
  model::Project project;
  model::Service service;
  service.name = "web";
  service.watch = std::move(triggers);
  if (built) {
    service.build.emplace();
    service.build->context = "/p";
  }
  project.services["web"] = std::move(service);
  return project;
}

model::WatchTrigger trigger(std::string action, std::string path, std::string target = {}) {
  model::WatchTrigger made;
  made.action = std::move(action);
  made.path = std::move(path);
  made.target = std::move(target);
  return made;
}

std::vector<WatchRule> rules_of(const model::Project& project, const std::string& dockerignore = {}) {
  auto found = watch_rules(project, {}, [&](const model::Build&) { return dockerignore; });
  EXPECT_TRUE(found) << found.error().message();
  return found ? found->rules : std::vector<WatchRule>{};
}

TEST(WatchRules, MapPathsBelowAFolderAndOneFile) {
  const auto rules =
      rules_of(project_with({trigger("sync", "/p/src/", "/app/src/"), trigger("sync", "/p/a.conf", "/etc/a")}));
  const WatchBatch batch = plan_watch(rules, {"/p/src/x/y.js", "/p/src", "/p/a.conf", "/p/other", "/p/srcs/z"});
  const std::vector<SyncPath> expected = {
      {"/p/src", "/app/src"}, {"/p/src/x/y.js", "/app/src/x/y.js"}, {"/p/a.conf", "/etc/a"}};
  EXPECT_EQ(batch.sync.at("web"), expected);
}

TEST(WatchRules, LeaveOutWhatIsIgnoredAndEditorsFiles) {
  auto one = trigger("sync", "/p/src", "/app");
  one.ignore = {"node_modules/", "*.log"};
  const auto rules = rules_of(project_with({one}, true), "src/secret\n");
  const WatchBatch batch =
      plan_watch(rules, {"/p/src/node_modules/a/b", "/p/src/x.log", "/p/src/deep/x.log", "/p/src/secret",
                         "/p/src/.git/HEAD", "/p/src/.a.swp", "/p/src/a~", "/p/src/4913"});
  ASSERT_EQ(batch.sync.at("web").size(), 1U);  // "*.log" is of the folder itself, as in a .dockerignore
  EXPECT_EQ(batch.sync.at("web")[0].host, "/p/src/deep/x.log");
  EXPECT_TRUE(rules[0].prunes("/p/src/node_modules"));
  EXPECT_TRUE(rules[0].prunes("/p/elsewhere"));
  EXPECT_FALSE(rules[0].prunes("/p"));
  EXPECT_FALSE(rules[0].prunes("/p/src/lib"));
}

TEST(WatchRules, IncludeOnlyWhatIsAskedFor) {
  auto one = trigger("sync", "/p/src", "/app");
  one.include = {"**/*.ts"};
  const auto rules = rules_of(project_with({one}));
  EXPECT_TRUE(rules[0].matches("/p/src/a/b.ts"));
  EXPECT_FALSE(rules[0].matches("/p/src/a/b.js"));
}

TEST(WatchRules, ARebuildMakesTheOthersNeedless) {
  const auto rules = rules_of(
      project_with({trigger("sync+restart", "/p/src", "/app"), trigger("rebuild", "/p/src/package.json")}, true));
  EXPECT_EQ(plan_watch(rules, {"/p/src/a"}).restart, Paths{"web"});
  const WatchBatch batch = plan_watch(rules, {"/p/src/a", "/p/src/package.json"});
  EXPECT_EQ(batch.rebuild, Paths{"web"});
  EXPECT_TRUE(batch.sync.empty() && batch.restart.empty());
}

TEST(WatchRules, BindMountsAreNotWatched) {
  auto project = project_with({trigger("sync", "/p/src", "/app")});
  model::Mount mount;
  mount.type = "bind";
  mount.source = "/p";
  mount.target = "/x";
  project.services["web"].volumes = {mount};
  const auto found = watch_rules(project, {}, [](const model::Build&) { return std::string{}; });
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->rules.empty());
  ASSERT_EQ(found->warnings.size(), 1U);
  EXPECT_NE(found->warnings[0].find("bind mounted"), std::string::npos);
}

TEST(WatchRules, SayWhatIsWrong) {
  const auto message = [](const model::Project& project) {
    const auto found = watch_rules(project, {}, [](const model::Build&) { return std::string{}; });
    return found ? std::string{} : found.error().message();
  };
  EXPECT_NE(message(project_with({})).find("none of the selected services"), std::string::npos);
  EXPECT_NE(message(project_with({trigger("rebuild", "/p")})).find("build section"), std::string::npos);
  EXPECT_NE(message(project_with({trigger("sync", "/p")})).find("target"), std::string::npos);
  EXPECT_NE(message(project_with({trigger("sync+exec", "/p", "/q")})).find("exec.command"), std::string::npos);
}

class TreeWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tree-watch-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    top_ = name;
  }
  void TearDown() override { fs::remove_all(top_); }

  void write(const std::string& name) const {
    fs::create_directories(fs::path{top_ + "/" + name}.parent_path());
    std::ofstream{top_ + "/" + name} << "x";
  }
  std::string at(const std::string& name) const { return top_ + "/" + name; }

  static Paths changes(TreeWatch& watch) {
    pollfd polled{watch.fd(), POLLIN, 0};
    ::poll(&polled, 1, 5000);
    auto read = watch.read();
    EXPECT_TRUE(read);
    return read ? read->paths : Paths{};
  }
  static bool prune_none(const std::string&) { return false; }

  std::string top_;
};

TEST_F(TreeWatchTest, SeesFilesInFoldersThatAppear) {
  fs::create_directories(at("src"));
  auto watch = TreeWatch::open({at("src")}, prune_none);
  ASSERT_TRUE(watch) << watch.error().message();
  write("src/a/b/c");
  const Paths seen = changes(*watch);
  EXPECT_TRUE(seen.contains(at("src/a")) && seen.contains(at("src/a/b/c"))) << seen.size();
  write("src/a/b/later");
  EXPECT_TRUE(changes(*watch).contains(at("src/a/b/later")));
}

TEST_F(TreeWatchTest, FollowsAFolderThatIsMoved) {
  write("src/a/file");
  auto watch = TreeWatch::open({at("src")}, prune_none);
  ASSERT_TRUE(watch);
  fs::rename(at("src/a"), at("src/b"));
  const Paths seen = changes(*watch);
  EXPECT_TRUE(seen.contains(at("src/a")) && seen.contains(at("src/b")) && seen.contains(at("src/b/file")));
  write("src/b/more");
  EXPECT_EQ(changes(*watch), Paths{at("src/b/more")});
  fs::rename(at("src/b"), at("away"));  // out of what is followed
  EXPECT_EQ(changes(*watch), Paths{at("src/b")});
  write("away/x");
  write("src/end");
  EXPECT_EQ(changes(*watch), Paths{at("src/end")});
}

TEST_F(TreeWatchTest, AFileThatIsReplacedAndARootThatComesBack) {
  write("one.conf");
  write("beside");
  auto watch = TreeWatch::open({at("one.conf"), at("later")}, prune_none);
  ASSERT_TRUE(watch);
  write("new");
  fs::rename(at("new"), at("one.conf"));
  EXPECT_EQ(changes(*watch), Paths{at("one.conf")});
  write("later/x");
  EXPECT_TRUE(changes(*watch).contains(at("later/x")));
  fs::remove_all(at("later"));
  EXPECT_TRUE(changes(*watch).contains(at("later")));
  write("later/again");
  EXPECT_TRUE(changes(*watch).contains(at("later/again")));
}

TEST_F(TreeWatchTest, DoesNotFollowWhatIsPruned) {
  fs::create_directories(at("src/cache"));
  auto watch = TreeWatch::open({at("src")}, [&](const std::string& folder) { return folder == at("src/cache"); });
  ASSERT_TRUE(watch);
  write("src/cache/x");
  write("src/y");
  EXPECT_EQ(changes(*watch), Paths{at("src/y")});
  EXPECT_EQ(watch->everything(), (Paths{at("src"), at("src/cache"), at("src/y")}));
}

TEST_F(TreeWatchTest, AFolderThatIsMissingIsAnError) { EXPECT_FALSE(TreeWatch::open({at("no/where")}, prune_none)); }

}  // namespace
}  // namespace compose::cli
