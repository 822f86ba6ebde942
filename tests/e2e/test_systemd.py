"""An operating system in a container: systemd as the first process boots, runs a unit, and shuts down when asked to."""
import os
import re

import images
from compose import Project, run, wait_until
from e2e import TestCase, long_run, needs_our_own, needs_root, workspace

PROJECT = """\
services:
  os:
    image: e2e-systemd:1
    command: /sbin/init
    environment: {container: compose}
    stop_signal: SIGRTMIN+3
    stop_grace_period: 60s
    security_opt: [writable-cgroups=true]
    tmpfs: [/run, /run/lock, /tmp]
    mem_limit: 512m
"""


@long_run("makes an image with systemd, two minutes")
@needs_root
@needs_our_own
class Systemd(TestCase):
    @classmethod
    def setUpClass(cls):
        archive = os.path.join(images.CACHE, "debian-systemd.tar")
        if not os.path.exists(archive):
            os.makedirs(images.CACHE, exist_ok=True)
            run(["mmdebstrap", "--quiet", "--variant=minbase", "--include=systemd,systemd-sysv,dbus", "bookworm", archive],
                timeout=600)
        workspace().run("image", "import", archive, "e2e-systemd:1", timeout=120)
        cls.addClassCleanup(lambda: workspace().run("image", "rm", "e2e-systemd:1", check=False))
        cls.before = workspace().snapshot()
        cls.project = Project.of_text(workspace(), "e2e-systemd", PROJECT)
        cls.addClassCleanup(lambda: cls.project.down("-v", "-t", "0", check=False))

    def systemctl(self, *words, **options):
        return self.project.exec("os", "systemctl", *words, **options)

    def test_boots_and_shuts_down(self):
        self.project.up()
        # "degraded" would name a unit that needs a right the container does not have.
        wait_until(lambda: self.systemctl("is-system-running", check=False).stdout.strip() == "running", 60, "the boot")
        self.assertEqual(self.systemctl("--failed", "--no-legend").stdout, "")
        self.project.exec("os", "systemd-run", "--unit", "mine", "--property", "MemoryMax=64M", "sleep", "1000")
        self.assertEqual(self.systemctl("is-active", "mine").stdout.strip(), "active")
        group = self.systemctl("show", "--property", "ControlGroup", "--value", "mine").stdout.strip()
        self.assertRegex(group, r"/system\.slice/mine\.service$")
        stopped = self.project.run("stop", timeout=90)
        self.assertLess(stopped.seconds, 30, "it was killed, it did not shut down")
        self.assertEqual(self.project.container("os")["ExitCode"], 0)
        self.project.run("start")
        wait_until(lambda: re.match("running", self.systemctl("is-system-running", check=False).stdout), 60, "the second boot")
        self.project.down("-v", timeout=90)
        self.assert_nothing_left(self.before)
