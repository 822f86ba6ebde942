// Filters as the kernel sees them, in a process that ends with them.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/security/seccomp.hpp"

#ifdef __SANITIZE_ADDRESS__
#define COMPOSE_SKIP_SANITIZED GTEST_SKIP() << "the sanitizer makes calls of its own, which the filter refuses"
#else
#define COMPOSE_SKIP_SANITIZED static_cast<void>(0)
#endif

namespace compose::runtime::security {
namespace {

/// What the call comes to under the filter: 0, or errno; -1 when no filter can be loaded.
int under(const spec::Seccomp& profile, long number) {
  const auto filter = compile_seccomp(profile, "");
  if (!filter.ok()) return -1;
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !load_seccomp(filter->program, filter->flags).ok()) ::_exit(255);
    ::_exit(::syscall(number, 0, 0, 0, 0, 0, 0) >= 0 ? 0 : errno);
  }
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) == 255) return -1;
  return WEXITSTATUS(status);
}

constexpr long kNeverACall = 1000;

spec::Seccomp profile(const std::string& default_action) {
  spec::Seccomp result;
  result.default_action = default_action;
  result.syscalls.push_back({{"exit_group", "getppid", "openat2"}, "SCMP_ACT_ALLOW", {}, {}});
  return result;
}

TEST(Seccomp, CallsNewerThanTheProfileAreNotThere) {
  COMPOSE_SKIP_SANITIZED;
  const spec::Seccomp strict = profile("SCMP_ACT_ERRNO");
  EXPECT_EQ(under(strict, SYS_getppid), 0);
  EXPECT_EQ(under(strict, SYS_getuid), EPERM);
  EXPECT_EQ(under(strict, SYS_openat2), EINVAL) << "the newest it names";
  EXPECT_EQ(under(strict, SYS_pidfd_getfd), ENOSYS);
  EXPECT_EQ(under(strict, kNeverACall), ENOSYS);
  spec::Seccomp number_given = strict;
  number_given.default_errno_ret = ENXIO;
  EXPECT_EQ(under(number_given, SYS_getuid), ENXIO);
  EXPECT_EQ(under(number_given, kNeverACall), ENOSYS);
}

TEST(Seccomp, AnArchitectureMoreChangesNothingForTheOthers) {
  COMPOSE_SKIP_SANITIZED;
  spec::Seccomp strict = profile("SCMP_ACT_ERRNO");
  strict.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"};
  EXPECT_EQ(under(strict, SYS_getppid), 0);
  EXPECT_EQ(under(strict, SYS_getuid), EPERM);
  EXPECT_EQ(under(strict, kNeverACall), ENOSYS);
#ifdef __x86_64__
  constexpr long kX32 = 0x40000000;
  EXPECT_EQ(under(strict, kX32 | SYS_getuid), EPERM);
  EXPECT_EQ(under(strict, kX32 | kNeverACall), ENOSYS);
#endif
}

TEST(Seccomp, WhatLetsCallsThroughLetsNewOnesThrough) {
  spec::Seccomp lax = profile("SCMP_ACT_ALLOW");
  lax.syscalls[0] = {{"getuid"}, "SCMP_ACT_ERRNO", EACCES, {}};
  EXPECT_EQ(under(lax, SYS_getuid), EACCES);
  EXPECT_EQ(under(lax, SYS_pidfd_getfd), EBADF) << "the kernel's own answer";
}

}  // namespace
}  // namespace compose::runtime::security
