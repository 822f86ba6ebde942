"""What the shells offer at the press of Tab."""
import os
import shutil
import subprocess

import compose
from compose import Project
from e2e import TestCase, needs_our_own, workspace

STACK = """\
services:
  web: {image: busybox, env_file: missing.env}
  worker: {image: busybox, profiles: [batch]}
"""


@needs_our_own
class Completion(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Project.of_text(workspace(), "e2e-completion", STACK)
        os.makedirs(os.path.join(cls.project.directory, "folder"), exist_ok=True)
        bin_directory = os.path.join(cls.project.directory, ".bin")
        os.makedirs(bin_directory, exist_ok=True)
        for name in ("compose", "docker-compose"):
            link = os.path.join(bin_directory, name)
            if not os.path.lexists(link):
                os.symlink(compose.PROGRAM, link)
        cls.environment = {**cls.project.environment, "PATH": bin_directory + ":" + os.environ["PATH"]}

    def bash(self, *words):
        script = """
          eval "$(compose completion bash)"
          compopt() { :; }  # there is no line being edited
          COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _compose_complete; printf '%s\\n' "${COMPREPLY[@]}"
        """
        done = subprocess.run(["bash", "-c", script, "bash", *words], cwd=self.project.directory, env=self.environment,
                              capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_commands_and_flags(self):
        self.assertEqual(self.bash("compose", "unp"), ["unpause"])
        self.assertIn("--force-recreate", self.bash("compose", "up", "--f"))
        self.assertIn("prune", self.bash("compose", "image", ""))
        self.assertIn("up", self.bash("docker-compose", "-p", "x", "u"))

    def test_services_profiles_files(self):
        self.assertEqual(self.bash("compose", "up", "w"), ["web", "worker"])
        self.assertEqual(self.bash("compose", "--profile", ""), ["batch"])
        self.assertEqual(self.bash("compose", "scale", "we"), ["web="])
        self.assertEqual(self.bash("compose", "-f", "c"), ["compose.yaml"])
        self.assertEqual(self.bash("compose", "--project-directory", "f"), ["folder"])
        self.assertEqual(self.bash("compose", "exec", "web", "compose.y"), ["compose.yaml"])
        self.assertEqual(self.bash("compose", "cp", "web"), ["web:"])
        self.assertEqual(self.bash("compose", "--progress", "p"), ["plain"])

    def test_scripts_are_correct(self):
        for shell in ("bash", "zsh", "fish"):
            with self.subTest(shell=shell):
                script = self.project.run("completion", shell).stdout
                if not shutil.which(shell):
                    self.skipTest(f"{shell} is not installed")
                subprocess.run([shell, "-n"], input=script, text=True, check=True, capture_output=True)

    def test_manual_pages_have_every_command(self):
        folder = workspace().folder("man")
        self.project.run("__man", folder)
        pages = os.listdir(folder)
        self.assertIn("compose-up.1", pages)
        with open(os.path.join(folder, "compose-up.1"), encoding="utf-8") as file:
            text = file.read()
        self.assertIn("\\-\\-force\\-recreate", text)
        if shutil.which("man"):
            for page in pages:
                done = subprocess.run(["man", "--warnings", "-l", os.path.join(folder, page)], capture_output=True, text=True,
                                      env={**os.environ, "MANPAGER": "cat", "LC_ALL": "C.UTF-8"}, check=True)
                self.assertEqual(done.stderr, "", page)
