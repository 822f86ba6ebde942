#pragma once
// What a running command has at hand: the global options, the paths of the state, progress, warnings, the project.
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "cli/globals.hpp"
#include "cli/progress.hpp"
#include "compose/model/project.hpp"
#include "state/paths.hpp"
#include "state/records.hpp"

namespace compose::cli {

/// How much of the files a command needs.
struct ProjectNeeds {
  /// Services the command names: they are enabled whatever their profile, and must exist.
  Strings services = {};
  /// Without any Compose file a project that is known by its name is enough (ps, logs, stop, down …).
  bool name_is_enough = false;
};

/// The project's name, and its files when there are some.
struct ProjectScope {
  std::string name;
  std::optional<model::Project> project;
};

class Context {
 public:
  Context(GlobalOptions options, std::string program);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const GlobalOptions& options() const { return options_; }
  /// As with --dry-run.
  void pretend() { options_.dry_run = true; }
  const state::Paths& paths() const { return paths_; }
  /// What the program was called: "compose" or "docker-compose".
  const std::string& program() const { return program_; }
  bool colour(int fd) const { return colour_allowed(options_.ansi_mode, fd); }

  /// Where progress goes; made at the first call.
  Progress& progress();
  /// "time=… level=warning msg=…" would help nobody: a plain line on standard error.
  void warn(std::string_view text);
  /// The exit code of a command that ends with an error (1 unless it is set).
  void set_failure_code(int code) { failure_code_ = code; }
  int failure_code() const { return failure_code_; }
  /// A line for --verbose.
  void trace(std::string_view text);

  /// Loads the files; diagnostics are printed with their excerpts, the error then has an empty message.
  Result<model::Project> load_project(const ProjectNeeds& needs = {});
  Result<ProjectScope> scope(const ProjectNeeds& needs);

  /// Containers of the project as they are now. With `services` only theirs; one-off containers only with `one_off`.
  /// A service without any container and unknown to the project is an error ("no such service: x").
  struct Select {
    Strings services = {};
    bool one_off = false;
    bool stopped = true;
  };
  Result<std::vector<state::ContainerRecord>> containers(const ProjectScope& scope, const Select& select);
  /// The container `index` of a service (0: the first), for exec, port, cp, …; it must run unless `stopped`.
  Result<state::ContainerRecord> container(const ProjectScope& scope, const std::string& service, int index,
                                           bool stopped = false);

 private:
  GlobalOptions options_;
  std::string program_;
  state::Paths paths_;
  std::unique_ptr<Progress> progress_;
  int failure_code_ = 1;
};

/// Prints to standard output and reports a write error (a closed pipe is not one).
Result<void> print(std::string_view text);

}  // namespace compose::cli
