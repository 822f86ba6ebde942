"""compose-runtime under real engines: podman's `--runtime`, Docker's `--add-runtime`."""
import json
import os
import pty
import subprocess
import unittest

import images
import peers
from compose import CommandFailed
from e2e import TestCase, needs_our_own

IMAGE = "e2e-engines:1"
STOPS_WITH_7 = "trap 'exit 7' TERM; echo up; while :; do sleep 1000 & wait $!; done"


class Engine(TestCase):
    """What both engines share."""
    program, run_options = (), ()

    @classmethod
    def setUpClass(cls):
        if peers.why_not():
            raise unittest.SkipTest(peers.why_not())
        cls.peers = peers.Peers("e2e-engines")
        cls.addClassCleanup(cls.peers.remove)

    @classmethod
    def import_image(cls):
        images.busybox_archive(cls.peers.here)
        cls.peers.run(*cls.program, "import", cls.peers.there + "/busybox.tar", IMAGE)
        cls.addClassCleanup(lambda: cls.peers.run(*cls.program, "rmi", "-f", IMAGE, check=False))

    def engine(self, *words, **options):
        return self.peers.run(*self.program, *words, **options)

    def start(self, name, *words, options=()):
        self.addCleanup(lambda: self.engine("rm", "-f", name, check=False))
        return self.engine("run", "-d", "--stop-timeout", "0", "--name", name, *self.run_options, *options, IMAGE, *words).stdout.strip()

    def inspect(self, name, template):
        return self.engine("inspect", "--format", template, name).stdout.strip()

    def once(self, *words, options=(), **more):
        return self.engine("run", "--rm", *self.run_options, *options, IMAGE, *words, **more)

    def on_a_terminal(self, *words):
        master, slave = pty.openpty()
        child = subprocess.Popen([peers.PEER, *self.program, *words], stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        said = b""
        try:
            while chunk := os.read(master, 4096):
                said += chunk
        except OSError:  # the last one has closed it
            pass
        os.close(master)
        self.assertEqual(child.wait(timeout=30), 0, said)
        return said.decode(errors="replace").replace("\r", "")


class LifeOfAContainer:
    """One container's life, told in the words both engines share."""

    def test_it_is_our_runtime_that_runs(self):
        self.start("e2e-rt-which", "sleep", "1000")
        self.assertIn(self.runtime_name, self.inspect("e2e-rt-which", self.runtime_template))

    def test_output_and_exit_code(self):
        done = self.once("sh", "-c", "echo out; echo err >&2; exit 3", check=False)
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("out\n", "err\n", 3))

    def test_standard_input(self):
        done = self.once("cat", options=["-i"], stdin=None, input="through\n")
        self.assertEqual(done.stdout, "through\n")

    def test_missing_command_says_so(self):
        done = self.once("no-such-command", check=False)
        self.assertEqual(done.returncode, 127)
        self.assertIn("no-such-command", done.stderr)

    def test_exec(self):
        self.start("e2e-rt-exec", "sleep", "1000")
        done = self.engine("exec", "-u", "1000:50", "-w", "/tmp", "-e", "A=b", "e2e-rt-exec", "sh", "-c",
                           "id -u; id -g; pwd; echo $A; grep CapInh /proc/self/status; exit 4", check=False)
        self.assertEqual(done.stdout.split(), ["1000", "50", "/tmp", "b", "CapInh:", "0" * 16], done.stderr)
        self.assertEqual(done.returncode, 4)

    def test_terminals(self):
        self.start("e2e-rt-tty", "sleep", "1000")
        self.assertIn("/dev/pts/0", self.on_a_terminal("exec", "-it", "e2e-rt-tty", "tty"))
        said = self.on_a_terminal("run", "--rm", "-it", *self.run_options, IMAGE, "sh", "-c", "tty; ls -l /dev/console")
        self.assertIn("/dev/pts/0", said)
        self.assertRegex(said, r"(?m)^c.* /dev/console")

    def test_stop_restart_and_start_again(self):
        self.start("e2e-rt-life", "sh", "-c", STOPS_WITH_7)
        self.until_it_says("e2e-rt-life", "up\n")
        self.engine("restart", "-t", "10", "e2e-rt-life")
        self.until_it_says("e2e-rt-life", "up\nup\n")
        self.engine("stop", "-t", "10", "e2e-rt-life")
        self.assertEqual(self.inspect("e2e-rt-life", "{{.State.Status}} {{.State.ExitCode}}"), "exited 7")
        self.engine("start", "e2e-rt-life")
        self.assertEqual(self.inspect("e2e-rt-life", "{{.State.Status}}"), "running")
        self.engine("kill", "e2e-rt-life")
        self.assertEqual(self.engine("wait", "e2e-rt-life").stdout.strip(), "137")

    def until_it_says(self, name, text):
        for _ in range(100):
            if self.engine("logs", name).stdout == text:
                return
            subprocess.run(["sleep", "0.1"], check=True)
        self.fail(f"{name} says {self.engine('logs', name).stdout!r}, not {text!r}")

    def test_limits_and_their_change(self):
        self.start("e2e-rt-limits", "sleep", "1000",
                   options=["--memory", "64m", "--memory-swap", "64m", "--pids-limit", "20", "--cpus", "0.5", "--ulimit", "nofile=77:99"])
        limits = ("cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us || "
                  "cat memory.max pids.max cpu.max; ulimit -n")
        said = self.engine("exec", "e2e-rt-limits", "sh", "-c", limits).stdout.split()
        self.assertEqual([said[0], said[1], said[2], said[-1]], [str(64 << 20), "20", "50000", "77"])
        self.engine("update", "--memory", "100m", "--memory-swap", "100m", "e2e-rt-limits")
        said = self.engine("exec", "e2e-rt-limits", "sh", "-c", limits).stdout.split()
        self.assertEqual(said[0], str(100 << 20))

    def test_out_of_memory(self):
        done = self.once("sh", "-c", "tail /dev/zero", options=["--memory", "16m", "--memory-swap", "16m"], check=False)
        self.assertEqual(done.returncode, 137)

    def test_mounts(self):
        folder = os.path.join(self.peers.here, "data")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "file"), "w", encoding="ascii") as file:
            file.write("from outside\n")
        done = self.once("sh", "-c", "cat /ro/file; touch /ro/x; echo inside > /rw/inside; df -k /scratch | tail -1; touch /x",
                         options=["-v", f"{self.peers.there}/data:/ro:ro", "-v", f"{self.peers.there}/data:/rw",
                                  "--tmpfs", "/scratch:size=1m", "--read-only"], check=False)
        self.assertIn("from outside", done.stdout)
        self.assertRegex(done.stdout, r"\b1024\b.*/scratch")
        self.assertIn("/ro/x: Read-only file system", done.stderr)
        self.assertIn("/x: Read-only file system", done.stderr)
        self.assertTrue(os.path.exists(os.path.join(folder, "inside")))

    def test_pause(self):
        self.start("e2e-rt-pause", "sleep", "1000")
        self.engine("pause", "e2e-rt-pause")
        self.assertEqual(self.inspect("e2e-rt-pause", "{{.State.Status}}"), "paused")
        self.engine("unpause", "e2e-rt-pause")
        self.assertEqual(self.inspect("e2e-rt-pause", "{{.State.Status}}"), "running")

    def test_processes_inside(self):
        self.start("e2e-rt-top", "sleep", "1234")
        self.assertIn("sleep 1234", self.engine("top", "e2e-rt-top").stdout)

    def test_removing_leaves_nothing(self):
        identifier = self.start("e2e-rt-gone", "sleep", "1000")
        pid = int(self.inspect("e2e-rt-gone", "{{.State.Pid}}"))
        self.engine("rm", "-f", "e2e-rt-gone")
        self.assertFalse(os.path.exists(f"/proc/{pid}"))
        for folder, names, _ in os.walk("/sys/fs/cgroup"):
            self.assertFalse([name for name in names if identifier in name], folder)


@needs_our_own
class Podman(LifeOfAContainer, Engine):
    runtime_template = "{{.OCIRuntime}}"
    run_options = ("--network", "none")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.runtime_name = cls.peers.runtime
        cls.program = ("env", "PODMAN_IGNORE_CGROUPSV1_WARNING=1", "podman", "--runtime", cls.peers.runtime)
        cls.import_image()


@needs_our_own
class Docker(LifeOfAContainer, Engine):
    runtime_name, runtime_template = "ours", "{{.HostConfig.Runtime}}"
    run_options = ("--runtime", "ours", "--network", "none")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        daemon = peers.Dockerd(cls.peers, os.path.basename(cls.peers.here))
        cls.addClassCleanup(daemon.stop)
        cls.program = ("docker", "--host", daemon.socket)
        cls.import_image()

    def test_the_daemon_knows_it(self):
        known = json.loads(self.engine("info", "--format", "{{json .Runtimes}}").stdout)
        self.assertEqual(known["ours"]["path"], self.peers.runtime)
        self.assertIn("org.opencontainers.runtime-spec.features", known["ours"].get("status", {}))

    def test_a_failure_inside_is_told_by_docker(self):
        with self.assertRaisesRegex(CommandFailed, "etc/passwd.*Not a directory"):
            self.once("true", options=["-v", "/etc:/etc/passwd"])
