#pragma once
// The project's supervisor: the single writer of a project's state, the one who decides. `compose supervise` runs it.
#include <string>

#include "state/paths.hpp"

namespace compose::supervisor {

struct SuperviseOptions {
  state::Paths paths;
  std::string project;
  int lock_fd = -1;    ///< holds the project's lock already (from a monitor or the command line); -1: take it
  bool adopt = false;  ///< started by a monitor after the last supervisor died
  int ready_fd = -1;   ///< gets one byte when the socket answers, or the text of the failure; -1: nobody waits
};

/// Runs until nothing runs and nothing is pending. Returns the exit code of the process: 0, or 1 with the reason on
/// the ready descriptor and in supervisor.log.
int supervise(const SuperviseOptions& options);

}  // namespace compose::supervisor
