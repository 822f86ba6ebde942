#pragma once
// The standard streams of a running container, over its monitor's socket.
#include <functional>
#include <string>

#include "base/error.hpp"
#include "cli/context.hpp"

namespace compose::cli {

struct AttachSettings {
  bool input = true;             ///< pass standard input on
  bool terminal = false;         ///< the container has a pseudo-terminal and ours is to be raw
  /// SIGINT, SIGTERM, SIGHUP, SIGQUIT go to the container (without a terminal); else they end the session
  bool forward_signals = true;
  std::string detach_keys = {};  ///< bytes; with a terminal only
  /// One more descriptor to watch, and what to do when it is readable; an error ends the session.
  int other_fd = -1;
  std::function<Result<void>()> on_other = {};
};

enum class AttachEnd : std::uint8_t { ended, detached, interrupted };

/// Copies until the container's output ends, the detach keys are typed or a signal comes that is not passed on.
Result<AttachEnd> attach_container(const Context& context, const std::string& container_id,
                                   const AttachSettings& settings);

}  // namespace compose::cli
