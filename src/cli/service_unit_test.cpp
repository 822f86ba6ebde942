#include "cli/service_unit.hpp"

#include <gtest/gtest.h>

namespace compose::cli {
namespace {

TEST(ServiceUnit, IsWrittenInFull) {
  EXPECT_EQ(unit_name("shop"), "compose-shop.service");
  EXPECT_EQ(
      service_unit({"shop", "/opt/my tools/compose", "/var/lib/100%", "/run/compose"}),
      R"(# Made by "compose install-service" for project shop; "compose -p shop install-service --uninstall" removes it.
[Unit]
Description=Compose project shop
Documentation=man:compose(1)
Wants=network-online.target
After=network-online.target local-fs.target nss-lookup.target
RequiresMountsFor=/var/lib/100%%
ConditionPathIsDirectory=/var/lib/100%%/projects/shop

[Service]
Type=oneshot
RemainAfterExit=yes
Environment="COMPOSE_ROOT=/var/lib/100%%" "COMPOSE_RUN_ROOT=/run/compose"
ExecStart="/opt/my tools/compose" --progress plain restore --project shop
KillMode=process
Delegate=yes
TimeoutStartSec=infinity
SyslogIdentifier=compose-shop
LogExtraFields=COMPOSE_PROJECT=shop

[Install]
WantedBy=multi-user.target
)");
}

}  // namespace
}  // namespace compose::cli
