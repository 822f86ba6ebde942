#include "container/layered_tree.hpp"

#include <gmock/gmock.h>

#include "container/test_folder.hpp"

namespace compose::container {
namespace {

using testing::ElementsAre;

class LayeredTreeTest : public TestFolder {
 protected:
  LayeredTree open(std::vector<std::string> layers) const {
    for (auto& layer : layers) layer = path(layer);
    auto tree = LayeredTree::open(layers);
    EXPECT_TRUE(tree.ok());
    return std::move(tree).value();
  }
  static std::vector<std::string> names(const MergedDirectory& directory) {
    std::vector<std::string> result;
    const auto entries = directory.list();
    for (const auto& entry : *entries) result.push_back(entry.name);
    return result;
  }
  static std::string read(const LayeredTree& tree, const std::string& path) {
    const auto content = tree.read_file(path);
    if (!content.ok()) return "error: " + content.error().message();
    return content->value_or("(none)");
  }
};

TEST_F(LayeredTreeTest, UpperFilesCoverLowerOnesAndFoldersJoin) {
  file("low/etc/group", "old");
  file("low/etc/low", "l");
  file("top/etc/group", "new");
  file("top/etc/top", "t");
  const auto tree = open({"top", "low"});
  EXPECT_EQ(read(tree, "/etc/group"), "new");
  EXPECT_EQ(read(tree, "etc/low"), "l");
  EXPECT_EQ(read(tree, "/etc/none"), "(none)");
  EXPECT_EQ(read(tree, "/etc"), "(none)");
  EXPECT_EQ(read(tree, "/etc/group/x"), "(none)");
  const auto etc = tree.directory("/etc");
  EXPECT_THAT(names(**etc), ElementsAre("group", "low", "top"));
}

TEST_F(LayeredTreeTest, WhiteoutsAndOpaqueFoldersHideWhatIsBelow) {
  COMPOSE_NEEDS_ROOT;
  file("low/a/gone", "x");
  file("low/b/gone", "x");
  directory("top/a");
  whiteout("top/a/gone");
  directory("top/b");
  file("top/b/new", "n");
  opaque("top/b");
  file("low/c/in", "x");
  whiteout("top/c");
  const auto tree = open({"top", "low"});
  EXPECT_EQ(read(tree, "/a/gone"), "(none)");
  EXPECT_EQ(read(tree, "/b/gone"), "(none)");
  EXPECT_EQ(read(tree, "/b/new"), "n");
  EXPECT_FALSE(tree.directory("/c")->has_value());
  EXPECT_THAT(names(**tree.directory("/b")), ElementsAre("new"));
  EXPECT_THAT(names(tree.root()), ElementsAre("a", "b"));
}

TEST_F(LayeredTreeTest, LinksAreFollowedAcrossLayersAndNeverOut) {
  file("low/usr/data/f", "inside");
  link("top/data", "/usr/data");
  link("top/up", "../../../../usr");
  link("top/etc/passwd", "/../../etc/shadow");
  link("top/loop", "loop");
  const auto tree = open({"top", "low"});
  EXPECT_EQ(read(tree, "/data/f"), "inside");
  EXPECT_EQ(read(tree, "/up/data/f"), "inside");
  EXPECT_EQ(read(tree, "/etc/passwd"), "(none)");
  EXPECT_THAT(read(tree, "/loop/x"), testing::HasSubstr("Too many levels of symbolic links"));
}

TEST_F(LayeredTreeTest, CopyKeepsOwnersModesTimesLinksAndAttributes) {
  COMPOSE_NEEDS_ROOT;
  directory("low/data", 01770, 33);
  file("low/data/sub/plain", "one", 0640, 33);
  ASSERT_EQ(::link(path("low/data/sub/plain").c_str(), path("low/data/hard").c_str()), 0);
  link("low/data/soft", "/etc/passwd");
  file("low/data/suid", "s", 04755);
  ASSERT_EQ(::setxattr(path("low/data/suid").c_str(), "trusted.mine", "v", 1, 0), 0);
  ASSERT_EQ(::mkfifo(path("low/data/pipe").c_str(), 0600), 0);
  file("top/data/sub/upper", "two");
  directory("top/data", 01770, 33);
  const struct timespec times[2] = {{1000, 0}, {2000, 5}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path("low/data/suid").c_str(), times, 0), 0);
  directory("out");

  const auto tree = open({"top", "low"});
  const UniqueFd out{::open(path("out").c_str(), O_RDONLY | O_DIRECTORY)};
  const auto copied = copy_tree(**tree.directory("/data"), out.get());
  ASSERT_TRUE(copied.ok()) << copied.error().message();

  EXPECT_EQ(content("out/sub/plain"), "one");
  EXPECT_EQ(content("out/sub/upper"), "two");
  EXPECT_EQ(info("out/sub/plain").st_uid, 33U);
  EXPECT_EQ(info("out/sub/plain").st_mode & 07777U, 0640U);
  EXPECT_EQ(info("out/sub/plain").st_ino, info("out/hard").st_ino);
  EXPECT_EQ(std::filesystem::read_symlink(path("out/soft")), "/etc/passwd");
  EXPECT_EQ(info("out/suid").st_mode & 07777U, 04755U);
  EXPECT_EQ(info("out/suid").st_mtim.tv_sec, 2000);
  EXPECT_TRUE(S_ISFIFO(info("out/pipe").st_mode));
  EXPECT_EQ(info("out").st_uid, 33U);
  EXPECT_EQ(info("out").st_mode & 07777U, 01770U);
  char value = 0;
  EXPECT_EQ(::getxattr(path("out/suid").c_str(), "trusted.mine", &value, 1), 1);
}

TEST_F(LayeredTreeTest, AnImageWithoutLayersIsAnError) { EXPECT_FALSE(LayeredTree::open({}).ok()); }

}  // namespace
}  // namespace compose::container
