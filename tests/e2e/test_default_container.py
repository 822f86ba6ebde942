"""The default container beside Docker's: nothing is allowed in ours that is not in theirs."""
import os
import re
import shutil
import subprocess
import unittest

import images
import peers
from compose import TOP, Project
from e2e import TestCase, needs_our_own, workspace

IMAGE = "e2e-default:1"
SCRIPT = "grep -E '^(Cap|NoNewPrivs|Seccomp)' /proc/self/status; sed 's/^[^ ]* /mount /' /proc/mounts; /probe"
# runc leaves the second version's tree of a hybrid machine out; ours shows the container its own group there.
UNIFIED = "/sys/fs/cgroup/unified"
# Files that each container has its own of.
OWN = re.compile(r"^/(dev/(pts|mqueue|shm)/|sys/(class|devices/virtual)/net/|sys/kernel/slab/|sys/fs/cgroup/)")


def findings(text):
    """{kind: {name: value}} of what the script has said."""
    found = {"status": {}, "mount": {}, "syscall": {}, "read": {}, "write": {}}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word in ("read", "write"):
            found[word][rest] = "yes"
        elif word == "syscall":
            number, _, result = rest.partition(" ")
            found["syscall"][int(number)] = result
        elif word == "mount":
            target, kind, options = rest.split()[:3]
            flags = set(options.split(",")) & {"ro", "rw", "nosuid", "nodev", "noexec"}
            found["mount"][target] = kind + " " + ",".join(sorted(flags))
        elif ":" in line:
            name, _, value = line.partition(":")
            found["status"][name] = value.strip()
    return found


@needs_our_own
class DefaultContainer(TestCase):
    @classmethod
    def setUpClass(cls):
        if peers.why_not():
            raise unittest.SkipTest(peers.why_not())
        if not shutil.which("gcc"):
            raise unittest.SkipTest("no gcc to compile the probe with")
        cls.peers = peers.Peers("e2e-default")
        cls.addClassCleanup(cls.peers.remove)
        program = os.path.join(cls.peers.here, "probe")
        subprocess.run(["gcc", "-static", "-O1", "-o", program, os.path.join(TOP, "tests/lib/probe.c")], check=True)
        images.busybox_archive(cls.peers.here)
        cls.peers.run("docker", "import", cls.peers.there + "/busybox.tar", IMAGE)
        cls.addClassCleanup(lambda: cls.peers.run("docker", "rmi", "-f", IMAGE, check=False))
        theirs = cls.peers.run("docker", "run", "--rm", "-v", f"{cls.peers.there}/probe:/probe:ro", IMAGE, "sh", "-c", SCRIPT)
        project = Project.of_text(workspace(), "e2e-default", f"""\
services:
  probe: {{image: busybox, volumes: ["{program}:/probe:ro"]}}
""")
        cls.addClassCleanup(lambda: project.down("-v", "-t", "0", check=False))
        ours = project.run("run", "--rm", "-T", "probe", "sh", "-c", SCRIPT)
        cls.theirs, cls.ours = findings(theirs.stdout), findings(ours.stdout)

    def side_by_side(self, title, rows):
        print(f"\n{title}\n{'':44} {'Docker':34} ours")
        for name, theirs, ours in rows:
            print(f"{'' if theirs == ours else '*'}{name!s:43} {theirs!s:34} {ours}")

    def differing(self, kind):
        names = sorted(set(self.theirs[kind]) | set(self.ours[kind]), key=str)
        return [(name, self.theirs[kind].get(name, "-"), self.ours[kind].get(name, "-")) for name in names]

    def test_rights(self):
        rows = self.differing("status")
        self.side_by_side("rights", rows)
        for name, theirs, ours in rows:
            if name.startswith("Cap"):
                self.assertEqual(int(ours, 16) & ~int(theirs, 16), 0, name)
        self.assertEqual(self.ours["status"]["Seccomp"], "2")

    def test_mounts(self):
        rows = self.differing("mount")
        self.side_by_side("mounts", rows)
        for target, theirs, ours in rows:
            if ours == "-" or target in ("/probe", UNIFIED) or self.hides(target, ours):
                continue
            self.assertNotEqual(theirs, "-", f"{target} is mounted in ours alone")
            lost = set(theirs.split()[1].split(",")) - set(ours.split()[1].split(",")) - {"rw"}
            self.assertFalse(lost, f"{target} lacks {lost}")

        self.assertIn("ro", self.ours["mount"].get(UNIFIED, "ro").replace(",", " ").split())

    def hides(self, target, ours):
        """A mask: the null device over a file, an empty folder that nobody can write to over a folder."""
        return ours == "devtmpfs rw" and target.startswith("/proc/") or ours.startswith("tmpfs") and "ro" in ours.split(",")

    def test_system_calls(self):
        rows = [row for row in self.differing("syscall") if row[1] != row[2]]
        self.side_by_side("system calls that differ, by number", rows)
        both = [number for number, theirs, ours in self.differing("syscall") if theirs == ours == "refused"]
        print(f"refused by both: {len(both)}, allowed by both: {len(self.ours['syscall']) - len(both) - len(rows)}")
        self.assertGreater(len(both), 40)
        self.assertEqual([row[0] for row in rows if row[2] == "allowed"], [], "allowed in ours alone")

    def test_files_of_the_kernel_and_devices(self):
        for kind in ("read", "write"):
            rows = [row for row in self.differing(kind) if row[1] != row[2] and not OWN.match(row[0])]
            self.side_by_side(f"what can be {kind} in one alone", rows)
            print(f"in both: {len(set(self.theirs[kind]) & set(self.ours[kind]))}")
            self.assertEqual([row[0] for row in rows if row[1] == "-"], [], f"can be {kind} in ours alone")
