#include "runtime/rootfs/paths.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "base/strings.hpp"

namespace compose::runtime::rootfs {
namespace {

int openat2_retrying(int root, const std::string& path, std::uint64_t flags, std::uint64_t mode,
                     std::uint64_t resolve) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = resolve;
  const char* name = path.empty() || path == "/" ? "." : path.c_str();
  int fd = -1;
  // EAGAIN: somebody renamed a directory during the walk, so that the kernel could not vouch for "..".
  for (int attempt = 0; attempt < 128; ++attempt) {
    fd = static_cast<int>(::syscall(SYS_openat2, root, name, &how, sizeof how));
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) break;
  }
  return fd;
}

std::vector<std::string> components(const std::string& path) {
  std::vector<std::string> parts;
  for (auto& part : split(path, '/')) {
    if (!part.empty() && part != ".") parts.push_back(std::move(part));
  }
  return parts;
}

/// The text of the link at `path`; nothing if there is no link.
std::optional<std::string> link_at(int root, const std::string& path) {
  const UniqueFd fd{openat2_retrying(root, path, O_PATH | O_NOFOLLOW, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)};
  std::string text(4096, '\0');
  const ssize_t size = fd.valid() ? ::readlinkat(fd.get(), "", text.data(), text.size()) : -1;
  if (size < 0) return std::nullopt;
  text.resize(static_cast<std::size_t>(size));
  return text;
}

/// Where `path` leads to when its links are followed by their text, also those that lead to nothing yet
/// (/etc/resolv.conf -> ../run/systemd/resolve/stub-resolv.conf in many images). What is made there is made without
/// following any link, so one that changes meanwhile is an error and not a way out.
std::string through_links(int root, const std::string& path) {
  constexpr int kMostLinks = 40;  // as the kernel has it (path_resolution(7))
  std::vector<std::string> rest = components(path);
  std::ranges::reverse(rest);
  std::vector<std::string> done;
  for (int links = 0; !rest.empty();) {
    std::string part = std::move(rest.back());
    rest.pop_back();
    if (part == "..") {
      if (!done.empty()) done.pop_back();
      continue;
    }
    done.push_back(std::move(part));
    const auto text = link_at(root, "/" + join(done, "/"));
    if (!text || ++links > kMostLinks) continue;
    done.pop_back();
    if (text->starts_with('/')) done.clear();
    auto more = components(*text);
    rest.insert(rest.end(), std::make_move_iterator(more.rbegin()), std::make_move_iterator(more.rend()));
  }
  return "/" + join(done, "/");
}

}  // namespace

Result<UniqueFd> open_in_root(int root, const std::string& path, std::uint64_t flags, bool no_symlinks) {
  const std::uint64_t resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (no_symlinks ? RESOLVE_NO_SYMLINKS : 0);
  UniqueFd fd{openat2_retrying(root, path, flags, 0, resolve)};
  if (!fd.valid()) {
    if (errno == ELOOP && no_symlinks) {
      return make_error(Errc::invalid,
                        "\"{}\" must be mounted on ordinary directory: in the root file system it is a symbolic link",
                        path);
    }
    return os_error("open \"{}\" in the root file system", path);
  }
  return fd;
}

Result<UniqueFd> make_directory_in_root(int root, const std::string& path, bool no_symlinks) {
  auto whole = open_in_root(root, path, O_PATH | O_DIRECTORY, no_symlinks);
  if (whole || whole.error().sys_errno() != ENOENT) return whole;
  UniqueFd current{openat2_retrying(root, "/", O_PATH | O_DIRECTORY, 0, RESOLVE_IN_ROOT)};
  if (!current.valid()) return os_error("open the root file system");
  std::string prefix;
  bool made = false;
  for (const auto& part : components(no_symlinks ? path : through_links(root, path))) {
    prefix += "/" + part;
    if (!made) {
      auto next = open_in_root(root, prefix, O_PATH | O_DIRECTORY, no_symlinks);
      if (next) {
        current = std::move(*next);
        continue;
      }
      if (next.error().sys_errno() != ENOENT) return next;
      made = true;
    }
    // From the first new directory on everything is ours, so a link that appears is an attack: never follow.
    if (::mkdirat(current.get(), part.c_str(), 0755) != 0 && errno != EEXIST) {
      return os_error("make directory \"{}\" in the root file system", prefix);
    }
    UniqueFd next{openat2_retrying(current.get(), part, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0,
                                   RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)};
    if (!next.valid()) return os_error("open \"{}\" in the root file system", prefix);
    current = std::move(next);
  }
  return current;
}

Result<Entry> entry_in_root(int root, const std::string& path) {
  auto parts = components(path);
  if (parts.empty() || parts.back() == "..") return make_error(Errc::invalid, "\"{}\" is not the path of a file", path);
  Entry entry;
  entry.name = std::move(parts.back());
  parts.pop_back();
  TRY_ASSIGN(entry.parent, make_directory_in_root(root, "/" + join(parts, "/")));
  return entry;
}

Result<UniqueFd> make_file_in_root(int root, const std::string& wanted) {
  auto file = open_in_root(root, wanted, O_PATH);
  if (file || file.error().sys_errno() != ENOENT) return file;
  const std::string path = through_links(root, wanted);
  TRY_ASSIGN(const Entry entry, entry_in_root(root, path));
  const UniqueFd made{openat2_retrying(entry.parent.get(), entry.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0755,
                                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)};
  if (!made.valid() && errno != EEXIST) return os_error("make file \"{}\" in the root file system", path);
  UniqueFd fd{
      openat2_retrying(entry.parent.get(), entry.name, O_PATH | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)};
  if (!fd.valid()) return os_error("open \"{}\" in the root file system", path);
  return fd;
}

}  // namespace compose::runtime::rootfs
