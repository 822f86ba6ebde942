"""Who is measured: the program under test, and Docker Compose in the root file system the peers' scripts made."""
import os
import platform
import re
import statistics
import subprocess
import time

import compose
import images
import peers

def machine_class():
    """What figures depend on, without the machine's name."""
    with open("/proc/meminfo", encoding="ascii") as file:
        gigabytes = round(int(file.readline().split()[1]) / 1024 / 1024)
    return f"{os.cpu_count()} cores, {gigabytes} GiB, Linux {'.'.join(platform.release().split('.')[:2])}"


class Failed(Exception):
    pass


class Project:
    """`time` runs one command of the project to its end, `image` one of the images."""

    def __init__(self, contestant, command, images, directory, environment, overhead=0.0):
        self.contestant, self.command, self.images, self.directory = contestant, command, images, directory
        self.environment, self.overhead = environment, overhead

    def time(self, *arguments):
        return self._time(self.command, arguments)

    def image(self, *arguments):
        return self._time(self.images, arguments)

    def _time(self, command, arguments):
        begin = time.monotonic()
        done = subprocess.run([*command, *arguments], cwd=self.directory, env=self.environment, timeout=600,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        seconds = time.monotonic() - begin
        if done.returncode != 0:
            raise Failed(f"{self.contestant}: {' '.join(arguments)}: {done.stdout.decode('utf-8', 'replace')[-600:]}")
        return seconds - self.overhead


def write(directory, text):
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "compose.yaml"), "w", encoding="utf-8") as file:
        file.write(text)


def floor(counts):
    """{count: seconds} that bare system calls need for so many containers; nothing where the program for it is not."""
    program = os.path.join(os.path.dirname(compose.TOP), "shared/bench/floor")
    if not os.path.exists(program):
        return {}
    done = subprocess.run([program, *map(str, counts)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          check=False)
    found = re.findall(r"^(\d+) containers: up .*?, ([\d.]+) ms \(median\)", done.stdout, re.MULTILINE)
    return {int(count): float(milliseconds) / 1000 for count, milliseconds in found}


class Ours:
    def __init__(self):
        self.workspace = compose.Workspace()
        self.workspace.run("image", "import", images.busybox_archive(self.workspace.directory), images.BUSYBOX)

    def project(self, name, text):
        directory = os.path.join(self.workspace.directory, name)
        write(directory, text)
        return Project("ours", [compose.PROGRAM], [compose.PROGRAM, "image"], directory, self.workspace.environment)

    def remove(self):
        self.workspace.remove()


class DockerCompose:
    """Entering the peers' root takes some milliseconds that are not Docker's: they are measured and taken off."""

    def __init__(self):
        if reason := peers.why_not("docker", "info"):
            raise SystemExit(f"Docker is not running ({reason}): ../shared/peers/setup starts it")
        self.folders = []
        times = []
        for _ in range(9):
            begin = time.monotonic()
            subprocess.run([peers.PEER, "true"], stdin=subprocess.DEVNULL, check=False)
            times.append(time.monotonic() - begin)
        self.overhead = statistics.median(times)

    def project(self, name, text):
        folder = peers.Shared(name)
        self.folders.append(folder)
        write(folder.here, text)
        return Project("Docker Compose", [peers.PEER, "docker", "compose", "-p", name], [peers.PEER, "docker", "image"],
                       folder.here, folder.environment, self.overhead)

    def remove(self):
        for folder in self.folders:
            folder.remove()
