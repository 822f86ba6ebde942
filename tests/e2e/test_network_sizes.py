"""Many containers on one network, many networks on one host (LONG=1): all come, are found by name and go."""
import subprocess
import sys
import time

from compose import Project
from e2e import TestCase, long_run, needs_our_own, needs_root, workspace

# Asks the resolver of the namespace it runs in, over TCP, for A records: prints how many there are.
ASK = """
import socket, struct, sys
name = b"".join(bytes([len(part)]) + part.encode() for part in sys.argv[1].split("."))
query = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + name + b"\\0" + struct.pack(">2H", 1, 1)
with socket.create_connection(("127.0.0.11", 53), timeout=10) as tcp:
    tcp.sendall(struct.pack(">H", len(query)) + query)
    stream = tcp.makefile("rb")
    answer = stream.read(struct.unpack(">H", stream.read(2))[0])
print(struct.unpack(">H", answer[6:8])[0] if answer[3] & 15 == 0 else -1)
"""


def addresses_of(name, pid):
    """How many addresses the name has for the container whose first process is `pid`."""
    asked = subprocess.run(["nsenter", "--net", "--target", str(pid), sys.executable, "-c", ASK, name],
                           capture_output=True, text=True, check=True, timeout=60)
    return int(asked.stdout)


@needs_root
@needs_our_own
class Sizes(TestCase):
    @long_run("two hundred containers")
    def test_two_hundred_containers_on_one_network(self):
        before = workspace().snapshot()
        project = Project.of_text(workspace(), "e2e-many", """\
services:
  many: {image: busybox, command: sleep 36000, stop_signal: KILL}
""")
        self.addCleanup(lambda: project.down("-t", "0", check=False, timeout=600))
        spent, there = {}, 0
        for number in (50, 100, 150, 200):
            spent[number] = project.up("--no-recreate", "--scale", f"many={number}", timeout=900).seconds / (number - there)
            there = number
        pid = project.pid("many")
        self.assertEqual(addresses_of("many", pid), 200)
        self.assertEqual(addresses_of("e2e-many-many-200", pid), 1)
        down = project.down("-t", "0", timeout=900).seconds
        print("        seconds for one container: " +
              ", ".join(f"up to {number}: {each:.3f}" for number, each in spent.items()) + f"; down {down / 200:.3f}")
        self.assertLess(spent[200], 2 * spent[50], "the time for a container does not grow with their number")
        self.assert_nothing_left(before, seconds=30)

    @long_run("fifty projects, each with a network of its own")
    def test_fifty_networks(self):
        before = workspace().snapshot()
        projects, spent = [], []
        for number in range(50):
            project = Project.of_text(workspace(), f"e2e-net{number}", """\
services:
  one: {image: busybox, command: sleep 36000, stop_signal: KILL}
  two: {image: busybox, command: sleep 36000, stop_signal: KILL}
""")
            self.addCleanup(lambda project=project: project.down("-t", "0", check=False))
            projects.append(project)
            begun = time.monotonic()
            project.up()
            spent.append(time.monotonic() - begun)
        for project in (projects[0], projects[-1]):
            self.assertEqual(addresses_of("two", project.pid("one")), 1)
            self.assertEqual(addresses_of("one." + project.name + "_default", project.pid("two")), 1)
        subnets = subprocess.run(["ip", "-o", "route"], capture_output=True, text=True, check=True).stdout
        self.assertGreaterEqual(sum(" dev br-" in line for line in subnets.splitlines()), 50)
        begun = time.monotonic()
        for project in projects:
            project.down("-t", "0")
        first, last = sorted(spent[:10])[5], sorted(spent[-10:])[5]
        print(f"        seconds for one project: first ten {first:.3f}, last ten {last:.3f}; "
              f"down {(time.monotonic() - begun) / 50:.3f}")
        self.assertLess(last, 2 * first + 0.1, "the time for a project does not grow with their number")
        self.assert_nothing_left(before, seconds=30)


