"""The environment variables of docs/environment.md: each has its effect, from the environment and from .env."""
import json
import os
import unittest

import compose
from compose import TOP, Project
from e2e import TestCase, needs_our_own, needs_root, workspace
from terminal import Terminal

LIST = os.path.join(TOP, "../shared/spec/cli.json")

STACK = """\
services:
  web: {image: busybox, command: echo said by web}
  other: {image: busybox, profiles: [extra]}
  built: {profiles: [build], build: {dockerfile_inline: "FROM scratch\\nLABEL a=b"}}
"""


class WithProject(TestCase):
    NAME = ""

    @classmethod
    def setUpClass(cls):
        cls.project = Project.of_text(workspace(), cls.NAME, STACK)
        cls.write("more.yaml", "services: {more: {image: busybox}}\n")
        cls.write("other.env", "X=y\n")

    @classmethod
    def write(cls, name, text):
        with open(os.path.join(cls.project.directory, name), "w", encoding="utf-8") as file:
            file.write(text)

    def run_with(self, variables, *arguments, named=True, **options):
        options_of_project = self.project.options if named else []
        return compose.run([compose.PROGRAM, *options_of_project, *arguments], cwd=self.project.directory, check=False,
                           env={**self.project.environment, **variables}, **options)

    def both_ways(self, variable, value, *arguments, **options):
        """The results without the variable, with it in the environment, and with it in .env."""
        plain = self.run_with({}, *arguments, **options)
        given = self.run_with({variable: value}, *arguments, **options)
        self.write(".env", f"{variable}={value}\n")
        self.addCleanup(self.write, ".env", "")
        from_file = self.run_with({}, *arguments, **options)
        overridden = self.run_with({variable: "" if variable.startswith("COMPOSE_P") else "0"}, *arguments, **options)
        self.write(".env", "")
        return plain, given, from_file, overridden


@needs_our_own
class OfFiles(WithProject):
    """Needs no root."""
    NAME = "e2e-environment-files"

    @unittest.skipUnless(os.path.exists(LIST), f"the list of Docker Compose's variables ({LIST}) is not here")
    def test_every_variable_of_docker_compose_is_documented(self):
        with open(LIST, encoding="utf-8") as file:
            names = json.load(file)["environment"]
        with open(os.path.join(TOP, "docs/environment.md"), encoding="utf-8") as file:
            text = file.read()
        self.assertEqual([name for name in names if f"`{name}`" not in text], [])

    def services(self, variables, *flags, **options):
        return sorted(self.run_with(variables, *flags, "config", "--services", **options).stdout.split())

    def test_which_files_and_services(self):
        self.assertEqual(self.services({}), ["web"])
        self.assertEqual(self.services({"COMPOSE_FILE": "compose.yaml:more.yaml"}), ["more", "web"])
        self.assertEqual(self.services({"COMPOSE_FILE": "compose.yaml,more.yaml", "COMPOSE_PATH_SEPARATOR": ","}), ["more", "web"])
        self.assertEqual(self.services({"COMPOSE_PROFILES": "extra,none"}), ["other", "web"])
        name = self.run_with({"COMPOSE_PROJECT_NAME": "from-variable"}, "config", named=False).stdout
        self.assertIn("name: from-variable", name)

    def test_env_files(self):
        self.write("compose.env.yaml", "services: {web: {image: busybox, environment: {X: '${X-none}'}}}\n")
        self.write(".env", "X=from-dotenv\n")
        self.addCleanup(self.write, ".env", "")
        for variables, expected in (({}, "from-dotenv"), ({"COMPOSE_DISABLE_ENV_FILE": "1"}, "none"), ({"COMPOSE_ENV_FILES": "other.env"}, '"y"')):
            with self.subTest(variables=variables):
                self.assertIn(f"X: {expected}", self.run_with(variables, "-f", "compose.env.yaml", "config").stdout)

    def test_values_that_are_none(self):
        for name, word in (("COMPOSE_ANSI", "--ansi"), ("COMPOSE_PROGRESS", "progress"), ("COMPOSE_PARALLEL_LIMIT", "must be an integer")):
            with self.subTest(name=name):
                plain, given, from_file, _ = self.both_ways(name, "nonsense", "config", "-q")
                self.assertEqual((plain.returncode, given.returncode, from_file.returncode), (0, 1, 1))
                self.assertIn(word, from_file.stderr)

    def test_the_env_file_beside_the_files_counts_from_a_folder_below(self):
        self.write(".env", "COMPOSE_PARALLEL_LIMIT=nonsense\n")
        self.addCleanup(self.write, ".env", "")
        below = os.path.join(self.project.directory, "below")
        os.makedirs(below, exist_ok=True)
        done = compose.run([compose.PROGRAM, "config", "-q"], cwd=below, check=False, env=self.project.environment)
        self.assertEqual(done.returncode, 1)
        self.assertIn("must be an integer", done.stderr)


@needs_root
@needs_our_own
class OfCommands(WithProject):
    NAME = "e2e-environment"

    @classmethod
    def setUpClass(cls):
        cls.before = workspace().snapshot()
        super().setUpClass()
        cls.addClassCleanup(lambda: cls.project.run("down", "-t", "0", "--rmi", "local", check=False))
        cls.project.run("create")

    def shown(self, variable, value, pattern, *arguments, stream="stderr", inverted=False):
        """The pattern is seen with the variable only, or (inverted) without it only."""
        plain, given, from_file, overridden = self.both_ways(variable, value, *arguments)
        seen = [pattern in getattr(one, stream) for one in (plain, given, from_file, overridden)]
        self.assertEqual(seen, [inverted, not inverted, not inverted, inverted], f"{given.stdout}{given.stderr}")

    def test_effects(self):
        dry = ("--dry-run", "up", "-d", "--force-recreate")
        orphans = ("-f", "more.yaml", "--dry-run", "up", "-d")
        self.shown("COMPOSE_PROGRESS", "json", '"id":', *dry)
        self.shown("COMPOSE_STATUS_STDOUT", "1", "Recreated", *dry, stream="stdout")
        self.shown("COMPOSE_REMOVE_ORPHANS", "1", "web-1 Removed", *orphans)
        self.shown("COMPOSE_IGNORE_ORPHANS", "1", "orphan", *orphans, inverted=True)
        self.shown("COMPOSE_COMPATIBILITY", "1", "e2e-environment_web_1", *dry)

    def test_colours(self):
        self.project.run("start")
        logs = ("logs", "web")
        self.assertIn("\x1b[", self.run_with({"COMPOSE_ANSI": "always"}, *logs).stdout)
        self.assertNotIn("\x1b[", self.run_with({}, *logs).stdout)

        def in_terminal(**variables):
            terminal = Terminal([compose.PROGRAM, *self.project.options, *logs], {**self.project.environment, **variables},
                                self.project.directory)
            self.addCleanup(terminal.close)
            self.assertEqual(terminal.wait(), 0)
            return terminal.screen
        self.assertIn("\x1b[", in_terminal())
        self.assertNotIn("\x1b[", in_terminal(NO_COLOR="1"))
        self.assertNotIn("\x1b[", in_terminal(COMPOSE_ANSI="never"))

    def test_menu(self):
        for value, expected in (("1", True), ("0", False)):
            up = Terminal([compose.PROGRAM, *self.project.options, "up"], {**self.project.environment, "COMPOSE_MENU": value},
                          self.project.directory)
            self.addCleanup(up.close)
            up.wait()
            self.assertEqual("Detach" in up.screen, expected, up.screen)

    def test_platform(self):
        for place in ("environment", "file"):
            variables = {"DOCKER_DEFAULT_PLATFORM": "linux/arm64"} if place == "environment" else {}
            self.write(".env", "" if variables else "DOCKER_DEFAULT_PLATFORM=linux/s390x\n")
            self.addCleanup(self.write, ".env", "")
            done = self.run_with(variables, "build", "built")
            self.assertEqual(done.returncode, 1)  # it cannot be had here, and that is said
            self.assertIn('not for "linux/arm64"' if variables else 'not for "linux/s390x"', done.stderr)

    def test_zz_nothing_is_left(self):
        self.project.run("down", "-t", "0", "--rmi", "local")
        self.assert_nothing_left(self.before)
