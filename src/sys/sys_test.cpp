#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "sys/file.hpp"
#include "sys/lock.hpp"
#include "sys/message.hpp"
#include "sys/process.hpp"
#include "sys/staged_file.hpp"

namespace compose::sys {
namespace {

class SysTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/compose-sys-XXXXXX";
    root_ = ::mkdtemp(pattern);
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(root_)); }
  std::string root_;
};

TEST_F(SysTest, AStagedFileIsNothingUntilItIsCommitted) {
  ASSERT_TRUE(write_file_atomic(root_ + "/a", "one"));
  {
    auto dropped = StagedFile::write(root_ + "/a", "two");
    ASSERT_TRUE(dropped) << dropped.error().message();
    EXPECT_EQ(list_directory(root_).value().size(), 2U);
  }
  EXPECT_EQ(list_directory(root_).value(), std::vector<std::string>{"a"});
  EXPECT_EQ(read_file(root_ + "/a").value(), "one");
  auto staged = StagedFile::write(root_ + "/a", "three");
  ASSERT_TRUE(staged);
  StagedFile moved = *std::move(staged);
  ASSERT_TRUE(moved.commit());
  EXPECT_EQ(read_file(root_ + "/a").value(), "three");
  EXPECT_EQ(list_directory(root_).value(), std::vector<std::string>{"a"});
}

TEST_F(SysTest, WritesAtomicallyAndReadsBack) {
  ASSERT_TRUE(write_file_atomic(root_ + "/a", "one"));
  ASSERT_TRUE(write_file_atomic(root_ + "/a", "two", 0600, Durability::durable));
  EXPECT_EQ(*read_file(root_ + "/a"), "two");
  EXPECT_EQ(list_directory(root_)->size(), 1U);  // no temporary file is left
}

TEST_F(SysTest, ReadingIsBounded) {
  const auto endless = read_file("/dev/zero", 1000);
  ASSERT_FALSE(endless);
  EXPECT_EQ(endless.error().message(), "read /dev/zero: larger than 1000 bytes");
}

TEST_F(SysTest, RemoveTreeDoesNotFollowLinks) {
  ASSERT_TRUE(make_directories(root_ + "/keep/x"));
  ASSERT_TRUE(make_directories(root_ + "/tree/y/z"));
  ASSERT_EQ(::symlink((root_ + "/keep").c_str(), (root_ + "/tree/link").c_str()), 0);
  ASSERT_TRUE(remove_tree(root_ + "/tree"));
  EXPECT_FALSE(exists(root_ + "/tree"));
  EXPECT_TRUE(exists(root_ + "/keep/x"));
  EXPECT_TRUE(remove_tree(root_ + "/tree"));
}

TEST_F(SysTest, SecondLockIsRefusedUntilTheFirstIsGone) {
  {
    auto first = FileLock::acquire(root_ + "/lock");
    ASSERT_TRUE(first);
    EXPECT_FALSE(FileLock::try_acquire(root_ + "/lock")->has_value());
  }
  EXPECT_TRUE(FileLock::try_acquire(root_ + "/lock")->has_value());
}

TEST_F(SysTest, MessagesCarryDescriptors) {
  auto pair = seqpacket_pair();
  ASSERT_TRUE(pair);
  const UniqueFd file{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  const int fds[] = {file.get()};
  ASSERT_TRUE(send_message(pair->first.get(), "hello", fds));
  auto message = receive_message(pair->second.get());
  ASSERT_TRUE(message);
  EXPECT_EQ(message->data, "hello");
  ASSERT_EQ(message->fds.size(), 1U);
  EXPECT_EQ(::fcntl(message->fds[0].get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(SysTest, LongSocketPathsWork) {
  const std::string folder = root_ + "/" + std::string(120, 'd');
  ASSERT_TRUE(make_directories(folder));
  auto listener = listen_unix(folder + "/s", SOCK_STREAM);
  ASSERT_TRUE(listener) << listener.error().message();
  EXPECT_TRUE(connect_unix(folder + "/s", SOCK_STREAM));
}

TEST_F(SysTest, SpawnPassesExactlyTheChosenDescriptors) {
  const UniqueFd out{::open((root_ + "/out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
  const UniqueFd leaked{::open("/dev/null", O_RDONLY)};
  SpawnOptions options;
  options.program = "/bin/sh";
  options.arguments = {"sh", "-c", "ls /proc/$$/fd; exit 7"};
  options.fds = {{out.get(), 1}, {out.get(), 5}};
  auto child = spawn(options);
  ASSERT_TRUE(child) << child.error().message();
  EXPECT_EQ(wait_child(child->pid)->code, 7);
  const std::string listing = *read_file(root_ + "/out");
  EXPECT_NE(listing.find("5\n"), std::string::npos);
  EXPECT_EQ(listing.find("3\n"), std::string::npos) << listing;
  EXPECT_EQ(listing.find("4\n"), std::string::npos) << listing;
}

TEST_F(SysTest, SpawnReportsAMissingProgram) {
  SpawnOptions options;
  options.program = "/nowhere/x";
  options.arguments = {"x"};
  EXPECT_EQ(spawn(options).error().message(), "run /nowhere/x: No such file or directory");
}

TEST_F(SysTest, StartTimeNamesAProcess) {
  EXPECT_GT(process_start_time(::getpid()), 0U);
  EXPECT_EQ(process_start_time(0), 0U);
}

}  // namespace
}  // namespace compose::sys
