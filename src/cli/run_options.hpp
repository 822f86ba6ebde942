#pragma once
// What `run` changes about the service whose container it makes.
#include <optional>
#include <string>
#include <vector>

#include "cli/args.hpp"
#include "compose/model/project.hpp"

namespace compose::cli {

struct RunOptions {
  bool build = false;
  Strings cap_add;
  Strings cap_drop;
  bool detach = false;
  std::optional<std::string> entrypoint;
  Strings env;
  Strings env_from_file;
  std::optional<bool> interactive;
  Strings labels;
  std::string name;
  bool no_deps = false;
  std::optional<bool> no_tty;
  Strings publish;
  std::string pull;
  bool quiet = false;
  bool quiet_build = false;
  bool quiet_pull = false;
  bool remove_orphans = false;
  bool rm = false;
  bool service_ports = false;
  std::optional<bool> tty;
  bool use_aliases = false;
  std::string user;
  Strings volumes;
  std::string workdir;

  bool terminal() const;
};

/// "8080:80", "127.0.0.1:8080:80/udp", "80".
Result<model::Port> parse_publish(const std::string& text);

/// Changes the service in place; `command` replaces the service's when not empty. Volumes that are names are added to
/// the project.
Result<void> apply_run_options(model::Project& project, model::Service& service, const RunOptions& options,
                               const Strings& command);

}  // namespace compose::cli
