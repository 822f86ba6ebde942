#include "supervisor/recovery.hpp"

#include <algorithm>

namespace compose::supervisor {

bool ready(const Container& container) {
  const state::ContainerRecord& record = container.record;
  if (!container.up() || record.hooks_pending) return false;
  return record.healthcheck.test.empty() || record.health.status == "healthy";
}

void Recovery::changed(const Container& container) {
  const state::ContainerRecord& record = container.record;
  if (record.one_off) return;
  if (record.restarting && !container.stop_requested) {
    crashed_.insert(record.id);
    return;
  }
  if (!container.busy()) {
    crashed_.erase(record.id);
    return;
  }
  if (!ready(container) || crashed_.erase(record.id) == 0) return;
  if (const auto services = dependents(record.service); !services.empty()) restart_(services);
}

std::vector<std::string> Recovery::dependents(const std::string& service) const {
  std::set<std::string> found;
  for (const auto& [id, container] : containers_.all()) {
    const state::ContainerRecord& record = container->record;
    if (record.one_off || !container->up()) continue;
    const auto dependency = record.depends_on.find(service);
    const bool asks = dependency != record.depends_on.end() && dependency->second.restart;
    const bool shares = std::ranges::find(record.shares_with, service) != record.shares_with.end();
    // One that started after the crash is as it should be: it has waited for it.
    if (asks || shares) found.insert(record.service);
  }
  return {found.begin(), found.end()};
}

}  // namespace compose::supervisor
