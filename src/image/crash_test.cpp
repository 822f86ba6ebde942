// An import is killed at every one of its system calls; afterwards the store must be whole.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image/store.hpp"
#include "image/testing/tar_builder.hpp"
#include "sys/file.hpp"

namespace compose::image {
namespace {

using testing::tar;
using testing::TempFolder;

/// Runs `work` in a child that gets SIGKILL at its `limit`-th stop for a system call. True if it ended before.
bool run_and_kill(int limit, const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    work();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_EXITKILL);
  for (int stop = 0; stop < limit; ++stop) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    if (::waitpid(child, &status, 0) < 0 || WIFEXITED(status) || WIFSIGNALED(status)) return true;
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  return false;
}

TEST(StoreCrash, KilledAtAnySystemCallTheStoreStaysWhole) {
  if (::geteuid() != 0) GTEST_SKIP() << "layers keep the owners of their files, which needs root";
  const TempFolder folder;
  const std::string root = folder / "root";
  const std::string first = folder.write("first.tar", tar({{"f", '0', "first"}}));
  const std::string second =
      folder.write("second.tar", tar({{"d/", '5'}, {"d/g", '0', "second"}, {"l", '2', "", "d/g"}}));
  ASSERT_TRUE(Store::open(root)->import_rootfs(first, {"kept", {}, "", ""}));
  bool ended = false;
  for (int limit = 1; !ended && limit < 5000; limit += 5) {
    ended = run_and_kill(limit, [&] {
      Result<Store> store = Store::open(root);
      if (store) (void)store->import_rootfs(second, {"new", {}, "", ""});
    });
    Result<Store> store = Store::open(root);
    ASSERT_TRUE(store) << limit;
    const Result<std::vector<Image>> images = store->list();
    ASSERT_TRUE(images) << limit << ": " << images.error().message();
    ASSERT_GE(images->size(), 1U) << limit;
    for (const Image& image : *images) {
      const Result<void> saved = store->save({image.id}, folder / "out.tar");
      ASSERT_TRUE(saved) << limit << ": " << saved.error().message();
    }
    if (ended) break;
    ASSERT_TRUE(store->remove("kept", true).ok() && store->import_rootfs(first, {"kept", {}, "", ""}).ok()) << limit;
    (void)store->remove("new");
    ASSERT_TRUE(store->prune({})) << limit;
    ASSERT_TRUE(sys::list_directory(root + "/tmp")->empty()) << limit;
    ASSERT_EQ(sys::list_directory(root + "/layers")->size(), 1U) << limit;
    ASSERT_EQ(sys::list_directory(root + "/images/blobs/sha256")->size(), 2U) << limit;
    ASSERT_EQ(sys::list_directory(root + "/images")->size(), 5U)
        << limit << ": blobs index.json lock oci-layout use.lock";
  }
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace compose::image
