// Choosing the files of COPY and ADD.
#include <fcntl.h>

#include <algorithm>
#include <array>

#include "build/copy.hpp"
#include "image/byte_stream.hpp"

namespace compose::build {

namespace {

using image::ViewEntry;

std::string base_name(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

/// Lists and walks a tree; children of a directory of the host need no lookup through the layers.
class Walker {
 public:
  Walker(const SourceTree& tree, const CopyOptions& options) : tree_{tree}, exclude_{options.exclude} {}

  bool ignored(const std::string& path) const { return tree_.ignore.ignored(path); }

  Result<std::vector<ViewEntry>> children(const ViewEntry& directory) const {
    TRY_ASSIGN(const std::vector<std::string> names, tree_.view.list(directory.path));
    std::vector<ViewEntry> result;
    for (const std::string& name : names) {
      const std::string path = image::join_path(directory.path, name);
      if (tree_.view.layers().size() == 1) {
        ViewEntry entry{path, directory.host + "/" + name, {}};
        if (::lstat(entry.host.c_str(), &entry.status) != 0) return os_error("stat \"{}\"", entry.host);
        result.push_back(std::move(entry));
        continue;
      }
      TRY_ASSIGN(std::optional<ViewEntry> entry, tree_.view.lookup(path));
      if (entry) result.push_back(std::move(*entry));
    }
    return result;
  }

  /// Everything below a directory, parents first. `relative` is the directory's own place in the copy.
  Result<void> collect(const ViewEntry& directory, const std::string& relative, const std::string& target,
                       std::vector<CopyItem>& items) const {
    TRY_ASSIGN(const std::vector<ViewEntry> entries, children(directory));
    for (const ViewEntry& entry : entries) {
      const std::string name = base_name(entry.path);
      const std::string place = image::join_path(relative, name);
      const bool is_directory = S_ISDIR(entry.status.st_mode);
      const bool skip = ignored(entry.path) || exclude_.ignored(place);
      const bool look_inside =
          is_directory && (tree_.ignore.may_contain_exceptions(entry.path) || exclude_.may_contain_exceptions(place));
      if (skip && !look_inside) continue;
      if (S_ISSOCK(entry.status.st_mode)) continue;  // a layer cannot have one
      if (!skip) items.push_back({image::join_path(target, name), entry, false});
      if (is_directory) TRY(collect(entry, place, image::join_path(target, name), items));
    }
    return {};
  }

  /// Entries a pattern names, sorted, links of the last component not followed.
  Result<std::vector<ViewEntry>> matches(const std::string& pattern) const {
    const std::string clean = image::lexical_path(pattern);
    std::vector<ViewEntry> current;
    TRY_ASSIGN(const std::optional<ViewEntry> root, tree_.view.lookup(""));
    if (root) current.push_back(*root);
    for (const std::string& part : image::path_components(clean)) {
      std::vector<ViewEntry> next;
      for (const ViewEntry& entry : current) {
        if (part == "**") {
          TRY(with_folders_below(entry, next));
        } else {
          TRY(step(entry, part, next));
        }
      }
      current = std::move(next);
    }
    return current;
  }

 private:
  /// "**": the folder itself and every folder below; links are not followed, so this ends.
  Result<void> with_folders_below(const ViewEntry& folder, std::vector<ViewEntry>& next) const {
    if (!S_ISDIR(folder.status.st_mode)) return {};
    next.push_back(folder);
    TRY_ASSIGN(const std::vector<ViewEntry> entries, children(folder));
    for (const ViewEntry& entry : entries) TRY(with_folders_below(entry, next));
    return {};
  }

  Result<void> step(const ViewEntry& from, const std::string& part, std::vector<ViewEntry>& next) const {
    TRY_ASSIGN(const std::optional<ViewEntry> directory, tree_.view.resolve(from.path));
    if (!directory || !S_ISDIR(directory->status.st_mode)) return {};
    if (!has_wildcard(part)) {
      std::string name;
      for (std::size_t i = 0; i < part.size(); ++i) {
        if (part[i] == '\\' && i + 1 < part.size()) ++i;
        name += part[i];
      }
      TRY_ASSIGN(std::optional<ViewEntry> entry, tree_.view.lookup(image::join_path(directory->path, name)));
      if (entry) next.push_back(std::move(*entry));
      return {};
    }
    TRY_ASSIGN(const std::vector<ViewEntry> entries, children(*directory));
    for (const ViewEntry& entry : entries) {
      if (path_matches(part, base_name(entry.path))) next.push_back(entry);
    }
    return {};
  }

  const SourceTree& tree_;
  IgnoreRules exclude_;
};

bool is_tar(const std::string& host) {
  UniqueFd fd{::open(host.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd.valid()) return false;
  Result<image::ByteReaderPtr> plain = image::decompress(image::read_fd(std::move(fd)));
  if (!plain) return false;
  std::array<char, 512> block{};
  std::size_t size = 0;
  while (size < block.size()) {
    const Result<std::size_t> got = (*plain)->read(block.data() + size, block.size() - size);
    if (!got || *got == 0) return false;
    size += *got;
  }
  return std::string_view{block.data() + 257, 5} == "ustar";
}

/// Where "/./" stands in a source of --parents: what is before it is not kept (Dockerfile reference, COPY --parents).
struct ParentsSource {
  std::string pattern;
  std::size_t dropped = 0;  ///< components of a match that are not kept
};

ParentsSource split_pivot(const std::string& source) {
  const std::size_t pivot = source.find("/./", source.starts_with("./") ? 1 : 0);
  if (pivot == std::string::npos) return {source, 0};
  return {source.substr(0, pivot) + source.substr(pivot + 2), image::path_components(source.substr(0, pivot)).size()};
}

/// The path of a match below the destination.
std::string kept_parents(const std::string& path, std::size_t dropped) {
  std::string kept;
  const std::vector<std::string> components = image::path_components(path);
  for (std::size_t i = dropped; i < components.size(); ++i) kept = image::join_path(kept, components[i]);
  return kept;
}

class Planner {
 public:
  Planner(const SourceTree& tree, const CopyOptions& options)
      : tree_{tree}, options_{options}, walker_{tree, options}, exclude_{options.exclude} {
    plan_.into_directory = options.destination.ends_with('/') || options.parents;
  }

  Result<void> add(const std::string& source) {
    const ParentsSource split = options_.parents ? split_pivot(source) : ParentsSource{source, 0};
    TRY_ASSIGN(const std::vector<ViewEntry> matches, walker_.matches(split.pattern));
    bool any = false;
    for (const ViewEntry& match : matches) {
      TRY_ASSIGN(const bool taken, add_match(match, split.dropped));
      any = any || taken;
    }
    if (matches.size() > 1) plan_.into_directory = true;
    // As with Docker a pattern may find nothing; a name may not.
    if (any || has_wildcard(source)) return {};
    return make_error(Errc::not_found, "\"{}\" is not there{}", source,
                      matches.empty() ? "" : " (.dockerignore leaves it out)");
  }
  CopyPlan take() && { return std::move(plan_); }

 private:
  Result<bool> add_match(const ViewEntry& match, std::size_t dropped) {
    if (!match.path.empty() && walker_.ignored(match.path) && !tree_.ignore.may_contain_exceptions(match.path))
      return false;
    TRY_ASSIGN(const std::optional<ViewEntry> entry, tree_.view.resolve(match.path));
    if (!entry) return false;
    std::string target = options_.parents ? kept_parents(match.path, dropped) : "";
    if (S_ISDIR(entry->status.st_mode)) {
      plan_.into_directory = true;
      plan_.items.push_back({target, *entry, false});
      TRY(walker_.collect(*entry, "", target, plan_.items));
      return true;
    }
    const std::string name = base_name(match.path);
    if (exclude_.ignored(name)) return true;
    if (!options_.parents) target = name;
    plan_.items.push_back({target, *entry, options_.unpack && is_tar(entry->host)});
    return true;
  }

  const SourceTree& tree_;
  const CopyOptions& options_;
  Walker walker_;
  IgnoreRules exclude_;
  CopyPlan plan_;
};

}  // namespace

Result<CopyPlan> plan_copy(const SourceTree& tree, const CopyOptions& options) {
  if (options.sources.size() > 1 && !options.destination.ends_with('/'))
    return make_error(Errc::invalid, "with several sources the destination must end with \"/\"");
  Planner planner{tree, options};
  for (const std::string& source : options.sources) TRY(planner.add(source));
  return std::move(planner).take();
}

}  // namespace compose::build
