"""Side by side with Docker Compose: the same command lines on the same project.

Where ../shared/peers is up, each line of the table runs with both programs. Exit codes are equal; so is what a line's
kind says: "same" output up to ids, times and addresses ("sorted": in any order), "json" the same objects, "keys" the same
keys in them, "table" and "columns" the same columns, "count" the same number of lines, "code" the exit code alone.
"""
import json
import os
import re
import unittest

import compose
import peers
from compose import Project
from e2e import TestCase, needs_root, workspace

NAME = "cli-peer"  # of the project, in both

FILES = {
    "compose.yaml": """\
services:
  web:
    image: busybox
    command: sh -c "echo web is here; exec httpd -f -p 80"
    stop_signal: KILL
    ports: ["80"]
    depends_on: [db]
    labels: {a.label: of web}
  db:
    image: busybox
    command: sh -c "echo one; echo two; exec sleep 1000"
    stop_signal: KILL
    environment: {WORD: "${WORD-default}"}
    volumes: ["data:/data"]
  job:
    image: busybox
    command: sh -c "echo job output; exit ${CODE-3}"
    profiles: [jobs]
volumes: {data: {}}
networks: {default: {}}
""",
    "broken.yaml": "services: {web: {image: busybox, no_such_key: 1}}\n",
    "chat.yaml": "services: {only: {image: busybox, command: echo said once}}\n",
}

# Keys that a newer Docker Compose has too, or whose values tell one host from another.
VOLATILE = {"ID", "CreatedAt", "RunningFor", "Created", "Size", "Status", "Networks", "Labels", "LocalVolumes", "Mounts",
            "ConfigFiles", "LastTagTime", "Publishers", "Ports", "Repository", "Platform"}

STATES = "ps -a --format {{.Service}}:{{.State}}"

LINES = [
    # what the files mean
    ("config --services", "sorted"), ("config --volumes", "same"), ("config --images", "sorted"),
    ("config --profiles", "same"), ("config -q", "same"), ("config --hash db", "same"), ("config --format json", "code"),
    ("-f broken.yaml config -q", "code"), ("-f missing.yaml config", "code"), ("config --no-such-flag", "code"),
    ("no-such-command", "code"), ("--profile jobs config --services", "sorted"), ("config nobody", "code"),
    ("config --format yaml -q", "code"), ("config --format nonsense", "code"), ("config --no-interpolate -q", "same"),
    ("config --no-normalize -q", "same"), ("config --hash *", "sorted"), ("config --hash nobody", "code"),
    ("config -o written.yaml", "same"), ("config --services db", "sorted"), ("config --volumes --format json", "code"),
    ("version --format json", "keys"), ("version --format nonsense", "code"), ("help up", "code"), ("up --help", "code"),
    ("ls extra", "code"), ("ls --format nonsense", "code"), ("ls --filter nonsense", "code"), ("ls --filter status=x", "code"),
    # nothing there yet
    ("ps", "table"), ("ps -q", "same"), ("ps -a --format json", "same"), ("images -q", "same"), ("top", "code"),
    ("port web 80", "code"), ("exec -T db true", "code"), ("stop", "code"), ("logs", "same"), ("up -d nobody", "code"),
    ("images", "table"), ("images --format json", "same"), ("kill", "code"), ("pause", "code"), ("restart", "code"), ("rm -f", "code"),
    ("start", "code"), ("cp db:/x .", "code"), ("down --rmi nonsense", "code"), ("wait db", "code"), ("scale db", "code"),
    ("scale nobody=1", "code"), ("scale db=x", "code"), ("attach db", "code"), ("run", "code"), ("exec db", "code"), ("port web", "code"),
    # flags that exclude each other, values that are none
    ("up -d --abort-on-container-exit", "code"), ("up -d --attach db", "code"), ("up --wait --abort-on-container-exit", "code"),
    ("up -d --build --no-build", "code"), ("create --build --no-build", "code"), ("up --attach db --attach-dependencies", "code"),
    ("up -d --scale web", "code"), ("up -d --scale nobody=2", "code"), ("up -d --scale web=x", "code"),
    ("up --exit-code-from nobody", "code"), ("up -d --timeout x", "code"), ("up -d --pull nonsense", "code"),
    ("create --pull nonsense", "code"), ("--progress nonsense up -d", "code"), ("--ansi nonsense ps", "code"),
    ("--parallel x ps", "code"),
    # made and started
    ("create", "code"), ("ps -a --format {{.Service}}:{{.State}}", "sorted"), ("start", "code"), ("up -d", "code"),
    ("up -d", "code"), ("ps", "table"), ("ps -a", "table"), ("ps --format json", "json"), ("ps --services", "sorted"),
    ("ps -q", "count"), ("ps --status running --services", "sorted"), ("ps --filter status=exited -q", "same"),
    ("ps --status nonsense", "code"), ("ps --format {{.Name}}|{{.Image}}|{{.Service}}|{{.State}}", "sorted"),
    ("ps nobody", "code"), ("images", "table"), ("images --format json", "keys"),
    ("ls --filter name=^cli-peer$", "table"), ("ls --filter name=^cli-peer$ --format json", "json"), ("ls -q --filter name=cli-peer", "same"),
    ("ps --no-trunc", "table"), ("ps --format table", "table"), ("ps --format table\u00a0{{.Service}}\\t{{.State}}", "sorted"),
    ("ps --format nonsense", "same"), ("ps --filter nonsense", "code"), ("ps --filter name=x", "code"), ("ps --orphans=false -q", "count"),
    ("ps --filter status=running --services", "sorted"), ("ps --status exited --status running --services", "sorted"),
    ("-f chat.yaml ps --services", "sorted"), ("-f chat.yaml ps --orphans=false -q", "same"),
    ("images -q", "count"), ("images -q db", "count"), ("images --format table", "table"), ("images nobody", "code"),
    ("ls -a --filter name=^cli-peer$ --format json", "json"), ("ls -q --filter name=no-such-project", "same"),
    ("stats --no-stream", "columns-of-stats"), ("stats --no-stream --format {{.Name}}", "sorted"),
    ("stats --no-stream --format json", "keys"), ("stats --no-stream nobody", "code"),
    # looking in
    ("port web 80", "same"), ("port web 81", "code"), ("port nobody 80", "code"),
    ("exec -T db echo hello", "same"), ("exec -T db sh -c exit\u00a042", "same"), ("exec -T db no-such-program", "code"),
    ("exec -T db /etc/passwd", "code"), ("exec -T nobody true", "code"), ("exec -T --index 7 db true", "code"),
    ("exec -T -u 1000 -w /tmp db pwd", "same"), ("exec -T -e X=given db sh -c echo\u00a0$X", "same"),
    ("exec -T db", "code"), ("logs --no-log-prefix db", "same"), ("logs --no-color db", "same"),
    ("logs --no-log-prefix -n 1 db", "same"), ("logs nobody", "code"), ("top db", "columns"), ("top nobody", "code"),
    ("port --index 1 web 80", "same"), ("port --index 2 web 80", "code"), ("port --protocol udp web 80", "code"),
    ("port --protocol tcp web 80", "same"), ("port web x", "code"), ("port db 80", "code"),
    ("exec -T --privileged db grep CapEff /proc/self/status", "same"), ("exec -T db grep CapEff /proc/self/status", "same"),
    ("exec -T -w /no/such/folder db pwd", "code"), ("exec -T -u no-such-user db id", "code"), ("exec -T -u 12:34 db id -g", "same"),
    ("exec -T db sh -c kill\u00a0-9\u00a0$$", "same"), ("exec -T db sh -c kill\u00a0$$", "same"), ("exec -d db true", "same"),
    ("exec -T -e A=1 -e B=2 db sh -c echo\u00a0$A$B", "same"), ("exec -T --index 1 db echo x", "same"),
    ("logs --tail nonsense db", "code"), ("logs --since nonsense db", "code"), ("logs --until nonsense db", "code"),
    ("logs --since 2100-01-01T00:00:00Z db", "same"), ("logs --until 2001-01-01T00:00:00Z db", "same"),
    ("logs --no-log-prefix -t -n 1 db", "count"), ("logs -n 0 db", "same"), ("logs --index 1 --no-log-prefix db", "same"),
    # run
    ("run --rm -T db echo from run", "out"), ("run --rm -T db sh -c exit\u00a09", "code"),
    ("run --rm -T --entrypoint echo db a b", "out"), ("run --rm -T -e X=given db sh -c echo\u00a0$X", "out"),
    ("run --rm -T nobody", "code"), ("run --rm -T job", "out"), ("run", "code"),
    ("run --rm -T -u 1000:1000 -w /tmp db sh -c id\u00a0-u;pwd", "out"), ("run --rm -T --no-deps web echo x", "out"),
    ("run --rm -T -v data:/other db ls -d /other", "out"), ("run --rm -T -v ./chat.yaml:/f db ls /f", "out"),
    ("run --rm -T -v chat.yaml db true", "code"), ("run --rm -T -v data/../x:/f db true", "code"), ("run --rm -T -v /anonymous db ls -d /anonymous", "out"),
    ("run --rm -T --cap-drop ALL db grep CapEff /proc/self/status", "out"),
    ("run --rm -T --cap-add SYS_TIME db grep CapEff /proc/self/status", "out"), ("run --rm -T --name cli-peer-named db hostname", "count"),
    ("run --rm -T -p 127.0.0.1::80 web true", "out"), ("run --rm -T --service-ports web echo x", "out"),
    ("run --rm -T --use-aliases db echo x", "out"), ("run --rm -T --quiet-pull --build db echo x", "out"),
    ("run --rm -T -e HOME db sh -c echo\u00a0$HOME", "code"), ("run --rm -T db no-such-program", "code"), ("run --no-such-flag db", "code"),
    # life
    ("pause db", "code"), ("ps -a --format {{.State}} db", "same"), ("unpause db", "code"), ("stop -t 0 web", "code"),
    ("ps -a --status exited --services", "same"), ("start web", "code"), ("restart -t 0 web", "code"),
    ("kill -s KILL web", "code"), ("ps -a --format {{.Service}}:{{.ExitCode}} web", "same"), ("rm -f web", "code"),
    ("kill nobody", "code"), ("up -d --scale db=2", "code"), ("ps -q", "count"), ("scale db=1", "code"),
    ("ps --services", "sorted"), ("cp compose.yaml db:/tmp/copied", "code"), ("exec -T db cat /tmp/copied", "same"),
    ("cp db:/no/such/file .", "code"), ("up -d --force-recreate --no-deps db", "code"), ("up -d --no-recreate --force-recreate", "code"),
    ("up -d -V --no-recreate", "code"),
    # containers of run beside those of the service
    ("run -d db sleep 1000", "count"), ("run db true", "code"), ("pause db", "code"), (STATES, "sorted"), ("unpause db", "code"),
    ("restart -t 0 db", "code"), (STATES, "sorted"), ("rm -sf db", "code"), (STATES, "sorted"), ("up -d", "code"),
    ("kill db", "code"), (STATES, "sorted"), ("rm -f", "code"), (STATES, "sorted"), ("up -d", "code"),
    ("wait nobody", "code"), ("down --remove-orphans", "code"), ("ps -aq", "same"), ("down", "code"),
    # attached
    ("up --exit-code-from job job", "code"), ("up --abort-on-container-exit job", "code"),
    ("-f chat.yaml up --no-log-prefix", "code"), ("-f chat.yaml up --no-color", "code"), ("-f chat.yaml down", "code"),
    ("down -v --remove-orphans", "code"),
]


# Where we differ, and why. What is newer is so in the newest Docker Compose, which is younger than Debian's.
DEPARTURES = {
    "logs --tail nonsense db": "a number that is none is an error, not everything",
    "run --rm -T db no-such-program": "127, as docker run says it",
    "run --rm -T -v ./chat.yaml:/f db ls /f": "a path may be relative, as in docker run; only whole ones work there",
    "images --format table": "as images", "images nobody": "as ps nobody",
    "config --services db": "the services that are named are heeded, not ignored",
    "version --format nonsense": "a format that does not exist is an error, not the default",
    "--ansi nonsense ps": "as version --format nonsense",
    "help up": "shows the help of up",
    "ls --format nonsense": "takes templates, too",
    "up -d -V --no-recreate": "newer: the flags contradict each other",
    "config --images": "an image that two services use is named once",
    "ps --status nonsense": "a state that does not exist is an error, not an empty list",
    "ps nobody": "a service that does not exist is an error, not an empty list",
    "logs nobody": "as ps", "top nobody": "as ps", "kill nobody": "as ps",
    "images": "newer: PLATFORM and CREATED",
    "top db": "newer: SERVICE and #",
    "stats --no-stream --format json": "the service is named, too",
    "stats --no-stream nobody": "as ps nobody",
    "exec -T db no-such-program": "127, as shells and docker run say it, not 126",
}


def words(line):
    return [word.replace("\u00a0", " ") for word in line.split(" ")]


def plain(text):
    """Without what differs from run to run."""
    text = text.replace("\x1b[2K", "")  # Debian's erases lines it never wrote, also in a pipe
    text = re.sub(r"\b[0-9a-f]{64}\b", "<id>", text)
    text = re.sub(r"\b(0\.0\.0\.0|\[::\]|127\.0\.0\.1):\d+\b", "<address>", text)
    return "\n".join(line.rstrip() for line in text.splitlines())


def objects(text):
    text = text.strip()
    if text.startswith("["):
        return json.loads(text)
    return [json.loads(line) for line in text.splitlines()]


class Seen:
    """What a line gave, in the form its kind compares."""

    def __init__(self, kind, done):
        out = plain(done.stdout)
        # 14 to 18 were kinds of errors; the newest Docker Compose has 1 for all.
        self.code = 1 if 14 <= done.returncode <= 18 else done.returncode
        self.value = {
            "code": lambda: None, "same": lambda: out, "out": lambda: out, "sorted": lambda: sorted(out.split("\n")),
            "count": lambda: len(out.splitlines()), "table": lambda: out.split("\n")[0].split("  ")[0:1] + re.split(r"\s{2,}", out.split("\n")[0]),
            "columns-of-stats": lambda: re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", next(line for line in out.split("\n") if "CPU" in line)).split(),
            "columns": lambda: next((line.split() for line in out.split("\n") if "PID" in line), out),
            "json": lambda: sorted(json.dumps({key: value for key, value in one.items() if key not in VOLATILE}, sort_keys=True)
                                   for one in objects(done.stdout)),
            "keys": lambda: sorted({key for one in objects(done.stdout) for key in one} - VOLATILE),
        }[kind]() if done.returncode == 0 else None

    def __eq__(self, other):
        return (self.code, self.value) == (other.code, other.value)

    def __repr__(self):
        return f"exit code {self.code}: {self.value}"


@needs_root
class SideBySide(TestCase):
    @classmethod
    def setUpClass(cls):
        if reason := peers.why_not("docker", "compose", "version"):
            raise unittest.SkipTest(reason)
        cls.project = Project.of_text(workspace(), NAME, FILES["compose.yaml"])
        cls.shared = peers.Shared(NAME)
        for folder in (cls.project.directory, cls.shared.here):
            os.makedirs(folder, exist_ok=True)
            for name, text in FILES.items():
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    file.write(text)
        cls.addClassCleanup(cls.shared.remove)
        cls.addClassCleanup(lambda: cls.theirs("down -v --remove-orphans -t 0"))
        cls.addClassCleanup(lambda: cls.ours("down -v --remove-orphans -t 0"))

    @classmethod
    def ours(cls, line):
        return compose.run([compose.PROGRAM, "-p", NAME, *words(line)], check=False, cwd=cls.project.directory,
                           env=cls.project.environment)

    @classmethod
    def theirs(cls, line):
        return cls.shared.run("docker", "compose", "-p", NAME, *words(line), check=False)

    def test_the_same_lines(self):
        self.assertGreaterEqual(len(LINES), 60)
        for line, kind in LINES:
            theirs, ours = self.theirs(line), self.ours(line)
            with self.subTest(line=line):
                shown = f"\n--- ours\n{ours.stdout}{ours.stderr}\n--- theirs\n{theirs.stdout}{theirs.stderr}"
                if line in DEPARTURES:
                    self.assertNotEqual(Seen(kind, ours), Seen(kind, theirs), "no departure any more:" + shown)
                else:
                    self.assertEqual(Seen(kind, ours), Seen(kind, theirs), shown)
