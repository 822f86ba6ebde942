#include <gmock/gmock.h>
#include <sched.h>

#include "runtime/launch/compile_parts.hpp"
#include "runtime/launch/plan.hpp"
#include "runtime/rootfs/mount_options.hpp"
#include "runtime/security/capabilities.hpp"
#include "runtime/security/user.hpp"

namespace compose::runtime::launch {
namespace {

using ::testing::HasSubstr;

HostFacts facts() {
  HostFacts result;
  result.cgroups =
      cgroup::parse_layout("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/\n", "memory pids");
  result.init_program = "/libexec/compose-init";
  return result;
}

CompileRequest request() {
  CompileRequest result;
  result.container_id = "c1";
  result.bundle = "/bundle";
  result.spec.root.path = "rootfs";
  auto& process = result.spec.process.emplace();
  process.args = {"sh"};
  process.cwd = "/";
  for (const char* type : {"mount", "pid", "network"}) result.spec.linux_.namespaces.push_back({type, {}});
  return result;
}

std::string error_of(const CompileRequest& wrong) {
  auto plan = compile(wrong, facts());
  return plan ? "" : plan.error().message();
}

TEST(Compile, TellsWhichCapabilitiesItLeavesOut) {
  spec::Process process;
  EXPECT_THAT(capability_warnings(process, facts()), ::testing::IsEmpty());
  auto& wanted = process.capabilities.emplace();
  wanted.permitted = {"CAP_KILL", "CAP_CHOWN"};
  wanted.inheritable = {"CAP_KILL"};
  wanted.ambient = {"CAP_KILL"};
  HostFacts host = facts();
  host.capabilities = security::capability_mask({"CAP_KILL", "CAP_CHOWN"});
  EXPECT_THAT(capability_warnings(process, host), ::testing::IsEmpty());
  wanted.bounding = {"CAP_KILL", "CAP_SYS_ADMIN", "CAP_FROM_THE_FUTURE"};
  wanted.ambient = {"CAP_SYS_ADMIN", "CAP_KILL", "CAP_CHOWN"};
  EXPECT_THAT(capability_warnings(process, host),
              ::testing::ElementsAre("ignoring unknown or unavailable capabilities: [CAP_FROM_THE_FUTURE CAP_SYS_ADMIN]",
                                     "can't raise ambient capability CAP_CHOWN: it is not inheritable and permitted"));
}

TEST(Compile, FlattensAContainer) {
  auto wanted = request();
  wanted.spec.process->capabilities.emplace().bounding = {"CAP_KILL", "CAP_FROM_THE_FUTURE"};
  wanted.spec.process->rlimits = {{"RLIMIT_NOFILE", 1, 2}};
  wanted.spec.mounts = {{"/proc", "proc", "proc", {"nosuid"}, {}, {}},
                        {"/data/../v", "bind", "/src", {"rbind", "ro"}, {}, {}}};
  wanted.spec.linux_.resources.emplace().pids_limit = 3;
  wanted.spec.linux_.masked_paths = {"/proc/kcore"};
  auto plan = compile(wanted, facts());
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  const std::string text = to_text(*plan);
  EXPECT_THAT(
      text,
      HasSubstr("root = /bundle/rootfs\nsteps[0].where = mounts[0]\nsteps[0].source = proc\n"
                "steps[0].target = /proc\nsteps[0].type = proc\nsteps[0].attr_set = 2\n"
                "steps[1].kind = 1\nsteps[1].where = mounts[1]\nsteps[1].source = /src\n"
                "steps[1].target = /v\nsteps[1].type = bind\nsteps[1].attr_set = 1\nsteps[1].recursive = true\n"));
  EXPECT_THAT(text, HasSubstr("cgroup.path = /compose-runtime/c1\ncgroup.settings[0].controller = pids\n"
                              "cgroup.settings[0].file = pids.max\ncgroup.settings[0].value = 3\n"));
  EXPECT_THAT(text, HasSubstr("process.capabilities.bounding = 32\nprocess.limits[0].resource = 7\n"));
  EXPECT_THAT(text, HasSubstr("linux.maskedPaths[0]"));
}

TEST(Compile, ReadsListsOfNumbers) {
  EXPECT_EQ(parse_bit_list("0-2, 5", 64), (std::vector<std::uint64_t>{0b100111}));
  EXPECT_EQ(parse_bit_list("64", 65), (std::vector<std::uint64_t>{0, 1}));
  for (const char* text : {"", "a", "2-1", "0-", "-1", "0-9876543210", "1,,2"}) {
    EXPECT_FALSE(parse_bit_list(text, 64).has_value()) << text;
  }
}

TEST(Compile, TurnsPoliciesIntoNumbersAndRefusesUnknownNames) {
  auto wanted = request();
  wanted.spec.process->scheduler = {"SCHED_BATCH", 5, 0, {"SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM"}, 0, 0, 0};
  wanted.spec.process->io_priority = {"IOPRIO_CLASS_BE", 4};
  wanted.spec.linux_.memory_policy = {"MPOL_INTERLEAVE", "0-1", {"MPOL_F_STATIC_NODES"}};
  auto plan = compile(wanted, facts());
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  EXPECT_EQ(plan->process.scheduler->policy, 3U);
  EXPECT_EQ(plan->process.scheduler->flags, 3U);
  EXPECT_EQ(plan->process.io_priority, 2U << 13 | 4U);
  EXPECT_EQ(plan->process.memory_policy->mode, 3U | 1U << 15);
  EXPECT_EQ(plan->process.memory_policy->nodes, (std::vector<std::uint64_t>{3}));
  wanted.spec.linux_.memory_policy->mode = "MPOL_DEFAULT";
  EXPECT_EQ(error_of(wanted), "linux.memoryPolicy: the MPOL_DEFAULT mode requires 0 nodes but got 2");
  wanted.spec.linux_.memory_policy->mode = "";
  EXPECT_EQ(error_of(wanted), "linux.memoryPolicy: invalid memory policy mode \"\"");
  wanted.spec.linux_.memory_policy.reset();
  wanted.spec.process->scheduler->flags = {"SCHED_FLAG_OF_TOMORROW"};
  EXPECT_EQ(error_of(wanted), "process.scheduler: unknown flag \"SCHED_FLAG_OF_TOMORROW\"");
}

TEST(Compile, MovesDevicesOnlyIntoAnotherNetwork) {
  auto wanted = request();
  wanted.spec.linux_.net_devices = {{"eth1", {""}}, {"eth2", {"lan%d"}}};
  auto plan = compile(wanted, facts());
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  const std::vector<std::pair<std::string, std::string>> expected{{"eth1", "eth1"}, {"eth2", "lan%d"}};
  EXPECT_EQ(plan->net_devices, expected);
  wanted.spec.linux_.net_devices = {{"eth1", {"a/b"}}};
  EXPECT_EQ(error_of(wanted), "linux.netDevices: \"a/b\" is no device name");
  wanted.spec.linux_.net_devices = {{"eth1", {""}}};
  std::erase_if(wanted.spec.linux_.namespaces, [](const auto& entry) { return entry.type == "network"; });
  EXPECT_EQ(error_of(wanted), "linux.netDevices: a device can only move into another network namespace");
}

TEST(Compile, RefusesWhatItDoesNotManage) {
  auto wanted = request();
  wanted.spec.linux_.intel_rdt = "{}";
  EXPECT_THAT(error_of(wanted), HasSubstr("linux.intelRdt: this runtime does not manage"));
}

TEST(Compile, PutsTheInitInFront) {
  auto wanted = request();
  wanted.spec.annotations[spec::kInitAnnotation] = "true";
  auto plan = compile(wanted, facts());
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->process.args, (std::vector<std::string>{"/sbin/docker-init", "--", "sh"}));
}

TEST(Compile, SharesMountsOnlyWhereNothingIsHidden) {
  auto wanted = request();
  std::erase_if(wanted.spec.linux_.namespaces, [](const auto& entry) { return entry.type == "mount"; });
  wanted.spec.mounts = {{"/proc", "proc", "proc", {}, {}, {}}};
  auto plan = compile(wanted, facts());
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  EXPECT_TRUE(plan->shared_mounts);
  EXPECT_TRUE(plan->steps.empty()) << "a mount would be everybody's";
  wanted.spec.linux_.masked_paths = {"/proc/kcore"};
  EXPECT_EQ(error_of(wanted), "linux.namespaces: linux.maskedPaths needs a mount namespace of the container's own");
}

TEST(Compile, RefusesWhatCannotBeMeant) {
  auto wrong = request();
  wrong.spec.mounts = {{"/proc/sys", "tmpfs", "tmpfs", {}, {}, {}}};
  EXPECT_EQ(error_of(wrong), "mounts[0]: \"/proc/sys\" cannot be mounted because it is inside /proc");
  wrong = request();
  wrong.spec.mounts = {{"/proc", "tmpfs", "tmpfs", {}, {}, {}}};
  EXPECT_EQ(error_of(wrong), "mounts[0]: \"/proc\" can only be a proc file system, not tmpfs");
  wrong = request();
  wrong.spec.linux_.sysctl = {{"kernel.core_pattern", "x"}};
  EXPECT_EQ(error_of(wrong), "linux.sysctl: \"kernel.core_pattern\" is not in a separate kernel namespace");
  wrong.spec.linux_.sysctl = {{"net/../kernel/core_pattern", "x"}};
  EXPECT_NE(error_of(wrong), "");
  wrong.spec.linux_.sysctl = {{"kernel.msgmax", "1"}};
  EXPECT_EQ(error_of(wrong), "linux.sysctl: \"kernel.msgmax\" is not allowed in the host's ipc namespace");
  wrong = request();
  wrong.spec.process->rlimits = {{"RLIMIT_NOFILE", 4000, 3000}};
  EXPECT_EQ(error_of(wrong), "process.rlimits[0]: RLIMIT_NOFILE: the soft limit 4000 is above the hard limit 3000");
  wrong = request();
  wrong.spec.process->cwd = "relative";
  EXPECT_EQ(error_of(wrong), "process.cwd: \"relative\" is not an absolute path");
  wrong = request();
  wrong.spec.linux_.namespaces.push_back({"pid", {}});
  EXPECT_EQ(error_of(wrong), "linux.namespaces[3]: \"pid\" twice");
  wrong = request();
  wrong.spec.hostname = "x";
  EXPECT_EQ(error_of(wrong), "hostname: a name of its own needs a uts namespace");
}

TEST(Plan, SurvivesItsBytes) {
  auto wanted = request();
  wanted.overlay = Overlay{{"/a", "/b"}, "/u", "/w"};
  wanted.spec.process->oom_score_adj = -7;
  wanted.spec.annotations = {{"a", "b"}};
  wanted.attachments.resize(1);
  wanted.attachments[0].addresses = {"10.0.0.2/24"};
  auto plan = compile(wanted, facts());
  ASSERT_TRUE(plan.ok());
  const std::string bytes = serialize(*plan);
  auto again = deserialize(bytes);
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(to_text(*again), to_text(*plan));
  EXPECT_EQ(serialize(*again), bytes);
}

TEST(Plan, RefusesBrokenBytes) {
  auto plan = compile(request(), facts());
  ASSERT_TRUE(plan.ok());
  const std::string bytes = serialize(*plan);
  for (std::size_t size = 0; size < bytes.size(); size += 7)
    EXPECT_FALSE(deserialize(bytes.substr(0, size)).ok()) << size;
  EXPECT_FALSE(deserialize(bytes + "x").ok());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string wrong = bytes;
    wrong[at] = static_cast<char>(0xFF);
    (void)deserialize(wrong);  // whatever it says, it says so in bounds
  }
}

TEST(CleanPath, StaysBelowTheRoot) {
  EXPECT_EQ(clean_path("/a/../../b//./c/"), "/b/c");
  EXPECT_EQ(clean_path(".."), "/");
}

TEST(MountOptions, CombineInOrder) {
  const auto options =
      rootfs::parse_mount_options({"ro", "nosuid", "rw", "rro", "noatime", "size=1m", "mode=700", "rslave"});
  EXPECT_EQ(options.attr_set & 1U, 0U);
  EXPECT_EQ(options.attr_clear & 1U, 1U);
  EXPECT_EQ(options.recursive_attr_set, 1U);
  EXPECT_EQ(options.attr_set & 0x70U, 0x10U);
  EXPECT_EQ(options.data, "size=1m,mode=700");
  EXPECT_NE(options.propagation, 0U);
}

TEST(User, IsNeverRootByMistake) {
  const char* passwd = "root:x:0:0::/root:/bin/sh\nbob:x:7:8::/home/bob:/bin/sh\n1000:x:0:0::/:/bin/sh\n";
  const char* group = "staff:x:50:bob,ann\n";
  EXPECT_EQ(security::resolve_user("bob", passwd, group)->groups, (std::vector<std::uint32_t>{8, 50}));
  EXPECT_EQ(security::resolve_user("bob:staff", passwd, group)->gid, 50U);
  EXPECT_EQ(security::resolve_user("1000", passwd, group)->uid, 1000U);
  EXPECT_EQ(security::resolve_user("7", passwd, group)->home, "/home/bob");
  for (const char* wrong :
       {":", "7:", ":7", "-1", "4294967295", "4294967296", "99999999999999999999", "x", "7:x", " 0", "0 "}) {
    EXPECT_FALSE(security::resolve_user(wrong, passwd, group).ok()) << wrong;
  }
}

}  // namespace
}  // namespace compose::runtime::launch
