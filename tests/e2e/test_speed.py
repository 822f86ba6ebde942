"""How long the commands take that people and scripts call all day; LONG=1, on a quiet machine."""
import os
import subprocess
import time
import unittest

import compose
import peers
from compose import Project
from e2e import TestCase, needs_our_own, needs_root, workspace

DOCKER = ("docker", "compose")
SERVICE = "  s{}: {{image: busybox, command: sleep 1000, stop_signal: KILL}}\n"


def text(count):
    return "services:\n" + "".join(SERVICE.format(number) for number in range(count))


def best(command, repeat, **options):
    """The shortest of some runs, in milliseconds: the others waited for something."""
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, **options)
        times.append((time.perf_counter() - begin) * 1000)
    return min(times)


@needs_root
@needs_our_own
@unittest.skipUnless(os.environ.get("LONG") == "1", "takes minutes and a quiet machine: set LONG=1")
class Speed(TestCase):
    """Against fixed limits, and against Docker Compose where ../shared/peers is up."""

    def compare(self, what, limit, ours, theirs):
        line = f"{what}: {ours:.1f} ms"
        if theirs is not None:
            line += f", Docker Compose {theirs:.1f} ms ({theirs / ours:.1f} times)"
        print("        " + line)
        with self.subTest(what):
            self.assertLess(ours, limit, line)
            if theirs is not None:
                self.assertGreater(theirs / ours, 5, line)

    def measure(self, count, words, prepare):
        name = f"cli-speed-{count}"
        project = Project.of_text(workspace(), name, text(count))
        self.addCleanup(lambda: project.down("-t", "0", check=False, timeout=300))
        project.run(*prepare, timeout=300)
        ours = best([compose.PROGRAM, "-p", name, *words], 10, cwd=project.directory, env=project.environment)
        if peers.why_not(*DOCKER, "version"):
            return ours, None
        shared = peers.Shared(name)
        self.addCleanup(shared.remove)
        with open(os.path.join(shared.here, "compose.yaml"), "w", encoding="utf-8") as file:
            file.write(text(count))
        self.addCleanup(lambda: shared.run(*DOCKER, "-p", name, "down", "-t", "0", check=False, timeout=600))
        shared.run(*DOCKER, "-p", name, *prepare, timeout=600)
        return ours, best([peers.PEER, *DOCKER, "-p", name, *words], 5, env=shared.environment)

    def test_help(self):
        theirs = None if peers.why_not(*DOCKER, "version") else best([peers.PEER, *DOCKER, "--help"], 5)
        self.compare("--help", 10, best([compose.PROGRAM, "--help"], 20), theirs)

    def test_ps_of_100_services(self):
        self.compare("ps of 100 services", 30, *self.measure(100, ["ps"], ["up", "-d"]))

    def test_up_of_20_services_that_run(self):
        self.compare("up -d of 20 services that run", 60, *self.measure(20, ["up", "-d"], ["up", "-d"]))
