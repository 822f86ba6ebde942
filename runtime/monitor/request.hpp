#pragma once
// What the supervisor asks one monitor to do; crosses as bytes in a memfd.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "runtime/launch/plan.hpp"
#include "runtime/monitor/log_settings.hpp"

namespace compose::runtime::monitor {

struct Request {
  std::string container_id, project;
  launch::LaunchPlan plan;
  std::string run_dir;    ///< <run>/containers/<id>: monitor.sock and state.json go there; must exist
  std::string state_dir;  ///< <root>/projects/<p>/containers/<id>: exit.json goes there; must exist
  LogFileSettings log;
  RemoteLogSettings remote_log;
  bool tty = false, open_stdin = false;
  bool wait_attach = false;               ///< the program is run only once a client has attached: no output is missed
  bool hold = false;                      ///< the program is run only when the supervisor says so (Client::run)
  std::vector<std::string> respawn_argv;  ///< `compose supervise …`; absolute program path; empty: never
  std::string project_lock_path;
};

std::string serialize(const Request& request);
/// `plan`: set to the part of `bytes` that is launch::serialize(request.plan), unless it is null.
Result<Request> deserialize(std::string_view bytes, std::string_view* plan = nullptr);

}  // namespace compose::runtime::monitor
