#pragma once
// One `up` with rolling updates, while it is carried out.
#include "supervisor/operations.hpp"

namespace compose::supervisor {

struct Operations::Update {
  ApplicationPtr wanted;
  std::optional<sys::StagedFile> desired;  ///< to be committed when all has succeeded
  std::optional<DesiredText> previous;     ///< what the last successful `up` wanted
  ApplicationPtr before;                   ///< the same, read; null: nothing is known
  plan::Options options;
  std::map<std::string, FailedUpdate> failed;
  std::optional<Failure> rollback_failure;
};

}  // namespace compose::supervisor
