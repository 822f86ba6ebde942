#pragma once
// compose-runtime, to be run inside containers again and again.
#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::supervisor {

/// Opened the first time it is asked for, in such a way that it need not run itself a second time to be safe from what
/// runs in the container (see runtime/security/own_program.hpp).
class RuntimeProgram {
 public:
  /// The descriptor; it stays this object's.
  Result<int> open();

 private:
  UniqueFd fd_;
};

}  // namespace compose::supervisor
