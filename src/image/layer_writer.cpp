#include "image/layer_writer.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/strings.hpp"
#include "sys/file.hpp"
#include "sys/user_namespace.hpp"

namespace compose::image {

namespace {

constexpr int kMaxLinks = 40;
constexpr mode_t kModeBits = 07777;
constexpr timespec kOmit{0, UTIME_OMIT};

/// Splits off the last component; Errc::invalid for "..", and for the root itself unless it is allowed.
struct Split {
  std::vector<std::string> parent;
  std::string name;  ///< "" for the root
};

Result<Split> split_path(const std::string& path) {
  Split result{path_components(path), {}};
  for (const std::string& part : result.parent) {
    if (part == "..") return make_error(Errc::invalid, "the name \"{}\" leaves the tree", path);
  }
  if (!result.parent.empty()) {
    result.name = std::move(result.parent.back());
    result.parent.pop_back();
  }
  return result;
}

}  // namespace

bool is_kept_xattr(const std::string& name) {
  return name == "security.capability" || name == "system.posix_acl_access" || name == "system.posix_acl_default" ||
         (name.starts_with("user.") && !name.starts_with("user.overlay."));
}

FileAttributes attributes_of(const std::string& host_path, const struct stat& status) {
  FileAttributes attributes{status.st_mode & kModeBits, status.st_uid, status.st_gid, status.st_mtim, {}};
  if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return attributes;
  std::string names(16384, '\0');
  const ssize_t size = ::llistxattr(host_path.c_str(), names.data(), names.size());
  for (std::size_t at = 0; size > 0 && at < static_cast<std::size_t>(size);) {
    const std::string name{names.c_str() + at};
    at += name.size() + 1;
    if (!is_kept_xattr(name)) continue;
    std::string value(65536, '\0');
    const ssize_t length = ::lgetxattr(host_path.c_str(), name.c_str(), value.data(), value.size());
    if (length >= 0) attributes.xattrs[name] = value.substr(0, static_cast<std::size_t>(length));
  }
  return attributes;
}

struct LayerWriter::State {
  struct Level {
    std::string name;
    UniqueFd fd;
  };

  std::string folder;
  std::string tree;
  UniqueFd root;
  MergedView below;
  MergedView view;
  bool privileged = ::geteuid() == 0;
  std::vector<Level> stack;  ///< the directory the last entry was in, open down from the root
  std::map<std::string, timespec> directory_times;
  std::set<std::string> hiding;  ///< directories of this layer that hide what is below
  std::vector<ReplacedPath> replaced;
  std::uint64_t bytes = 0;

  int directory() const { return stack.empty() ? root.get() : stack.back().fd.get(); }
  std::string physical() const {
    std::string path;
    for (const Level& level : stack) path = join_path(path, level.name);
    return path;
  }
  std::string host(const std::string& path) const { return tree + "/" + path; }

  Result<void> go(const std::vector<std::string>& components, bool create);
  Result<bool> enter(const std::string& name);
  Result<std::optional<std::string>> make_or_follow(const std::string& name, bool create);
  Result<std::optional<ViewEntry>> lookup_below(const std::string& path) const;
  Result<bool> make_room(const std::string& name, bool for_directory);
  Result<void> keep_aside(const std::string& name, const std::string& path);
  Result<void> hide(const std::string& path);
  Result<void> set_attributes(const std::string& name, const FileAttributes& attributes, bool is_link);
  Result<void> set_xattrs(const std::string& path, const FileAttributes& attributes) const;
  Result<void> owner_result(int status, const std::string& name) const;
  Result<void> copy_up(const std::string& path, const ViewEntry& from, LayerWriter& writer) const;
};

/// Opens the directory `name` below the current one if it is one in this layer.
Result<bool> LayerWriter::State::enter(const std::string& name) {
  UniqueFd fd{::openat(directory(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd.valid()) {
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return false;
    return os_error("open directory \"{}\"", join_path(physical(), name));
  }
  stack.push_back({name, std::move(fd)});
  return true;
}

/// What lies below at a physical path, if this layer does not hide it.
Result<std::optional<ViewEntry>> LayerWriter::State::lookup_below(const std::string& path) const {
  for (std::size_t end = path.find('/'); !hiding.empty() && end != std::string::npos; end = path.find('/', end + 1)) {
    if (hiding.contains(path.substr(0, end))) return std::optional<ViewEntry>{};
  }
  return below.lookup(path);
}

/// `name` is no directory of this layer: makes it one, or returns the target of the link it is.
Result<std::optional<std::string>> LayerWriter::State::make_or_follow(const std::string& name, bool create) {
  const std::string path = join_path(physical(), name);
  struct stat status{};
  FileAttributes attributes{0755, 0, 0, kOmit, {}};
  if (::fstatat(directory(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISLNK(status.st_mode)) {
      TRY_ASSIGN(std::string target, view.read_link({path, host(path), status}));
      return std::optional{std::move(target)};
    }
    if (!is_whiteout(status)) return make_error(Errc::invalid, "\"{}\" is not a directory", path);
  } else {
    TRY_ASSIGN(const std::optional<ViewEntry> entry, lookup_below(path));
    if (entry && S_ISLNK(entry->status.st_mode)) {
      TRY_ASSIGN(std::string target, below.read_link(*entry));
      return std::optional{std::move(target)};
    }
    if (entry && S_ISDIR(entry->status.st_mode)) attributes = attributes_of(entry->host, entry->status);
  }
  if (!create) return make_error(Errc::not_found, "\"{}\" does not exist in this layer", path);
  TRY(make_room(name, true));
  TRY(set_attributes(name, attributes, false));
  if (attributes.mtime.tv_nsec != UTIME_OMIT) directory_times[path] = attributes.mtime;
  TRY_ASSIGN(const bool entered, enter(name));
  if (!entered) return make_error(Errc::failed, "directory \"{}\" vanished", path);
  return std::optional<std::string>{};
}

/// Makes the directory named by `components` the current one. Links are followed inside the tree.
Result<void> LayerWriter::State::go(const std::vector<std::string>& components, bool create) {
  std::size_t common = 0;
  while (common < components.size() && common < stack.size() && components[common] == stack[common].name) ++common;
  stack.resize(common);
  std::vector<std::string> left{components.rbegin(), components.rend() - static_cast<std::ptrdiff_t>(common)};
  int links = 0;
  while (!left.empty()) {
    const std::string name = std::move(left.back());
    left.pop_back();
    if (name == "..") {
      if (!stack.empty()) stack.pop_back();
      continue;
    }
    TRY_ASSIGN(const bool entered, enter(name));
    if (entered) continue;
    TRY_ASSIGN(const std::optional<std::string> target, make_or_follow(name, create));
    if (!target) continue;
    if (++links > kMaxLinks) return make_error(Errc::invalid, "\"{}\": too many levels of symbolic links", name);
    if (target->starts_with('/')) stack.clear();
    std::vector<std::string> parts = path_components(*target);
    left.insert(left.end(), parts.rbegin(), parts.rend());
  }
  return {};
}

/// Moves an entry out of the way but keeps its content.
Result<void> LayerWriter::State::keep_aside(const std::string& name, const std::string& path) {
  const std::string kept = "replaced/" + std::to_string(replaced.size());
  TRY(sys::make_directories(folder + "/replaced", 0700));
  if (::renameat(directory(), name.c_str(), AT_FDCWD, (folder + "/" + kept).c_str()) != 0) {
    return os_error("replace \"{}\"", path);
  }
  replaced.push_back({path, kept});
  const auto forget_below = [prefix = path + "/"](auto& container, const auto& key_of) {
    auto it = container.lower_bound(prefix);
    while (it != container.end() && key_of(*it).starts_with(prefix)) it = container.erase(it);
  };
  directory_times.erase(path);
  hiding.erase(path);
  forget_below(directory_times, [](const auto& item) -> const std::string& { return item.first; });
  forget_below(hiding, [](const std::string& item) -> const std::string& { return item; });
  return {};
}

/// Makes sure nothing, or for directories a directory, is at `name`; makes the directory. True if one was there.
Result<bool> LayerWriter::State::make_room(const std::string& name, bool for_directory) {
  const std::string path = join_path(physical(), name);
  struct stat status{};
  bool hides = false;
  if (::fstatat(directory(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    if (for_directory && S_ISDIR(status.st_mode)) return true;
    if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) {
      TRY(keep_aside(name, path));
    } else if (::unlinkat(directory(), name.c_str(), 0) != 0) {
      return os_error("replace \"{}\"", path);
    }
    hides = true;
  } else if (errno != ENOENT) {
    return os_error("stat \"{}\"", path);
  }
  if (!for_directory) return false;
  if (::mkdirat(directory(), name.c_str(), 0700) != 0) return os_error("make directory \"{}\"", path);
  // Something of this layer was here before, so a directory below must not shine through.
  if (hides) {
    TRY_ASSIGN(const std::optional<ViewEntry> entry, lookup_below(path));
    if (entry) TRY(hide(path));
  }
  return false;
}

Result<void> LayerWriter::State::hide(const std::string& path) {
  static const bool initial = sys::in_initial_user_namespace();
  const char* name = privileged && initial ? "trusted.overlay.opaque" : "user.overlay.opaque";
  if (::lsetxattr(host(path).c_str(), name, "y", 1, 0) != 0) return os_error("mark directory \"{}\" opaque", path);
  hiding.insert(path);
  return {};
}

/// Without root every file belongs to the caller; that is what running without root means, not an error.
Result<void> LayerWriter::State::owner_result(int status, const std::string& name) const {
  if (status == 0 || (!privileged && errno == EPERM)) return {};
  return os_error("change the owner of \"{}\"", name);
}

Result<void> LayerWriter::State::set_xattrs(const std::string& path, const FileAttributes& attributes) const {
  for (const auto& [name, value] : attributes.xattrs) {
    if (!is_kept_xattr(name)) continue;
    if (::lsetxattr(host(path).c_str(), name.c_str(), value.data(), value.size(), 0) == 0) continue;
    const bool required = privileged && name == "security.capability";
    if (required || (errno != ENOTSUP && errno != EPERM)) return os_error("set attribute {} of \"{}\"", name, path);
  }
  return {};
}

/// For everything but regular files: owner, mode, xattrs; the time of all but directories.
Result<void> LayerWriter::State::set_attributes(const std::string& name, const FileAttributes& attributes,
                                                bool is_link) {
  TRY(owner_result(::fchownat(directory(), name.c_str(), attributes.uid, attributes.gid, AT_SYMLINK_NOFOLLOW), name));
  if (!is_link) {
    if (::fchmodat(directory(), name.c_str(), attributes.mode & kModeBits, 0) != 0) {
      return os_error("change the mode of \"{}\"", name);
    }
    if (!attributes.xattrs.empty()) TRY(set_xattrs(join_path(physical(), name), attributes));
  }
  const timespec times[2] = {attributes.mtime, attributes.mtime};
  if (::utimensat(directory(), name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return os_error("set the time of \"{}\"", name);
  }
  return {};
}

LayerWriter::LayerWriter(std::unique_ptr<State> state) : state_{std::move(state)} {}
LayerWriter::LayerWriter(LayerWriter&&) noexcept = default;
LayerWriter& LayerWriter::operator=(LayerWriter&&) noexcept = default;
LayerWriter::~LayerWriter() = default;

Result<LayerWriter> LayerWriter::create(const std::string& folder, MergedView below) {
  auto state = std::make_unique<State>();
  state->folder = folder;
  state->tree = folder + "/diff";
  TRY(sys::make_directories(state->tree, 0755));
  state->root.reset(::open(state->tree.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!state->root.valid()) return os_error("open directory \"{}\"", state->tree);
  // The root's attributes are those of the topmost layer, so a layer that says nothing about them repeats the lower.
  TRY_ASSIGN(const std::optional<ViewEntry> root, below.lookup(""));
  if (root) {
    const FileAttributes attributes = attributes_of(root->host, root->status);
    TRY(state->set_attributes(".", attributes, false));
    state->directory_times[""] = attributes.mtime;
  } else if (::fchmodat(state->root.get(), ".", 0755, 0) != 0) {
    return os_error("change the mode of \"{}\"", state->tree);
  }
  std::vector<std::string> all{state->tree};
  all.insert(all.end(), below.layers().begin(), below.layers().end());
  state->view = MergedView{std::move(all)};
  state->below = std::move(below);
  return LayerWriter{std::move(state)};
}

Result<std::string> LayerWriter::directory(const std::string& path, const FileAttributes& attributes) {
  TRY_ASSIGN(const Split parts, split_path(path));
  TRY(state_->go(parts.parent, true));
  std::string physical;
  if (!parts.name.empty()) {
    TRY(state_->make_room(parts.name, true));
    physical = join_path(state_->physical(), parts.name);
  }
  TRY(state_->set_attributes(parts.name.empty() ? "." : parts.name, attributes, false));
  state_->directory_times[physical] = attributes.mtime;
  return physical;
}

Result<std::string> LayerWriter::symbolic_link(const std::string& path, const std::string& target,
                                               const FileAttributes& attributes) {
  TRY_ASSIGN(const Split parts, split_path(path));
  if (parts.name.empty()) return make_error(Errc::invalid, "the root of a layer cannot be a link");
  if (target.empty()) return make_error(Errc::invalid, "the link \"{}\" has no target", path);
  TRY(state_->go(parts.parent, true));
  TRY(state_->make_room(parts.name, false));
  if (::symlinkat(target.c_str(), state_->directory(), parts.name.c_str()) != 0)
    return os_error("make link \"{}\"", path);
  TRY(state_->set_attributes(parts.name, attributes, true));
  return join_path(state_->physical(), parts.name);
}

Result<void> LayerWriter::State::copy_up(const std::string& path, const ViewEntry& from, LayerWriter& writer) const {
  UniqueFd source{::open(from.host.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
  if (!source.valid()) return os_error("open \"{}\"", from.path);
  TRY_ASSIGN(File copy, writer.file(path));
  const auto size = static_cast<std::uint64_t>(from.status.st_size);
  for (std::uint64_t done = 0; done < size;) {
    const ssize_t count = ::copy_file_range(source.get(), nullptr, copy.fd.get(), nullptr, size - done, 0);
    if (count <= 0) return os_error("copy \"{}\"", from.path);
    done += static_cast<std::uint64_t>(count);
  }
  return writer.close(std::move(copy), size, attributes_of(from.host, from.status));
}

Result<std::string> LayerWriter::hard_link(const std::string& path, const std::string& target) {
  TRY_ASSIGN(const Split to, split_path(target));
  TRY_ASSIGN(const Split parts, split_path(path));
  if (parts.name.empty() || to.name.empty()) return make_error(Errc::invalid, "the root of a layer cannot be a link");
  if (path_components(path) == path_components(target))
    return make_error(Errc::invalid, "\"{}\" links to itself", path);
  // overlayfs has no links across layers: a target that only exists below is copied into this one.
  TRY_ASSIGN(const std::string target_directory, state_->view.real_path(join_path("/", join(to.parent, "/"))));
  const std::string target_path = join_path(target_directory, to.name);
  TRY_ASSIGN(const std::optional<ViewEntry> entry, state_->view.lookup(target_path));
  if (!entry || S_ISDIR(entry->status.st_mode)) {
    return make_error(Errc::invalid, "\"{}\" links to \"{}\", which is no file of the image", path, target);
  }
  if (entry->host != state_->host(target_path)) {
    if (!S_ISREG(entry->status.st_mode)) return make_error(Errc::invalid, "\"{}\" links to \"{}\"", path, target);
    TRY(state_->copy_up(target_path, *entry, *this));
  }
  TRY(state_->go(path_components(target_directory), false));
  UniqueFd target_fd{::fcntl(state_->directory(), F_DUPFD_CLOEXEC, 3)};
  if (!target_fd.valid()) return os_error("open directory \"{}\"", target_directory);
  TRY(state_->go(parts.parent, true));
  struct stat existing{};
  const std::string physical = join_path(state_->physical(), parts.name);
  if (physical == target_path) return make_error(Errc::invalid, "\"{}\" links to itself", path);
  if (::fstatat(state_->directory(), parts.name.c_str(), &existing, AT_SYMLINK_NOFOLLOW) == 0 &&
      existing.st_ino == entry->status.st_ino && existing.st_dev == entry->status.st_dev) {
    return physical;  // the same link once more
  }
  if (target_path.starts_with(physical + "/")) return make_error(Errc::invalid, "\"{}\" links into itself", path);
  TRY(state_->make_room(parts.name, false));
  if (::linkat(target_fd.get(), to.name.c_str(), state_->directory(), parts.name.c_str(), 0) != 0) {
    return os_error("link \"{}\" to \"{}\"", path, target);
  }
  return physical;
}

Result<std::string> LayerWriter::special(const std::string& path, mode_t type, dev_t device,
                                         const FileAttributes& attributes) {
  TRY_ASSIGN(const Split parts, split_path(path));
  if (parts.name.empty()) return make_error(Errc::invalid, "the root of a layer cannot be a device");
  if (S_ISCHR(type) && device == 0)
    return make_error(Errc::invalid, "\"{}\" has the device number of a whiteout", path);
  TRY(state_->go(parts.parent, true));
  TRY(state_->make_room(parts.name, false));
  const std::string physical = join_path(state_->physical(), parts.name);
  if (::mknodat(state_->directory(), parts.name.c_str(), type | 0600, device) != 0) {
    if (!state_->privileged && errno == EPERM) return physical;  // devices need root
    return os_error("make device \"{}\"", path);
  }
  TRY(state_->set_attributes(parts.name, attributes, false));
  return physical;
}

Result<void> LayerWriter::whiteout(const std::string& path) {
  TRY_ASSIGN(const Split parts, split_path(path));
  if (parts.name.empty()) return make_error(Errc::invalid, "the root of a layer cannot be removed");
  TRY(state_->go(parts.parent, true));
  const std::string physical = join_path(state_->physical(), parts.name);
  // A whiteout that hides nothing would show up in the listing of its directory.
  TRY_ASSIGN(const std::optional<ViewEntry> hidden, state_->lookup_below(physical));
  if (!hidden) return {};
  struct stat status{};
  if (::fstatat(state_->directory(), parts.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISDIR(status.st_mode)) return state_->hide(physical);
    return {};
  }
  if (::mknodat(state_->directory(), parts.name.c_str(), S_IFCHR, 0) != 0) return os_error("remove \"{}\"", path);
  return {};
}

Result<void> LayerWriter::opaque(const std::string& path) {
  TRY_ASSIGN(const Split parts, split_path(path));
  if (!parts.name.empty()) {
    std::vector<std::string> all = parts.parent;
    all.push_back(parts.name);
    TRY(state_->go(all, true));
    return state_->hide(state_->physical());
  }
  // overlayfs has no opaque root: hide every entry of it.
  TRY_ASSIGN(const std::vector<std::string> names, state_->below.list(""));
  for (const std::string& name : names) TRY(whiteout(name));
  return {};
}

Result<LayerWriter::File> LayerWriter::file(const std::string& path) {
  TRY_ASSIGN(const Split parts, split_path(path));
  if (parts.name.empty()) return make_error(Errc::invalid, "the root of a layer cannot be a file");
  TRY(state_->go(parts.parent, true));
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd fd{::openat(state_->directory(), parts.name.c_str(), kFlags, 0600)};
  if (!fd.valid() && errno == EEXIST) {
    TRY(state_->make_room(parts.name, false));
    fd.reset(::openat(state_->directory(), parts.name.c_str(), kFlags, 0600));
  }
  if (!fd.valid()) return os_error("make file \"{}\"", path);
  return File{join_path(state_->physical(), parts.name), std::move(fd)};
}

Result<void> LayerWriter::close(File file, std::uint64_t size, const FileAttributes& attributes) {
  const int fd = file.fd.get();
  TRY(state_->owner_result(::fchown(fd, attributes.uid, attributes.gid), file.path));
  if (::fchmod(fd, attributes.mode & kModeBits) != 0) return os_error("change the mode of \"{}\"", file.path);
  if (!attributes.xattrs.empty()) TRY(state_->set_xattrs(file.path, attributes));
  const timespec times[2] = {attributes.mtime, attributes.mtime};
  if (::futimens(fd, times) != 0) return os_error("set the time of \"{}\"", file.path);
  state_->bytes += size;
  return {};
}

const MergedView& LayerWriter::view() const { return state_->view; }
const std::string& LayerWriter::tree() const { return state_->tree; }
const std::vector<ReplacedPath>& LayerWriter::replaced() const { return state_->replaced; }
std::uint64_t LayerWriter::bytes() const { return state_->bytes; }

Result<void> LayerWriter::finish() {
  for (const auto& [path, time] : state_->directory_times) {
    const timespec times[2] = {time, time};
    if (::utimensat(AT_FDCWD, state_->host(path).c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
      return os_error("set the time of \"{}\"", path);
    }
  }
  state_->stack.clear();
  return {};
}

}  // namespace compose::image
