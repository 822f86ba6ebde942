"""Many services on one machine: what it costs that they are watched over."""
import os
import re
import time
import unittest

from compose import Project, wait_until
from e2e import TestCase, needs_our_own, needs_root, workspace
import machine

LONG = os.environ.get("LONG") == "1"
COUNT = 300 if LONG else 5
SECONDS = 10  # without anything to do


def memory(pid, what):
    """KiB of one line of smaps_rollup."""
    found = re.search(rf"^{what}:\s+(\d+) kB", machine.read(f"/proc/{pid}/smaps_rollup"), re.M)
    return int(found.group(1))


def cpu(pid):
    """Nanoseconds on a processor so far: finer than the ticks of /proc/PID/stat."""
    return int(machine.read(f"/proc/{pid}/schedstat").split()[0])


@needs_root
@needs_our_own
class Scale(TestCase):
    """LONG=1 with 300 services; a handful otherwise, so that the limits of one hold at all times."""

    def test_up_steady_and_down(self):
        before = workspace().snapshot()
        project = Project.of_text(workspace(), "e2e-scale", "services:\n" + "".join(
            f"  s{i}: {{image: busybox, command: sleep 100000, stop_signal: KILL, restart: always}}\n"
            for i in range(COUNT)))
        self.addCleanup(lambda: project.down("-t", "0", check=False, timeout=600))
        begin = time.monotonic()
        project.up(timeout=600)
        up = time.monotonic() - begin
        states = [entry["State"] for entry in project.containers().values()]
        self.assertEqual((len(states), set(states)), (COUNT, {"running"}))
        [supervisor] = project.supervisors()
        monitors = [pid for pid in machine.process_ids() if machine.command_line(pid).startswith("compose-monitor e2e-scale ")]
        self.assertEqual(len(monitors), COUNT)

        def quiet():
            used = [cpu(pid) for pid in (supervisor, *monitors)]
            time.sleep(3)  # two seconds after the last command a supervisor gives its memory back
            return [cpu(pid) for pid in (supervisor, *monitors)] == used
        wait_until(quiet, 30, "the end of the work")
        used = [cpu(pid) for pid in (supervisor, *monitors)]
        time.sleep(SECONDS if LONG else 1)
        spent = [now - then for now, then in zip([cpu(pid) for pid in (supervisor, *monitors)], used)]
        resident = memory(supervisor, "Rss")
        own = sorted(memory(pid, "Private_Dirty") for pid in monitors)
        shared = sorted(memory(pid, "Pss") for pid in monitors)
        begin = time.monotonic()
        project.down("-t", "0", timeout=600)
        down = time.monotonic() - begin
        if LONG:
            print(f"        {COUNT} services: up {up:.1f} s, down {down:.1f} s; idle: {sum(spent) / 1e6:.2f} ms of CPU in "
                  f"{SECONDS} s by {1 + len(spent[1:])} processes; supervisor {resident} KiB resident; monitors "
                  f"{own[0]} to {own[-1]} KiB of their own, {shared[len(shared) // 2]} KiB PSS")
        self.assertLess(spent[0], 1_000_000, "the idle supervisor works")
        self.assertEqual(max(spent[1:]), 0, "an idle monitor works")
        self.assertLess(resident, 20 * 1024)
        self.assertLess(own[-1], 150)
        self.assert_nothing_left(before)


if __name__ == "__main__":
    unittest.main()
