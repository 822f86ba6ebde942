#pragma once
// develop.watch of the Compose Specification (develop.md): which change of a file asks for what. Pure.
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "build/ignore.hpp"
#include "cli/args.hpp"
#include "compose/model/project.hpp"

namespace compose::cli {

/// One entry of `develop.watch` of one service.
struct WatchRule {
  std::string service;
  model::WatchTrigger trigger;  ///< path absolute, without a slash at its end
  std::string context;          ///< the service's build context, "" without one: where .dockerignore counts from
  build::IgnoreRules dockerignore{};
  build::IgnoreRules ignore{};   ///< relative to the trigger's path
  build::IgnoreRules include{};  ///< as ignore; empty: everything

  bool syncs() const { return trigger.action.starts_with("sync"); }
  /// Whether a change of `path` (absolute) concerns this rule.
  bool matches(const std::string& path) const;
  /// A folder in which nothing can match.
  bool prunes(const std::string& folder) const;
  /// Where `path` is in the container.
  std::string target_of(const std::string& path) const;
};

struct WatchRules {
  std::vector<WatchRule> rules;
  Strings warnings;  ///< entries that are left out, and why
};

/// The rules of `services` (all when empty), with `dockerignore` giving the text of the .dockerignore of a build
/// context. Errors, with their places: nothing is configured, rebuild without `build`, sync without a target.
/// What a bind mount shows in the container anyway is left out with a warning.
Result<WatchRules> watch_rules(const model::Project& project, const Strings& services,
                               const std::function<std::string(const model::Build&)>& dockerignore);

struct SyncPath {
  std::string host;
  std::string container;
  bool operator==(const SyncPath&) const = default;
};

/// What a set of changed paths asks for. A service that is rebuilt gets its files from the image: it is not synced.
struct WatchBatch {
  std::set<std::string> rebuild;
  std::map<std::string, std::vector<SyncPath>> sync;     ///< by service, sorted by path, none twice
  std::set<std::string> restart;                         ///< after the sync
  std::map<std::string, std::vector<model::Hook>> exec;  ///< after the sync
  bool empty() const { return rebuild.empty() && sync.empty() && restart.empty() && exec.empty(); }
};
WatchBatch plan_watch(const std::vector<WatchRule>& rules, const std::set<std::string>& changed);

}  // namespace compose::cli
