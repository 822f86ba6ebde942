#pragma once
// What Kubernetes understands of the expressions that say when a service runs.
#include <optional>
#include <string>
#include <string_view>

namespace compose::kubernetes {

struct CronWords {
  std::string schedule;  ///< of a CronJob
  std::string how;       ///< what is not the same any more; "" when it means the same
};

/// Five fields, @hourly and the like, or "@every 15m", as x-schedule has them; nothing when it is none of these. That
/// the numbers are in range is left to the API server.
std::optional<CronWords> cron_words(std::string_view text);

}  // namespace compose::kubernetes
