#pragma once
// Reads the logs that monitors write: CRI text lines ("<RFC 3339> stdout|stderr F|P text"), rotated log, log.1, log.2 …
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "state/records.hpp"

namespace compose::state {

struct LogLine {
  Time at;
  std::string timestamp;  ///< as written
  bool to_stderr = false;
  bool partial = false;  ///< the line goes on in the next one (no newline was written)
  std::string text;      ///< without the newline
};

struct LogQuery {
  std::optional<std::size_t> tail;  ///< only the last so many lines; nothing = all
  std::optional<Time> since;
  std::optional<Time> until;
};

/// One line of a log file without its newline, or nothing when it is not one.
std::optional<LogLine> parse_log_line(std::string_view line);

/// The lines of `log_path` and its rotated files, oldest first. With `tail` it reads backwards only as far as needed.
/// `sink` returns false to end early. A log that is not there has no lines.
Result<void> read_log(const std::string& log_path, const LogQuery& query,
                      const std::function<bool(const LogLine&)>& sink);

struct FollowedLine {
  const ContainerRecord* container = nullptr;  ///< valid during the call
  LogLine line;
};

/// Follows services of a project: also containers that are made, restarted or replaced while it follows.
class LogFollower {
 public:
  struct Filter {
    std::vector<std::string> services;    ///< empty = all services
    std::vector<std::string> containers;  ///< names; empty = all of those services
    bool one_off = false;                 ///< also containers made by `run`
  };
  /// Starts with what `query` asks of the logs there are; the first drain() gives that.
  static Result<LogFollower> open(const Paths& paths, const std::string& project, Filter filter, LogQuery query);
  LogFollower(LogFollower&&) noexcept;
  LogFollower& operator=(LogFollower&&) noexcept;
  ~LogFollower();

  /// Readable when drain() may have something new (an inotify descriptor, non-blocking).
  int fd() const;
  /// Gives every line written since the last call, in the order of each container's log.
  Result<void> drain(const std::function<void(const FollowedLine&)>& sink);
  /// Whether a followed container runs, is about to be restarted or may still write.
  bool anything_running() const;

 private:
  struct Impl;
  explicit LogFollower(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace compose::state
