#include "runtime/monitor/files.hpp"

#include "runtime/container/state_file.hpp"
#include "runtime/launch/hooks.hpp"
#include "runtime/monitor/log_format.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::runtime::monitor {

Result<void> write_container_state(const Request& request, std::string_view plan, pid_t pid, std::uint64_t start_time) {
  return container::save(request.run_dir, request.plan, plan, {pid, start_time, "compose", request.project});
}

Result<void> write_exit_record(const Request& request, const Event& exit, const timespec& started,
                               const timespec& finished) {
  const std::string json = fmt::format(
      R"({{"exit_code":{},"signal":{},"oom_killed":{},"started_at":"{}","finished_at":"{}","pid":{},"start_time":{},"boot_id":{}}})",
      exit.exit_code, exit.signal, exit.oom_killed, format_time(started), format_time(finished), exit.pid,
      exit.start_time, launch::json_string(sys::boot_id()));
  return sys::write_file_atomic(request.state_dir + "/exit.json", json + "\n", 0644, sys::Durability::durable);
}

}  // namespace compose::runtime::monitor
