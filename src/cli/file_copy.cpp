#include "cli/file_copy.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/unique_fd.hpp"
#include "image/byte_stream.hpp"
#include "image/tar_reader.hpp"
#include "sys/file.hpp"

namespace compose::cli {
namespace {

constexpr std::uint32_t kNobody = 65534;

/// One entry on its way, with all that is not content.
struct Item {
  std::string path;  ///< relative to the target
  mode_t mode = 0;   ///< with the type
  uid_t uid = 0;
  gid_t gid = 0;
  std::uint64_t size = 0;
  timespec mtime{};
  dev_t device = 0;
  std::string link{};       ///< of a symbolic link
  std::string hard_link{};  ///< path of an earlier entry
  std::map<std::string, std::string> xattrs{};
};

/// Gives a file's content piece by piece to the function it gets.
using Pieces = std::function<Result<void>(std::uint64_t offset, std::string_view bytes)>;
using Content = std::function<Result<void>(const Pieces&)>;

class Sink {
 public:
  virtual ~Sink() = default;
  virtual Result<void> put(const Item& item, const Content& content) = 0;
  virtual Result<void> finish() { return {}; }
};

// ---- reading a folder

Result<UniqueFd> open_at(int folder, const std::string& name, int flags) {
  UniqueFd fd{::openat(folder, name.c_str(), flags | O_CLOEXEC)};
  if (!fd.valid()) return os_error("opening {}", name);
  return fd;
}

std::map<std::string, std::string> read_xattrs(int fd) {
  std::map<std::string, std::string> xattrs;
  std::array<char, 4096> names;
  const ssize_t size = ::flistxattr(fd, names.data(), names.size());
  for (ssize_t at = 0; at < size;) {
    const std::string name{names.data() + at};
    at += static_cast<ssize_t>(name.size()) + 1;
    if (!name.starts_with("user.") && name != "security.capability") continue;
    std::array<char, 65536> value;
    const ssize_t length = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
    if (length >= 0) xattrs[name] = std::string(value.data(), static_cast<std::size_t>(length));
  }
  return xattrs;
}

Result<void> read_content(int fd, const Pieces& pieces) {
  std::vector<char> buffer(std::size_t{256} << 10);
  std::uint64_t offset = 0;
  while (true) {
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return os_error("reading");
    if (size == 0) return {};
    TRY(pieces(offset, {buffer.data(), static_cast<std::size_t>(size)}));
    offset += static_cast<std::uint64_t>(size);
  }
}

class FolderReader {
 public:
  FolderReader(Sink& sink, const ContainerIds& ids) : sink_{sink}, ids_{ids} {}

  Result<void> read(int folder, const std::string& name, const std::string& path) {
    struct stat info{};
    if (::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return os_error("{}", path);
    Item item{.path = path,
              .mode = info.st_mode,
              .uid = ids_.inside(info.st_uid),
              .gid = ids_.inside(info.st_gid),
              .mtime = info.st_mtim};
    if (S_ISSOCK(info.st_mode)) return {};  // means nothing without its process
    if (S_ISDIR(info.st_mode)) return read_directory(folder, name, std::move(item));
    if (S_ISREG(info.st_mode)) return read_file(folder, name, std::move(item), info);
    if (S_ISLNK(info.st_mode)) {
      std::array<char, 4097> target;
      const ssize_t size = ::readlinkat(folder, name.c_str(), target.data(), target.size());
      if (size < 0) return os_error("reading the link {}", path);
      item.link.assign(target.data(), static_cast<std::size_t>(size));
    }
    item.device = info.st_rdev;
    return sink_.put(item, {});
  }

 private:
  Result<void> read_file(int folder, const std::string& name, Item item, const struct stat& info) {
    const auto known = info.st_nlink > 1 ? links_.find({info.st_dev, info.st_ino}) : links_.end();
    if (known != links_.end()) {
      item.hard_link = known->second;
      return sink_.put(item, {});
    }
    // What a process in the container may have put there meanwhile is not waited for, and not read.
    TRY_ASSIGN(const UniqueFd file, open_at(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
    struct stat opened{};
    if (::fstat(file.get(), &opened) != 0 || !S_ISREG(opened.st_mode))
      return make_error(Errc::busy, "{} was replaced while it was copied", item.path);
    item.size = static_cast<std::uint64_t>(info.st_size);
    item.xattrs = read_xattrs(file.get());
    if (info.st_nlink > 1) links_[{info.st_dev, info.st_ino}] = item.path;
    return sink_.put(item, [&](const Pieces& pieces) { return read_content(file.get(), pieces); });
  }

  Result<void> read_directory(int folder, const std::string& name, Item item) {
    TRY_ASSIGN(UniqueFd directory, open_at(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    item.xattrs = read_xattrs(directory.get());
    const std::string path = item.path;
    TRY(sink_.put(item, {}));
    TRY_ASSIGN(const auto names, sys::list_directory(fmt::format("/proc/self/fd/{}", directory.get())));
    for (const std::string& one : names) TRY(read(directory.get(), one, path == "." ? one : path + "/" + one));
    return {};
  }

  Sink& sink_;
  ContainerIds ids_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

// ---- writing a folder

class FolderWriter : public Sink {
 public:
  FolderWriter(int folder, const CopyOwner& owner) : folder_{folder}, owner_{owner} {}

  Result<void> put(const Item& item, const Content& content) override {
    if (item.path == ".") return {};  // the folder that is copied into stays as it is
    const std::size_t slash = item.path.rfind('/');
    const std::string name = item.path.substr(slash == std::string::npos ? 0 : slash + 1);
    TRY_ASSIGN(const UniqueFd parent, folder_of(slash == std::string::npos ? "" : item.path.substr(0, slash)));
    if (S_ISDIR(item.mode)) return put_directory(parent.get(), name, item);
    if (::unlinkat(parent.get(), name.c_str(), 0) != 0 && errno != ENOENT) return os_error("replacing {}", item.path);
    if (!item.hard_link.empty()) return put_hard_link(parent.get(), name, item);
    if (S_ISREG(item.mode)) return put_file(parent.get(), name, item, content);
    const int made = S_ISLNK(item.mode) ? ::symlinkat(item.link.c_str(), parent.get(), name.c_str())
                                        : ::mknodat(parent.get(), name.c_str(), item.mode, item.device);
    if (made != 0) return os_error("making {}", item.path);
    return set_attributes(parent.get(), name, item);
  }

  /// Folders' times last: every entry in them changes them.
  Result<void> finish() override {
    for (auto item = directories_.rbegin(); item != directories_.rend(); ++item) {
      TRY_ASSIGN(const UniqueFd directory, folder_of(item->path));
      const timespec times[2] = {item->mtime, item->mtime};
      ::futimens(directory.get(), times);
    }
    return {};
  }

 private:
  /// A folder below the target; no part of the path may be a symbolic link.
  Result<UniqueFd> folder_of(const std::string& path) {
    open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    UniqueFd fd{static_cast<int>(::syscall(SYS_openat2, folder_, path.empty() ? "." : path.c_str(), &how, sizeof how))};
    if (!fd.valid()) return os_error("{}", path);
    return fd;
  }

  Result<void> put_directory(int parent, const std::string& name, const Item& item) {
    if (::mkdirat(parent, name.c_str(), 0700) != 0) {
      struct stat info{};
      if (errno != EEXIST || ::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
        return os_error("making {}", item.path);
      if (!S_ISDIR(info.st_mode)) return make_error(Errc::exists, "{} is no folder", item.path);
    }
    directories_.push_back(item);
    return set_attributes(parent, name, item);
  }

  Result<void> put_file(int parent, const std::string& name, const Item& item, const Content& content) {
    TRY_ASSIGN(const UniqueFd file, open_file(parent, name));
    if (content) {
      TRY(content([&](std::uint64_t offset, std::string_view bytes) -> Result<void> {
            while (!bytes.empty()) {
              const ssize_t size = ::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
              if (size < 0 && errno == EINTR) continue;
              if (size < 0) return os_error("writing");
              bytes.remove_prefix(static_cast<std::size_t>(size));
              offset += static_cast<std::uint64_t>(size);
            }
            return {};
          }).with("{}", item.path));
    }
    if (::ftruncate(file.get(), static_cast<off_t>(item.size)) != 0) return os_error("writing {}", item.path);
    for (const auto& [key, value] : item.xattrs) ::fsetxattr(file.get(), key.c_str(), value.data(), value.size(), 0);
    return set_attributes(parent, name, item);
  }

  static Result<UniqueFd> open_file(int parent, const std::string& name) {
    UniqueFd file{::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!file.valid()) return os_error("making {}", name);
    return file;
  }

  Result<void> put_hard_link(int parent, const std::string& name, const Item& item) {
    const std::size_t slash = item.hard_link.rfind('/');
    TRY_ASSIGN(const UniqueFd from, folder_of(slash == std::string::npos ? "" : item.hard_link.substr(0, slash)));
    const std::string target = item.hard_link.substr(slash == std::string::npos ? 0 : slash + 1);
    if (::linkat(from.get(), target.c_str(), parent, name.c_str(), 0) != 0) return os_error("linking {}", item.path);
    return {};
  }

  /// By a descriptor: processes in the container may put a symbolic link under the name meanwhile, which chmod(2)
  /// would follow, even to the host.
  Result<void> set_attributes(int parent, const std::string& name, const Item& item) {
    const UniqueFd made{::openat(parent, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)};
    struct stat info{};
    if (!made.valid() || ::fstat(made.get(), &info) != 0) return os_error("{}", item.path);
    if ((info.st_mode & S_IFMT) != (item.mode & S_IFMT))
      return make_error(Errc::busy, "{} was replaced while it was copied", item.path);
    const uid_t uid = owner_.target.outside(owner_.uid.value_or(item.uid));
    const gid_t gid = owner_.target.outside(owner_.gid.value_or(item.gid));
    if (::geteuid() == 0 && ::fchownat(made.get(), "", uid, gid, AT_EMPTY_PATH) != 0)
      return os_error("giving {} its owner", item.path);
    if (!S_ISLNK(item.mode) && ::chmod(fmt::format("/proc/self/fd/{}", made.get()).c_str(), item.mode & 07777U) != 0)
      return os_error("giving {} its mode", item.path);
    const timespec times[2] = {item.mtime, item.mtime};
    ::utimensat(parent, name.c_str(), times, AT_SYMLINK_NOFOLLOW);
    return {};
  }

  int folder_;
  CopyOwner owner_;
  std::vector<Item> directories_;
};

// ---- writing a tar (POSIX.1-2001 pax interchange format)

class TarWriter : public Sink {
 public:
  explicit TarWriter(int out) : out_{out} {}

  Result<void> put(const Item& item, const Content& content) override {
    std::string path = item.path;
    if (S_ISDIR(item.mode)) path += '/';
    const std::string& link = item.hard_link.empty() ? item.link : item.hard_link;
    TRY(write_pax(item, path, link));
    const bool file = S_ISREG(item.mode) && item.hard_link.empty();
    const std::uint64_t size = file ? item.size : 0;
    TRY(emit(header(item, path, link, type_of(item), size)));
    if (size == 0 || !content) return {};
    std::uint64_t written = 0;
    TRY(content([&](std::uint64_t, std::string_view bytes) -> Result<void> {
          const auto left = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), size - written));
          written += left;  // a file that grows meanwhile is cut
          return emit(bytes.substr(0, left));
        }).with("{}", item.path));
    return emit(std::string(static_cast<std::size_t>(size - written + (512 - size % 512) % 512), '\0'));
  }

  Result<void> finish() override {
    TRY(emit(std::string(1024, '\0')));
    return flush();
  }

 private:
  static char type_of(const Item& item) {
    if (!item.hard_link.empty()) return '1';
    if (S_ISLNK(item.mode)) return '2';
    if (S_ISCHR(item.mode)) return '3';
    if (S_ISBLK(item.mode)) return '4';
    if (S_ISDIR(item.mode)) return '5';
    return S_ISFIFO(item.mode) ? '6' : '0';
  }

  static void number(std::string& block, std::size_t at, std::size_t width, std::uint64_t value) {
    const std::string text = fmt::format("{:0{}o}", value, width - 1);
    if (text.size() < width) block.replace(at, text.size(), text);
  }

  static std::string header(const Item& item, const std::string& path, const std::string& link, char type,
                            std::uint64_t size) {
    std::string block(512, '\0');
    block.replace(0, std::min<std::size_t>(path.size(), 100), path.substr(0, 100));
    number(block, 100, 8, item.mode & 07777U);
    number(block, 108, 8, item.uid);
    number(block, 116, 8, item.gid);
    number(block, 124, 12, size);
    number(block, 136, 12, static_cast<std::uint64_t>(std::max<std::int64_t>(item.mtime.tv_sec, 0)));
    block[156] = type;
    block.replace(157, std::min<std::size_t>(link.size(), 100), link.substr(0, 100));
    block.replace(257, 8, std::string{"ustar\00000", 8});
    if (type == '3' || type == '4') {
      number(block, 329, 8, major(item.device));
      number(block, 337, 8, minor(item.device));
    }
    block.replace(148, 8, "        ");
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    block.replace(148, 8, fmt::format("{:06o}", sum) + std::string{"\0 ", 2});
    return block;
  }

  /// "LENGTH KEY=VALUE\n", where LENGTH counts itself.
  static std::string record(const std::string& key, const std::string& value) {
    const std::size_t rest = key.size() + value.size() + 3;
    std::size_t length = rest + 1;
    while (std::to_string(length).size() + rest != length) length = std::to_string(length).size() + rest;
    return fmt::format("{} {}={}\n", length, key, value);
  }

  /// What does not fit into the header goes before it.
  Result<void> write_pax(const Item& item, const std::string& path, const std::string& link) {
    std::string records;
    if (path.size() > 100) records += record("path", path);
    if (link.size() > 100) records += record("linkpath", link);
    if (item.size > 077777777777U) records += record("size", std::to_string(item.size));
    if (item.uid > 07777777U) records += record("uid", std::to_string(item.uid));
    if (item.gid > 07777777U) records += record("gid", std::to_string(item.gid));
    for (const auto& [key, value] : item.xattrs) records += record("SCHILY.xattr." + key, value);
    if (records.empty()) return {};
    Item extra{.path = "PaxHeaders/entry", .mode = S_IFREG | 0644};
    TRY(emit(header(extra, extra.path, "", 'x', records.size())));
    records.append((512 - records.size() % 512) % 512, '\0');
    return emit(records);
  }

  Result<void> emit(std::string_view bytes) {
    buffer_ += bytes;
    return buffer_.size() < (std::size_t{256} << 10) ? Result<void>{} : flush();
  }
  Result<void> flush() {
    auto written = sys::write_all(out_, buffer_);
    buffer_.clear();
    return std::move(written).with("writing the archive");
  }

  int out_;
  std::string buffer_;
};

mode_t type_bits(image::TarEntry::Type type) {
  using Type = image::TarEntry::Type;
  switch (type) {
    case Type::directory:
      return S_IFDIR;
    case Type::symbolic_link:
      return S_IFLNK;
    case Type::character_device:
      return S_IFCHR;
    case Type::block_device:
      return S_IFBLK;
    case Type::fifo:
      return S_IFIFO;
    case Type::file:
    case Type::hard_link:
      break;
  }
  return S_IFREG;
}

/// "./a//b/" → "a/b"; "" for the archive's own folder.
std::string clean(const std::string& path) {
  std::string result;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string part = path.substr(at, end - at);
    if (!part.empty() && part != ".") result += (result.empty() ? "" : "/") + part;
    at = end + 1;
  }
  return result;
}

}  // namespace

std::uint32_t ContainerIds::outside(std::uint32_t id) const {
  if (size == 0) return id;
  return first + (id < size ? id : std::min(kNobody, size - 1));
}

std::uint32_t ContainerIds::inside(std::uint32_t id) const {
  if (size == 0) return id;
  return id - first < size ? id - first : kNobody;  // unsigned: what is below `first` is large
}

Result<void> copy_tree(int from, const std::string& name, int to, const std::string& new_name, const CopyOwner& owner) {
  FolderWriter writer{to, owner};
  TRY((FolderReader{writer, owner.source}.read(from, name, new_name)));
  return writer.finish();
}

Result<void> write_tar(int from, const std::string& name, const std::string& new_name, int out,
                       const ContainerIds& source) {
  TarWriter writer{out};
  TRY((FolderReader{writer, source}.read(from, name, new_name)));
  return writer.finish();
}

Result<void> read_tar(int in, int to, const CopyOwner& owner) {
  TRY_ASSIGN(const image::ByteReaderPtr input, image::decompress(image::read_fd(UniqueFd{in})));
  image::TarReader reader{*input};
  FolderWriter writer{to, owner};
  while (true) {
    TRY_ASSIGN(const auto entry, reader.next());
    if (!entry) break;
    Item item{.path = clean(entry->path),
              .mode = type_bits(entry->type) | entry->mode,
              .uid = entry->uid,
              .gid = entry->gid,
              .size = entry->size,
              .mtime = entry->mtime,
              .device = makedev(entry->device_major, entry->device_minor),
              .link = entry->link_target,
              .xattrs = entry->xattrs};
    if (item.path.empty()) continue;
    if (entry->type == image::TarEntry::Type::hard_link) item.hard_link = clean(entry->link_target);
    const Content content = [&](const Pieces& pieces) -> Result<void> {
      while (true) {
        TRY_ASSIGN(const auto chunk, reader.next_chunk());
        if (!chunk) return {};
        TRY(pieces(chunk->offset, chunk->bytes));
      }
    };
    TRY(writer.put(item, content));
  }
  return writer.finish();
}

}  // namespace compose::cli
