#include "cli/tree_watch.hpp"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/strings.hpp"
#include "sys/file.hpp"

namespace compose::cli {
namespace {

// IN_CLOSE_WRITE and not IN_MODIFY: a file is of use when it is whole. IN_CREATE stands for links and empty files.
constexpr std::uint32_t kMask =
    IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_ONLYDIR | IN_EXCL_UNLINK;

bool is_folder(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string join_path(const std::string& folder, const std::string& name) {
  return folder == "/" ? "/" + name : folder + "/" + name;
}

void list_tree(const std::string& path, const TreeWatch::Prune& prune, std::set<std::string>& seen) {
  seen.insert(path);
  if (!is_folder(path) || prune(path)) return;
  const auto names = sys::list_directory(path);
  if (!names) return;  // it may have gone since
  for (const std::string& name : *names) list_tree(join_path(path, name), prune, seen);
}

}  // namespace

Result<TreeWatch> TreeWatch::open(const std::vector<std::string>& paths, Prune prune) {
  UniqueFd fd{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
  if (!fd.valid()) return os_error("following changes of files (inotify)");
  TreeWatch watch{std::move(fd), paths, std::move(prune)};
  for (const std::string& path : paths) TRY(watch.add_root(path));
  return watch;
}

Result<void> TreeWatch::add_root(const std::string& path) {
  const std::string parent = parent_of(path);
  // Its folder too, by its name alone: a root that is replaced (git checkout) or a file that is renamed over.
  if (path != "/") TRY(add_place(parent, path.substr(path.rfind('/') + 1)).with("{} cannot be watched", path));
  if (is_folder(path)) TRY(add_tree(path, nullptr));
  return {};
}

Result<void> TreeWatch::add_place(const std::string& folder, const std::string& only_name) {
  const int wd = ::inotify_add_watch(fd_.get(), folder.c_str(), kMask);
  if (wd < 0 && errno == ENOSPC)
    return make_error(Errc::busy,
                      "too many folders to follow: leave some out with \"ignore\", or raise the limit with \"sysctl "
                      "fs.inotify.max_user_watches=524288\"");
  if (wd < 0) return os_error("following {}", folder);
  std::vector<Place>& places = places_[wd];
  auto place = std::find_if(places.begin(), places.end(), [&](const Place& one) { return one.folder == folder; });
  if (place == places.end()) place = places.insert(places.end(), Place{folder});
  if (only_name.empty()) {
    place->whole = true;
  } else {
    place->names.insert(only_name);
  }
  return {};
}

/// The watch comes before the listing, so nothing that appears meanwhile is missed.
Result<void> TreeWatch::add_tree(const std::string& folder, std::set<std::string>* seen) {
  if (seen != nullptr) seen->insert(folder);
  if (prune_(folder)) return {};
  if (const auto added = add_place(folder, {}); !added) {
    if (added.error().sys_errno() == ENOENT || added.error().sys_errno() == ENOTDIR) return {};  // gone since
    return added;
  }
  const auto names = sys::list_directory(folder);
  if (!names) return {};
  for (const std::string& name : *names) {
    const std::string path = join_path(folder, name);
    if (is_folder(path)) {
      TRY(add_tree(path, seen));
    } else if (seen != nullptr) {
      seen->insert(path);
    }
  }
  return {};
}

void TreeWatch::forget_below(const std::string& folder) {
  for (auto entry = places_.begin(); entry != places_.end();) {
    std::erase_if(entry->second, [&](const Place& place) {
      return place.whole && (place.folder == folder || place.folder.starts_with(folder + "/"));
    });
    if (!entry->second.empty()) {
      ++entry;
      continue;
    }
    ::inotify_rm_watch(fd_.get(), entry->first);
    entry = places_.erase(entry);
  }
}

Result<void> TreeWatch::appeared(const std::string& path, Changes& changes) {
  changes.paths.insert(path);
  if (!is_folder(path)) return {};
  return add_tree(path, &changes.paths);
}

Result<TreeWatch::Changes> TreeWatch::read() {
  Changes changes;
  alignas(inotify_event) std::array<char, 65536> buffer;
  while (true) {
    const ssize_t size = ::read(fd_.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return changes;
    if (size <= 0) return os_error("reading changes of files");
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      at += static_cast<ssize_t>(sizeof *event + event->len);
      if ((event->mask & IN_Q_OVERFLOW) != 0) changes.lost = true;
      if ((event->mask & IN_IGNORED) != 0) places_.erase(event->wd);
      const auto known = places_.find(event->wd);
      if (known == places_.end() || event->len == 0) continue;
      const std::string name{event->name};
      const std::vector<Place> places = known->second;  // a copy: what appears may add some
      for (const Place& place : places) {
        if (!place.whole && !place.names.contains(name)) continue;
        const std::string path = join_path(place.folder, name);
        if ((event->mask & IN_ISDIR) != 0 && (event->mask & (IN_MOVED_FROM | IN_DELETE)) != 0) forget_below(path);
        if ((event->mask & (IN_CREATE | IN_MOVED_TO)) != 0) {
          TRY(appeared(path, changes));
        } else {
          changes.paths.insert(path);
        }
      }
    }
  }
}

std::set<std::string> TreeWatch::everything() const {
  std::set<std::string> seen;
  for (const std::string& path : paths_) list_tree(path, prune_, seen);
  return seen;
}

}  // namespace compose::cli
