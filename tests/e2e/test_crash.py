"""Each process of ours is killed (-9) at each of its steps of up, recreate, rolling update and down; the same command
again ends where an undisturbed run ends, and nothing is lost or left.

The steps are the crash points of src/base/crash_point.hpp: an undisturbed run writes them down, then each is the end of
one process in one run. One project goes back and forth (one version and the other, up and down), so that a case is two
commands. Without LONG=1 only a sample is tried. CRASH_ONLY="update supervisor 17" tries one.
"""
import collections
import os
import random
import re
import signal
import time
import urllib.request

from compose import Project, run, wait_until
from e2e import TestCase, long_run, needs_our_own, needs_root, workspace
from stack import free_port
import machine

SAMPLE_SECONDS = 15
LIMIT = 60  # seconds for one command: nothing hangs


TEXT = """\
services:
  keeper:
    image: busybox
    command: sh -c "i=0; while :; do i=$$((i+1)); echo tick $$i; sleep 0.1; done"
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
# A supervisor may be there or just be leaving. Earlier runs of a container, and a project's history, leave a file.
SUPERVISOR = re.compile(r" supervise |/(lock|supervisor\.(sock|log)\S*|exit\.json|worked\.json|events\S*|log\.\d\S*)$|/_data/|/upper/")
NAMES = re.compile(r"[0-9a-f]{8,}|\d+")
UP, DOWN = ("up", "-d", "--wait"), ("down",)


class Sandbox:
    """The project that is torn at, and what must be so of it whatever happened."""

    def __init__(self, case, name, rolling):
        self.case, self.before = case, workspace().snapshot()
        self.project = Project.of_text(workspace(), f"e2e-crash{os.getpid()}-{name}", "")
        self.deploy, self.port = ROLLING if rolling else "{}", free_port()
        self.keeper, self.seen = None, 0  # its process, and the last of its lines that was looked at

    def write(self, version):
        with open(os.path.join(self.project.directory, "compose.yaml"), "w", encoding="utf-8") as file:
            file.write(TEXT.format(version=version, port=self.port, deploy=self.deploy))

    def let_go(self):
        """The next command brings a supervisor of its own, with its variables."""
        def ended():
            supervisors = self.project.supervisors()
            for pid in supervisors:  # one that had just begun has died of it, and monitors have brought the next
                try:
                    os.kill(pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass
            return not supervisors
        wait_until(ended, 10, "the supervisor's end", 0.01)

    def cut_short(self, command, **variables):
        """Runs the command; whatever becomes of it, it ends."""
        self.let_go()
        return run([self.project.program, *self.project.options, *command], check=False, timeout=LIMIT,
                   cwd=self.project.directory, env={**self.project.environment, **variables})

    def settle(self, command):
        """The same command again, to the end."""
        done = self.project.run(*command, check=False, timeout=LIMIT)
        self.case.assertEqual(done.returncode, 0, done.stderr)

    def check(self, version, first="one"):
        """The end state of an undisturbed `up` of this version; data and log lines are all there."""
        containers = self.project.containers().values()
        self.case.assertEqual(
            sorted((entry["Name"], entry["State"], entry.get("Health", "")) for entry in containers),
            [(f"{self.project.name}-keeper-1", "running", ""), (f"{self.project.name}-web-1", "running", "healthy")])
        # A static busybox resolves names with "nslookup" alone.
        asked = self.project.exec("keeper", "sh", "-c", "wget -q -O- http://$(nslookup web | "
                                  "awk '/^Address/ {a = $NF} END {print a}')/v").stdout.strip()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v", timeout=5) as answer:
            outside = answer.read().decode().strip()
        self.case.assertEqual((asked, outside, self.data()), (version, version, first))
        self.check_log()

    def data(self):
        return machine.read(os.path.join(workspace().state_root, "volumes", f"{self.project.name}_data/_data/first")).strip()

    def check_log(self):
        """The lines of the process that has run since the last look follow those of then."""
        pid = self.project.pid("keeper")
        if pid != self.keeper:
            self.keeper, self.seen = pid, 0
        for tail in (300, 3000, 30000):
            text = self.project.run("logs", "--no-log-prefix", "--tail", str(tail), "keeper").stdout
            lines = text[text.rfind("tick 1\n") if "tick 1\n" in text else 0:].split("\n")[:-1]
            numbers = [int(line.removeprefix("tick ")) for line in lines]
            if numbers and numbers[0] <= self.seen + 1:
                break
        self.case.assertLessEqual(numbers[0], self.seen + 1)
        self.case.assertEqual(numbers, list(range(numbers[0], numbers[-1] + 1)))
        self.seen = numbers[-1]

    def census(self):
        """What there is of ours but for names and numbers: what an undisturbed run does not have is left over."""
        found = collections.Counter()
        for kind, items in workspace().snapshot().found.items():
            for item in items - self.before.found[kind]:
                others = kind in ("process", "cgroup") and self.project.name not in item
                if others or SUPERVISOR.search(item) or (kind == "process" and " in /" in item):
                    continue
                if kind == "file" and item.endswith(("leases.json", "ports.json")):
                    item += f" of {machine.read(item).count('container_id')}"
                found[f"{kind}: {NAMES.sub('#', item)}"] += 1
        return found

    def check_census(self, expected, but=None):
        more = {}

        def clean():
            more.clear()
            more.update({name: count for name, count in (self.census() - expected).items()
                         if not (but and re.search(but, name))})
            return not more
        try:
            wait_until(clean, 5, "the machine as after an undisturbed run")
        except AssertionError:
            self.case.fail(f"left over: {more}")

    def supervisors_log(self):
        return machine.read(os.path.join(workspace().run_root, "projects", self.project.name, "supervisor.log"))

    def gone(self, seconds=5):
        self.case.assert_nothing_left(self.before, seconds)

    def finish(self):
        self.project.down("-v", timeout=LIMIT)
        self.gone()

    def rescue(self):
        self.project.run("kill", check=False)
        self.project.down("-v", "-t", "0", check=False)


class Scenario:
    """Commands by turns, each with a check of its end state; the next begins where the last one ended."""
    KINDS = 1  # of turns, one after the other

    def __init__(self, case, name, rolling=False):
        self.name, self.box, self.case = name, Sandbox(case, name, rolling), case
        self.turn, self.expected = 0, {}

    def begin(self):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def check(self):
        raise NotImplementedError

    def compare(self, key):
        """With what an undisturbed run left at this turn, which comes first."""
        if key in self.expected:
            self.box.check_census(self.expected[key])
        else:
            self.expected[key] = self.box.census()

    def undisturbed(self):
        """Two turns without a kill: for each kind of turn, how many steps each role has at the most."""
        self.begin()
        counts = {}
        for _ in range(2):
            log = os.path.join(workspace().directory, f"steps-{self.name}-{self.turn}")
            done = self.box.cut_short(self.command(), COMPOSE_CRASH_LOG=log)
            self.case.assertEqual(done.returncode, 0, done.stderr)
            self.check()
            turn = counts.setdefault(self.turn % self.KINDS, {})
            for line in machine.read(log).splitlines():
                role, number, _ = line.split(" ", 2)
                turn[role] = max(turn.get(role, 0), int(number))
            self.case.assertLessEqual({"command", "supervisor"}, set(turn))
            self.turn += 1
        return counts

    def case_at(self, role, number):
        """One command that is cut short at this step, and the same again. Did a process die?"""
        token = os.path.join(workspace().directory, "token")
        with open(token, "w", encoding="ascii"):
            pass
        command = self.command()
        self.box.cut_short(command, COMPOSE_CRASH_AT=f"{role}:{number}:{token}")
        died = not os.path.exists(token)
        if not died:  # the step comes later, or not at all this time: it must not come while we look
            os.unlink(token)
        self.box.settle(command)
        self.check()
        self.turn += 1
        return died


class Replace(Scenario):
    """One version takes the place of the other."""
    VERSIONS = ("one", "two")

    def begin(self):
        self.turn = 1
        self.box.write("one")
        self.box.project.up("--wait")
        self.box.check("one")

    def command(self):
        self.box.write(self.VERSIONS[self.turn % 2])
        return UP

    def check(self):
        self.box.check(self.VERSIONS[self.turn % 2])
        self.compare("up")


class UpAndDown(Scenario):
    KINDS = 2

    def begin(self):
        self.turn = 0
        self.box.write("one")

    def command(self):
        return DOWN if self.turn % 2 else UP

    def check(self):
        if self.turn % 2:
            self.case.assertEqual(self.box.data(), "one")
            self.compare("down")
            self.box.finish()
        else:
            self.box.check("one")
            self.compare("up")


@needs_root
@needs_our_own
class Crash(TestCase):
    def scenarios(self):
        yield UpAndDown(self, "up")
        yield Replace(self, "recreate")
        yield Replace(self, "update", rolling=True)

    def each_step(self, choose, seconds=None):
        """Those `choose` gives out of [(kind of turn, role, number)], for so many seconds at the most."""
        only = os.environ.get("CRASH_ONLY", "").split()
        tried = died = known = 0
        scenarios = [scenario for scenario in self.scenarios() if not only or scenario.name == only[0]]
        for scenario in scenarios:
            counts = scenario.undisturbed()
            cases = [(turn, role, number) for turn, roles in counts.items() for role, count in sorted(roles.items())
                     for number in range(1, count + 1)]
            known += len(cases)
            cases = [case for case in cases if case[1:] == (only[1], int(only[2]))] if only[1:] else choose(cases)
            end = time.monotonic() + seconds / len(scenarios) if seconds else None
            left = [collections.deque(case for case in cases if case[0] == turn) for turn in range(scenario.KINDS)]
            while any(left) and not (end and time.monotonic() > end):
                waiting = left[scenario.turn % scenario.KINDS] or next(filter(None, left))
                _, role, number = waiting.popleft()
                with self.subTest(scenario=scenario.name, turn=scenario.turn, role=role, step=number):
                    try:
                        died += scenario.case_at(role, number)
                        tried += 1
                    except BaseException:
                        scenario.box.rescue()
                        scenario.begin()
                        raise
            scenario.box.finish()
        print(f"        {tried} of {known} steps tried, at {died} of them a process died", flush=True)
        self.assertGreater(died, 0)

    def test_a_sample_of_steps(self):
        # The same ones each time, as far as the time goes.
        self.each_step(lambda cases: random.Random(7).sample(cases, len(cases)), SAMPLE_SECONDS)

    @long_run("every step, about half an hour")
    def test_every_step(self):
        self.each_step(lambda cases: cases)


@needs_root
@needs_our_own
class RandomKills(TestCase):
    SECONDS = 600

    def kill_some(self, box):
        """Up to three of the commands, supervisors and monitors of the project, whenever it may be."""
        killed = 0
        for _ in range(random.randrange(4)):
            time.sleep(random.random() * 0.3)
            ours = [pid for pid, line in machine.processes_of((workspace().state_root, workspace().run_root)).items()
                    if box.project.name in line and " in /" not in line]
            if not ours:
                continue
            try:
                os.kill(random.choice(ours), signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass
        return killed

    @long_run("ten minutes of random kills (CRASH_SECONDS)")
    def test_ten_minutes(self):
        box = Sandbox(self, "random", rolling=True)
        self.addCleanup(box.rescue)
        box.write("one")
        box.project.up("--wait")
        box.check("one")
        expected = box.census()
        end = time.monotonic() + float(os.environ.get("CRASH_SECONDS", self.SECONDS))
        kills = rounds = 0
        while time.monotonic() < end:
            rounds += 1
            version = ("one", "two")[rounds % 2]
            box.write(version)
            working = box.project.popen(*random.choice([UP, ("up", "-d"), UP, DOWN, ("restart", "-t", "0")]))
            kills += self.kill_some(box)
            working.communicate(timeout=LIMIT)
            if rounds % 5:
                continue
            # A container goes with its monitor. If that was killed so late that the command has met it, it says so.
            first = box.project.run(*UP, check=False, timeout=LIMIT)
            if "was ended by SIGKILL" not in first.stderr:
                self.assertEqual(first.returncode, 0, first.stderr)
            box.settle(UP)
            try:
                box.check(version)  # with the data of the first version
            except Exception:
                print(box.supervisors_log(), flush=True)  # no second run is like this one
                raise
            box.check_census(expected, but="/volumes/#")  # "down" leaves anonymous volumes where they are
        box.finish()
        print(f"        {rounds} rounds, {kills} kills", flush=True)
        self.assertGreater(kills, 0)
