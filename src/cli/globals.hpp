#pragma once
// The flags every command takes, and the environment variables behind them.
#include <optional>
#include <string>
#include <vector>

#include "cli/args.hpp"
#include "cli/progress.hpp"
#include "cli/terminal.hpp"

namespace compose::cli {

struct GlobalOptions {
  Strings files;
  std::string project_name;
  Strings profiles;
  Strings env_files;
  std::string project_directory;
  std::string progress;
  std::string ansi;
  std::optional<int> parallel;
  bool dry_run = false;
  std::optional<bool> compatibility;
  bool all_resources = false;
  bool no_ansi = false;
  bool verbose = false;
  std::string workdir;
  Strings insecure_registries;
  std::string root;
  std::string run_root;
  bool version = false;
  bool help = false;

  // What apply_environment makes of the texts above.
  ProgressMode progress_mode = ProgressMode::automatic;
  Ansi ansi_mode = Ansi::automatic;
};

/// The descriptions; their targets are the members of `options`, which must outlive them.
std::vector<Flag> global_flags(GlobalOptions& options);

/// Fills what was not given from COMPOSE_* and checks it. COMPOSE_FILE, COMPOSE_PROJECT_NAME, COMPOSE_PROFILES,
/// COMPOSE_ENV_FILES and COMPOSE_DISABLE_ENV_FILE are the loader's: a .env file may set them too.
Result<void> apply_environment(GlobalOptions& options);

/// A bool variable as Go's ParseBool reads it; `fallback` when it is not set or not a bool.
bool environment_bool(const char* name, bool fallback = false);
std::string environment_text(const char* name);

}  // namespace compose::cli
