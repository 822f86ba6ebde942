#pragma once
// The state of a container's health, from the results of its probes. Pure: times come in, the time of the next probe
// goes out; running the probe (`compose-runtime exec`) is the caller's.
//
// Docker's rules (docker run reference, HEALTHCHECK) with two differences that only make it faster: the first probe
// runs at once, not after one interval; and until the first success probes come closer together (a quarter of the time
// since the start, at least 100 ms and as long as a probe takes, at most start_interval and interval). A failure counts
// at the earliest when Docker's own probe would have failed: after start_period, and not two within one interval, so a
// container becomes unhealthy no sooner than under Docker.
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/units.hpp"
#include "compose/model/service.hpp"

namespace compose::supervisor::policy {

struct HealthSpec {
  std::vector<std::string> command;  ///< ready to execute: CMD-SHELL is {"/bin/sh", "-c", text}
  Duration interval = std::chrono::seconds{30};
  Duration timeout = std::chrono::seconds{30};
  Duration start_period{};
  Duration start_interval = std::chrono::seconds{5};
  std::uint64_t retries = 3;
  bool operator==(const HealthSpec&) const = default;
};

/// The spec of a health check already merged with the image's (container::effective_healthcheck), Docker's defaults
/// filled in; nullopt = none (absent, NONE, disable: true). `shell` is the image's SHELL for CMD-SHELL.
std::optional<HealthSpec> health_spec(const std::optional<model::Healthcheck>& healthcheck,
                                      const std::vector<std::string>& shell = {"/bin/sh", "-c"});

struct ProbeResult {
  std::chrono::system_clock::time_point started;
  std::chrono::system_clock::time_point finished;
  int exit_code = 0;  ///< 0 healthy; anything else is a failure
  bool timed_out = false;
  std::string output;  ///< stdout and stderr; the machine keeps the first 4096 bytes
};

class HealthMachine {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  enum class Status : std::uint8_t { starting, healthy, unhealthy };

  /// A container that was started at `started`.
  HealthMachine(HealthSpec spec, TimePoint started);

  /// When the next probe is due; the caller runs one at a time and kills it after spec().timeout.
  TimePoint next_probe() const { return next_probe_; }
  /// A probe that ended `now`. Returns the new status when it changed.
  std::optional<Status> record(ProbeResult result, TimePoint now);

  Status status() const { return status_; }
  /// Failures in a row that counted.
  std::uint64_t failing_streak() const { return failing_streak_; }
  /// The last five results, oldest first.
  const std::deque<ProbeResult>& log() const { return log_; }
  const HealthSpec& spec() const { return spec_; }

 private:
  void schedule(TimePoint now, Duration took);

  HealthSpec spec_;
  TimePoint started_;
  TimePoint next_probe_;
  TimePoint last_counted_;
  Status status_ = Status::starting;
  bool succeeded_once_ = false;
  std::uint64_t failing_streak_ = 0;
  std::deque<ProbeResult> log_;
};

/// "starting", "healthy", "unhealthy"
std::string_view to_string(HealthMachine::Status status);

}  // namespace compose::supervisor::policy
