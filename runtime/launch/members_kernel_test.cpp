// Members of config.json that the default container does not use, on the real kernel.
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.hpp"
#include "runtime/testing/bench_container.hpp"
#include "sys/file.hpp"

namespace compose::runtime::testing {
namespace {

using ::testing::HasSubstr;
using Kind = monitor::Event::Kind;

class MembersTest : public Bench {
 protected:
  pid_t pid_of(monitor::Client& client) {
    for (;;) {
      const auto event = next_event(client);
      if (event.kind == Kind::started) return event.pid;
      if (event.kind != Kind::created) {
        ADD_FAILURE() << event.message;
        return -1;
      }
    }
  }
  /// A further container beside the first.
  void begin_another() {
    request.container_id += "2";
    request.log.path = folder / "state/log2";
    request.run_dir = folder / ("run/" + request.container_id);
    ASSERT_TRUE(sys::make_directories(request.run_dir).ok());
    spec.linux_.cgroups_path += "2";
  }
};

TEST_F(MembersTest, HasATimeOfItsOwn) {
  spec.linux_.namespaces.push_back({"time", ""});
  spec.linux_.time_offsets = {{"boottime", {100000000, 0}}, {"monotonic", {200000000, 0}}};
  const std::string text = output_of("cut -d. -f1 /proc/uptime; cat /proc/self/timens_offsets | tr -s ' '");
  EXPECT_GT(parse_unsigned(split(text, '\n')[0]).value_or(0), 100000000U);
  EXPECT_THAT(text, HasSubstr("monotonic 200000000 0\n"));
}

TEST_F(MembersTest, JoinsEachNamespaceByItsPath) {
  spec.linux_.namespaces.push_back({"time", ""});
  spec.linux_.time_offsets = {{"boottime", {100000000, 0}}};
  spec.process->args = {"/bin/sleep", "1000"};
  auto first = start();
  const pid_t pid = pid_of(first);
  begin_another();
  spec.hostname.clear();
  spec.linux_.time_offsets.clear();
  const std::vector<std::pair<const char*, const char*>> joined = {
      {"network", "net"}, {"ipc", "ipc"}, {"uts", "uts"}, {"pid", "pid"}, {"cgroup", "cgroup"}, {"time", "time"}};
  std::string script = "hostname; cut -d. -f1 /proc/uptime;";
  std::string expected;
  for (const auto& [type, name] : joined) {
    const auto entry = std::ranges::find(spec.linux_.namespaces, type, &spec::Namespace::type);
    ASSERT_NE(entry, spec.linux_.namespaces.end());
    entry->path = fmt::format("/proc/{}/ns/{}", pid, name);
    script += fmt::format("readlink /proc/self/ns/{};", name);
    char link[64] = {};
    ASSERT_GT(::readlink(entry->path.c_str(), link, sizeof link - 1), 0);
    expected += fmt::format("{}\n", link);
  }
  const std::string text = output_of(script + "cat /proc/1/comm");
  EXPECT_THAT(text, ::testing::StartsWith("testbox\n1"));
  EXPECT_THAT(text, ::testing::EndsWith(expected + "sleep\n"));
  ASSERT_TRUE(first.kill_all().ok());
  finish(first);
}

TEST_F(MembersTest, JoinsTheUsersAndProcessesOfAnother) {
  spec.linux_.namespaces.push_back({"user", ""});
  spec.linux_.uid_mappings = spec.linux_.gid_mappings = {{0, 100000, 65536}};
  ASSERT_EQ(::chown((folder / "bundle/rootfs").c_str(), 100000, 100000), 0);
  ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
  spec.process->args = {"/bin/sleep", "1000"};
  auto first = start();
  const pid_t pid = pid_of(first);
  begin_another();
  spec.hostname.clear();
  spec.linux_.uid_mappings.clear();
  spec.linux_.gid_mappings.clear();
  for (auto& entry : spec.linux_.namespaces) {
    const std::string name = entry.type == "network" ? "net" : entry.type;
    if (entry.type != "mount" && entry.type != "cgroup") entry.path = fmt::format("/proc/{}/ns/{}", pid, name);
  }
  auto second = start();
  const pid_t other = pid_of(second);
  // Its number is the one of this namespace, not the one that the process has inside.
  for (const char* name : {"pid", "user"}) {
    struct stat expected{};
    struct stat found{};
    ASSERT_EQ(::stat(fmt::format("/proc/{}/ns/{}", pid, name).c_str(), &expected), 0);
    ASSERT_EQ(::stat(fmt::format("/proc/{}/ns/{}", other, name).c_str(), &found), 0);
    EXPECT_EQ(found.st_ino, expected.st_ino) << name;
  }
  ASSERT_TRUE(second.kill_all().ok());
  finish(second);
  ASSERT_TRUE(first.kill_all().ok());
  finish(first);
}

TEST_F(MembersTest, EntersTheMountsOfAnother) {
  ASSERT_TRUE(sys::write_file_atomic(folder / "bundle/rootfs/etc/whose", "the first's").ok());
  spec.process->args = {"/bin/sleep", "1000"};
  auto first = start();
  const pid_t pid = pid_of(first);
  begin_another();
  spec.linux_.masked_paths.clear();
  spec.linux_.readonly_paths.clear();
  spec.mounts.clear();
  spec.root.path = "/";
  for (auto& entry : spec.linux_.namespaces) {
    if (entry.type == "mount") entry.path = fmt::format("/proc/{}/ns/mnt", pid);
  }
  EXPECT_EQ(output_of("cat /etc/whose"), "the first's");
  ASSERT_TRUE(first.kill_all().ok());
  finish(first);
}

/// The optional fields of the mount at $1, without their numbers.
constexpr const char* kTags =
    "tags() { busybox awk -v at=$1 '$5 == at { tags = \"\"; for (i = 7; $i != \"-\"; ++i) tags = tags $i }"
    " END { gsub(/[0-9:]/, \"\", tags); print tags }' /proc/self/mountinfo; };";

TEST_F(MembersTest, PropagatesMountsAsItIsTold) {
  ASSERT_TRUE(sys::make_directories(folder / "source").ok());
  const std::string source = folder / "source";
  ASSERT_EQ(::mount("none", source.c_str(), "tmpfs", 0, nullptr), 0);
  EXPECT_EQ(::mount(nullptr, source.c_str(), nullptr, MS_SHARED, nullptr), 0);
  // Shared among the container's own only: the host's mounts reach it, its own do not reach the host.
  const std::vector<std::pair<const char*, const char*>> expected = {
      {"private", ""}, {"shared", "sharedmaster"}, {"rslave", "master"}, {"unbindable", "unbindable"}};
  std::string script = kTags;
  for (const auto& [option, tag] : expected) {
    spec.mounts.push_back({fmt::format("/{}", option), "bind", source, {"bind", option}, {}, {}});
    script += fmt::format("echo {0}: $(tags /{0});", option);
  }
  const std::string text = output_of(script);
  EXPECT_EQ(::umount2(source.c_str(), MNT_DETACH), 0);
  EXPECT_EQ(text, "private:\nshared: sharedmaster\nrslave: master\nunbindable: unbindable\n");
}

TEST_F(MembersTest, PropagatesItsRootAsItIsTold) {
  for (const auto& [propagation, tag] :
       std::vector<std::pair<const char*, const char*>>{{"shared", "shared"}, {"unbindable", "unbindable"}}) {
    spec.linux_.rootfs_propagation = propagation;
    EXPECT_EQ(output_of(std::string{kTags} + "echo $(tags /)"), fmt::format("{}\n", tag));
    (void)::unlink(request.log.path.c_str());
  }
}

TEST_F(MembersTest, ReceivesWhatIsMountedBelowItsRoot) {
  const std::string root = folder / "bundle/rootfs";
  ASSERT_EQ(::mount(root.c_str(), root.c_str(), nullptr, MS_BIND, nullptr), 0);
  EXPECT_EQ(::mount(nullptr, root.c_str(), nullptr, MS_SHARED, nullptr), 0);
  spec.linux_.rootfs_propagation = "slave";
  const std::string tags = output_of(std::string{kTags} + "echo $(tags /)");
  EXPECT_EQ(::umount2(root.c_str(), MNT_DETACH), 0);
  EXPECT_EQ(tags, "master\n");
}

TEST_F(MembersTest, SetsWhatAProcessInherits) {
  spec.process->user.umask = 027;
  spec.process->oom_score_adj = 500;
  spec.process->io_priority = {"IOPRIO_CLASS_BE", 6};
  spec.linux_.personality = spec::Personality{"LINUX32", {}};
  EXPECT_EQ(output_of("umask; cat /proc/self/oom_score_adj; busybox uname -m; busybox ionice"),
            "0027\n500\ni686\nbest-effort: prio 6\n");
}

}  // namespace
}  // namespace compose::runtime::testing
