// Containers as this module describes them, started for real and asked what they see.
#include <gmock/gmock.h>

#include "container/prepare.hpp"
#include "runtime/testing/bench_container.hpp"
#include "sys/file.hpp"

namespace compose::container {
namespace {

using runtime::monitor::Event;
using testing::HasSubstr;
using testing::Not;

class ContainerTest : public runtime::testing::Bench {
 protected:
  void SetUp() override {
    Bench::SetUp();
    if (IsSkipped()) return;
    runtime::testing::make_root(folder / "layer");
    image_.layer_dirs = {folder / "layer"};
    project_.name = "shop";
    service_.name = "web";
    service_.cgroup_parent = spec.linux_.cgroups_path.substr(0, spec.linux_.cgroups_path.rfind('/'));
  }

  state::Paths paths() const { return {folder / "root", folder / "run"}; }

  void write(const std::string& name, const std::string& content) const {
    const std::string path = folder / name;
    ASSERT_TRUE(sys::make_directories(path.substr(0, path.rfind('/'))).ok());
    ASSERT_TRUE(sys::write_file_atomic(path, content).ok());
  }

  // What `sh -c script` prints in a container of the service.
  Outcome run_service(const std::string& script) {
    service_.command = model::Strings{"/bin/sh", "-c", script};
    const CreateInput input{
        .project = project_, .service = service_, .image = image_, .id = request.container_id, .name = "shop-web-1"};
    const auto created = create_container(paths(), input);
    if (!created.ok()) {
      ADD_FAILURE() << created.error().message();
      return {};
    }
    auto prepared = prepare_start(paths(), {.project = "shop", .id = request.container_id, .addresses = {"10.9.8.7"}});
    if (!prepared.ok()) {
      ADD_FAILURE() << prepared.error().message();
      return {};
    }
    spec = std::move(prepared->spec);
    compile_request.overlay = std::move(prepared->overlay);
    request.run_dir = paths().run_container(request.container_id);
    auto client = start();
    auto outcome = finish(client);
    EXPECT_TRUE(sys::remove_tree(paths().run_container(request.container_id)).ok());
    return outcome;
  }

  model::Project project_;
  model::Service service_;
  image::Image image_;
};

TEST_F(ContainerTest, AServiceThatSaysNothingSeesWhatDockerGives) {
  const auto outcome = run_service(
      "grep -E '^(CapEff|CapBnd|CapAmb|Seccomp|NoNewPrivs):' /proc/self/status | tr '\\t' ' '\n"
      "hostname; env | sort; id; pwd\n"
      "cat /etc/hostname; tail -n 1 /etc/hosts; cat /etc/resolv.conf | head -n 1\n"
      "head -c 4 /proc/kcore | wc -c\n"
      "echo 1 > /proc/sys/kernel/printk || echo refused\n"
      "touch /sys/x 2>/dev/null || echo ro\n"
      "ls /dev | tr '\\n' ' '; echo\n"
      "grep ' /dev/shm ' /proc/mounts | grep -c size=65536k\n"
      "unshare -m true 2>/dev/null || echo no-new-namespaces\n"
      "touch /written && echo writable\n");
  ASSERT_EQ(outcome.last.kind, Event::Kind::exited) << outcome.last.message;
  const std::string name = request.container_id.substr(0, 12);
  for (const std::string line :
       {"CapEff: 00000000a80425fb\n", "CapBnd: 00000000a80425fb\n", "CapAmb: 0000000000000000\n", "Seccomp: 2\n",
        "NoNewPrivs: 0\n", "uid=0(root) gid=0(root)", "\n/\n", "\nrefused\n", "\nro\n", "\nno-new-namespaces\n",
        "\nwritable\n", "HOME=/root\n", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n",
        "nameserver 127.0.0.11\n"}) {
    EXPECT_THAT(outcome.output, HasSubstr(line));
  }
  EXPECT_THAT(outcome.output, HasSubstr(name + "\n"));
  EXPECT_THAT(outcome.output, HasSubstr("HOSTNAME=" + name + "\n"));
  EXPECT_THAT(outcome.output, HasSubstr("10.9.8.7\t" + name + "\n"));
  EXPECT_THAT(outcome.output, HasSubstr("\n0\n"));  // /proc/kcore is masked
  for (const char* device : {"full ", "null ", "ptmx ", "pts ", "random ", "shm ", "tty ", "urandom ", "zero "}) {
    EXPECT_THAT(outcome.output, HasSubstr(device));
  }
}

TEST_F(ContainerTest, ARestrictedServiceSeesItsRestrictions) {
  service_.user = "alice";
  service_.group_add = {"staff", "1234"};
  service_.cap_drop = {"ALL"};
  service_.read_only = true;
  service_.security_opt = {"no-new-privileges:true"};
  service_.tmpfs = {"/scratch:size=1m,uid=1000,mode=700"};
  service_.ulimits = {{"nofile", {100, 200}}};
  service_.mem_limit = 64 << 20;
  service_.pids_limit = 50;
  service_.working_dir = "/data";
  service_.environment = {{"GREETING", "hello world"}};
  service_.sysctls = {{"net.core.somaxconn", "777"}};
  const auto outcome = run_service(
      "grep -E '^(CapEff|CapBnd|NoNewPrivs):' /proc/self/status | tr '\\t' ' '\n"
      "id; pwd; echo $GREETING; ulimit -n; cat /proc/sys/net/core/somaxconn\n"
      "touch /x 2>/dev/null || echo read-only\n"
      "touch /scratch/x && echo scratch; stat -c '%u %a' /scratch\n"
      "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max\n"
      "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max\n");
  ASSERT_EQ(outcome.last.kind, Event::Kind::exited) << outcome.last.message;
  for (const std::string line : {"CapEff: 0000000000000000\n", "CapBnd: 0000000000000000\n", "NoNewPrivs: 1\n",
                                 "uid=1000(alice)", "(staff)", "1234", "\n/data\n", "\nhello world\n", "\n100\n",
                                 "\n777\n", "\nread-only\n", "\nscratch\n", "\n1000 700\n", "\n67108864\n", "\n50\n"}) {
    EXPECT_THAT(outcome.output, HasSubstr(line));
  }
}

TEST_F(ContainerTest, VolumesSecretsAndConfigsAreThereWithTheirOwners) {
  write("layer/srv/data/seed", "from the image\n");
  ASSERT_EQ(::chown((folder / "layer/srv/data").c_str(), 1000, 1000), 0);
  write("key", "s3cret\n");
  write("site.conf", "listen 80\n");
  project_.volumes["data"].name = "shop_data";
  model::Mount mount;
  mount.type = "volume";
  mount.source = "data";
  mount.target = "/srv/data";
  service_.volumes = {mount};
  mount.type = "bind";
  mount.source = folder / "site.conf";
  mount.target = "/etc/deep/er/bound.conf";
  mount.read_only = true;
  service_.volumes.push_back(mount);
  project_.secrets["key"].file = folder / "key";
  project_.configs["site"].content = "inline\n";
  service_.secrets = {{"key", "", "1000", "1000", 0400}};
  service_.configs = {{"site", "/etc/site.conf", "", "", {}}};
  service_.user = "1000:1000";
  const auto outcome = run_service(
      "cat /srv/data/seed /run/secrets/key /etc/site.conf /etc/deep/er/bound.conf\n"
      "stat -c '%u:%g %a' /srv/data /run/secrets/key /etc/site.conf\n"
      "echo mine > /srv/data/new && echo wrote\n"
      "(echo x > /run/secrets/key) 2>/dev/null || echo secret-read-only\n");
  ASSERT_EQ(outcome.last.kind, Event::Kind::exited) << outcome.last.message;
  EXPECT_EQ(outcome.output,
            "from the image\ns3cret\ninline\nlisten 80\n"
            "1000:1000 755\n1000:1000 400\n0:0 444\n"
            "wrote\nsecret-read-only\n");
  const auto written = sys::read_file(folder / "root/volumes/shop_data/_data/new");
  ASSERT_TRUE(written.ok());
  EXPECT_EQ(*written, "mine\n");
}

TEST_F(ContainerTest, DevicesArePassedThroughAndOthersStayClosed) {
  service_.devices = {{"/dev/zero", "/dev/nought", "r"}};
  const auto outcome = run_service(
      "head -c 3 /dev/nought | wc -c\n"
      "mknod /tmp/mem c 1 1 && (head -c 1 /tmp/mem 2>/dev/null || echo closed)\n");
  ASSERT_EQ(outcome.last.kind, Event::Kind::exited) << outcome.last.message;
  EXPECT_EQ(outcome.output, "3\nclosed\n");
}

TEST_F(ContainerTest, WhatCannotRunSaysWhy) {
  service_.user = "nobody-here";
  auto outcome = run_service("true");
  EXPECT_EQ(outcome.last.kind, Event::Kind::failed);
  EXPECT_THAT(outcome.last.message, HasSubstr("nobody-here"));
}

}  // namespace
}  // namespace compose::container
