#include "cli/service_unit.hpp"

#include <fmt/format.h>

namespace compose::cli {
namespace {

/// A word of a command line or a setting: "%" begins a specifier, quotes keep blanks together.
std::string word(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '%') result += '%';
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + "\"";
}

std::string percent(const std::string& text) {
  std::string result;
  for (const char c : text) result += c == '%' ? "%%" : std::string(1, c);
  return result;
}

}  // namespace

std::string unit_name(const std::string& project) { return "compose-" + project + ".service"; }

// Why it is written so:
//  - oneshot with RemainAfterExit: the command returns when everything has been started; what keeps the containers are
//    their monitors, which need no unit to live in.
//  - KillMode=process: stopping or replacing the unit must not take the monitors with it.
//  - no ExecStop: at a shutdown every process gets SIGTERM from systemd; to stop the containers by command would count
//    as a person's wish, and they would stay down after the boot.
std::string service_unit(const UnitInput& in) {
  return fmt::format(
      R"(# Made by "compose install-service" for project {project}; "compose -p {project} install-service --uninstall" removes it.
[Unit]
Description=Compose project {project}
Documentation=man:compose(1)
Wants=network-online.target
After=network-online.target local-fs.target nss-lookup.target
RequiresMountsFor={root}
ConditionPathIsDirectory={root}/projects/{project}

[Service]
Type=oneshot
RemainAfterExit=yes
Environment={root_variable} {run_variable}
ExecStart={program} --progress plain restore --project {project}
KillMode=process
Delegate=yes
TimeoutStartSec=infinity
SyslogIdentifier=compose-{project}
LogExtraFields=COMPOSE_PROJECT={project}

[Install]
WantedBy=multi-user.target
)",
      fmt::arg("project", in.project), fmt::arg("root", percent(in.root)), fmt::arg("program", word(in.program)),
      fmt::arg("root_variable", word("COMPOSE_ROOT=" + in.root)),
      fmt::arg("run_variable", word("COMPOSE_RUN_ROOT=" + in.run_root)));
}

}  // namespace compose::cli
