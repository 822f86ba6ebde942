"""The example stack, as a visitor, an editor and its operator meet it."""
import os
import signal
import threading
import time

import compose
from e2e import TestCase, import_base_image, needs_our_own, needs_root, processes_inside, workspace
from stack import Stack
from visitor import Site, in_seconds, picture, reset_link

SERVICES = {"nginx", "php", "cron", "db", "mail"}
NO_CAPABILITY = ["0000000000000000"]


class Visits:
    """Asks for the front page again and again in the background and counts."""

    def __init__(self, url):
        self.url, self.answers, self.failures = url, 0, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        site = Site(self.url, timeout=15)
        while not self._stop.is_set():
            try:
                status = site.get("/").status
            except OSError as error:
                status = error
            if status == 200:
                self.answers += 1
            else:
                self.failures.append(status)


class StackCase(TestCase):
    """What every environment of the stack is asked."""
    environment = None

    @classmethod
    def setUpClass(cls):
        import_base_image()
        cls.before = workspace().snapshot()
        cls.stack = Stack(workspace(), cls.environment)
        cls.site = cls.stack.site
        cls.password = cls.stack.secrets["wp_admin_password"]
        cls.addClassCleanup(lambda: cls.stack.down("-v", "-t", "5", check=False))
        cls.stack.run("build", timeout=1200)
        cls.stack.up()

    def login(self):
        self.site.forget()
        self.assertTrue(self.site.login("admin", self.password), "the administrator could not log in")

    def check_visit_and_login(self):
        page = self.site.get("/")
        self.assertEqual(page.status, 200)
        self.assertIn("Hello world!", page.text)
        self.assertFalse(Site(self.site.url).login("admin", "wrong"), "a wrong password was accepted")
        self.login()

    def check_post_and_picture(self):
        self.login()
        upload = self.site.upload("gradient.png", picture(640, 480))
        self.assertIn("medium", upload["media_details"]["sizes"], "the picture was not scaled")
        shown = self.site.get(upload["source_url"])
        self.assertEqual((shown.status, shown.body[:8]), (200, b"\x89PNG\r\n\x1a\n"))
        post = self.site.new_post("A first post", "Text of the first post.", picture=upload["id"])
        page = Site(self.site.url).get(post["link"])
        self.assertEqual(page.status, 200)
        self.assertIn("Text of the first post.", page.text)
        return upload["source_url"]

    def check_password_reset(self):
        self.site.forget()
        self.site.ask_for_password_reset("admin")
        mail = self.stack.mail_about("Password Reset")
        self.assertIn("admin@example.test", mail["to"])
        type(self).password = "a new password, 1"
        self.site.reset_password(reset_link(mail), self.password)
        self.login()

    def check_services(self):
        containers = self.stack.containers()
        states = {entry["Service"]: (entry["State"], entry["Health"]) for entry in containers.values()}
        self.assertEqual({service: states.get(service) for service in SERVICES},
                         {service: ("running", "healthy") for service in SERVICES})
        init = self.stack.container("wp-init")
        self.assertEqual((init["State"], init["ExitCode"]), ("exited", 0))
        published = {entry["Service"] for entry in containers.values()
                     if any(port.get("PublishedPort") for port in entry.get("Publishers") or [])}
        self.assertEqual(published, {"nginx"})


@needs_root
class Development(StackCase):
    environment = "dev"

    def test_01_all_services_are_healthy(self):
        self.check_services()

    def test_02_front_page_and_login(self):
        self.check_visit_and_login()

    def test_03_schedule_a_post(self):
        # WordPress publishes at once what is less than a minute ahead.
        self.login()
        self.site.new_post("From the future", "Published by cron.", at=in_seconds(63))
        self.assertNotIn("From the future", Site(self.site.url).posts())
        type(self).scheduled_at = time.monotonic()

    def test_04_post_and_picture(self):
        type(self).picture = self.check_post_and_picture()

    def test_05_password_reset_by_mail(self):
        self.check_password_reset()

    def test_06_files_belong_to_the_web_server_and_nginx_only_reads(self):
        owner = self.stack.exec("php", "stat", "-c", "%u:%g", "/var/www/html", "/var/www/html/wp-content/uploads").stdout
        self.assertEqual(owner.split(), ["33:33", "33:33"])
        seen = self.stack.exec("nginx", "sh", "-c", "stat -c %u /var/www/html/index.php; touch /var/www/html/x", check=False)
        self.assertEqual(seen.stdout.split(), ["33"])
        self.assertIn("Read-only file system", seen.stderr)

    def test_07_a_change_of_code_is_seen_at_once(self):
        plugin = os.path.join(self.stack.directory, "php/mu-plugins/greeting.php")
        with open(plugin, "w", encoding="utf-8") as file:
            file.write("<?php add_action('wp_footer', function () { echo 'changed while running'; });\n")
        self.assertIn("changed while running", self.site.get("/").text)
        os.remove(plugin)

    def test_08_backend_has_no_way_out_and_frontend_has(self):
        routes = self.stack.exec("php", "cat", "/proc/net/route").stdout.splitlines()[1:]
        self.assertNotIn("00000000", [line.split()[1] for line in routes], "php has a default route")
        routes = self.stack.exec("nginx", "cat", "/proc/net/route").stdout.splitlines()[1:]
        self.assertIn("00000000", [line.split()[1] for line in routes], "nginx has no default route")

    def test_09_up_again_changes_nothing(self):
        before = {name: entry["ID"] for name, entry in self.stack.containers().items()}
        pids = {service: self.stack.pid(service) for service in SERVICES}
        finished = self.stack.run("logs", "wp-init").stdout.count("wp-init: database")
        self.stack.up()
        self.assertEqual({name: entry["ID"] for name, entry in self.stack.containers().items()}, before)
        self.assertEqual({service: self.stack.pid(service) for service in SERVICES}, pids)
        if not compose.PEER:  # Docker Compose runs a completed service again.
            self.assertEqual(self.stack.run("logs", "wp-init").stdout.count("wp-init: database"), finished)

    def test_10_a_killed_database_comes_back_with_its_data(self):
        victim = self.stack.pid("db")
        os.kill(victim, signal.SIGKILL)
        compose.wait_until(lambda: self.stack.pid("db") not in (None, victim), 20, "another db process")
        compose.wait_until(lambda: self.stack.container("db")["Health"] == "healthy", 60, "a healthy db")
        compose.wait_until(lambda: Site(self.site.url).is_serving(), 20, "the site")
        self.assertIn("A first post", self.site.posts())

    def test_11_cron_publishes_the_scheduled_post(self):
        left = 63 - (time.monotonic() - self.scheduled_at)
        compose.wait_until(lambda: "From the future" in Site(self.site.url).posts(), max(left, 0) + 30, "the post", 0.5)

    @needs_our_own
    def test_12_the_site_survives_its_supervisor(self):
        pids = {service: self.stack.pid(service) for service in SERVICES}
        containers = {name: (entry["ID"], entry["State"], entry["Health"])
                      for name, entry in self.stack.containers().items()}
        with Visits(self.site.url) as visits:
            for _ in range(3):
                [supervisor] = self.stack.supervisors()
                answers = visits.answers
                os.kill(supervisor, signal.SIGKILL)
                compose.wait_until(lambda: self.stack.supervisors() not in ([], [supervisor]), 2, "another supervisor", 0.01)
                compose.wait_until(lambda: visits.answers > answers + 3, 20, "more answers")
        self.assertEqual(visits.failures, [])
        self.assertEqual({service: self.stack.pid(service) for service in SERVICES}, pids)
        after = {name: (entry["ID"], entry["State"], entry["Health"]) for name, entry in self.stack.containers().items()}
        self.assertEqual(after, containers)
        self.assertIn("GET / HTTP", self.stack.run("logs", "--tail", "5", "nginx").stdout)

    def test_13_down_and_up_keep_posts_and_pictures(self):
        self.stack.down()
        self.assertEqual(self.stack.containers(), {})
        self.assert_only_volumes_left()
        self.stack.up()
        self.assertIn("A first post", Site(self.site.url).posts())
        self.assertEqual(self.site.get(self.picture).status, 200)
        self.login()

    def assert_only_volumes_left(self):
        if compose.PEER:
            return
        left = []

        def clean():
            left[:] = workspace().snapshot().left_behind(self.before, ignore=r"/root/volumes(/|$)")
            return not left
        try:
            compose.wait_until(clean, 5, "a clean machine but for the volumes")
        except AssertionError:
            self.fail("left behind:\n  " + "\n  ".join(left[:40]))

    def test_14_down_with_volumes_removes_everything(self):
        self.stack.down("-v")
        self.assert_nothing_left(self.before)
        self.stack.up()
        self.assertNotIn("A first post", Site(self.site.url).posts())
        self.assertEqual(self.site.get(self.picture).status, 404)
        self.stack.down("-v")
        self.assert_nothing_left(self.before)


@needs_root
class Staging(StackCase):
    environment = "staging"

    def test_01_all_services_are_healthy(self):
        self.check_services()

    def test_02_front_page_and_login(self):
        self.check_visit_and_login()

    def test_03_password_reset_by_mail(self):
        self.check_password_reset()

    def test_04_settings_of_staging(self):
        self.assertIn("noindex", self.site.get("/").text)
        settings = self.stack.exec("php", "env").stdout.split("\n")
        self.assertIn("ENVIRONMENT_TYPE=staging", settings)
        self.assertIn("CRON_INTERVAL=10", settings)
        self.assertIn("MAIL_FROM=wordpress@example.test", settings)

    def test_05_reachable_from_outside_and_from_inside(self):
        for address in ("127.0.0.1", address_of_this_machine()):
            answer = Site(f"http://{address}:{self.stack.port}").get("/nginx-health")
            self.assertEqual((address, answer.status), (address, 200))

    def test_06_nothing_is_left(self):
        self.stack.down("-v")
        self.assert_nothing_left(self.before)


@needs_root
class Production(StackCase):
    environment = "prod"

    def test_01_all_services_are_healthy(self):
        self.check_services()

    def test_02_front_page_and_login(self):
        self.check_visit_and_login()

    def test_03_post_and_picture(self):
        self.check_post_and_picture()

    def test_04_password_reset_by_mail(self):
        self.assertEqual(self.site.get("/mail/").status, 404)
        self.check_password_reset()

    def test_05_no_process_is_root(self):
        users = {"nginx": 101, "php": 33, "cron": 33, "db": 999, "mail": 65534}
        for service, user in users.items():
            with self.subTest(service=service):
                self.assertEqual({uid for uid, _ in processes_inside(self.stack, service)}, {user})

    def test_06_no_capability_is_left_and_none_can_be_gained(self):
        for service in SERVICES:
            for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                with self.subTest(service=service, name=name):
                    self.assertEqual(self.stack.status(service, name), NO_CAPABILITY)
            self.assertEqual(self.stack.status(service, "NoNewPrivs"), ["1"], service)
            self.assertEqual(self.stack.status(service, "Seccomp"), ["2"], service)

    def test_07_root_file_systems_are_read_only(self):
        for service in SERVICES:
            tried = self.stack.exec(service, "sh", "-c", "touch /x || touch /etc/x || touch /usr/x", check=False)
            with self.subTest(service=service):
                self.assertNotEqual(tried.returncode, 0)
                self.assertIn("Read-only file system", tried.stderr)

    def test_08_limits_are_what_the_files_say(self):
        limits = {"nginx": (96, 32, 1.0), "php": (384, 32, 1.5), "cron": (256, 32, 0.5), "db": (640, 128, 1.5),
                  "mail": (128, 32, 0.5)}
        for service, (megabytes, pids, cpus) in limits.items():
            with self.subTest(service=service):
                self.assertEqual(self.limit(service, "memory.max", "memory/memory.limit_in_bytes"), megabytes << 20)
                self.assertEqual(self.limit(service, "pids.max", "pids/pids.max"), pids)
                self.assertAlmostEqual(self.cpus(service), cpus)

    def read_inside(self, service, path):
        return self.stack.exec(service, "cat", "/sys/fs/cgroup/" + path, check=False).stdout.split()

    def limit(self, service, unified, legacy):
        return int((self.read_inside(service, unified) or self.read_inside(service, legacy) or ["-1"])[0])

    def cpus(self, service):
        quota = self.read_inside(service, "cpu.max")
        if not quota:
            quota = (self.read_inside(service, "cpu/cpu.cfs_quota_us") + self.read_inside(service, "cpu/cpu.cfs_period_us"))
        return int(quota[0]) / int(quota[1])

    def test_09_the_limit_of_processes_holds(self):
        fork = "for i in $(seq 64); do sleep 5 & done"
        tried = self.stack.exec("mail", "sh", "-c", fork, check=False)
        self.assertRegex(tried.stderr, "(?i)cannot fork|resource temporarily unavailable")

    def test_10_the_limit_of_memory_holds(self):
        tried = self.stack.exec("mail", "python3", "-c", "x = bytearray(512 << 20); print('allocated')", check=False)
        self.assertNotIn("allocated", tried.stdout)
        self.assertNotEqual(tried.returncode, 0)
        compose.wait_until(lambda: self.stack.container("mail")["Health"] == "healthy", 60, "a healthy mail service")

    def test_11_paths_of_the_kernel_are_out_of_reach(self):
        for path in ("/proc/kcore", "/proc/sysrq-trigger", "/sys/firmware"):
            tried = self.stack.exec("php", "sh", "-c", f"head -c 1 {path} 2>/dev/null | wc -c; echo 1 > {path}", check=False)
            with self.subTest(path=path):
                self.assertEqual(tried.stdout.split()[:1], ["0"])
                self.assertNotEqual(tried.returncode, 0)

    def test_12_nothing_is_left(self):
        self.stack.down("-v")
        self.assert_nothing_left(self.before)


def address_of_this_machine():
    """One that is not a loopback address, or a loopback one if there is no other."""
    import socket
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # no packet is sent
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"
