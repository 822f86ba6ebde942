#pragma once
// How a container is written in tables: its status, its ports, its command, its row in `ps`.
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/human.hpp"
#include "state/records.hpp"

namespace compose::cli {

/// "Up 5 minutes (healthy)", "Exited (0) 3 seconds ago", "Created", "Restarting (1) 2 seconds ago".
std::string status_text(const state::ContainerRecord& container, WallTime now);

/// "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 443/tcp"; neighbouring ports are joined to ranges.
std::string ports_text(const state::ContainerRecord& container);

/// "\"docker-entrypoint.s…\""; the whole command when `full`.
std::string command_text(const state::ContainerRecord& container, bool full);

/// "web-1" of "shop-web-1": the name without the project, as log prefixes show it.
std::string name_without_project(const state::ContainerRecord& container);

/// The row `ps` makes of it, with the fields of Docker Compose.
nlohmann::ordered_json container_row(const state::ContainerRecord& container, WallTime now, bool full);

}  // namespace compose::cli
