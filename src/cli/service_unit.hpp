#pragma once
// The systemd unit of a project (systemd.service(5), systemd.syntax(7)). Pure.
#include <string>

namespace compose::cli {

struct UnitInput {
  std::string project;
  std::string program;  ///< absolute path
  std::string root;     ///< COMPOSE_ROOT
  std::string run_root;
};

/// "compose-PROJECT.service"
std::string unit_name(const std::string& project);
std::string service_unit(const UnitInput& input);

}  // namespace compose::cli
