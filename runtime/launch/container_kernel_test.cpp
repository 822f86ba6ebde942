// What a container looks like from inside, on the real kernel.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <cstdio>

#include "runtime/testing/bench_container.hpp"
#include "sys/file.hpp"

namespace compose::runtime::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Kind = monitor::Event::Kind;

/// A user namespace that nobody is in, whose 1,000 ids are the host's from `first` on.
UniqueFd user_namespace_of(int first) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::unshare(CLONE_NEWUSER);
    ::raise(SIGSTOP);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, WUNTRACED);
  const std::string map = fmt::format("0 {} 1000", first);
  UniqueFd result;
  if (sys::write_kernel_file(fmt::format("/proc/{}/uid_map", pid), map).ok() &&
      sys::write_kernel_file(fmt::format("/proc/{}/gid_map", pid), map).ok()) {
    result.reset(::open(fmt::format("/proc/{}/ns/user", pid).c_str(), O_RDONLY | O_CLOEXEC));
  }
  ::kill(pid, SIGKILL);
  ::waitpid(pid, &status, 0);
  return result;
}

class ContainerTest : public Bench {
 protected:
  std::string failure_of(const std::string& script = "true") {
    const Outcome outcome = run(script);
    EXPECT_EQ(outcome.last.kind, Kind::failed) << outcome.output;
    hint_ = outcome.last.exit_code_hint;
    return outcome.last.message;
  }
  int hint_ = 0;
};

TEST_F(ContainerTest, HasNamespacesOfItsOwn) {
  const std::string text =
      output_of("echo pid $$; hostname; ls /sys/class/net; cat /proc/self/cgroup | cut -d: -f3 | sort -u");
  EXPECT_EQ(text, "pid 1\ntestbox\nlo\n/\n");
}

TEST_F(ContainerTest, HasDockersCapabilitiesAndNoInheritableOnes) {
  const std::string text = output_of("grep Cap /proc/self/status");
  EXPECT_EQ(text,
            "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n"
            "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n");
}

TEST_F(ContainerTest, GivesAmbientCapabilitiesToAnOrdinaryUser) {
  spec.process->user.uid = 1000;
  spec.process->capabilities->inheritable = spec.process->capabilities->ambient = {"CAP_NET_BIND_SERVICE"};
  EXPECT_THAT(output_of("grep CapEff /proc/self/status"), HasSubstr("0000000000000400"));
}

TEST_F(ContainerTest, FiltersSystemCalls) {
  spec.linux_.seccomp = default_seccomp();
  compile_request.seccomp_cache_dir = folder / "cache";
  const std::string text = output_of(
      "grep Seccomp: /proc/self/status; unshare -U true || echo refused; mount -t tmpfs x /tmp || echo refused");
  EXPECT_EQ(text, "Seccomp:\t2\nrefused\nrefused\n");
  auto cached = sys::list_directory(folder / "cache");
  ASSERT_TRUE(cached.ok());
  EXPECT_EQ(cached->size(), 1U);
}

TEST_F(ContainerTest, HasNoNewPrivileges) {
  spec.process->no_new_privileges = true;
  spec.linux_.seccomp = default_seccomp();
  EXPECT_EQ(output_of("grep -E 'NoNewPrivs|Seccomp:' /proc/self/status"), "NoNewPrivs:\t1\nSeccomp:\t2\n");
}

TEST_F(ContainerTest, MasksAndProtectsKernelFiles) {
  const std::string text = output_of(
      "[ ! -e /proc/kcore ] || wc -c < /proc/kcore; cat /proc/timer_list | wc -c; ls /sys/firmware | wc -l;"
      "(echo 1 > /proc/sys/kernel/panic) 2>/dev/null || echo sys-ro; (echo b > /proc/sysrq-trigger) 2>/dev/null || "
      "echo sysrq-ro;"
      "touch /sys/x 2>/dev/null || echo sysfs-ro; touch /sys/firmware/x 2>/dev/null || echo mask-ro;"
      "touch /sys/fs/cgroup/x 2>/dev/null || echo cgroup-ro");
  EXPECT_THAT(text, ::testing::EndsWith("0\n0\nsys-ro\nsysrq-ro\nsysfs-ro\nmask-ro\ncgroup-ro\n"));
}

TEST_F(ContainerTest, HasTheDefaultDevicesAndNoOthers) {
  EXPECT_EQ(output_of("ls /dev | grep -v core | tr '\\n' ' '; readlink /dev/stderr; stat -c %a:%t:%T /dev/null"),
            "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero /proc/self/fd/2\n666:1:3\n");
}

TEST_F(ContainerTest, DeniesDevicesThatAreNotAllowed) {
  // Nodes may be made, but opening them is refused by the device control group.
  const std::string text = output_of(
      "mknod /tmp/mem c 1 1 && (cat /tmp/mem 2>&1 | head -c 0; dd if=/tmp/mem of=/dev/null count=1 2>&1 | grep -o "
      "'Operation not permitted')");
  EXPECT_EQ(text, "Operation not permitted\n");
}

TEST_F(ContainerTest, ShowsItsLimitsInside) {
  auto& resources = *spec.linux_.resources;
  resources.memory.emplace().limit = 64 << 20;
  resources.cpu.emplace().quota = 50000;
  resources.cpu->period = 100000;
  resources.pids_limit = 20;
  const std::string text = output_of(
      "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null;"
      "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null | cut -d' ' -f1;"
      "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true");
  EXPECT_EQ(text, "67108864\n50000\n20\n");
}

TEST_F(ContainerTest, IsKilledWhenItUsesTooMuchMemory) {
  spec.linux_.resources->memory.emplace().limit = 16 << 20;
  spec.linux_.resources->memory->swap = 16 << 20;
  spec.process->args = {"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"};
  auto client = start();
  const Outcome outcome = finish(client);
  EXPECT_EQ(outcome.last.exit_code, 137);
  EXPECT_EQ(outcome.last.signal, 9);
  EXPECT_TRUE(outcome.last.oom_killed);
}

TEST_F(ContainerTest, CannotForkPastItsPidsLimit) {
  spec.linux_.resources->pids_limit = 3;
  const Outcome outcome = run("sleep 5 & sleep 5 & sleep 5 & sleep 5 & echo no");
  EXPECT_THAT(outcome.errors, HasSubstr("fork"));
}

TEST_F(ContainerTest, SetsResourceLimits) {
  spec.process->rlimits = {{"RLIMIT_NOFILE", 128, 256}, {"RLIMIT_CORE", 0, 0}};
  EXPECT_EQ(output_of("ulimit -n; ulimit -Hn; ulimit -c"), "128\n256\n0\n");
}

TEST_F(ContainerTest, MountsTmpfsWithItsOptions) {
  spec.mounts.push_back({"/data", "tmpfs", "tmpfs", {"noexec", "size=1m", "mode=0750", "uid=1000", "gid=50"}, {}, {}});
  EXPECT_EQ(output_of("stat -c %a:%u:%g /data; mount | grep ' /data ' | grep -o 'noexec.*size=1024k'| cut -c1-6"),
            "750:1000:50\nnoexec\n");
}

TEST_F(ContainerTest, CopiesTheImagesContentIntoATmpfs) {
  ASSERT_TRUE(sys::write_file_atomic(folder / "bundle/rootfs/data/file", "content").ok());
  spec.mounts.push_back({"/data", "tmpfs", "tmpfs", {"tmpcopyup"}, {}, {}});
  EXPECT_EQ(output_of("cat /data/file; mount | grep -c ' /data '"), "content1\n");
}

TEST_F(ContainerTest, BindsFilesAndFoldersReadOnlyAndWritable) {
  ASSERT_TRUE(sys::make_directories(folder / "outside").ok());
  ASSERT_TRUE(sys::write_file_atomic(folder / "outside/file", "text").ok());
  spec.mounts.push_back({"/data/deep/ro", "bind", folder / "outside", {"rbind", "ro"}, {}, {}});
  spec.mounts.push_back({"/data/rw", "bind", folder / "outside", {"rbind", "rprivate"}, {}, {}});
  spec.mounts.push_back({"/etc/new-file", "bind", folder / "outside/file", {"bind", "ro"}, {}, {}});
  EXPECT_EQ(output_of("touch /data/deep/ro/x 2>/dev/null || echo ro; echo more > /data/rw/y; cat /etc/new-file"),
            "ro\ntext");
  EXPECT_TRUE(sys::exists(folder / "outside/y"));
  EXPECT_FALSE(sys::exists(folder / "outside/x"));
}

TEST_F(ContainerTest, MountsItsOverlayWhereOnlyItSeesIt) {
  for (const char* name : {"low/etc", "mid/etc", "upper", "work", "merged"}) {
    ASSERT_TRUE(sys::make_directories(folder / name).ok());
  }
  ASSERT_TRUE(sys::write_file_atomic(folder / "low/etc/both", "low").ok());
  ASSERT_TRUE(sys::write_file_atomic(folder / "mid/etc/both", "mid").ok());
  spec.root.path = folder / "merged";
  launch::Overlay overlay;
  overlay.lower = {folder / "mid", folder / "low", folder / "bundle/rootfs"};
  // As many layers as a long build leaves, with paths that together exceed a page.
  for (int i = 0; i < 60; ++i) {
    const std::string layer = folder / ("layers/" + std::string(64, 'a') + std::to_string(i));
    ASSERT_TRUE(sys::make_directories(layer).ok());
    overlay.lower.push_back(layer);
  }
  overlay.upper = folder / "upper";
  overlay.work = folder / "work";
  compile_request.overlay = overlay;
  EXPECT_EQ(
      output_of("cat /etc/both; echo new > /etc/both; mount | grep ' on / ' | grep -c compose-runtime-test; true"),
      "mid0\n")
      << "and no path of the host shows in the container's mounts";
  EXPECT_EQ(sys::read_file(folder / "upper/etc/both").value_or(""), "new\n");
  EXPECT_THAT(sys::read_file("/proc/self/mountinfo").value_or(""), Not(HasSubstr(folder.path())));
}

TEST_F(ContainerTest, KeepsAReadOnlyRoot) {
  spec.root.readonly = true;
  EXPECT_EQ(output_of("touch /x 2>/dev/null || echo ro; touch /dev/shm/x && echo shm"), "ro\nshm\n");
}

TEST_F(ContainerTest, ResolvesUsersByItsOwnFiles) {
  spec.process->user.username = "alice";
  EXPECT_EQ(output_of("id -u; id -g; id -G; echo $HOME"), "1000\n1000\n1000 50\n/home/alice\n");
}

TEST_F(ContainerTest, TakesDigitsAsNumbersWhateverTheFilesSay) {
  spec.process->user.username = "1001";
  EXPECT_EQ(output_of("id -u"), "1001\n");
}

TEST_F(ContainerTest, PutsThePrimaryGroupAmongTheOthers) {
  spec.process->user.username = "1000:50";
  ASSERT_TRUE(sys::write_file_atomic(folder / "bundle/rootfs/data/secret", "secret").ok());
  ::chmod((folder / "bundle/rootfs/data/secret").c_str(), 0604);
  ASSERT_EQ(::chown((folder / "bundle/rootfs/data/secret").c_str(), 0, 50), 0);
  EXPECT_EQ(output_of("id -G; cat /data/secret 2>/dev/null || echo denied"), "50\ndenied\n");
}

TEST_F(ContainerTest, RefusesUsersThatAreNone) {
  for (const char* user : {":", "1000:", "-1", "4294967295", "4294967296", "abc:def", " 0", "nobody-here"}) {
    spec.process->user.username = user;
    EXPECT_NE(failure_of(), "") << user;
  }
}

TEST_F(ContainerTest, GivesItsStreamsToItsUser) {
  spec.process->user.uid = 33;
  EXPECT_EQ(output_of("echo again > /proc/self/fd/1; echo err > /dev/stderr"), "again\n");
  EXPECT_EQ(log_text("stderr"), "err\n");
}

// tmpfs can be mounted with mapped ids since Linux 6.3.
bool lacks_mapped_mounts(const std::string& folder) {
  struct statfs file_system{};
  struct utsname kernel{};
  if (::statfs(folder.c_str(), &file_system) != 0 || ::uname(&kernel) != 0) return false;
  int major = 0;
  int minor = 0;
  std::sscanf(kernel.release, "%d.%d", &major, &minor);
  return file_system.f_type == TMPFS_MAGIC && (major < 6 || (major == 6 && minor < 3));
}

TEST_F(ContainerTest, MapsTheIdsOfAMount) {
  if (lacks_mapped_mounts(folder.path())) GTEST_SKIP() << "this kernel's tmpfs has no id-mapped mounts (Linux 6.3)";
  ASSERT_TRUE(sys::make_directories(folder / "source").ok());
  ASSERT_TRUE(sys::write_file_atomic(folder / "source/file", "text").ok());
  spec::Mount mount{"/data", "bind", folder / "source", {"bind"}, {}, {}};
  mount.uid_mappings = {{0, 1000, 10}};
  mount.gid_mappings = {{0, 2000, 10}};
  spec.mounts.push_back(mount);
  EXPECT_EQ(output_of("stat -c %u:%g /data/file; exec ls /proc/self/fd"), "1000:2000\n0\n1\n2\n3\n") << "3 is ls's own";
  struct stat status{};
  ASSERT_EQ(::stat((folder / "source/file").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 0U) << "on the disk nothing has changed";
}

TEST_F(ContainerTest, MapsTheIdsOfAMountAsThoseOfTheContainer) {
  if (lacks_mapped_mounts(folder.path())) GTEST_SKIP() << "this kernel's tmpfs has no id-mapped mounts (Linux 6.3)";
  ASSERT_TRUE(sys::make_directories(folder / "source").ok());
  ASSERT_TRUE(sys::write_file_atomic(folder / "source/file", "text").ok());
  spec.linux_.namespaces.push_back({"user", ""});
  spec.linux_.uid_mappings = spec.linux_.gid_mappings = {{0, 100000, 65536}};
  ASSERT_EQ(::chown((folder / "bundle/rootfs").c_str(), 100000, 100000), 0);
  ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
  spec.mounts.push_back({"/mapped", "bind", folder / "source", {"bind", "idmap"}, {}, {}});
  EXPECT_EQ(output_of("stat -c %u /mapped/file; echo more >> /mapped/file; echo $?"), "0\n0\n");
}

TEST_F(ContainerTest, HasIdsOfItsOwnWhileFilesKeepTheirs) {
  if (lacks_mapped_mounts(folder.path())) GTEST_SKIP() << "this kernel's tmpfs has no id-mapped mounts (Linux 6.3)";
  constexpr std::uint32_t kFirst = 0x70000000;
  spec.linux_.namespaces.push_back({"user", ""});
  spec.linux_.uid_mappings = spec.linux_.gid_mappings = {{0, kFirst, 65536}};
  // Nobody but root gets to the bundle, the layers and the sources.
  ASSERT_EQ(::chmod(folder.path().c_str(), 0700), 0);
  for (const char* name : {"box/upper", "box/work", "source"}) ASSERT_TRUE(sys::make_directories(folder / name).ok());
  compile_request.overlay = {{folder / "bundle/rootfs"}, folder / "box/upper", folder / "box/work"};
  spec.mounts.push_back({"/mapped", "bind", folder / "source", {"rbind", "idmap"}, {}, {}});
  spec.linux_.devices = {{"c", "/dev/kmsg-like", 1, 11, 0640, 3, 4}};
  const std::string text = output_of(
      "cat /proc/self/uid_map | tr -s ' '; stat -c %u:%g /etc/passwd /mapped; touch /made /mapped/made;"
      "rm /etc/group; stat -c %u:%g:%a:%t:%T /dev/kmsg-like; stat -c %u:%a /dev/null; (echo x > /dev/null) && echo "
      "open;"
      "echo said > /dev/stderr; id -u; rm -r /mapped/made");
  EXPECT_EQ(text, " 0 1879048192 65536\n0:0\n0:0\n3:4:640:1:b\n0:666\nopen\n0\n");
  struct stat status{};
  ASSERT_EQ(::stat((folder / "box/upper/made").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 0U) << "on the disk it belongs to whom it belongs to inside";
  ASSERT_EQ(::lstat((folder / "box/upper/etc/group").c_str(), &status), 0);
  EXPECT_TRUE(S_ISCHR(status.st_mode)) << "a whiteout";
}

TEST_F(ContainerTest, JoinsTheUserNamespaceOfAnother) {
  const UniqueFd space = user_namespace_of(100000);
  if (!space.valid()) GTEST_SKIP() << "no right to map ids";
  spec.linux_.namespaces.push_back({"user", fmt::format("/proc/{}/fd/{}", ::getpid(), space.get())});
  ASSERT_EQ(::chown((folder / "bundle/rootfs").c_str(), 100000, 100000), 0);
  EXPECT_EQ(output_of("cat /proc/self/uid_map | tr -s ' '; echo pid $$; id -u"), " 0 100000 1000\npid 1\n0\n");
}

TEST_F(ContainerTest, MapsTheIdsOfAMountAsThoseOfTheNamespaceItJoins) {
  if (lacks_mapped_mounts(folder.path())) GTEST_SKIP() << "this kernel's tmpfs has no id-mapped mounts (Linux 6.3)";
  const UniqueFd space = user_namespace_of(100000);
  if (!space.valid()) GTEST_SKIP() << "no right to map ids";
  spec.linux_.namespaces.push_back({"user", fmt::format("/proc/{}/fd/{}", ::getpid(), space.get())});
  ASSERT_EQ(::chown((folder / "bundle/rootfs").c_str(), 100000, 100000), 0);
  ASSERT_TRUE(sys::make_directories(folder / "source").ok());
  ASSERT_EQ(::chown((folder / "source").c_str(), 7, 8), 0);
  spec.mounts.push_back({"/mapped", "bind", folder / "source", {"bind", "idmap"}, {}, {}});
  EXPECT_EQ(output_of("stat -c %u:%g /mapped"), "7:8\n");
}

TEST_F(ContainerTest, HasTheMemoryPolicyAndAllCpus) {
  if (!sys::exists("/proc/self/numa_maps")) GTEST_SKIP() << "this kernel knows no memory policies";
  spec.linux_.memory_policy = {"MPOL_BIND", "0", {"MPOL_F_STATIC_NODES"}};
  const std::string own = sys::read_file("/proc/self/status").value_or("");
  const auto line = own.find("Cpus_allowed_list");
  ASSERT_NE(line, std::string::npos);
  const std::string cpus = own.substr(line, own.find('\n', line) - line);
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  const std::string text =
      output_of("head -n1 /proc/self/numa_maps | cut -d' ' -f2; grep Cpus_allowed_list /proc/self/status");
  ::sched_setaffinity(0, sizeof before, &before);
  EXPECT_EQ(text, "bind=static:0\n" + cpus + "\n") << "the pinning of who starts it is not the container's";
}

TEST_F(ContainerTest, FollowsALinkThatLeadsNowhereYet) {
  // Like /etc/resolv.conf of images with systemd.
  ASSERT_EQ(::symlink("../run/names/stub.conf", (folder / "bundle/rootfs/etc/resolv.conf").c_str()), 0);
  ASSERT_EQ(::symlink("/nowhere/dir", (folder / "bundle/rootfs/link").c_str()), 0);
  ASSERT_TRUE(sys::write_file_atomic(folder / "resolv", "nameserver").ok());
  spec.mounts.push_back({"/etc/resolv.conf", "bind", folder / "resolv", {"bind"}, {}, {}});
  spec.mounts.push_back({"/link/file", "bind", folder / "resolv", {"bind"}, {}, {}});
  EXPECT_EQ(output_of("cat /etc/resolv.conf /run/names/stub.conf /nowhere/dir/file"), "nameservernameservernameserver");
}

TEST_F(ContainerTest, MountsATmpfsReadOnlyWithoutAMode) {
  spec.mounts.push_back({"/data", "tmpfs", "tmpfs", {"ro"}, {}, {}});
  spec.mounts.push_back({"/fresh", "tmpfs", "tmpfs", {}, {}, {}});
  EXPECT_EQ(output_of("touch /data/x 2>/dev/null || echo read-only; stat -c %a /fresh"), "read-only\n1777\n");
}

TEST_F(ContainerTest, MakesDevReadOnlyWhenItIsComplete) {
  spec.mounts[1].options.emplace_back("ro");
  ASSERT_EQ(spec.mounts[1].destination, "/dev");
  EXPECT_EQ(output_of("touch /dev/x 2>/dev/null || echo read-only; echo x > /dev/null && echo open"),
            "read-only\nopen\n");
}

TEST_F(ContainerTest, TakesTheLastOfAVariableThatIsGivenTwice) {
  spec.process->env = {"PATH=/bin", "A=1", "B=x", "A=2", "HOME="};
  EXPECT_EQ(output_of("env | grep ^A=; echo $HOME"), "A=2\n/root\n");
}

TEST_F(ContainerTest, LeaksNoDescriptors) {
  EXPECT_EQ(output_of("exec ls /proc/self/fd"), "0\n1\n2\n3\n") << "3 is ls's own";
}

TEST_F(ContainerTest, MakesAMissingWorkingDirectory) {
  spec.process->cwd = "/data/a/b";
  EXPECT_EQ(output_of("pwd"), "/data/a/b\n");
}

TEST_F(ContainerTest, NamesTheStepThatFailed) {
  spec.mounts.push_back({"/data", "bind", "/no/such/source", {"rbind"}, {}, {}});
  EXPECT_EQ(failure_of(), "mount \"/data\" (mounts[7]): bind source: /no/such/source: No such file or directory");
}

TEST_F(ContainerTest, TellsAMissingCommandFromOneThatCannotRun) {
  spec.process->args = {"no-such-command"};
  auto client = start();
  Outcome outcome = finish(client);
  EXPECT_EQ(outcome.last.message, "exec: \"no-such-command\": executable file not found in $PATH");
  EXPECT_EQ(outcome.last.exit_code_hint, 127);
  spec.process->args = {"/etc/passwd"};
  client = start();
  outcome = finish(client);
  EXPECT_EQ(outcome.last.exit_code_hint, 126);
  EXPECT_THAT(outcome.last.message, HasSubstr("Permission denied"));
  ASSERT_TRUE(sys::write_file_atomic(folder / "bundle/rootfs/bin/script", "#!/no/interpreter\n", 0755).ok());
  spec.process->args = {"script"};
  client = start();
  outcome = finish(client);
  EXPECT_EQ(outcome.last.exit_code_hint, 127);
}

TEST_F(ContainerTest, SetsOnlyItsOwnSysctls) {
  spec.linux_.sysctl = {{"net.ipv4.ip_forward", "1"}, {"kernel.msgmax", "4096"}, {"net/ipv4/conf/lo/forwarding", "1"}};
  EXPECT_EQ(output_of("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax"), "1\n4096\n");
}

TEST_F(ContainerTest, LetsOrdinaryUsersBindLowPortsAndPing) {
  EXPECT_EQ(output_of("cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /proc/sys/net/ipv4/ping_group_range"),
            "0\n0\t2147483647\n");
}

TEST_F(ContainerTest, RunsUnderASmallInit) {
  compile_request.init = true;
  EXPECT_EQ(
      output_of(
          "cat /proc/1/comm; (sleep 0 &) ; grep -c . /proc/1/stat; touch /sbin/docker-init 2>/dev/null || echo ro"),
      "docker-init\n1\nro\n");
}

TEST_F(ContainerTest, PassesSignalsThroughTheInit) {
  compile_request.init = true;
  spec.process->args = {"/bin/sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 1; done"};
  auto client = start();
  while (log_text("stdout").empty() && next_event(client).kind != Kind::started) {
  }
  while (log_text("stdout").empty()) ::usleep(1000);
  ASSERT_TRUE(client.signal(15).ok());
  EXPECT_EQ(finish(client).last.exit_code, 9);
}

TEST_F(ContainerTest, LeavesNothingBehind) {
  const std::string mounts = sys::read_file("/proc/self/mountinfo").value_or("");
  output_of("sleep 100 & exit 0");
  EXPECT_EQ(sys::read_file("/proc/self/mountinfo").value_or(""), mounts);
  auto layout = cgroup::detect_layout();
  ASSERT_TRUE(layout.ok());
  for (const auto& hierarchy : layout->hierarchies) {
    EXPECT_FALSE(sys::exists(hierarchy.mount_point + "/compose-test-" + std::to_string(::getpid())));
  }
  auto files = sys::list_directory(request.run_dir);
  ASSERT_TRUE(files.ok());
  EXPECT_TRUE(files->empty()) << files->front();
}

}  // namespace
}  // namespace compose::runtime::testing
