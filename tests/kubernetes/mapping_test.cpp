// Each row of the mapping in docs/kubernetes.md, and each mistake that other converters make, on the smallest project
// that shows it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mapped.hpp"

namespace compose::kubernetes::test {
namespace {

using testing::HasSubstr;
using testing::Not;

HostPath file_with(const std::string& content) {
  HostPath known;
  known.kind = HostPath::Kind::file;
  known.content = content;
  return known;
}

HostPath folder_with(const std::map<std::string, std::string>& files) {
  HostPath known;
  known.kind = HostPath::Kind::directory;
  known.files = files;
  return known;
}

TEST(Mapping, GlobalServiceIsADaemonSetWithoutReplicasAndStrategy) {
  const Mapped made = service("    deploy: {mode: global}\n");
  EXPECT_TRUE(made.has("DaemonSet", "web"));
  EXPECT_EQ(made.at("DaemonSet", "web", "spec|replicas"), "none");
  EXPECT_EQ(made.at("DaemonSet", "web", "spec|strategy"), "none");
}

TEST(Mapping, KnownDatabaseWithAVolumeIsAStatefulSet) {
  const Mapped made{
      "services:\n  db: {image: 'postgres:16', volumes: ['vol:/var/lib/postgresql/data']}\nvolumes: {vol: }\n"};
  EXPECT_TRUE(made.has("StatefulSet", "db"));
  EXPECT_EQ(made.at("Service", "db", "spec|clusterIP"), "\"None\"");
}

TEST(Mapping, BuildWithoutImageIsRefusedWithItsLine) {
  EXPECT_THAT(Mapped("services:\n  web: {build: .}\n").problems(),
              HasSubstr("compose.yaml:3: service \"web\" has build: but no image:"));
}

TEST(Mapping, ImageIsPinnedOnRequest) {
  Options options;
  options.pin_images = true;
  options.images["web"].pinned = "web@sha256:1";
  EXPECT_EQ(service("", options).container("web", "image"), "\"web@sha256:1\"");
  EXPECT_THAT(service("", choosing([](Options& o) { o.pin_images = true; })).problems(), HasSubstr("digest"));
}

TEST(Mapping, EntrypointAndCommandAreCommandAndArgsAndReferencesStayText) {
  const Mapped made = service("    entrypoint: [a]\n    command: ['$$(HOME)', 'yes', '8080']\n");
  EXPECT_EQ(made.container("web", "command"), "[\"a\"]");
  EXPECT_EQ(made.container("web", "args"), R"x(["$$(HOME)","yes","8080"])x");
  EXPECT_THAT(render(made.all(), "web"), HasSubstr("- \"yes\""));
}

TEST(Mapping, EnvironmentWinsOverEnvFileAndStaysText) {
  load::FakeFiles files{
      {"/p/compose.yaml",
       "name: p\nservices:\n  web:\n    image: a\n    env_file: e\n    environment: {A: env, N: 1}\n"},
      {"/p/e", "A=file\nB=file\n"}};
  load::Options wanted;
  wanted.working_dir = "/p";
  wanted.files = {"/p/compose.yaml"};
  const load::LoadResult loaded = load::load(wanted, files);
  ASSERT_TRUE(loaded.project) << loaded.report();
  const Export made = export_project(*loaded.project, {});
  const std::string text = render(made, "web");
  EXPECT_THAT(text, HasSubstr("  A: env"));
  EXPECT_THAT(text, HasSubstr("  B: file"));
  EXPECT_THAT(text, HasSubstr("  \"N\": \"1\""));
}

TEST(Mapping, AnyTextSurvivesInAVariable) {
  const Mapped made = service("    environment: {T: \"\\\"quoted\\\"\\n\\ttab é 100% $$(X) \\\\\"}\n");
  EXPECT_EQ(made.at("ConfigMap", "web-env", "data|T"), R"("\"quoted\"\n\ttab é 100% $(X) \\")");
}

TEST(Mapping, SecretLookingVariablesBecomeAReferenceWithAWarning) {
  const Mapped made = service("    environment: {DB_PASSWORD: hunter2, DB_PASSWORD_FILE: /f}\n");
  EXPECT_THAT(render(made.all(), "web"), Not(HasSubstr("hunter2")));
  EXPECT_EQ(made.container("web", "envFrom|1|secretRef|name"), "\"web-env\"");
  EXPECT_FALSE(made.has("Secret", "web-env"));
  ASSERT_EQ(made.all().warnings.size(), 1U);
  EXPECT_THAT(made.all().warnings[0], HasSubstr("DB_PASSWORD"));
  EXPECT_EQ(made.at("ConfigMap", "web-env", "data|DB_PASSWORD_FILE"), "\"/f\"");
}

TEST(Mapping, ServiceHasContainerPortsAndAnotherOneThePublished) {
  const Mapped made = service("    ports: ['8080:80', '53:53/udp']\n");
  EXPECT_EQ(made.at("Service", "web", "spec|ports|1|port"), "80");
  EXPECT_EQ(made.at("Service", "web", "spec|ports|0|protocol"), "\"UDP\"");
  EXPECT_EQ(made.at("Service", "web", "spec|type"), "none");
  EXPECT_EQ(made.at("Service", "web-published", "spec|ports|0|port"), "8080");
  EXPECT_EQ(made.at("Service", "web-published", "spec|ports|0|targetPort"), "80");
  EXPECT_EQ(made.at("Service", "web-published", "spec|type"), "\"LoadBalancer\"");
}

TEST(Mapping, RangesOfPortsAreWrittenOut) {
  const Mapped made = service("    ports: ['9000-9002:9000-9002']\n    expose: ['7000-7001']\n");
  EXPECT_EQ(made.at("Service", "web", "spec|ports|1|port"), "7001");
  EXPECT_EQ(made.at("Service", "web-published", "spec|ports|2|port"), "9002");
}

TEST(Mapping, ServiceWithoutPortsStillHasItsName) {
  EXPECT_EQ(service("").at("Service", "web", "spec|clusterIP"), "\"None\"");
}

TEST(Mapping, PortsComeFromTheImageAndFromWhoUsesThem) {
  Options options;
  options.images["web"].exposed_ports = {"9000/tcp"};
  EXPECT_EQ(service("", options).at("Service", "web", "spec|ports|0|port"), "9000");
  const Mapped used{"services:\n  web: {image: a}\n  other: {image: a, environment: {URL: 'http://web:8080/x'}}\n"};
  EXPECT_EQ(used.at("Service", "web", "spec|ports|0|port"), "8080");
}

TEST(Mapping, AliasesAndContainerNamesAreServices) {
  const Mapped made = service("    container_name: box\n    networks: {n: {aliases: [www]}}\nnetworks: {n: }\n");
  EXPECT_TRUE(made.has("Service", "www"));
  EXPECT_TRUE(made.has("Service", "box"));
  EXPECT_EQ(made.at("Service", "www", "spec|selector"), made.at("Service", "web", "spec|selector"));
}

TEST(Mapping, NetworkIsAPolicyAndInternalDeniesEgress) {
  const Mapped made =
      service("    ports: ['80:80']\n    networks: [in, out]\nnetworks: {in: {internal: true}, out: }\n");
  EXPECT_EQ(made.at("NetworkPolicy", "network-out", "spec|egress"), "[{}]");
  EXPECT_THAT(made.at("NetworkPolicy", "network-in", "spec|egress|0|to"), HasSubstr("podSelector"));
  EXPECT_THAT(made.at("NetworkPolicy", "network-in", "spec|egress|1"), HasSubstr("\"port\":53"));
  EXPECT_EQ(made.at("NetworkPolicy", "web-published", "spec|ingress|0|ports|0|port"), "80");
}

constexpr const char* kDependent =
    "services:\n  web: {image: a, depends_on: {db: {condition: %}}}\n  db: {image: b, expose: ['5432']}\n";

std::string with_condition(const std::string& condition) {
  std::string text = kDependent;
  return text.replace(text.find('%'), 1, condition);
}

TEST(Mapping, DependenciesAreInitContainersThatWait) {
  EXPECT_THAT(Mapped(with_condition("service_healthy")).pod("web", "initContainers|0|command"),
              HasSubstr("nc -z -w 2 db 5432"));
  EXPECT_EQ(Mapped(with_condition("service_started")).pod("web", "initContainers|0|name"), "\"wait-started-db\"");
}

TEST(Mapping, WaitingForCompletionAsksForTheJobWithARightOfItsOwn) {
  const Mapped made{
      "services:\n  web: {image: a, depends_on: {init: {condition: service_completed_successfully}}}\n  init: {image: "
      "b}\n"};
  EXPECT_TRUE(made.has("Job", "init"));
  EXPECT_THAT(made.pod("web", "initContainers|0|command"), HasSubstr("job/init"));
  EXPECT_EQ(made.pod("web", "serviceAccountName"), "\"web\"");
  EXPECT_EQ(made.at("Role", "web", "rules|0|resources"), "[\"jobs\"]");
}

TEST(Mapping, HooksAreInitContainersJobsAndLifecycle) {
  const Mapped made = service(
      "    pre_start: [{command: [a], per_replica: true}, {command: [b]}]\n    post_start: [{command: [c]}]\n    "
      "pre_stop: [{command: [d]}]\n");
  EXPECT_EQ(made.pod("web", "initContainers|0|command"), "[\"a\"]");
  EXPECT_EQ(made.at("Job", "web-pre-start-1", "spec|template|spec|containers|0|command"), "[\"b\"]");
  EXPECT_THAT(made.pod("web", "initContainers|1|command"), HasSubstr("job/web-pre-start-1"));
  EXPECT_EQ(made.container("web", "lifecycle|postStart|exec|command"), "[\"c\"]");
  EXPECT_EQ(made.container("web", "lifecycle|preStop|exec|command"), "[\"d\"]");
}

TEST(Mapping, ShellTestsOfHealthRunInAShellAndAreReadinessNotLiveness) {
  const Mapped made = service("    healthcheck: {test: 'a || b', start_period: 10s, start_interval: 2s}\n");
  EXPECT_EQ(made.container("web", "readinessProbe|exec|command"), R"(["/bin/sh","-c","a || b"])");
  EXPECT_EQ(made.container("web", "readinessProbe|timeoutSeconds"), "30");
  EXPECT_EQ(made.container("web", "startupProbe|failureThreshold"), "5");
  EXPECT_EQ(made.container("web", "startupProbe|periodSeconds"), "2");
  EXPECT_EQ(made.container("web", "livenessProbe"), "none");
}

TEST(Mapping, TestsOfHealthKeepTheirFirstWord) {
  EXPECT_EQ(service("    healthcheck: {test: [CMD-SHELL, 'a | b']}\n").container("web", "readinessProbe|exec|command"),
            R"(["/bin/sh","-c","a | b"])");
  EXPECT_EQ(service("    healthcheck: {test: [CMD, a, b]}\n").container("web", "readinessProbe|exec|command"),
            R"(["a","b"])");
  EXPECT_EQ(service("    healthcheck: {test: [NONE]}\n").container("web", "readinessProbe"), "none");
}

TEST(Mapping, LivenessOnlyWhereTheRestartPolicySaysSo) {
  const Mapped made = service("    healthcheck: {test: [CMD, a]}\n    deploy: {restart_policy: {condition: any}}\n");
  EXPECT_EQ(made.container("web", "livenessProbe|exec|command"), "[\"a\"]");
}

TEST(Mapping, RestartPolicyOfADeploymentIsNeverAnythingButAlways) {
  for (const char* policy : {"always", "unless-stopped"}) {
    const Mapped made = service(fmt::format("    restart: {}\n", policy));
    EXPECT_TRUE(made.has("Deployment", "web")) << policy;
    EXPECT_EQ(made.pod("web", "restartPolicy"), "none") << policy;
  }
}

TEST(Mapping, OneShotsAreJobsWithTheirNumberOfTries) {
  EXPECT_EQ(service("    restart: 'no'\n").at("Job", "web", "spec|backoffLimit"), "0");
  const Mapped made = service("    restart: on-failure:5\n");
  EXPECT_EQ(made.at("Job", "web", "spec|backoffLimit"), "5");
  EXPECT_EQ(made.pod("web", "restartPolicy", "Job"), "\"OnFailure\"");
}

TEST(Mapping, NothingIsEverAPodWithoutAController) {
  for (const char* policy : {"'no'", "on-failure", "on-failure:3", "always", "unless-stopped"})
    for (const char* ports : {"", "    ports: ['80:80']\n"})
      EXPECT_FALSE(service(fmt::format("    restart: {}\n{}", policy, ports)).has("Pod", "web")) << policy;
  const Mapped serving = service("    restart: on-failure\n    ports: ['80:80']\n");
  EXPECT_TRUE(serving.has("Deployment", "web"));
  EXPECT_THAT(serving.fate("services.web.restart"), HasSubstr("approximated: a Deployment always starts"));
}

TEST(Mapping, ScheduleLabelMakesACronJob) {
  EXPECT_EQ(service("    labels: {kubernetes.schedule: '*/5 * * * *'}\n").at("CronJob", "web", "spec|schedule"),
            "\"*/5 * * * *\"");
}

TEST(Mapping, ScaleAndReplicasBothCountZeroToo) {
  EXPECT_EQ(service("    scale: 3\n").at("Deployment", "web", "spec|replicas"), "3");
  EXPECT_EQ(service("    deploy: {replicas: 0}\n").at("Deployment", "web", "spec|replicas"), "0");
  EXPECT_TRUE(service("    scale: 3\n").has("PodDisruptionBudget", "web"));
}

TEST(Mapping, UpdateConfigIsARollingUpdateUnlessAVolumeAllowsOnePod) {
  const std::string update = "    deploy: {update_config: {parallelism: 2, order: start-first}}\n";
  EXPECT_EQ(service(update).at("Deployment", "web", "spec|strategy|rollingUpdate"),
            R"({"maxSurge":2,"maxUnavailable":0})");
  const Mapped kept = service(update + "    volumes: ['vol:/d']\nvolumes: {vol: }\n");
  EXPECT_EQ(kept.at("Deployment", "web", "spec|strategy|type"), "\"Recreate\"");
  EXPECT_THAT(kept.fate("services.web.deploy.update_config.order"),
              HasSubstr("volume \"vol\" can be mounted on one node at a time"));
}

TEST(Mapping, AFixedPortOfTheNodeAllowsOnePodAtATime) {
  const Mapped made = service(
      "    deploy: {update_config: {order: start-first}}\n    ports: [{target: 80, published: 80, mode: host}]\n");
  EXPECT_EQ(made.at("Deployment", "web", "spec|strategy|type"), "\"Recreate\"");
  EXPECT_EQ(made.container("web", "ports|0|hostPort"), "80");
  EXPECT_THAT(made.fate("services.web.deploy.update_config.order"),
              HasSubstr("port 80 of the node is free for one pod"));
}

TEST(Mapping, AVolumeThatAllCanMountKeepsTheRollingUpdate) {
  const Mapped made = service(
      "    deploy: {update_config: {order: start-first}}\n    volumes: ['vol:/d']\nvolumes: {vol: {labels: "
      "{kubernetes.access: rwx}}}\n");
  EXPECT_EQ(made.at("Deployment", "web", "spec|strategy|type"), "\"RollingUpdate\"");
}

TEST(Mapping, ResourcesOfBothDialects) {
  const Mapped old = service("    cpus: 0.5\n    mem_limit: 64m\n    mem_reservation: 32m\n");
  EXPECT_EQ(old.container("web", "resources"),
            R"({"limits":{"cpu":"500m","memory":"64Mi"},"requests":{"memory":"32Mi"}})");
  const Mapped swarm =
      service("    deploy: {resources: {limits: {cpus: '2', memory: 1g}, reservations: {cpus: '0.1'}}}\n");
  EXPECT_EQ(swarm.container("web", "resources"), R"({"limits":{"cpu":"2","memory":"1Gi"},"requests":{"cpu":"100m"}})");
  EXPECT_EQ(service("    gpus: [{count: 1}]\n").container("web", "resources|limits"), R"({"nvidia.com/gpu":"1"})");
  const Mapped more = service("    storage_opt: {size: 1G}\n    gpus: [{driver: nvidia, count: 2}]\n");
  EXPECT_EQ(more.container("web", "resources|limits"), R"({"ephemeral-storage":"1Gi","nvidia.com/gpu":"2"})");
}

constexpr const char* kShared =
    "services:\n  a: {image: a, volumes: ['vol:/d']}\n  b: {image: b, volumes: ['vol:/d']}\nvolumes: {vol: }\n";

TEST(Mapping, ASharedVolumeIsOneClaimAndRefusedWithChoices) {
  EXPECT_THAT(Mapped(kShared).problems(), HasSubstr("Choose: --shared-volumes rwx"));
  const Mapped made{kShared, choosing([](Options& o) { o.shared_volumes = SharedVolumes::read_write_many; })};
  EXPECT_EQ(made.problems(), "");
  EXPECT_EQ(made.at("PersistentVolumeClaim", "vol", "spec|accessModes"), "[\"ReadWriteMany\"]");
  EXPECT_EQ(made.pod("a", "volumes"), made.pod("b", "volumes"));
}

TEST(Mapping, ASharedVolumeOnOneNodeKeepsItsPodsTogether) {
  const Mapped made{kShared, choosing([](Options& o) { o.shared_volumes = SharedVolumes::same_node; })};
  EXPECT_EQ(made.at("PersistentVolumeClaim", "vol", "spec|accessModes"), "[\"ReadWriteOnce\"]");
  EXPECT_THAT(made.pod("a", "affinity|podAffinity"), HasSubstr("compose/volume.vol"));
}

TEST(Mapping, ClaimsTakeTheirSizeAndClassFromLabels) {
  const Mapped made =
      service("    volumes: ['vol:/d']\nvolumes: {vol: {labels: {kubernetes.size: 20Gi, kubernetes.class: fast}}}\n");
  EXPECT_EQ(made.at("PersistentVolumeClaim", "vol", "spec|resources|requests|storage"), "\"20Gi\"");
  EXPECT_EQ(made.at("PersistentVolumeClaim", "vol", "spec|storageClassName"), "\"fast\"");
}

Options with_path(const std::string& path, HostPath known, Directories directories = Directories::refuse) {
  Options options;
  options.directories = directories;
  options.paths[path] = std::move(known);
  return options;
}

TEST(Mapping, ABoundFileIsAConfigMapWithAChecksum) {
  const std::string lines = "    volumes: ['./f:/etc/f']\n";
  const Mapped made = service(lines, with_path("/p/f", file_with("one\n")));
  EXPECT_EQ(made.container("web", "volumeMounts|0"),
            R"({"mountPath":"/etc/f","name":"bind-0-web","readOnly":true,"subPath":"content"})");
  const Mapped other = service(lines, with_path("/p/f", file_with("two\n")));
  const std::string sum = "spec|template|metadata|annotations|compose/checksum";
  EXPECT_NE(made.at("Deployment", "web", sum), "none");
  EXPECT_NE(made.at("Deployment", "web", sum), other.at("Deployment", "web", sum));
}

TEST(Mapping, ABoundFolderIsRefusedWithChoices) {
  const std::string lines = "    volumes: ['./d:/d']\n";
  const HostPath folder = folder_with({{"sub/a", "1"}});
  EXPECT_THAT(service(lines, with_path("/p/d", folder)).problems(), HasSubstr("Choose: COPY it"));
  const Mapped copied = service(lines, with_path("/p/d", folder, Directories::config_map));
  EXPECT_EQ(copied.pod("web", "volumes|0|configMap|items"), R"([{"key":"file-0","path":"sub/a"}])");
  const Mapped host = service(lines, with_path("/p/d", folder, Directories::host_path));
  EXPECT_EQ(host.pod("web", "volumes|0|hostPath"), R"({"path":"/p/d","type":"DirectoryOrCreate"})");
}

TEST(Mapping, ABoundSocketIsNotPassedOver) {
  HostPath socket;
  socket.kind = HostPath::Kind::other;
  const std::string lines = "    volumes: ['/run/docker.sock:/run/docker.sock']\n";
  EXPECT_THAT(
      service(lines, with_path("/run/docker.sock", socket)).problems(),
      HasSubstr("compose.yaml:5: service \"web\" mounts /run/docker.sock of this host, which is neither a file"));
  const Mapped made = service(lines, with_path("/run/docker.sock", socket, Directories::host_path));
  EXPECT_EQ(made.pod("web", "volumes|0|hostPath"), R"({"path":"/run/docker.sock","type":""})");
}

TEST(Mapping, APathOfAnotherSystemIsNoPartOfAName) {
  const std::string path = R"(C:\data\site.conf)";
  const Mapped made =
      service("    volumes: [{type: bind, source: '" + path + "', target: /f}]\n", with_path(path, file_with("x")));
  EXPECT_EQ(made.problems(), "");
  EXPECT_THAT(made.pod("web", "volumes|0|configMap|name"), HasSubstr("file-c--data-site-conf-"));
}

TEST(Mapping, TmpfsAndSharedMemoryAreMemoryWithTheirSize) {
  const Mapped made = service("    tmpfs: ['/run:size=16m']\n    shm_size: 64m\n");
  EXPECT_EQ(made.pod("web", "volumes|0|emptyDir"), R"({"medium":"Memory","sizeLimit":"16Mi"})");
  EXPECT_EQ(made.container("web", "volumeMounts|1|mountPath"), "\"/dev/shm\"");
}

TEST(Mapping, SecretsAreReferencesUnlessContentIsAskedFor) {
  const std::string lines = "    secrets: [{source: s, mode: 0400}]\nsecrets: {s: {file: ./s}}\n";
  Options options = with_path("/p/s", file_with("hunter2"));
  EXPECT_FALSE(service(lines, options).has("Secret", "s"));
  EXPECT_THAT(service(lines, options).fate("secrets.s.file"), HasSubstr("kubectl create secret generic s"));
  options.embed_secrets = true;
  const Mapped made = service(lines, options);
  EXPECT_EQ(made.at("Secret", "s", "data|content"), "\"aHVudGVyMg==\"");
  EXPECT_EQ(made.pod("web", "volumes|0|secret"), R"({"defaultMode":256,"secretName":"s"})");
}

TEST(Mapping, ASecretOfAVariableIsNotExternal) {
  load::FakeFiles files{
      {"/p/compose.yaml", "name: p\nservices: {web: {image: a, secrets: [s]}}\nsecrets: {s: {environment: V}}\n"}};
  load::Options wanted;
  wanted.working_dir = "/p";
  wanted.files = {"/p/compose.yaml"};
  wanted.env = {{"V", "value"}};
  const load::LoadResult loaded = load::load(wanted, files);
  ASSERT_TRUE(loaded.project) << loaded.report();
  const Export made = export_project(*loaded.project, choosing([](Options& o) { o.embed_secrets = true; }));
  EXPECT_THAT(render(made, "secrets"), HasSubstr("content: dmFsdWU="));
}

TEST(Mapping, ConfigsAreOneObjectEach) {
  const Mapped made = service("    configs: [a, b]\nconfigs: {a: {content: one}, b: {content: two}}\n");
  EXPECT_EQ(made.at("ConfigMap", "a", "data|content"), "\"one\"");
  EXPECT_EQ(made.at("ConfigMap", "b", "data|content"), "\"two\"");
}

TEST(Mapping, FilesKeepTheirModeAndTheReportSaysThatTheirOwnerIsLost) {
  const Mapped made =
      service("    configs: [{source: a, mode: 0440, uid: '5', gid: '6'}]\nconfigs: {a: {content: one}}\n");
  EXPECT_EQ(made.pod("web", "volumes|0|configMap|defaultMode"), "288");
  EXPECT_THAT(made.fate("services.web.configs[0].uid"), HasSubstr("dropped: files of configs belong to root"));
  EXPECT_THAT(made.fate("services.web.configs[0].gid"), HasSubstr("dropped: files of configs belong to root"));
}

TEST(Mapping, UserIsNumbersOrLookedUp) {
  EXPECT_EQ(service("    user: '33:34'\n").container("web", "securityContext|runAsGroup"), "34");
  Options options;
  options.images["web"].user = "101:102";
  EXPECT_EQ(service("    user: nginx\n", options).container("web", "securityContext|runAsUser"), "101");
  EXPECT_EQ(service("    user: nginx\n").container("web", "securityContext|runAsUser"), "none");
  EXPECT_THAT(service("    user: nginx\n").fate("services.web.user"), HasSubstr("dropped"));
  EXPECT_EQ(
      service("    user: '33:34'\n    volumes: ['vol:/d']\nvolumes: {vol: }\n").pod("web", "securityContext|fsGroup"),
      "34");
}

TEST(Mapping, RightsOfTheContainer) {
  const Mapped made = service(
      "    cap_drop: [ALL]\n    cap_add: [cap_chown]\n    read_only: true\n    security_opt: "
      "['no-new-privileges:true', 'apparmor=x']\n");
  EXPECT_EQ(made.container("web", "securityContext|capabilities"), R"({"add":["CHOWN"],"drop":["ALL"]})");
  EXPECT_EQ(made.container("web", "securityContext|allowPrivilegeEscalation"), "false");
  EXPECT_EQ(made.container("web", "securityContext|appArmorProfile"), R"({"localhostProfile":"x","type":"Localhost"})");
  EXPECT_EQ(made.container("web", "securityContext|readOnlyRootFilesystem"), "true");
  EXPECT_EQ(service("    privileged: true\n").container("web", "securityContext|privileged"), "true");
}

TEST(Mapping, ProfilesOfTheKernelsGuards) {
  const Mapped made = service("    security_opt: ['seccomp=unconfined', 'label=type:web_t', 'label:level:s0:c1']\n");
  EXPECT_EQ(made.container("web", "securityContext|seccompProfile"), R"({"type":"Unconfined"})");
  EXPECT_EQ(made.container("web", "securityContext|seLinuxOptions"), R"({"level":"s0:c1","type":"web_t"})");
  EXPECT_EQ(service("").container("web", "securityContext|seccompProfile"), R"({"type":"RuntimeDefault"})");
}

TEST(Mapping, SysctlsBelongToThePod) {
  const Mapped made = service("    sysctls: {net.core.somaxconn: 1024}\n");
  EXPECT_EQ(made.pod("web", "securityContext|sysctls"), R"([{"name":"net.core.somaxconn","value":"1024"}])");
  EXPECT_EQ(made.container("web", "securityContext|sysctls"), "none");
}

TEST(Mapping, LowPortsAreForEverybodyAsInDocker) {
  const std::string open = R"([{"name":"net.ipv4.ip_unprivileged_port_start","value":"0"}])";
  const auto sysctls = [](const std::string& lines) { return service(lines).pod("web", "securityContext|sysctls"); };
  EXPECT_EQ(sysctls("    ports: ['80:80']\n    user: '101:101'\n"), open);
  EXPECT_EQ(sysctls("    ports: ['80:80']\n    cap_drop: [ALL]\n"), open);
  EXPECT_EQ(sysctls("    ports: ['80:80']\n    cap_drop: [ALL]\n    cap_add: [NET_BIND_SERVICE]\n"), "none");
  EXPECT_EQ(sysctls("    ports: ['80:80']\n"), "none");
  EXPECT_EQ(sysctls("    ports: ['8080:8080']\n    user: '101:101'\n"), "none");
}

TEST(Mapping, SettingsOfThePod) {
  const Mapped made = service(
      "    extra_hosts: ['a=10.0.0.1']\n    dns: [9.9.9.9]\n    dns_search: [x]\n    dns_opt: ['ndots:2']\n    "
      "hostname: h\n    init: true\n"
      "    stop_grace_period: 90s\n    ipc: host\n    platform: linux/arm64\n");
  EXPECT_EQ(made.pod("web", "hostAliases"), R"([{"hostnames":["a"],"ip":"10.0.0.1"}])");
  EXPECT_EQ(made.pod("web", "dnsConfig"),
            R"({"nameservers":["9.9.9.9"],"options":[{"name":"ndots","value":"2"}],"searches":["x"]})");
  EXPECT_EQ(made.pod("web", "hostname"), "\"h\"");
  EXPECT_EQ(made.pod("web", "shareProcessNamespace"), "true");
  EXPECT_EQ(made.pod("web", "terminationGracePeriodSeconds"), "90");
  EXPECT_EQ(made.pod("web", "hostIPC"), "true");
  EXPECT_EQ(made.pod("web", "nodeSelector|kubernetes.io/arch"), "\"arm64\"");
  EXPECT_EQ(service("    pid: host\n").pod("web", "hostPID"), "true");
}

TEST(Mapping, WhatHasNoCounterpartIsInTheReportWithItsLine) {
  const Mapped made = service("    ulimits: {nofile: 1024}\n    stop_signal: SIGQUIT\n    domainname: d\n");
  for (const char* key : {"ulimits", "stop_signal", "domainname"})
    EXPECT_THAT(made.fate(fmt::format("services.web.{}", key)), HasSubstr("dropped")) << key;
  EXPECT_THAT(report_text(made.all().findings, false), HasSubstr("compose.yaml:5: dropped services.web.ulimits"));
}

TEST(Mapping, ModelsAreInTheReport) {
  const Mapped made = service("    models: [m]\nmodels: {m: {model: ai/small}}\n");
  EXPECT_TRUE(made.has("Deployment", "web"));
  EXPECT_THAT(made.fate("models.m.model"), HasSubstr("dropped: run the model as a service of its own"));
}

TEST(Mapping, NetworkOfAnotherServiceIsOnePod) {
  const Mapped made{"services:\n  web: {image: a}\n  side: {image: b, network_mode: 'service:web'}\n"};
  EXPECT_EQ(made.pod("web", "containers|1|name"), "\"side\"");
  EXPECT_FALSE(made.has("Deployment", "side"));
}

TEST(Mapping, LabelsAreLabelsWhereTheyMayBe) {
  const Mapped made = service("    labels: {team: web, owner: 'A Person'}\n");
  EXPECT_EQ(made.at("Deployment", "web", "metadata|labels|team"), "\"web\"");
  EXPECT_EQ(made.at("Deployment", "web", "metadata|annotations|owner"), "\"A Person\"");
}

TEST(Mapping, NamesAreNormalisedAndNoted) {
  const Mapped made{"services:\n  My_Web: {image: a}\n"};
  EXPECT_TRUE(made.has("Deployment", "my-web"));
  EXPECT_EQ(made.all().names.at("services.My_Web"), "my-web");
}

TEST(Mapping, PullPolicies) {
  EXPECT_EQ(service("    pull_policy: missing\n").container("web", "imagePullPolicy"), "\"IfNotPresent\"");
  EXPECT_EQ(service("    pull_policy: always\n").container("web", "imagePullPolicy"), "\"Always\"");
  EXPECT_EQ(service("    pull_policy: never\n").container("web", "imagePullPolicy"), "\"Never\"");
}

TEST(Mapping, IngressByLabel) {
  const Mapped made = service("    expose: ['8080']\n    labels: {kubernetes.ingress.host: a.test}\n");
  EXPECT_EQ(made.at("Ingress", "web", "spec|rules|0|host"), "\"a.test\"");
  EXPECT_EQ(made.at("Ingress", "web", "spec|rules|0|http|paths|0|backend|service|port|number"), "8080");
}

TEST(Mapping, EveryValueWrittenInAFileNamesItsLine) {
  EXPECT_THAT(render(service("    stop_grace_period: 90s\n").all(), "web"),
              HasSubstr("terminationGracePeriodSeconds: 90  # compose.yaml:5"));
}

}  // namespace
}  // namespace compose::kubernetes::test
