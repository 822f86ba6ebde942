#include "build/content_hashes.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>

#include "base/sha256.hpp"
#include "image/testing/tar_builder.hpp"
#include "sys/file.hpp"

namespace compose::build {
namespace {

using image::testing::TempFolder;

class ContentHashesTest : public ::testing::Test {
 protected:
  /// A file whose mtime is long ago. Its ctime is now, as always after a change.
  std::string file(const std::string& name, const std::string& text) {
    const std::string path = folder_.write(name, text);
    const timespec times[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
    EXPECT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    return path;
  }
  static struct stat status(const std::string& path) {
    struct stat result {};
    EXPECT_EQ(::lstat(path.c_str(), &result), 0);
    return result;
  }
  TempFolder folder_;
};

TEST_F(ContentHashesTest, GivesTheDigestOfTheContent) {
  ContentHashes hashes{folder_ / "hashes"};
  const std::string path = file("a", "content");
  EXPECT_EQ(*hashes.digest(path, status(path)), sha256_hex("content"));
}

TEST_F(ContentHashesTest, AFileThatHasJustChangedIsReadAgain) {
  // An edit in the same tick of the clock would leave the same times: nothing so young is remembered.
  ContentHashes hashes{folder_ / "hashes"};
  const std::string path = file("a", "one");
  EXPECT_EQ(*hashes.digest(path, status(path)), sha256_hex("one"));
  file("a", "two");
  EXPECT_EQ(*hashes.digest(path, status(path)), sha256_hex("two"));
  EXPECT_EQ(hashes.files_read(), 2U);
}

TEST_F(ContentHashesTest, SettledFilesAreNotReadAgain) {
  // /bin/sh has not changed for more than two seconds.
  const std::string path = "/proc/self/exe";
  char real[4096] = {};
  ASSERT_GT(::readlink(path.c_str(), real, sizeof real - 1), 0);
  if (::time(nullptr) - status(real).st_ctim.tv_sec < 5) GTEST_SKIP() << "this program was built just now";
  std::string first;
  {
    ContentHashes hashes{folder_ / "hashes"};
    first = *hashes.digest(real, status(real));
    EXPECT_EQ(hashes.files_read(), 1U);
    ASSERT_TRUE(hashes.save());
  }
  ContentHashes again{folder_ / "hashes"};
  EXPECT_EQ(*again.digest(real, status(real)), first);
  EXPECT_EQ(again.files_read(), 0U);
}

TEST_F(ContentHashesTest, ADamagedFileIsAnEmptyOne) {
  folder_.write("hashes", "compose content hashes 1\n" + std::string(64, '0') + std::string(88, 'x'));
  ContentHashes hashes{folder_ / "hashes"};
  const std::string path = file("a", "content");
  EXPECT_EQ(*hashes.digest(path, status(path)), sha256_hex("content"));
}

}  // namespace
}  // namespace compose::build
