#include "supervisor/policy/dependency.hpp"

#include <algorithm>

namespace compose::supervisor::policy {

bool ready(const Member& member) { return member.up && !member.hooks_pending && (!member.probed || member.healthy); }

namespace {

bool on_its_way(const Member& member, model::Condition condition) {
  if (member.stop_requested) return false;
  if (condition == model::Condition::completed_successfully) return member.busy;
  if (!member.up) return member.busy;
  return condition == model::Condition::healthy && member.probed && !member.healthy;
}

}  // namespace

std::string awaited(const Member& member, std::span<const Member> others) {
  const auto keeps = [&](const std::string& service, model::Condition condition) {
    return std::ranges::any_of(
        others, [&](const Member& other) { return other.service == service && on_its_way(other, condition); });
  };
  for (const auto& [service, how] : member.depends_on) {
    if (how.required && keeps(service, how.condition)) return service;
  }
  for (const std::string& service : member.shares_with) {
    if (keeps(service, model::Condition::started)) return service;
  }
  return "";
}

std::vector<std::string> dependents(const std::string& service, std::span<const Member> others) {
  std::set<std::string> found;
  for (const Member& other : others) {
    if (!other.up) continue;
    const auto dependency = other.depends_on.find(service);
    const bool asks = dependency != other.depends_on.end() && dependency->second.restart;
    const bool shares = std::ranges::find(other.shares_with, service) != other.shares_with.end();
    if (asks || shares) found.insert(other.service);
  }
  return {found.begin(), found.end()};
}

bool Crashes::recovered(const Member& member) {
  if (member.restarting && !member.stop_requested) {
    crashed_.insert(member.id);
    return false;
  }
  if (!member.busy) {
    crashed_.erase(member.id);
    return false;
  }
  return ready(member) && crashed_.erase(member.id) != 0;
}

}  // namespace compose::supervisor::policy
