"""plan says what up does, no more and no less; --dry-run touches nothing."""
import json
import os
import re
import sys

from compose import Project
from e2e import TestCase, needs_our_own, needs_root, workspace
import machine

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "data"))
import edits  # noqa: E402

TEXT = """\
services:
  web:
    image: busybox
    command: sleep 1000
    environment:
      MODE: one
      DB_PASSWORD: hush
    depends_on: [db]
    secrets: [key]
    stop_grace_period: 0s
  db:
    image: busybox
    command: sleep 1000
    volumes: ["data:/data"]
    stop_grace_period: 0s
volumes:
  data:
secrets:
  key:
    file: key.txt
"""


def files_of(roots):
    """Path -> what would change if somebody wrote there."""
    found = {}
    for root in roots:
        for folder, names, others in os.walk(root):
            for name in names + others:
                path = os.path.join(folder, name)
                try:
                    status = os.lstat(path)
                except FileNotFoundError:
                    continue
                found[path] = (status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns)
    return found


def write(project, name, text):
    path = os.path.join(project.directory, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


@needs_root
@needs_our_own
class Plan(TestCase):
    def project(self, name, text, **files):
        project = Project.of_text(workspace(), name, text)
        for file, content in files.items():
            write(project, file.replace("_", "."), content)
        self.addCleanup(lambda: project.down("-v", "--remove-orphans", "-t", "0", check=False))
        return project

    def plan(self, project, *arguments):
        done = project.run("plan", "--format", "json", *arguments, check=False)
        self.assertIn(done.returncode, (0, 2), done.stderr)
        return done.returncode, json.loads(done.stdout)

    def executed(self, project):
        """The last plan in the supervisor's log, as operations."""
        log = machine.read(os.path.join(workspace().run_root, "projects", project.name, "supervisor.log"))
        lines = log.rsplit("plan:\n", 1)[1].splitlines()
        return [line for line in lines if re.match(r"\[[\d,?]*\] -> #", line)]

    def planned(self, project, *arguments):
        said = project.run("plan", *arguments, check=False).stdout
        return [line.strip() for line in said.splitlines() if re.match(r"\s*\[[\d,?]*\] -> #", line)]

    def test_up_does_what_plan_says_and_then_there_is_nothing_to_do(self):
        project = self.project("e2e-plan", TEXT, key_txt="one\n")
        code, first = self.plan(project)
        self.assertEqual(code, 2)
        self.assertEqual({change["action"] for change in first["changes"]}, {"create"})
        for text, arguments in ((TEXT, ()), (TEXT.replace("MODE: one", "MODE: two"), ()),
                                (TEXT.replace("MODE: one", "MODE: two"), ("--force-recreate",)),
                                (TEXT.replace("MODE: one", "MODE: two"), ("--scale", "db=2"))):
            write(project, "compose.yaml", text)
            planned = self.planned(project, *arguments)
            self.assertTrue(planned)
            project.up(*arguments)
            self.assertEqual(self.executed(project), planned)
            if arguments != ("--force-recreate",):
                done = project.run("plan", *[word for word in arguments if word != "--force-recreate"])
                self.assertIn("Nothing to do", done.stdout)

    def test_attributes_have_old_new_and_place_and_secrets_stay_secret(self):
        project = self.project("e2e-plan-attributes", TEXT, key_txt="one\n")
        project.up()
        write(project, "compose.yaml", TEXT.replace("MODE: one", "MODE: two").replace("hush", "husher"))
        write(project, "key.txt", "two\n")
        code, plan = self.plan(project)
        self.assertEqual(code, 2)
        [change] = plan["changes"]
        self.assertEqual((change["action"], change["service"], change["cause"]), ("recreate", "web", "config changed"))
        attributes = {one["path"]: one for one in change["attributes"]}
        mode = attributes["environment.MODE"]
        self.assertEqual((mode["old"], mode["new"]), ('"one"', '"two"'))
        self.assertRegex(mode["position"], r"compose\.yaml:6:")
        self.assertEqual({note["kind"] for note in change["hazards"]}, {"downtime", "secret change"})
        self.assertNotIn("hush", json.dumps(plan) + project.run("plan", check=False).stdout)

    def test_dry_run_touches_nothing(self):
        project = self.project("e2e-dry", TEXT, key_txt="one\n")
        everything = (workspace().state_root, workspace().run_root, project.directory)
        commands = (("up", "-d"), ("up", "-d", "--build", "--force-recreate", "-V", "--remove-orphans"), ("create",),
                    ("down", "-v", "--rmi", "all"), ("stop",), ("start",), ("restart",), ("kill",), ("pause",),
                    ("unpause",), ("rm", "-sf"), ("scale", "db=3"), ("run", "web", "true"), ("build",), ("pull",),
                    ("exec", "web", "true"), ("cp", "compose.yaml", "web:/x"), ("commit", "web", "x:1"),
                    ("export", "-o", "out.tar", "web"), ("image", "rm", "-f", "busybox"), ("image", "prune", "-af"),
                    ("image", "tag", "busybox", "y:1"), ("network", "create", "n"), ("network", "prune", "-f"),
                    ("network", "rm", "n"), ("install-service",), ("plan",))
        for running in (False, True):
            if running:
                project.up()
            before, files = workspace().snapshot(), files_of(everything)
            for command in commands:
                project.run("--dry-run", *command, check=False)
                now = files_of(everything)
                self.assertEqual({path for path in now if now[path] != files.get(path)}, set(), command)
                self.assertEqual(set(files) - set(now), set(), command)
            self.assertEqual(workspace().snapshot().left_behind(before), [])

    def test_dry_run_shows_what_up_would_do(self):
        project = self.project("e2e-dry-words", TEXT, key_txt="one\n")
        said = project.run("--dry-run", "up", "-d").stderr
        self.assertRegex(said, r"DRY-RUN MODE - +Container e2e-dry-words-web-1 +Created")

    def test_edits_recreate_what_docker_recreates(self):
        text = edits.BASE.replace("name: edits\n", "")
        project = self.project("e2e-edits", text)
        os.makedirs(os.path.join(project.directory, "folder"), exist_ok=True)
        for name, content in edits.FILES.items():
            write(project, name, content)
        project.up()
        self.assertGreaterEqual(len(edits.EDITS), 60)
        for edit in edits.EDITS:
            original = text if edit["file"] == "compose.yaml" else edits.FILES[edit["file"]]
            with self.subTest(edit["name"]):
                write(project, edit["file"], original.replace(edit["old"], edit["new"]))
                _, plan = self.plan(project)
                found = {change["service"] for change in plan["changes"] if change["action"] == "recreate"}
                self.assertEqual(sorted(found), sorted(edit["recreated"]))
            write(project, edit["file"], original)
        self.assertEqual(self.plan(project)[0], 0)

    def test_flags(self):
        text = TEXT.replace("data:/data", "/anonymous")
        project = self.project("e2e-plan-flags", text, key_txt="one\n")

        def recreated(*arguments):
            return sorted(change["service"] for change in self.plan(project, *arguments)[1]["changes"]
                          if change["action"] == "recreate")
        project.up()
        self.assertEqual(recreated("--force-recreate"), ["db", "web"])
        self.assertEqual(recreated("--force-recreate", "web"), ["web"])
        self.assertEqual(recreated("--always-recreate-deps", "web"), ["db"])
        write(project, "compose.yaml", text.replace("sleep 1000", "sleep 1001"))
        self.assertEqual(recreated(), ["db", "web"])
        self.assertEqual(recreated("--no-recreate"), [])
        self.assertEqual(recreated("--no-deps", "web"), ["web"])
        _, plan = self.plan(project, "-V")
        self.assertIn("data loss", {note["kind"] for note in plan["hazards"]})
        write(project, "compose.yaml", text.split("  db:")[0].replace("    depends_on: [db]\n", "") +
              "secrets:\n  key:\n    file: key.txt\n")
        _, plan = self.plan(project)
        self.assertNotIn("remove", {change["action"] for change in plan["changes"]})
        _, plan = self.plan(project, "--remove-orphans")
        self.assertEqual([change["name"] for change in plan["changes"] if change["action"] == "remove"],
                         ["e2e-plan-flags-db-1"])
