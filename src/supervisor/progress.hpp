#pragma once
// What a person sees while a plan is executed: the words of Docker Compose's progress.
#include <cstdint>
#include <string>

#include "compose/plan/plan.hpp"

namespace compose::supervisor {

struct Progress {
  const char* kind = "Container";  ///< Container, Network, Volume
  std::string name;
  const char* text = "";    ///< "Starting", "Started", …
  const char* status = "";  ///< working, done, warning, error
};

enum class ProgressStep : std::uint8_t { begun, ended, failed };
Progress progress_of(const plan::Op& op, ProgressStep step);

}  // namespace compose::supervisor
