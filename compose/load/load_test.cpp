#include "compose/load/load.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/strings.hpp"
#include "compose/load/config_command.hpp"
#include "compose/load/fake_files.hpp"

namespace compose::load {
namespace {

Options in(std::string folder, std::vector<std::string> files = {}) {
  Options options;
  options.working_dir = std::move(folder);
  options.files = std::move(files);
  return options;
}

model::Project project(FakeFiles files, const Options& options) {
  LoadResult loaded = load(options, files);
  EXPECT_TRUE(loaded.ok()) << loaded.report();
  return loaded.project.value_or(model::Project{});
}

TEST(Load, FindsTheFileAboveWithItsOverride) {
  FakeFiles files{{"/p/compose.yaml", "services: {web: {image: a, environment: {A: 1}}}\n"},
                  {"/p/compose.override.yaml", "services: {web: {environment: {B: 2}}}\n"}};
  const model::Project p = project(files, in("/p/deep/er"));
  EXPECT_EQ(p.name, "p");
  EXPECT_EQ(p.working_dir, "/p");
  EXPECT_THAT(p.files, testing::ElementsAre("/p/compose.yaml", "/p/compose.override.yaml"));
  EXPECT_EQ(p.services.at("web").environment.at("A"), "1");
  EXPECT_EQ(p.services.at("web").environment.at("B"), "2");
}

TEST(Load, TypesAttributesAndKnowsTheirPlaces) {
  FakeFiles files{{"/p/compose.yaml", R"(services:
  web:
    image: nginx
    mem_limit: 64m
    stop_grace_period: 1m30s
    ports: ["127.0.0.1:8080:80"]
    volumes: ["./conf:/etc/app:ro", "data:/d"]
    healthcheck: {test: curl x, interval: 5s}
    deploy: {resources: {limits: {cpus: "0.50", memory: 64m, pids: 9}}}
    ulimits: {nofile: 5, nproc: {soft: 1, hard: 2}}
volumes: {data: }
)"}};
  const model::Project p = project(files, in("/p"));
  const model::Service& web = p.services.at("web");
  EXPECT_EQ(web.name, "web");
  EXPECT_EQ(web.mem_limit, 64 << 20);
  EXPECT_EQ(web.stop_grace_period, std::chrono::seconds(90));
  EXPECT_EQ(web.ports[0].target, 80);
  EXPECT_EQ(web.ports[0].published, "8080");
  EXPECT_EQ(web.volumes[0].source, "/p/conf");
  EXPECT_TRUE(web.volumes[0].read_only);
  EXPECT_THAT(web.healthcheck->test, testing::ElementsAre("CMD-SHELL", "curl x"));
  EXPECT_EQ(web.deploy->limits->cpus, 0.5);
  EXPECT_EQ(web.deploy->limits->memory, 64 << 20);
  EXPECT_EQ(web.ulimits.at("nofile").hard, 5);
  EXPECT_EQ(web.ulimits.at("nproc").soft, 1);
  EXPECT_EQ(p.volumes.at("data").name, "p_data");
  EXPECT_EQ(p.networks.at("default").name, "p_default");
  EXPECT_EQ(p.where("services.web.ports[0]").to_string(), "compose.yaml:6:13");
  EXPECT_EQ(p.where("services.web.ports[0].target").to_string(), "compose.yaml:6:13");
  EXPECT_EQ(p.where("services.web").to_string(), "compose.yaml:2:3");
  EXPECT_EQ(p.where("services.web.image").to_string(), "compose.yaml:3:12");
  EXPECT_FALSE(p.where("nothing").known());
}

TEST(Load, TheShellWinsOverEnvFilesAndEnvFilesOverDotenv) {
  FakeFiles files{{"/p/compose.yaml", "services: {web: {image: 'x:${A}-${B}-${C}'}}\n"},
                  {"/p/.env", "A=1\nB=1\nC=1\n"},
                  {"/p/one.env", "A=2\nB=2\n"}};
  Options options = in("/p");
  options.env = {{"A", "3"}};
  EXPECT_EQ(project(files, options).services.at("web").image, "x:3-1-1");
  options.env_files = {"one.env"};
  EXPECT_EQ(project(files, options).services.at("web").image, "x:3-2-");
}

TEST(Load, PrintsKeysInTheOrderOfDockerCompose) {
  FakeFiles files{{"/p/compose.yaml",
                   "x-b: 1\nvolumes: {data: {}}\nservices: {web: {volumes: ['data:/v'], x-a: 1, ports: ['8080:80'], image: x,"
                   " profiles: [p], build: {target: t, context: .}}}\n"}};
  Options options = in("/p");
  options.profiles = {"p"};
  LoadResult loaded = load(options, files);
  EXPECT_EQ(*render_config(loaded, options, "yaml"), R"(name: p
services:
  web:
    profiles:
      - p
    build:
      context: /p
      dockerfile: Dockerfile
      target: t
    command: null
    entrypoint: null
    image: x
    networks:
      default: null
    ports:
      - mode: ingress
        target: 80
        published: "8080"
        protocol: tcp
    volumes:
      - type: volume
        source: data
        target: /v
        volume: {}
    x-a: 1
networks:
  default:
    name: p_default
    ipam: {}
volumes:
  data:
    name: p_data
x-b: 1
)");
}

TEST(Load, KeepsSecretsOutOfTheTreeButInTheProject) {
  FakeFiles files{
      {"/p/compose.yaml", "services: {web: {image: x, secrets: [s]}}\nsecrets: {s: {environment: TOKEN}}\n"}};
  Options options = in("/p");
  options.env = {{"TOKEN", "hidden"}};
  LoadResult loaded = load(options, files);
  EXPECT_EQ(loaded.project->secrets.at("s").content, "hidden");
  EXPECT_THAT(*render_config(loaded, options, "json"), testing::Not(testing::HasSubstr("hidden")));
}

TEST(Load, ResetsAndOverrides) {
  FakeFiles files{
      {"/p/compose.yaml", "services: {web: {image: x, ports: ['80:80'], environment: {A: 1, B: 2}, labels: [a]}}\n"},
      {"/p/o.yaml",
       "services: {web: {ports: !override ['81:81'], environment: {A: !reset null}, labels: !reset []}}\n"}};
  const model::Service web = project(files, in("/p", {"compose.yaml", "o.yaml"})).services.at("web");
  ASSERT_EQ(web.ports.size(), 1U);
  EXPECT_EQ(web.ports[0].published, "81");
  EXPECT_EQ(web.environment.size(), 1U);
  EXPECT_TRUE(web.labels.empty());
}

TEST(Load, IncludesAndExtendsOtherFiles) {
  FakeFiles files{
      {"/p/compose.yaml",
       "include: [sub/db.yaml]\nservices: {web: {extends: {file: base/b.yaml, service: b}, depends_on: [db]}}\n"},
      {"/p/sub/db.yaml", "services: {db: {image: 'db:${V}', volumes: ['./d:/d']}}\n"},
      {"/p/sub/.env", "V=9\n"},
      {"/p/base/b.yaml", "services: {b: {image: b, volumes: ['./v:/v']}}\n"}};
  const model::Project p = project(files, in("/p"));
  EXPECT_EQ(p.services.at("db").image, "db:9");
  EXPECT_EQ(p.services.at("db").volumes[0].source, "/p/sub/d");
  EXPECT_EQ(p.services.at("web").volumes[0].source, "/p/base/v");
  EXPECT_EQ(p.where("services.web.image").to_string(), "base/b.yaml:1:23");
}

TEST(Load, ProfilesDisableAndNamesEnable) {
  FakeFiles files{
      {"/p/compose.yaml", "services:\n  web: {image: x}\n  dbg: {image: y, profiles: [debug], depends_on: [web]}\n"}};
  const model::Project p = project(files, in("/p"));
  EXPECT_EQ(p.services.size(), 1U);
  EXPECT_TRUE(p.disabled_services.contains("dbg"));
  Options options = in("/p");
  options.services = {"dbg"};
  EXPECT_EQ(project(files, options).services.size(), 2U);
}

TEST(ConfigHash, ForgetsWhatDoesNotChangeAContainer) {
  const auto hash = [](const std::string& more) {
    FakeFiles files{{"/p/compose.yaml", "services: {web: {image: x" + more + "}, db: {image: y}}\n"}};
    const model::Project p = project(files, in("/p"));
    return model::config_hash(p, p.services.at("web"));
  };
  EXPECT_EQ(hash(""), hash(", depends_on: [db], scale: 3, pull_policy: always"));
  EXPECT_NE(hash(""), hash(", user: a"));
}

TEST(Explain, TellsTheWayOfAValue) {
  FakeFiles files{{"/p/compose.yaml", "services:\n  web:\n    image: a\n"},
                  {"/p/o.yaml", "services:\n  web:\n    image: b:${TAG}\n"},
                  {"/p/.env", "TAG=2\n"}};
  ConfigRequest request;
  request.options = in("/p", {"compose.yaml", "o.yaml"});
  request.explain = "services.web.image";
  const ConfigOutput out = run_config(request, files);
  EXPECT_EQ(out.text,
            "services.web.image = \"b:2\"\n"
            "    o.yaml:3:12\n"
            "    replaces (compose.yaml:3:12)\n"
            "    interpolated: TAG=2 from env file (.env:1:5)\n");
}

TEST(Config, DoublesDollarsSoThatTheOutputLoadsAgain) {
  FakeFiles files{
      {"/p/compose.yaml", "services: {web: {image: x, command: ['echo', '$$HOME'], environment: {A: 'a$$b'}}}\n"}};
  ConfigRequest request;
  request.options = in("/p");
  const ConfigOutput first = run_config(request, files);
  ASSERT_EQ(first.exit_code, 0) << first.messages;
  files.set("/p/compose.yaml", first.text);
  EXPECT_EQ(run_config(request, files).text, first.text);
}

TEST(Config, PrintsLists) {
  FakeFiles files{{"/p/compose.yaml", "services: {b: {build: ., profiles: [x]}, a: {image: i}, c: {build: .}}\n"}};
  ConfigRequest request;
  request.options = in("/p");
  request.services = true;
  EXPECT_EQ(run_config(request, files).text, "a\nc\n");
  request.services = false;
  request.images = true;
  EXPECT_EQ(run_config(request, files).text, "i\np-c\n");
  request.images = false;
  request.profiles = true;
  EXPECT_EQ(run_config(request, files).text, "x\n");
}

}  // namespace
}  // namespace compose::load
