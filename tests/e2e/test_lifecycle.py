"""Hooks, restart on unhealthy, crash loops, and depends_on after a crash: one graph for the whole life."""
import glob
import json
import datetime
import os
import signal
import subprocess

from compose import Project, wait_until
from e2e import TestCase, needs_our_own, needs_root, workspace
import machine


def started(pid):
    """Seconds since boot."""
    return int(machine.start_time(pid)) / os.sysconf("SC_CLK_TCK")


class Base(TestCase):
    def project(self, name, text):
        project = Project.of_text(workspace(), "e2e-life-" + name, text)
        project.before = workspace().snapshot()
        self.addCleanup(lambda: project.run("kill", check=False))
        self.addCleanup(lambda: project.down("-v", "-t", "0", check=False))
        return project

    def lines(self, project, service):
        return project.run("logs", "--no-log-prefix", service).stdout.split()

    def finish(self, project):
        project.down("-v", "-t", "0")
        self.assert_nothing_left(project.before)


@needs_root
class Hooks(Base):
    GOOD = """\
services:
  web:
    image: busybox
    command: sh -c "cat /data/steps; sleep 1000"
    stop_signal: KILL
    volumes: ["data:/data"]
    environment: {WHO: web}
    pre_start:
      - command: sh -c "echo one for $$WHO; echo one >> /data/steps"
      - command: ["sh", "-c", "echo $$WHO >> /data/steps"]
        environment: {WHO: two}
    post_start:
      - command: sh -c "echo hello from post_start as $$(id -u) in $$(pwd)"
        user: "33"
        working_dir: /tmp
    pre_stop:
      - command: sh -c "echo stopping >> /data/steps; echo bye"
volumes: {data: {}}
"""

    def test_run_in_order_and_are_shown(self):
        project = self.project("hooks", self.GOOD)
        shown = project.up().stderr
        self.assertRegex(shown, r"pre_start\[0\] .*one for web")
        self.assertRegex(shown, r"post_start\[0\] .*hello from post_start as 33 in /tmp")
        self.assertEqual(self.lines(project, "web"), ["one", "two"])
        self.assertEqual(list(project.containers()), ["e2e-life-hooks-web-1"])
        self.assertNotIn("pre_start", project.up().stderr, "nothing starts, so nothing is prepared")
        self.assertRegex(project.run("stop").stderr, r"pre_stop\[0\] .*bye")
        project.run("start")
        self.assertEqual(project.exec("web", "cat", "/data/steps").stdout.split(),
                         ["one", "two", "stopping", "one", "two"])
        self.finish(project)

    def failure(self, name, text, *command):
        project = self.project(name, text)
        if command:
            project.up()
            done = project.run(*command, check=False)
        else:
            done = project.up(check=False)
        self.assertEqual(done.returncode, 1)
        return project, done.stderr

    @needs_our_own
    def test_pre_start_that_fails_names_the_step(self):
        project, said = self.failure("pre", """\
services:
  web:
    image: busybox
    command: sleep 1000
    stop_signal: KILL
    pre_start:
      - command: "true"
      - command: sh -c "echo no migration; exit 3"
""")
        self.assertRegex(said, r"compose.yaml:8:\d+: .*pre_start\[1\] of service \"web\" failed with exit code 3")
        self.assertIn("no migration", said)
        self.assertEqual(project.containers(), {})
        self.assert_nothing_left(project.before)

    @needs_our_own
    def test_post_start_that_fails_stops_the_container(self):
        project, said = self.failure("post", """\
services:
  web:
    image: busybox
    command: sleep 1000
    restart: always
    stop_signal: KILL
    post_start: [{command: sh -c "echo cannot; exit 4"}]
""")
        self.assertRegex(said, r"compose.yaml:7:\d+: .*post_start\[0\] of container .* failed with exit code 4")
        self.assertIn("cannot", said)
        self.assertEqual(project.containers(), {})

    @needs_our_own
    def test_pre_stop_that_fails_lets_it_run_and_kill_ends_it(self):
        project, said = self.failure("stop", """\
services:
  web:
    image: busybox
    command: sleep 1000
    stop_signal: KILL
    pre_stop: [{command: sh -c "echo busy; exit 5"}]
""", "down")
        self.assertRegex(said, r"is not stopped \(\"kill\" ends it .*compose.yaml:6:\d+: pre_stop\[0\] .* exit code 5")
        self.assertEqual(project.container("web")["State"], "running")
        project.run("kill")
        wait_until(lambda: project.container("web")["State"] == "exited", 5, "its end")
        self.finish(project)


@needs_root
@needs_our_own
class Health(Base):
    def test_unhealthy_is_restarted_when_asked_for(self):
        project = self.project("unhealthy", """\
x-s: &s
  image: busybox
  command: sleep 1000
  init: true
  stop_signal: KILL
  healthcheck: {test: "! test -e /tmp/ill", interval: 200ms, retries: 2}
services:
  asked: {<<: *s, x-restart-on-unhealthy: true}
  label: {<<: *s, labels: {autoheal: "true"}}
  not: *s
""")
        project.up("--wait")
        pids = {service: project.pid(service) for service in ("asked", "label", "not")}
        for service in pids:
            project.exec(service, "touch", "/tmp/ill")
        # The file stays in the container: it becomes unhealthy again and again, and the back-off shows it.
        for service in ("asked", "label"):
            wait_until(lambda: project.pid(service) not in (None, pids[service]), 10, "a restart of " + service)
        wait_until(lambda: "unhealthy" in project.container("not")["Status"], 5, "its state")
        self.assertEqual(project.pid("not"), pids["not"])
        wait_until(lambda: "crash loop" in project.container("asked")["Status"], 20, "the crash loop in ps")
        self.finish(project)


@needs_root
@needs_our_own
class AfterACrash(Base):
    TEXT = """\
services:
  db:
    image: busybox
    command: sh -c "echo begun; sleep 0.7; touch /tmp/up; sleep 1000"
    tmpfs: /tmp
    init: true
    restart: always
    stop_signal: KILL
    healthcheck: {test: test -e /tmp/up, interval: 100ms, start_period: 5s, start_interval: 100ms}
  follows:
    image: busybox
    command: sh -c "date; sleep 1000"
    stop_signal: KILL
    depends_on: {db: {condition: service_healthy, restart: true}}
  stays:
    image: busybox
    command: sleep 1000
    stop_signal: KILL
    depends_on: {db: {condition: service_healthy}}
  again:
    image: busybox
    command: sh -c "echo begun; sleep 1000"
    init: true
    restart: always
    stop_signal: KILL
    depends_on: {db: {condition: service_healthy}}
"""

    @staticmethod
    def begun(project, service):
        """When its program last began; its process may have been made, and held, before."""
        line = project.run("logs", "--no-log-prefix", "--timestamps", service).stdout.splitlines()[-1]
        return datetime.datetime.fromisoformat(line.split(" ")[0][:26].rstrip("Z")).timestamp()

    def test_dependents_follow_and_restarts_wait(self):
        project = self.project("crash", self.TEXT)
        project.up("--wait")
        pids = {service: project.pid(service) for service in ("db", "follows", "stays", "again")}
        os.kill(pids["again"], signal.SIGKILL)
        os.kill(pids["db"], signal.SIGKILL)
        wait_until(lambda: project.pid("follows") not in (None, pids["follows"]), 10, "the dependent's restart")
        self.assertIn("healthy", project.container("db")["Status"])
        self.assertEqual(project.pid("stays"), pids["stays"])
        wait_until(lambda: project.pid("again") not in (None, pids["again"]), 5, "the other one")
        # Its own delay is 100 ms: it has waited for the health of what it depends on.
        wait_until(lambda: project.run("logs", "--no-log-prefix", "again").stdout.count("begun") == 2, 5, "its output")
        self.assertGreater(self.begun(project, "again") - self.begun(project, "db"), 0.6)
        self.finish(project)

    def test_start_waits_and_restores_the_order(self):
        project = self.project("start", self.TEXT)
        project.up("--wait")
        project.run("stop", "-t", "0")
        project.run("start", "--wait")
        self.assertIn("healthy", project.container("db")["Status"])
        begun = {service: started(project.pid(service)) for service in ("db", "follows", "stays", "again")}
        for service in ("follows", "stays", "again"):
            self.assertGreater(begun[service] - begun["db"], 0.6, service)
        self.finish(project)


@needs_root
@needs_our_own
class Boot(Base):
    """A reboot, as the records see one: everything of ours is gone, and the boot is another one."""

    def test_what_should_run_runs_again_in_order(self):
        project = self.project("boot", AfterACrash.TEXT.replace("restart: always", "restart: unless-stopped") + """\
  stopped: {image: busybox, command: sleep 1000, restart: unless-stopped, stop_signal: KILL}
  never: {image: busybox, command: sleep 1000, stop_signal: KILL}
""")
        project.up("--wait")
        project.run("stop", "stopped")
        [supervisor] = project.supervisors()
        os.kill(supervisor, signal.SIGSTOP)
        for path in glob.glob(f"{workspace().state_root}/projects/{project.name}/containers/*/record.json"):
            with open(path, encoding="utf-8") as file:
                record = json.load(file)
            with open(path, "w", encoding="utf-8") as file:
                json.dump({**record, "boot_id": "another"}, file)
        pids = [project.pid(service) for service in ("db", "follows", "stays", "again", "never")]
        monitors = [machine.parent(pid) for pid in pids]
        for pid in [supervisor, *monitors, *pids]:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in [supervisor, *monitors, *pids]), 10,
                   "their end")
        for pid in project.supervisors():
            os.kill(pid, signal.SIGKILL)
        program = subprocess.Popen([project.program, "supervise", "--project", project.name, "--adopt"],
                                   env=project.environment, stdin=subprocess.DEVNULL, start_new_session=True)
        self.addCleanup(program.wait)
        wait_until(lambda: "healthy" in project.container("db")["Status"], 10, "its health")
        wait_until(lambda: project.container("again")["State"] == "running", 5, "what depends on it")
        states = {entry["Service"]: entry["State"] for entry in project.containers().values()}
        self.assertEqual(states, {"db": "running", "again": "running", "follows": "exited", "stays": "exited",
                                  "stopped": "exited", "never": "exited"})
        self.finish(project)


@needs_root
@needs_our_own
class Commands(Base):
    TEXT = """\
services:
  slow:
    image: busybox
    command: sleep 1000
    init: true
    stop_signal: KILL
    healthcheck: {test: test -e /tmp/ready, interval: 100ms, start_period: 60s, start_interval: 100ms}
"""

    def waiting(self, project):
        """An "up --wait" that has made the container and waits for its health."""
        working = project.popen("up", "-d", "--wait")
        wait_until(lambda: any("Up" in entry["Status"] for entry in project.containers().values()), 10, "its container")
        return working

    def test_a_signal_ends_the_wait_and_what_was_made_stays(self):
        project = self.project("signal", self.TEXT)
        working = self.waiting(project)
        working.send_signal(signal.SIGTERM)
        working.communicate(timeout=10)
        self.assertEqual(working.returncode, 130)
        self.assertEqual(project.container("slow")["State"], "running")
        self.finish(project)

    def test_the_second_command_says_what_it_waits_for(self):
        project = self.project("second", self.TEXT)
        first = self.waiting(project)
        second = project.popen("stop", "-t", "0")
        said = second.stderr.readline()
        self.assertIn(f'waiting for "up" on project "{project.name}" to end (process {first.pid})', said)
        project.exec("slow", "touch", "/tmp/ready")
        first.communicate(timeout=10)
        second.communicate(timeout=10)
        self.assertEqual((first.returncode, second.returncode), (0, 0))
        self.assertEqual(project.container("slow")["State"], "exited")
        self.finish(project)
