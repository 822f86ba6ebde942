"""The commands, on small services of busybox."""
import json
import os
import re
import signal
import urllib.request

import compose
from compose import Project, wait_until
from e2e import TestCase, needs_our_own, needs_root, workspace
from stack import free_port
from test_wordpress import address_of_this_machine

STACK = """\
services:
  web:
    image: busybox
    command: sh -c "echo web is here; echo and complains >&2; mkdir -p /www; hostname > /www/index.html; exec httpd -f -p 80 -h /www"
    stop_signal: KILL
    depends_on: [db]
    ports: ["${PORT}:80"]
    networks: [front, back]
    healthcheck: {test: wget -q -O /dev/null http://127.0.0.1/, interval: 1s, start_interval: 100ms, start_period: 5s}
  db:
    image: busybox
    command: sh -c "trap 'echo stopping; exit 0' TERM; echo db is here; while :; do sleep 1000 & wait $$!; done"
    environment: {WORD: "a $$ and ${PORT}"}
    hostname: database
    networks: {back: {aliases: [store]}}
    volumes: [data:/data]
  once:
    image: busybox
    command: sh -c "echo done once; exit 0"
    networks: [back]
networks:
  front:
  back: {internal: true}
volumes:
  data:
"""


@needs_root
class Commands(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.before = workspace().snapshot()
        cls.port = free_port()
        cls.project = Project.of_text(workspace(), "e2e-commands", STACK.replace("${PORT}", str(cls.port)))
        cls.addClassCleanup(lambda: cls.project.down("-v", "-t", "0", check=False))

    def fetch(self, host="127.0.0.1"):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{host}:{self.port}/", timeout=5) as answer:
            return answer.read().decode()

    def test_01_config(self):
        model = json.loads(self.project.run("config", "--format", "json").stdout)
        self.assertEqual(model["name"], "e2e-commands")
        self.assertEqual(model["services"]["web"]["ports"][0]["published"], str(self.port))
        self.assertEqual(set(self.project.run("config", "--services").stdout.split()), {"web", "db", "once"})

    def test_02_create_then_start(self):
        self.project.run("create")
        self.assertEqual({entry["State"] for entry in self.project.containers().values()}, {"created"})
        self.project.run("start")
        self.assertEqual(self.project.container("db")["State"], "running")

    def test_03_up_waits_for_health(self):
        self.project.up("--wait")
        self.assertEqual(self.project.container("web")["Health"], "healthy")

    def test_04_ps(self):
        table = self.project.run("ps").stdout.splitlines()
        self.assertEqual(table[0].split(), ["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"])
        self.assertEqual(sorted(line.split()[0] for line in table[1:]), ["e2e-commands-db-1", "e2e-commands-web-1"])
        self.assertRegex(next(line for line in table if "-web-1" in line), rf"Up .*\(healthy\).*:{self.port}->80/tcp")
        self.assertEqual(len(self.project.run("ps", "-q").stdout.split()), 2)
        self.assertEqual(self.project.container("once")["ExitCode"], 0)

    def test_05_logs(self):
        said = self.project.run("logs").stdout
        self.assertRegex(said, r"(?m)^\W*web-1\s+\| web is here")
        self.assertRegex(said, r"(?m)db-1\s+\| db is here")
        self.assertEqual(self.project.run("logs", "--no-log-prefix", "once").stdout.strip(), "done once")
        self.assertIn("and complains", self.project.run("logs", "web").stdout + self.project.run("logs", "web").stderr)
        self.assertEqual(len(self.project.run("logs", "--tail", "1", "--no-log-prefix", "db").stdout.strip().splitlines()), 1)

    def test_06_logs_follow(self):
        follower = self.project.popen("logs", "-f", "--tail", "0", "db")
        try:
            self.project.exec("db", "sh", "-c", "echo a new line > /proc/1/fd/1")
            line = follower.stdout.readline()
        finally:
            follower.terminate()
            follower.communicate()
        self.assertIn("a new line", line)

    def test_07_exec(self):
        done = self.project.exec("db", "sh", "-c", "echo out; echo err >&2; exit 5", check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (5, "out\n", "err\n"))
        self.assertEqual(self.project.exec("db", "sh", "-c", "echo $WORD").stdout, f"a $ and {self.port}\n")
        self.assertEqual(self.project.run("exec", "-T", "-u", "1000", "-w", "/tmp", "-e", "X=y", "db",
                                          "sh", "-c", "id -u; pwd; echo $X").stdout.split(), ["1000", "/tmp", "y"])
        self.assertEqual(self.project.exec("db", "cat", input="by pipe", stdin=None).stdout, "by pipe")
        self.assertEqual(self.project.exec("db", "hostname").stdout, "database\n")

    def test_08_names_on_the_network(self):
        for name in ("db", "store", "e2e-commands-db-1"):
            with self.subTest(name=name):
                found = self.project.exec("web", "nslookup", name, "127.0.0.11", check=False)
                self.assertEqual(found.returncode, 0, found.stdout + found.stderr)
        self.assertNotEqual(self.project.exec("web", "nslookup", "nobody.invalid", "127.0.0.11", check=False).returncode, 0)
        self.assertEqual(self.project.exec("db", "wget", "-q", "-O", "-", "http://web/").returncode, 0)

    def test_09_published_port(self):
        name = self.project.exec("web", "hostname").stdout.strip()
        for host in ("127.0.0.1", address_of_this_machine()):
            with self.subTest(host=host):
                self.assertEqual(self.fetch(host).strip(), name)
        address = self.project.exec("web", "sh", "-c", "ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p'").stdout.strip()
        through_host = self.project.exec("web", "wget", "-q", "-O", "-", f"http://{address}:{self.port}/", check=False)
        self.assertEqual(through_host.stdout.strip(), name, through_host.stderr)

    def test_10_stop_start_restart(self):
        first = self.project.pid("db")
        self.project.run("stop", "db")
        self.assertEqual((self.project.container("db")["State"], self.project.container("db")["ExitCode"]), ("exited", 0))
        self.assertIn("stopping", self.project.run("logs", "db").stdout)
        self.project.run("start", "db")
        second = self.project.pid("db")
        self.assertNotIn(second, (None, first))
        self.project.run("restart", "-t", "3", "db")
        self.assertNotIn(self.project.pid("db"), (None, second))

    def test_11_a_change_recreates_that_service_alone(self):
        before = self.project.containers()
        path = os.path.join(self.project.directory, "compose.yaml")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("hostname: database", "hostname: changed"))
        self.project.exec("db", "sh", "-c", "echo kept > /data/file")
        self.project.up("-t", "1")
        after = self.project.containers()
        self.assertNotEqual(after["e2e-commands-db-1"]["ID"], before["e2e-commands-db-1"]["ID"])
        self.assertEqual(self.project.exec("db", "cat", "/etc/hostname", "/data/file").stdout.split(), ["changed", "kept"])
        wait_until(lambda: self.project.exec("web", "wget", "-q", "-O", "-", "http://127.0.0.1/", check=False).returncode == 0)

    def test_12_images_ls_version(self):
        self.assertIn("busybox", self.project.run("images").stdout)
        self.assertRegex(self.project.run("ls").stdout, r"(?m)^e2e-commands\s+\S*running\(2\)")
        self.assertRegex(self.project.run("version", "--short").stdout, r"^v?\d+\.\d+")

    @needs_our_own
    def test_13_doctor(self):
        done = self.project.run("doctor", check=False)
        self.assertRegex(done.stdout + done.stderr, "(?i)cgroup")
        self.assertRegex(done.stdout + done.stderr, "(?i)overlay")

    def test_14_down(self):
        self.project.down("-v", "-t", "2")
        self.assertEqual(self.project.containers(), {})
        self.assert_nothing_left(self.before)
        with self.assertRaises(OSError):
            self.fetch()


@needs_root
class Attached(TestCase):
    TEXT = """\
services:
  polite:
    image: busybox
    command: sh -c "trap 'echo good bye; exit 0' TERM INT; echo hello; while :; do sleep 1000 & wait $$!; done"
  stubborn:
    image: busybox
    command: sh -c "trap '' TERM INT; echo never; while :; do sleep 1000; done"
    stop_grace_period: 60s
"""

    def begin(self, name):
        self.before = workspace().snapshot()
        self.project = Project.of_text(workspace(), name, self.TEXT)
        self.addCleanup(lambda: self.project.down("-t", "0", check=False))

    def read_until(self, stream, *words):
        said = ""
        while not all(word in said for word in words):
            line = stream.readline()
            if not line:
                self.fail(f"ended before it said {words}: {said}")
            said += line
        return said

    def test_interrupt_stops_in_order(self):
        self.begin("e2e-attached")
        up = self.project.popen("up", "polite")
        said = self.read_until(up.stdout, "hello")
        self.assertRegex(said, r"polite-1\s+\| hello")
        up.send_signal(signal.SIGINT)
        out, err = up.communicate(timeout=30)
        self.assertIn("good bye", said + out)
        self.assertIn("Gracefully", out + err)
        self.assertIn(up.returncode, (0, 130))
        self.assertEqual(self.project.container("polite")["State"], "exited")
        self.project.down()
        self.assert_nothing_left(self.before)

    def test_second_interrupt_kills(self):
        self.begin("e2e-killed")
        up = self.project.popen("up", "stubborn")
        self.read_until(up.stdout, "never")
        up.send_signal(signal.SIGINT)
        # The word comes when the stop is under way; before that a second signal would be the same one.
        self.read_until(up.stderr, "Gracefully")
        up.send_signal(signal.SIGINT)
        up.communicate(timeout=20)
        wait_until(lambda: self.project.container("stubborn")["State"] == "exited", 10, "an exited container")
        self.assertEqual(self.project.container("stubborn")["ExitCode"], 137)

    @needs_our_own
    def test_exit_code_of_a_service(self):
        self.begin("e2e-exit-code")
        project = Project.of_text(workspace(), "e2e-exit-code", "services: {job: {image: busybox, command: sh -c 'exit 9'}}\n")
        done = project.run("up", "--exit-code-from", "job", check=False)
        self.assertEqual(done.returncode, 9)


@needs_root
@needs_our_own
class OneOffs(TestCase):
    def test_commands_for_services_leave_containers_of_run_alone_but_kill_and_down(self):
        before = workspace().snapshot()
        project = Project.of_text(workspace(), "e2e-one-offs",
                                  "services: {db: {image: busybox, command: sleep 1000, stop_signal: KILL}}\n")
        self.addCleanup(lambda: project.down("-t", "0", check=False))

        def states():
            listed = project.run("ps", "-a", "--format", "{{.Name}} {{.State}}").stdout
            return sorted(re.sub(r"-run-\S+", "-run", line) for line in listed.splitlines())
        project.up()
        project.run("run", "-d", "db", "sleep", "1000")
        for command in (("stop",), ("restart",), ("pause",), ("unpause",)):
            project.run(*command, "db")
            self.assertIn("e2e-one-offs-db-run running", states(), command)
        project.run("rm", "-sf", "db")
        self.assertEqual(states(), ["e2e-one-offs-db-run running"])
        self.assertIn("No stopped containers", project.run("rm", "-sf", "db").stderr)
        project.run("kill", "db")
        wait_until(lambda: states() == ["e2e-one-offs-db-run exited"], 10, "the end of the container of run")
        project.down()
        self.assertEqual(states(), [])
        self.assert_nothing_left(before)


@needs_root
@needs_our_own
class Names(TestCase):
    def test_answers_to_docker_compose(self):
        link = os.path.join(workspace().directory, "docker-compose")
        os.symlink(compose.PROGRAM, link)
        done = compose.run([link, "version"], env=workspace().environment)
        self.assertRegex(done.stdout, "(?i)compose")

    def test_files_may_follow_the_command(self):
        project = Project.of_text(workspace(), "e2e-order", "services: {web: {image: busybox}}\n")
        with open(os.path.join(project.directory, "more.yaml"), "w", encoding="utf-8") as file:
            file.write("services: {web: {environment: {A: b}}}\n")
        done = project.run("config", "-f", "compose.yaml", "-f", "more.yaml")
        self.assertTrue(re.search(r"A: \"?b", done.stdout), done.stdout)
