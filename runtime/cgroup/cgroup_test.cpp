#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "runtime/cgroup/cgroup.hpp"
#include "runtime/cgroup/devices.hpp"

namespace compose::runtime::cgroup {
namespace {

constexpr const char* kHybrid =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices\n"
    "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
    "99 31 0:32 / /mnt/with\\040blank rw,relatime - cgroup cgroup rw,memory\n";
constexpr const char* kHybridSelf = "9:name=systemd:/user\n4:memory:/process/abc\n1:cpu,cpuacct:/\n0::/scope\n";
constexpr const char* kV2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

std::string text(const Plan& plan) {
  std::string result;
  for (const auto& setting : plan.settings) {
    if (setting.controller == "devices") continue;
    result += setting.controller + " " + setting.file + " = " + setting.value + "\n";
  }
  return result;
}

TEST(Layout, FindsEachControllerByItself) {
  const Layout layout = parse_layout(kHybrid, kHybridSelf, "hugetlb\n");
  ASSERT_NE(layout.find("memory"), nullptr);
  EXPECT_EQ(layout.find("memory")->mount_point, "/sys/fs/cgroup/memory");
  EXPECT_EQ(layout.find("memory")->own_path, "/process/abc");
  EXPECT_EQ(layout.find("cpuacct")->mount_point, "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_EQ(layout.find("hugetlb")->version, Version::v2);
  EXPECT_EQ(layout.unified()->own_path, "/scope");
  EXPECT_EQ(layout.find("name=systemd")->own_path, "/user");
  EXPECT_EQ(layout.find("io"), nullptr);
  EXPECT_FALSE(layout.pure_v2());
  EXPECT_EQ(layout.hierarchies.size(), 6U) << "a second mount of a hierarchy is not another one";
}

spec::Resources all_limits() {
  spec::Resources resources;
  auto& memory = resources.memory.emplace();
  memory.limit = 100;
  memory.swap = 150;
  memory.reservation = 50;
  auto& cpu = resources.cpu.emplace();
  cpu.shares = 1024;
  cpu.quota = 50000;
  cpu.period = 100000;
  resources.pids_limit = 7;
  return resources;
}

TEST(Resources, BecomeVersionOneFiles) {
  auto plan = compile(all_limits(), "/compose/p/id", parse_layout(kHybrid, kHybridSelf, "hugetlb"));
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  EXPECT_EQ(text(*plan),
            "memory memory.limit_in_bytes = 100\nmemory memory.memsw.limit_in_bytes = 150\n"
            "memory memory.soft_limit_in_bytes = 50\ncpu cpu.shares = 1024\ncpu cpu.cfs_period_us = 100000\n"
            "cpu cpu.cfs_quota_us = 50000\npids pids.max = 7\n");
  EXPECT_TRUE(plan->device_program.empty());
}

TEST(Resources, BecomeVersionTwoFiles) {
  auto resources = all_limits();
  resources.block_io.emplace().read_bps = {{8, 0, 1000}};
  resources.unified = {{"memory.high", "90"}};
  auto plan = compile(resources, "/compose/p/id", parse_layout(kV2, "0::/\n", "cpuset cpu io memory pids"));
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  EXPECT_EQ(text(*plan),
            "memory memory.low = 50\nmemory memory.max = 100\nmemory memory.swap.max = 50\ncpu cpu.weight = 39\n"
            "cpu cpu.max = 50000 100000\nio io.max = 8:0 rbps=1000\npids pids.max = 7\nmemory memory.high = 90\n");
  EXPECT_FALSE(plan->device_program.empty());
}

TEST(Resources, NameTheMemberWhoseControllerIsMissing) {
  auto plan = compile(all_limits(), "/compose/p/id", parse_layout(kV2, "0::/\n", "memory pids"));
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().message(), "linux.resources.cpu.shares: this host has no control group controller \"cpu\"");
}

TEST(Resources, RefusePathsThatClimb) {
  const Layout layout = parse_layout(kV2, "0::/\n", "memory");
  for (const char* path : {"/", "", "relative", "/a/../b", "/a//b", "/a/."}) {
    EXPECT_FALSE(compile({}, path, layout).ok()) << path;
  }
}

TEST(Group, AtTheTopNothingIsKilledFrozenOrRemoved) {
  // A hierarchy of nobody's, so that the test is harmless even when it fails.
  std::string folder = ::testing::TempDir() + "compose-cgroup-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  Layout layout;
  layout.hierarchies.push_back({Version::v1, folder, "/", {"freezer"}});
  ASSERT_EQ(::mkdir((folder + "/others").c_str(), 0755), 0);
  for (const char* path : {"", "/", "//", "/.", "/..", "/a/../..", "/compose/../.."}) {
    const Group group = Group::open(layout, path);
    EXPECT_FALSE(group.kill_all().ok()) << path;
    EXPECT_FALSE(group.signal_all(15).ok()) << path;
    EXPECT_FALSE(group.freeze().ok()) << path;
    EXPECT_FALSE(group.remove().ok()) << path;
  }
  EXPECT_EQ(Group::open(layout, "").kill_all().error().message(),
            "kill control group \"\": that is the top, with all processes of this machine");
  EXPECT_EQ(::rmdir((folder + "/others").c_str()), 0) << "it was removed";
  EXPECT_EQ(::rmdir(folder.c_str()), 0);
}

TEST(Devices, LaterRulesWin) {
  const std::vector<spec::DeviceRule> rules = {{false, "a", {}, {}, "rwm"},
                                               {true, "c", 1, 3, "rw"},
                                               {true, "c", 1, 3, "m"},
                                               {true, "b", 8, {}, "r"},
                                               {false, "c", 1, 3, "w"}};
  auto access = DeviceAccess::from_rules(rules);
  ASSERT_TRUE(access.ok());
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"devices.deny", "a"}, {"devices.allow", "c 1:3 rm"}, {"devices.allow", "b 8:* r"}};
  EXPECT_EQ(access->v1_writes(), expected) << "in the order of the list, as the specification wants it";
}

TEST(Devices, AllowAllNeedsNoProgram) {
  auto access = DeviceAccess::from_rules(std::vector<spec::DeviceRule>{{true, "", {}, {}, "rwm"}});
  ASSERT_TRUE(access.ok());
  access->add_defaults();
  EXPECT_EQ(access->v2_program(), "");
  EXPECT_EQ(access->v1_writes().size(), 1U);
}

TEST(Devices, NameTheRuleThatIsWrong) {
  auto access = DeviceAccess::from_rules(std::vector<spec::DeviceRule>{{true, "c", 1, 3, "rx"}});
  ASSERT_FALSE(access.ok());
  EXPECT_EQ(access.error().message(), "linux.resources.devices[0]: access \"rx\": only r, w and m are known");
}

}  // namespace
}  // namespace compose::runtime::cgroup
