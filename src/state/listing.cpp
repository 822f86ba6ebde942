// What is true of a project's containers now, from files and /proc alone.
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "base/strings.hpp"
#include "state/records.hpp"
#include "sys/file.hpp"
#include "sys/message.hpp"
#include "sys/process.hpp"

namespace compose::state {

namespace {

constexpr int kKilled = 137;
constexpr const char* kConfigFilesLabel = "com.docker.compose.project.config_files";

bool alive(const ContainerRecord& record) {
  if (record.pid <= 0 || record.boot_id != sys::boot_id()) return false;
  return sys::process_start_time(record.pid) == record.start_time;
}

}  // namespace

namespace {

/// How the run that the record tells of ended, if that is on disk.
std::optional<ExitRecord> end_of(const Paths& paths, const ContainerRecord& record) {
  auto exit = load_exit(paths, record.project, record.id);
  if (!exit || exit->pid != record.pid || exit->start_time != record.start_time || exit->boot_id != record.boot_id) {
    return std::nullopt;
  }
  return *std::move(exit);
}

/// The monitor is there until the exit record is.
bool monitor_lives(const Paths& paths, const ContainerRecord& record) {
  return record.boot_id == sys::boot_id() && sys::connect_unix(paths.monitor_socket(record.id), SOCK_SEQPACKET).ok();
}

}  // namespace

ContainerRecord observe(const Paths& paths, ContainerRecord record) {
  if (record.phase != Phase::running || alive(record)) return record;
  auto exit = end_of(paths, record);
  if (!exit) {
    // Its process is gone and its monitor about to write why: until then it counts as running.
    if (monitor_lives(paths, record)) return record;
    exit = end_of(paths, record);
  }
  record.phase = Phase::exited;
  record.paused = false;
  if (exit) {
    record.exit_code = exit->exit_code;
    record.oom_killed = exit->oom_killed;
    record.finished_at = exit->finished_at;
    return record;
  }
  record.exit_code = kKilled;
  record.error = record.boot_id == sys::boot_id() ? "its monitor was lost" : "the host was restarted";
  return record;
}

Result<std::vector<ContainerRecord>> list_containers(const Paths& paths, const std::string& project) {
  TRY_ASSIGN(const auto ids, sys::list_directory(paths.containers(project)));
  std::vector<ContainerRecord> records;
  records.reserve(ids.size());
  for (const std::string& id : ids) {
    auto record = load_record(paths, project, id);
    if (!record) {
      // Without a record it is half-made or just being removed.
      if (record.error().code() == Errc::not_found) continue;
      return std::move(record).error();
    }
    if (record->phase == Phase::creating || record->phase == Phase::removing) continue;
    records.push_back(observe(paths, *std::move(record)));
  }
  std::ranges::sort(records, {}, [](const ContainerRecord& r) { return std::tie(r.service, r.number, r.name); });
  return records;
}

Result<std::vector<ProjectSummary>> list_projects(const Paths& paths) {
  TRY_ASSIGN(const auto names, sys::list_directory(paths.projects()));
  std::vector<ProjectSummary> projects;
  for (const std::string& name : names) {
    TRY_ASSIGN(const auto records, list_containers(paths, name));
    if (records.empty()) continue;
    ProjectSummary summary{name, {}, {}};
    for (const ContainerRecord& record : records) {
      ++summary.states[record.status()];
      const auto label = record.labels.find(kConfigFilesLabel);
      if (label == record.labels.end()) continue;
      for (const std::string& file : split(label->second, ',')) {
        if (std::ranges::find(summary.config_files, file) == summary.config_files.end()) {
          summary.config_files.push_back(file);
        }
      }
    }
    projects.push_back(std::move(summary));
  }
  return projects;
}

}  // namespace compose::state
