#include "container/spec.hpp"

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "container/capabilities.hpp"
#include "container/seccomp_profile.hpp"
#include "container/spec_parts.hpp"

namespace compose::container {
namespace {

namespace spec = runtime::spec;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const image::ImageConfig& test_image() {
  static const image::ImageConfig image = [] {
    image::ImageConfig result;
    result.cmd = {"nginx", "-g", "daemon off;"};
    result.env = {"NGINX_VERSION=1.22"};
    return result;
  }();
  return image;
}

HostInfo test_host() {
  HostInfo host;
  host.hostname = "host";
  host.kernel_major = 6;
  host.kernel_minor = 1;
  return host;
}

SpecInput input_for(const model::Service& service) {
  return {.service = service,
          .image = test_image(),
          .project = "shop",
          .id = std::string(64, 'c'),
          .name = "shop-web-1",
          .rootfs = "/run/compose/containers/cc/rootfs",
          .run_dir = "/run/compose/containers/cc",
          .cgroup = "/compose/shop/cc"};
}

spec::Spec make(const model::Service& service) {
  auto made = make_spec(input_for(service), test_host());
  EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message());
  return made.ok() ? std::move(made).value() : spec::Spec{};
}

std::string error_of(const model::Service& service) {
  const auto made = make_spec(input_for(service), test_host());
  return made.ok() ? "no error" : made.error().message();
}

model::Service web() {
  model::Service service;
  service.name = "web";
  service.image = "nginx";
  return service;
}

const spec::Mount* mount_at(const spec::Spec& spec, const std::string& destination) {
  for (const auto& mount : spec.mounts) {
    if (mount.destination == destination) return &mount;
  }
  return nullptr;
}

// Compares with a file of testdata/; with COMPOSE_UPDATE_GOLDEN set it writes the file instead. The system call filter
// has a test of its own: here it would hide everything else.
void expect_golden(spec::Spec spec, const std::string& name) {
  spec.linux_.seccomp.reset();
  const std::string text = spec::to_json(spec);
  const std::string path = std::string{CONTAINER_TESTDATA} + "/" + name;
  if (std::getenv("COMPOSE_UPDATE_GOLDEN") != nullptr) {
    std::ofstream{path} << text;
    return;
  }
  std::ifstream file{path};
  std::stringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(text, expected.str()) << path;
}

TEST(MakeSpec, AServiceThatSaysNothingGetsDockersDefaults) { expect_golden(make(web()), "default.json"); }

TEST(MakeSpec, EveryAttributeFindsItsPlace) {
  model::Service service = web();
  service.command = model::Strings{"run"};
  service.entrypoint = model::Strings{"/entry"};
  service.working_dir = "/srv";
  service.user = "www-data";
  service.environment = {{"A", "1"}};
  service.hostname = "box";
  service.domainname = "example.org";
  service.tty = true;
  service.init = true;
  service.read_only = true;
  service.cap_drop = {"ALL"};
  service.cap_add = {"chown"};
  service.security_opt = {"no-new-privileges:true", "apparmor=strict", "label=level:s0:c1"};
  service.sysctls = {{"net.core.somaxconn", "1024"}};
  service.ulimits = {{"nofile", {1024, 2048}}, {"memlock", {-1, -1}}};
  service.tmpfs = {"/tmp:size=64m,exec,uid=33", "/run"};
  service.shm_size = 1 << 20;
  service.mem_limit = 256 << 20;
  service.mem_reservation = 128 << 20;
  service.cpus = 0.5;
  service.cpuset = "0-1";
  service.cpu_shares = 512;
  service.pids_limit = 100;
  service.oom_score_adj = 200;
  service.annotations = {{"com.example", "x"}};
  service.cgroup_parent = "tenant";
  service.devices = {{"/dev/fuse", "/dev/fuse", "rw"}};
  service.device_cgroup_rules = {"c 1:3 mr", "b *:* r"};
  service.blkio_config.emplace();
  service.blkio_config->weight = 300;
  service.blkio_config->device_read_bps = {{"/dev/sda", 1024}};
  SpecInput input = input_for(service);
  input.additional_gids = {7};
  input.host_devices["/dev/fuse"] = {{"/dev/fuse", 'c', 10, 229, 0666, 0, 0}};
  input.host_devices["/dev/sda"] = {{"/dev/sda", 'b', 8, 0, 0660, 0, 6}};
  spec::Mount data;
  data.destination = "/data/inner/";
  data.type = "bind";
  data.source = "/vol/inner";
  data.options = {"rbind", "rprivate"};
  input.mounts.push_back(data);
  data.destination = "/data";
  data.source = "/vol";
  data.options = {"rbind", "rslave", "ro"};
  input.mounts.push_back(data);
  const auto made = make_spec(input, test_host());
  ASSERT_TRUE(made.ok()) << made.error().message();
  expect_golden(*made, "full.json");
}

TEST(MakeSpec, PrivilegedLiftsEveryFence) {
  model::Service service = web();
  service.privileged = true;
  HostInfo host = test_host();
  host.devices = {{"/dev/kmsg", 'c', 1, 11, 0644, 0, 0}};
  const auto made = make_spec(input_for(service), host);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->process->capabilities->bounding.size(), 41U);
  EXPECT_FALSE(made->linux_.seccomp);
  EXPECT_THAT(made->linux_.masked_paths, IsEmpty());
  EXPECT_THAT(made->linux_.readonly_paths, IsEmpty());
  EXPECT_THAT(mount_at(*made, "/sys")->options, Contains("rw"));
  EXPECT_THAT(mount_at(*made, "/sys/fs/cgroup")->options, Contains("rw"));
  ASSERT_EQ(made->linux_.devices.size(), 1U);
  EXPECT_EQ(made->linux_.devices[0].path, "/dev/kmsg");
  ASSERT_EQ(made->linux_.resources->devices.size(), 1U);
  EXPECT_TRUE(made->linux_.resources->devices[0].allow);
}

TEST(MakeSpec, HostModesShareTheHostsNamespaces) {
  model::Service service = web();
  service.network_mode = "host";
  service.pid = "host";
  service.ipc = "host";
  service.uts = "host";
  service.cgroup = "host";
  const auto made = make(service);
  ASSERT_EQ(made.linux_.namespaces.size(), 1U);
  EXPECT_EQ(made.linux_.namespaces[0].type, "mount");
  EXPECT_EQ(made.hostname, "");
  EXPECT_THAT(made.process->env, Contains("HOSTNAME=host"));
}

TEST(MakeSpec, ANamespaceOfAnotherContainerIsFilledInAtTheStart) {
  model::Service service = web();
  service.network_mode = "service:db";
  auto made = make(service);
  set_namespace(made, "network", "/proc/77/ns/net");
  int seen = 0;
  for (const auto& entry : made.linux_.namespaces) {
    if (entry.type == "network") {
      ++seen;
      EXPECT_EQ(entry.path, "/proc/77/ns/net");
    }
  }
  EXPECT_EQ(seen, 1);
}

TEST(MakeSpec, AMountOfTheUserReplacesTheDefaultOne) {
  model::Service service = web();
  service.tmpfs = {"/dev/shm:size=1g"};
  SpecInput input = input_for(service);
  spec::Mount hosts;
  hosts.destination = "/etc/hosts";
  hosts.type = "bind";
  hosts.source = "/mine";
  input.mounts.push_back(hosts);
  const auto made = make_spec(input, test_host());
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(mount_at(*made, "/etc/hosts")->source, "/mine");
  EXPECT_THAT(mount_at(*made, "/dev/shm")->options, ElementsAre("noexec", "nosuid", "nodev", "size=1g"));
  std::size_t at_hosts = 0;
  for (const auto& mount : made->mounts) at_hosts += mount.destination == "/etc/hosts" ? 1 : 0;
  EXPECT_EQ(at_hosts, 1U);
}

TEST(MakeSpec, TheUsersDevHidesWhatWePutBelowIt) {
  model::Service service = web();
  SpecInput input = input_for(service);
  spec::Mount dev;
  dev.destination = "/dev";
  dev.type = "bind";
  dev.source = "/dev";
  input.mounts.push_back(dev);
  const auto made = make_spec(input, test_host());
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(mount_at(*made, "/dev/pts"), nullptr);
  EXPECT_EQ(mount_at(*made, "/dev/shm"), nullptr);
}

TEST(MakeSpec, DeployLimitsWinOverTheServices) {
  model::Service service = web();
  service.mem_limit = 1;
  service.cpus = 4;
  service.deploy.emplace();
  service.deploy->limits = model::ResourceLimits{.cpus = 1.5, .memory = 64 << 20, .pids = 50};
  const auto made = make(service);
  EXPECT_EQ(made.linux_.resources->memory->limit, 64 << 20);
  EXPECT_EQ(made.linux_.resources->memory->swap, 128 << 20);
  EXPECT_EQ(made.linux_.resources->cpu->quota, 150'000);
  EXPECT_EQ(made.linux_.resources->pids_limit, 50);
}

TEST(MakeSpec, AnUnlimitedSwapStaysUnlimited) {
  model::Service service = web();
  service.mem_limit = 64 << 20;
  service.memswap_limit = -1;
  EXPECT_EQ(make(service).linux_.resources->memory->swap, -1);
}

TEST(MakeSpec, ErrorsNameTheAttribute) {
  model::Service service = web();
  service.cap_add = {"NET_ADMN"};
  EXPECT_EQ(error_of(service), "cap_add: unknown capability \"NET_ADMN\", did you mean CAP_NET_ADMIN?");
  service = web();
  service.ulimits = {{"nofiles", {1, 1}}};
  EXPECT_EQ(error_of(service), "ulimits: unknown limit \"nofiles\", did you mean \"nofile\"?");
  service = web();
  service.ulimits = {{"nofile", {10, 5}}};
  EXPECT_EQ(error_of(service), "ulimits.nofile: the soft limit 10 is above the hard limit 5");
  service = web();
  service.memswap_limit = 5;
  EXPECT_EQ(error_of(service), "memswap_limit: needs a memory limit (mem_limit)");
  service = web();
  service.devices = {{"/dev/nothing", "/dev/nothing", "rwm"}};
  EXPECT_EQ(error_of(service), "devices: \"/dev/nothing\" is not a device of this host");
  service = web();
  service.device_cgroup_rules = {"c 1 rwm"};
  EXPECT_THAT(error_of(service), HasSubstr("device_cgroup_rules: \"c 1 rwm\""));
  service = web();
  service.security_opt = {"magic"};
  EXPECT_EQ(error_of(service), "security_opt: unknown option \"magic\"");
  service = web();
  service.entrypoint = model::Strings{};
  service.command = model::Strings{};
  EXPECT_THAT(error_of(service), HasSubstr("no command"));
}

TEST(Capabilities, FollowDockersRules) {
  model::Service service;
  EXPECT_EQ(container_capabilities(service, 40)->size(), 14U);
  service.cap_drop = {"NET_RAW", "cap_mknod"};
  EXPECT_THAT(*container_capabilities(service, 40), Not(Contains("CAP_NET_RAW")));
  EXPECT_EQ(container_capabilities(service, 40)->size(), 12U);
  service.cap_drop = {"ALL"};
  service.cap_add = {"SETUID", "SETGID"};
  EXPECT_THAT(*container_capabilities(service, 40), ElementsAre("CAP_SETUID", "CAP_SETGID"));
  service.cap_add = {"ALL"};
  service.cap_drop = {"SYS_ADMIN"};
  EXPECT_EQ(container_capabilities(service, 40)->size(), 40U);
  EXPECT_EQ(container_capabilities(service, 37)->size(), 37U);
}

TEST(TmpfsOptions, TheLastOfAKindWins) {
  EXPECT_THAT(tmpfs_options(""), ElementsAre("noexec", "nosuid", "nodev"));
  EXPECT_THAT(tmpfs_options("exec,size=1m,size=2m"), ElementsAre("nosuid", "nodev", "exec", "size=2m"));
}

const spec::SeccompRule* rule_for(const spec::Seccomp& seccomp, const std::string& name) {
  for (const auto& rule : seccomp.syscalls) {
    if (std::ranges::find(rule.names, name) != rule.names.end()) return &rule;
  }
  return nullptr;
}

TEST(SeccompProfile, TheDefaultOneIsRememberedForEachSetOfConditions) {
  const auto rules = [](const SeccompConditions& conditions) {
    const auto resolved = resolve_default_seccomp(conditions);
    return resolved ? resolved->syscalls.size() : 0;
  };
  for (int round = 0; round < 2; ++round) {
    for (const char* capability : {"CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_BPF", "CAP_SYS_TIME"}) {
      const SeccompConditions conditions{{capability}, "amd64", 6, 1};
      const auto afresh = resolve_seccomp(default_seccomp_profile(), conditions);
      ASSERT_TRUE(afresh.ok());
      EXPECT_EQ(rules(conditions), afresh->syscalls.size()) << capability;
    }
  }
  EXPECT_NE(rules({{"CAP_SYS_ADMIN"}, "amd64", 6, 1}), rules({{"CAP_CHOWN"}, "amd64", 6, 1}));
}

TEST(Seccomp, TheDefaultProfileFollowsCapabilitiesArchitectureAndKernel) {
  const auto plain = resolve_seccomp(default_seccomp_profile(), {{"CAP_CHOWN"}, "amd64", 6, 1});
  ASSERT_TRUE(plain.ok()) << plain.error().message();
  EXPECT_EQ(plain->default_action, "SCMP_ACT_ERRNO");
  EXPECT_EQ(plain->default_errno_ret, 1U);
  EXPECT_THAT(plain->architectures, ElementsAre("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"));
  EXPECT_EQ(rule_for(*plain, "mount"), nullptr);
  EXPECT_EQ(rule_for(*plain, "chroot"), nullptr);
  EXPECT_EQ(rule_for(*plain, "io_uring_setup"), nullptr);
  ASSERT_NE(rule_for(*plain, "clone3"), nullptr);
  EXPECT_EQ(rule_for(*plain, "clone3")->errno_ret, 38U);
  EXPECT_EQ(rule_for(*plain, "clone")->args.size(), 1U);
  EXPECT_NE(rule_for(*plain, "arch_prctl"), nullptr);
  EXPECT_NE(rule_for(*plain, "ptrace"), nullptr);

  const auto admin = resolve_seccomp(default_seccomp_profile(), {{"CAP_SYS_ADMIN"}, "arm64", 4, 4});
  ASSERT_TRUE(admin.ok());
  EXPECT_NE(rule_for(*admin, "mount"), nullptr);
  EXPECT_TRUE(rule_for(*admin, "clone")->args.empty());
  EXPECT_EQ(rule_for(*admin, "arch_prctl"), nullptr);
  EXPECT_EQ(rule_for(*admin, "ptrace"), nullptr);
}

TEST(Seccomp, OptionsChooseTheProfile) {
  model::Service service = web();
  EXPECT_TRUE(make(service).linux_.seccomp);
  service.security_opt = {"seccomp=unconfined"};
  EXPECT_FALSE(make(service).linux_.seccomp);
  service.security_opt = {"seccomp:/profiles/mine.json"};
  SpecInput input = input_for(service);
  input.seccomp_profile = R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],
    "syscalls":[{"name":"chmod","action":"SCMP_ACT_ERRNO"}]})";
  const auto made = make_spec(input, test_host());
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(made->linux_.seccomp->default_action, "SCMP_ACT_ALLOW");
  EXPECT_THAT(made->linux_.seccomp->syscalls.at(0).names, ElementsAre("chmod"));
  input.seccomp_profile = "[";
  const auto broken = make_spec(input, test_host());
  ASSERT_FALSE(broken.ok());
  EXPECT_THAT(broken.error().message(), HasSubstr("security_opt: seccomp=/profiles/mine.json: not a seccomp profile"));
}

}  // namespace
}  // namespace compose::container
