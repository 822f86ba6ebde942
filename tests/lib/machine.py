"""What is on this machine that could be ours: taken before and after a test, the difference is what was left behind.

Only what can be told to be ours is looked at (programs named compose*, our cgroup, bridges and veths by their names, the
firewall, paths under the test's own roots). Where other projects of ours come and go meanwhile, E2E_SHARED=1 narrows that
to what carries this run's own names.
"""
import glob
import hashlib
import json
import os
import re
import subprocess

OUR_LINKS = re.compile(r"^(br-[0-9a-f]{12}|vc[0-9a-f]{8,}[a-z]?)$")
SYSCTLS = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/all/route_localnet",
           "net/ipv4/conf/lo/route_localnet", "net/bridge/bridge-nf-call-iptables")
SHARED = os.environ.get("E2E_SHARED") == "1"
if SHARED:  # what forwards for others stays switched on for them
    SYSCTLS = ()
# Kept over a "down": what any project can use again.
KEPT = re.compile(r"^(images|layers|cache|blobs|build)(/|$)")


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def process_ids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def environment(pid):
    return dict(item.split("=", 1) for item in read(f"/proc/{pid}/environ").split("\0") if "=" in item)


def command_line(pid):
    return read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()


def _program(pid):
    """The name it was started by: a monitor has left the mount namespace its program lies in, so /proc shows no path."""
    return os.path.basename(read(f"/proc/{pid}/cmdline").split("\0")[0])


def _is_zombie(pid):
    # The name may hold blanks and brackets; the state follows the last bracket.
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] in (["Z"], ["X"], [])


def processes_of(roots):
    """Processes that are our programs working on these roots, or that sit in a container of ours."""
    run_root = roots[1]
    found = {}
    for pid in process_ids():
        if _is_zombie(pid):
            continue
        ours = re.match(r"^(docker-)?compose(-runtime|-monitor)?$", _program(pid))
        line = command_line(pid)
        if ours and (environment(pid).get("COMPOSE_RUN_ROOT") == run_root or run_root in line or " e2e-" in line):
            found[pid] = line
    for path in cgroups():
        for pid in read(os.path.join(path, "cgroup.procs")).split():
            found[int(pid)] = f"{command_line(int(pid))} in {path}"
    return found


def with_descendants(pid):
    """A process and all it has started, as far as they are still its children."""
    found = [pid]
    for parent in found:  # grows meanwhile
        for task in glob.glob(f"/proc/{parent}/task/*/children"):
            found += [int(child) for child in read(task).split()]
    return found


def cgroup_mounts():
    for line in read("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] in ("cgroup", "cgroup2"):
            yield before.split()[4]


def cgroups():
    """Our folder, /compose, in every cgroup hierarchy, and all below it."""
    found = [folder for mount in cgroup_mounts() for folder, _, _ in os.walk(os.path.join(mount, "compose"))]
    return [folder for folder in found if "/compose/e2e-" in folder] if SHARED else found


def cgroup_of(container_id):
    """The folders of one container, whoever made it."""
    found = []
    for mount in cgroup_mounts():
        for folder, names, _ in os.walk(mount):
            found += [os.path.join(folder, name) for name in names if name.startswith(container_id)]
    return found


def first_process(container_id):
    """The pid on the host of process 1 of a container."""
    for path in cgroup_of(container_id):
        for pid in read(os.path.join(path, "cgroup.procs")).split():
            identifiers = re.search(r"^NSpid:(.*)$", read(f"/proc/{pid}/status"), re.M)
            if identifiers and identifiers.group(1).split()[-1] == "1":
                return int(pid)
    return None


def parent(pid):
    """0 when the process has gone."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def start_time(pid):
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else None


def links():
    names = [] if SHARED else os.listdir("/sys/class/net")
    return [name for name in names if OUR_LINKS.match(name)]


def firewall(state_root):
    """Every table, chain, set and rule, one line each: rules of ours may also have to stand in other's chains."""
    table = "compose-" + hashlib.sha256(state_root.encode()).hexdigest()[:8]
    # The whole is listed anew when somebody changes it meanwhile: beside busy neighbours that takes for ever.
    what = ["table", "inet", table] if SHARED else ["ruleset"]
    try:
        listing = subprocess.run(["nft", "-j", "list", *what], capture_output=True, text=True, timeout=20)
        entries = json.loads(listing.stdout or "{}").get("nftables", [])
    except (OSError, ValueError):
        return []
    found = [json.dumps(without_counts(entry), sort_keys=True) for entry in entries if "metainfo" not in entry]
    return found


def without_counts(value):
    """The same without what changes by itself."""
    if isinstance(value, dict):
        return {key: without_counts(item) for key, item in value.items() if key not in ("handle", "packets", "bytes")}
    return [without_counts(item) for item in value] if isinstance(value, list) else value


def mounts(roots):
    return [line for line in read("/proc/self/mountinfo").splitlines() if any(root in line for root in roots)]


def namespaces():
    return [os.path.join(folder, name) for folder in ("/run/netns", "/run/compose/netns") if os.path.isdir(folder)
            for name in os.listdir(folder)]


def files(roots):
    found = []
    for number, root in enumerate(roots):
        for folder, names, others in os.walk(root):
            for name in names + others:
                path = os.path.join(folder, name)
                relative = os.path.relpath(path, root)
                if number == 0 and KEPT.match(relative):
                    continue
                # How the last command failed is kept for "why"; "down" or the next "up" takes it away.
                if number == 1 and relative.split("/")[0] == "failures":
                    continue
                # A folder alone is a place for things, not a thing: only those a project is named by count.
                if name in names and "/" not in relative:
                    continue
                found.append(path)
    return found


class Snapshot:
    """Everything of ours on the machine at one moment."""

    def __init__(self, state_root, run_root):
        self.roots = (state_root, run_root)
        self.found = {
            "process": {f"{pid} {line}" for pid, line in processes_of(self.roots).items()},
            "mount": set(mounts(self.roots)),
            "cgroup": set(cgroups()),
            "link": set(links()),
            "firewall": set(firewall(state_root)),
            "network namespace": set(namespaces()),
            "file": set(files(self.roots)),
            "setting": {f"{name} = {read('/proc/sys/' + name).strip()}" for name in SYSCTLS
                        if os.path.exists("/proc/sys/" + name)},
        }

    def left_behind(self, before, ignore=None):
        """Lines for what is here now and was not before."""
        lines = []
        for kind, now in self.found.items():
            for item in sorted(now - before.found[kind]):
                if not (ignore and re.search(ignore, item)):
                    lines.append(f"{kind}: {item}")
        return lines
