"""Rolling updates (deploy.update_config) under load: no request fails, a bad version is rolled back."""
import http.client
import os
import shutil
import subprocess
import threading
import time

from compose import Project
from e2e import TestCase, long_run, needs_our_own, needs_root, workspace
from stack import free_port


SIZE = 8 << 20


class Load(threading.Thread):
    """Asks again and again, each time by a new connection."""

    def __init__(self, port, hosts, slow=True):
        super().__init__(daemon=True)
        self.port, self.answers, self.failures, self.over = port, 0, [], threading.Event()
        self.slow = slow
        self.seen = []
        self.workers = [threading.Thread(target=self.work, args=(host,), daemon=True) for host in hosts]

    def start(self):
        for worker in self.workers:
            worker.start()

    def work(self, host):
        while not self.over.is_set():
            try:
                connection = http.client.HTTPConnection(host, self.port, timeout=30)
                connection.request("GET", "/slow" if self.slow else "/version")
                answer = connection.getresponse()
                text = answer.read(5).decode()
                if self.slow:  # the rest does not fit into the buffers in between: there always is one on its way
                    time.sleep(0.05)
                size = len(text) + len(answer.read())
                connection.close()
                if answer.status != 200 or size != (SIZE if self.slow else len(text)):
                    self.failures.append(f"{answer.status}, {size} bytes")
                elif not self.seen or self.seen[-1] != text.strip():
                    self.seen.append(text.strip())
                self.answers += 1
            except OSError as error:
                self.failures.append(f"{host}: {error!r}")
            except http.client.HTTPException as error:
                self.failures.append(f"{host}: {error!r}")

    def stop(self):
        self.over.set()
        for worker in self.workers:
            worker.join(10)


@needs_root
@needs_our_own
class Update(TestCase):
    TEXT = """\
services:
  web:
    image: e2e-update-app:{version}
    container_name: e2e-update-front
    build:
      context: .
      dockerfile_inline: |
        FROM busybox
        RUN mkdir /www && echo {version} > /www/version && (printf '%-5s' {version}; yes) | head -c {size} > /www/slow
    command: sh -c "{before}exec httpd -f -p 80 -h /www"
    init: true
    ports: ["127.0.0.1:{port}:80", "[::1]:{port}:80"]
    healthcheck: {{test: "wget -q -O- http://127.0.0.1/version && touch /healthy", interval: 300ms, retries: 2}}
    stop_grace_period: 5s
    deploy:
      update_config: {{order: start-first, failure_action: rollback, monitor: {monitor}}}
      rollback_config: {{order: start-first}}
"""

    def write(self, version, before="", monitor="500ms"):
        with open(os.path.join(self.project.directory, "compose.yaml"), "w", encoding="utf-8") as file:
            file.write(self.TEXT.format(version=version, before=before, port=self.port, size=SIZE, monitor=monitor))

    def make(self, name):
        self.before, self.port = workspace().snapshot(), free_port()
        self.project = Project.of_text(workspace(), "e2e-update-" + name, "")
        self.write("one")
        self.addCleanup(lambda: self.project.down("-t", "0", check=False))
        self.project.up("--wait")

    def update_twice(self):
        """A good version, then two bad ones: one that is never healthy and one that ends in its monitor time."""
        self.write("two")
        self.project.up()
        self.write("three", before="exec sleep 1000; ")
        done = self.project.up(check=False)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertRegex(done.stderr, r'compose.yaml:\d+:\d+: service "web": the update failed and rolled back: .*unhealthy')
        # Healthy, and gone a moment later.
        self.write("four", before="(until [ -e /healthy ]; do sleep 0.1; done; sleep 0.5; kill 1) & ", monitor="3s")
        done = self.project.up(check=False)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertRegex(done.stderr, r"(?s)the update failed and rolled back: .*(is not running|exited)")

    def check_end(self):
        [container] = self.project.containers().values()
        self.assertEqual((container["Name"], container["State"]), ("e2e-update-front", "running"))
        self.write("two")
        self.assertIn("Running", self.project.up().stderr, "the project is as the good version wants it")
        self.project.down("-t", "0")
        self.assert_nothing_left(self.before)

    def test_no_request_fails(self):
        self.make("load")
        load = Load(self.port, ["127.0.0.1", "::1"] * 2)
        load.start()
        self.addCleanup(load.stop)
        self.update_twice()
        time.sleep(0.5)
        load.stop()
        self.assertEqual(load.failures, [])
        self.assertGreater(load.answers, 100)
        self.assertEqual(load.seen[0], "one")
        self.assertEqual(load.seen[-1], "two")
        self.assertNotIn("three", load.seen)
        self.check_end()

    def test_no_request_fails_that_found_no_place_in_the_queue(self):
        """More clients than the server has places for: the kernel lets them ask again after a second."""
        self.make("queue")
        load = Load(self.port, ["127.0.0.1"] * 40, slow=False)
        load.start()
        self.addCleanup(load.stop)
        for version in ("two", "one"):
            self.write(version, monitor="10ms")
            self.project.up()
        load.stop()
        self.assertEqual(load.failures, [])
        self.assertEqual((load.seen[0], load.seen[-1]), ("one", "one"))
        self.assertIn("two", load.seen)
        self.project.down("-t", "0")
        self.assert_nothing_left(self.before)

    @long_run("two minutes of wrk")
    def test_two_minutes_of_wrk(self):
        if not shutil.which("wrk"):
            self.skipTest("needs wrk (Debian's package wrk)")
        self.make("wrk")
        wrk = subprocess.Popen(["wrk", "-t2", "-c16", "-d120s", f"http://127.0.0.1:{self.port}/version"],
                               stdout=subprocess.PIPE, text=True)
        end = time.monotonic() + 100
        while time.monotonic() < end:
            self.write("one")
            self.project.up()
            self.update_twice()
        said = wrk.communicate(timeout=180)[0]
        print(said)
        self.assertNotIn("Non-2xx", said)
        self.assertNotIn("Socket errors", said)
        self.write("two")
        self.check_end()


@needs_root
@needs_our_own
class Replicas(TestCase):
    TEXT = """\
services:
  web:
    image: busybox
    command: sh -c "mkdir -p /www; echo {version} > /www/v; {bad}exec httpd -f -p 80 -h /www"
    init: true
    healthcheck: {{test: "wget -q -O- http://127.0.0.1/v", interval: 300ms, retries: 2, start_period: 60s, start_interval: 300ms}}
    deploy:
      replicas: 4
      update_config: {{parallelism: 2, order: {order}, delay: 200ms, failure_action: {action}, monitor: 100ms}}
  asks:
    image: busybox
    depends_on: {{web: {{condition: service_healthy}}}}
    stop_signal: KILL
    init: true
    command: >
      sh -c "now() {{ cut -d' ' -f1 /proc/uptime | tr -d .; }};
      while :; do begun=$$(now); a=$$(nslookup web | awk '/^Address/ {{a = $$NF}} END {{print a}}');
      wget -q -O- http://$$a/v || if [ $$(($$(now) - begun)) -lt 40 ]; then echo failed; else echo late; fi;
      sleep 0.01; done"
"""

    def write(self, version, bad="", order="stop-first", action="pause"):
        with open(os.path.join(self.project.directory, "compose.yaml"), "w", encoding="utf-8") as file:
            file.write(self.TEXT.format(version=version, bad=bad, order=order, action=action))

    def test_batches_names_and_pause(self):
        before = workspace().snapshot()
        self.project = Project.of_text(workspace(), "e2e-update-many", "")
        self.addCleanup(lambda: self.project.down("-t", "0", check=False))
        self.write("one")
        self.project.up("--wait")
        ids = {name: entry["ID"] for name, entry in self.project.containers().items()}
        for number, order in ((2, "stop-first"), (3, "start-first")):
            self.write(f"version{number}", order=order)
            begun = time.monotonic()
            self.project.up()
            self.assertGreater(time.monotonic() - begun, 0.4, "two batches, a delay, two monitor times")
            now = {name: entry["ID"] for name, entry in self.project.containers().items()}
            self.assertEqual(set(now), set(ids), "the same names")
            self.assertEqual([name for name in ids if now[name] == ids[name]], ["e2e-update-many-asks-1"])
            ids = now
        # An address that was asked for half a second ago may be anybody's.
        said = [line for line in self.project.run("logs", "--no-log-prefix", "asks").stdout.split() if line != "late"]
        self.assertEqual([line for line in said if line == "failed"], [])
        self.assertEqual(said[0], "one")
        self.assertEqual(said[-1], "version3")
        self.write("bad", bad="exit 3; ", order="start-first")
        done = self.project.up(check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"(?s)the update goes no further.*exited with code 3")
        now = {name: entry["ID"] for name, entry in self.project.containers().items()}
        self.assertEqual(now, ids, "the first batch failed, so nothing was replaced")
        self.project.down("-t", "0")
        self.assert_nothing_left(before)
