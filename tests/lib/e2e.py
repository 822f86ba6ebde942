"""The frame of all end-to-end tests: one workspace with the images in it, and a test case that looks for leftovers."""
import os
import unittest

import compose
import images
import machine


_workspace = None


def workspace():
    """The one workspace of this run, with busybox in its image store."""
    global _workspace
    if _workspace is None:
        _workspace = compose.Workspace()
        # Without root, tests that need containers are skipped; the others need no image.
        if not compose.PEER and os.geteuid() == 0:
            _workspace.run("image", "import", images.busybox_archive(_workspace.directory), images.BUSYBOX)
    return _workspace


def import_base_image():
    """Puts the examples' Debian base into the workspace, once."""
    store = workspace()
    if not compose.PEER and store.run("image", "inspect", images.BASE, check=False).returncode != 0:
        store.run("image", "import", images.base_archive(), images.BASE, timeout=300)


def finish():
    if _workspace is not None:
        _workspace.remove()


def needs_root(test):
    return unittest.skipUnless(os.geteuid() == 0, "needs root: containers get namespaces, mounts and networks")(test)


def needs_our_own(test):
    return unittest.skipIf(compose.PEER, "a promise of this project alone; the program under test is a peer")(test)


def long_run(what):
    """For what takes minutes: left out unless LONG=1."""
    return unittest.skipUnless(os.environ.get("LONG") == "1", f"{what}: set LONG=1")


class TestCase(unittest.TestCase):
    """Tests of one class run in the order of their names and share what setUpClass makes."""
    maxDiff = 4000

    @classmethod
    def tearDownClass(cls):
        if _workspace is not None and os.path.exists(_workspace.calls):
            raise AssertionError("another engine was called: " + machine.read(_workspace.calls))

    def assert_nothing_left(self, before, seconds=5):
        """Nothing of ours is on the machine that was not there before."""
        if compose.PEER:
            return
        left = []

        def clean():
            left[:] = workspace().snapshot().left_behind(before)
            if machine.SHARED:  # other runs have projects that begin with "e2e-", too
                names = [workspace().state_root, workspace().run_root, *workspace().projects]
                left[:] = [line for line in left if any(name in line for name in names)]
            return not left
        try:
            # What the kernel takes apart by itself (namespaces with their links) may be a moment late.
            compose.wait_until(clean, seconds, "a clean machine")
        except AssertionError:
            self.fail("left behind:\n  " + "\n  ".join(left))


def processes_inside(project, service):
    """(uid, command) of each process in a container, as the container's own /proc shows it."""
    script = ('for p in /proc/[0-9]*; do [ -r $p/status ] || continue; '
              'while read -r key value rest; do [ "$key" = Uid: ] && uid=$value; [ "$key" = Name: ] && name=$value; '
              'done < $p/status; echo "$uid $name"; done 2>/dev/null')
    lines = project.exec(service, "sh", "-c", script).stdout.split("\n")
    return [(int(uid), name) for uid, _, name in (line.partition(" ") for line in lines if line.strip())]


