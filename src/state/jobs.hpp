#pragma once
// <root>/projects/<p>/jobs.json: what is known of the project's scheduled services (x-schedule).
#include <map>
#include <string>
#include <vector>

#include "state/paths.hpp"
#include "state/records.hpp"

namespace compose::state {

/// One run, or a time at which there was none.
struct JobRun {
  Time scheduled;  ///< when it was due; unset: started by a person
  Time started;    ///< unset: it did not start, `note` says why
  Time finished;   ///< unset: it runs
  int exit_code = 0;
  std::string note;
  bool operator==(const JobRun&) const = default;
};

struct JobRecord {
  std::string schedule;         ///< what `due` was computed from
  Time due;                     ///< the next run
  bool suspended = false;       ///< by `stop`, until the next `up` or `start`
  std::vector<JobRun> history;  ///< oldest first, at most kKeptRuns
  bool operator==(const JobRecord&) const = default;
};

inline constexpr std::size_t kKeptRuns = 100;

using Jobs = std::map<std::string, JobRecord>;  ///< by service

std::string jobs_path(const Paths& paths, const std::string& project);
/// Nothing is no error. Errc::corrupt, or Errc::unsupported for the file of a newer version.
Result<Jobs> load_jobs(const Paths& paths, const std::string& project);
Result<void> save_jobs(const Paths& paths, const std::string& project, const Jobs& jobs);

}  // namespace compose::state
