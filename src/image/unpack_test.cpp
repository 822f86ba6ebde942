// Tars to layers: what comes out, what hostile ones cannot do, and that every tar comes back byte for byte.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/sha256.hpp"
#include "image/layer_tar.hpp"
#include "image/testing/tar_builder.hpp"
#include "sys/file.hpp"

namespace compose::image {
namespace {

using testing::describe_tree;
using testing::tar;
using testing::TarItem;
using testing::TempFolder;

std::string sha256_prefix(const std::string& content) { return sha256_hex(content).substr(0, 8); }

class Unpack : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "owners, devices and overlayfs's marks need root";
    // What lies beside the layer must never change.
    canary_.write("outside/passwd", "untouched");
    canary_.write("outside/dir/file", "untouched");
    ::symlink("/etc", (canary_ / "outside/link").c_str());
    before_ = describe_tree(canary_ / "outside");
  }
  void TearDown() override {
    if (!before_.empty()) {
      EXPECT_EQ(describe_tree(canary_ / "outside"), before_);
    }
  }

  Result<void> unpack(const std::string& bytes, std::vector<std::string> below = {}) {
    folder_ = canary_ / ("layer" + std::to_string(count_++));
    Result<LayerWriter> writer = LayerWriter::create(folder_, MergedView{std::move(below)});
    if (!writer) return writer.error();
    const ByteReaderPtr input = read_memory(bytes);
    return unpack_tar(*input, *writer, folder_ + "/headers.zst", UnpackLimits{});
  }
  std::string diff() const { return folder_ + "/diff"; }
  std::string replayed() const {
    std::string bytes;
    const Result<void> result = replay_tar(folder_, folder_ + "/headers.zst", [&](std::string_view part) {
      bytes += part;
      return Result<void>{};
    });
    EXPECT_TRUE(result) << result.error().message();
    return bytes;
  }
  void expect_refused(const std::vector<TarItem>& items, const std::string& why) {
    const Result<void> result = unpack(tar(items));
    ASSERT_FALSE(result) << why;
  }

  TempFolder canary_;
  std::string before_;
  std::string folder_;
  int count_ = 0;
};

TEST_F(Unpack, KeepsEverythingAnEntrySays) {
  const std::string bytes = tar({{"./", '5', "", "", 0755},
                                 {"bin/", '5', "", "", 0700, 5, 6},
                                 {"bin/su", '0', "program", "", 04755},
                                 {"bin/link", '2', "", "su"},
                                 {"bin/same", '1', "", "bin/su"},
                                 {"fifo", '6'},
                                 {"null", '3', "", "", 0666, 0, 0, 0, 1, 3},
                                 {"user", '0', "x", "", 0600, 1000, 1001, 1'234'567'890}});
  ASSERT_TRUE(unpack(bytes));
  EXPECT_EQ(describe_tree(diff()),
            "bin 40700 5:6 \n"
            "bin/link 120777 0:0 su\n"
            "bin/same 104755 0:0 " +
                sha256_prefix("program") +
                "\n"
                "bin/su 104755 0:0 " +
                sha256_prefix("program") +
                "\n"
                "fifo 10644 0:0 \n"
                "null 20666 0:0 1:3\n"
                "user 100600 1000:1001 " +
                sha256_prefix("x") + "\n");
  struct stat status{};
  ASSERT_EQ(::stat((diff() + "/user").c_str(), &status), 0);
  EXPECT_EQ(status.st_mtime, 1'234'567'890);
  EXPECT_EQ(replayed(), bytes);
}

TEST_F(Unpack, LongNamesAndAttributesOfPaxHeaders) {
  const std::string name = std::string(120, 'd') + "/" + std::string(200, 'f');
  TarItem item{"short", '0', "content"};
  item.pax = {{"path", name}, {"mtime", "1600000000.25"}, {"uid", "3000000"}, {"SCHILY.xattr.user.note", "hi"}};
  const std::string bytes = tar({item});
  ASSERT_TRUE(unpack(bytes));
  struct stat status{};
  ASSERT_EQ(::stat((diff() + "/" + name).c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 3000000U);
  EXPECT_EQ(status.st_mtim.tv_nsec, 250'000'000);
  char value[8] = {};
  EXPECT_EQ(::lgetxattr((diff() + "/" + name).c_str(), "user.note", value, sizeof value), 2);
  EXPECT_EQ(replayed(), bytes);
}

TEST_F(Unpack, MarksOfOverlayfsInAnArchiveAreNotTaken) {
  TarItem item{"dir/", '5'};
  item.pax = {{"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
              {"SCHILY.xattr.trusted.overlay.opaque", "y"},
              {"SCHILY.xattr.user.overlay.redirect", "/etc"},
              {"SCHILY.xattr.security.selinux", "x"}};
  ASSERT_TRUE(unpack(tar({item})));
  EXPECT_EQ(::llistxattr((diff() + "/dir").c_str(), nullptr, 0), 0);
}

TEST_F(Unpack, TheLastOfSeveralEntriesCountsAndTheTarStillComesBack) {
  const std::string bytes = tar({{"a", '0', "first"},
                                 {"d/", '5'},
                                 {"d/x", '0', "in a folder"},
                                 {"a", '0', "second"},
                                 {"d", '0', "now a file"},
                                 {"a", '2', "", "d"}});
  ASSERT_TRUE(unpack(bytes));
  EXPECT_EQ(*sys::read_file(diff() + "/d"), "now a file");
  EXPECT_EQ(replayed(), bytes);
}

TEST_F(Unpack, WhiteoutsBecomeMarksOfOverlayfs) {
  ASSERT_TRUE(unpack(tar({{"a/", '5'}, {"a/x", '0', "1"}, {"b/", '5'}, {"b/y", '0', "2"}, {"c", '0', "3"}})));
  const std::string below = diff();
  const std::string bytes =
      tar({{"a/", '5'}, {"a/.wh..wh..opq"}, {"a/new", '0', "n"}, {"b/.wh.y"}, {".wh.c"}, {".wh.nothing"}});
  ASSERT_TRUE(unpack(bytes, {below}));
  const MergedView merged{{diff(), below}};
  EXPECT_EQ(*merged.list(""), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(*merged.list("a"), std::vector<std::string>{"new"});
  EXPECT_TRUE(merged.list("b")->empty());
  EXPECT_FALSE(*merged.lookup("c"));
  EXPECT_FALSE(sys::exists(diff() + "/nothing")) << "a whiteout of nothing would show up in listings";
  EXPECT_EQ(replayed(), bytes);
}

TEST_F(Unpack, WhiteoutAndEntryOfTheSameLayer) {
  ASSERT_TRUE(unpack(tar({{"d/", '5'}, {"d/old", '0', "1"}, {"f", '0', "1"}})));
  const std::string below = diff();
  ASSERT_TRUE(unpack(tar({{".wh.d"}, {"d/", '5'}, {"d/new", '0', "2"}, {"f", '0', "2"}, {".wh.f"}}), {below}));
  const MergedView merged{{diff(), below}};
  EXPECT_EQ(*merged.list("d"), std::vector<std::string>{"new"});
  EXPECT_EQ(**merged.read_file("f", 10), "2") << "a whiteout hides only what is below";
}

TEST_F(Unpack, ParentsThatTheArchiveLeavesOutKeepTheirAttributes) {
  ASSERT_TRUE(unpack(tar({{"var/", '5', "", "", 0711, 7, 8}, {"lib", '2', "", "usr/lib"}, {"usr/lib/", '5'}})));
  const std::string below = diff();
  ASSERT_TRUE(unpack(tar({{"var/log/x", '0', "1"}, {"lib/y", '0', "2"}}), {below}));
  struct stat status{};
  ASSERT_EQ(::stat((diff() + "/var").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0711U);
  EXPECT_EQ(status.st_uid, 7U);
  EXPECT_TRUE(sys::exists(diff() + "/usr/lib/y")) << "a link of a lower layer is followed, not replaced";
}

TEST_F(Unpack, HardLinkToALowerLayerCopiesTheFile) {
  ASSERT_TRUE(unpack(tar({{"bin/a", '0', "tool", "", 0755, 3, 4}})));
  const std::string below = diff();
  ASSERT_TRUE(unpack(tar({{"bin/b", '1', "", "bin/a"}}), {below}));
  EXPECT_EQ(describe_tree(diff()), "bin 40755 0:0 \nbin/a 100755 3:4 " + sha256_prefix("tool") + "\nbin/b 100755 3:4 " +
                                       sha256_prefix("tool") + "\n");
}

// Hostile archives: SetUp's canary beside the layer shows that nothing got out.

TEST_F(Unpack, NamesThatClimbOutAreRefused) {
  expect_refused({{"../evil", '0', "x"}}, "..");
  expect_refused({{"a/../../evil", '0', "x"}}, ".. inside");
  expect_refused({{"..", '5'}}, "only ..");
  expect_refused({{"a/..", '2', "", "x"}}, "link named ..");
}

TEST_F(Unpack, AbsoluteNamesStayInside) {
  ASSERT_TRUE(unpack(tar({{"/etc/cron.d/evil", '0', "x"}, {"//tmp//y", '0', "y"}})));
  EXPECT_TRUE(sys::exists(diff() + "/etc/cron.d/evil"));
  EXPECT_TRUE(sys::exists(diff() + "/tmp/y"));
}

TEST_F(Unpack, LinksAreFollowedInsideOnly) {
  const std::string outside = canary_ / "outside";
  ASSERT_TRUE(unpack(tar({{"abs", '2', "", outside}, {"abs/passwd", '0', "evil"}, {"abs/dir/file", '0', "evil"}})));
  EXPECT_EQ(*sys::read_file(diff() + outside + "/passwd"), "evil") << "inside, where the link points in the image";
  ASSERT_TRUE(unpack(tar({{"rel", '2', "", "../../../outside"}, {"rel/passwd", '0', "evil"}})));
  EXPECT_TRUE(sys::exists(diff() + "/outside/passwd"));
  ASSERT_TRUE(unpack(tar({{"a", '2', "", "b"}, {"b", '2', "", ".."}, {"a/x", '0', "evil"}})));
  expect_refused({{"loop", '2', "", "loop2"}, {"loop2", '2', "", "loop"}, {"loop/x", '0', "x"}}, "a loop of links");
}

TEST_F(Unpack, WritingThroughALinkReplacesTheLink) {
  const std::string outside = canary_ / "outside/passwd";
  ASSERT_TRUE(unpack(tar({{"x", '2', "", outside}, {"x", '0', "evil"}})));
  EXPECT_EQ(*sys::read_file(diff() + "/x"), "evil");
  ASSERT_TRUE(unpack(tar({{"d", '2', "", canary_ / "outside/dir"}, {"d/", '5', "", "", 0777}})));
}

TEST_F(Unpack, HardLinksOutAreRefused) {
  expect_refused({{"x", '1', "", "../../outside/passwd"}}, "..");
  expect_refused({{"x", '1', "", canary_ / "outside/passwd"}}, "an absolute name means one in the image");
  expect_refused({{"l", '2', "", canary_ / "outside"}, {"x", '1', "", "l/passwd"}}, "through a link");
  expect_refused({{"d/", '5'}, {"x", '1', "", "d"}}, "to a directory");
  expect_refused({{"x", '1', "", "x"}}, "to itself");
  expect_refused({{"x", '1', "", ""}}, "to nothing");
}

TEST_F(Unpack, HardLinkToALinkLinksTheLinkItself) {
  const std::string bytes = tar({{"l", '2', "", canary_ / "outside/passwd"}, {"h", '1', "", "l"}, {"h", '0', "evil"}});
  ASSERT_TRUE(unpack(bytes));
}

TEST_F(Unpack, MalformedWhiteoutsAreRefused) {
  expect_refused({{".wh."}}, "of nothing");
  expect_refused({{".wh.."}}, "of .");
  expect_refused({{".wh..."}}, "of ..");
  expect_refused({{"a/.wh..."}}, "of .. in a folder");
  expect_refused({{"../.wh.x"}}, "outside");
  expect_refused({{"x", '3', "", "", 0644, 0, 0, 0, 0, 0}}, "a device that overlayfs takes for a whiteout");
}

TEST_F(Unpack, TheRootStaysADirectory) {
  expect_refused({{"./", '2', "", "/etc"}}, "a link");
  expect_refused({{".", '0', "x"}}, "a file");
  expect_refused({{"", '0', "x"}}, "an empty name");
  expect_refused({{"/", '1', "", "x"}}, "a hard link");
}

TEST_F(Unpack, FilesAreNotDirectories) { expect_refused({{"f", '0', "x"}, {"f/g", '0', "y"}}, "a file as a folder"); }

TEST_F(Unpack, DamagedArchivesAreErrors) {
  const std::string good = tar({{"a", '0', std::string(2000, 'x')}, {"b", '0', "y"}});
  for (const std::size_t size : {std::size_t{100}, std::size_t{700}, std::size_t{2700}, std::size_t{3000}}) {
    EXPECT_FALSE(unpack(good.substr(0, size))) << size;
  }
  std::string wrong_sum = good;
  wrong_sum[0] = 'z';
  EXPECT_FALSE(unpack(wrong_sum));
  std::string huge = good;
  huge.replace(124, 12, "77777777777\0");
  testing::fix_checksum(huge, 0);
  EXPECT_FALSE(unpack(huge));
  std::string unknown = good;
  unknown[156] = 'Q';
  testing::fix_checksum(unknown, 0);
  EXPECT_FALSE(unpack(unknown));
}

TEST_F(Unpack, LimitsStopBombs) {
  const std::string bytes = tar({{"a", '0', std::string(100'000, 'x')}, {"b"}, {"c"}});
  const auto with = [&](const UnpackLimits& limits) {
    folder_ = canary_ / ("bomb" + std::to_string(count_++));
    Result<LayerWriter> writer = LayerWriter::create(folder_, MergedView{});
    const ByteReaderPtr input = read_memory(bytes);
    return unpack_tar(*input, *writer, "", limits).ok();
  };
  EXPECT_FALSE(with({.bytes = 99'999}));
  EXPECT_FALSE(with({.entries = 2}));
  EXPECT_TRUE(with({.bytes = 100'000, .entries = 3}));
}

TEST_F(Unpack, SparseFilesKeepTheirHoles) {
  // GNU's pax format 1.0: the map stands in front of the data.
  std::string map = "1\n1048576\n5\n";
  map.resize(512, '\0');
  TarItem item{"GNUSparseFile.0/big", '0', map + "hello"};
  item.pax = {{"GNU.sparse.major", "1"},
              {"GNU.sparse.minor", "0"},
              {"GNU.sparse.name", "big"},
              {"GNU.sparse.realsize", "1073741824"}};
  const std::string bytes = tar({item});
  ASSERT_TRUE(unpack(bytes));
  struct stat status{};
  ASSERT_EQ(::stat((diff() + "/big").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 1 << 30);
  EXPECT_LT(status.st_blocks * 512, 1 << 20);
  EXPECT_EQ(replayed(), bytes);
}

TEST_F(Unpack, SparseMapsThatDoNotFitAreRefused) {
  for (const char* numbers : {"1\n100\n999999\n", "2\n10\n5\n3\n5\n", "99999999\n", "1\n-5\n2\n", "x\n"}) {
    std::string map = numbers;
    map.resize(512, '\0');
    TarItem item{"x", '0', map + "hello"};
    item.pax = {{"GNU.sparse.major", "1"}, {"GNU.sparse.name", "x"}, {"GNU.sparse.realsize", "1000"}};
    EXPECT_FALSE(unpack(tar({item}))) << numbers;
  }
}

TEST_F(Unpack, CanonicalTarUnpacksToTheSameTreeAndTar) {
  const std::string long_name = std::string(60, 'a') + "/" + std::string(130, 'b');
  ASSERT_TRUE(unpack(tar({{"z", '0', "z"},
                          {"d/", '5', "", "", 01777},
                          {"d/l", '2', "", std::string(150, 't')},
                          {"d/h", '1', "", "z"},
                          {long_name, '0', "long"},
                          {"d/c", '4', "", "", 0600, 1, 2, 0, 8, 17}})));
  const std::string tree = describe_tree(diff());
  const auto canonical = [&](const std::string& folder) {
    std::string bytes;
    const Result<TarSummary> summary = write_canonical_tar(folder, [&](std::string_view part) {
      bytes += part;
      return Result<void>{};
    });
    EXPECT_TRUE(summary);
    return bytes;
  };
  const std::string bytes = canonical(diff());
  ASSERT_TRUE(unpack(bytes));
  EXPECT_EQ(describe_tree(diff()), tree);
  EXPECT_EQ(canonical(diff()), bytes);
}

TEST_F(Unpack, CanonicalTarKeepsWhiteoutsAndOpaqueFolders) {
  ASSERT_TRUE(unpack(tar({{"a/", '5'}, {"a/x", '0', "1"}, {"b", '0', "2"}})));
  const std::string below = diff();
  ASSERT_TRUE(unpack(tar({{"a/", '5'}, {"a/.wh..wh..opq"}, {"a/new", '0', "3"}, {".wh.b"}}), {below}));
  const std::string tree = describe_tree(diff());
  std::string bytes;
  ASSERT_TRUE(write_canonical_tar(diff(), [&](std::string_view part) {
    bytes += part;
    return Result<void>{};
  }));
  ASSERT_TRUE(unpack(bytes, {below}));
  EXPECT_EQ(describe_tree(diff()), tree);
  EXPECT_NE(tree.find("a 40644 0:0 opaque"), std::string::npos) << tree;
}

}  // namespace
}  // namespace compose::image
