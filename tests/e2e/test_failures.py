"""An "up" that cannot succeed says which service, where in which file and why, and leaves nothing behind."""
import os
import socket

from e2e import TestCase, needs_our_own, needs_root, workspace
from compose import Project
from stack import free_port


@needs_root
@needs_our_own
class FailedUp(TestCase):
    def up(self, name, text, *arguments):
        """Runs "up" on a file that is wrong on the line marked "<-" and checks what every failure has in common."""
        before = workspace().snapshot()
        project = Project.of_text(workspace(), name, text)
        self.addCleanup(lambda: project.down("-v", "-t", "0", check=False))
        done = project.up(*arguments, check=False, timeout=60)
        self.assertNotEqual(done.returncode, 0, done.stderr)
        line = next(number for number, content in enumerate(text.splitlines(), 1) if "<-" in content)
        self.assertRegex(done.stderr, rf"compose\.yaml:{line}(:\d+)?\b", "the message names no file and line")
        self.assertIn("web", done.stderr)
        self.assertEqual(project.containers(), {})
        self.assert_nothing_left(before)
        return done.stderr

    def test_missing_image(self):
        said = self.up("e2e-image", """\
services:
  good:
    image: busybox
    command: sleep 1000
  web:
    image: nobody/has-this:1  # <-
""")
        self.assertIn("nobody/has-this:1", said)

    def test_port_in_use(self):
        port = free_port()
        with socket.socket() as taken:
            taken.bind(("0.0.0.0", port))
            taken.listen()
            said = self.up("e2e-port", f"""\
services:
  db:
    image: busybox
    command: sleep 1000
  web:
    image: busybox
    command: sleep 1000
    depends_on: [db]
    ports:
      - "{port}:80"  # <-
""")
        self.assertIn(str(port), said)
        self.assertIn("in use", said)
        self.assertIn(str(os.getpid()), said, "the message does not name the process that has the port")

    def test_health_check_that_never_passes(self):
        said = self.up("e2e-health", """\
services:
  web:
    image: busybox
    command: sh -c "echo I will never be well; exec sleep 1000"
    healthcheck:  # <-
      test: echo this is not good; exit 3
      interval: 200ms
      retries: 2
  after:
    image: busybox
    command: sleep 1000
    depends_on:
      web:
        condition: service_healthy
""", "--wait")
        self.assertIn("unhealthy", said)
        self.assertIn("this is not good", said, "the message does not show what the check printed")

    def test_command_that_does_not_exist(self):
        said = self.up("e2e-command", """\
services:
  web:
    image: busybox
    command: [no-such-program, --flag]  # <-
""")
        self.assertIn("no-such-program", said)
        self.assertRegex(said, "(?i)not found|no such file")

    def test_one_shot_that_fails(self):
        said = self.up("e2e-oneshot", """\
services:
  web:  # <-
    image: busybox
    command: sh -c "echo cannot do it >&2; exit 7"
  after:
    image: busybox
    command: sleep 1000
    depends_on:
      web:
        condition: service_completed_successfully
""")
        self.assertIn("7", said)
        self.assertIn("cannot do it", said, "the message does not show the service's last words")

    def test_a_failure_keeps_what_the_container_before_has_written(self):
        text = "services: {web: {image: busybox, command: %s, stop_signal: KILL, volumes: [/kept]}}\n"
        project = Project.of_text(workspace(), "e2e-kept", text % "sleep 1000")
        before = workspace().snapshot()
        self.addCleanup(lambda: project.down("-v", "-t", "0", check=False))
        project.up()
        project.exec("web", "sh", "-c", "echo precious > /kept/file")
        Project.of_text(workspace(), "e2e-kept", text % "[no-such-program]")
        self.assertIn("no-such-program", project.up(check=False).stderr)
        self.assertEqual(project.containers(), {})
        Project.of_text(workspace(), "e2e-kept", text % "sleep 2000")
        project.up()
        self.assertEqual(project.exec("web", "cat", "/kept/file").stdout, "precious\n")
        project.down("-v", "-t", "0")
        self.assert_nothing_left(before)

    def test_a_first_failure_keeps_what_was_written(self):
        """The container that ran goes; its anonymous volume is the next one's, and no attempt adds another."""
        text = ("services: {web: {image: busybox, command: %s, stop_signal: KILL, volumes: [/kept], "
                "healthcheck: {test: 'false', interval: 100ms, retries: 1}}}\n")
        before = workspace().snapshot()
        project = Project.of_text(workspace(), "e2e-first", text % "sh -c 'echo run >> /kept/file; exec sleep 1000'")
        self.addCleanup(lambda: project.down("-v", "-t", "0", check=False))
        volumes = os.path.join(workspace().state_root, "volumes")
        there = set(os.listdir(volumes)) if os.path.exists(volumes) else set()
        for _ in range(2):
            self.assertNotEqual(project.up("--wait", check=False).returncode, 0)
            self.assertEqual(project.containers(), {})
            [volume] = set(os.listdir(volumes)) - there
        with open(os.path.join(volumes, volume, "_data/file"), encoding="ascii") as file:
            self.assertEqual(file.read(), "run\nrun\n")
        project.down("-v")
        self.assert_nothing_left(before)

    def test_a_failure_leaves_what_ran_before(self):
        project = Project.of_text(workspace(), "e2e-partly", "services: {web: {image: busybox, command: sleep 1000}}\n")
        before = workspace().snapshot()
        self.addCleanup(lambda: project.down("-t", "0", check=False))
        project.up()
        pid = project.pid("web")
        with open(os.path.join(project.directory, "compose.yaml"), "a", encoding="utf-8") as file:
            file.write("---\nservices: {other: {image: busybox, command: [no-such-program]}}\n")
        self.assertNotEqual(project.up(check=False).returncode, 0)
        self.assertEqual(project.pid("web"), pid)
        self.assertEqual(project.container("web")["State"], "running")
        project.down("-t", "0")
        self.assert_nothing_left(before)


@needs_root
@needs_our_own
class BrokenFiles(TestCase):
    """Mistakes in the files are all named, with their places, before anything happens."""

    def refused(self, text, *expected):
        project = Project.of_text(workspace(), "e2e-broken", text)
        done = project.up(check=False)
        self.assertNotEqual(done.returncode, 0)
        for words in expected:
            self.assertIn(words, done.stderr)
        return done.stderr

    def test_unknown_key(self):
        self.refused("services:\n  web:\n    image: busybox\n    comand: x\n", "compose.yaml:4", "comand")

    def test_undefined_dependency(self):
        self.refused("services:\n  web:\n    image: busybox\n    depends_on: [nobody]\n", "compose.yaml:4", "nobody", "web")

    def test_circle(self):
        self.refused("services:\n  a: {image: busybox, depends_on: [b]}\n  b: {image: busybox, depends_on: [a]}\n", "a", "b")

    def test_undefined_volume(self):
        self.refused("services:\n  web:\n    image: busybox\n    volumes: [data:/x]\n", "compose.yaml:4", "data")

    def test_missing_secret_file(self):
        self.refused("services:\n  web: {image: busybox, secrets: [s]}\nsecrets:\n  s:\n    file: ./absent\n", "absent", "s")

    def test_missing_secret_file_is_found_before_an_image_is_built(self):
        said = self.refused("services:\n  web:\n    build: {dockerfile_inline: 'FROM busybox'}\n    secrets: [s]\n"
                            "secrets:\n  s:\n    file: ./absent\n", 'compose.yaml:6', 'secret "s" of service "web": there is no file', "absent")
        self.assertNotIn("Build", said)
