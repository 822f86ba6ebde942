#pragma once
// Why a service does not run, or runs no more: what is remembered for it on disk, and the judgement, a pure function.
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "state/events.hpp"
#include "state/records.hpp"

namespace compose::state {

/// How the last command failed.
struct FailedContainer {
  ContainerRecord record;
  std::vector<std::string> lines;  ///< the last ones it wrote
};
struct FailureRecord {
  Time at;
  std::string message;
  std::string position;  ///< "file:line:col", or ""
  std::vector<FailedContainer> containers;
};
Result<void> save_failure(const Paths& paths, const std::string& project, const FailureRecord& failure);
/// Nothing when the last command succeeded.
std::optional<FailureRecord> load_failure(const Paths& paths, const std::string& project);

/// It has been healthy, or without a health check has ended with 0 or run for ten seconds.
bool has_worked(const ContainerRecord& record);
/// Keeps what the container was made from as "worked".
Result<void> save_worked(const Paths& paths, const ContainerRecord& record);
/// What the service was made from when it last worked (plan::attributes_to_json), "" = unknown.
std::string load_worked(const Paths& paths, const std::string& project, const std::string& service);

/// The last lines of a container's log, at most ten.
std::vector<std::string> last_lines(const Paths& paths, const ContainerRecord& record);

/// "was killed: it needed more memory than its limit", "was ended by SIGSEGV (signal 11)", "exited with code 3 …"
std::string describe_end(const ContainerRecord& record);

struct WhyInput {
  std::string service;
  std::vector<ContainerRecord> containers;  ///< of the service, or those of its failed start
  std::vector<std::string> lines;           ///< the last ones of the container that is judged
  std::vector<ContainerEvent> events;       ///< of the project, oldest first
  std::optional<FailureRecord> failure;
  std::map<std::string, std::string> attributes;  ///< what it was made from
  std::string folder;                             ///< where records and logs are
  std::uint64_t free_bytes = 0;                   ///< on the disk of that folder
};

struct Verdict {
  std::string headline;              ///< one sentence
  std::vector<std::string> details;  ///< one per line
  std::vector<std::string> ask;      ///< services that have the cause: ask about them, too
};
Verdict judge(const WhyInput& input);

}  // namespace compose::state
