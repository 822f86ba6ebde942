#pragma once
// The flags up, create and scale share, and the supervisor's request they become.
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.hpp"
#include "cli/service_images.hpp"

namespace compose::cli {

struct UpOptions {
  bool abort_on_container_exit = false;
  bool abort_on_container_failure = false;
  bool always_recreate_deps = false;
  Strings attach;
  bool attach_dependencies = false;
  bool build = false;
  bool detach = false;
  std::string exit_code_from;
  bool force_recreate = false;
  std::optional<bool> menu;
  Strings no_attach;
  bool no_build = false;
  bool no_color = false;
  bool no_deps = false;
  bool no_log_prefix = false;
  bool no_recreate = false;
  bool no_start = false;
  std::string pull;
  bool quiet_build = false;
  bool quiet_pull = false;
  bool remove_orphans = false;
  bool renew_anon_volumes = false;
  Strings scale;
  std::optional<int> timeout;
  bool timestamps = false;
  bool wait = false;
  int wait_timeout = 0;
  bool watch = false;
  bool yes = false;
  BuildStop stop;  ///< of the builds
};

/// The flags up and create both have.
std::vector<Flag> creation_flags(UpOptions& options);

/// Errors: combinations that contradict each other, in the words of Docker Compose.
Result<void> check_options(const UpOptions& options);

/// {"op", "project", "images", "options"} for the supervisor: loads nothing, builds what is missing.
Result<nlohmann::json> apply_request(Context& context, const model::Project& project, const Strings& services,
                                     const UpOptions& options, std::string_view operation);

}  // namespace compose::cli
