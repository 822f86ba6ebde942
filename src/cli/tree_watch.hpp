#pragma once
// Folders and files under inotify(7): what has changed below them, new folders included.
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::cli {

class TreeWatch {
 public:
  /// Says of a folder (absolute path) that nothing in it matters.
  using Prune = std::function<bool(const std::string& folder)>;

  /// `paths` are absolute; one that does not exist yet is seen when it appears, its folder must exist. Symbolic links
  /// below them are not followed. Errc::busy when the user's limit of watches is reached.
  static Result<TreeWatch> open(const std::vector<std::string>& paths, Prune prune);

  /// Readable when something has changed.
  int fd() const { return fd_.get(); }

  struct Changes {
    std::set<std::string> paths;  ///< written, made, removed or given other rights
    bool lost = false;            ///< the kernel's queue overflowed: anything may have changed
  };
  /// Everything since the last call, without waiting. Folders that have appeared are reported with all that is in them.
  Result<Changes> read();

  /// Everything there is below the paths, as if it had just appeared.
  std::set<std::string> everything() const;

 private:
  struct Place {
    std::string folder;
    bool whole = false;             ///< all names and all folders below
    std::set<std::string> names{};  ///< else only these
  };
  TreeWatch(UniqueFd fd, std::vector<std::string> paths, Prune prune)
      : fd_{std::move(fd)}, paths_{std::move(paths)}, prune_{std::move(prune)} {}
  Result<void> add_root(const std::string& path);
  Result<void> add_place(const std::string& folder, const std::string& only_name);
  Result<void> add_tree(const std::string& folder, std::set<std::string>* seen);
  Result<void> appeared(const std::string& path, Changes& changes);
  void forget_below(const std::string& folder);

  UniqueFd fd_;
  std::vector<std::string> paths_;
  Prune prune_;
  std::map<int, std::vector<Place>> places_;  ///< by watch descriptor; one folder may be known by two paths
};

}  // namespace compose::cli
