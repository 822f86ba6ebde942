#include "container/layered_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <set>

#include "base/strings.hpp"
#include "sys/file.hpp"

namespace compose::container {
namespace {

constexpr int kMostLinks = 40;  // as the kernel: MAXSYMLINKS
constexpr std::size_t kLargestFile = 1 << 20;

bool is_whiteout(const struct stat& info) { return S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0); }

bool is_opaque(int fd) {
  for (const char* name : {"trusted.overlay.opaque", "user.overlay.opaque"}) {
    char value = 0;
    if (::fgetxattr(fd, name, &value, 1) == 1 && value == 'y') return true;
  }
  return false;
}

UniqueFd open_directory_at(int directory, const std::string& name) {
  return UniqueFd{
      retry_eintr([&] { return ::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); })};
}

Result<std::string> read_link(int directory, const std::string& name) {
  std::string text(4096, '\0');
  const ssize_t size = ::readlinkat(directory, name.c_str(), text.data(), text.size());
  if (size < 0) return os_error("read link \"{}\"", name);
  text.resize(static_cast<std::size_t>(size));
  return text;
}

Result<std::vector<std::string>> names_in(int directory) {
  UniqueFd fresh = open_directory_at(directory, ".");  // an offset of our own
  if (!fresh.valid()) return os_error("open directory");
  const std::unique_ptr<DIR, int (*)(DIR*)> stream{::fdopendir(fresh.get()), &::closedir};
  if (!stream) return os_error("read directory");
  (void)fresh.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
    errno = 0;
  }
  if (errno != 0) return os_error("read directory");
  return names;
}

}  // namespace

Result<std::optional<MergedDirectory::Entry>> MergedDirectory::find(const std::string& name) const {
  for (const auto& part : parts_) {
    Entry entry;
    if (::fstatat(part->get(), name.c_str(), &entry.info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) continue;
      return os_error("look up \"{}\"", name);
    }
    if (is_whiteout(entry.info)) break;
    entry.name = name;
    entry.layer_fd = part->get();
    return std::optional{std::move(entry)};
  }
  return std::optional<Entry>{};
}

Result<std::vector<MergedDirectory::Entry>> MergedDirectory::list() const {
  std::set<std::string> names;
  for (const auto& part : parts_) {
    TRY_ASSIGN(const auto more, names_in(part->get()));
    names.insert(more.begin(), more.end());
  }
  std::vector<Entry> entries;
  for (const auto& name : names) {
    TRY_ASSIGN(auto entry, find(name));
    if (entry) entries.push_back(std::move(*entry));
  }
  return entries;
}

Result<std::vector<std::string>> MergedDirectory::paths() const {
  std::vector<std::string> result;
  for (const auto& part : parts_) {
    std::array<char, 4096> path{};
    const std::string link = fmt::format("/proc/self/fd/{}", part->get());
    const ssize_t size = ::readlink(link.c_str(), path.data(), path.size());
    if (size < 0) return os_error("read \"{}\"", link);
    result.emplace_back(path.data(), static_cast<std::size_t>(size));
  }
  return result;
}

Result<MergedDirectory> MergedDirectory::open(const std::string& name) const {
  MergedDirectory result;
  for (const auto& part : parts_) {
    struct stat info {};
    if (::fstatat(part->get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (!S_ISDIR(info.st_mode)) break;  // a whiteout or a file hides what is below
    UniqueFd fd = open_directory_at(part->get(), name);
    if (!fd.valid()) return os_error("open directory \"{}\"", name);
    const bool opaque = is_opaque(fd.get());
    result.parts_.push_back(std::make_shared<UniqueFd>(std::move(fd)));
    if (opaque) break;
  }
  if (result.parts_.empty()) return make_error(Errc::not_found, "\"{}\" is not a directory", name);
  return result;
}

struct LayeredTree::Found {
  MergedDirectory parent;
  MergedDirectory::Entry entry;              ///< name "" for the root
  std::optional<MergedDirectory> directory;  ///< when it is one
};

Result<LayeredTree> LayeredTree::open(const std::vector<std::string>& layers) {
  LayeredTree tree;
  for (const auto& layer : layers) {
    auto fd = std::make_shared<UniqueFd>(
        retry_eintr([&] { return ::open(layer.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
    if (!fd->valid()) return os_error("open layer \"{}\"", layer);
    tree.root_.parts_.push_back(std::move(fd));
  }
  if (layers.empty()) return make_error(Errc::invalid, "an image without layers");
  return tree;
}

Result<std::optional<LayeredTree::Found>> LayeredTree::resolve(const std::string& path) const {
  std::deque<std::string> left;
  for (auto& part : split(path, '/')) left.push_back(std::move(part));
  std::vector<MergedDirectory> stack{root_};
  std::optional<MergedDirectory::Entry> last;
  int links = 0;
  while (!left.empty()) {
    const std::string name = std::move(left.front());
    left.pop_front();
    if (name.empty() || name == ".") continue;
    if (last) return std::optional<Found>{};  // something below a file
    if (name == "..") {
      if (stack.size() > 1) stack.pop_back();
      continue;
    }
    TRY_ASSIGN(auto entry, stack.back().find(name));
    if (!entry) return std::optional<Found>{};
    if (S_ISLNK(entry->info.st_mode)) {
      if (++links > kMostLinks) return os_error_from(ELOOP, fmt::format("look up \"{}\"", path));
      TRY_ASSIGN(const std::string target, read_link(entry->layer_fd, name));
      if (target.starts_with('/')) stack.resize(1);
      const auto parts = split(target, '/');
      left.insert(left.begin(), parts.begin(), parts.end());
    } else if (S_ISDIR(entry->info.st_mode)) {
      TRY_ASSIGN(auto next, stack.back().open(name));
      stack.push_back(std::move(next));
    } else {
      last = std::move(entry);
    }
  }
  Found found{stack.back(), {}, std::nullopt};
  if (last) {
    found.entry = std::move(*last);
  } else {
    found.directory = stack.back();
  }
  return std::optional{std::move(found)};
}

Result<std::optional<MergedDirectory>> LayeredTree::directory(const std::string& path) const {
  TRY_ASSIGN(auto found, resolve(path));
  if (!found) return std::optional<MergedDirectory>{};
  return std::move(found->directory);
}

Result<std::optional<std::string>> LayeredTree::read_file(const std::string& path) const {
  TRY_ASSIGN(const auto found, resolve(path));
  if (!found || found->directory || !S_ISREG(found->entry.info.st_mode)) return std::optional<std::string>{};
  const UniqueFd fd{::openat(found->entry.layer_fd, found->entry.name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd.valid()) return os_error("open \"{}\"", path);
  TRY_ASSIGN(std::string content, sys::read_all(fd.get(), kLargestFile));
  return std::optional{std::move(content)};
}

}  // namespace compose::container
