"""What the shells offer at the press of Tab."""
import os
import re
import shutil
import subprocess

import compose
from compose import Project
from e2e import TestCase, needs_our_own, needs_root, workspace
from terminal import Terminal

STACK = """\
services:
  web: {image: busybox, env_file: missing.env}
  worker: {image: busybox, profiles: [batch]}
"""




def with_programs(project):
    """A folder with something to complete, and the program on the path under both its names."""
    os.makedirs(os.path.join(project.directory, "folder"), exist_ok=True)
    with open(os.path.join(project.directory, "other.yaml"), "w", encoding="utf-8") as file:
        file.write("services: {solo: {image: busybox}}\n")
    bin_directory = os.path.join(project.directory, ".bin")
    os.makedirs(bin_directory, exist_ok=True)
    for name in ("compose", "docker-compose"):
        link = os.path.join(bin_directory, name)
        if not os.path.lexists(link):
            os.symlink(compose.PROGRAM, link)
    return {**project.environment, "PATH": bin_directory + ":" + os.environ["PATH"]}


@needs_our_own
class Completion(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Project.of_text(workspace(), "e2e-completion", STACK)
        cls.environment = with_programs(cls.project)

    def bash(self, *words):
        script = """
          eval "$(compose completion bash)"
          compopt() { :; }  # there is no line being edited
          COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
          _compose_complete; printf '%s\\n' "${COMPREPLY[@]}"
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

    def test_places(self):
        self.assertEqual(self.bash("compose", "up", "web", "w"), ["worker"])  # each once
        self.assertEqual(self.bash("compose", "port", "web", ""), [])
        self.assertEqual(self.bash("compose", "attach", "web", "w"), [])
        self.assertEqual(self.bash("compose", "stop", "-t", ""), [])
        self.assertEqual(self.bash("compose", "config", "--format", ""), ["yaml", "json"])
        self.assertEqual(self.bash("compose", "graph", "--format", ""), ["tree", "mermaid", "dot"])
        self.assertEqual(self.bash("compose", "ps", "--format", ""), ["table", "json"])
        self.assertEqual(self.bash("compose", "exec", "-T", "web", "ls", "--i"), [])  # flags of ls are not ours
        self.assertEqual(self.bash("compose", "up", "--", "wo"), ["worker"])
        self.assertEqual(self.bash("compose", "-fother.yaml", "up", ""), ["solo"])
        self.assertEqual(self.bash("compose", "-f", "'other.yaml'", "up", ""), ["solo"])

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
        if shutil.which("groff"):
            done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-Kutf8", *(os.path.join(folder, page) for page in pages)],
                                  capture_output=True, text=True, check=True)
            self.assertEqual(done.stderr, "")
            self.assertGreaterEqual(len(re.findall(r"(?m)^COMPOSE", done.stdout)), len(pages))


@needs_our_own
class InShells(TestCase):
    """What becomes of a line at the press of Tab, in real shells."""
    SETUP = {
        "bash": (["--norc", "--noprofile", "-i"], 'eval "$(compose completion bash)"'),
        "zsh": (["-f", "-i"], 'autoload -Uz compinit; compinit -u -D; eval "$(compose completion zsh)"'),
        # As it is when installed: a file on the function path.
        "zsh installed": (["-f", "-i"], "mkdir -p functions; compose completion zsh > functions/_compose; fpath=($PWD/functions $fpath); "
                                        "autoload -Uz compinit; compinit -u -D"),
        "fish": (["--no-config", "-i"], "compose completion fish | source"),
    }
    LINES = (
        ("compose unp", "compose unpause"), ("docker-compose unp", "docker-compose unpause"),
        ("compose image pru", "compose image prune"), ("compose help unp", "compose help unpause"),
        ("compose up --force-r", "compose up --force-recreate"), ("compose --profile b", "compose --profile batch"),
        ("compose up wo", "compose up worker"), ("compose -f other.yaml up s", "compose -f other.yaml up solo"),
        ("compose --file=other.yaml up s", "compose --file=other.yaml up solo"),
        ("compose --file=o", "compose --file=other.yaml"), ("compose -f c", "compose -f compose.yaml"),
        ("compose --progress=pl", "compose --progress=plain"),
        ("compose --project-directory fo", "compose --project-directory folder"),
        ("compose scale wo", "compose scale worker="), ("compose cp wo", "compose cp worker:"),
        ("compose exec web oth", "compose exec web other.yaml"),
    )

    @classmethod
    def setUpClass(cls):
        cls.project = Project.of_text(workspace(), "e2e-completion-shells", STACK)
        cls.environment = {**with_programs(cls.project), "TERM": "xterm", "HOME": cls.project.directory,
                           "XDG_CONFIG_HOME": cls.project.directory, "XDG_DATA_HOME": cls.project.directory}

    def shell(self, name):
        program = shutil.which(name.split()[0])
        if not program:
            self.skipTest(f"{name} is not installed")
        flags, setup = self.SETUP[name]
        shell = Terminal([program, *flags], self.environment, self.project.directory, columns=200)
        self.addCleanup(shell.close)
        shell.type(setup + "; printf '<%s>' ready\n")
        shell.until("<ready>")
        return shell

    @staticmethod
    def completed(shell, line):
        """The line after Tab: its beginning is made a printf (Ctrl-A), and its end (Ctrl-E) closes the quotes."""
        shell.type(line + "\t\x01printf '<%s>' \"\x05\"\n")
        return re.search("<([^<>%]*)>$", shell.until("<[^<>%]*>")).group(1).rstrip(" /")  # zsh takes back a slash it added

    def walk(self, name):
        shell = self.shell(name)
        for line, expected in self.LINES:
            with self.subTest(shell=name, line=line):
                self.assertEqual(self.completed(shell, line), expected)
        shell.type("compose up w\t\t")
        shell.until(r"web\b[\s\S]*worker\b")

    def test_bash(self):
        self.walk("bash")

    def test_zsh(self):
        self.walk("zsh")

    def test_zsh_installed(self):
        self.walk("zsh installed")

    def test_fish(self):
        self.walk("fish")

    @needs_root
    def test_projects(self):
        made = Project.of_text(workspace(), "e2e-tab-made", "services: {web: {image: busybox, command: 'true'}}\n")
        self.addCleanup(made.down)
        made.run("create")
        for name in self.SETUP:
            with self.subTest(shell=name):
                self.assertEqual(self.completed(self.shell(name), "compose -p e2e-t"), "compose -p e2e-tab-made")
