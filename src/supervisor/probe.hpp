#pragma once
// One command run inside a container, with a time limit: a health probe or a hook.
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "async/event_loop.hpp"
#include "base/units.hpp"
#include "supervisor/context.hpp"
#include "sys/process.hpp"

namespace compose::supervisor {

struct ProbeCommand {
  int program = -1;                    ///< compose-runtime, see RuntimeProgram
  std::vector<std::string> arguments;  ///< argv
  Duration timeout{};                  ///< 0 = without limit
  std::size_t output_limit = 4096;     ///< bytes kept of stdout and stderr; the rest is read and dropped
};

/// `compose-runtime exec`; what follows are its options, the container and the command.
Result<ProbeCommand> exec_command(const Context& context);

struct ProbeOutcome {
  int exit_code = 0;
  bool timed_out = false;
  std::string output;
};

/// Destroying it kills the command. The callback comes once and may destroy the probe.
class Probe {
 public:
  using OnEnd = std::function<void(const ProbeOutcome&)>;
  /// Output as it comes, also what is more than output_limit; set it before the loop goes on.
  std::function<void(std::string_view)> on_output;
  static Result<std::unique_ptr<Probe>> start(async::EventLoop& loop, const ProbeCommand& command, OnEnd on_end);
  ~Probe();
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

 private:
  Probe(std::size_t limit, OnEnd on_end) : limit_{limit}, on_end_{std::move(on_end)} {}
  void read();
  void ended();
  void kill();

  std::size_t limit_;
  OnEnd on_end_;
  sys::Child child_;
  UniqueFd output_;
  async::Watch output_watch_;  // after what they watch: they end first
  async::Watch exit_watch_;
  async::Timer timer_;
  ProbeOutcome outcome_;
};

}  // namespace compose::supervisor
