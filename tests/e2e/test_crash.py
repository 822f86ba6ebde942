"""Each process of ours is killed (-9) at each of its steps of up, recreate, rolling update and down; the same command
again ends where an undisturbed run ends, and nothing is lost or left.

The steps are the crash points of src/base/crash_point.hpp: an undisturbed run writes them down, then each is the end of
one process in one run. Without LONG=1 only a sample is tried. CRASH_ONLY="update supervisor 17" tries one.
"""
import os
import random
import signal
import socket
import time

from compose import Project, run, wait_until
from e2e import TestCase, long_run, needs_our_own, needs_root, workspace
import machine

SAMPLE_SECONDS = 15
LIMIT = 60  # seconds for one command: nothing hangs


TEXT = """\
services:
  keeper:
    image: busybox
    command: sh -c "i=0; while :; do i=$$((i+1)); echo tick $$i; sleep 0.02; done"
    init: true
    stop_signal: KILL
  web:
    image: busybox
    command: sh -c "[ -e /data/first ] || echo {version} > /data/first; mkdir -p /www; echo {version} > /www/v; exec httpd -f -p 80 -h /www"
    init: true
    stop_signal: KILL
    depends_on: [keeper]
    networks: [front, default]
    ports: ["127.0.0.1:{port}:80"]
    volumes: ["data:/data", /anonymous]
    healthcheck: {{test: "wget -q -O- http://127.0.0.1/v", interval: 1s, retries: 2}}
    deploy: {deploy}
networks: {{front: {{internal: true}}, default: {{}}}}
volumes: {{data: {{}}}}
"""
ROLLING = "{update_config: {order: start-first, failure_action: rollback, monitor: 50ms}}"


class Scenario:
    """A state to begin from, a command to be cut short, and what must be so at the end."""

    def __init__(self, name, rolling=False, begin="one", end="two", command=("up", "-d", "--wait")):
        self.name, self.begin, self.end, self.command = name, begin, end, command
        self.deploy = ROLLING if rolling else "{}"


SCENARIOS = [Scenario("up", begin=None, end="one"),
             Scenario("recreate"),
             Scenario("update", rolling=True),
             Scenario("down", end=None, command=("down",))]


@needs_root
@needs_our_own
class Crash(TestCase):
    def write(self, scenario, version):
        with open(os.path.join(self.project.directory, "compose.yaml"), "w", encoding="utf-8") as file:
            file.write(TEXT.format(version=version, port=self.port, deploy=scenario.deploy))

    def prepare(self, scenario):
        self.before = workspace().snapshot()
        self.project = Project.of_text(workspace(), "e2e-crash-" + scenario.name, "")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        if scenario.begin:
            self.write(scenario, scenario.begin)
            self.project.up("--wait")
            # The next command brings a supervisor of its own, with its variables.
            for pid in self.project.supervisors():
                os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not self.project.supervisors(), 10, "the supervisor's end", 0.01)
        self.keeper = self.project.pid("keeper") if scenario.begin else None
        self.write(scenario, scenario.end or scenario.begin)

    def cut_short(self, scenario, **variables):
        """Runs the command; whatever becomes of it, it ends."""
        return run([self.project.program, *self.project.options, *scenario.command], check=False, timeout=LIMIT,
                   cwd=self.project.directory, env={**self.project.environment, **variables})

    def state(self):
        """What counts of the project, without what differs from run to run."""
        found = sorted((entry["Name"], entry["State"], entry.get("Health", ""), entry["Publishers"][0]["PublishedPort"]
                        if entry.get("Publishers") and entry["Service"] == "web" else 0)
                       for entry in self.project.containers().values())
        if not found:
            return found
        version = self.project.exec("web", "cat", "/www/v", "/data/first").stdout.split()
        outside = run(["python3", "-c", "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read().decode())",
                       f"http://127.0.0.1:{self.port}/v"]).stdout.split()
        # A static busybox resolves names with "nslookup" alone.
        inside = self.project.exec("keeper", "sh", "-c", "wget -q -O- http://$(nslookup web | awk '/^Address/ {a = $NF} "
                                   "END {print a}')/v").stdout.split()
        return [found, version, outside, inside]

    def settle(self, scenario):
        """The same command again, to the end."""
        done = self.project.run(*scenario.command, check=False, timeout=LIMIT)
        self.assertEqual(done.returncode, 0, done.stderr)

    def check_log(self):
        known = any(entry["Service"] == "keeper" for entry in self.project.containers().values())
        if self.keeper is None or not known or self.project.pid("keeper") != self.keeper:
            return
        lines = self.project.run("logs", "--no-log-prefix", "keeper").stdout.split("\n")[:-1]
        self.assertEqual(lines, [f"tick {number}" for number in range(1, len(lines) + 1)])

    def finish(self, scenario):
        if scenario.end is None:  # the data is still there
            volume = os.path.join(workspace().state_root, "volumes", f"{self.project.name}_data", "_data", "first")
            self.assertEqual(machine.read(volume).strip(), scenario.begin)
        self.project.down("-v", timeout=LIMIT)
        self.assert_nothing_left(self.before)

    def steps(self, scenario):
        """The undisturbed run: [(role, how many points)], and its end state."""
        self.prepare(scenario)
        log = os.path.join(workspace().directory, "steps-" + scenario.name)
        done = self.cut_short(scenario, COMPOSE_CRASH_LOG=log)
        self.assertEqual(done.returncode, 0, done.stderr)
        end = self.state()
        self.check_log()
        self.finish(scenario)
        counts = {}
        for line in machine.read(log).splitlines():
            role, number, _ = line.split(" ", 2)
            counts[role] = max(counts.get(role, 0), int(number))
        self.assertLessEqual({"command", "supervisor"}, set(counts))
        return counts, end

    def one(self, scenario, role, number, end):
        with self.subTest(scenario=scenario.name, role=role, step=number):
            self.prepare(scenario)
            token = os.path.join(workspace().directory, "token")
            with open(token, "w", encoding="ascii"):
                pass
            try:
                self.cut_short(scenario, COMPOSE_CRASH_AT=f"{role}:{number}:{token}")
                died = not os.path.exists(token)
                if not died:  # the step comes later, or not at all this time: it must not come while we look
                    os.unlink(token)
                self.settle(scenario)
                # Where the port number is part of the state it is that of this run.
                normal = lambda state: repr(state).replace(str(self.port), "PORT")  # noqa: E731
                self.assertEqual(normal(self.state()), end)
                self.check_log()
            except BaseException:
                self.project.run("kill", check=False)
                self.project.down("-v", "-t", "0", check=False)
                raise
            self.finish(scenario)
            return died

    def all_steps(self, choose):
        cases, ends = [], {}
        for scenario in SCENARIOS:
            if os.environ.get("CRASH_ONLY") and not os.environ["CRASH_ONLY"].startswith(scenario.name):
                continue
            counts, end = self.steps(scenario)
            ends[scenario.name] = repr(end).replace(str(self.port), "PORT")
            cases += [(scenario, role, number) for role, count in sorted(counts.items())
                      for number in range(1, count + 1)]
        if os.environ.get("CRASH_ONLY"):
            _, role, number = os.environ["CRASH_ONLY"].split()
            cases = [case for case in cases if case[1:] == (role, int(number))]
        tried = died = 0
        for scenario, role, number in choose(cases):
            died += bool(self.one(scenario, role, number, ends[scenario.name]))
            tried += 1
        print(f"        {tried} of {len(cases)} steps tried, at {died} of them a process died")
        self.assertGreater(died, 0)

    def test_a_sample_of_steps(self):
        end, chosen = time.monotonic() + SAMPLE_SECONDS, random.Random(7)  # the same ones each time

        def sample(cases):
            while time.monotonic() < end:
                yield chosen.choice(cases)
        self.all_steps(sample)

    @long_run("every step, about half an hour")
    def test_every_step(self):
        stride = int(os.environ.get("CRASH_STRIDE", "1"))
        self.all_steps(lambda cases: cases[::stride])


@needs_root
@needs_our_own
class RandomKills(TestCase):
    @long_run("ten minutes of random kills")
    def test_ten_minutes(self):
        crash = Crash()
        scenario = SCENARIOS[2]
        crash.prepare(Scenario("random", rolling=True))
        project, versions = crash.project, ["one", "two"]
        end = time.monotonic() + float(os.environ.get("CRASH_SECONDS", "600"))
        kills = rounds = 0
        while time.monotonic() < end:
            rounds += 1
            crash.write(scenario, versions[rounds % 2])
            working = project.popen(*random.choice([("up", "-d", "--wait"), ("up", "-d"), ("down",), ("restart", "-t", "0")]))
            for _ in range(random.randrange(4)):
                time.sleep(random.random() * 0.3)
                ours = [pid for pid, line in machine.processes_of((workspace().state_root, workspace().run_root)).items()
                        if "compose" in line.split(" ")[0] and project.name in line]
                if ours:
                    try:
                        os.kill(random.choice(ours), signal.SIGKILL)
                        kills += 1
                    except ProcessLookupError:
                        pass
            working.communicate(timeout=LIMIT)
            if rounds % 5 == 0:
                project.run("up", "-d", "--wait", timeout=LIMIT)
                state = crash.state()
                self.assertEqual([row[1] for row in state[0]], ["running", "running"])
                self.assertEqual(state[2], [versions[rounds % 2]])
        project.down("-v", timeout=LIMIT)
        self.assert_nothing_left(crash.before)
        print(f"        {rounds} rounds, {kills} kills")
