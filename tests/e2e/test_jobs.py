"""Services with x-schedule: when they run, what is told of it, and what becomes of runs that overlap or are missed."""
import json
import os
import signal
import time

from compose import Project, wait_until
from e2e import TestCase, needs_our_own, needs_root, workspace

TEXT = """\
x-every: &every {image: busybox, init: true, stop_signal: KILL}
services:
  web: {<<: *every, command: sleep 1000}
  often:
    <<: *every
    command: sh -c "echo ran; exit 3"
    x-schedule: "@every 1s"
    depends_on: [web]
  long:
    <<: *every
    command: sleep 1000
    x-schedule: {cron: "@every 1s", overlap: skip}
  again:
    <<: *every
    command: sleep 1000
    x-schedule: {cron: "@every 1s", overlap: replace}
  rarely:
    <<: *every
    command: sh -c "echo by hand; exit 7"
    x-schedule: {cron: "30 4 1 1 *", timezone: local}
"""


@needs_root
@needs_our_own
class Jobs(TestCase):
    def history(self, service):
        lines = self.project.run("job", "history", service, "--format", "json").stdout.splitlines()
        return [json.loads(line) for line in lines]

    def test_runs_overlaps_and_history(self):
        before = workspace().snapshot()
        self.project = project = Project.of_text(workspace(), "e2e-jobs", TEXT)
        self.addCleanup(lambda: project.down("-t", "0", check=False))
        project.up("--wait")
        self.assertEqual(project.container("rarely")["State"], "created", "up makes it and leaves it")
        wait_until(lambda: project.run("logs", "--no-log-prefix", "often").stdout.count("ran") >= 2, 10, "two runs")
        done = [run for run in self.history("often") if run["Result"] == "exit code 3"]
        self.assertGreaterEqual(len(done), 1)
        self.assertEqual(done[0]["ExitCode"], 3)
        self.assertRegex(done[0]["Duration"], r"^[0-9.]+m?s$")
        self.assertRegex(done[0]["Scheduled"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        wait_until(lambda: any("skipped" in run["Result"] for run in self.history("long")), 5, "a skipped run")
        self.assertEqual(sum(run["Started"] != "" for run in self.history("long")), 1)
        wait_until(lambda: sum(run["Started"] != "" for run in self.history("again")) >= 2, 5, "a replaced run")
        table = project.run("job", "ls").stdout
        self.assertRegex(table, r"(?m)^rarely +30 4 1 1 \* +local +20\d\d-01-01T")

        self.assertEqual(project.run("job", "run", "rarely", check=False).returncode, 7)
        self.assertEqual(self.history("rarely")[0]["Scheduled"], "by hand")
        self.assertIn("by hand", project.run("logs", "rarely").stdout)

        project.run("stop", "-t", "0")
        self.assertRegex(project.run("job", "ls").stdout, r"(?m)^often .*suspended")
        count = len(self.history("often"))
        project.run("start", "web")
        self.assertEqual(len(self.history("often")), count)
        project.up()
        wait_until(lambda: len(self.history("often")) > count, 5, "a run after up")
        project.down("-t", "0")
        self.assert_nothing_left(before)

    def test_missed_runs_and_a_supervisor_that_is_killed(self):
        before = workspace().snapshot()
        self.project = project = Project.of_text(workspace(), "e2e-missed", """\
services:
  notes: {image: busybox, command: "true", x-schedule: "@every 1s"}
  makes_up: {image: busybox, command: "true", x-schedule: {cron: "@every 1s", missed: run}}
""")
        self.addCleanup(lambda: project.down("-t", "0", check=False))
        project.up()
        wait_until(lambda: len(self.history("notes")) >= 1, 5, "a first run")
        # Nothing runs, so nobody starts another one.
        wait_until(lambda: all(entry["State"] == "exited" for entry in project.containers().values()), 5, "a pause", 0.01)
        for pid in project.supervisors():
            os.kill(pid, signal.SIGKILL)
        count = len(self.history("notes"))
        wait_until(lambda: not project.supervisors(), 5, "its end")
        time.sleep(1.5)
        self.assertLessEqual(len(self.history("notes")), count + 1)
        project.up()
        wait_until(lambda: any("missed" in run["Result"] for run in self.history("notes")), 5, "the note")
        self.assertFalse(any("missed" in run["Result"] for run in self.history("makes_up")))
        project.down("-t", "0")
        self.assert_nothing_left(before)

    def test_a_wrong_schedule_names_its_place(self):
        project = Project.of_text(workspace(), "e2e-wrong-job", """\
services:
  one:
    image: busybox
    x-schedule: "0 25 * * *"
""")
        done = project.up(check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r'compose.yaml:4:\d+: service "one": x-schedule: .*"25" is no hour \(0-23\)')
