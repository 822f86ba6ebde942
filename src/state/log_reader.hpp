#pragma once
// Reads the logs that monitors write (runtime/monitor/log_settings.hpp has the formats): log, log.1, log.2.gz …
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "state/records.hpp"

namespace compose::state {

/// Its texts are valid until the next line is read.
struct LogLine {
  std::string_view timestamp;  ///< as written
  bool to_stderr = false;
  bool partial = false;   ///< the line goes on in the next one (no newline was written)
  std::string_view text;  ///< without the newline
};

struct LogQuery {
  std::optional<std::size_t> tail;  ///< only the last so many lines; nothing = all
  std::optional<Time> since;
  std::optional<Time> until;
};

/// One line of a log file without its newline, in either format, or nothing when it is not one. `scratch` takes the
/// text where it is not written as it is.
std::optional<LogLine> parse_log_line(std::string_view line, std::string& scratch);

/// Compares a line's time with the bounds of a query, as texts where both are written alike.
class TimeFilter {
 public:
  explicit TimeFilter(const LogQuery& query);
  bool too_early(std::string_view timestamp) const { return since_ && before(timestamp, since_text_, *since_); }
  bool too_late(std::string_view timestamp) const { return until_ && after(timestamp, until_text_, *until_); }

 private:
  static bool before(std::string_view timestamp, const std::string& text, Time bound);
  static bool after(std::string_view timestamp, const std::string& text, Time bound);
  std::optional<Time> since_, until_;
  std::string since_text_, until_text_;
};

/// The lines of one container's log, oldest first. With `tail` it reads backwards only as far as needed.
class LogReader {
 public:
  /// A log that is not there has no lines.
  static Result<LogReader> open(const std::string& log_path, const LogQuery& query);
  LogReader(LogReader&&) noexcept;
  LogReader& operator=(LogReader&&) noexcept;
  ~LogReader();
  /// False: that was all.
  Result<bool> next(LogLine& line);

 private:
  struct Impl;
  explicit LogReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The same with a function; `sink` returns false to end early.
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
