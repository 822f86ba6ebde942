"""The disk that holds the state is full: commands name the reason, what runs goes on, and nothing is forgotten once
there is room again."""
import os

import images
from compose import Project, run, wait_until
from e2e import TestCase, needs_our_own, needs_root, workspace


@needs_root
@needs_our_own
class FullDisk(TestCase):
    def setUp(self):
        """State on a small disk of its own, and a folder elsewhere."""
        self.root, self.outside = workspace().folder("small"), workspace().folder("outside")
        run(["mount", "-t", "tmpfs", "-o", "size=24m", "small", self.root])
        self.addCleanup(run, ["umount", "-l", self.root])
        self.before = workspace().snapshot()

    def project(self, name, text):
        project = Project.of_text(workspace(), name, text, environment={"COMPOSE_ROOT": self.root})
        self.addCleanup(lambda: project.down("-v", "-t", "0", check=False))
        self.addCleanup(self.make_room)
        archive = images.busybox_archive(workspace().directory)
        run([project.program, "image", "import", archive, images.BUSYBOX], env=project.environment)
        return project

    def fill(self):
        with open(os.path.join(self.root, "filler"), "wb", buffering=0) as file, self.assertRaises(OSError):
            while True:
                file.write(bytes(4096))

    def make_room(self):
        try:
            os.unlink(os.path.join(self.root, "filler"))
        except FileNotFoundError:
            pass

    def test_a_change_is_refused_and_made_later(self):
        text = ("services: {{web: {{image: busybox, command: {}, stop_signal: KILL, volumes: ['data:/data']}}}}\n"
                "volumes: {{data: {{}}}}\n")
        project = self.project("e2e-full", text.format("sleep 1000"))
        project.up()
        project.exec("web", "sh", "-c", "echo precious > /data/file")
        self.fill()
        Project.of_text(workspace(), "e2e-full", text.format("sleep 2000"))
        done = project.up(check=False, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("No space left on device", done.stderr)
        self.assertEqual(project.container("web")["State"], "running", "what ran before the refused change goes on")
        self.make_room()
        project.up()
        self.assertEqual(project.exec("web", "cat", "/data/file").stdout, "precious\n")
        project.down("-v", "-t", "0")
        self.assert_nothing_left(self.before)

    def test_what_happened_meanwhile_is_written_when_there_is_room(self):
        project = self.project("e2e-full-life", f"""\
services:
  db:
    image: busybox
    command: sleep 1000
    volumes: ["{self.outside}:/outside"]
    healthcheck: {{test: test -e /outside/ready, interval: 100ms, retries: 1000}}
  web:
    image: busybox
    command: sh -c "while [ ! -e /outside/end ]; do sleep 0.05; done; exit 7"
    volumes: ["{self.outside}:/outside"]
    depends_on: {{db: {{condition: service_healthy}}}}
""")
        starting = project.popen("up", "-d")
        wait_until(lambda: len(project.containers()) == 2 and project.container("db")["State"] == "running", 30,
                   "two containers, one of them running")
        self.fill()
        with open(os.path.join(self.outside, "ready"), "wb"):
            pass
        said = starting.communicate(timeout=60)[1]
        self.assertEqual(starting.returncode, 0, said)
        self.make_room()
        wait_until(lambda: project.container("web")["State"] == "running", 10, "the record of the start")
        self.assertEqual(project.container("db")["Health"], "healthy")
        self.fill()
        with open(os.path.join(self.outside, "end"), "wb"):
            pass
        self.assertEqual(project.run("wait", "web", check=False).returncode, 7)
        project.run("stop", "-t", "0", "db")
        self.make_room()
        wait_until(lambda: (project.container("web")["State"], project.container("web")["ExitCode"]) == ("exited", 7), 10,
                   "the record of the end")
        wait_until(lambda: not project.supervisors(), 10, "the end of the supervisor, which has nothing more to write")
        project.down("-v", "-t", "0")
        self.assert_nothing_left(self.before)
