#include "cli/watch_rules.hpp"

#include <algorithm>

#include "base/strings.hpp"

namespace compose::cli {
namespace {

/// What editors write beside a file while it is edited, and version control's own folder.
const build::IgnoreRules& passing_files() {
  static const build::IgnoreRules rules{Strings{"**/.git", "**/.DS_Store", "**/.idea", "**/.nova", "**/*.swp",
                                                "**/*.swx", "**/.*.sw?", "**/4913", "**/.#*", "**/*~", "**/#*#"}};
  return rules;
}

/// `path` relative to `folder`: "" for itself, nothing when it is outside.
std::optional<std::string> relative_to(const std::string& path, const std::string& folder) {
  if (path == folder) return std::string{};
  if (folder == "/") return path.substr(1);
  if (path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/')
    return path.substr(folder.size() + 1);
  return std::nullopt;
}

std::string without_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

bool is_ignored(const WatchRule& rule, const std::string& path, const std::string& below) {
  if (!below.empty() && (passing_files().ignored(below) || rule.ignore.ignored(below))) return true;
  if (rule.context.empty()) return false;
  const auto in_context = relative_to(path, rule.context);
  return in_context && !in_context->empty() && rule.dockerignore.ignored(*in_context);
}

bool bind_shows(const model::Service& service, const std::string& path) {
  return std::any_of(service.volumes.begin(), service.volumes.end(), [&](const model::Mount& mount) {
    return mount.type == "bind" && relative_to(path, without_slash(mount.source));
  });
}

Result<void> check_trigger(const model::Project& project, const model::Service& service, std::size_t index) {
  const model::WatchTrigger& trigger = service.watch[index];
  const auto wrong = [&](std::string_view what) {
    const auto place = project.where(fmt::format("services.{}.develop.watch[{}]", service.name, index));
    return make_error(Errc::invalid, "{}service \"{}\": {}", place.known() ? place.to_string() + ": " : std::string{},
                      service.name, what);
  };
  if (trigger.action == "rebuild" && !service.build)
    return wrong("\"rebuild\" needs a build section; without one use sync or restart");
  if (trigger.action.starts_with("sync") && trigger.target.empty())
    return wrong(fmt::format("\"{}\" needs a target: the path in the container", trigger.action));
  if (trigger.action == "sync+exec" && (!trigger.exec || !trigger.exec->command || trigger.exec->command->empty()))
    return wrong("\"sync+exec\" needs exec.command: what to run after the sync");
  return {};
}

}  // namespace

bool WatchRule::matches(const std::string& path) const {
  const auto below = relative_to(path, trigger.path);
  if (!below || is_ignored(*this, path, *below)) return false;
  return include.empty() || below->empty() || include.ignored(*below);
}

bool WatchRule::prunes(const std::string& folder) const {
  const auto below = relative_to(folder, trigger.path);
  if (!below) return !relative_to(trigger.path, folder);  // a folder above the path is on the way to it
  if (below->empty() || !is_ignored(*this, folder, *below)) return false;
  return !ignore.may_contain_exceptions(*below) &&
         (context.empty() || !dockerignore.may_contain_exceptions(relative_to(folder, context).value_or("")));
}

std::string WatchRule::target_of(const std::string& path) const {
  const std::string below = relative_to(path, trigger.path).value_or("");
  const std::string target = without_slash(trigger.target);
  if (below.empty()) return target;
  return target == "/" ? "/" + below : target + "/" + below;
}

Result<WatchRules> watch_rules(const model::Project& project, const Strings& services,
                               const std::function<std::string(const model::Build&)>& dockerignore) {
  WatchRules found;
  bool configured = false;
  for (const auto& [name, service] : project.services) {
    if (!services.empty() && std::find(services.begin(), services.end(), name) == services.end()) continue;
    for (std::size_t index = 0; index < service.watch.size(); ++index) {
      configured = true;
      TRY(check_trigger(project, service, index));
      WatchRule rule{name, service.watch[index], service.build ? service.build->context : std::string{}};
      rule.trigger.path = without_slash(rule.trigger.path);
      if (rule.syncs() && bind_shows(service, rule.trigger.path)) {
        found.warnings.push_back(fmt::format(
            "service \"{}\": {} is bind mounted too, so its changes are there already and it is not watched", name,
            rule.trigger.path));
        continue;
      }
      if (service.build) rule.dockerignore = build::IgnoreRules{dockerignore(*service.build)};
      rule.ignore = build::IgnoreRules{rule.trigger.ignore};
      rule.include = build::IgnoreRules{rule.trigger.include};
      found.rules.push_back(std::move(rule));
    }
  }
  if (!configured)
    return make_error(Errc::invalid,
                      "none of the selected services is configured for watch: give one a \"develop\" section with "
                      "\"watch\"");
  return found;
}

WatchBatch plan_watch(const std::vector<WatchRule>& rules, const std::set<std::string>& changed) {
  WatchBatch batch;
  std::map<std::string, std::map<std::string, SyncPath>> sync;
  for (const WatchRule& rule : rules) {
    bool hit = false;
    for (const std::string& path : changed) {
      if (!rule.matches(path)) continue;
      hit = true;
      if (rule.syncs()) {
        const std::string target = rule.target_of(path);
        sync[rule.service].insert_or_assign(target, SyncPath{path, target});
      }
    }
    if (!hit) continue;
    if (rule.trigger.action == "rebuild") batch.rebuild.insert(rule.service);
    if (rule.trigger.action == "restart" || rule.trigger.action == "sync+restart") batch.restart.insert(rule.service);
    if (rule.trigger.action == "sync+exec") batch.exec[rule.service].push_back(*rule.trigger.exec);
  }
  for (const std::string& service : batch.rebuild) {
    sync.erase(service);
    batch.restart.erase(service);
    batch.exec.erase(service);
  }
  for (auto& [service, paths] : sync)
    for (auto& [target, path] : paths) batch.sync[service].push_back(std::move(path));
  return batch;
}

}  // namespace compose::cli
