#pragma once
// Durations and byte sizes as Compose files and Go's tools write them.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace compose {

using Duration = std::chrono::nanoseconds;

/// Go's time.ParseDuration plus days and weeks: "1m30s", "1.5h", "-2us", "0". Units ns us µs ms s m h d w.
Result<Duration> parse_duration(std::string_view text);
/// Go's Duration.String(): "1m30s", "100µs", "0s".
std::string format_duration(Duration duration);

/// docker/go-units RAMInBytes: "64m", "1.5GiB", "1024", "1kb": powers of 1024, any letter case; -1 is kept.
Result<std::int64_t> parse_bytes(std::string_view text);
/// docker/go-units HumanSize: powers of 1000, four significant digits: "12.3MB".
std::string format_bytes(std::uint64_t bytes);

/// "3 seconds", "About a minute", "2 hours": docker/go-units HumanDuration, as `ps` shows it.
std::string human_duration(Duration duration);

}  // namespace compose
