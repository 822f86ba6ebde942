#include "runtime/security/own_program.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "runtime/rootfs/mount_calls.hpp"
#include "sys/file.hpp"

namespace compose::runtime::security {

Result<UniqueFd> read_only_program(const std::string& program) {
  if (auto mount = rootfs::clone_mount(AT_FDCWD, program, false)) {
    if (rootfs::set_mount_attributes(mount->get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, 0, false)) return mount;
  }
  TRY_ASSIGN(const std::string bytes, sys::read_file(program));
  return sys::memfd_from("program", bytes);
}

bool runs_protected() {
  struct statvfs status{};
  if (::statvfs("/proc/self/exe", &status) == 0 && (status.f_flag & ST_RDONLY) != 0) return true;
  const UniqueFd self{::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};
  const int seals = ::fcntl(self.get(), F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_WRITE) != 0;
}

}  // namespace compose::runtime::security
