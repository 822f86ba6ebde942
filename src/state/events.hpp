#pragma once
// What happened to a project's containers, in Docker's words: one JSON object per line in <root>/projects/<p>/events,
// written by the supervisor alone, read by `events` and `why` without it. Bounded: the older half is in events.1.
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "state/records.hpp"

namespace compose::state {

struct ContainerEvent {
  Time at;
  /// create, start, die, oom, restart, stop, kill, pause, unpause, health_status, destroy; "request" for what a command
  /// asked for (id and name are empty then).
  std::string action;
  std::string id;
  std::string name;
  std::string service;
  std::map<std::string, std::string> attributes;  ///< image, exitCode, health, by (who asked) …
};

std::string event_to_json(const ContainerEvent& event);
/// Nothing when the line is not an event.
std::optional<ContainerEvent> event_from_json(const std::string& line);

/// Appends one event; a project without a directory keeps none.
Result<void> append_event(const Paths& paths, const std::string& project, const ContainerEvent& event);
/// Takes the journal away; the project is gone.
void remove_events(const Paths& paths, const std::string& project);

/// All that are kept, oldest first.
Result<std::vector<ContainerEvent>> load_events(const Paths& paths, const std::string& project);

/// Follows the journal from the moment it is opened.
class EventFollower {
 public:
  static Result<EventFollower> open(const Paths& paths, const std::string& project);
  /// Readable when next() may have something.
  int fd() const { return inotify_.get(); }
  Result<void> drain(const std::function<void(const ContainerEvent&)>& sink);

 private:
  EventFollower(std::string folder, std::string path, UniqueFd inotify)
      : folder_{std::move(folder)}, path_{std::move(path)}, inotify_{std::move(inotify)} {}
  void watch_project();
  Result<void> read_on(const std::function<void(const ContainerEvent&)>& sink);
  std::string folder_, path_;
  UniqueFd inotify_;
  UniqueFd file_;
  off_t offset_ = 0;
  std::string open_;  ///< a line without its end
};

}  // namespace compose::state
