"""Real engines to try our runtime under, and to compare with: Docker and podman, in a root of their own.

`../shared/peers/peer` beside the repository (or the program that PEER names) runs a command there. One folder is seen
from both sides: PEERS/work here is /work there. Without it the tests that need it are skipped. No other file knows
these places.
"""
import functools
import os
import shutil
import subprocess
import tempfile
import time

from compose import TOP, run

PEER = os.environ.get("PEER", os.path.join(TOP, "../shared/peers/peer"))
HOME = os.environ.get("PEERS") or os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "compose-peers")
WORK, THERE = os.path.join(HOME, "work"), "/work"
RUNTIME = os.path.join(os.path.dirname(os.environ.get("COMPOSE", os.path.join(TOP, "build/release/src/cli/compose"))),
                       "../../runtime/compose-runtime")


@functools.cache
def why_not(*command):
    """Why no peer can run this command (by default any) here; empty if one can."""
    if os.geteuid() != 0:
        return "needs root: containers"
    if not os.access(PEER, os.X_OK):
        return "no real engines here: no ../shared/peers/peer beside the repository"
    try:
        done = subprocess.run([PEER, *(command or ["true"])], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        return f"the peers do not answer: {' '.join(command)}"
    return "" if done.returncode == 0 else f"no real engines run here: {done.stdout.strip()}"


class Shared:
    """A folder of our own on both sides, `here` and `there`, in which commands run."""

    def __init__(self, name):
        self.here = tempfile.mkdtemp(prefix=name + "-", dir=WORK)
        self.there = os.path.join(THERE, os.path.basename(self.here))
        os.chmod(self.here, 0o755)
        self.environment = {**os.environ, "PEER_CWD": self.there}

    def remove(self):
        shutil.rmtree(self.here, ignore_errors=True)

    def run(self, *command, **options):
        """Runs a command among the peers."""
        return run([PEER, "env", "PODMAN_IGNORE_CGROUPSV1_WARNING=1", *command], env=self.environment, **options)


class Peers(Shared):
    """A folder with our runtime in it."""

    def __init__(self, name):
        super().__init__(name)
        shutil.copy(RUNTIME, self.here)
        self.runtime = self.there + "/compose-runtime"


class Dockerd:
    """A Docker daemon of the test's own, with our runtime added to it: nothing it does meets another daemon."""

    def __init__(self, peers, name):
        self.peers, self.name = peers, name
        self.socket = f"unix://{peers.there}/docker.sock"
        self.log_path = os.path.join(peers.here, "dockerd.log")
        self.roots = (f"/var/lib/{name}", f"/run/{name}")
        data, running = self.roots
        command = [PEER, "unshare", "--net", "dockerd", "--host", self.socket, "--data-root", data, "--exec-root", running,
                   "--pidfile", f"{running}/dockerd.pid", "--bridge", "none", "--iptables=false", "--ip6tables=false",
                   "--add-runtime", f"ours={peers.runtime}"]
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 30
        while self.docker("info", check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise AssertionError("dockerd did not start:\n" + self.log())
            time.sleep(0.1)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def docker(self, *words, **options):
        return self.peers.run("docker", "--host", self.socket, *words, **options)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.peers.run("umount", self.roots[0], check=False)  # it has bound it on itself
        self.peers.run("rm", "-rf", "--one-file-system", *self.roots)
