// Mistakes people make, each with the place the message must point at: "@@" in the text stands in front of it (and is
// taken out before the text is loaded). A text with two marks has two mistakes, and both must be reported.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "compose/load/fake_files.hpp"
#include "compose/load/load.hpp"

namespace compose::load {
namespace {

struct Mistake {
  const char* name;
  const char* text;     ///< of compose.yaml; "@@" marks the places
  const char* path;     ///< the model path of the first report
  const char* message;  ///< a part of its message or hint
};

// Starts most of the texts.
#define WEB "services:\n  web:\n    image: nginx\n"

const Mistake kMistakes[] = {
    // Unknown names and what was meant.
    {"unknown_service_key", WEB "    @@depend_on: [db]\n", "services.web.depend_on", "did you mean \"depends_on\""},
    {"unknown_top_key", WEB "@@servces: {}\n", "servces", "did you mean \"services\""},
    {"unknown_build_key", "services: {a: {build: {context: ., @@dockerfil: x}}}\n", "services.a.build.dockerfil",
     "dockerfile"},
    {"unknown_healthcheck_key", WEB "    healthcheck: {@@cmd: x}\n", "services.web.healthcheck.cmd",
     "unknown attribute"},
    {"unknown_deploy_key", WEB "    deploy:\n      @@replica: 2\n", "services.web.deploy.replica", "replicas"},
    {"unknown_port_key", WEB "    ports:\n      - target: 80\n        @@publish: 8080\n",
     "services.web.ports[0].publish", "published"},
    {"unknown_volume_key", WEB "    volumes:\n      - {type: bind, source: ., target: /x, @@readonly: true}\n",
     "services.web.volumes[0].readonly", "read_only"},
    {"unknown_network_key", WEB "networks:\n  n:\n    @@drivr: bridge\n", "networks.n.drivr", "driver"},
    {"unknown_secret_key", WEB "secrets: {s: {file: x, @@content: y}}\n", "secrets.s.content", "unknown attribute"},
    {"unknown_service_network_key", WEB "    networks: {default: {@@alias: [x]}}\n",
     "services.web.networks.default.alias", "aliases"},
    {"bad_service_name", "services:\n  @@a b: {image: x}\n", "services.a b", "invalid name"},
    {"variable_in_key", "services:\n  @@${S:-web}: {image: x}\n", "services.${S:-web}", "invalid name"},
    // Types.
    {"image_number", "services: {a: {image: @@12}}\n", "services.a.image", "put it in quotes"},
    {"user_number", WEB "    user: @@1000\n", "services.web.user", "\"1000\""},
    {"ports_text", WEB "    ports: @@80:80\n", "services.web.ports", "must be a list"},
    {"ports_null", WEB "    @@ports:\n", "services.web.ports", "must be a list, not null"},
    {"ports_boolean", WEB "    ports: [@@true]\n", "services.web.ports[0]", "not a boolean"},
    {"ports_float", WEB "    ports: [@@80.5]\n", "services.web.ports[0]", "invalid type for port"},
    {"environment_text", WEB "    environment: @@A=1\n", "services.web.environment", "must be a mapping or a list"},
    {"environment_nested", WEB "    environment: {A: @@[1]}\n", "services.web.environment.A", "not a list"},
    {"environment_item_mapping", WEB "    environment:\n      - @@A: 1\n", "services.web.environment[0]", "KEY=VALUE"},
    {"environment_space", WEB "    environment:\n      - @@DEBUG =1\n", "services.web.environment[0]",
     "trailing space"},
    {"command_number", WEB "    command: [echo, @@1]\n", "services.web.command[1]", "must be a string"},
    {"command_mapping", WEB "    command: @@{a: b}\n", "services.web.command", "not a mapping"},
    {"command_quote", WEB "    command: @@echo 'a\n", "services.web.command", "not closed"},
    {"labels_number", WEB "    labels: @@5\n", "services.web.labels", "not a number"},
    {"networks_null", WEB "    @@networks:\n", "services.web.networks", "not null"},
    {"service_text", "services:\n  web: @@nginx\n", "services.web", "must be a mapping"},
    {"service_null", "services:\n  @@web:\n", "services.web", "must be a mapping"},
    {"services_list", "services: @@[web]\n", "services", "must be a mapping"},
    {"top_list", "@@- services\n", "", "top level must be a mapping"},
    {"top_text", "@@hello\n", "", "top level must be a mapping"},
    {"version_number", "version: @@3.8\n" WEB, "version", "must be a string"},
    {"name_number", "name: @@12\n" WEB, "name", "must be a string"},
    {"healthcheck_interval_number", WEB "    healthcheck: {test: x, interval: @@10}\n",
     "services.web.healthcheck.interval", "must be a string"},
    {"memory_number", WEB "    deploy: {resources: {limits: {memory: @@1073741824}}}\n",
     "services.web.deploy.resources.limits.memory", "must be a string"},
    {"tmpfs_size_negative", WEB "    volumes: [{type: tmpfs, target: /t, tmpfs: {size: @@-1}}]\n",
     "services.web.volumes[0].tmpfs.size", "greater than or equal to 0"},
    {"oom_score_range", WEB "    oom_score_adj: @@2000\n", "services.web.oom_score_adj", "less than or equal to 1000"},
    {"non_string_key", WEB "    environment: {@@true: x}\n", "services.web.environment", "non-string key"},
    {"include_text", "include: @@a.yaml\n" WEB, "include", "must be a list"},
    {"build_null", "services: {a: {image: x, @@build: }}\n", "services.a.build", "not null"},
    // Values.
    {"bad_boolean", WEB "    privileged: @@maybe\n", "services.web.privileged", "invalid boolean"},
    {"bad_integer", WEB "    pids_limit: @@many\n", "services.web.pids_limit", "not a whole number"},
    {"bad_number", WEB "    cpus: @@lots\n", "services.web.cpus", "not a number"},
    {"bad_size", WEB "    mem_limit: @@5q\n", "services.web.mem_limit", "64m"},
    {"bad_duration", WEB "    stop_grace_period: @@soon\n", "services.web.stop_grace_period", "1m30s"},
    {"bad_duration_blank", WEB "    healthcheck: {test: x, interval: @@10 seconds}\n",
     "services.web.healthcheck.interval", "duration"},
    {"bad_ulimit", WEB "    ulimits: {nofile: @@many}\n", "services.web.ulimits.nofile", "not a whole number"},
    {"bad_condition", WEB "    depends_on: {db: {condition: @@service_ready}}\n  db: {image: x}\n",
     "services.web.depends_on.db.condition", "must be one of"},
    {"bad_pull_policy", WEB "    pull_policy: @@sometimes\n", "services.web.pull_policy", "does not match"},
    {"bad_mount_type", WEB "    volumes: [{type: @@bnd, source: /a, target: /b}]\n", "services.web.volumes[0].type",
     "did you mean \"bind\""},
    {"bad_watch_action", WEB "    develop: {watch: [{path: ., action: @@snyc, target: /x}]}\n",
     "services.web.develop.watch[0].action", "did you mean \"sync\""},
    {"bad_gpus", WEB "    gpus: @@some\n", "services.web.gpus", "must be one of all"},
    {"bad_cgroup", WEB "    cgroup: @@shared\n", "services.web.cgroup", "must be one of host, private"},
    {"bad_mode", WEB "    secrets: [{source: s, mode: '@@rw'}]\nsecrets: {s: {file: x}}\n",
     "services.web.secrets[0].mode", "octal"},
    {"device_count", WEB "    deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: @@few}]}}}\n",
     "services.web.deploy.resources.reservations.devices[0].count", "'all' or a number"},
    {"healthcheck_first_word", WEB "    healthcheck: {test: [@@curl, x]}\n", "services.web.healthcheck.test",
     "CMD-SHELL"},
    {"empty_watch_path", WEB "    develop: {watch: [{path: @@'', action: rebuild}]}\n",
     "services.web.develop.watch[0].path", "blank"},
    // Short syntax.
    {"port_word", WEB "    ports: ['@@http:80']\n", "services.web.ports[0]", "invalid host port"},
    {"port_too_large", WEB "    ports: [\"@@70000:80\"]\n", "services.web.ports[0]", "invalid host port: 70000"},
    {"port_protocol", WEB "    ports: ['@@80:80/icmp']\n", "services.web.ports[0]", "tcp, udp or sctp"},
    {"port_ranges", WEB "    ports: ['@@80-82:80-81']\n", "services.web.ports[0]", "same length"},
    {"port_address", WEB "    ports: ['@@300.1.1.1:80:80']\n", "services.web.ports[0]", "invalid IP address"},
    {"port_empty", WEB "    ports: ['@@']\n", "services.web.ports[0]", "no port specified"},
    {"volume_empty", WEB "    volumes: ['@@']\n", "services.web.volumes[0]", "invalid empty volume spec"},
    {"volume_colon", WEB "    volumes: ['@@:/x']\n", "services.web.volumes[0]", "empty section"},
    {"volume_parts", WEB "    volumes: ['@@/a:/b:ro:/c']\n", "services.web.volumes[0]", "too many colons"},
    {"device_parts", WEB "    devices: ['@@/a:/b:r:w']\n", "services.web.devices[0]", "long syntax"},
    {"extra_host", WEB "    extra_hosts: [@@nohostip]\n", "services.web.extra_hosts[0]", "missing IP"},
    {"ssh_key", "services: {a: {build: {context: ., ssh: [@@mykey]}}}\n", "services.a.build.ssh[0]", "invalid ssh key"},
    // Missing parts.
    {"no_image", "services:\n  @@web: {command: x}\n", "services.web", "add image: or build:"},
    {"no_mount_type", WEB "    volumes:\n      - @@source: /a\n        target: /b\n", "services.web.volumes[0]",
     "missing property \"type\""},
    {"no_mount_target", WEB "    volumes:\n      - @@type: bind\n        source: /a\n", "services.web.volumes[0]",
     "missing a mount target"},
    {"no_bind_source", WEB "    volumes:\n      - @@type: bind\n        target: /a\n", "services.web.volumes[0]",
     "source must not be empty"},
    {"no_port_target", WEB "    ports:\n      - @@published: 80\n", "services.web.ports[0]", "missing a target port"},
    {"no_condition", WEB "    depends_on: {db: @@{restart: true}}\n  db: {image: x}\n", "services.web.depends_on.db",
     "missing property \"condition\""},
    {"no_capabilities", WEB "    deploy: {resources: {reservations: {devices: [@@{count: 1}]}}}\n",
     "services.web.deploy.resources.reservations.devices[0]", "capabilities"},
    {"no_hook_command", WEB "    post_start: [@@{user: root}]\n", "services.web.post_start[0]", "command"},
    {"no_model", WEB "models: {m: @@{context_size: 1}}\n", "models.m", "missing property \"model\""},
    {"no_secret_source", WEB "secrets: {s: @@{name: x}}\n", "secrets.s", "one of file|environment must be set"},
    {"no_extends_service", WEB "    extends: @@{file: compose.yaml}\n", "services.web.extends", "add service"},
    {"no_watch_target", WEB "    develop: {watch: [@@{path: ., action: sync}]}\n", "services.web.develop.watch",
     "target"},
    {"hard_limit", WEB "    ulimits: {nofile: @@{soft: 5}}\n", "services.web.ulimits.nofile", "hard"},
    // References.
    {"undefined_service", WEB "    depends_on: [@@wbe]\n", "services.web.depends_on.wbe", "did you mean \"web\""},
    {"undefined_network", WEB "    networks: [@@front]\nnetworks: {frnt: }\n", "services.web.networks.front",
     "did you mean \"frnt\""},
    {"undefined_volume", WEB "    volumes: [@@data:/d]\n", "services.web.volumes[0]", "declare it under volumes"},
    {"undefined_secret", WEB "    secrets: [@@s]\n", "services.web.secrets[0]", "undefined secret s"},
    {"undefined_config", WEB "    configs: [{source: @@c}]\n", "services.web.configs[0]", "undefined config c"},
    {"undefined_model", WEB "    models: [@@m]\n", "services.web.models.m", "undefined model m"},
    {"undefined_link", WEB "    links: [@@db:x]\n", "services.web.depends_on.db", "undefined service"},
    {"undefined_volumes_from", WEB "    volumes_from: [@@db:ro]\n", "services.web.depends_on.db", "undefined service"},
    {"undefined_namespace", WEB "    pid: @@service:db\n", "services.web.depends_on.db", "undefined service"},
    {"undefined_extends", WEB "    extends: @@bse\n  base: {image: x}\n", "services.web.extends",
     "did you mean \"base\""},
    {"undefined_context", "services: {a: {build: {context: ., additional_contexts: {x: '@@service:b'}}}}\n",
     "services.a.build", "unknown service"},
    {"disabled_dependency", WEB "    depends_on: [@@db]\n  db: {image: x, profiles: [p]}\n",
     "services.web.depends_on.db", "disabled by its profile"},
    {"missing_extends_file", WEB "    extends: {service: x, file: @@nope.yaml}\n", "services.web.extends", "nope.yaml"},
    {"missing_include", "include: [@@nope.yaml]\n" WEB, "include[0]", "nope.yaml"},
    {"missing_env_file", WEB "    env_file: @@nope.env\n", "services.web.env_file[0]", "required: false"},
    {"missing_label_file", WEB "    label_file: @@nope.labels\n", "services.web.label_file[0]", "not found"},
    {"dependency_cycle", "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [@@a]}\n",
     "services.b.depends_on", "a -> b -> a"},
    {"self_dependency", "services:\n  a: {image: x, depends_on: [@@a]}\n", "services.a.depends_on", "a -> a"},
    {"extends_cycle", "services:\n  a: {image: x, extends: @@b}\n  b: {image: x, extends: a}\n", "services.a.extends",
     "circular reference"},
    // Contradictions.
    {"network_mode_and_networks", WEB "    @@network_mode: host\n    networks: [default]\n", "services.web",
     "mutually exclusive"},
    {"two_sources", WEB "configs: {c: {file: a, @@content: b}}\n", "configs.c", "mutually exclusive"},
    {"external_driver", WEB "volumes: {v: {external: true, @@driver: local}}\n", "volumes.v", "conflicting parameters"},
    {"external_name", WEB "networks: {n: {name: a, external: {name: @@b}}}\n", "networks.n", "only use name"},
    {"two_dockerfiles", "services: {a: {build: {dockerfile: x, @@dockerfile_inline: y}}}\n", "services.a.build",
     "mutually exclusive"},
    {"replicas_and_scale", WEB "    scale: @@2\n    deploy: {replicas: 3}\n", "services.web", "distinct values"},
    {"container_name_scale", WEB "    container_name: @@xy\n    scale: 2\n", "services.web", "must be unique"},
    {"memory_limits", WEB "    mem_limit: @@5m\n    deploy: {resources: {limits: {memory: 6m}}}\n",
     "services.web.mem_limit", "distinct values"},
    {"count_and_ids",
     WEB "    deploy: {resources: {reservations: {devices: [{capabilities: [g], count: 1, @@device_ids: [a]}]}}}\n",
     "services.web.deploy.resources.reservations.devices[0]", "exclusive"},
    {"same_target", WEB "    volumes: [/a:/x, @@{type: bind, source: /b, target: /x/}]\n", "services.web.volumes[1]",
     "already mounted"},
    {"equal_items", WEB "    group_add: [a, @@a]\n", "services.web.group_add[1]", "are equal"},
    {"platforms", "services: {a: {platform: @@linux/arm64, build: {context: ., platforms: [linux/amd64]}}}\n",
     "services.a.build", "linux/arm64"},
    // Interpolation.
    {"variable_unclosed", WEB "    hostname: a@@${X\n", "services.web.hostname", "never closed"},
    {"variable_name", WEB "    hostname: \"a@@${1X}\"\n", "services.web.hostname", "$$"},
    {"variable_required", WEB "    hostname: @@${X:?set it}\n", "services.web.hostname", "set it"},
    {"variable_required_disabled", WEB "  b: {image: x, profiles: [p], hostname: '@@${X?}'}\n", "services.b.hostname",
     "required variable X"},
    // YAML.
    {"duplicate_key", WEB "    @@image: other\n", "services.web", "already defined"},
    {"duplicate_service", "services:\n  a: {image: x}\n  @@a: {image: y}\n", "services", "already defined"},
    {"unknown_alias", WEB "    hostname: @@*nope\n", "services.web.hostname", "unknown anchor"},
    {"merge_of_text", WEB "    <<: @@text\n", "services.web", "map merge requires"},
    {"tab", "services:\n@@\tweb: {image: x}\n", "services", "tab"},
    {"unclosed_list", WEB "    ports: [80\n@@", "services.web.ports", "','"},
    {"unclosed_quote", WEB "    hostname: @@\"abc\n", "services.web.hostname", "never closed"},
    {"bad_indent", "services:\n  web:\n    image: x\n   @@hostname: y\n", "services", "expected key"},
    {"colon_in_text", WEB "    hostname: a@@: b\n", "services.web", "not allowed in this context"},
    {"bad_escape", WEB "    hostname: \"a@@\\q\"\n", "services.web.hostname", "backslash"},
    {"reserved_character", WEB "    hostname: @@@x\n", "services.web.hostname", "quotes"},
    {"empty_file", "@@", "", "empty compose file"},
    // Several in one file: all are reported.
    {"two_mistakes", WEB "    @@imag: x\n    ports: ['@@http:80']\n", "services.web.imag", "image"},
    {"three_stages", WEB "    user: @@5\n    mem_limit: @@x\n    networks: [@@nope]\n", "services.web.user", "quotes"},
    {"two_services", "services:\n  @@a: {}\n  @@b: {}\n", "services.a", "neither an image"},
};

struct Marked {
  std::string text;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> places;
};

Marked take_marks(std::string_view text) {
  Marked out;
  std::uint32_t line = 1;
  std::uint32_t column = 1;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 2) == "@@") {
      out.places.emplace_back(line, column);
      ++i;
      continue;
    }
    out.text += text[i];
    ++column;
    if (text[i] == '\n') {
      ++line;
      column = 1;
    }
  }
  return out;
}

// A quoted value may be marked inside its quotes: the report points at the quote.
bool same_place(const std::pair<std::uint32_t, std::uint32_t>& wanted, const Place& got, std::string_view line) {
  if (got.line != wanted.first) return false;
  if (got.column == wanted.second) return true;
  return got.column + 1 == wanted.second && (line[got.column - 1] == '\'' || line[got.column - 1] == '"');
}

class Mistakes : public testing::TestWithParam<Mistake> {};

TEST_P(Mistakes, AreReportedWhereTheyStand) {
  const Marked marked = take_marks(GetParam().text);
  FakeFiles files{{"/p/compose.yaml", marked.text}};
  Options options;
  options.working_dir = "/p";
  const LoadResult loaded = load(options, files);
  std::vector<const Diagnostic*> errors;
  for (const Diagnostic& d : loaded.diagnostics.all()) {
    if (d.severity == Severity::error) errors.push_back(&d);
  }
  ASSERT_EQ(errors.size(), marked.places.size()) << loaded.report();
  for (std::size_t i = 0; i < errors.size(); ++i) {
    EXPECT_TRUE(same_place(marked.places[i], errors[i]->place, loaded.sources.line(errors[i]->place)))
        << "wanted " << marked.places[i].first << ":" << marked.places[i].second << "\n"
        << loaded.report();
  }
  EXPECT_EQ(errors[0]->path, GetParam().path);
  EXPECT_THAT(errors[0]->message + " " + errors[0]->hint, testing::HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(All, Mistakes, testing::ValuesIn(kMistakes),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(MistakeTable, IsLongEnough) { EXPECT_GE(std::size(kMistakes), 80U); }

TEST(MistakesOverFiles, NameBothPlacesOfAConflict) {
  FakeFiles files{{"/p/compose.yaml", WEB "    networks: [n]\nnetworks: {n: }\n"},
                  {"/p/o.yaml", "services:\n  web:\n    network_mode: host\n"}};
  Options options;
  options.working_dir = "/p";
  options.files = {"compose.yaml", "o.yaml"};
  const LoadResult loaded = load(options, files);
  ASSERT_EQ(loaded.diagnostics.errors(), 1U) << loaded.report();
  const Diagnostic& d = loaded.diagnostics.all()[0];
  EXPECT_EQ(loaded.sources.describe(d.place), "o.yaml:3:5");
  ASSERT_EQ(d.notes.size(), 1U);
  EXPECT_EQ(loaded.sources.describe(d.notes[0].place), "compose.yaml:4:15");
}

TEST(MistakesOverFiles, AreReportedInEveryFile) {
  FakeFiles files{{"/p/compose.yaml", WEB "    @imag: x\n"}, {"/p/o.yaml", "services:\n  web:\n    usr: x\n"}};
  Options options;
  options.working_dir = "/p";
  options.files = {"compose.yaml", "o.yaml"};
  const LoadResult loaded = load(options, files);
  EXPECT_EQ(loaded.diagnostics.errors(), 2U) << loaded.report();
}

TEST(Report, ShowsTheLineACaretAndHelp) {
  FakeFiles files{{"/p/compose.yaml", WEB "    depend_on: [db]\n"}};
  Options options;
  options.working_dir = "/p";
  const LoadResult loaded = load(options, files);
  EXPECT_EQ(loaded.report(),
            "compose.yaml:4:5: error: services.web.depend_on: unknown attribute \"depend_on\"\n"
            "    4 |     depend_on: [db]\n"
            "      |     ^\n"
            "      = help: did you mean \"depends_on\"?\n");
}

TEST(Report, HasFormsForEditors) {
  FakeFiles files{{"/p/compose.yaml", WEB "    depend_on: [db]\n"}};
  Options options;
  options.working_dir = "/p";
  const LoadResult loaded = load(options, files);
  EXPECT_THAT(render_json(loaded.diagnostics, loaded.sources),
              testing::AllOf(testing::HasSubstr("\"line\": 4"), testing::HasSubstr("\"column\": 5"),
                             testing::HasSubstr("\"file\": \"/p/compose.yaml\"")));
  EXPECT_THAT(render_sarif(loaded.diagnostics, loaded.sources),
              testing::AllOf(testing::HasSubstr("\"version\": \"2.1.0\""), testing::HasSubstr("\"startLine\": 4")));
}

}  // namespace
}  // namespace compose::load
