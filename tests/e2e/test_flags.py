"""Every command and flag of Docker Compose: known, with an effect, or refused with its reason (flag_table.py)."""
import json
import os
import unittest

import compose
from compose import TOP, Project
from e2e import TestCase, needs_our_own, needs_root, workspace
from flag_table import DEPRECATED, REFUSED, TABLE
from stack import free_port

LIST = os.path.join(TOP, "../shared/spec/cli.json")

FILES = {
    "compose.yaml": """\
services:
  web:
    image: busybox
    command: ["sh", "-c", "exec httpd -f -p 80 # a long tail of the command"]
    stop_signal: KILL
    ports: ["${PORT}:80"]
    depends_on: [db]
    env_file: [{path: web.env, required: false}]
  db:
    image: busybox
    command: sh -c "echo db says hello; exec sleep 1000"
    stop_signal: KILL
    environment: {WORD: "${WORD-one}"}
    volumes: ["data:/data", "/anon"]
  echo: {image: busybox, command: [sh, -c, "trap : USR1; while :; do cat; done"], stdin_open: true, stop_signal: KILL}
  ended: {image: busybox, command: "true"}
  job: {image: busybox, command: "true", profiles: [jobs], ports: ["8080"], stop_signal: KILL}
  built: {build: ./image, command: sleep 1000, stop_signal: KILL, profiles: [built]}
  extra: {image: busybox, profiles: [extra]}
volumes: {data: {}, unused: {}}
""",
    "restarts.yaml": """\
services:
  web: {image: busybox, command: sleep 1000, stop_signal: KILL, depends_on: {db: {condition: service_started, restart: true}}}
  db: {image: busybox, command: sleep 1000, stop_signal: KILL}
""",
    "other.yaml": "services: {other: {image: busybox, command: sleep 1000, stop_signal: KILL}}\n",
    "other.env": "WORD=from-other\n",
    "web.env": "FROM=file\n",
    "image/Dockerfile": "FROM busybox\nARG WORD=none\nRUN echo word is $WORD\n",
    "image/second/Dockerfile": "FROM busybox\n",
    "chat.yaml": """\
services:
  a: {image: busybox, command: echo from-a, depends_on: [b]}
  b: {image: busybox, command: echo from-b}
""",
    "jobs.yaml": """\
services:
  job: {image: busybox, command: sh -c "exit 3", depends_on: [long]}
  long: {image: busybox, command: sleep 1000, stop_signal: KILL}
""",
    "builds.yaml": """\
services:
  first: {build: {dockerfile_inline: "FROM busybox\\nRUN sleep 0.3"}, depends_on: []}
  second: {build: {dockerfile_inline: "FROM busybox\\nRUN sleep 0.3"}, depends_on: [first]}
""",
    "broken.yaml": "services: {web: {image: busybox, networks: [nowhere]}}\n",
    "far.yaml": "services: {web: {image: '127.0.0.1:1/app:1'}}\n",  # where nobody listens
    "models.yaml": "services: {web: {image: busybox, models: [llm]}}\nmodels: {llm: {model: ai/model}}\n",
    "unbuilt.yaml": "services: {web: {build: ./image}}\n",
    "slow.yaml": "services: {slow: {image: busybox, command: sh -c \"trap '' TERM; echo ready; while :; do sleep 1; done\", "
                 "stop_grace_period: 60s}}\n",
    "tty.yaml": "services: {shell: {image: busybox, command: sh, tty: true, stdin_open: true, stop_signal: KILL}}\n",
    "volume.yaml": """\
services: {db: {image: busybox, command: sleep 1000, volumes: ["data:/data"], stop_signal: KILL}}
volumes: {data: {driver_opts: {type: tmpfs, device: tmpfs, o: "size=1m,mode=${LABEL-755}"}}}
""",
    "small.yaml": """\
services: {one: {build: ./image/second, command: sleep 1000, volumes: ["data:/data", /anon], stop_signal: KILL}}
volumes: {data: {}}
""",
    "polite.yaml": "services: {polite: {image: busybox, command: sh -c \"trap 'exit 9' INT; while :; do echo here; sleep 0.1; "
                   "done\", stop_signal: KILL}}\n",
    "brief.yaml": "services: {brief: {image: busybox, command: sh -c 'sleep 1; exit 7'}}\n",
    "health.yaml": "services: {web: {image: busybox, command: sleep 1000, stop_signal: KILL, healthcheck: "
                   "{test: 'true', interval: 1s, start_interval: 100ms, start_period: 5s}}}\n",
    "never.yaml": "services: {web: {image: busybox, command: sleep 1000, stop_signal: KILL, healthcheck: "
                  "{test: 'false', interval: 60s}}}\n",
}


def described():
    return json.loads(compose.run([compose.PROGRAM, "__describe"]).stdout)


@needs_our_own
class Table(unittest.TestCase):
    """Needs no root."""

    @unittest.skipUnless(os.path.exists(LIST), f"the list of Docker Compose's flags ({LIST}) is not here")
    def test_has_every_command_and_flag_of_docker_compose(self):
        with open(LIST, encoding="utf-8") as file:
            commands = json.load(file)["commands"]
        missing = [f"{name} --{flag}" for name, command in commands.items() for flag in command["flags"]
                   if flag not in TABLE.get(name, {})]
        missing += [name for name, command in commands.items()
                    if not command["flags"] and name not in TABLE and not any(other.startswith(name + " ") for other in TABLE)]
        self.assertEqual(missing, [])

    def test_every_row_is_a_flag_of_ours(self):
        ours = described()
        for name, rows in TABLE.items():
            flags = ours["" if name == "(root)" else name]["flags"]
            inherited = ours[""]["flags"]
            unknown = [flag for flag in rows if flag and flag not in flags and flag not in inherited and flag != "version"]
            self.assertEqual(unknown, [], name)

    def test_what_is_refused_gives_its_reason(self):
        ours = described()
        for name, command in ours.items():
            for flag, details in command["flags"].items():
                if not details["refused"]:
                    self.assertNotEqual(TABLE.get(name, {}).get(flag), REFUSED, f"{name} --{flag} works: give it a row")
                    continue
                row = TABLE.get(name or "(root)", {}).get(flag, REFUSED)
                self.assertIn(row, (REFUSED, None), f"{name} --{flag} is refused: {details['refused']}")
                value = ["x"] if details["takes_value"] else []
                done = compose.run([compose.PROGRAM, *name.split(), f"--{flag}", *value], check=False)
                self.assertEqual(done.returncode, 1, f"{name} --{flag}")
                self.assertIn(details["refused"], done.stderr)

    def test_unknown_flags_and_commands_are_errors_with_a_guess(self):
        for words, guess in ((("up", "--detatch"), "--detach"), (("--projekt-name", "x", "up"), "--project-name"),
                             (("strat",), "start"), (("image", "prun"), "prune")):
            done = compose.run([compose.PROGRAM, *words], check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("unknown", done.stderr)
            if guess:
                self.assertIn(f"did you mean {guess}" if guess.startswith("-") else f'did you mean "{guess}"', done.stderr)

    def test_every_command_has_help(self):
        for name in described():
            done = compose.run([compose.PROGRAM, *name.split(), "--help"])
            self.assertIn("Usage:", done.stdout)


@needs_root
@needs_our_own
class Effects(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.before = workspace().snapshot()
        cls.project = Project.of_text(workspace(), "e2e-flags", "services: {}\n")
        cls.project.environment["PORT"] = str(free_port())
        for name, text in FILES.items():
            path = os.path.join(cls.project.directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        cls.addClassCleanup(cls.take_down)
        cls.project.run("build", "built")
        cls.project.up()
        cls.project.run("-f", "tty.yaml", "-p", "e2e-flags-tty", "up", "-d")
        cls.project.run("-f", "chat.yaml", "-p", "e2e-flags-ended", "up", "-d")
        cls.project.run("-f", "health.yaml", "-p", "e2e-flags-health", "create")
        cls.project.run("-f", "never.yaml", "-p", "e2e-flags-never", "create")

    @classmethod
    def take_down(cls):
        for name in workspace().run("ls", "-aq").stdout.split():
            if name.startswith("e2e-flags"):
                cls.project.run("-f", "other.yaml", "-p", name, "down", "-v", "-t", "0", "--remove-orphans", check=False)
        for image in ("e2e-flags-built", "e2e-flags-first", "e2e-flags-second"):
            workspace().run("image", "rm", "-f", image, check=False)

    def walk(self, name):
        flags = described()["" if name == "(root)" else name]["flags"]
        for flag, row in TABLE[name].items():
            with self.subTest(flag=f"{name} --{flag}"):
                details = flags.get(flag)
                if row == DEPRECATED:
                    done = self.project.run(*name.split(), f"--{flag}", "--dry-run", check=False)
                    self.assertNotEqual(details["deprecated"], "")
                    self.assertIn(details["deprecated"], done.stderr)
                elif row is None or row == REFUSED:  # elsewhere: Table above, or the tests of registries
                    continue
                else:
                    row.check(self, self.project)


def _add_walks():
    for place, name in enumerate(TABLE):
        def test(self, name=name):
            self.walk(name)
        word = name.replace(" ", "_").replace("-", "_").strip("()")
        setattr(Effects, f"test_{place + 1:02d}_{word}", test)


_add_walks()


@needs_root
@needs_our_own
class ZNothingIsLeft(TestCase):
    def test_after_all_flags(self):
        self.assert_nothing_left(Effects.before)
