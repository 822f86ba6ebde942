#include "base/error.hpp"

#include <cerrno>
#include <cstring>

namespace compose {

Errc errc_from_errno(int sys_errno) {
  switch (sys_errno) {
    case ENOENT:
    case ESRCH:
      return Errc::not_found;
    case EEXIST:
      return Errc::exists;
    case EBUSY:
    case EADDRINUSE:
    case EAGAIN:
      return Errc::busy;
    case EPERM:
    case EACCES:
    case EROFS:
      return Errc::permission;
    case EINVAL:
    case ENAMETOOLONG:
      return Errc::invalid;
    case ENOSYS:
    case EOPNOTSUPP:
    case ENODEV:
      return Errc::unsupported;
    case ETIMEDOUT:
      return Errc::timeout;
    case ECANCELED:
      return Errc::cancelled;
    default:
      return Errc::failed;
  }
}

Error os_error_from(int sys_errno, std::string message) {
  // GNU strerror_r: returns the text, and is safe with threads.
  char buffer[128];
  message += ": ";
  message += ::strerror_r(sys_errno, buffer, sizeof buffer);
  return Error{errc_from_errno(sys_errno), std::move(message), sys_errno};
}

}  // namespace compose
