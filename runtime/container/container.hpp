#pragma once
// A container as compose-runtime finds it below its root directory.
#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "runtime/cgroup/cgroup.hpp"
#include "runtime/launch/plan.hpp"

namespace compose::runtime::container {

/// Letters, digits and "_+-." up to 1024, not "." or "..": an id becomes a folder's name.
Result<void> check_id(const std::string& id);

class Container {
 public:
  enum class Status { created, running, paused, stopped };

  /// Errc::not_found: "container \"x\" does not exist".
  static Result<Container> load(const std::string& root, const std::string& id);
  /// Ids of all containers below `root`, sorted.
  static Result<std::vector<std::string>> list(const std::string& root);

  const std::string& id() const { return id_; }
  const std::string& directory() const { return directory_; }
  const std::string& bundle() const { return bundle_; }
  const std::string& rootfs() const { return rootfs_; }
  const std::string& created() const { return created_; }
  const std::string& owner() const { return owner_; }
  const std::map<std::string, std::string>& annotations() const { return annotations_; }
  /// 0 when its process has ended.
  pid_t pid() const { return alive() ? pid_ : 0; }
  /// The process exists, is the one that was recorded, and is no zombie.
  bool alive() const;
  Status status() const;
  static const char* name(Status status);

  /// A pidfd of the first process, checked against its start time after opening; Errc::not_found when it has ended.
  Result<UniqueFd> open_process() const;
  std::string start_socket() const { return directory_ + "/start.sock"; }
  /// Control groups; nothing when it has none.
  std::optional<cgroup::Group> group() const;
  Result<launch::LaunchPlan> plan() const;
  /// The state object of the specification.
  std::string state_json() const;
  /// Control groups and files; the processes must be gone.
  Result<void> remove() const;

 private:
  std::string id_, directory_, bundle_, rootfs_, created_, owner_, cgroup_path_;
  std::map<std::string, std::string> annotations_;
  pid_t pid_ = 0;
  std::uint64_t start_time_ = 0;
};

}  // namespace compose::runtime::container
