"""The rules of restarts, health and dependencies: a table of them with their tests, and those on real containers that no
other file has. Of each rule one test runs on values alone (times are given to it, so that an hour takes no time), and
one with containers."""
import glob
import json
import os
import time
import unittest

from compose import TOP, Project, wait_until
from e2e import TestCase, needs_our_own, needs_root, workspace
import machine

# rule: (test on values, test with containers); a test is "file: words that stand in it".
RESTARTS = "src/supervisor/policy/restart_test.cpp"
HEALTH = "src/supervisor/policy/health_test.cpp"
DEPENDENCIES = "src/supervisor/policy/dependency_test.cpp"
PLANS = "compose/plan/reconcile_test.cpp"
LIFE = "compose/plan/lifecycle_test.cpp"
KERNEL = "src/supervisor/kernel_test.cpp"
HERE = "tests/e2e/test_rules.py"
RULES = {
    "restart: no": ((RESTARTS, "NoPolicyStaysDown"), ("tests/e2e/test_supervision.py", "test_policies")),
    "restart: always": ((RESTARTS, "ACleanExitIsRestartedByAlwaysButNotByOnFailure"), (KERNEL, "AKilledContainerComesBackByItsPolicy")),
    "restart: on-failure": ((RESTARTS, "ACleanExitIsRestartedByAlwaysButNotByOnFailure"), ("tests/e2e/test_supervision.py", "test_policies")),
    "restart: on-failure:n": ((RESTARTS, "GivesUpAfterTheGivenAttempts"), (KERNEL, "TheRestartPolicyIsObeyedAndThenGivesUp")),
    "restart: unless-stopped": ((RESTARTS, "ACleanExitIsRestartedByAlwaysButNotByOnFailure"), (HERE, "test_restarts")),
    "a stop is not undone": ((RESTARTS, "AStopOnRequestIsNotUndone"), ("tests/e2e/test_supervision.py", "test_policies")),
    "a kill is a stop, another signal is not": ((RESTARTS, "AStopOnRequestIsNotUndone"), (HERE, "test_a_kill_is_a_stop")),
    "back-off: 100 ms, doubled, a minute at most": ((RESTARTS, "TheDelayDoublesUpToAMinute"), (HERE, "test_restarts")),
    "back-off: afresh after 10 s": ((RESTARTS, "ARunOfTenSecondsStartsTheDelaysAfresh"), (HERE, "test_a_long_run_is_forgiven")),
    "the next run is set up during the delay": ((RESTARTS, "TheDelayDoublesUpToAMinute"), (KERNEL, "TheNextRunIsSetUpWhileItsDelayLasts")),
    "a stop or start during the delay": ((RESTARTS, "AStopOnRequestIsNotUndone"), (KERNEL, "AStopDuringTheDelayLeavesTheEndAsItWas")),
    "restart_policy: condition": ((RESTARTS, "DeployPolicyWins"), (HERE, "test_restarts")),
    "restart_policy: delay": ((RESTARTS, "AWindowForgivesEarlierAttempts"), (KERNEL, "TheNextRunIsSetUpWhileItsDelayLasts")),
    "restart_policy: max_attempts": ((RESTARTS, "GivesUpAfterTheGivenAttempts"), (HERE, "test_restarts")),
    "restart_policy: window": ((RESTARTS, "AWindowForgivesEarlierAttempts"), (HERE, "test_restarts")),
    "crash loop is shown": ((RESTARTS, "NamesACrashLoopAtTheThirdShortRun"), ("tests/e2e/test_lifecycle.py", "test_unhealthy_is_restarted_when_asked_for")),
    "restart on unhealthy": ((RESTARTS, "AnUnhealthyEndIsRestartedWhenAskedForWhateverThePolicy"), ("tests/e2e/test_lifecycle.py", "test_unhealthy_is_restarted_when_asked_for")),
    "at boot": ((RESTARTS, "AtBootOnlyWhatShouldRun"), ("tests/e2e/test_lifecycle.py", "test_what_should_run_runs_again_in_order")),
    "replicated-job": ((RESTARTS, "AJobThatSucceededIsDone"), (HERE, "test_modes")),
    "a completed one-shot stays completed": ((PLANS, "AOneShotThatCompletedIsNotRunAgain"), (HERE, "test_modes")),
    "mode global": ((PLANS, "GlobalMeansOneOnThisHost"), (HERE, "test_modes")),
    "stop_signal, then SIGKILL after stop_grace_period": ((PLANS, "TheTimeoutGoesToEveryStop"), (KERNEL, "AContainerThatIgnoresTheStopSignalIsKilledAfterItsGracePeriod")),

    "healthcheck: CMD, CMD-SHELL": ((HEALTH, "RunsAShellLineUnderTheImagesShell"), (HERE, "test_health")),
    "healthcheck: NONE, disable": ((HEALTH, "IsNoneWhenAbsentOrDisabled"), (HERE, "test_the_images_check")),
    "healthcheck: the image's": (("src/container/effective_test.cpp", "TakesFromTheImageWhatTheServiceLeavesOpen"), (HERE, "test_the_images_check")),
    "healthcheck: first probe at once": ((HEALTH, "TheFirstProbeIsDueAtOnce"), (HERE, "test_health")),
    "healthcheck: interval": ((HEALTH, "AfterASuccessEachFailureCountsAndASuccessHeals"), (HERE, "test_health")),
    "healthcheck: denser until the first success": ((HEALTH, "ProbesComeCloseTogetherUntilTheFirstSuccess"), (HERE, "test_health")),
    "healthcheck: start_interval": ((HEALTH, "StartIntervalBoundsTheGapsBeforeTheFirstSuccess"), (HERE, "test_health")),
    "healthcheck: start_period": ((HEALTH, "FailuresInTheStartPeriodDoNotCount"), (HERE, "test_health")),
    "healthcheck: retries": ((HEALTH, "IsUnhealthyNoSoonerThanUnderDocker"), (HERE, "test_health")),
    "healthcheck: timeout, with the probe's children": ((HEALTH, "ATimeoutIsAFailureThatSaysSo"), (HERE, "test_health")),
    "healthcheck: heals": ((HEALTH, "AfterASuccessEachFailureCountsAndASuccessHeals"), (HERE, "test_health")),
    "healthcheck: last five probes are kept": ((HEALTH, "KeepsTheLastFiveResultsAndFourKilobytesOfOutput"), (HERE, "test_health")),
    "healthcheck: reset by a restart": ((HEALTH, "TheFirstProbeIsDueAtOnce"), (HERE, "test_health")),

    "service_started at up": ((PLANS, "MakesEverythingInOrderTheFirstTime"), (KERNEL, "AServiceFindsAnotherByName")),
    "service_healthy at up": ((PLANS, "SeveralDependentsShareOneWait"), (KERNEL, "AServiceStartsWhenTheOneItNeedsIsHealthy")),
    "service_completed_successfully at up": ((PLANS, "WaitsForAOneShotToComplete"), (KERNEL, "AOneShotThatFailsFailsTheUp")),
    "required: false": ((PLANS, "AnOptionalDependencyMayFail"), (HERE, "test_an_optional_dependency_may_fail")),
    "every replica counts": ((PLANS, "DependentsWaitForEveryReplica"), (HERE, "test_every_replica_counts")),
    "at start": ((LIFE, "StartsInOrderWithTheConditions"), ("tests/e2e/test_lifecycle.py", "test_start_waits_and_restores_the_order")),
    "at stop and down, backwards": ((LIFE, "StopsDependentsFirstAndRemovesTheNetworkLast"), ("tests/e2e/test_commands.py", "test_interrupt_stops_in_order")),
    "at restart": ((LIFE, "StopsBackwardsAndStartsForwards"), (HERE, "test_restart_takes_dependents_along")),
    "restart: true at a command": ((LIFE, "TakesTheDependentsAlongThatAskForIt"), (HERE, "test_restart_takes_dependents_along")),
    "restart: true after a crash": ((DEPENDENCIES, "EndWhenTheServiceIsReadyAgain"), ("tests/e2e/test_lifecycle.py", "test_dependents_follow_and_restarts_wait")),
    "a restart waits for what it needs": ((DEPENDENCIES, "HealthThatIsYetToCome"), ("tests/e2e/test_lifecycle.py", "test_dependents_follow_and_restarts_wait")),
    "what lives in another's namespaces follows it": ((DEPENDENCIES, "AreThoseThatAskAndThoseInItsNamespaces"), (HERE, "test_a_sidecar_follows")),
}


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


class Table(unittest.TestCase):
    def test_every_rule_has_its_tests(self):
        for rule, tests in RULES.items():
            for path, name in tests:
                pattern = rf"def {name}\(" if path.endswith(".py") else rf"TEST(_F)?\(\w+, {name}\)"
                with self.subTest(rule):
                    self.assertRegex(read(path), pattern)


class Base(TestCase):
    def project(self, name, text):
        project = Project.of_text(workspace(), "e2e-rules-" + name, text)
        self.addCleanup(lambda: project.down("-v", "-t", "0", check=False))
        return project

    def log(self, project, service):
        return project.run("logs", "--no-log-prefix", service).stdout.splitlines()

    def state(self, project, service):
        return project.container(service)["State"]

    def wait_end(self, project, service, seconds=20):
        wait_until(lambda: self.state(project, service) == "exited", seconds, f"the end of {service}")

    def record(self, project, service):
        """What is on disk about the first container of a service."""
        for path in glob.glob(f"{workspace().state_root}/projects/{project.name}/containers/*/record.json"):
            found = json.loads(machine.read(path))
            if (found["service"], found["number"]) == (service, 1):
                return found
        return None


# How long a run took to come is told by the host's clock since boot, in hundredths of a second.
NOW = "read now rest < /proc/uptime; echo"


@needs_root
@needs_our_own
class Restarts(Base):
    TEXT = f"""\
x-once: &once {{image: busybox, stop_grace_period: 0s}}
services:
  any: {{<<: *once, command: sh -c "echo run", deploy: {{restart_policy: {{condition: any, delay: 50ms, max_attempts: 2}}}}}}
  none: {{<<: *once, command: sh -c "echo run; exit 1", restart: always, deploy: {{restart_policy: {{condition: none}}}}}}
  failure: {{<<: *once, command: sh -c "echo run", deploy: {{restart_policy: {{condition: on-failure}}}}}}
  # Two runs longer than the window are forgiven, the third is not.
  window:
    <<: *once
    command: sh -c "echo run >> /runs; echo run; test $$(grep -c run /runs) -gt 2 || sleep 1.2; exit 1"
    deploy: {{restart_policy: {{condition: on-failure, delay: 50ms, max_attempts: 1, window: 1s}}}}
  backoff: {{<<: *once, restart: always, command: sh -c "{NOW} begin $$now; {NOW} end $$now"}}
  unless: {{<<: *once, restart: unless-stopped, init: true, command: sleep 1000}}
"""

    def test_restarts(self):
        project = self.project("restarts", self.TEXT)
        project.up()
        first = project.pid("unless")
        os.kill(first, 9)
        wait_until(lambda: project.pid("unless") not in (None, first), 10, "its restart")
        for service, runs in (("any", 3), ("none", 1), ("failure", 1), ("window", 3)):
            wait_until(lambda: len(self.log(project, service)) == runs, 30, f"{runs} runs of {service}")
            self.wait_end(project, service)
        self.assertEqual([len(self.log(project, service)) for service in ("any", "none", "failure", "window")], [3, 1, 1, 3])
        lines = wait_until(lambda: self.log(project, "backoff")[:8] if len(self.log(project, "backoff")) >= 8 else None, 30,
                           "four runs")
        times = [float(line.split()[1]) for line in lines]
        self.assertEqual([line.split()[0] for line in lines], ["begin", "end"] * 4)
        for number, delay in enumerate((0.1, 0.2, 0.4)):
            self.assertGreater(times[2 * number + 2] - times[2 * number + 1], delay - 0.02)  # the clock's own grain, twice

    def test_a_kill_is_a_stop(self):
        project = self.project("kill", """\
services:
  killed: {image: busybox, restart: always, init: true, command: sleep 1000}
  hung-up: {image: busybox, restart: always, init: true, command: sleep 1000}
""")
        project.up()
        first = project.pid("hung-up")
        project.run("kill", "-s", "HUP", "hung-up")
        project.run("kill", "killed")
        wait_until(lambda: project.pid("hung-up") not in (None, first), 10, "its restart")
        # Both had ended when the other one was restarted.
        self.assertEqual((self.state(project, "killed"), project.container("killed")["ExitCode"]), ("exited", 137))
        project.run("start", "killed")
        self.assertEqual(self.state(project, "killed"), "running")

    @unittest.skipUnless(os.environ.get("LONG") == "1", "a run of ten seconds: set LONG=1")
    def test_a_long_run_is_forgiven(self):
        # Three short runs lead to a delay of 800 ms; the long one after them is followed by one of 100 ms.
        project = self.project("forgiven", f"""\
services:
  web:
    image: busybox
    restart: always
    stop_grace_period: 0s
    command: sh -c "echo run >> /runs; {NOW} begin $$now; test $$(grep -c run /runs) -ne 4 || sleep 10.1; {NOW} end $$now"
""")
        project.up()
        lines = wait_until(lambda: self.log(project, "web") if len(self.log(project, "web")) >= 10 else None, 60, "five runs")
        times = [float(line.split()[1]) for line in lines]
        self.assertGreater(times[6] - times[5], 0.38)
        self.assertLess(times[8] - times[7], 0.38)

    def test_modes(self):
        project = self.project("modes", """\
services:
  job:
    image: busybox
    command: sh -c "echo run >> /runs; echo run; test $$(grep -c run /runs) -gt 1"
    deploy: {mode: replicated-job, replicas: 2, restart_policy: {condition: any, delay: 50ms}}
  everywhere: {image: busybox, command: sleep 1000, stop_grace_period: 0s, deploy: {mode: global}}
  setup: {image: busybox, command: echo run}
  main:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    depends_on: {setup: {condition: service_completed_successfully}, job: {condition: service_completed_successfully}}
""")
        for _ in range(2):  # the second time nothing runs again
            project.up("--wait")
            entries = project.containers()
            self.assertEqual({name[len("e2e-rules-modes-"):]: entry["State"] for name, entry in entries.items()},
                             {"job-1": "exited", "job-2": "exited", "everywhere-1": "running", "setup-1": "exited",
                              "main-1": "running"})
            # Each of the two failed once and then had what it needed: its policy says "any", but a job is done then.
            self.assertEqual(self.log(project, "job"), ["run"] * 4)
            self.assertEqual(self.log(project, "setup"), ["run"])


@needs_root
@needs_our_own
class Health(Base):
    TEXT = """\
x-s: &s {image: busybox, command: sleep 2000, init: true, stop_signal: KILL, tmpfs: /tmp}
services:
  cmd: {<<: *s, healthcheck: {test: ["CMD", "test", "-e", "/tmp/well"], interval: 200ms, retries: 2}}
  # Failures within the start period, in which one success is enough.
  starting:
    <<: *s
    healthcheck:
      test: echo probe >> /tmp/probes; test $$(grep -c probe /tmp/probes) -gt 5
      interval: 1h
      start_period: 1h
      start_interval: 50ms
      retries: 1
  hangs: {<<: *s, healthcheck: {test: "echo hanging; sleep 1000 & sleep 1000", interval: 100ms, timeout: 500ms, retries: 2}}
"""

    def test_health(self):
        project = self.project("health", self.TEXT)
        project.up()
        begin = time.time()
        health = lambda service: project.container(service)["Health"]  # noqa: E731
        wait_until(lambda: health("starting") == "healthy", 30, "a success in the start period")
        # With its interval of an hour it would take that long: until the first success probes come closer.
        self.assertEqual(self.record(project, "starting")["health"]["failing_streak"], 0)
        self.assertEqual([probe["exit_code"] for probe in self.record(project, "starting")["health"]["log"]], [1, 1, 1, 1, 0])

        wait_until(lambda: health("hangs") == "unhealthy", 30, "what hangs")
        probe = self.record(project, "hangs")["health"]["log"][-1]
        self.assertIn("took longer than 500ms", probe["output"])
        # The killed ones have taken their children along: what there is belongs to at most one probe that runs now.
        def sleeping():
            ids = machine.cgroup_of(project.container("hangs")["ID"])
            pids = {pid for path in ids for pid in machine.read(os.path.join(path, "cgroup.procs")).split()}
            return sum(machine.command_line(int(pid)).endswith("sleep 1000") for pid in pids)
        for _ in range(5):
            self.assertLessEqual(sleeping(), 3)
            time.sleep(0.1)

        wait_until(lambda: health("cmd") == "unhealthy", 30, "its state")
        project.exec("cmd", "touch", "/tmp/well")
        wait_until(lambda: health("cmd") == "healthy", 10, "its recovery")
        project.exec("cmd", "rm", "/tmp/well")
        wait_until(lambda: health("cmd") == "unhealthy", 10, "its state")
        self.assertLessEqual(len(self.record(project, "cmd")["health"]["log"]), 5)
        project.run("restart", "-t", "0", "cmd")
        again = self.record(project, "cmd")
        self.assertIn((again["health"]["status"], again["health"]["failing_streak"]), [("starting", 0), ("starting", 1)])
        states = project.run("events", "--since", str(begin - 60), "--until", str(time.time()), "starting").stdout
        self.assertNotIn("unhealthy", states)

    def test_the_images_check(self):
        project = self.project("image", """\
x-s: &s {image: e2e-rules-checked, stop_signal: KILL, command: sleep 1000}
services:
  image: {<<: *s, build: {dockerfile_inline: "FROM busybox\\nHEALTHCHECK --interval=100ms --retries=2 CMD test -e /well"}}
  other: {<<: *s, healthcheck: {test: "true"}}
  none: {<<: *s, healthcheck: {test: ["NONE"]}}
  off: {<<: *s, healthcheck: {disable: true}}
""")
        project.up("--build")
        wait_until(lambda: project.container("image")["Health"] == "unhealthy", 20, "the image's own check")
        wait_until(lambda: project.container("other")["Health"] == "healthy", 20, "the check of the file")
        self.assertEqual([project.container(service)["Health"] for service in ("none", "off")], ["", ""])
        project.down("--rmi", "all", "-t", "0")


@needs_root
@needs_our_own
class Dependencies(Base):
    def test_an_optional_dependency_may_fail(self):
        project = self.project("optional", """\
x-s: &s {image: busybox, command: sleep 1000, stop_signal: KILL}
services:
  ill: {<<: *s, healthcheck: {test: "false", interval: 50ms, retries: 1}}
  broken: {image: busybox, command: sh -c "exit 3"}
  main:
    <<: *s
    depends_on:
      ill: {condition: service_healthy, required: false}
      broken: {condition: service_completed_successfully, required: false}
""")
        said = project.up().stderr
        self.assertEqual(self.state(project, "main"), "running")
        self.assertIn("ill", said)

    def test_every_replica_counts(self):
        project = self.project("replicas", """\
services:
  db:
    image: busybox
    command: sh -c "sleep 1000"
    stop_signal: KILL
    hostname: db
    deploy: {replicas: 2}
    volumes: ["shared:/shared"]
    # One of the two is healthy at once, the other when it has waited.
    healthcheck: {test: "mkdir /shared/first || test -e /mine || sleep 0.4; touch /mine", interval: 5s}
  main:
    image: busybox
    command: sleep 1000
    stop_signal: KILL
    depends_on: {db: {condition: service_healthy}}
volumes: {shared: {}}
""")
        project.up()
        self.assertEqual([project.container("db", number)["Health"] for number in (1, 2)], ["healthy", "healthy"])
        project.down("-v", "-t", "0")

    def test_restart_takes_dependents_along(self):
        project = self.project("restart", """\
x-s: &s {image: busybox, command: sleep 1000, stop_signal: KILL}
services:
  db: *s
  asks: {<<: *s, depends_on: {db: {condition: service_started, restart: true}}}
  quiet: {<<: *s, depends_on: [db]}
""")
        project.up()
        before = {service: project.pid(service) for service in ("db", "asks", "quiet")}
        project.run("restart", "db")
        after = {service: project.pid(service) for service in before}
        self.assertEqual({service for service in before if before[service] != after[service]}, {"db", "asks"})
        ticks = {service: int(machine.start_time(after[service])) for service in after}
        self.assertGreaterEqual(ticks["asks"], ticks["db"])

    def test_a_sidecar_follows(self):
        project = self.project("sidecar", """\
x-s: &s {image: busybox, command: sleep 1000, init: true, stop_signal: KILL}
services:
  web: {<<: *s, restart: always}
  sidecar: {<<: *s, network_mode: "service:web"}
""")
        project.up()
        net = lambda service: os.readlink(f"/proc/{project.pid(service)}/ns/net")  # noqa: E731
        before = {service: project.pid(service) for service in ("web", "sidecar")}
        self.assertEqual(net("web"), net("sidecar"))
        os.kill(before["web"], 9)
        wait_until(lambda: project.pid("sidecar") not in (None, before["sidecar"]), 20, "the sidecar's restart")
        self.assertEqual(net("web"), net("sidecar"))
