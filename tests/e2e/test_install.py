"""What "cmake --install" puts on a machine works from there."""
import os
import shutil

import compose
import machine
from compose import Project
from e2e import TestCase, needs_our_own, needs_root, workspace


@needs_root
@needs_our_own
class Installed(TestCase):
    def test_runs_from_its_prefix(self):
        build = os.path.dirname(os.path.dirname(os.path.dirname(compose.PROGRAM)))
        if not os.path.exists(os.path.join(build, "cmake_install.cmake")):
            self.skipTest("COMPOSE does not stand in a build folder")
        prefix = os.path.join(workspace().directory, "prefix")
        compose.run(["cmake", "--install", build, "--prefix", prefix])
        self.addCleanup(shutil.rmtree, prefix, ignore_errors=True)
        self.assertTrue(os.access(os.path.join(prefix, "bin/compose"), os.X_OK))
        self.assertEqual(sorted(os.listdir(os.path.join(prefix, "bin")))[:1], ["compose"])
        helpers = set(os.listdir(os.path.join(prefix, "libexec/compose")))
        self.assertLessEqual({"compose-monitor", "compose-runtime"}, helpers)

        for page in ("bash-completion/completions/compose", "bash-completion/completions/docker-compose",
                     "zsh/site-functions/_compose", "fish/vendor_completions.d/compose.fish", "man/man1/compose.1",
                     "man/man1/compose-up.1"):
            self.assertGreater(os.path.getsize(os.path.join(prefix, "share", page)), 100, page)
        self.assertEqual(os.readlink(os.path.join(prefix, "bin/docker-compose")), "compose")

        before = workspace().snapshot()
        project = Project.of_text(workspace(), "e2e-installed", "services: {web: {image: busybox, command: sleep 1000}}\n")
        project.program = os.path.join(prefix, "bin/compose")
        self.addCleanup(lambda: project.down("-t", "0", check=False))
        project.up()
        parent = int(machine.read(f"/proc/{project.pid('web')}/stat").rpartition(")")[2].split()[1])
        installed = os.path.join(prefix, "libexec/compose/compose-monitor")
        self.assertTrue(os.path.samefile(f"/proc/{parent}/exe", installed), "the helper is not the installed one")
        project.down("-t", "0")
        self.assert_nothing_left(before)
