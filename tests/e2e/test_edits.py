"""Edits to a compose file recreate the services that Docker Compose recreates, no others."""
import os
import re
import sys

from compose import Project
from e2e import TestCase, needs_our_own, needs_root, workspace

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "data"))
import edits  # noqa: E402


def write(project, name, text):
    with open(os.path.join(project.directory, name), "w", encoding="utf-8") as file:
        file.write(text)


@needs_root
@needs_our_own
class Edits(TestCase):
    def test_recreate_what_docker_recreates(self):
        text = edits.BASE.replace("name: edits\n", "")
        project = Project.of_text(workspace(), "e2e-edits", text)
        self.addCleanup(lambda: project.down("-v", "-t", "0", check=False))
        os.makedirs(os.path.join(project.directory, "folder"), exist_ok=True)
        for name, content in edits.FILES.items():
            write(project, name, content)
        project.up()
        self.assertGreaterEqual(len(edits.EDITS), 60)
        for edit in edits.EDITS:
            original = text if edit["file"] == "compose.yaml" else edits.FILES[edit["file"]]
            self.assertIn(edit["old"], original)
            with self.subTest(edit["name"]):
                write(project, edit["file"], original.replace(edit["old"], edit["new"]))
                said = project.run("--dry-run", "up", "-d").stderr
                found = set(re.findall(r"Container (?:e2e-edits-)?(\w+?)(?:-1)? Recreated", said))
                self.assertEqual(sorted(found), sorted(edit["recreated"]))
                if edit["recreated"] != edit["docker"]:
                    self.assertTrue(edit["why"], "a difference from Docker Compose needs its reason")
            write(project, edit["file"], original)
        said = project.run("--dry-run", "up", "-d").stderr
        self.assertNotRegex(said, "Recreate|Creat")
