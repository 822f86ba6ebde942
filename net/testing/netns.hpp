#pragma once
// Throw-away network namespaces for tests: made on a thread, alive as long as the object, entered by a thread, so the
// test process itself never leaves its own.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::net::testing {

class Netns {
 public:
  /// A new namespace with its loopback down, or an error without the right to make one.
  static Result<Netns> create() {
    UniqueFd fd;
    int failure = 0;
    std::thread{[&] {
      if (::unshare(CLONE_NEWNET) != 0) {
        failure = errno;
        return;
      }
      fd.reset(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
      if (!fd.valid()) failure = errno;
    }}.join();
    if (failure != 0) return os_error_from(failure, "make a network namespace");
    return Netns{std::move(fd)};
  }

  int fd() const { return fd_.get(); }

  /// Runs `work` in the namespace (on a thread of its own) and waits for it.
  void run(const std::function<void()>& work) const {
    std::thread{[&] {
      ASSERT_EQ(::setns(fd_.get(), CLONE_NEWNET), 0) << std::strerror(errno);
      work();
    }}.join();
  }

 private:
  explicit Netns(UniqueFd fd) : fd_{std::move(fd)} {}
  UniqueFd fd_;
};

}  // namespace compose::net::testing

/// Makes a namespace called `name`, or skips the test with the reason.
#define COMPOSE_NETNS(name)                                                               \
  auto name##_made = ::compose::net::testing::Netns::create();                            \
  if (!name##_made.ok()) GTEST_SKIP() << "needs root: " << name##_made.error().message(); \
  const ::compose::net::testing::Netns& name = *name##_made

#define COMPOSE_ASSERT_OK(expression)                                   \
  do {                                                                  \
    const auto& assert_result = (expression);                           \
    ASSERT_TRUE(assert_result.ok()) << assert_result.error().message(); \
  } while (false)
#define COMPOSE_EXPECT_OK(expression)                                   \
  do {                                                                  \
    const auto& expect_result = (expression);                           \
    EXPECT_TRUE(expect_result.ok()) << expect_result.error().message(); \
  } while (false)
