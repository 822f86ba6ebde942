#include "cli/container_view.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace compose::cli {
namespace {

const WallTime kNow = WallTime{} + std::chrono::seconds{1787220000};

state::ContainerRecord container() {
  state::ContainerRecord record;
  record.id = std::string(64, 'a');
  record.name = "shop-web-1";
  record.project = "shop";
  record.service = "web";
  record.number = 1;
  record.image_ref = "nginx:1.29";
  record.command = {"/docker-entrypoint.sh", "nginx", "-g", "daemon off;"};
  record.created_at = kNow - std::chrono::minutes{5};
  record.started_at = kNow - std::chrono::minutes{5};
  record.phase = state::Phase::running;
  return record;
}

TEST(ContainerView, WritesTheStatus) {
  auto record = container();
  EXPECT_EQ(status_text(record, kNow), "Up 5 minutes");
  record.health.status = "healthy";
  EXPECT_EQ(status_text(record, kNow), "Up 5 minutes (healthy)");
  record.health.status = "starting";
  EXPECT_EQ(status_text(record, kNow), "Up 5 minutes (health: starting)");
  record.paused = true;
  EXPECT_EQ(status_text(record, kNow), "Up 5 minutes (Paused)");
  record = container();
  record.phase = state::Phase::exited;
  record.exit_code = 137;
  record.finished_at = kNow - std::chrono::seconds{3};
  EXPECT_EQ(status_text(record, kNow), "Exited (137) 3 seconds ago");
  record.restarting = true;
  EXPECT_EQ(status_text(record, kNow), "Restarting (137) 3 seconds ago");
  record.crash_loop = true;
  record.restart_count = 7;
  record.restart_at = kNow + std::chrono::seconds{12};
  EXPECT_EQ(status_text(record, kNow), "Restarting (137) 3 seconds ago (crash loop: 7 restarts, next in 12 seconds)");
  record = container();
  record.crash_loop = true;
  EXPECT_EQ(status_text(record, kNow), "Up 5 minutes") << "a run of 10 s ends it";
  record.started_at = kNow - std::chrono::seconds{2};
  record.restart_count = 3;
  EXPECT_EQ(status_text(record, kNow), "Up 2 seconds (crash loop: 3 restarts)");
  record = container();
  record.phase = state::Phase::created;
  EXPECT_EQ(status_text(record, kNow), "Created");
}

TEST(ContainerView, JoinsNeighbouringPorts) {
  auto record = container();
  const auto add = [&](const char* ip, std::uint16_t host, std::uint16_t inside, const char* protocol) {
    state::PortRecord port;
    port.host_ip = ip;
    port.host_port = host;
    port.container_port = inside;
    port.protocol = protocol;
    record.ports.push_back(port);
  };
  add("127.0.0.1", 8000, 80, "tcp");
  add("127.0.0.1", 8001, 81, "tcp");
  add("", 5353, 53, "udp");
  record.exposed = {"80/tcp", "443/tcp"};
  EXPECT_EQ(ports_text(record), "443/tcp, 127.0.0.1:8000-8001->80-81/tcp, 0.0.0.0:5353->53/udp, [::]:5353->53/udp");
}

TEST(ContainerView, ShortensTheCommand) {
  EXPECT_EQ(command_text(container(), false), "\"/docker-entrypoint.…\"");
  EXPECT_EQ(command_text(container(), true), "\"/docker-entrypoint.sh nginx -g 'daemon off;'\"");
}

TEST(ContainerView, NamesWithoutTheProject) {
  auto record = container();
  EXPECT_EQ(name_without_project(record), "web-1");
  record.name = "my-own-name";
  EXPECT_EQ(name_without_project(record), "my-own-name");
}

TEST(ContainerView, RowHasDockersFields) {
  const auto row = container_row(container(), kNow, false);
  std::string keys;
  for (const auto& [key, value] : row.items()) keys += key + " ";
  EXPECT_EQ(keys,
            "Command CreatedAt ExitCode Health ID Image Labels LocalVolumes Mounts Name Names Networks Ports Project "
            "Publishers RunningFor Service Size State Status ");
  EXPECT_EQ(row["ID"], "aaaaaaaaaaaa");
  EXPECT_EQ(row["CreatedAt"], "2026-08-20 09:55:00 +0000 UTC");
}

}  // namespace
}  // namespace compose::cli
