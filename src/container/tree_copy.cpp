// copy_tree of layered_tree.hpp.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#include <map>
#include <vector>

#include "container/layered_tree.hpp"

namespace compose::container {
namespace {

using Entry = MergedDirectory::Entry;

class Copier {
 public:
  explicit Copier(int root) : root_{root} {}

  // `path` of the directory `to` below the root, for hard links and messages.
  Result<void> directory(const MergedDirectory& from, int to, const std::string& path) {
    TRY_ASSIGN(const auto entries, from.list());
    for (const auto& entry : entries) {
      const std::string below = path.empty() ? entry.name : path + "/" + entry.name;
      TRY(copy(from, entry, to, below).with("copy \"{}\"", below));
    }
    struct stat info{};
    if (::fstat(from.top_fd(), &info) != 0) return os_error("stat");
    // Last: writing entries changes the times, and a mode without `w` must not hinder us.
    return attributes(from.top_fd(), to, info);
  }

 private:
  Result<void> copy(const MergedDirectory& from, const Entry& entry, int to, const std::string& path) {
    const char* name = entry.name.c_str();
    if (S_ISDIR(entry.info.st_mode)) {
      if (::mkdirat(to, name, 0700) != 0) return os_error("make directory");
      const UniqueFd target{::openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
      if (!target.valid()) return os_error("open directory");
      TRY_ASSIGN(const auto source, from.open(entry.name));
      return directory(source, target.get(), path);
    }
    if (entry.info.st_nlink > 1 && linked(entry, to)) return {};
    if (S_ISREG(entry.info.st_mode)) {
      TRY(regular(entry, to));
    } else if (S_ISLNK(entry.info.st_mode)) {
      TRY(link(entry, to));
    } else {
      if (::mknodat(to, name, entry.info.st_mode, entry.info.st_rdev) != 0) return os_error("make node");
      TRY(owner_and_times(entry, to));
      if (::fchmodat(to, name, entry.info.st_mode & 07777U, 0) != 0) return os_error("chmod");
    }
    if (entry.info.st_nlink > 1) copied_[{entry.info.st_dev, entry.info.st_ino}] = path;
    return {};
  }

  // Another name of a file that is copied already.
  bool linked(const Entry& entry, int to) {
    const auto found = copied_.find({entry.info.st_dev, entry.info.st_ino});
    return found != copied_.end() && ::linkat(root_, found->second.c_str(), to, entry.name.c_str(), 0) == 0;
  }

  static Result<void> regular(const Entry& entry, int to) {
    const UniqueFd in{::openat(entry.layer_fd, entry.name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (!in.valid()) return os_error("open");
    const UniqueFd out{::openat(to, entry.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!out.valid()) return os_error("create");
    TRY(content(in.get(), out.get()));
    return attributes(in.get(), out.get(), entry.info);
  }

  static Result<void> content(int in, int out) {
    if (::ioctl(out, FICLONE, in) == 0) return {};
    for (;;) {
      const ssize_t copied = ::copy_file_range(in, nullptr, out, nullptr, std::size_t{1} << 30, 0);
      if (copied == 0) return {};
      if (copied > 0 || errno == EINTR) continue;
      if (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS) return slowly(in, out);
      return os_error("copy");
    }
  }

  static Result<void> slowly(int in, int out) {
    std::vector<char> buffer(std::size_t{1} << 18);
    for (;;) {
      const ssize_t size = retry_eintr([&] { return ::read(in, buffer.data(), buffer.size()); });
      if (size < 0) return os_error("read");
      if (size == 0) return {};
      for (ssize_t done = 0; done < size;) {
        const ssize_t written =
            retry_eintr([&] { return ::write(out, buffer.data() + done, static_cast<std::size_t>(size - done)); });
        if (written < 0) return os_error("write");
        done += written;
      }
    }
  }

  static Result<void> link(const Entry& entry, int to) {
    std::string text(4096, '\0');
    const ssize_t size = ::readlinkat(entry.layer_fd, entry.name.c_str(), text.data(), text.size());
    if (size < 0) return os_error("read link");
    text.resize(static_cast<std::size_t>(size));
    if (::symlinkat(text.c_str(), to, entry.name.c_str()) != 0) return os_error("make link");
    return owner_and_times(entry, to);
  }

  static Result<void> owner_and_times(const Entry& entry, int to) {
    const char* name = entry.name.c_str();
    if (::fchownat(to, name, entry.info.st_uid, entry.info.st_gid, AT_SYMLINK_NOFOLLOW) != 0) return os_error("chown");
    const struct timespec times[2] = {entry.info.st_atim, entry.info.st_mtim};
    if (::utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) != 0) return os_error("set times");
    return {};
  }

  // The owner first: chown takes setuid bits and capabilities away.
  static Result<void> attributes(int from, int to, const struct stat& info) {
    if (::fchown(to, info.st_uid, info.st_gid) != 0) return os_error("chown");
    if (::fchmod(to, info.st_mode & 07777U) != 0) return os_error("chmod");
    TRY(extended(from, to));
    const struct timespec times[2] = {info.st_atim, info.st_mtim};
    if (::futimens(to, times) != 0) return os_error("set times");
    return {};
  }

  static Result<void> extended(int from, int to) {
    std::string names(65536, '\0');
    const ssize_t size = ::flistxattr(from, names.data(), names.size());
    if (size < 0) return errno == EOPNOTSUPP ? Result<void>{} : os_error("list extended attributes");
    std::string value(65536, '\0');
    for (const char* name = names.data(); name < names.data() + size; name += std::string_view{name}.size() + 1) {
      const std::string_view text{name};
      if (text.starts_with("trusted.overlay.") || text.starts_with("user.overlay.")) continue;
      const ssize_t length = ::fgetxattr(from, name, value.data(), value.size());
      if (length < 0) return os_error("read extended attribute {}", text);
      // The volume's file system may know fewer kinds (tmpfs has no user.*); the content counts.
      if (::fsetxattr(to, name, value.data(), static_cast<std::size_t>(length), 0) != 0 && errno != EOPNOTSUPP) {
        return os_error("set extended attribute {}", text);
      }
    }
    return {};
  }

  int root_;
  std::map<std::pair<dev_t, ino_t>, std::string> copied_;
};

}  // namespace

Result<void> copy_tree(const MergedDirectory& from, int to_fd) { return Copier{to_fd}.directory(from, to_fd, ""); }

}  // namespace compose::container
