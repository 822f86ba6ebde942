"""userns_mode: containers with ids of their own, whose files keep the ids that they have inside."""
import os

from compose import Project
from e2e import TestCase, needs_our_own, needs_root, workspace

PROJECT = """\
services:
  web:
    image: busybox
    userns_mode: auto
    command: sh -c "echo to the log > /dev/stderr; echo page > /www/index.html; exec httpd -f -h /www"
    volumes: [data:/www, ./bind:/bind]
    secrets: [word]
    healthcheck: {test: wget -q -O /dev/null http://127.0.0.1/, interval: 1s, start_interval: 100ms, start_period: 5s}
  user:
    image: busybox
    userns_mode: auto
    user: "1000"
    command: sleep 1000
    depends_on: {web: {condition: service_healthy}}
    volumes: [data:/www]
  fixed:
    image: busybox
    userns_mode: "300000:1000"
    command: sleep 1000
  plain:
    image: busybox
    userns_mode: host
    command: sleep 1000
secrets:
  word: {environment: WORD}
volumes:
  data:
"""


@needs_root
@needs_our_own
class UserNamespace(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.before = workspace().snapshot()
        cls.project = Project.of_text(workspace(), "e2e-userns", PROJECT, environment={"WORD": "secret"})
        os.mkdir(os.path.join(cls.project.directory, "bind"))
        cls.addClassCleanup(lambda: cls.project.down("-v", "-t", "0", check=False))

    def first_id(self, service):
        inside, outside, size = self.project.exec(service, "cat", "/proc/self/uid_map").stdout.split()
        self.assertEqual(inside, "0")
        return int(outside), int(size)

    def test_1_ids_are_its_own(self):
        self.project.up("--wait")
        web, user = self.first_id("web"), self.first_id("user")
        self.assertNotEqual(web, user)
        self.assertEqual({web[1], user[1]}, {65536})
        self.assertGreaterEqual(min(web[0], user[0]), 0x70000000)
        self.assertEqual(self.first_id("fixed"), (300000, 1000))
        self.assertEqual(self.first_id("plain")[0], 0)
        self.assertEqual(os.stat(f"/proc/{self.project.pid('web')}").st_uid, web[0])

    def test_2_files_keep_theirs(self):
        self.project.exec("web", "sh", "-c", "touch /bind/made && chown 33:33 /bind/made")
        made = os.stat(os.path.join(self.project.directory, "bind/made"))
        self.assertEqual((made.st_uid, made.st_gid), (33, 33))
        # Two ranges, one volume: everybody sees the same owners.
        for service in ("web", "user"):
            self.assertEqual(self.project.exec(service, "stat", "-c", "%u", "/www/index.html").stdout.strip(), "0")
        self.assertEqual(self.project.exec("web", "sh", "-c", "cat /run/secrets/word; stat -c ' %u %u' /etc/hosts").stdout,
                         "secret 0 0\n")
        self.assertNotEqual(self.project.exec("user", "sh", "-c", "echo x > /www/index.html", check=False).returncode, 0)

    def test_3_copies(self):
        here = self.project.directory
        with open(os.path.join(here, "file"), "w", encoding="ascii") as file:
            file.write("content")
        self.project.run("cp", "file", "web:/file")
        self.assertEqual(self.project.exec("web", "sh", "-c", "cat /file; stat -c ' %u:%g' /file").stdout, "content 0:0\n")
        self.project.exec("web", "sh", "-c", "mkdir /from; echo x > /from/x; chown -R 33:34 /from")
        self.project.run("cp", "-a", "web:/from", "from")
        status = os.stat(os.path.join(here, "from/x"))
        self.assertEqual((status.st_uid, status.st_gid), (33, 34))
        self.project.run("cp", "-a", "from", "web:/to")
        self.assertEqual(self.project.exec("web", "stat", "-c", "%u:%g", "/to", "/to/x").stdout, "33:34\n33:34\n")

    def test_3_names_and_logs(self):
        self.assertEqual(self.project.exec("user", "wget", "-q", "-O", "-", "http://web/").stdout, "page\n")
        self.assertIn("to the log", self.project.run("logs", "web").stderr)
        self.assertEqual(self.project.exec("user", "sh", "-c", "id -u; echo said > /dev/stdout").stdout, "1000\nsaid\n")

    def test_4_what_it_excludes(self):
        for line, words in (("privileged: true", "privileged"), ("network_mode: host", "network_mode"),
                            ("pid: host", "pid"), ("userns_mode: keep-id", "none of host, auto and FIRST:SIZE")):
            mode = "" if line.startswith("userns") else "userns_mode: auto, "
            text = f"services: {{a: {{image: busybox, command: 'true', {mode}{line}}}}}\n"
            wrong = Project.of_text(workspace(), "e2e-userns-wrong", text)
            self.addCleanup(lambda wrong=wrong: wrong.down("-v", "-t", "0", check=False))
            result = wrong.up(check=False)
            self.assertNotEqual(result.returncode, 0, line)
            self.assertIn("userns_mode: ", result.stderr)
            self.assertIn(words, result.stderr)

    def test_5_nothing_is_left(self):
        self.project.run("restart", "-t", "0", "web")
        self.project.down("-v", "-t", "0")
        claims = os.path.join(workspace().state_root, "userns")
        self.assertEqual(os.listdir(claims), [])
        self.assert_nothing_left(self.before)
