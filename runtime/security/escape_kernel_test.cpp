// Attacks that have worked on container runtimes; each test names where.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <set>

#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "runtime/testing/bench_container.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"
#include "sys/program.hpp"

namespace compose::runtime::testing {
namespace {

using ::testing::HasSubstr;
using Kind = monitor::Event::Kind;

class Escape : public Bench {
 protected:
  std::string rootfs() const { return folder / "bundle/rootfs"; }
  void link(const std::string& text, const std::string& name) {
    (void)sys::remove_tree(rootfs() + name);
    ASSERT_EQ(::symlink(text.c_str(), (rootfs() + name).c_str()), 0);
  }
  /// A folder of the host that nobody may write to.
  std::string host() {
    EXPECT_TRUE(sys::make_directories(folder / "host").ok());
    return folder / "host";
  }
  void expect_untouched() {
    auto names = sys::list_directory(folder / "host");
    ASSERT_TRUE(names.ok());
    EXPECT_TRUE(names->empty()) << names->front();
  }
};

TEST_F(Escape, ProcAsASymbolicLink) {  // CVE-2019-19921
  link("/tmp", "/proc");
  const auto outcome = run("true");
  EXPECT_EQ(outcome.last.kind, Kind::failed);
  EXPECT_EQ(outcome.last.message,
            "mount \"/proc\" (mounts[0]): \"/proc\" must be mounted on ordinary directory: in the root file system it "
            "is a symbolic link");
}

TEST_F(Escape, SysAsASymbolicLink) {
  link("../../../..", "/sys");
  EXPECT_EQ(run("true").last.kind, Kind::failed);
}

TEST_F(Escape, DevAsASymbolicLinkToTheHost) {  // CVE-2026-41579
  link(host(), "/dev");
  run("true");  // below the root the link leads to a folder of the container, or nowhere
  expect_untouched();
  link("../../../../../../../.." + host(), "/dev");
  run("true");
  expect_untouched();
}

TEST_F(Escape, MountTargetThroughALink) {  // CVE-2019-18837, CVE-2021-30465
  link("/", "/data");
  ASSERT_TRUE(sys::make_directories(folder / "source").ok());
  ASSERT_TRUE(sys::write_file_atomic(folder / "source/file", "text").ok());
  spec.mounts.push_back({"/data/inner", "bind", folder / "source", {"rbind"}, {}, {}});
  EXPECT_EQ(run("cat /inner/file").output, "text");
  EXPECT_FALSE(sys::exists("/inner"));
}

TEST_F(Escape, MountTargetThatLeadsIntoProc) {  // CVE-2019-16884
  link("/proc/self", "/data");
  spec.mounts.push_back({"/data/attr", "tmpfs", "tmpfs", {}, {}, {}});
  EXPECT_EQ(run("true").last.kind, Kind::failed);
}

TEST_F(Escape, FileTargetAsALinkToTheHost) {  // CVE-2025-24965
  const std::string victim = host() + "/victim";
  link(victim, "/etc/hosts");
  ASSERT_TRUE(sys::write_file_atomic(folder / "hosts", "mine").ok());
  spec.mounts.push_back({"/etc/hosts", "bind", folder / "hosts", {"bind"}, {}, {}});
  run("echo x > /etc/hosts; true");
  expect_untouched();
}

TEST_F(Escape, ConsoleAsALink) {  // CVE-2025-52565
  spec.process->terminal = true;
  std::erase_if(spec.mounts, [](const auto& mount) { return mount.destination == "/dev"; });
  ASSERT_TRUE(sys::make_directories(rootfs() + "/dev/pts").ok());
  link("/proc/sysrq-trigger", "/dev/console");
  const auto outcome = run("true");
  EXPECT_EQ(outcome.last.kind, Kind::failed);
  EXPECT_THAT(outcome.last.message, HasSubstr("/dev/console"));
}

TEST_F(Escape, DevNullReplacedBeforeMasking) {  // CVE-2025-31133
  std::erase_if(spec.mounts, [](const auto& mount) { return mount.destination == "/dev"; });
  link("/proc/sys/kernel/core_pattern", "/dev/null");
  spec.linux_.masked_paths = {"/proc/timer_list", "/proc/version"};
  const auto outcome = run("wc -c < /proc/version");
  // Either the image is refused (it occupies a device's place) or the mask is the host's null device.
  if (outcome.last.kind == Kind::exited) {
    EXPECT_EQ(outcome.output, "0\n");
  }
}

TEST_F(Escape, DevNullSwappedWhileContainersStart) {  // CVE-2025-31133, by a neighbour that shares /dev
  const std::string shared = folder / "dev";
  ASSERT_TRUE(sys::make_directories(shared).ok());
  ASSERT_EQ(::mknod((shared + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  ASSERT_EQ(::symlink("/proc/sys/kernel/ostype", (shared + "/link").c_str()), 0);
  for (auto& mount : spec.mounts) {
    if (mount.destination == "/dev") mount = {"/dev", "bind", shared, {"bind"}, {}, {}};
  }
  spec.linux_.masked_paths = {"/proc/version"};
  const pid_t swapper = ::fork();
  if (swapper == 0) {
    for (;;) ::syscall(SYS_renameat2, AT_FDCWD, (shared + "/null").c_str(), AT_FDCWD, (shared + "/link").c_str(), 2);
  }
  int started = 0;
  for (int i = 0; i < 40 && started < 10; ++i) {
    const auto outcome = run("busybox wc -c < /proc/version");
    if (outcome.last.kind == Kind::exited) {  // else the device's place was taken just then
      EXPECT_EQ(outcome.output, "0\n");
      ++started;
    }
    (void)::unlink(request.log.path.c_str());
  }
  ::kill(swapper, SIGKILL);
  (void)sys::wait_child(swapper);
}

TEST_F(Escape, WorkingDirectoryThroughADescriptor) {  // CVE-2024-21626
  for (int fd = 3; fd <= 20; ++fd) {
    spec.process->cwd = "/proc/self/fd/" + std::to_string(fd);
    EXPECT_EQ(run("true").last.kind, Kind::failed) << fd;
  }
}

TEST_F(Escape, InterpreterIsTheRuntimeItself) {  // CVE-2019-5736
  auto program = sys::program_path("compose-monitor");
  ASSERT_TRUE(program.ok());
  const std::string before = sha256_hex(sys::read_file(*program).value_or(""));
  ASSERT_TRUE(sys::write_file_atomic(rootfs() + "/bin/evil", "#!/proc/self/exe\n", 0755).ok());
  spec.process->args = {"/bin/evil"};
  auto client = start();
  finish(client);
  // Another process of the same container tries to write to whatever runs as pid 1.
  run("(echo broken > /proc/1/exe) 2>/dev/null; (echo broken > /proc/self/exe) 2>/dev/null; true");
  EXPECT_EQ(sha256_hex(sys::read_file(*program).value_or("")), before);
}

TEST_F(Escape, ProgramOfTheRuntimeIsReadOnly) {  // CVE-2019-5736, the second half
  spec.process->args = {"/bin/sleep", "1000"};
  auto client = start();
  while (next_event(client).kind != Kind::started) {
  }
  auto children = sys::read_file("/proc/self/task/" + std::to_string(::getpid()) + "/children");
  ASSERT_TRUE(children.ok());
  const std::string pid = split(trim(*children), ' ').back();
  // Not by opening it, which is refused anyway for as long as anybody runs it.
  EXPECT_NE(::access(("/proc/" + pid + "/exe").c_str(), W_OK), 0) << "the monitor's program can be written to";
  EXPECT_EQ(errno, EROFS);
  ASSERT_TRUE(client.kill_all().ok());
  finish(client);
}

TEST_F(Escape, TargetSwappedWhileContainersStart) {  // CVE-2021-30465, CVE-2024-45310
  const std::string shared = folder / "shared";
  ASSERT_TRUE(sys::make_directories(shared + "/real/deep").ok());
  ASSERT_EQ(::symlink("/", (shared + "/link").c_str()), 0);
  spec.mounts.push_back({"/data", "bind", shared, {"rbind"}, {}, {}});
  spec.mounts.push_back({"/data/real/deep/new", "tmpfs", "tmpfs", {}, {}, {}});
  const pid_t swapper = ::fork();
  if (swapper == 0) {
    for (;;) ::syscall(SYS_renameat2, AT_FDCWD, (shared + "/real").c_str(), AT_FDCWD, (shared + "/link").c_str(), 2);
  }
  const std::string mounts = sys::read_file("/proc/self/mountinfo").value_or("");
  for (int i = 0; i < 25; ++i) {
    const auto outcome = run("test ! -e /data/real/boot && test ! -e /data/link/boot && echo safe");
    if (outcome.last.kind == Kind::exited) {
      EXPECT_THAT(outcome.output, HasSubstr("safe"));
    }
    (void)::unlink(request.log.path.c_str());
  }
  ::kill(swapper, SIGKILL);
  (void)sys::wait_child(swapper);
  EXPECT_EQ(sys::read_file("/proc/self/mountinfo").value_or(""), mounts);
  EXPECT_FALSE(sys::exists("/deep"));
}

TEST_F(Escape, MountOverTheKernelsSettings) {  // CVE-2025-52881
  spec.mounts.push_back({"/proc/sys", "tmpfs", "tmpfs", {}, {}, {}});
  spec.linux_.sysctl["net.ipv4.ip_forward"] = "1";
  launch::CompileRequest wanted;
  wanted.spec = spec;
  wanted.container_id = "c";
  wanted.bundle = folder / "bundle";
  auto plan = launch::compile(wanted, launch::probe_host().value());
  ASSERT_FALSE(plan.ok());
  EXPECT_THAT(plan.error().message(), HasSubstr("\"/proc/sys\" cannot be mounted because it is inside /proc"));
}

TEST_F(Escape, SettingWithASecondOneInItsValue) {  // CVE-2022-0811
  const std::string before = sys::read_file("/proc/sys/kernel/core_pattern").value_or("");
  spec.linux_.sysctl["kernel.shm_rmid_forced"] = "1+kernel.core_pattern=|/evil";
  EXPECT_EQ(run("true").last.kind, Kind::failed);
  EXPECT_EQ(sys::read_file("/proc/sys/kernel/core_pattern").value_or(""), before);
}

TEST_F(Escape, AccountFilesWithoutEnd) {  // CVE-2021-20291
  const std::string passwd = rootfs() + "/etc/passwd";
  const auto refused = [&] {
    spec.process->user.username = "alice";
    EXPECT_EQ(run("true").last.kind, Kind::failed);
    spec.process->user.username = "1000";
    EXPECT_EQ(run("true").last.kind, Kind::exited) << "a number needs no file";
  };
  link("/dev/zero", "/etc/passwd");
  refused();
  ASSERT_EQ(::unlink(passwd.c_str()), 0);
  ASSERT_EQ(::mkfifo(passwd.c_str(), 0644), 0);
  refused();
  ASSERT_EQ(::unlink(passwd.c_str()), 0);
  ASSERT_TRUE(sys::write_file_atomic(passwd, "alice:x:1000:1000::/:/bin/sh\n").ok());
  ASSERT_EQ(::truncate(passwd.c_str(), off_t{1} << 40), 0);
  refused();
}

TEST_F(Escape, ControlGroupsOfTheHost) {  // CVE-2022-0492, CVE-2023-25809
  std::erase_if(spec.linux_.namespaces, [](const auto& entry) { return entry.type == "cgroup"; });
  const std::string text =
      run("for f in $(ls -d /sys/fs/cgroup /sys/fs/cgroup/*/); do mkdir $f/evil 2>/dev/null && echo made in $f; done;"
          "mount -t cgroup -o pids none /tmp 2>/dev/null && echo mounted;"
          "mount -t cgroup2 none /tmp 2>/dev/null && echo mounted; echo end")
          .output;
  EXPECT_EQ(text, "end\n");
}

TEST_F(Escape, CapabilitiesForWhateverIsRunNext) {  // CVE-2022-24769
  spec.process->user.uid = 1000;
  EXPECT_EQ(run("grep -E 'CapInh|CapAmb' /proc/self/status").output,
            "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n");
}

TEST_F(Escape, SocketsThatAnyNetworkNeighbourCouldReach) {  // CVE-2020-15257
  std::erase_if(spec.linux_.namespaces, [](const auto& entry) { return entry.type == "network"; });
  spec.linux_.sysctl.clear();
  std::erase_if(spec.mounts, [](const auto& mount) { return mount.type == "sysfs"; });
  const auto abstract = [](const std::string& table) {
    std::set<std::string> names;
    for (const auto& line : split(table, '\n')) {
      if (const auto at = line.find(" @"); at != std::string::npos) names.insert(line.substr(at + 1));
    }
    return names;
  };
  const auto before = abstract(sys::read_file("/proc/net/unix").value_or(""));
  for (const auto& name : abstract(run("cat /proc/net/unix").output)) {
    EXPECT_TRUE(before.contains(name) || name.find("compose") == std::string::npos) << name;
    EXPECT_EQ(name.find("monitor"), std::string::npos) << name;
  }
}

TEST_F(Escape, HugeConfigurationIsNotCutOff) {  // CVE-2021-43784
  for (int i = 0; i < 3000; ++i) {
    spec.linux_.masked_paths.push_back("/proc/" + std::string(60, 'x') + std::to_string(i));
  }
  spec.linux_.masked_paths.emplace_back("/proc/version");
  EXPECT_EQ(run("wc -c < /proc/version").output, "0\n");
}

}  // namespace
}  // namespace compose::runtime::testing
