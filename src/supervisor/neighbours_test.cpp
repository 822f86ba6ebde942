#include "supervisor/neighbours.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::supervisor {
namespace {

using testing::ElementsAre;

state::ContainerRecord record(const std::string& project, char digit) {
  state::ContainerRecord made;
  made.id = std::string(64, digit);
  made.name = project + "-web-1";
  made.project = project;
  made.service = "web";
  made.phase = state::Phase::running;
  made.exposed = {"80/tcp", "nonsense", "99999"};
  state::NetworkRecord& network = made.networks.emplace_back();
  network.name = "shared";
  network.aliases = {"web", "www", made.id.substr(0, 12)};
  network.ipv4 = "10.0.0.2/24";
  network.ipv6 = "fd00::2/64";
  return made;
}

TEST(Members, AContainerHasAllItsNamesAndBothAddresses) {
  const auto one = record("p", 'a');
  const auto members = members_of(one, one.networks[0], true, nullptr);
  ASSERT_EQ(members.size(), 1U);
  EXPECT_THAT(members[0].names, ElementsAre("p-web-1", "web", "www", "aaaaaaaaaaaa"));
  EXPECT_EQ(members[0].addresses.size(), 2U);
  ASSERT_EQ(members[0].ports.size(), 1U);
  EXPECT_EQ(members[0].ports[0].port, 80);
}

TEST(Members, WithAVirtualAddressTheServicesNamesLeadThere) {
  const auto one = record("p", 'a');
  const net::Lease lease{"shared", "p/web/vip", {}, "10.0.0.9/24", {}, {}};
  const auto members = members_of(one, one.networks[0], true, &lease);
  ASSERT_EQ(members.size(), 2U);
  EXPECT_THAT(members[0].names, ElementsAre("p-web-1", "aaaaaaaaaaaa", "tasks.web"));
  EXPECT_THAT(members[1].names, ElementsAre("web", "www"));
  ASSERT_EQ(members[1].addresses.size(), 1U);
  EXPECT_EQ(members[1].addresses[0].to_string(), "10.0.0.9");
}

TEST(Members, ReadyIsWhoRunsHealthyAndUnasked) {
  auto one = record("p", 'a');
  EXPECT_TRUE(is_ready(one));
  one.health.status = "starting";
  EXPECT_FALSE(is_ready(one));
  one.health.status = "healthy";
  EXPECT_TRUE(is_ready(one));
  one.stopped_by_user = true;
  EXPECT_FALSE(is_ready(one));
}

class NeighboursTest : public testing::Test {
 protected:
  NeighboursTest() {
    char name[] = "/tmp/neighbours-XXXXXX";
    root_ = ::mkdtemp(name);
  }
  ~NeighboursTest() override { (void)sys::remove_tree(root_).ok(); }

  void write_leases(const std::string& text) {
    ASSERT_TRUE(sys::make_directories(root_ + "/networks").ok());
    ASSERT_TRUE(
        sys::write_file_atomic(root_ + "/networks/shared.leases", R"({"schema":1,"leases":[)" + text + "]}", 0600).ok());
  }
  static std::string lease(const state::ContainerRecord& owner) {
    return fmt::format(R"({{"owner":"{}/web/1","container":"{}","ipv4":"10.0.0.2/24","ipv6":"","mac":""}})",
                       owner.project, owner.id);
  }

  std::string root_;
};

TEST_F(NeighboursTest, SeesOtherProjectsAsLongAsTheyRun) {
  const state::Paths paths{root_, root_ + "/run"};
  net::Networks networks{root_, root_ + "/run"};
  net::dns::Zone zone{"shared"};
  Neighbours neighbours{paths, "mine"};
  auto other = record("theirs", 'b');
  other.pid = ::getpid();  // somebody who runs
  other.boot_id = sys::boot_id();
  other.start_time = sys::process_start_time(other.pid);
  ASSERT_TRUE(sys::make_directories(paths.container("theirs", other.id)).ok());
  ASSERT_TRUE(state::save_record(paths, other).ok());
  neighbours.refresh("shared", zone, networks);
  EXPECT_EQ(zone.find("web"), nullptr);

  write_leases(lease(other) + "," + lease(record("mine", 'c')));
  neighbours.refresh("shared", zone, networks);
  ASSERT_NE(zone.find("web"), nullptr);
  EXPECT_EQ(zone.find("web")->size(), 1U);

  other.health.status = "unhealthy";
  ASSERT_TRUE(state::save_record(paths, other).ok());
  neighbours.refresh("shared", zone, networks);
  ASSERT_NE(zone.find("web"), nullptr);
  EXPECT_FALSE(zone.find("web")->front()->ready);

  other.phase = state::Phase::exited;
  ASSERT_TRUE(state::save_record(paths, other).ok());
  neighbours.refresh("shared", zone, networks);
  EXPECT_EQ(zone.find("web"), nullptr);

  other.phase = state::Phase::running;
  ASSERT_TRUE(state::save_record(paths, other).ok());
  neighbours.refresh("shared", zone, networks);
  ASSERT_NE(zone.find("web"), nullptr);
  write_leases("");
  neighbours.refresh("shared", zone, networks);
  EXPECT_EQ(zone.find("web"), nullptr);
}

}  // namespace
}  // namespace compose::supervisor
