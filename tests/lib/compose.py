"""Drives the compose program under test.

The program is the one COMPOSE names, or the release build. Every test run has roots of its own, so that an installed
compose and its projects are not touched.
"""
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

import machine

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("COMPOSE", os.path.join(TOP, "build/release/src/cli/compose"))
# The harness can be tried out with Docker Compose; what only our own program promises is left out then.
# A factor on all waiting, for machines that are emulated.
SLOW = float(os.environ.get("E2E_SLOW", "1"))
PEER = os.environ.get("COMPOSE_IS_PEER") == "1"


# None of our programs may call another engine; these would tell.
OTHER_ENGINES = ("docker", "dockerd", "podman", "runc", "crun", "containerd", "nerdctl", "buildah", "skopeo")


class Workspace:
    """The folders of one run of the tests."""

    def __init__(self):
        # Not in /tmp: overlayfs wants a disk, and a tmpfs may be too small for the images.
        self.directory = tempfile.mkdtemp(prefix="compose-e2e-", dir=os.environ.get("E2E_WORK", "/var/tmp"))
        # One that is kept saves building the images when a single test is run again and again.
        self.kept_root = os.environ.get("E2E_KEEP")
        self.state_root = self.kept_root or os.path.join(self.directory, "root")
        # Short, since it begins the names of sockets (unix(7): 108 bytes).
        self.run_root = tempfile.mkdtemp(prefix="ce-", dir="/run" if os.geteuid() == 0 else None)
        self.projects = set()  # names of those that were made in it
        self.calls = os.path.join(self.directory, "calls-of-other-engines")
        traps = self.folder("traps")
        for name in OTHER_ENGINES:
            path = os.path.join(traps, name)
            with open(path, "w", encoding="ascii") as file:
                file.write(f'#!/bin/sh\necho "$0 $*" >> {self.calls}\nexit 1\n')
            os.chmod(path, 0o755)
        self.environment = {**os.environ, "PATH": f"{traps}:{os.environ['PATH']}", "COMPOSE_ROOT": self.state_root,
                            "COMPOSE_RUN_ROOT": self.run_root, "LC_ALL": "C.UTF-8"}
        for name in ("COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES"):
            self.environment.pop(name, None)

    def run(self, *arguments, **options):
        return run([PROGRAM, *arguments], env=self.environment, **options)

    def snapshot(self):
        return machine.Snapshot(self.state_root, self.run_root)

    def folder(self, name):
        path = os.path.join(self.directory, name)
        os.makedirs(path, exist_ok=True)
        return path

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.run_root, ignore_errors=True)


class CommandFailed(AssertionError):
    pass


def run(command, check=True, timeout=180, **options):
    """Runs a command and keeps what it says; a failure shows all of it."""
    options.setdefault("stdin", subprocess.DEVNULL)
    begin = time.monotonic()
    given = options.pop("input", None)
    if given is not None:
        options["stdin"] = subprocess.PIPE
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                          **options) as process:
        try:
            out, err = process.communicate(given, timeout=timeout * SLOW)
        except subprocess.TimeoutExpired as late:
            process.terminate()  # it may have processes of its own to end, such as the steps of a build
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=30)
            process.kill()
            raise CommandFailed(f"{' '.join(command)}: not done after {timeout * SLOW:.0f} s\n{_text(late.stdout)}\n"
                                f"{_text(late.stderr)}") from None
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(command, process.returncode, out, err)
    if PEER:  # it erases lines it never wrote, also in a pipe
        done.stdout = done.stdout.replace("\x1b[2K", "")
    done.seconds = time.monotonic() - begin
    if check and done.returncode != 0:
        raise CommandFailed(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def _text(data):
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else data or ""


class Project:
    """One compose project in a folder of its own."""

    def __init__(self, workspace, name, directory, files=(), environment=None):
        self.workspace, self.name, self.directory = workspace, name, directory
        workspace.projects.add(name)
        self.program = PROGRAM
        self.options = ["-p", name]
        for file in files:
            self.options += ["-f", file]
        self.environment = {**workspace.environment, **(environment or {})}

    @classmethod
    def of_text(cls, workspace, name, text, **options):
        directory = workspace.folder(name)
        with open(os.path.join(directory, "compose.yaml"), "w", encoding="utf-8") as file:
            file.write(text)
        return cls(workspace, name, directory, **options)

    def run(self, *arguments, **options):
        return run([self.program, *self.options, *arguments], cwd=self.directory, env=self.environment, **options)

    def popen(self, *arguments, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen([self.program, *self.options, *arguments], cwd=self.directory, env=self.environment,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def up(self, *arguments, **options):
        return self.run("up", "-d", *arguments, **options)

    def down(self, *arguments, **options):
        return self.run("down", *arguments, **options)

    def exec(self, service, *command, **options):
        return self.run("exec", "-T", service, *command, **options)

    def containers(self):
        """What "ps" says, by name of the container."""
        lines = self.run("ps", "--all", "--format", "json").stdout.splitlines()
        found = [json.loads(line) for line in lines if line.strip()]
        if len(found) == 1 and isinstance(found[0], list):
            found = found[0]
        return {entry["Name"]: entry for entry in found}

    def container(self, service, number=1):
        return self.containers()[f"{self.name}-{service}-{number}"]

    def pid(self, service):
        """The pid, on the host, of the service's first process."""
        return machine.first_process(self.container(service)["ID"])

    def supervisors(self):
        """pid of each process that supervises this project; one that it is just starting still has its command line."""
        found = []
        for pid in machine.processes_of((self.workspace.state_root, self.workspace.run_root)):
            words = machine.command_line(pid).split()
            if "supervise" in words and self.name in words:
                found.append(pid)
        return [pid for pid in found if machine.parent(pid) not in found]


class Lines:
    """The lines of a pipe as they come; waiting for one has an end."""

    def __init__(self, stream):
        self.stream, self.rest, self.all = stream.fileno(), "", ""

    def until(self, text, seconds=30):
        """Everything up to the line that contains the text; it is not given again."""
        end = time.monotonic() + seconds * SLOW
        while True:
            head, found, tail = self.rest.partition(text)
            line, newline, after = tail.partition("\n")
            if found and newline:
                self.rest = after
                return head + found + line
            ready = select.select([self.stream], [], [], max(0, end - time.monotonic()))[0]
            data = os.read(self.stream, 65536).decode("utf-8", "replace") if ready else ""
            if not data:
                raise AssertionError(f"{'ended' if ready else f'{seconds} s and'} before it said {text!r}: {self.all}")
            self.rest += data
            self.all += data


def wait_until(condition, seconds=30, what="the condition", every=0.05):
    """Looks until the condition holds; its value is returned."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(every)
