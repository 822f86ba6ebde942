"""Restart policies, and containers that outlive whoever watches them."""
import os
import signal
import time

from compose import Project, wait_until
from e2e import TestCase, needs_our_own, needs_root, workspace
import machine

TEXT = """\
services:
  steady:
    image: busybox
    command: sh -c "i=0; while :; do i=$$((i+1)); echo tick $$i; sleep 0.2; done"
  fifo:
    image: busybox
    command: sh -c "mkfifo /tmp/end; echo ready; read code < /tmp/end; echo leaving with $$code; exit $$code"
    init: false
  again:
    image: busybox
    restart: on-failure
    command: sh -c "mkfifo /tmp/end 2>/dev/null; echo begin; read code < /tmp/end; exit $$code"
"""


@needs_root
@needs_our_own
class Supervisor(TestCase):
    def setUp(self):
        self.before = workspace().snapshot()
        self.project = Project.of_text(workspace(), "e2e-supervisor", TEXT)
        self.addCleanup(lambda: self.project.down("-t", "0", check=False))
        self.project.up()

    def kill_supervisor(self):
        [pid] = self.project.supervisors()
        os.kill(pid, signal.SIGKILL)
        return pid

    def new_supervisor(self, old):
        def other():
            return [pid for pid in self.project.supervisors() if pid != old]
        return wait_until(other, 2, "a new supervisor", 0.01)

    def test_lives_on_after_up_and_ends_with_the_last_container(self):
        [pid] = self.project.supervisors()
        self.project.down("-t", "0")
        wait_until(lambda: not os.path.exists(f"/proc/{pid}") or pid not in self.project.supervisors(), 5, "its end")
        self.assert_nothing_left(self.before)

    def test_exit_code_of_a_container_that_ended_meanwhile(self):
        wait_until(lambda: "ready" in self.project.run("logs", "fifo").stdout, 10, "the fifo")
        inside = f"/proc/{self.project.pid('fifo')}/root/tmp/end"
        with open(inside, "w", encoding="ascii") as end:
            old = self.kill_supervisor()
            end.write("42\n")
        self.new_supervisor(old)
        wait_until(lambda: self.project.container("fifo")["State"] == "exited", 5, "its end")
        self.assertEqual(self.project.container("fifo")["ExitCode"], 42)
        self.assertIn("leaving with 42", self.project.run("logs", "fifo").stdout)

    def test_policy_goes_on_after_adoption(self):
        wait_until(lambda: "begin" in self.project.run("logs", "again").stdout, 10, "its begin")
        first = self.project.pid("again")
        self.new_supervisor(self.kill_supervisor())
        os.kill(first, signal.SIGKILL)
        second = wait_until(lambda: self.project.pid("again") not in (None, first) and self.project.pid("again"), 10, "a restart")
        self.assertNotEqual(second, first)

    def test_no_line_is_lost_and_nothing_restarts(self):
        pids = {service: self.project.pid(service) for service in ("steady", "fifo", "again")}
        for _ in range(3):
            self.new_supervisor(self.kill_supervisor())
            count = self.project.run("logs", "steady").stdout.count("tick")
            wait_until(lambda: self.project.run("logs", "steady").stdout.count("tick") > count + 2, 5, "more ticks")
        self.assertEqual({service: self.project.pid(service) for service in pids}, pids)
        lines = self.project.run("logs", "--no-log-prefix", "steady").stdout.split("\n")[:-1]
        self.assertEqual(lines, [f"tick {number}" for number in range(1, len(lines) + 1)])
        self.assertEqual({entry["State"] for entry in self.project.containers().values()}, {"running"})

    def test_up_and_down_without_a_supervisor(self):
        self.kill_supervisor()
        self.project.up()
        self.assertEqual(len(self.project.supervisors()), 1)
        self.kill_supervisor()
        self.project.down("-t", "0")
        self.assert_nothing_left(self.before)

    def test_a_monitor_that_is_killed_ends_its_container_alone(self):
        victim = self.project.pid("fifo")
        others = {service: self.project.pid(service) for service in ("steady", "again")}
        parent = int(machine.read(f"/proc/{victim}/stat").rpartition(")")[2].split()[1])
        self.assertIn("compose-monitor", machine.command_line(parent))
        os.kill(parent, signal.SIGKILL)
        wait_until(lambda: self.project.container("fifo")["State"] == "exited", 10, "its end")
        self.assertEqual(self.project.container("fifo")["ExitCode"], 137)
        self.assertEqual({service: self.project.pid(service) for service in others}, others)

    def test_no_group_outlives_the_container(self):
        """As a monitor leaves them that is killed while it is starting."""
        self.project.run("kill", "steady")
        wait_until(lambda: self.project.container("steady")["State"] == "exited", 5, "its end")
        short = self.project.container("steady")["ID"]
        folder = os.path.join(workspace().state_root, "projects", self.project.name, "containers")
        [identity] = [name for name in os.listdir(folder) if name.startswith(short)]
        path = os.path.join("compose", self.project.name, identity)
        for mount in machine.cgroup_mounts():
            os.makedirs(os.path.join(mount, path), exist_ok=True)
        self.project.run("rm", "-f", "steady")
        self.assertEqual([mount for mount in machine.cgroup_mounts() if os.path.exists(os.path.join(mount, path))], [])


@needs_root
@needs_our_own
class KilledAtWork(TestCase):
    """The supervisor is killed at different moments of an "up" and of a "down"; the next command puts all in order."""
    TEXT = """\
x-s: &s {image: busybox, command: sleep 1000, networks: [a, b], volumes: ["data:/data"], stop_signal: KILL}
services:
  one: *s
  two: {<<: *s, depends_on: [one]}
  three: {<<: *s, depends_on: [two]}
networks: {a: {}, b: {internal: true}}
volumes: {data: {}}
"""
    DELAYS = (0, 0.005, 0.02, 0.05, 0.1, 0.2)

    def kill_during(self, project, delay, *arguments):
        """Runs a command and kills the supervisor that works for it, a while after it is there."""
        working = project.popen(*arguments)
        pids = []

        def appeared():
            pids[:] = project.supervisors()
            return pids or working.poll() is not None
        wait_until(appeared, 10, "a supervisor", 0.001)
        time.sleep(delay)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # done before its time came
        working.communicate(timeout=30)

    def test_during_up(self):
        for number, delay in enumerate(self.DELAYS):
            with self.subTest(delay=delay):
                before = workspace().snapshot()
                project = Project.of_text(workspace(), f"e2e-cut-up-{number}", self.TEXT)
                self.addCleanup(lambda project=project: project.down("-v", "-t", "0", check=False))
                self.kill_during(project, delay, "up", "-d")
                project.up()
                self.assertEqual({entry["State"] for entry in project.containers().values()}, {"running"})
                self.assertEqual(len(project.containers()), 3)
                project.down("-v", "-t", "0")
                self.assert_nothing_left(before)

    def test_during_down(self):
        for number, delay in enumerate(self.DELAYS):
            with self.subTest(delay=delay):
                before = workspace().snapshot()
                project = Project.of_text(workspace(), f"e2e-cut-down-{number}", self.TEXT)
                self.addCleanup(lambda project=project: project.down("-v", "-t", "0", check=False))
                project.up()
                self.kill_during(project, delay, "down", "-v", "-t", "0")
                project.down("-v", "-t", "0")
                self.assertEqual(project.containers(), {})
                self.assert_nothing_left(before)


@needs_root
class Restart(TestCase):
    TEXT = """\
services:
  always: {image: busybox, restart: always, command: sh -c "echo begin; sleep 0.2; exit 0"}
  never: {image: busybox, command: sh -c "exit 3"}
  twice: {image: busybox, restart: "on-failure:2", command: sh -c "echo try; exit 4"}
  content: {image: busybox, restart: on-failure, command: sh -c "echo once; exit 0"}
"""

    def test_policies(self):
        before = workspace().snapshot()
        project = Project.of_text(workspace(), "e2e-restart", self.TEXT)
        self.addCleanup(lambda: project.down("-t", "0", check=False))
        project.up()
        logs = lambda service: project.run("logs", "--no-log-prefix", service).stdout  # noqa: E731
        wait_until(lambda: logs("always").count("begin") >= 3, 20, "three starts")
        wait_until(lambda: logs("twice").count("try") == 3 and project.container("twice")["State"] == "exited", 20, "two restarts")
        self.assertEqual((project.container("never")["State"], project.container("never")["ExitCode"]), ("exited", 3))
        self.assertEqual(logs("content").strip(), "once")
        project.run("stop", "-t", "0", "always")
        starts = logs("always").count("begin")
        time.sleep(1)  # a restart would come within the policy's first delays
        self.assertEqual(logs("always").count("begin"), starts)
        project.down("-t", "0")
        self.assert_nothing_left(before)
