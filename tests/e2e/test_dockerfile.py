"""The Dockerfile language, case by case, against what Docker makes of the same files (tests/dockerfile)."""
import json
import os
import shutil
import sys
import unittest

import peers
from compose import TOP, run
from e2e import TestCase, needs_our_own, needs_root, workspace

TABLE = os.path.join(TOP, "tests/dockerfile")
sys.path.insert(0, TABLE)
import cases  # noqa: E402
import image_files  # noqa: E402

BASE = "dockerfile-table-base"


def difference(expected, got):
    """Lines that tell what is not as it should be."""
    lines = []
    for part in ("tree", "config"):
        for key in sorted(expected[part].keys() | got[part].keys()):
            wanted, found = expected[part].get(key), got[part].get(key)
            if wanted != found:
                lines.append(f"{part} {key}: expected {wanted!r}, got {found!r}")
    if expected.get("history") is not None and expected["history"] != got["history"]:
        lines.append(f"history: expected\n    {expected['history']}\n  got\n    {got['history']}")
    return lines


@needs_root
@needs_our_own
class DockerfileTable(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.before = workspace().snapshot()
        cls.folder = workspace().folder("dockerfile-table")
        with open(os.path.join(TABLE, "expected.json"), encoding="utf-8") as source:
            cls.expected = json.load(source)
        base = os.path.join(cls.folder, "base.tar")
        image_files.write_base(base, shutil.which("busybox"))
        workspace().run("image", "import", base, BASE)
        workspace().run("image", "save", "-o", os.path.join(cls.folder, "base.image"), BASE)
        cls.base, _ = image_files.read_image(os.path.join(cls.folder, "base.image"))
        with open(os.path.join(cls.folder, "secret"), "w", encoding="ascii") as secret:
            secret.write("hush")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)
        super().tearDownClass()

    def build(self, case):
        build = image_files.write_context(os.path.join(self.folder, case.name), case)
        contexts = {"busybox": f"docker-image://{BASE}", **build.get("additional_contexts", {})}
        build["additional_contexts"] = {name: source.replace("docker-image://busybox", f"docker-image://{BASE}")
                                        for name, source in contexts.items()}
        path = os.path.join(self.folder, case.name + ".yaml")
        with open(path, "w", encoding="utf-8") as output:
            json.dump({"name": "dockerfile-table", "secrets": {"s": {"file": os.path.join(self.folder, "secret")}},
                       "services": {"case": {"image": f"dockerfile-table-{case.name}", "build": build}}}, output)
        return workspace().run("-f", path, "build", *case.command, check=False)

    def image(self, case):
        archive = os.path.join(self.folder, case.name + ".image")
        workspace().run("image", "save", "-o", archive, f"dockerfile-table-{case.name}")
        try:
            return image_files.describe(archive, self.base)
        finally:
            os.unlink(archive)

    def test_1_every_case(self):
        for case in cases.CASES:
            with self.subTest(case=case.name):
                done = self.build(case)
                if case.error:
                    self.assertNotEqual(done.returncode, 0, f"it was built:\n{case.text}")
                    self.assertIn(case.error, done.stderr)
                    continue
                self.assertEqual(done.returncode, 0, done.stderr[-1500:])
                self.assertIn(case.name, self.expected)
                lines = difference(self.expected[case.name], self.image(case))
                self.assertFalse(lines, case.text + "\n  " + "\n  ".join(lines))

    def test_2_every_case_again_from_the_cache(self):
        """The second build of every file runs nothing and gives the same image."""
        for case in cases.CASES:
            if case.error or "--no-cache" in case.command:
                continue
            with self.subTest(case=case.name):
                name = f"dockerfile-table-{case.name}"
                before = workspace().run("image", "inspect", "--format", "{{.Id}}", name).stdout
                path = os.path.join(self.folder, case.name + ".yaml")
                done = workspace().run("-f", path, "build", check=False)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertNotIn("DONE", done.stderr)
                self.assertEqual(workspace().run("image", "inspect", "--format", "{{.Id}}", name).stdout, before)

    def test_3_nothing_is_left(self):
        self.assert_nothing_left(self.before)

    @unittest.skipUnless(os.environ.get("LONG") == "1", "takes minutes: set LONG=1")
    def test_4_docker_still_agrees(self):
        if reason := peers.why_not("docker", "version"):
            self.skipTest(reason)
        shared = peers.Shared("dockerfile-table")
        self.addCleanup(shared.remove)
        done = run([os.path.join(TABLE, "record"), "--check"], check=False, timeout=1800,
                   env={**os.environ, "DOCKER_RUN": peers.PEER, "DOCKER_WORK": f"{shared.here}:{shared.there}"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
