"""The composer as an ordinary user: a user of the test's own, who gets no right but his own ids."""
import os
import pwd
import shutil
import subprocess
import tempfile
import unittest
import urllib.request

import compose
import images
import machine
from compose import PROGRAM, wait_until
from e2e import TestCase, needs_our_own, needs_root
from stack import free_port

USER = "e2e-rootless"
PROJECT = """\
services:
  web:
    image: busybox
    command: sh -c "mkdir -p /www; hostname > /www/index.html; echo serving; exec httpd -f -p 80 -h /www"
    ports: ["127.0.0.1:%d:80"]
    volumes: [data:/data]
    healthcheck: {test: wget -q -O /dev/null http://127.0.0.1/, interval: 1s, start_interval: 100ms, start_period: 5s}
  other:
    image: busybox
    command: sleep 1000
    user: "1000:1000"
    stop_signal: KILL
    depends_on: {web: {condition: service_healthy}}
volumes:
  data:
"""


def why_not():
    for program, package in (("newuidmap", "uidmap"), ("slirp4netns", "slirp4netns"), ("useradd", "passwd")):
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin"):
            return f"{program} is missing (package {package})"
    return "" if os.path.exists("/dev/net/tun") else "there is no /dev/net/tun"


@needs_root
@needs_our_own
class Rootless(TestCase):
    @classmethod
    def setUpClass(cls):
        if why_not():
            raise unittest.SkipTest(why_not())
        cls.home = tempfile.mkdtemp(prefix="compose-rootless-", dir=os.environ.get("E2E_WORK", "/var/tmp"))
        cls.addClassCleanup(lambda: shutil.rmtree(cls.home, ignore_errors=True))
        subprocess.run(["useradd", "--home-dir", cls.home, "--no-create-home", "--shell", "/bin/sh", USER], check=True)
        # userdel refuses (8) while a process of the user is still on its way out.
        cls.addClassCleanup(lambda: wait_until(
            lambda: subprocess.run(["userdel", USER], stderr=subprocess.DEVNULL, check=False).returncode != 8, 10,
            "a user without processes"))
        cls.uid, cls.gid = pwd.getpwnam(USER)[2:4]
        # Open to all, as udev's rules leave it on every Debian; a bare machine may have it otherwise.
        mode = os.stat("/dev/net/tun").st_mode & 0o777
        os.chmod("/dev/net/tun", 0o666)
        cls.addClassCleanup(lambda: os.chmod("/dev/net/tun", mode))
        # Where the checkout lies need not be open to others.
        cls.program = os.path.join(cls.home, "compose")
        shutil.copy(PROGRAM, cls.program)
        helpers = os.path.join(os.path.dirname(PROGRAM), "../../runtime")
        for name in ("compose-monitor", "compose-runtime", "compose-init"):
            shutil.copy(os.path.join(helpers, name), cls.home)
        images.busybox_archive(cls.home)
        cls.port = free_port()
        with open(os.path.join(cls.home, "compose.yaml"), "w", encoding="ascii") as file:
            file.write(PROJECT % cls.port)
        os.chmod(cls.home, 0o755)
        cls.run_folder = os.path.join(cls.home, "run")
        os.mkdir(cls.run_folder, 0o700)
        for path in (cls.home, cls.run_folder):
            os.chown(path, cls.uid, cls.gid)
        cls.compose("image", "import", os.path.join(cls.home, "busybox.tar"), images.BUSYBOX)

    @classmethod
    def compose(cls, *words, **options):
        environment = {"HOME": cls.home, "XDG_RUNTIME_DIR": cls.run_folder, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                       "COMPOSE_LIBEXEC": cls.home, "LC_ALL": "C.UTF-8"}
        return compose.run([cls.program, "-p", "e2e-rootless", *words], cwd=cls.home, env=environment, user=cls.uid,
                           group=cls.gid, extra_groups=[], **options)

    @classmethod
    def processes(cls):
        """What runs with the user's own id or one of the ids below it."""
        with open("/etc/subuid", encoding="ascii") as file:
            first = next(int(line.split(":")[1]) for line in file if line.startswith(USER + ":"))
        found = {}
        for pid in machine.process_ids():
            for line in machine.read(f"/proc/{pid}/status").splitlines():
                if line.startswith("Uid:") and (int(line.split()[1]) == cls.uid or 0 <= int(line.split()[1]) - first < 65536):
                    found[pid] = machine.command_line(pid)
        return found

    def test_a_service_of_an_ordinary_user(self):
        self.addCleanup(lambda: self.compose("down", "-v", "-t", "0", check=False))
        self.compose("up", "-d", "--wait")
        self.assertEqual(self.compose("exec", "-T", "other", "id", "-u").stdout, "1000\n")
        name = self.compose("exec", "-T", "other", "wget", "-qO-", "http://web/").stdout
        self.assertEqual(self.compose("exec", "-T", "web", "hostname").stdout, name)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.port}/", timeout=10) as answer:
            self.assertEqual(answer.read().decode(), name, "the published port")
        self.assertIn("serving", self.compose("logs", "web").stdout)
        self.assertEqual(self.compose("exec", "-T", "web", "sh", "-c", "exit 7", check=False).returncode, 7)
        self.assertNotIn(0, [os.stat(f"/proc/{pid}").st_uid for pid in self.processes()], "nothing of it is root's")
        self.compose("restart", "-t", "0", "web")
        self.compose("stop", "-t", "0")
        self.compose("start")
        self.compose("down", "-v", "-t", "0")
        wait_until(lambda: not self.processes(), 10, "the end of all processes")
        self.assertEqual(os.listdir(os.path.join(self.run_folder, "compose/rootless")), ["lock"])
        with self.assertRaises(OSError, msg="the published port is still open"):
            opener.open(f"http://127.0.0.1:{self.port}/", timeout=1)

    def test_doctor(self):
        done = self.compose("doctor", check=False)
        self.assertRegex(done.stdout, r"ok +slirp4netns ")
        self.assertRegex(done.stdout, r"ok +overlayfs ")
        self.assertNotRegex(done.stdout, r"(?m)^missing", done.stderr)
        self.assertEqual(done.returncode, 0)

    def test_config_needs_no_namespace(self):
        self.assertIn("httpd", self.compose("config").stdout)
