#include "runtime/testing/bench_container.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "base/ids.hpp"
#include "base/strings.hpp"
#include "sys/file.hpp"

namespace compose::runtime::testing {

std::string why_not() {
  if (::geteuid() != 0) return "needs root";
  if (!sys::exists("/bin/busybox") && !sys::exists("/usr/bin/busybox")) return "needs busybox-static";
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(::unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET) == 0 ? 0 : 1);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (status != 0) return "this process may not create namespaces";
  auto layout = cgroup::detect_layout();
  if (!layout || layout->hierarchies.empty()) return "no control groups are mounted";
  return {};
}

TempFolder::TempFolder() : path_{"/tmp/compose-runtime-test-XXXXXX"} {
  if (::mkdtemp(path_.data()) == nullptr) path_.clear();
}

TempFolder::~TempFolder() {
  if (!path_.empty()) (void)sys::remove_tree(path_);
}

void make_root(const std::string& path) {
  for (const char* name : {"bin", "etc", "proc", "sys", "dev", "tmp", "run", "root", "sbin", "data"}) {
    (void)sys::make_directories(path + "/" + name);
  }
  ::chmod((path + "/tmp").c_str(), 01777);
  const std::string busybox = sys::exists("/usr/bin/busybox") ? "/usr/bin/busybox" : "/bin/busybox";
  auto bytes = sys::read_file(busybox);
  ASSERT_TRUE(bytes.ok());
  ASSERT_TRUE(sys::write_file_atomic(path + "/bin/busybox", *bytes, 0755).ok());
  for (const char* name : {"sh",     "cat",   "ls",    "id",  "grep",     "sleep",    "true", "mount", "stat",
                           "echo",   "touch", "kill",  "ps",  "hostname", "readlink", "wc",   "head",  "tail",
                           "mkdir",  "mknod", "dd",    "env", "pwd",      "ulimit",   "tr",   "sort",  "cut",
                           "sysctl", "chmod", "chown", "ln",  "test",     "unshare",  "rm",   "stty"}) {
    ASSERT_EQ(::symlink("busybox", (path + "/bin/" + name).c_str()), 0);
  }
  (void)sys::write_file_atomic(path + "/etc/passwd",
                               "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"
                               "1001:x:0:0:evil:/root:/bin/sh\n");
  (void)sys::write_file_atomic(path + "/etc/group", "root:x:0:\nalice:x:1000:\nstaff:x:50:alice\n");
}

spec::Spec default_spec(std::vector<std::string> args) {
  spec::Spec spec;
  spec.root.path = "rootfs";
  spec.hostname = "testbox";
  auto& process = spec.process.emplace();
  process.args = std::move(args);
  process.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  process.cwd = "/";
  auto& caps = process.capabilities.emplace();
  caps.bounding = {"CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
                   "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
                   "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
                   "CAP_KILL",    "CAP_AUDIT_WRITE"};
  caps.effective = caps.permitted = caps.bounding;
  spec.mounts = {{"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}, {}, {}},
                 {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}, {}, {}},
                 {"/dev/pts",
                  "devpts",
                  "devpts",
                  {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"},
                  {},
                  {}},
                 {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}, {}, {}},
                 {"/sys/fs/cgroup", "cgroup", "cgroup", {"ro", "nosuid", "noexec", "nodev"}, {}, {}},
                 {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}, {}, {}},
                 {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=67108864"}, {}, {}}};
  auto& config = spec.linux_;
  for (const char* type : {"mount", "network", "uts", "pid", "ipc", "cgroup"}) config.namespaces.push_back({type, {}});
  config.masked_paths = {"/proc/acpi",
                         "/proc/asound",
                         "/proc/interrupts",
                         "/proc/kcore",
                         "/proc/keys",
                         "/proc/latency_stats",
                         "/proc/sched_debug",
                         "/proc/scsi",
                         "/proc/timer_list",
                         "/proc/timer_stats",
                         "/sys/devices/virtual/powercap",
                         "/sys/firmware"};
  config.readonly_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  auto& resources = config.resources.emplace();
  resources.devices = {{false, "", {}, {}, "rwm"}};
  return spec;
}

spec::Seccomp default_seccomp() {
  spec::Seccomp seccomp;
  seccomp.default_action = "SCMP_ACT_ALLOW";
  seccomp.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  spec::SeccompRule denied_here;
  denied_here.action = "SCMP_ACT_ERRNO";
  denied_here.errno_ret = 1;
  denied_here.names = {"unshare",     "mount",       "umount2",     "keyctl",           "add_key",
                       "request_key", "userfaultfd", "bpf",         "kexec_load",       "io_uring_setup",
                       "pivot_root",  "setns",       "ptrace_none", "open_by_handle_at"};
  spec::SeccompRule clone3;
  clone3.action = "SCMP_ACT_ERRNO";
  clone3.errno_ret = 38;
  clone3.names = {"clone3"};
  spec::SeccompRule clone;
  clone.action = "SCMP_ACT_ERRNO";
  clone.errno_ret = 1;
  clone.names = {"clone"};
  clone.args = {{0, 0x10000000, 0x10000000, "SCMP_CMP_MASKED_EQ"}};
  seccomp.syscalls = {denied_here, clone3, clone};
  return seccomp;
}

monitor::Event next_event(monitor::Client& client) {
  for (;;) {
    auto event = client.receive();
    if (!event) {
      monitor::Event broken;
      broken.message = event.error().message();
      return broken;
    }
    if (*event) return **event;
    pollfd poll{client.fd(), POLLIN, 0};
    if (::poll(&poll, 1, 20000) <= 0) {
      monitor::Event late;
      late.message = "no event within 20 s";
      return late;
    }
  }
}

void Bench::SetUp() {
  if (const std::string reason = why_not(); !reason.empty()) GTEST_SKIP() << reason;
  make_root(folder / "bundle/rootfs");
  spec = default_spec({"/bin/true"});
  request.container_id = random_id();
  request.project = "test";
  request.run_dir = folder / ("run/" + request.container_id);
  for (const std::string& name : {request.run_dir, folder / "state"}) ASSERT_TRUE(sys::make_directories(name).ok());
  request.state_dir = folder / "state";
  request.log.path = folder / "state/log";
  spec.linux_.cgroups_path = "/compose-test-" + std::to_string(::getpid()) + "/" + request.container_id;
}

void Bench::TearDown() {
  auto layout = cgroup::detect_layout();
  if (IsSkipped() || !layout || spec.linux_.cgroups_path.empty()) return;  // a test may have left groups alone
  auto group = cgroup::Group::open(*layout, spec.linux_.cgroups_path);
  if (group.exists()) {
    (void)group.kill_all();
    (void)group.wait_empty(2000);
    (void)group.remove();
  }
}

monitor::Client Bench::start() {
  compile_request.spec = spec;
  compile_request.container_id = request.container_id;
  compile_request.bundle = folder / "bundle";
  auto facts = launch::probe_host();
  auto plan = facts ? launch::compile(compile_request, *facts) : Result<launch::LaunchPlan>{facts.error()};
  if (!plan) {
    ADD_FAILURE() << plan.error().message();
    std::abort();
  }
  request.plan = std::move(*plan);
  request.tty = spec.process->terminal;
  auto client = monitor::Client::spawn(request);
  if (!client) {
    ADD_FAILURE() << client.error().message();
    std::abort();
  }
  return std::move(*client);
}

Bench::Outcome Bench::finish(monitor::Client& client) {
  Outcome outcome;
  for (;;) {
    outcome.last = next_event(client);
    const auto kind = outcome.last.kind;
    if (kind == monitor::Event::Kind::exited || kind == monitor::Event::Kind::failed ||
        kind == monitor::Event::Kind::lost) {
      break;
    }
  }
  outcome.output = log_text("stdout");
  outcome.errors = log_text("stderr");
  return outcome;
}

Bench::Outcome Bench::run(const std::string& script) {
  spec.process->args = {"/bin/sh", "-c", script};
  auto client = start();
  return finish(client);
}

std::string Bench::log_text(const char* stream) const {
  std::string result;
  auto text = sys::read_file(request.log.path);
  if (!text) return result;
  for (const auto& line : split(*text, '\n')) {
    const auto first = line.find(' ');
    const auto second = first == std::string::npos ? first : line.find(' ', first + 1);
    if (second == std::string::npos || line.substr(first + 1, second - first - 1) != stream) continue;
    result += line.substr(second + 3);
    if (line[second + 1] == 'F') result += '\n';
  }
  return result;
}

std::string Bench::output_of(const std::string& script) {
  const Outcome outcome = run(script);
  EXPECT_EQ(outcome.last.kind, monitor::Event::Kind::exited) << outcome.last.message;
  EXPECT_EQ(outcome.last.exit_code, 0) << outcome.errors;
  return outcome.output;
}

}  // namespace compose::runtime::testing
