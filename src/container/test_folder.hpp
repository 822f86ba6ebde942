#pragma once
// A folder for one test, and small trees in it. Owners, nodes and trusted attributes need root: such tests begin with
// COMPOSE_NEEDS_ROOT.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "sys/file.hpp"

#define COMPOSE_NEEDS_ROOT \
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: files of other owners, device nodes, trusted.* attributes"

namespace compose::container {

class TestFolder : public testing::Test {
 protected:
  TestFolder() {
    std::string pattern = testing::TempDir() + "/container-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~TestFolder() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  void file(const std::string& name, const std::string& content, mode_t mode = 0644, uid_t uid = 0) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    ASSERT_TRUE(sys::write_file_atomic(path(name), content, mode).ok());
    ASSERT_EQ(uid == 0 ? 0 : ::chown(path(name).c_str(), uid, uid), 0);
    ASSERT_EQ(::chmod(path(name).c_str(), mode), 0);
  }
  void directory(const std::string& name, mode_t mode = 0755, uid_t uid = 0) const {
    std::filesystem::create_directories(path(name));
    ASSERT_EQ(uid == 0 ? 0 : ::chown(path(name).c_str(), uid, uid), 0);
    ASSERT_EQ(::chmod(path(name).c_str(), mode), 0);
  }
  void link(const std::string& name, const std::string& target) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    ASSERT_EQ(::symlink(target.c_str(), path(name).c_str()), 0);
  }
  void whiteout(const std::string& name) const {
    ASSERT_EQ(::mknod(path(name).c_str(), S_IFCHR | 0600, makedev(0, 0)), 0) << std::strerror(errno);
  }
  void opaque(const std::string& name) const {
    ASSERT_EQ(::setxattr(path(name).c_str(), "trusted.overlay.opaque", "y", 1, 0), 0) << std::strerror(errno);
  }
  std::string content(const std::string& name) const {
    auto read = sys::read_file(path(name));
    return read.ok() ? *read : "error: " + read.error().message();
  }
  struct stat info(const std::string& name) const {
    struct stat result{};
    EXPECT_EQ(::lstat(path(name).c_str(), &result), 0) << name;
    return result;
  }

  std::string folder_;
};

}  // namespace compose::container
