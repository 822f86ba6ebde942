#include "state/records.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "state/left_volumes.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::state {
namespace {

using std::chrono::seconds;

class RecordsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string directory = testing::TempDir() + "records.XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    paths_ = Paths{directory, directory + "/run"};
  }
  void TearDown() override { EXPECT_TRUE(sys::remove_tree(paths_.root())); }

  ContainerRecord record(const std::string& service, int number) const {
    ContainerRecord r;
    r.id = service + std::to_string(number);
    r.name = "p-" + service + "-" + std::to_string(number);
    r.project = "p";
    r.service = service;
    r.number = number;
    r.phase = Phase::exited;
    return r;
  }
  void save(const ContainerRecord& r) const {
    ASSERT_TRUE(sys::make_directories(paths_.container(r.project, r.id)));
    ASSERT_TRUE(save_record(paths_, r));
  }
  ContainerRecord running(pid_t pid, std::uint64_t start_time) const {
    ContainerRecord r = record("web", 1);
    r.phase = Phase::running;
    r.pid = pid;
    r.start_time = start_time;
    r.boot_id = sys::boot_id();
    return r;
  }

  Paths paths_{"", ""};
};

TEST_F(RecordsTest, GivesBackEveryField) {
  ContainerRecord r = record("web", 2);
  r.one_off = r.auto_remove = r.paused = r.oom_killed = r.restarting = r.stopped_by_user = r.tty = r.open_stdin = true;
  r.image_ref = "nginx";
  r.image_id = "sha256:1";
  r.config_hash = "h";
  r.command = {"sh", "-c", "x"};
  r.labels = {{"a", "b"}};
  r.created_at = Time{seconds{1}};
  r.phase = Phase::running;
  r.pid = 7;
  r.start_time = 99;
  r.boot_id = "b";
  r.started_at = Time{seconds{2}};
  r.finished_at = Time{seconds{3}};
  r.exit_code = 143;
  r.error = "e";
  r.restart_count = 4;
  r.cgroup = "/compose/p/x";
  r.hostname = "h1";
  r.network_mode = "host";
  r.networks = {{"front",
                 "p_front",
                 {"web"},
                 "10.0.0.2",
                 "fd00::2",
                 "02:00",
                 true,
                 "lan0",
                 {"169.254.7.7/16"},
                 {{"ipv4.conf.IFNAME.log_martians", "1"}},
                 "10.0.0.2/24",
                 "fd00::2/64",
                 "02:00"}};
  r.ports = {{"127.0.0.1", 8000, 8100, 8080, 80, "tcp"}};
  r.exposed = {"80/tcp"};
  r.mounts = {{"volume", "v", "/s", "/t", true}};
  r.healthcheck = {{"CMD", "true"}, seconds{30}, seconds{5}, seconds{1}, seconds{2}, 3};
  r.health = {"unhealthy", 3, {{Time{seconds{5}}, Time{seconds{6}}, 1, "no"}}};
  r.restart = {"on-failure", 5, seconds{1}, seconds{2}, true};
  r.crash_loop = r.hooks_pending = true;
  r.restart_at = Time{seconds{8}};
  r.role = Role::retiring;
  r.lease_slot = "b";
  r.schedule = {"@daily", "Europe/Berlin", "queue", "run"};
  r.pre_start = {true, false};
  r.post_start = {{{"sh", "-c", "x"}, "33", "/w", true, {"A=b"}, "compose.yaml:3:4"}};
  r.pre_stop = {{{"true"}, "", "", false, {}, ""}};
  r.depends_on = {{"db", {model::Condition::healthy, true, false}}};
  r.joins = {{"network", "service:db"}};
  r.shares_with = {"db"};
  r.links = {{"database", "service:db"}};
  r.dns = {"10.0.0.1"};
  r.dns_search = {"example.test"};
  r.stop_signal = "SIGQUIT";
  r.stop_grace = seconds{3};
  r.log = {"json-file", "json", 1000, 3, true, "a", "syslog", "udp:1.2.3.4:514", "F=1\n", "tag", 4, 9};
  const auto back = record_from_json(record_to_json(r));
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(record_to_json(*back), record_to_json(r));
  EXPECT_TRUE(*back == r);
}

TEST_F(RecordsTest, RefusesTheSchemaOfANewerVersion) {
  const auto result = record_from_json(R"({"schema":99,"id":"x","phase":"running"})");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::unsupported);
}

TEST_F(RecordsTest, ARecordWithoutAnySchemaIsNotTakenForACurrentOne) {
  for (const char* text : {R"({"id":"x","phase":"running"})", R"({"schema":0,"id":"x","phase":"running"})"}) {
    const auto result = record_from_json(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code(), Errc::corrupt);
    EXPECT_NE(result.error().message().find("no schema"), std::string::npos) << result.error().message();
  }
}

TEST_F(RecordsTest, CallsTornOrForeignJsonCorrupt) {
  for (const char* text : {"", "{", R"({"schema":1,"pid":"x","phase":"running"})", R"({"schema":1,"phase":"odd"})"}) {
    const auto result = record_from_json(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code(), Errc::corrupt) << text;
  }
}

TEST_F(RecordsTest, TakesAProbeOutputThatIsNotUtf8) {
  ContainerRecord r = record("web", 1);
  r.health.log = {{{}, {}, 1, "\xff\xfe"}};
  EXPECT_TRUE(record_from_json(record_to_json(r)));
}

TEST_F(RecordsTest, VolumesThatAreLeftStayUntilTheyAreTaken) {
  ASSERT_TRUE(sys::make_directories(paths_.project("p")));
  const std::string file = paths_.project("p") + "/left-volumes.json";
  ASSERT_TRUE(leave_volumes(paths_, "p", "web", 1, {{"/data", "v1"}}));
  ASSERT_TRUE(leave_volumes(paths_, "p", "web", 2, {{"/data", "v2"}, {"/more", "v3"}}));
  EXPECT_EQ(left_volumes(paths_, "p", "web", 2).value(), (VolumesByTarget{{"/data", "v2"}, {"/more", "v3"}}));
  EXPECT_EQ(all_left_volumes(paths_, "p").value(), (std::vector<std::string>{"v1", "v2", "v3"}));
  ASSERT_TRUE(leave_volumes(paths_, "p", "web", 2, {}));
  EXPECT_EQ(left_volumes(paths_, "p", "web", 2).value(), VolumesByTarget{});
  EXPECT_EQ(left_volumes(paths_, "p", "web", 1).value(), (VolumesByTarget{{"/data", "v1"}}));
  ASSERT_TRUE(leave_volumes(paths_, "p", "web", 1, {}));
  EXPECT_FALSE(sys::exists(file));
  ASSERT_TRUE(sys::write_file_atomic(file, R"({"schema": 2})"));
  EXPECT_EQ(left_volumes(paths_, "p", "web", 1).error().code(), Errc::unsupported);
  ASSERT_TRUE(sys::write_file_atomic(file, R"({"schema": 1, "places": 3})"));
  EXPECT_EQ(left_volumes(paths_, "p", "web", 1).error().code(), Errc::corrupt);
}

TEST_F(RecordsTest, ListsInTheOrderOfServiceAndNumber) {
  save(record("web", 10));
  save(record("web", 2));
  save(record("db", 1));
  ContainerRecord half = record("web", 3);
  half.phase = Phase::creating;
  save(half);
  const auto list = list_containers(paths_, "p");
  ASSERT_TRUE(list);
  ASSERT_EQ(list->size(), 3U);
  EXPECT_EQ((*list)[0].name, "p-db-1");
  EXPECT_EQ((*list)[1].name, "p-web-2");
  EXPECT_EQ((*list)[2].name, "p-web-10");
}

TEST_F(RecordsTest, AProjectThatDoesNotExistHasNoContainers) {
  const auto list = list_containers(paths_, "none");
  ASSERT_TRUE(list);
  EXPECT_TRUE(list->empty());
}

TEST_F(RecordsTest, KnowsARunningContainerByPidAndStartTime) {
  const pid_t self = ::getpid();
  EXPECT_EQ(observe(paths_, running(self, sys::process_start_time(self))).phase, Phase::running);
  EXPECT_EQ(observe(paths_, running(self, 1)).phase, Phase::exited) << "the pid belongs to another process now";
}

TEST_F(RecordsTest, ReadsTheExitCodeTheMonitorWrote) {
  const ContainerRecord r = running(1, 5);
  save(r);
  ASSERT_TRUE(sys::write_file_atomic(
      paths_.exit_record("p", r.id),
      R"({"exit_code":42,"signal":0,"oom_killed":true,"started_at":"2026-01-02T03:04:05.000000006Z",)"
      R"("finished_at":"2026-01-02T03:05:05Z","pid":1,"start_time":5,"boot_id":")" +
          sys::boot_id() + "\"}"));
  const ContainerRecord seen = observe(paths_, r);
  EXPECT_EQ(seen.phase, Phase::exited);
  EXPECT_EQ(seen.exit_code, 42);
  EXPECT_TRUE(seen.oom_killed);
  EXPECT_EQ(format_time(seen.finished_at), "2026-01-02T03:05:05.000000000Z");
}

TEST_F(RecordsTest, IgnoresTheExitRecordOfAnEarlierRun) {
  const ContainerRecord r = running(1, 5);
  save(r);
  ASSERT_TRUE(sys::write_file_atomic(paths_.exit_record("p", r.id), R"({"exit_code":42,"pid":9,"start_time":4})"));
  EXPECT_EQ(observe(paths_, r).exit_code, 137);
}

TEST_F(RecordsTest, AContainerOfAnotherBootHasEnded) {
  ContainerRecord r = running(::getpid(), sys::process_start_time(::getpid()));
  r.boot_id = "another";
  const ContainerRecord seen = observe(paths_, r);
  EXPECT_EQ(seen.phase, Phase::exited);
  EXPECT_EQ(seen.error, "the host was restarted");
}

TEST_F(RecordsTest, SummarisesProjects) {
  ContainerRecord r = record("web", 1);
  r.labels["com.docker.compose.project.config_files"] = "/a.yaml,/b.yaml";
  save(r);
  r = record("web", 2);
  r.labels["com.docker.compose.project.config_files"] = "/a.yaml,/b.yaml";
  save(r);
  const auto projects = list_projects(paths_);
  ASSERT_TRUE(projects);
  ASSERT_EQ(projects->size(), 1U);
  EXPECT_EQ(projects->front().config_files, (std::vector<std::string>{"/a.yaml", "/b.yaml"}));
  EXPECT_EQ(projects->front().states, (std::map<std::string, int>{{"exited", 2}}));
}

TEST(Time, ReadsWhatItWritesAndOffsets) {
  const auto time = parse_time("2026-11-23T08:00:00.5+02:00");
  ASSERT_TRUE(time);
  EXPECT_EQ(format_time(*time), "2026-11-23T06:00:00.500000000Z");
  EXPECT_EQ(format_time(*parse_time(format_time(*time))), format_time(*time));
  EXPECT_EQ(format_time(Time{}), "");
  for (const char* text :
       {"x", "2026-11-23", "2026-11-23T08:00:00", "2026-11-23T08:00:00.Z", "2026-11-23T08:00:00+2"}) {
    EXPECT_FALSE(parse_time(text)) << text;
  }
}

}  // namespace
}  // namespace compose::state
