"""An operating system in a container: systemd as the first process boots, runs a unit, and shuts down when asked to; and
what "install-service" gives to such a systemd."""
import json
import os
import shutil

import compose
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
# A machine of its own for our own program, as far as a container can be one; state lies on a disk.
MACHINE = """\
services:
  os:
    image: e2e-systemd:1
    command: /sbin/init
    environment: {{container: compose}}
    privileged: true
    stop_signal: SIGRTMIN+3
    stop_grace_period: 60s
    tmpfs: [/run, /run/lock, /tmp]
    volumes: ["{prefix}:/opt/compose:ro", "{archive}:/busybox.tar:ro", "state:/var/lib/compose"]
volumes: {{state: {{}}}}
"""
# At every boot of the container the kernel tells another boot id, as it does after a real one.
BOOT_ID = """\
[Unit]
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=sh -c 'cat /proc/sys/kernel/random/uuid > /run/boot_id && mount --bind /run/boot_id /proc/sys/kernel/random/boot_id'
[Install]
WantedBy=sysinit.target
"""
SHOP = """\
services:
  db:
    image: busybox
    command: sh -c "rm -f /data/ready; sleep 1; touch /data/ready; exec sleep 100000"
    restart: always
    stop_signal: KILL
    volumes: ["data:/data"]
    healthcheck: {test: test -e /data/ready, interval: 200ms, retries: 100}
  web:
    image: busybox
    command: sh -c "if [ -e /data/ready ]; then echo in order >> /data/web; else echo too early >> /data/web; fi; exec sleep 100000"
    restart: unless-stopped
    stop_signal: KILL
    volumes: ["data:/data"]
    depends_on: {db: {condition: service_healthy}, once: {condition: service_completed_successfully}}
  once: {image: busybox, command: sh -c "echo ran >> /data/once", volumes: ["data:/data"]}
  off: {image: busybox, command: sleep 100000, restart: unless-stopped, stop_signal: KILL}
volumes: {data: {}}
"""


class System(TestCase):
    """A container with systemd in it."""
    TEXT = ""

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
        cls.project = Project.of_text(workspace(), "e2e-systemd", cls.TEXT)
        cls.addClassCleanup(lambda: cls.project.down("-v", "-t", "0", check=False))

    def systemctl(self, *words, **options):
        return self.project.exec("os", "systemctl", *words, **options)

    def wait_for_boot(self):
        # "degraded" would name a unit that needs a right the container does not have.
        wait_until(lambda: self.systemctl("is-system-running", check=False).stdout.strip() == "running", 60, "the boot",
                   0.5)


@long_run("makes an image with systemd, two minutes")
@needs_root
@needs_our_own
class Systemd(System):
    TEXT = PROJECT

    def test_boots_and_shuts_down(self):
        self.project.up()
        self.wait_for_boot()
        self.assertEqual(self.systemctl("--failed", "--no-legend").stdout, "")
        self.project.exec("os", "systemd-run", "--unit", "mine", "--property", "MemoryMax=64M", "sleep", "1000")
        self.assertEqual(self.systemctl("is-active", "mine").stdout.strip(), "active")
        group = self.systemctl("show", "--property", "ControlGroup", "--value", "mine").stdout.strip()
        self.assertRegex(group, r"/system\.slice/mine\.service$")
        stopped = self.project.run("stop", timeout=90)
        self.assertLess(stopped.seconds, 30, "it was killed, it did not shut down")
        self.assertEqual(self.project.container("os")["ExitCode"], 0)
        self.project.run("start")
        self.wait_for_boot()
        self.project.down("-v", timeout=90)
        self.assert_nothing_left(self.before)


@long_run("makes an image with systemd, two minutes")
@needs_root
@needs_our_own
class InstalledService(System):
    @classmethod
    def setUpClass(cls):
        prefix = workspace().folder("installed")
        here = os.path.dirname(compose.PROGRAM)
        helpers = next(folder for folder in (os.path.join(here, "../libexec/compose"), os.path.join(here, "../../runtime"))
                       if os.path.exists(os.path.join(folder, "compose-monitor")))
        for folder in ("bin", "libexec/compose"):
            os.makedirs(os.path.join(prefix, folder), exist_ok=True)
        shutil.copy(compose.PROGRAM, os.path.join(prefix, "bin"))
        for name in ("compose-monitor", "compose-runtime", "compose-init"):
            shutil.copy(os.path.join(helpers, name), os.path.join(prefix, "libexec/compose"))
        cls.TEXT = MACHINE.format(prefix=prefix, archive=images.busybox_archive(workspace().directory))
        super().setUpClass()

    def sh(self, script, **options):
        return self.project.exec("os", "sh", "-c", script, **options).stdout

    def write(self, path, text):
        self.sh(f"mkdir -p {os.path.dirname(path)} && cat > {path}", stdin=None, input=text)

    def shop(self, words, **options):
        return self.sh(f"cd /shop && /opt/compose/bin/compose {words}", **options)

    def states(self):
        entries = map(json.loads, self.shop("ps --all --format json").splitlines())
        return {entry["Service"]: (entry["State"], entry["ExitCode"]) for entry in entries}

    def data(self, name):
        return self.sh(f"cat /var/lib/compose/volumes/shop_data/_data/{name}")

    def test_a_project_starts_with_its_machine(self):
        self.project.up()
        self.wait_for_boot()
        self.write("/etc/systemd/system/boot-id.service", BOOT_ID)
        self.systemctl("enable", "--now", "boot-id")
        self.write("/shop/compose.yaml", SHOP)
        self.sh("/opt/compose/bin/compose image import /busybox.tar busybox:latest")
        self.shop("up -d --wait", timeout=120)
        self.shop("stop off")
        self.shop("install-service")
        unit = "compose-shop.service"
        verified = self.project.exec("os", "systemd-analyze", "--man=no", "verify", f"/etc/systemd/system/{unit}")
        self.assertEqual(verified.stdout + verified.stderr, "")
        self.assertEqual(self.systemctl("is-enabled", unit).stdout.strip(), "enabled")
        self.systemctl("start", unit)
        self.assertEqual(self.data("web"), "in order\n", "to start the unit of what runs changes nothing")
        self.systemctl("stop", unit)
        running = {"db": ("running", 0), "web": ("running", 0), "once": ("exited", 0)}
        self.assertEqual({name: state for name, state in self.states().items() if name != "off"}, running,
                         "the containers outlive their unit")

        self.project.run("restart", timeout=180)
        self.wait_for_boot()
        self.assertEqual(self.systemctl("is-active", unit).stdout.strip(), "active")
        states = self.states()
        self.assertEqual(states.pop("off")[0], "exited", "what a person has stopped stays stopped")
        self.assertEqual(states, running)
        self.assertEqual((self.data("web"), self.data("once")), ("in order\n" * 2, "ran\n"))
        self.assertIn("shop-db-1", self.sh("journalctl --output cat COMPOSE_PROJECT=shop"))

        self.shop("install-service --uninstall")
        self.assertEqual(self.sh("ls /etc/systemd/system | grep shop; ls /etc/systemd/system/multi-user.target.wants | "
                                 "grep shop; true"), "")
        self.project.run("restart", timeout=180)
        self.wait_for_boot()
        self.assertEqual({state for state, _ in self.states().values()}, {"exited"})
        self.shop("down -v")
        self.project.down("-v", timeout=90)
        self.assert_nothing_left(self.before)
