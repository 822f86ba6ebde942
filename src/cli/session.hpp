#pragma once
// One request to the project's supervisor with its progress on the screen and Ctrl-C heard.
#include <signal.h>

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "cli/context.hpp"
#include "supervisor/client.hpp"

namespace compose::cli {

/// SIGINT and SIGTERM (and more if asked for) as a readable descriptor; put back by the destructor.
class Signals {
 public:
  static Result<Signals> take(std::initializer_list<int> signals);
  Signals(Signals&& other) noexcept : fd_{std::move(other.fd_)}, previous_{other.previous_} {}
  Signals& operator=(Signals&&) = delete;
  ~Signals();
  int fd() const { return fd_.get(); }
  /// The next signal that has come, 0 if none.
  int next();

 private:
  Signals(UniqueFd fd, const sigset_t& previous) : fd_{std::move(fd)}, previous_{previous} {}
  UniqueFd fd_;
  sigset_t previous_;  ///< the mask before
};

struct Request {
  std::string_view operation;  ///< heads the progress: "up"
  bool show_progress = true;
  /// Container events ({"event":"container",…}) and "started".
  std::function<void(const nlohmann::json&)> on_event = {};
  /// Each progress event.
  std::function<void()> on_step = {};
};

/// Connects (starting a supervisor if there is none), asks and waits for the result. An outcome that is not ok becomes
/// an error with its position in front. Ctrl-C cancels the operation (Errc::cancelled); a second one ends the program.
Result<supervisor::Outcome> ask(Context& context, const std::string& project, const nlohmann::json& request,
                                const Request& how);

/// Waits until one of two descriptors is readable (-1: none).
Result<void> wait_readable(int first, int second);

/// The supervisor's next event, or nothing at present.
Result<std::optional<nlohmann::json>> next_event(supervisor::Client& client);

/// Stops and removes the containers of services the project does not have.
Result<void> remove_orphans(Context& context, const model::Project& project);

/// The error of an outcome that is not ok.
Error outcome_error(const supervisor::Outcome& outcome);

/// Shows {"event":"progress"} and {"event":"warning"}; false for anything else.
bool show_event(Context& context, const nlohmann::json& event);

}  // namespace compose::cli
