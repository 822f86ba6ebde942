// Apart from the compiler, so that the monitor does not link libseccomp.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/security/seccomp.hpp"

namespace compose::runtime::security {

Result<int> load_seccomp(const std::string& program, std::uint32_t flags) {
  // The text's buffer is aligned for sock_filter (8 bytes): it comes from operator new.
  const sock_fprog filter{
      static_cast<unsigned short>(program.size() / sizeof(sock_filter)),
      reinterpret_cast<sock_filter*>(const_cast<char*>(program.data()))};  // NOLINT: kernel interface
  const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
  if (result < 0) return os_error("load the seccomp filter");
  return (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0 ? static_cast<int>(result) : -1;
}

}  // namespace compose::runtime::security
