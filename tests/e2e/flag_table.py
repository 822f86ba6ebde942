"""What each flag of Docker Compose does here: one row for each command and flag.

A row is a command line and what shows that the flag had its effect; a flag that is refused or does nothing any more
has the word for it, and the walk then looks for the reason in what the program says. What needs a registry or a watch
that runs is tried in the test that has one; the row names the words there.
"""
import json
import os
import re
import signal
import subprocess
import time

from compose import Lines, wait_until
from terminal import Terminal

REFUSED = "refused"        # giving it fails, with the reason from the program's own table
DEPRECATED = "deprecated"  # giving it prints the reason from the program's own table


class Row:
    """compose ARGUMENTS: exit code `code`, and `out` (a pattern) in what it says; not in what `without` says."""

    def __init__(self, *arguments, out=None, absent=None, without=None, code=0, environment=None, stdin=None):
        self.arguments, self.out, self.absent, self.without = arguments, out, absent, without
        self.code, self.environment, self.stdin = code, environment, stdin

    def run(self, project, arguments):
        environment = {**project.environment, **(self.environment or {})}
        command = [project.program, *project.options, *arguments]
        return subprocess.run(command, cwd=project.directory, env=environment, text=True, errors="replace", timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, input=self.stdin or "")

    def check(self, test, project):
        done = self.run(project, self.arguments)
        shown = f"compose {' '.join(self.arguments)} (exit code {done.returncode}):\n{done.stdout}"
        test.assertEqual(done.returncode, self.code, shown)
        if self.out:
            test.assertRegex(done.stdout, self.out, shown)
        if self.absent:
            test.assertNotRegex(done.stdout, self.absent, shown)
        if self.without is not None:
            plain = self.run(project, self.without).stdout
            if self.out:
                test.assertNotRegex(plain, self.out, f"also without the flag:\n{plain}")
            if self.absent:
                test.assertRegex(plain, self.absent, f"also without the flag:\n{plain}")


class TriedIn:
    """Another test gives the flag, and looks: `words` stand in that test's file."""

    def __init__(self, file, *words):
        self.file, self.words = file, words

    def check(self, test, _project):
        with open(os.path.join(os.path.dirname(__file__), self.file), encoding="utf-8") as file:
            text = file.read()
        for words in self.words:
            test.assertTrue(words in text, f"{self.file} does not try {words}")


class Does:
    """function(test, project) looks for itself."""

    def __init__(self, function):
        self.function = function

    def check(self, test, project):
        self.function(test, project)


def dry(*arguments, **more):
    return Row("--dry-run", *arguments, **more)


def in_file(name, *arguments, project=None, **more):
    return Row("-f", f"{name}.yaml", "-p", project or f"e2e-flags-{name}", *arguments, **more)


def json_of(project, *arguments):
    return json.loads(project.run(*arguments).stdout)


# ---- rows that need more than one command line

def takes_seconds(flag):
    def check(test, project):
        slow = ("-f", "slow.yaml", "-p", "e2e-flags-slow")
        project.run(*slow, "up", "-d")
        wait_until(lambda: "ready" in project.run(*slow, "logs").stdout)
        begin = time.monotonic()
        project.run(*slow, *flag)
        test.assertLess(time.monotonic() - begin, 20, "its stop_grace_period is 60 s")
    return Does(check)


def attach_detach_keys(test, project):
    terminal = Terminal([project.program, *project.options, "-f", "tty.yaml", "-p", "e2e-flags-tty", "attach",
                         "--detach-keys", "ctrl-x,q", "shell"], project.environment, project.directory)
    try:
        terminal.type("echo a$((1+1))b\n")
        terminal.until("a2b")
        terminal.type("\x18q")
        test.assertEqual(terminal.wait(), 0)
    finally:
        terminal.close()
    test.assertEqual(project.run("-p", "e2e-flags-tty", "ps", "-q").stdout.count("\n"), 1)


def attach_with_and_without_signals(test, project):
    """By default a signal goes to the container, whose program then ends; with the flag it ends the view alone."""
    for flag, state in ((["--sig-proxy=false"], "running"), ([], "exited")):
        project.run("-f", "polite.yaml", "-p", "e2e-flags-polite", "up", "-d")
        polite = ("-f", "polite.yaml", "-p", "e2e-flags-polite")
        attached = project.popen(*polite, "attach", *flag, "--no-stdin", "polite")
        try:
            # What it says every moment is seen: so the signals are taken.
            Lines(attached.stdout).until("here")
            attached.send_signal(signal.SIGINT)
            attached.communicate(timeout=20)
        finally:
            attached.kill()
        test.assertEqual(attached.returncode, 130 if flag else 9)
        said = project.run(*polite, "ps", "-a", "--format", "{{.State}}").stdout
        test.assertEqual(said.strip(), state, flag)
    project.run("-p", "e2e-flags-polite", "down", "-t", "0")


def attach_with_and_without_input(test, project):
    ticks = "for i in $(seq 300); do echo tick > /proc/1/fd/1; sleep 0.1; done"
    project.run("exec", "-d", "echo", "sh", "-c", ticks)  # shows when we are attached
    for flag, expected in ((["--no-stdin"], False), ([], True)):
        attached = project.popen("attach", *flag, "echo", stdin=subprocess.PIPE)
        try:
            attached.stdin.write("typed by somebody\n")
            attached.stdin.flush()
            lines = Lines(attached.stdout)
            if expected:
                lines.until("typed")
            else:
                test.assertNotIn("typed", "".join(lines.until("tick") for _ in range(5)))
        finally:
            attached.kill()
            attached.communicate()


def attach_to_the_second(test, project):
    Row("attach", "--index", "9", "db", code=1, out="#9").check(test, project)
    project.run("up", "-d", "--no-deps", "--scale", "echo=2", "echo")
    attached = project.popen("attach", "--index", "2", "echo", stdin=subprocess.PIPE)
    try:
        attached.stdin.write("for the second\n")
        attached.stdin.flush()
        Lines(attached.stdout).until("for the second")
    finally:
        attached.kill()
        attached.communicate()
    test.assertNotIn("for the second", project.run("logs", "--index", "1", "echo").stdout)
    test.assertIn("for the second", project.run("logs", "--index", "2", "echo").stdout)
    project.run("up", "-d", "--no-deps", "--scale", "echo=1", "echo")


def menu(test, project):
    for flag, shown in (("--menu=true", True), ("--menu=false", False)):
        terminal = Terminal([project.program, "-f", "chat.yaml", "-p", "e2e-flags-menu", "up", flag],
                            project.environment, project.directory)
        try:
            terminal.wait()
        finally:
            terminal.close()
        test.assertEqual("Detach" in terminal.screen, shown, terminal.screen)
    project.run("-f", "chat.yaml", "-p", "e2e-flags-menu", "down")


def renews_volumes(test, project):
    project.exec("db", "touch", "/anon/file")
    project.run("up", "-d", "--no-deps", "--force-recreate", "db")
    test.assertEqual(project.exec("db", "ls", "/anon").stdout, "file\n")
    project.run("up", "-d", "--no-deps", "--force-recreate", "-V", "db")
    test.assertEqual(project.exec("db", "ls", "/anon").stdout, "")


def keeps_changed(test, project):
    changed = {**project.environment, "WORD": "changed"}
    for flags, expected in ((("--no-recreate",), False), ((), True)):
        done = subprocess.run([project.program, *project.options, "--dry-run", "up", "-d", "--no-deps", *flags, "db"],
                              cwd=project.directory, env=changed, text=True, stderr=subprocess.PIPE, check=True)
        test.assertEqual("Recreate" in done.stderr, expected, done.stderr)


def replaces_volume(*command):
    def check(test, project):
        volume = ("-f", "volume.yaml", "-p", "e2e-flags-volume")
        project.run(*volume, "up", "-d")
        project.run(*volume, "exec", "-T", "db", "touch", "/data/file")
        changed = {**project.environment, "LABEL": "700"}
        run = lambda *words: subprocess.run([project.program, *volume, *words], cwd=project.directory, env=changed,
                                            text=True, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        test.assertIn("exists with other options", run("up", "-d").stderr)
        test.assertEqual(run("exec", "-T", "db", "ls", "/data").stdout, "file\n")
        run(*command, "--yes")
        run("start")
        test.assertEqual(run("exec", "-T", "db", "ls", "/data").stdout, "")
        project.run(*volume, "down", "-v")
    return Does(check)


def removes_orphans(*command):
    def check(test, project):
        project.run("-f", "chat.yaml", "-p", "e2e-flags-orphans", "up", "-d")
        left = ("-f", "other.yaml", "-p", "e2e-flags-orphans")
        if command[0] == "kill":
            project.run(*left, "up", "-d")
        project.run(*left, *command)
        test.assertNotRegex(project.run("-p", "e2e-flags-orphans", "ps", "-a", "--services").stdout, r"\b[ab]\b")
        project.run(*left, "down", "--remove-orphans")
    return Does(check)


def one_build_at_a_time(test, project):
    for limit, expected in (("1", "one after the other"), ("2", "at once")):
        said = project.run("-f", "builds.yaml", "--parallel", limit, "--progress", "plain", "build", "--no-cache").stderr
        order = re.findall(r"Image \S+\s+(Building|Built)", said)
        test.assertEqual(order[1], "Built" if expected == "one after the other" else "Building", said)


def run_row(*flags, command=("true",), **more):
    return Row("run", "--rm", "-T", *flags, "db", *command, **more)


def run_publishes(*flags):
    def check(test, project):
        done = project.run("run", "-d", "--name", "e2e-flags-published", *flags, "job", "sleep", "100")
        try:
            test.assertRegex(project.run("ps", "-a", "--format", "json").stdout,
                             r'"Name":"e2e-flags-published".*"TargetPort":8080', done.stdout)
        finally:
            project.run("down", "-t", "0", "job")
    return Does(check)


def run_by_alias(test, project):
    project.run("run", "-d", "--name", "e2e-flags-alias", "--use-aliases", "job", "sleep", "100")
    try:
        test.assertEqual(project.exec("db", "nslookup", "job", "127.0.0.11", check=False).returncode, 0)
    finally:
        project.run("down", "-t", "0", "job")
    test.assertNotEqual(project.exec("db", "nslookup", "job", "127.0.0.11", check=False).returncode, 0)


def run_in_terminal(test, project):
    for flag, expected in (("-t", True), ("-T", False)):
        terminal = Terminal([project.program, *project.options, "run", "--rm", flag, "-q", "db", "sh", "-c",
                             "test -t 1 && echo yes || echo no"], project.environment, project.directory)
        try:
            test.assertEqual(terminal.wait(), 0)
        finally:
            terminal.close()
        test.assertEqual("yes" in terminal.screen, expected, terminal.screen)


def exec_in_terminal(test, project):
    for flag, expected in (("-t", True), ("-T", False)):
        terminal = Terminal([project.program, *project.options, "exec", flag, "db", "sh", "-c",
                             "test -t 1 && echo yes || echo no"], project.environment, project.directory)
        try:
            test.assertEqual(terminal.wait(), 0)
        finally:
            terminal.close()
        test.assertEqual("yes" in terminal.screen, expected, terminal.screen)


def run_removes(test, project):
    project.run("run", "--rm", "--name", "e2e-flags-gone", "job", "true")
    test.assertNotIn("e2e-flags-gone", project.run("ps", "-a").stdout)
    project.run("run", "--name", "e2e-flags-gone", "job", "true")
    test.assertIn("e2e-flags-gone", project.run("ps", "-a").stdout)
    project.run("down", "job")


def exec_detached(test, project):
    begin = time.monotonic()
    project.run("exec", "-d", "db", "sh", "-c", "touch /tmp/begun; sleep 30")
    test.assertLess(time.monotonic() - begin, 20)
    wait_until(lambda: project.exec("db", "ls", "/tmp").stdout == "begun\n")


def events_of_a_pause(flag, pattern):
    def check(test, project):
        events = project.popen("events", *flag)
        try:
            lines = Lines(events.stdout)
            project.run("pause", "echo")
            project.run("unpause", "echo")
            test.assertRegex(lines.until("unpause"), pattern)
        finally:
            events.kill()
            events.communicate()
    return Does(check)


def events_until(test, project):
    begin = time.monotonic()
    project.run("events", "--until", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1)))
    test.assertLess(time.monotonic() - begin, 20)


def follows(test, project):
    logs = project.popen("logs", "-f", "-n", "0", "db")
    try:
        lines = Lines(logs.stdout)
        project.exec("db", "sh", "-c", "echo written later > /proc/1/fd/1")
        lines.until("written later")
    finally:
        logs.terminate()
        logs.communicate()


def removes_with(flags, what):
    """`what` is listed after a plain down, and not after one with the flags."""
    def check(test, project):
        small = ("-f", "small.yaml", "-p", "e2e-flags-small")
        for given, expected in (((), True), (flags, False)):
            project.run(*small, "up", "-d", "--build")
            project.run(*small, "down", *given)
            test.assertEqual("e2e-flags-small" in project.run(*small, *what).stdout, expected, given)
        project.run(*small, "down", "-v", "--rmi", "local")
    return Does(check)


def rm_volumes(test, project):
    small = ("-f", "small.yaml", "-p", "e2e-flags-small")
    volumes = os.path.join(project.workspace.state_root, "volumes")
    project.run(*small, "up", "-d", "--build")
    before = set(os.listdir(volumes))
    project.run(*small, "rm", "-sfv")
    test.assertEqual(len(before - set(os.listdir(volumes))), 1, "the anonymous volume is gone")
    project.run(*small, "down", "-v", "--rmi", "local")


def rm_asks(test, project):
    asked = ("-f", "chat.yaml", "-p", "e2e-flags-asked")
    project.run(*asked, "create")
    refused = Row(*asked, "rm", stdin="n\n")
    test.assertIn("Going to remove", refused.run(project, refused.arguments).stdout)
    test.assertIn("e2e-flags-asked-a-1", project.run(*asked, "ps", "-a").stdout)
    project.run(*asked, "rm", "--force")
    test.assertNotIn("e2e-flags-asked-a-1", project.run(*asked, "ps", "-a").stdout)
    project.run(*asked, "down")


def restart_alone(test, project):
    restarts = ("-f", "restarts.yaml", "-p", "e2e-flags-restarts")
    project.run(*restarts, "up", "-d")
    for flags, expected in (((), True), (("--no-deps",), False)):
        said = project.run("--dry-run", *restarts, "restart", *flags, "db").stderr
        test.assertEqual("restarts-web" in said, expected, said)


def waits_and_removes(test, project):
    brief = ("-f", "brief.yaml", "-p", "e2e-flags-brief")
    project.run(*brief, "up", "-d")
    done = project.run(*brief, "wait", "--down-project", "brief", check=False)
    test.assertEqual(done.returncode, 7, done.stderr)
    test.assertEqual(project.run("-p", "e2e-flags-brief", "ps", "-aq").stdout, "")


def sends_signals(test, project):
    """USR1 is caught, KILL is not; "echo" has a trap for it."""
    project.run("kill", "-s", "USR1", "echo")
    test.assertEqual(project.container("echo")["State"], "running")
    project.run("kill", "echo")
    wait_until(lambda: project.container("echo")["State"] == "exited")
    test.assertEqual(project.container("echo")["ExitCode"], 137)
    project.run("start", "echo")


def copies(test, project):
    project.exec("web", "sh", "-c", "echo text > /tmp/from; ln -sf from /tmp/link; chown 1000 /tmp/from")
    project.run("cp", "web:/tmp/link", "link")
    test.assertTrue(os.path.islink(os.path.join(project.directory, "link")))
    project.run("cp", "-L", "web:/tmp/link", "followed")
    test.assertFalse(os.path.islink(os.path.join(project.directory, "followed")))
    project.run("cp", "-a", "web:/tmp/from", "owned")
    test.assertEqual(os.stat(os.path.join(project.directory, "owned")).st_uid, 1000)
    project.run("cp", "web:/tmp/from", "mine")
    test.assertEqual(os.stat(os.path.join(project.directory, "mine")).st_uid, 0)


def copies_to_all(test, project):
    project.run("run", "-d", "--name", "e2e-flags-copied", "job", "sleep", "100")
    try:
        for flags, expected in (((), ""), (("--all",), "x")):
            project.run("cp", *flags, "compose.yaml", "job:/tmp/x", check=False)
            done = project.run("ps", "-a", "--format", "{{.Name}} {{.ID}}").stdout
            identity = re.search(r"e2e-flags-copied (\S+)", done)
            test.assertTrue(identity, done)
            out = project.run("--dry-run", "cp", *flags, "compose.yaml", "job:/tmp/x", check=False)
            test.assertEqual("e2e-flags-copied" in out.stderr, bool(expected), out.stderr)
    finally:
        project.run("down", "-t", "0", "job")


def committed(*flags, look):
    def check(test, project):
        project.run("commit", *flags, "db", "e2e-flags-committed:one")
        text = project.run("image", "inspect", "e2e-flags-committed:one").stdout
        text += project.run("image", "history", "e2e-flags-committed:one").stdout
        test.assertRegex(text, look)
        project.run("image", "rm", "-f", "e2e-flags-committed:one")
    return Does(check)


def quiet_build(test, project):
    loud = project.run("--progress", "plain", "up", "-d", "--build", "built")
    quiet = project.run("--progress", "plain", "up", "-d", "--build", "--quiet-build", "built")
    test.assertIn("#1", loud.stderr)
    test.assertNotIn("#1", quiet.stderr)


def config_rows(convert=False):
    rows = {
        "format": Row("config", "--format", "json", out=r'^\{', without=["config"]),
        "hash": Row("config", "--hash", "db", out=r"^db [0-9a-f]{64}$"),
        "images": Row("config", "--images", out=r"(?m)\Abusybox$"),
        "no-consistency": in_file("broken", "config", "--no-consistency", absent="undefined network",
                                  without=["-f", "broken.yaml", "config"]),
        "no-interpolate": Row("config", "--no-interpolate", out=r"\$\{WORD", without=["config"]),
        "no-normalize": Row("config", "--no-normalize", absent=r"e2e-flags_default", without=["config"]),
        "output": Does(lambda test, project: (
            project.run("config", "-o", "written.yaml"),
            test.assertIn("services:", open(os.path.join(project.directory, "written.yaml"), encoding="utf-8").read()))),
        "profiles": Row("config", "--profiles", out=r"\Abuilt\nextra\njobs\n\Z"),
        "quiet": Row("config", "-q", out=r"\A\Z", without=["config"]),
        "resolve-image-digests": in_file("far", "config", "--resolve-image-digests", code=1, out="127.0.0.1:1"),
        "services": Row("config", "--services", out=r"(?m)^web$"),
        "volumes": Row("config", "--volumes", out=r"(?m)\Adata$"),
        "environment": Row("config", "--environment", out=r"(?m)^COMPOSE_ROOT="),
        "lock-image-digests": in_file("far", "config", "--lock-image-digests", code=1, out="127.0.0.1:1"),
        "models": in_file("models", "config", "--models", out=r"\Allm\n\Z"),
        "networks": Row("config", "--networks", out=r"(?m)\Adefault$"),
        "no-env-resolution": Row("config", "--no-env-resolution", out="env_file", without=["config"]),
        "no-path-resolution": Row("--profile", "built", "config", "--no-path-resolution", out=r"context: \./image",
                                  without=["--profile", "built", "config"]),
        "variables": Row("config", "--variables", out=r"(?m)^NAME.*\n(.*\n)*WORD\s+false\s+one"),
    }
    if not convert:
        return rows
    for name in ("environment", "lock-image-digests", "models", "networks", "no-env-resolution", "no-path-resolution",
                 "variables"):
        del rows[name]
    for row in rows.values():
        if isinstance(row, Row):
            row.arguments = tuple("convert" if word == "config" else word for word in row.arguments)
    return rows


def creation_rows(*command):
    return {
        "build": dry(*command, "--build", "built", out="Image .*built.*Built", without=["--dry-run", *command, "built"]),
        "force-recreate": dry(*command, "--force-recreate", out="Recreated", without=["--dry-run", *command]),
        "no-build": in_file("unbuilt", *command, "--no-build", code=1, out="is not on this host"),
        "no-recreate": Does(keeps_changed),
        "pull": dry(*command, "--pull", "build", "built", out="Image .*built.*Built",
                    without=["--dry-run", *command, "built"]),
        "remove-orphans": in_file("other", "--dry-run", *command, "--remove-orphans", project="e2e-flags",
                                  out="Container e2e-flags-web-1 Removed",
                                  without=["-f", "other.yaml", "-p", "e2e-flags", "--dry-run", *command]),
        "scale": dry(*command, "--scale", "web=2", out="e2e-flags-web-2"),
        "yes": replaces_volume(*command),
    }


CHAT = ["-f", "chat.yaml", "-p", "e2e-flags-chat"]
JOBS = ["-f", "jobs.yaml", "-p", "e2e-flags-jobs"]

WATCH = {"no-up": '"watch", "--no-up"', "quiet": '"watch", "--quiet"', "prune": '"--prune=false"'}

TABLE = {
    "(root)": {
        "all-resources": Row("--all-resources", "config", "--volumes", out="(?m)^unused$", without=["config", "--volumes"]),
        "ansi": Row("--ansi", "always", "logs", "db", out="\x1b\\[", without=["logs", "db"]),
        "compatibility": Row("--compatibility", "--dry-run", "-p", "old", "create", "db", out="old_db_1"),
        "dry-run": dry("stop", out="DRY-RUN MODE"),
        "env-file": Row("--env-file", "other.env", "config", out="WORD: from-other"),
        "file": Row("-f", "other.yaml", "config", "--services", out=r"\Aother\n\Z"),
        "insecure-registry": REFUSED,
        "no-ansi": Row("--no-ansi", "--progress", "tty", "ps", code=1, out="(?i)ansi"),
        "parallel": Does(one_build_at_a_time),
        "profile": Row("--profile", "extra", "config", "--services", out="(?m)^extra$", without=["config", "--services"]),
        "progress": Row("--progress", "json", "--dry-run", "stop", out=r'(?m)^\{.*"id":'),
        "project-directory": Row("--project-directory", "image", "--profile", "built", "config", out=r"context: \S*/image/image"),
        "project-name": Row("-p", "renamed", "config", out="(?m)^name: renamed"),
        "verbose": Row("--verbose", "config", "-q", out="loaded"),
        "version": Row("--version", out=r"(?i)compose.*\d+\.\d+"),
        "workdir": Row("--workdir", "image", "--profile", "built", "config", out=r"context: \S*/image/image"),
    },
    "alpha dry-run": {"": Row("alpha", "dry-run", code=1, out="--dry-run")},
    "alpha generate": {"": Row("alpha", "generate", code=1, out="not made from containers"),
                       "format": REFUSED, "name": REFUSED, "project-dir": REFUSED},
    "alpha publish": {name: REFUSED for name in
                      ("app", "insecure-registry", "oci-version", "resolve-image-digests", "with-env", "yes")},
    "alpha scale": {"": Row("--dry-run", "alpha", "scale", "web=2", out="web-2"),
                    "no-deps": Row("--dry-run", "alpha", "scale", "--no-deps", "web=2", out="web-2")},
    "alpha viz": {"": Row("alpha", "viz", out="(?s)^digraph .*\"web\" -> \"db\""),
                  "image": Row("alpha", "viz", "--image", out="busybox", without=["alpha", "viz"]),
                  "indentation-size": Row("alpha", "viz", "--spaces", "--indentation-size", "5", out="(?m)^     \"web\""),
                  "networks": Row("alpha", "viz", "--networks", out="default", without=["alpha", "viz"]),
                  "ports": Row("alpha", "viz", "--ports", out=r":80\b", without=["alpha", "viz"]),
                  "spaces": Row("alpha", "viz", "--spaces", out="(?m)^ \"web\"", without=["alpha", "viz"])},
    "alpha watch": {"": Row("alpha", "watch", code=1, out="none of the selected services"),
                    "no-up": TriedIn("test_watch.py", '"alpha", "watch", "--no-up"'),
                    "quiet": TriedIn("test_watch.py", '"alpha", "watch", "--no-up", "--quiet"')},
    "attach": {"detach-keys": Does(attach_detach_keys),
               "index": Does(attach_to_the_second),
               "no-stdin": Does(attach_with_and_without_input),
               "sig-proxy": Does(attach_with_and_without_signals)},
    "bridge convert": {"output": REFUSED, "templates": REFUSED, "transformation": REFUSED},
    "bridge transformations create": {"from": REFUSED},
    "bridge transformations list": {"format": REFUSED, "quiet": REFUSED},
    "build": {
        "build-arg": Row("build", "--progress", "plain", "--no-cache", "--build-arg", "WORD=given", "built", out="word is given"),
        "builder": REFUSED,
        "check": Row("build", "--check", "built", out="(?i)dockerfile is correct|no warning"),
        "compress": DEPRECATED, "force-rm": DEPRECATED, "memory": REFUSED,
        "no-cache": Row("--progress", "plain", "build", "--no-cache", "built", absent=r"#2 CACHED",
                        without=["--progress", "plain", "build", "built"]),
        "no-rm": DEPRECATED, "parallel": DEPRECATED,
        "print": Row("build", "--print", "built", out='"target"'),
        "progress": Row("build", "--progress", "json", "built", out=r'(?m)^\{.*"id":'),
        "provenance": Row("build", "--provenance", "mode=max", "built", code=1, out="(?i)attestation|provenance"),
        "pull": TriedIn("test_registry.py", '"build", "--pull"'), "push": TriedIn("test_registry.py", '"build", "--push"'),
        "quiet": Row("build", "-q", "built", out=r"\A[^#]*sha256:[0-9a-f]{64}\n\Z"),
        "sbom": Row("build", "--sbom", "true", "built", code=1, out="(?i)attestation|sbom"),
        "ssh": TriedIn("test_build.py", '"--ssh"'),
        "with-dependencies": dry("-f", "builds.yaml", "build", "--with-dependencies", "second", out="first.*Built",
                                 without=["--dry-run", "-f", "builds.yaml", "build", "second"]),
    },
    "commit": {"author": committed("-a", "Somebody", look="Somebody"),
               "change": committed("-c", "ENV CHANGED=yes", look="CHANGED=yes"),
               "index": Row("commit", "--index", "9", "db", "x:y", code=1, out="#9"),
               "message": committed("-m", "a message", look="a message"),
               "pause": committed("--pause=false", look="e2e-flags-committed")},
    "config": config_rows(),
    "convert": config_rows(convert=True),
    "cp": {"all": Does(copies_to_all), "archive": Does(copies), "follow-link": Does(copies),
           "index": Row("cp", "--index", "9", "compose.yaml", "db:/tmp/x", code=1, out="(?i)no container found|#9")},
    "create": {**creation_rows("create"), "quiet-pull": TriedIn("test_registry.py", '("create", "--quiet-pull"')},
    "down": {"remove-orphans": in_file("other", "--dry-run", "down", "--remove-orphans", project="e2e-flags",
                                       out="e2e-flags-web-1 Removed",
                                       without=["-f", "other.yaml", "-p", "e2e-flags", "--dry-run", "down"]),
             "rmi": removes_with(("--rmi", "local"), ("image", "ls")),
             "timeout": takes_seconds(("down", "-t", "0")),
             "volumes": removes_with(("-v",), ("volumes", "-q"))},
    "events": {"json": events_of_a_pause(("--json",), r'"action":"pause"'),
               "since": Row("events", "--since", "1h", "--until", "0s", out="container start",
                            without=["events", "--until", "0s"]),
               "until": Does(events_until)},
    "exec": {"detach": Does(exec_detached),
             "env": Row("exec", "-T", "-e", "X=given", "db", "sh", "-c", "echo $X", out="^given$"),
             "index": Row("exec", "-T", "--index", "9", "db", "true", code=1, out="#9"),
             "interactive": Row("exec", "-T", "--interactive=false", "db", "cat", stdin="lost", out=r"\A\Z",
                                without=["exec", "-T", "db", "cat"]),
             "no-tty": Does(exec_in_terminal),
             "privileged": Row("exec", "-T", "--privileged", "db", "grep", "CapEff", "/proc/self/status", out="1ff+e?f+",
                               without=["exec", "-T", "db", "grep", "CapEff", "/proc/self/status"]),
             "tty": Does(exec_in_terminal),
             "user": Row("exec", "-T", "-u", "1000", "db", "id", "-u", out="^1000$"),
             "workdir": Row("exec", "-T", "-w", "/tmp", "db", "pwd", out="^/tmp$")},
    "export": {"index": Row("export", "--index", "9", "db", code=1, out="#9"),
               "output": Does(lambda test, project: (
                   project.run("export", "-o", "files.tar", "db"),
                   test.assertIn("bin/busybox", subprocess.run(["tar", "tf", "files.tar"], cwd=project.directory, text=True,
                                                               stdout=subprocess.PIPE, check=True).stdout)))},
    "images": {"format": Row("images", "--format", "json", out=r'^\[\{"ID"'),
               "quiet": Row("images", "-q", out=r"\A([0-9a-f]{64}\n)+\Z")},
    "kill": {"remove-orphans": removes_orphans("kill", "--remove-orphans"), "signal": Does(sends_signals)},
    "logs": {"follow": Does(follows),
             "index": Row("logs", "--index", "9", "db", code=1, out="9", absent="db says"),
             "no-color": Row("--ansi", "always", "logs", "--no-color", "db", absent="\x1b\\[",
                             without=["--ansi", "always", "logs", "db"]),
             "no-log-prefix": Row("logs", "--no-log-prefix", "db", absent=r"db-1 +\|", without=["logs", "db"]),
             "since": Row("logs", "--since", "2100-01-01T00:00:00Z", "db", absent="db says", without=["logs", "db"]),
             "tail": Row("logs", "-n", "0", "db", absent="db says", without=["logs", "db"]),
             "timestamps": Row("logs", "-t", "db", out=r"\d{4}-\d\d-\d\dT", without=["logs", "db"]),
             "until": Row("logs", "--until", "2001-01-01T00:00:00Z", "db", absent="db says", without=["logs", "db"])},
    "ls": {"all": Row("ls", "-a", out="e2e-flags-ended", without=["ls"]),
           "filter": Row("ls", "--filter", "name=e2e-flags$", absent="e2e-flags-tty", without=["ls"]),
           "format": Row("ls", "--format", "json", out=r'^\[\{"Name"'),
           "quiet": Row("ls", "-q", out=r"(?m)^e2e-flags$", without=["ls"])},
    "pause": {"": dry("pause", "db", out="Paused")},
    "port": {"index": Row("port", "--index", "9", "web", "80", code=1, out="#9"),
             "protocol": Row("port", "--protocol", "udp", "web", "80", code=1, out="udp")},
    "ps": {"all": Row("ps", "-a", out="e2e-flags-ended-1", without=["ps"]),
           "filter": Row("ps", "-a", "--filter", "status=exited", out="-ended-1", absent="-web-1"),
           "format": Row("ps", "--format", "json", out=r'"Service":"web"'),
           "no-trunc": Row("ps", "--no-trunc", out="a long tail of the command", without=["ps"]),
           "orphans": Row("-f", "other.yaml", "-p", "e2e-flags", "ps", "--orphans=false", absent="web-1",
                          without=["-f", "other.yaml", "-p", "e2e-flags", "ps"]),
           "quiet": Row("ps", "-q", out=r"\A([0-9a-f]{64}\n)+\Z"),
           "services": Row("ps", "--services", out="(?m)^web$"),
           "status": Row("ps", "-a", "--status", "exited", out="-ended-1", absent="-web-1")},
    "publish": {name: REFUSED for name in
                ("app", "insecure-registry", "oci-version", "resolve-image-digests", "with-env", "yes")},
    "pull": {**{name: TriedIn("test_registry.py", f'"pull", "--{name}"') for name in
                ("ignore-buildable", "ignore-pull-failures", "include-deps", "policy", "quiet")},
             "no-parallel": DEPRECATED, "parallel": DEPRECATED},
    "push": {name: TriedIn("test_registry.py", f'"push", "--{name}"') for name in
             ("ignore-push-failures", "include-deps", "quiet")},
    "restart": {"no-deps": Does(restart_alone), "timeout": takes_seconds(("restart", "-t", "0"))},
    "rm": {"all": DEPRECATED, "force": Does(rm_asks),
           "stop": dry("rm", "-sf", "db", out="db-1 Stopped", without=["--dry-run", "rm", "-f", "db"]),
           "volumes": Does(rm_volumes)},
    "run": {
        "build": Row("--dry-run", "run", "--rm", "-T", "--build", "built", out="Image .*built.*Built",
                     without=["--dry-run", "run", "--rm", "-T", "built"]),
        "cap-add": run_row("--cap-add", "SYS_TIME", command=("grep", "CapEff", "/proc/self/status"), out="aa0425fb"),
        "cap-drop": run_row("--cap-drop", "ALL", command=("grep", "CapEff", "/proc/self/status"), out="0000000000000000"),
        "detach": run_publishes("-P", "-p", "8080"),
        "entrypoint": run_row("--entrypoint", "echo before", command=("after",), out="before after"),
        "env": run_row("-e", "X=given", command=("sh", "-c", "echo $X"), out="(?m)^given$"),
        "env-from-file": run_row("--env-from-file", "other.env", command=("sh", "-c", "echo $WORD"), out="(?m)^from-other$"),
        "interactive": Row("run", "--rm", "-T", "--interactive=false", "db", "cat", stdin="lost", absent="lost",
                           without=["run", "--rm", "-T", "db", "cat"]),
        "label": Does(lambda test, project: (
            project.run("run", "--name", "e2e-flags-labelled", "-l", "flag=given", "job", "true"),
            test.assertIn("flag=given", project.run("ps", "-a", "--format", "json").stdout),
            project.run("down", "job"))),
        "name": Does(run_removes), "no-deps": Row("--dry-run", *CHAT, "run", "--no-deps", "-T", "a", absent="-b-1",
                                                  without=["--dry-run", *CHAT, "run", "-T", "a"]),
        "no-tty": Does(run_in_terminal), "publish": run_publishes("-p", "127.0.0.1::8080"),
        "pull": Row("--dry-run", "run", "--rm", "-T", "--pull", "build", "built", out="Image .*built.*Built",
                    without=["--dry-run", "run", "--rm", "-T", "built"]),
        "quiet": Row("run", "--rm", "-T", "-q", "db", "true", out=r"\A\Z", without=["run", "--rm", "-T", "db", "true"]),
        "quiet-build": Row("--progress", "plain", "run", "--rm", "-T", "--build", "--quiet-build", "built", "true",
                           absent="#1", without=["--progress", "plain", "run", "--rm", "-T", "--build", "built", "true"]),
        "quiet-pull": TriedIn("test_registry.py", '("run", "--quiet-pull"'),
        "remove-orphans": removes_orphans("run", "--rm", "--remove-orphans", "-T", "other", "true"),
        "rm": Does(run_removes), "service-ports": run_publishes("-P"), "tty": Does(run_in_terminal),
        "use-aliases": Does(run_by_alias),
        "user": run_row("-u", "1000", command=("id", "-u"), out="(?m)^1000$"),
        "volume": run_row("-v", "./image:/seen:ro", command=("ls", "/seen"), out="Dockerfile"),
        "workdir": run_row("-w", "/tmp", command=("pwd",), out="(?m)^/tmp$"),
    },
    "scale": {"no-deps": dry(*CHAT, "scale", "--no-deps", "a=2", absent="-b-1", without=["--dry-run", *CHAT, "scale", "a=2"])},
    "start": {"wait": Row("-f", "health.yaml", "-p", "e2e-flags-health", "start", "--wait", out="Healthy"),
              "wait-timeout": Row("-f", "never.yaml", "-p", "e2e-flags-never", "start", "--wait-timeout", "1", code=1,
                                  out="(?i)time|healthy")},
    "stats": {"all": Row("stats", "--no-stream", "-a", out="ended-1", without=["stats", "--no-stream"]),
              "format": Row("stats", "--no-stream", "--format", "json", out=r'"CPUPerc"'),
              "no-stream": Row("stats", "--no-stream", out="CPU %"),
              "no-trunc": Row("stats", "--no-stream", "--no-trunc", out=r"\b[0-9a-f]{64}\b", without=["stats", "--no-stream"])},
    "stop": {"timeout": takes_seconds(("stop", "-t", "0"))},
    "top": {"": Row("top", "db", out="(?s)UID.*PID")},
    "unpause": {"": Does(events_of_a_pause((), "container unpause").function)},
    "up": {
        **creation_rows("up", "-d"),
        "abort-on-container-exit": Row(*JOBS, "up", "--abort-on-container-exit", code=3, out="Aborting on container exit"),
        "abort-on-container-failure": Row(*JOBS, "up", "--abort-on-container-failure", code=3,
                                          out="Aborting on container exit"),
        "always-recreate-deps": dry("up", "-d", "--always-recreate-deps", "--force-recreate", "web", out="db-1 Recreated",
                                    without=["--dry-run", "up", "-d", "web"]),
        "attach": Row(*CHAT, "up", "--attach", "b", out="from-b", absent="from-a"),
        "attach-dependencies": Row(*CHAT, "up", "--attach-dependencies", "a", out="from-b",
                                   without=[*CHAT, "up", "a"]),
        "detach": Row("up", "-d", absent="Attaching"),
        "exit-code-from": Row(*JOBS, "up", "--exit-code-from", "job", code=3),
        "menu": Does(menu),
        "no-attach": Row(*CHAT, "up", "--no-attach", "b", absent="from-b", without=[*CHAT, "up"]),
        "no-color": Row("--ansi", "always", *CHAT, "up", "--no-color", absent="\x1b\\[36m",
                        without=["--ansi", "always", *CHAT, "up"]),
        "no-deps": dry("-f", "chat.yaml", "-p", "e2e-flags-fresh", "up", "-d", "--no-deps", "a", absent="-b-1",
                       without=["--dry-run", "-f", "chat.yaml", "-p", "e2e-flags-fresh", "up", "-d", "a"]),
        "no-log-prefix": Row(*CHAT, "up", "--no-log-prefix", absent=r"a-1 +\|", without=[*CHAT, "up"]),
        "no-start": dry("-p", "e2e-flags-fresh", "up", "--no-start", absent="Started",
                        without=["--dry-run", "-p", "e2e-flags-fresh", "up", "-d"]),
        "quiet-build": Does(quiet_build), "quiet-pull": TriedIn("test_registry.py", '("up", "--quiet-pull"'),
        "renew-anon-volumes": Does(renews_volumes),
        "timeout": takes_seconds(("up", "-d", "--force-recreate", "-t", "0")),
        "timestamps": Row(*CHAT, "up", "--timestamps", out=r"a-1 +\| \d{4}-\d\d-\d\dT", without=[*CHAT, "up"]),
        "wait": in_file("health", "up", "--wait", project="e2e-flags-health2", out="Healthy",
                        without=["-f", "health.yaml", "-p", "e2e-flags-health3", "up", "-d"]),
        "wait-timeout": Row("-f", "never.yaml", "-p", "e2e-flags-never2", "up", "--wait-timeout", "1", code=1),
        "watch": TriedIn("test_watch.py", '"up", "--watch"'),
    },
    "version": {"format": Row("version", "-f", "json", out=r'^\{"version"'),
                "short": Row("version", "--short", out=r"\A\d+\.\d+\.\d+\n\Z")},
    "volumes": {"format": Row("volumes", "--format", "json", out=r'"Name":"e2e-flags_data"'),
                "quiet": Row("volumes", "-q", out=r"(?m)^e2e-flags_data$")},
    "wait": {"down-project": Does(waits_and_removes)},
    "watch": {name: TriedIn("test_watch.py", words) for name, words in WATCH.items()},
}
