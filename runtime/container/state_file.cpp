#include "runtime/container/state_file.hpp"

#include <time.h>

#include "runtime/launch/hooks.hpp"
#include "runtime/monitor/log_format.hpp"
#include "sys/file.hpp"

namespace compose::runtime::container {

Result<void> save(const std::string& directory, const launch::LaunchPlan& plan, std::string_view serialized,
                  const Identity& identity) {
  using launch::json_string;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  std::string json = fmt::format(
      R"({{"ociVersion":"1.3.0","id":{},"pid":{},"start_time":{},"bundle":{},"rootfs":{},"created":"{}","owner":{},"project":{},"cgroup_path":{},"annotations":{{)",
      json_string(plan.container_id), identity.pid, identity.start_time, json_string(plan.bundle),
      json_string(plan.root), monitor::format_time(now), json_string(identity.owner), json_string(identity.project),
      json_string(plan.use_cgroup ? plan.cgroup.path : ""));
  for (std::size_t i = 0; i < plan.annotations.size(); ++i) {
    json +=
        (i == 0 ? "" : ",") + json_string(plan.annotations[i].first) + ":" + json_string(plan.annotations[i].second);
  }
  json += "}}\n";
  TRY(sys::write_file_atomic(directory + "/plan.bin", serialized, 0600));
  return sys::write_file_atomic(directory + "/state.json", json, 0600);
}

}  // namespace compose::runtime::container
