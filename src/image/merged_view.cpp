#include "image/merged_view.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/strings.hpp"
#include "sys/file.hpp"

namespace compose::image {

namespace {

constexpr int kMaxLinks = 40;  // as path_resolution(7)

/// How far a physical path goes in one layer.
enum class Reach {
  found,
  missing,  ///< not here, may be in a lower layer
  hidden,   ///< not here, and lower layers are hidden
};

struct Walk {
  Reach reach = Reach::missing;
  bool opaque = false;  ///< the entry itself hides what is below it
  struct stat status{};
  std::string host;
};

/// Goes component by component, so that a link of this layer is never followed.
Result<Walk> walk(const std::string& layer, const std::vector<std::string>& components) {
  Walk result;
  result.host = layer;
  if (::lstat(result.host.c_str(), &result.status) != 0) return os_error("stat \"{}\"", layer);
  result.reach = Reach::found;
  bool below_opaque = false;
  for (std::size_t i = 0; i < components.size(); ++i) {
    if (i > 0 && is_opaque(result.host)) below_opaque = true;
    result.host += "/" + components[i];
    if (::lstat(result.host.c_str(), &result.status) != 0) {
      if (errno != ENOENT) return os_error("stat \"{}\"", result.host);
      result.reach = below_opaque ? Reach::hidden : Reach::missing;
      return result;
    }
    const bool last = i + 1 == components.size();
    if (is_whiteout(result.status) || (!last && !S_ISDIR(result.status.st_mode))) {
      result.reach = Reach::hidden;
      return result;
    }
  }
  result.opaque = below_opaque || !S_ISDIR(result.status.st_mode) || (!components.empty() && is_opaque(result.host));
  return result;
}

}  // namespace

std::vector<std::string> path_components(std::string_view path) {
  std::vector<std::string> result;
  for (std::string& part : split(path, '/')) {
    if (!part.empty() && part != ".") result.push_back(std::move(part));
  }
  return result;
}

std::string clean_path(std::string_view path) { return join(path_components(path), "/"); }

std::string lexical_path(std::string_view path) {
  std::vector<std::string> result;
  for (std::string& part : path_components(path)) {
    if (part != "..") {
      result.push_back(std::move(part));
    } else if (!result.empty()) {
      result.pop_back();
    }
  }
  return join(result, "/");
}

std::string join_path(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : directory + "/" + name;
}

bool is_whiteout(const struct stat& status) {
  return S_ISCHR(status.st_mode) && major(status.st_rdev) == 0 && minor(status.st_rdev) == 0;
}

bool is_opaque(const std::string& path) {
  char value = 0;
  for (const char* name : {"trusted.overlay.opaque", "user.overlay.opaque"}) {
    if (::lgetxattr(path.c_str(), name, &value, 1) == 1 && value == 'y') return true;
  }
  return false;
}

Result<std::optional<ViewEntry>> MergedView::lookup(const std::string& physical) const {
  const std::vector<std::string> components = path_components(physical);
  for (const std::string& layer : layers_) {
    TRY_ASSIGN(Walk step, walk(layer, components));
    if (step.reach == Reach::found) return std::optional{ViewEntry{join(components, "/"), step.host, step.status}};
    if (step.reach == Reach::hidden) break;
  }
  return std::optional<ViewEntry>{};
}

Result<std::optional<ViewEntry>> MergedView::resolve(std::string_view path, bool follow_last) const {
  std::vector<std::string> left = path_components(path);
  std::reverse(left.begin(), left.end());
  std::string physical;
  int links = 0;
  TRY_ASSIGN(std::optional<ViewEntry> entry, lookup(""));
  while (!left.empty() && entry) {
    const std::string name = std::move(left.back());
    left.pop_back();
    if (name == "..") {
      physical.resize(physical.find('/') == std::string::npos ? 0 : physical.rfind('/'));
      TRY_ASSIGN(entry, lookup(physical));
      continue;
    }
    const std::string candidate = join_path(physical, name);
    TRY_ASSIGN(entry, lookup(candidate));
    if (!entry) break;
    if (!S_ISLNK(entry->status.st_mode) || (left.empty() && !follow_last)) {
      physical = candidate;
      continue;
    }
    if (++links > kMaxLinks) return make_error(Errc::invalid, "\"{}\": too many levels of symbolic links", path);
    TRY_ASSIGN(const std::string target, read_link(*entry));
    if (target.starts_with('/')) physical.clear();
    std::vector<std::string> parts = path_components(target);
    left.insert(left.end(), std::make_move_iterator(parts.rbegin()), std::make_move_iterator(parts.rend()));
    if (left.empty()) {
      TRY_ASSIGN(entry, lookup(physical));
    }
  }
  return entry;
}

Result<std::string> MergedView::real_path(std::string_view path) const {
  const std::vector<std::string> components = path_components(path);
  std::string existing;  // physical, as far as it exists
  for (std::size_t i = 0; i < components.size(); ++i) {
    const std::string candidate = existing + "/" + components[i];
    TRY_ASSIGN(const std::optional<ViewEntry> entry, resolve(candidate));
    if (entry) {
      existing = entry->path;
      continue;
    }
    // A link to something that is not there yet: what will be made is the link's target.
    TRY_ASSIGN(const std::optional<ViewEntry> link, resolve(candidate, false));
    std::string rest;
    if (link) {
      TRY_ASSIGN(const std::string target, read_link(*link));
      existing = target.starts_with('/') ? target : existing + "/" + target;
    } else {
      existing += "/" + components[i];
    }
    for (std::size_t j = i + 1; j < components.size(); ++j) existing += "/" + components[j];
    return lexical_path(existing);
  }
  return clean_path(existing);
}

Result<std::vector<std::string>> MergedView::list(const std::string& physical) const {
  const std::vector<std::string> components = path_components(physical);
  std::map<std::string, bool> names;  // name → visible; the first layer to mention it decides
  for (const std::string& layer : layers_) {
    TRY_ASSIGN(const Walk step, walk(layer, components));
    if (step.reach == Reach::hidden) break;
    if (step.reach == Reach::missing) continue;
    if (!S_ISDIR(step.status.st_mode)) break;
    TRY_ASSIGN(const std::vector<std::string> here, sys::list_directory(step.host));
    for (const std::string& name : here) {
      struct stat status{};
      const bool visible = ::lstat((step.host + "/" + name).c_str(), &status) == 0 && !is_whiteout(status);
      names.emplace(name, visible);
    }
    if (step.opaque) break;
  }
  std::vector<std::string> result;
  for (const auto& [name, visible] : names) {
    if (visible) result.push_back(name);
  }
  return result;
}

Result<std::string> MergedView::read_link(const ViewEntry& entry) const {
  std::string target(4096, '\0');
  const ssize_t size = ::readlink(entry.host.c_str(), target.data(), target.size());
  if (size < 0) return os_error("read link \"{}\"", entry.path);
  target.resize(static_cast<std::size_t>(size));
  return target;
}

Result<std::optional<std::string>> MergedView::read_file(std::string_view path, std::size_t limit) const {
  TRY_ASSIGN(const std::optional<ViewEntry> entry, resolve(path));
  if (!entry || !S_ISREG(entry->status.st_mode)) return std::optional<std::string>{};
  TRY_ASSIGN(std::string text, sys::read_file(entry->host, limit));
  return std::optional{std::move(text)};
}

}  // namespace compose::image
