"""The codes that commands end with (docs/exit-codes.md), and data through pipes."""
import hashlib
import os
import subprocess
import threading

from compose import Project, wait_until
from e2e import TestCase, needs_our_own, needs_root, workspace

STACK = """\
services:
  job: {image: busybox, command: "sh -c 'exit ${CODE-0}'"}
  keep: {image: busybox, command: sleep 1000, stop_signal: KILL}
  later: {image: busybox, command: "sh -c 'sleep 1; ${WHAT-exit 5}'"}
"""
SIZE = (1 << 30) if os.environ.get("LONG") == "1" else (64 << 20)  # LONG=1: as issues have it


@needs_root
class Codes(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.before = workspace().snapshot()
        cls.project = Project.of_text(workspace(), "e2e-codes", STACK)
        cls.addClassCleanup(lambda: cls.project.down("-t", "0", check=False))
        cls.project.up("keep")

    def code(self, *arguments, **environment):
        done = subprocess.run([self.project.program, *self.project.options, *arguments], cwd=self.project.directory,
                              env={**self.project.environment, **environment}, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60, check=False)
        return done.returncode

    # What a shell in a container does, and the code it leaves.
    CASES = (("exit 0", 0), ("exit 1", 1), ("exit 42", 42), ("exit 255", 255), ("kill -TERM $$", 143),
             ("kill -KILL $$", 137), ("kill -SEGV $$", 139))

    def test_01_exec(self):
        for script, code in self.CASES:
            with self.subTest(script=script):
                self.assertEqual(self.code("exec", "-T", "keep", "sh", "-c", script), code)
        self.assertEqual(self.code("exec", "-T", "keep", "no-such-program"), 127)
        self.assertEqual(self.code("exec", "-T", "keep", "/etc/passwd"), 126)
        self.assertEqual(self.code("exec", "-T", "job", "true"), 1)

    def test_02_run(self):
        for script, code in self.CASES[:4]:
            with self.subTest(script=script):
                self.assertEqual(self.code("run", "--rm", "-T", "job", "sh", "-c", script), code)
        # The first process of a container gets no signal from inside but those it asked for; so one below it.
        for name, code in (("TERM", 143), ("KILL", 137)):
            with self.subTest(signal=name):
                self.assertEqual(self.code("run", "--rm", "-T", "job", "sh", "-c", f"sh -c 'kill -{name} $$'; exit $?"), code)
        self.assertEqual(self.code("run", "--rm", "-T", "job", "no-such-program"), 127)
        self.assertEqual(self.code("run", "--rm", "-T", "job", "/etc/passwd"), 126)

    def test_03_up(self):
        for code in (0, 3, 255):
            with self.subTest(code=code):
                self.assertEqual(self.code("up", "--exit-code-from", "job", "job", CODE=str(code)), code)
        self.assertEqual(self.code("up", "--abort-on-container-exit", "job", CODE="9"), 9)
        self.assertEqual(self.code("up", "--abort-on-container-failure", "job", CODE="9"), 9)
        self.assertEqual(self.code("up", "--no-such-flag"), 1)
        self.assertEqual(self.code("up", "nobody"), 1)

    def test_04_wait(self):
        for what, code in (("exit 5", 5), ("exit 0", 0)):
            with self.subTest(what=what):
                self.assertEqual(self.code("up", "-d", "later", WHAT=what), 0)
                self.assertEqual(self.code("wait", "later"), code)
        waiting = self.project.popen("wait", "keep")
        wait_until(lambda: waiting.poll() is None)
        self.assertEqual(self.code("kill", "-s", "KILL", "keep"), 0)
        self.assertEqual(waiting.wait(timeout=20), 137)
        waiting.communicate()
        self.project.up("keep")

    def test_05_big_data_both_ways(self):
        """Through exec -T cat: what goes in comes out whole."""
        done = subprocess.Popen([self.project.program, *self.project.options, "exec", "-T", "keep", "cat"],
                                cwd=self.project.directory, env=self.project.environment, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)
        block = os.urandom(1 << 20)
        sent, received, size = hashlib.sha256(), hashlib.sha256(), 0

        def write():
            for _ in range(SIZE // len(block)):
                done.stdin.write(block)
                sent.update(block)
            done.stdin.close()
        writer = threading.Thread(target=write)
        writer.start()
        while data := done.stdout.read(1 << 20):
            received.update(data)
            size += len(data)
        writer.join()
        self.assertEqual((done.wait(timeout=30), size), (0, SIZE // len(block) * len(block)))
        self.assertEqual(received.hexdigest(), sent.hexdigest())

    def test_06_run_passes_data_too(self):
        data = os.urandom(8 << 20)
        done = subprocess.run([self.project.program, *self.project.options, "run", "--rm", "-T", "-q", "job", "cat"],
                              cwd=self.project.directory, env=self.project.environment, input=data, capture_output=True,
                              timeout=120, check=True)
        self.assertEqual(hashlib.sha256(done.stdout).hexdigest(), hashlib.sha256(data).hexdigest())

    @needs_our_own
    def test_07_diff_and_check(self):
        base = os.path.join(self.project.directory, "compose.yaml")
        other = os.path.join(self.project.directory, "other.yaml")
        with open(other, "w", encoding="utf-8") as file:
            file.write("services: {keep: {environment: {DEBUG: '1'}}}\n")
        self.assertEqual(self.code("diff", "-f", base, "--", "-f", base), 0)
        self.assertEqual(self.code("diff", "-f", base, "--", "-f", base, "-f", other), 2)
        self.assertEqual(self.code("diff", "-f", base), 1)
        self.assertEqual(self.code("-f", base, "-f", other, "check"), 3)
        fine = os.path.join(self.project.directory, "fine.yaml")
        with open(fine, "w", encoding="utf-8") as file:
            file.write("x-waive: {no-limit: a test, no-restart: a test, no-healthcheck: a test}\n"
                       "services: {a: {image: 'busybox:1.36'}}\n")
        self.assertEqual(self.code("-f", fine, "check"), 0)

    def test_08_nothing_is_left(self):
        self.project.down("-t", "0")
        self.assert_nothing_left(self.before)
