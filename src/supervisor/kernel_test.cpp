// A supervisor with real monitors and containers, in a network and mount namespace of its own and below temporary
// roots. The program is its own `compose supervise`, so that monitors can bring a killed supervisor back.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "compose/model/project.hpp"
#include "image/store.hpp"
#include "state/log_reader.hpp"
#include "state/records.hpp"
#include "supervisor/client.hpp"
#include "supervisor/supervisor.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::supervisor {
namespace {

using nlohmann::json;
using state::ContainerRecord;
using state::Phase;

constexpr const char* kBusybox = "/bin/busybox";

/// Why this test cannot run here, or "".
std::string obstacle() {
  static const std::string reason = [] {
    if (::geteuid() != 0) return std::string{"needs root"};
    if (!sys::exists(kBusybox)) return std::string{"needs /bin/busybox (package busybox-static)"};
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return std::string{"cannot make namespaces"};
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    ifreq loopback{};
    std::strcpy(loopback.ifr_name, "lo");  // NOLINT: it fits
    loopback.ifr_flags = IFF_UP;           // NOLINT: the kernel's type
    const UniqueFd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (::ioctl(socket.get(), SIOCSIFFLAGS, &loopback) != 0) return std::string{"cannot bring lo up"};
    // Monitors outlive their supervisors: here they are reaped, not left to the host's init.
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    return std::string{};
  }();
  return reason;
}

class SupervisorTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = obstacle(); !reason.empty()) GTEST_SKIP() << reason;
    std::string directory = "/tmp/ct-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    base_ = directory;
    paths_ = state::Paths{base_ + "/s", base_ + "/r"};
    project_.name = "t" + directory.substr(directory.size() - 6);
    for (char& letter : project_.name) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    project_.working_dir = base_;
    project_.networks["default"].name = project_.name + "_default";
    make_image();
  }

  void TearDown() override {
    if (base_.empty()) return;
    if (sys::exists(paths_.project(project_.name))) {
      EXPECT_TRUE(ask({{"op", "down"}, {"options", {{"timeout", 0}}}}).ok);
    }
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    EXPECT_TRUE(sys::remove_tree(base_));
  }

  void make_image() {
    const std::string root = base_ + "/rootfs";
    ASSERT_TRUE(sys::make_directories(root + "/bin"));
    for (const char* name : {"/proc", "/sys", "/dev", "/tmp", "/etc"}) ASSERT_TRUE(sys::make_directories(root + name));
    const std::string script = "cp /bin/busybox " + root + "/bin/busybox && for a in sh sleep cat echo true false " +
                               "test wget httpd nslookup kill; do ln -s busybox " + root + "/bin/$a; done && tar -C " +
                               root + " -cf " + base_ + "/rootfs.tar .";
    ASSERT_EQ(std::system(script.c_str()), 0);
    auto store = image::Store::open(paths_.root());
    ASSERT_TRUE(store) << store.error().message();
    const auto image = store->import_rootfs(base_ + "/rootfs.tar", {"box", {"CMD [\"sh\"]"}, "", ""});
    ASSERT_TRUE(image) << image.error().message();
    image_ = image->id;
  }

  model::Service& service(const std::string& name, const std::string& script) {
    model::Service& made = project_.services[name];
    made.name = name;
    made.image = "box";
    made.command = model::Strings{"sh", "-c", script};
    made.stop_grace_period = std::chrono::seconds{1};
    made.networks["default"];
    return made;
  }

  Outcome ask(const json& request) {
    auto client = Client::connect(paths_, project_.name, Spawn::if_absent);
    EXPECT_TRUE(client) << client.error().message();
    if (!client) return {};
    events_.clear();
    auto outcome = client->request(request, [this](const json& event) { events_.push_back(event); });
    EXPECT_TRUE(outcome) << outcome.error().message();
    return outcome ? *outcome : Outcome{};
  }

  Outcome up(json options = json::object()) {
    json images = json::object();
    for (const auto& [name, one] : project_.services) images[name] = image_;
    return ask(
        {{"op", "apply"}, {"project", model::project_to_json(project_)}, {"images", images}, {"options", options}});
  }
  Outcome down() { return ask({{"op", "down"}, {"options", json::object()}}); }

  std::vector<ContainerRecord> containers() {
    auto list = state::list_containers(paths_, project_.name);
    EXPECT_TRUE(list) << list.error().message();
    return list ? *list : std::vector<ContainerRecord>{};
  }
  ContainerRecord container(const std::string& name) {
    for (const ContainerRecord& record : containers()) {
      if (record.service == name) return record;
    }
    ADD_FAILURE() << "no container of " << name;
    return {};
  }
  std::string log(const std::string& name) {
    std::string text;
    EXPECT_TRUE(state::read_log(paths_.log(project_.name, container(name).id), {}, [&](const state::LogLine& line) {
      text += std::string{line.text} + "\n";
      return true;
    }));
    return text;
  }

  /// Reads container events until `wanted` says yes.
  void wait_for_event(Client& events, const std::function<bool(const json&)>& wanted) {
    for (;;) {
      const auto event = events.receive();
      ASSERT_TRUE(event) << event.error().message();
      if (*event && wanted(**event)) return;
      if (*event) continue;
      pollfd poller{events.fd(), POLLIN, 0};
      ASSERT_EQ(::poll(&poller, 1, 20000), 1) << "no event came";
    }
  }
  static std::function<bool(const json&)> is_event(const std::string& action) {
    return [action](const json& event) {
      return event.value("action", "") == action && event.value("service", "") == "web";
    };
  }
  /// Ends with code 4 and is started again after `delay`, once.
  model::Service& crashing(Duration delay) {
    model::Service& web = service("web", "echo run; exit 4");
    web.deploy.emplace();
    web.deploy->restart_policy.emplace();
    web.deploy->restart_policy->delay = delay;
    web.deploy->restart_policy->max_attempts = 1;
    return web;
  }
  /// Its first run has ended and the next one is set up. Another container keeps the supervisor there.
  void crash_and_wait(Duration delay) {
    crashing(delay);
    service("keep", "exec sleep 1000");
    events_client_.emplace(watch());
    ASSERT_TRUE(up().ok);
    wait_for_event(*events_client_, is_event("start"));
    wait_for_event(*events_client_, is_event("die"));
    while (!set_up_again()) ::poll(nullptr, 0, 5);
  }
  /// The monitor of the next run listens: the last one took its socket away before its container's end was known.
  bool set_up_again() { return sys::exists(paths_.monitor_socket(container("web").id)); }
  Client watch() {
    auto client = Client::connect(paths_, project_.name, Spawn::if_absent);
    EXPECT_TRUE(client);
    EXPECT_TRUE(client->send({{"op", "events"}}));
    return *std::move(client);
  }
  /// The process that answers at the project's socket.
  pid_t supervisor_pid() {
    auto client = Client::connect(paths_, project_.name, Spawn::never);
    if (!client) return 0;
    ucred peer{};
    socklen_t size = sizeof peer;
    ::getsockopt(client->fd(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
    return peer.pid;
  }
  void kill_supervisor() {
    const pid_t pid = supervisor_pid();
    ASSERT_GT(pid, 1);
    const auto pidfd = sys::open_pidfd(pid);
    ASSERT_TRUE(pidfd);
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    pollfd poller{pidfd->get(), POLLIN, 0};
    ASSERT_EQ(::poll(&poller, 1, 5000), 1);
  }
  /// The parent of the container's first process.
  static pid_t monitor_of(const ContainerRecord& record) {
    const auto stat = sys::read_file("/proc/" + std::to_string(record.pid) + "/stat");
    EXPECT_TRUE(stat);
    pid_t parent = -1;
    std::sscanf(stat->c_str() + stat->rfind(')'), ") %*c %d", &parent);
    return parent;
  }
  /// What has ended is reaped first: a zombie still has its start time.
  static bool alive(const ContainerRecord& record) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    return sys::process_start_time(record.pid) == record.start_time;
  }

  void expect_nothing_left() {
    EXPECT_FALSE(sys::exists(paths_.project(project_.name)));
    const auto run = sys::list_directory(paths_.run_containers());
    ASSERT_TRUE(run);
    EXPECT_TRUE(run->empty()) << run->front();
    for (const char* tree : {"memory", "pids", "cpu", "unified", "."}) {
      EXPECT_FALSE(sys::exists(std::string{"/sys/fs/cgroup/"} + tree + "/compose/" + project_.name)) << tree;
    }
    const auto networks = sys::list_directory(paths_.root() + "/networks");
    if (networks) {
      for (const std::string& name : *networks) EXPECT_FALSE(name.ends_with(".json")) << name;
    }
  }

  std::string base_;
  state::Paths paths_{"", ""};
  model::Project project_;
  std::string image_;
  std::vector<json> events_;
  std::optional<Client> events_client_;
};

TEST_F(SupervisorTest, UpRunsAndDownLeavesNothing) {
  service("web", "echo hello; exec sleep 1000");
  service("db", "exec sleep 1000");
  const Outcome outcome = up();
  ASSERT_TRUE(outcome.ok) << outcome.error;
  ASSERT_EQ(containers().size(), 2U);
  for (const ContainerRecord& record : containers()) {
    EXPECT_EQ(record.status(), "running");
    EXPECT_TRUE(alive(record));
    EXPECT_FALSE(record.networks.at(0).ipv4.empty());
  }
  const Outcome gone = down();
  EXPECT_TRUE(gone.ok) << gone.error;
  expect_nothing_left();
}

TEST_F(SupervisorTest, ASecondUpChangesNothing) {
  service("web", "exec sleep 1000");
  ASSERT_TRUE(up().ok);
  const ContainerRecord before = container("web");
  ASSERT_TRUE(up().ok);
  EXPECT_EQ(container("web").id, before.id);
  EXPECT_EQ(container("web").pid, before.pid);
  ASSERT_EQ(events_.size(), 1U);
  EXPECT_EQ(events_[0].value("text", ""), "Running");
}

TEST_F(SupervisorTest, AChangedServiceIsMadeAnewWithItsAddress) {
  service("web", "exec sleep 1000");
  ASSERT_TRUE(up().ok);
  const ContainerRecord before = container("web");
  service("web", "exec sleep 1001");
  const Outcome outcome = up();
  ASSERT_TRUE(outcome.ok) << outcome.error;
  ASSERT_EQ(containers().size(), 1U);
  EXPECT_NE(container("web").id, before.id);
  EXPECT_EQ(container("web").networks.at(0).ipv4, before.networks.at(0).ipv4);
}

TEST_F(SupervisorTest, ACommandThatDoesNotExistFailsAndLeavesNothing) {
  service("web", "").command = model::Strings{"/no/such/thing"};
  project_.positions.set("services.web.command", {"compose.yaml", 4, 7});
  const Outcome outcome = up();
  EXPECT_FALSE(outcome.ok);
  EXPECT_NE(outcome.error.find("\"web\""), std::string::npos) << outcome.error;
  EXPECT_NE(outcome.error.find("/no/such/thing"), std::string::npos) << outcome.error;
  EXPECT_EQ(outcome.position, "compose.yaml:4:7");
  expect_nothing_left();
}

TEST_F(SupervisorTest, AHealthCheckThatNeverPassesFailsTheUpAndLeavesNothing) {
  model::Service& db = service("db", "echo starting; exec sleep 1000");
  db.healthcheck.emplace();
  db.healthcheck->test = {"CMD-SHELL", "echo not yet; false"};
  db.healthcheck->interval = std::chrono::milliseconds{20};
  db.healthcheck->retries = 2;
  service("web", "exec sleep 1000").depends_on["db"].condition = model::Condition::healthy;
  const Outcome outcome = up();
  EXPECT_FALSE(outcome.ok);
  EXPECT_NE(outcome.error.find("\"db\" is unhealthy"), std::string::npos) << outcome.error;
  EXPECT_NE(outcome.error.find("not yet"), std::string::npos) << outcome.error;
  EXPECT_NE(outcome.error.find("starting"), std::string::npos) << outcome.error;
  expect_nothing_left();
}

TEST_F(SupervisorTest, AServiceStartsWhenTheOneItNeedsIsHealthy) {
  model::Service& db = service("db", "sleep 0.3; echo > /tmp/ready; exec sleep 1000");
  db.healthcheck.emplace();
  db.healthcheck->test = {"CMD", "test", "-e", "/tmp/ready"};
  db.healthcheck->interval = std::chrono::seconds{1};
  db.healthcheck->start_period = std::chrono::seconds{10};
  service("web", "exec sleep 1000").depends_on["db"].condition = model::Condition::healthy;
  const Outcome outcome = up();
  ASSERT_TRUE(outcome.ok) << outcome.error;
  EXPECT_EQ(container("db").health.status, "healthy");
  EXPECT_GE(container("web").started_at - container("db").started_at, std::chrono::milliseconds{300});
}

TEST_F(SupervisorTest, AOneShotThatFailsFailsTheUp) {
  service("setup", "echo broken; exit 3");
  service("web", "exec sleep 1000").depends_on["setup"].condition = model::Condition::completed_successfully;
  const Outcome outcome = up();
  EXPECT_FALSE(outcome.ok);
  EXPECT_NE(outcome.error.find("exited with code 3"), std::string::npos) << outcome.error;
  EXPECT_NE(outcome.error.find("broken"), std::string::npos) << outcome.error;
  expect_nothing_left();
}

TEST_F(SupervisorTest, TheRestartPolicyIsObeyedAndThenGivesUp) {
  service("web", "echo run; exit 4").restart = "on-failure:2";
  service("keep", "exec sleep 1000");
  Client events = watch();
  ASSERT_TRUE(up().ok);
  wait_for_event(events, [](const json& event) {
    return event.value("action", "") == "die" && event.value("service", "") == "web" &&
           !event.value("restarting", true);
  });
  EXPECT_EQ(container("web").restart_count, 2);
  EXPECT_EQ(container("web").exit_code, 4);
  EXPECT_EQ(log("web"), "run\nrun\nrun\n");
}

TEST_F(SupervisorTest, AKilledContainerComesBackByItsPolicy) {
  service("web", "exec sleep 1000").restart = "always";
  Client events = watch();
  ASSERT_TRUE(up().ok);
  const ContainerRecord before = container("web");
  ASSERT_EQ(::kill(before.pid, SIGKILL), 0);
  int starts = 0;
  wait_for_event(events, [&](const json& event) { return event.value("action", "") == "start" && ++starts == 2; });
  const ContainerRecord after = container("web");
  EXPECT_EQ(after.id, before.id);
  EXPECT_NE(after.pid, before.pid);
  EXPECT_EQ(after.networks.at(0).ipv4, before.networks.at(0).ipv4);
}

TEST_F(SupervisorTest, TheNextRunIsSetUpWhileItsDelayLasts) {
  // Its monitor makes the socket; without that the socket would be younger than the end of the delay.
  crash_and_wait(std::chrono::seconds{2});
  struct stat socket {};
  ASSERT_EQ(::stat(paths_.monitor_socket(container("web").id).c_str(), &socket), 0);
  const ContainerRecord ended = container("web");
  EXPECT_EQ(ended.status(), "restarting");
  EXPECT_EQ(ended.exit_code, 4);
  wait_for_event(*events_client_, is_event("start"));
  const ContainerRecord again = container("web");
  EXPECT_EQ(again.restart_count, 1);
  const auto made = state::Time{std::chrono::seconds{socket.st_mtim.tv_sec}};
  EXPECT_LT(made, ended.finished_at + std::chrono::seconds{2});
  EXPECT_GE(again.started_at, ended.finished_at + std::chrono::seconds{2});
}

TEST_F(SupervisorTest, AStopDuringTheDelayLeavesTheEndAsItWas) {
  crash_and_wait(std::chrono::seconds{5});
  ASSERT_TRUE(ask({{"op", "stop"}}).ok);
  EXPECT_EQ(container("web").status(), "exited");
  EXPECT_EQ(container("web").exit_code, 4);
  EXPECT_EQ(container("web").error, "");
  EXPECT_FALSE(sys::exists(paths_.monitor_socket(container("web").id)));
  EXPECT_EQ(log("web"), "run\n");
  const Outcome gone = down();
  EXPECT_TRUE(gone.ok) << gone.error;
  expect_nothing_left();
}

TEST_F(SupervisorTest, AStartDuringTheDelayRunsAtOnce) {
  crash_and_wait(std::chrono::seconds{5});
  ASSERT_TRUE(ask({{"op", "start"}}).ok);
  EXPECT_EQ(container("web").restart_count, 0);
  wait_for_event(*events_client_, is_event("die"));
  EXPECT_EQ(log("web"), "run\nrun\n");
}

TEST_F(SupervisorTest, ANewSupervisorRunsWhatTheLastOneHadSetUp) {
  crash_and_wait(std::chrono::seconds{2});
  kill_supervisor();
  Client events = watch();
  wait_for_event(events, is_event("start"));
  EXPECT_EQ(container("web").restart_count, 1);
  wait_for_event(events, is_event("die"));
  EXPECT_EQ(log("web"), "run\nrun\n");
}

TEST_F(SupervisorTest, WhatCannotBeSetUpIsToldWhenTheDelayIsOver) {
  model::Service& web = crashing(std::chrono::seconds{2});
  const std::string source = base_ + "/source";
  ASSERT_TRUE(sys::make_directories(source));
  model::Mount bind;
  bind.type = "bind";
  bind.source = source;
  bind.target = "/data";
  web.volumes.push_back(bind);
  web.command = model::Strings{"sh", "-c", "echo run; test -e /data/end || sleep 1000; exit 4"};
  service("keep", "exec sleep 1000");
  Client events = watch();
  ASSERT_TRUE(up().ok);
  ASSERT_EQ(::rmdir(source.c_str()), 0);
  ASSERT_EQ(::kill(container("web").pid, SIGKILL), 0);
  wait_for_event(events, is_event("die"));
  const state::Time end = container("web").finished_at;
  wait_for_event(events, is_event("restart"));
  EXPECT_GE(std::chrono::system_clock::now(), end + std::chrono::seconds{2});
  for (int i = 0; i < 1000 && container("web").error.empty(); ++i) ::poll(nullptr, 0, 10);
  EXPECT_NE(container("web").error.find("source"), std::string::npos) << container("web").error;
  EXPECT_EQ(container("web").restart_count, 1);
}

TEST_F(SupervisorTest, StopEndsItForGoodAndStartBringsItBack) {
  model::Service& web = service("web", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
  web.restart = "always";
  web.stop_grace_period = std::chrono::seconds{60};  // a loaded machine may need more than one to run the trap
  ASSERT_TRUE(up().ok);
  for (int i = 0; i < 3000 && log("web").empty(); ++i) ::poll(nullptr, 0, 10);  // before the trap a signal is lost
  ASSERT_TRUE(ask({{"op", "stop"}}).ok);
  EXPECT_EQ(container("web").status(), "exited");
  EXPECT_EQ(container("web").exit_code, 0);
  EXPECT_EQ(log("web"), "ready\nbye\n");
  ASSERT_TRUE(ask({{"op", "start"}}).ok);
  EXPECT_EQ(container("web").status(), "running");
}

TEST_F(SupervisorTest, AContainerThatIgnoresTheStopSignalIsKilledAfterItsGracePeriod) {
  service("web", "trap '' TERM; while :; do sleep 0.05; done");
  ASSERT_TRUE(up().ok);
  ASSERT_TRUE(ask({{"op", "stop"}}).ok);
  EXPECT_EQ(container("web").exit_code, 137);
}

TEST_F(SupervisorTest, ContainersOutliveTheirSupervisorAndANewOneTakesThemUp) {
  service("web", "exec sleep 1000");
  ASSERT_TRUE(up().ok);
  const ContainerRecord before = container("web");
  const pid_t first = supervisor_pid();
  kill_supervisor();
  EXPECT_TRUE(alive(before));
  EXPECT_EQ(container("web").status(), "running") << "known without a supervisor";
  // A command meets the supervisor that a monitor brought back, or brings one itself: the same adoption.
  const Outcome status = ask({{"op", "status"}});
  ASSERT_TRUE(status.ok);
  EXPECT_EQ(json::parse(status.json)["containers"][0]["status"], "running");
  EXPECT_NE(supervisor_pid(), first);
  EXPECT_TRUE(alive(before));
  EXPECT_EQ(container("web").pid, before.pid);
  const Outcome gone = down();
  EXPECT_TRUE(gone.ok) << gone.error;
  expect_nothing_left();
}

TEST_F(SupervisorTest, APortThatWasNotedBeforeTheStartIsOpenedByTheNextSupervisor) {
  service("web", "exec httpd -f -p 80").ports = {{"", 80, "18080", "", "tcp", "", ""}};
  ASSERT_TRUE(up({{"no_start", true}}).ok);
  kill_supervisor();
  // Its last act: the port is open and in the record, the container not started.
  ContainerRecord record = container("web");
  ASSERT_EQ(record.ports.size(), 1U);
  record.ports[0].host_port = 18080;
  ASSERT_TRUE(state::save_record(paths_, record));
  ASSERT_TRUE(up().ok);
  ASSERT_EQ(container("web").ports[0].host_port, 18080);
  const UniqueFd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(18080);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int connected = -1;
  for (int i = 0; i < 300 && connected != 0; ++i) {  // httpd takes a moment until it listens
    connected = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);  // NOLINT
    if (connected != 0) ::poll(nullptr, 0, 10);
  }
  EXPECT_EQ(connected, 0) << std::strerror(errno);
}

TEST_F(SupervisorTest, AMonitorBringsAKilledSupervisorBack) {
  service("web", "exec sleep 1000");
  ASSERT_TRUE(up().ok);
  // The socket file of the dead one stays until the new one replaces it: its inode tells.
  kill_supervisor();
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds{2};
  pid_t found = 0;
  while (found == 0 && std::chrono::steady_clock::now() < limit) {
    found = supervisor_pid();
    if (found == 0) ::poll(nullptr, 0, 10);
  }
  EXPECT_NE(found, 0) << "no supervisor within two seconds";
}

TEST_F(SupervisorTest, TheExitCodeOfAContainerThatEndedMeanwhileIsKnown) {
  service("web", "while ! test -e /tmp/stop; do sleep 0.02; done; exit 42");
  ASSERT_TRUE(up().ok);
  const ContainerRecord before = container("web");
  const auto pidfd = sys::open_pidfd(before.pid);
  ASSERT_TRUE(pidfd);
  kill_supervisor();
  const std::string flag = "/proc/" + std::to_string(before.pid) + "/root/tmp/stop";
  ASSERT_TRUE(sys::write_file_atomic(flag, ""));
  pollfd poller{pidfd->get(), POLLIN, 0};
  ASSERT_EQ(::poll(&poller, 1, 5000), 1);
  const Outcome status = ask({{"op", "wait"}, {"services", {"web"}}});
  EXPECT_EQ(status.exit_code, 42);
  EXPECT_EQ(container("web").exit_code, 42);
}

TEST_F(SupervisorTest, AContainerWhoseMonitorWasKilledIsEndedAndItsPolicyApplied) {
  service("web", "exec sleep 1000");
  service("again", "exec sleep 1000").restart = "always";
  Client events = watch();
  ASSERT_TRUE(up().ok);
  const ContainerRecord web = container("web");
  const ContainerRecord again = container("again");
  // What a monitor was writing when it was killed.
  const std::string half_written =
      fmt::format("{}/exit.json.tmp-{}-0", paths_.container(project_.name, web.id), monitor_of(web));
  ASSERT_TRUE(sys::write_file_atomic(half_written, "{"));
  for (const ContainerRecord& record : {web, again}) ASSERT_EQ(::kill(monitor_of(record), SIGKILL), 0);
  int starts = 0;
  wait_for_event(events, [&](const json& event) { return event.value("action", "") == "start" && ++starts == 3; });
  EXPECT_EQ(container("web").status(), "exited");
  EXPECT_EQ(container("web").exit_code, 137);
  EXPECT_FALSE(alive(web));
  EXPECT_FALSE(alive(again));
  EXPECT_FALSE(sys::exists(half_written));
  EXPECT_EQ(container("again").status(), "running");
  const Outcome gone = down();
  EXPECT_TRUE(gone.ok) << gone.error;
  expect_nothing_left();
}

TEST_F(SupervisorTest, AnUpGoesOnWhenItsCommandIsKilled) {
  service("setup", "sleep 0.5");
  service("web", "exec sleep 1000").depends_on["setup"].condition = model::Condition::completed_successfully;
  Client events = watch();
  {
    auto command = Client::connect(paths_, project_.name, Spawn::if_absent);
    ASSERT_TRUE(command);
    ASSERT_TRUE(command->send({{"op", "apply"},
                               {"project", model::project_to_json(project_)},
                               {"images", {{"web", image_}, {"setup", image_}}},
                               {"options", json::object()}}));
    wait_for_event(events, [](const json& event) { return event.value("action", "") == "start"; });
  }
  wait_for_event(events, [](const json& event) {
    return event.value("action", "") == "start" && event.value("service", "") == "web";
  });
  EXPECT_EQ(container("web").status(), "running");
}

TEST_F(SupervisorTest, TwoCommandsAtOnceAreServedOneAfterTheOther) {
  service("web", "exec sleep 1000");
  auto first = Client::connect(paths_, project_.name, Spawn::if_absent);
  ASSERT_TRUE(first);
  const json apply = {{"op", "apply"},
                      {"project", model::project_to_json(project_)},
                      {"images", {{"web", image_}}},
                      {"options", json::object()}};
  ASSERT_TRUE(first->send(apply));
  const Outcome second = ask(apply);
  EXPECT_TRUE(second.ok) << second.error;
  EXPECT_EQ(containers().size(), 1U);
}

TEST_F(SupervisorTest, AServiceFindsAnotherByName) {
  service("web", "echo found > /tmp/index.html; exec busybox httpd -f -p 80 -h /tmp");
  service("client",
          "for i in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://web/ && break; sleep 0.2; done; exec sleep 1000")
      .depends_on["web"];
  Client events = watch();
  ASSERT_TRUE(up().ok);
  auto follower = state::LogFollower::open(paths_, project_.name, {{"client"}, {}, false}, {});
  ASSERT_TRUE(follower);
  std::string seen;
  for (int i = 0; i < 50 && seen.find("found") == std::string::npos; ++i) {
    ASSERT_TRUE(follower->drain([&](const state::FollowedLine& line) { seen += line.line.text; }));
    pollfd poller{follower->fd(), POLLIN, 0};
    ::poll(&poller, 1, 200);
  }
  EXPECT_NE(seen.find("found"), std::string::npos) << seen;
}

}  // namespace
}  // namespace compose::supervisor

/// `supervise` as the command line has it: what monitors and clients start.
int main(int argc, char** argv) {
  if (argc > 1 && std::string{argv[1]} == "supervise") {
    std::map<std::string, std::string> values;
    bool adopt = false;
    for (int i = 2; i < argc; ++i) {
      if (std::string{argv[i]} == "--adopt") {
        adopt = true;
      } else if (i + 1 < argc) {
        values[argv[i]] = argv[i + 1];
        ++i;
      }
    }
    const auto number = [&](const char* name) { return values.contains(name) ? std::stoi(values[name]) : -1; };
    return compose::supervisor::supervise({compose::state::Paths{values["--root"], values["--run-root"]},
                                           values["--project"], number("--lock-fd"), adopt, number("--ready-fd")});
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
