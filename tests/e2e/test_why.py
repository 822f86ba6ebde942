"""Ten ways to fail, each named by "up" and by "why"."""
import os
import signal
import socket
import subprocess
import time

from compose import Project, wait_until
from e2e import TestCase, needs_our_own, needs_root, workspace
from stack import free_port


def service(body, more=""):
    return "services:\n  web:\n    image: busybox\n    stop_grace_period: 0s\n" + \
        "".join(f"    {line}\n" for line in body.splitlines()) + more


# Makes "up" wait for the end of web.
AFTER = """\
  after:
    image: busybox
    command: "true"
    depends_on: {web: {condition: service_completed_successfully}}
"""


@needs_root
@needs_our_own
class Why(TestCase):
    def project(self, name, text):
        project = Project.of_text(workspace(), name, text)
        self.addCleanup(lambda: project.down("-v", "-t", "0", check=False))
        return project

    def check(self, name, text, said_by_up, said_by_why, *arguments):
        """`up` fails and says one thing, `why` says the other."""
        project = self.project(name, text)
        done = project.up("--wait", *arguments, check=False, timeout=60)
        self.assertNotEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, said_by_up)
        said = project.run("why", "web").stdout
        self.assertRegex(said, said_by_why)
        return project, said

    def test_out_of_memory(self):
        eat = 'command: sh -c "sleep 0.2; x=a; while :; do x=$$x$$x; done"\nmem_limit: 12m'
        self.check("why-oom", service(eat, AFTER), "out of memory", r"web: it was killed by the kernel: out of memory.*limit")

    def test_missing_program(self):
        self.check("why-binary", service("command: [no-such-program]"), "no-such-program",
                   r"could not be started: .*no-such-program")

    def test_unknown_user(self):
        self.check("why-user", service("command: sleep 1000\nuser: nobody-known"), "nobody-known",
                   r"could not be started: .*nobody-known")

    def test_what_ran_well_was_taken_back_with_the_others(self):
        more = "  other:\n    image: busybox\n    command: sleep 1000\n    stop_grace_period: 0s\n"
        body = "command: sleep 1000\nuser: nobody-known\ndepends_on: [other]"
        project, _ = self.check("why-taken-back", service(body, more), "nobody-known", "nobody-known")
        self.assertRegex(project.run("why", "other").stdout, "other: it does not run, because another service failed: ")

    def test_port_taken(self):
        port = free_port()
        with socket.socket() as taken:
            taken.bind(("0.0.0.0", port))
            taken.listen()
            self.check("why-port", service(f"command: sleep 1000\nports: [\"{port}:80\"]"), f"{port}.*in use",
                       rf"could not be started: .*{port}.*in use")

    def test_failing_probe(self):
        probe = "command: sleep 1000\nhealthcheck: {test: 'echo not well; exit 3', interval: 100ms, retries: 2}"
        _, said = self.check("why-probe", service(probe), "unhealthy", r"web: it .*unhealthy")
        self.assertIn("not well", said)
        self.assertIn("exit code 3", said)

    def test_failed_dependency(self):
        more = "  db:\n    image: busybox\n    command: sh -c 'echo broken; exit 7'\n"
        text = service("command: sleep 1000\ndepends_on: {db: {condition: service_completed_successfully}}", more)
        _, said = self.check("why-dependency", text, 'service "db"', r'web: .*another service failed: service "db"')
        self.assertRegex(said, r"db: it exited with code 7")
        self.assertIn("broken", said)

    def test_full_disk(self):
        project = self.project("why-disk", service("command: sh -c 'while :; do echo 0123456789012345678901234567890; done'"))
        folder = os.path.join(workspace().state_root, "projects", "why-disk")
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], check=True)
        self.addCleanup(lambda: os.path.isdir(folder) and os.rmdir(folder))
        self.addCleanup(lambda: subprocess.run(["umount", "-l", folder], check=False))
        full = r"web: the disk of .*projects/why-disk.* is full"
        filler = os.path.join(folder, "filler")
        with open(filler, "wb", buffering=0) as file, self.assertRaises(OSError):
            while True:
                file.write(bytes(4096))
        try:
            done = project.up(check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("No space left on device", done.stderr)
            self.assertRegex(project.run("why", "web").stdout, full)
            os.unlink(filler)
            project.up()
            wait_until(lambda: os.statvfs(folder).f_bavail == 0, 20, "the full disk")
            self.assertRegex(project.run("why", "web").stdout, full)
        finally:
            project.down("-t", "0", check=False)

    def test_read_only_root(self):
        _, said = self.check("why-readonly", service("command: sh -c 'sleep 0.2; echo x > /file'\nread_only: true", AFTER),
                             "Read-only file system", r"web: it exited with code 1: its root file system is read-only")
        self.assertIn("/file", said)

    def test_missing_secret(self):
        more = "secrets:\n  key:\n    file: ./not-there.txt\n"
        self.check("why-secret", service("command: sleep 1000\nsecrets: [key]", more), "not-there.txt",
                   r"could not be started: .*key.*not-there\.txt")

    def test_killed_by_a_person(self):
        project = self.project("why-person", service("command: sleep 1000"))
        project.up()
        project.run("kill", "web")
        wait_until(lambda: project.container("web")["State"] == "exited", 10, "its end")
        self.assertRegex(project.run("why", "web").stdout, r'web: it was killed by "compose .*kill web" \(user id 0')
        project.run("start", "web")
        os.kill(project.pid("web"), signal.SIGKILL)
        wait_until(lambda: project.container("web")["State"] == "exited", 10, "its end")
        self.assertRegex(project.run("why", "web").stdout, r"web: it was killed with SIGKILL from outside")

    def test_what_changed_since_it_worked(self):
        text = service("command: sh -c 'echo $$MODE; exit 0'\nenvironment: {MODE: good}")
        project = self.project("why-changed", text)
        project.up()
        wait_until(lambda: project.container("web")["State"] == "exited", 10, "its end")
        with open(os.path.join(project.directory, "compose.yaml"), "w", encoding="utf-8") as file:
            file.write(text.replace("exit 0", "exit 9").replace("good", "bad"))
        project.up(check=False)
        wait_until(lambda: project.container("web")["ExitCode"] == 9, 10, "its end")
        said = project.run("why", "web").stdout
        self.assertIn("web: it exited with code 9", said)
        self.assertRegex(said, r'environment\.MODE: "good" → "bad"  .*compose\.yaml:6')

    def test_events_are_kept_and_followed(self):
        project = self.project("why-events", service("command: sleep 1000"))
        begin = time.time()
        project.up()
        project.run("stop", "-t", "0")
        past = project.run("events", "--since", str(begin), "--until", str(time.time())).stdout
        for word in ("container start", "container die", "exitCode=137"):
            self.assertIn(word, past)
        self.assertEqual(project.run("events", "--since", "1h", "--until", str(begin)).stdout, "")
        follower = project.popen("events", "--json", "--since", str(time.time()))
        self.addCleanup(follower.wait)
        self.addCleanup(follower.kill)
        for pid in project.supervisors():  # the journal is followed, whoever writes it
            os.kill(pid, signal.SIGKILL)
        project.run("start")
        line = follower.stdout.readline()
        self.assertIn('"action":"start"', line)
        follower.stdout.close()
        follower.stderr.close()
