#include "runtime/rootfs/mount_calls.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/strings.hpp"

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

namespace compose::runtime::rootfs {

Result<NewFilesystem> NewFilesystem::open(const std::string& type) {
  UniqueFd fd{::fsopen(type.c_str(), FSOPEN_CLOEXEC)};
  if (!fd.valid()) {
    if (errno == ENODEV) return os_error_from(ENODEV, fmt::format("file system type \"{}\"", type));
    return os_error("fsopen {}", type);
  }
  return NewFilesystem{std::move(fd), type};
}

Error NewFilesystem::problem(const std::string& what) const {
  const int code = errno;
  std::string text(512, '\0');
  const ssize_t size = ::read(fd_.get(), text.data(), text.size());
  if (size > 2) {
    // "e tmpfs: Bad value for 'size'" (fsopen(2), "Message retrieval")
    text.resize(static_cast<std::size_t>(size));
    return Error{errc_from_errno(code), fmt::format("{}: {}", what, trim(std::string_view{text}.substr(2))), code};
  }
  return os_error_from(code, what);
}

Result<void> NewFilesystem::option(const std::string& word) {
  const auto equals = word.find('=');
  const int result =
      equals == std::string::npos
          ? ::fsconfig(fd_.get(), FSCONFIG_SET_FLAG, word.c_str(), nullptr, 0)
          : ::fsconfig(fd_.get(), FSCONFIG_SET_STRING, word.substr(0, equals).c_str(), word.c_str() + equals + 1, 0);
  if (result != 0) return problem(fmt::format("{} option \"{}\"", type_, word));
  return {};
}

Result<void> NewFilesystem::source(const std::string& source) {
  if (::fsconfig(fd_.get(), FSCONFIG_SET_STRING, "source", source.c_str(), 0) != 0) {
    return problem(fmt::format("{} source \"{}\"", type_, source));
  }
  return {};
}

Result<UniqueFd> NewFilesystem::mount(std::uint64_t attributes) {
  if (::fsconfig(fd_.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return problem(type_);
  UniqueFd fd{::fsmount(fd_.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes))};
  if (!fd.valid()) return problem(type_);
  return fd;
}

Result<UniqueFd> clone_mount(int directory, const std::string& path, bool recursive, bool no_follow) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  if (recursive) flags |= AT_RECURSIVE;
  if (no_follow) flags |= AT_SYMLINK_NOFOLLOW;
  if (path.empty()) flags |= AT_EMPTY_PATH;
  UniqueFd fd{::open_tree(directory, path.c_str(), flags)};
  if (!fd.valid()) return path.empty() ? os_error("copy the mount") : os_error("{}", path);
  return fd;
}

Result<void> set_mount_attributes(int mount, std::uint64_t set, std::uint64_t clear, bool recursive,
                                  std::uint64_t propagation) {
  mount_attr attributes{};
  attributes.propagation = propagation;
  attributes.attr_set = set;
  attributes.attr_clr = clear;
  const unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U);
  if (::mount_setattr(mount, "", flags, &attributes, sizeof attributes) != 0) return os_error("set mount flags");
  return {};
}

Result<void> set_mount_propagation(int mount, std::uint64_t flags) {
  mount_attr attributes{};
  attributes.propagation = flags & ~static_cast<std::uint64_t>(MS_REC);
  const unsigned where = AT_EMPTY_PATH | ((flags & MS_REC) != 0 ? AT_RECURSIVE : 0U);
  if (::mount_setattr(mount, "", where, &attributes, sizeof attributes) != 0) return os_error("set mount propagation");
  return {};
}

Result<void> attach_mount(int mount, int target) {
  if (::move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    return os_error("move_mount");
  }
  return {};
}

}  // namespace compose::runtime::rootfs
