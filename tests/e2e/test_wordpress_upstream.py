"""nginx with a literal "fastcgi_pass php:9000": php is recreated, scaled and killed under load, nginx is not reloaded.

After test_wordpress.py by name: the images of nginx and php are then built already.
"""
import http.client
import os
import re
import shutil
import subprocess
import time
import urllib.request

from compose import TOP, Project, wait_until
from e2e import TestCase, import_base_image, long_run, needs_our_own, needs_root, workspace
from load import Load, kill
from stack import free_port


class Visitor:
    """Asks nginx for one page over a connection that stays open."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=65)

    def ask(self):
        try:
            self.connection.request("GET", "/")
            answer = self.connection.getresponse()
            text = answer.read().decode()
        except http.client.HTTPException as error:
            raise ConnectionError(repr(error)) from error
        if answer.status != 200:
            raise ConnectionError(f"{answer.status} {text[:80]}")
        return text.strip()


class UpstreamCase(TestCase):
    """One nginx, and php behind a name that is looked up once."""
    deploy, name = "", "e2e-upstream"

    TEXT = """\
services:
  nginx:
    build: {top}/examples/wordpress/nginx
    image: wordpress-example/nginx
    ports: ["127.0.0.1:{port}:80"]
    configs: [{{source: site, target: /etc/nginx/conf.d/site.conf}}]
    depends_on: {{php: {{condition: service_healthy}}}}
    healthcheck: {{disable: true}}
    stop_signal: SIGKILL
  php:
    build: {top}/examples/wordpress/php
    image: wordpress-example/php
    restart: always
    configs: [{{source: page, target: /srv/index.php}}, {{source: pool, target: /etc/php/8.2/fpm/php-fpm.conf}}]
    healthcheck: {{test: [CMD, healthcheck], interval: 300ms, timeout: 30s, retries: 5,
                  start_period: 60s, start_interval: 300ms}}
    deploy: {{ {deploy} }}
configs:
  page: {{content: "<?php usleep(10000); echo gethostname();"}}
  pool:
    content: |
      [global]
      error_log = /proc/self/fd/2
      process_control_timeout = 10s
      [www]
      user = www-data
      group = www-data
      listen = 9000
      pm = static
      pm.max_children = 12
      ping.path = /fpm-ping
  site:
    content: |
      server {{
        listen 80;
        location = /nginx-health {{ return 200 "ok"; }}
        location / {{
          include /etc/nginx/fastcgi.conf;
          fastcgi_param SCRIPT_FILENAME /srv/index.php;
          fastcgi_pass php:9000;
        }}
      }}
"""

    @classmethod
    def setUpClass(cls):
        if os.environ.get("LONG") != "1":
            return
        import_base_image()
        cls.before, cls.port = workspace().snapshot(), free_port()
        cls.project = Project.of_text(workspace(), cls.name, cls.TEXT.format(top=TOP, port=cls.port, deploy=cls.deploy))
        cls.addClassCleanup(lambda: cls.project.down("-t", "0", check=False))
        cls.project.run("build", timeout=1200)
        cls.project.up("--wait", timeout=300)
        cls.nginx = cls.project.pid("nginx")
        wait_until(cls.answers, 60, "nginx to listen")

    @classmethod
    def answers(cls):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{cls.port}/", timeout=10) as answer:
                return answer.status == 200
        except OSError:
            return False

    def hosts(self):
        """Host names of the php containers that are healthy."""
        entries = [entry for entry in self.project.containers().values() if entry["Service"] == "php"]
        return {entry["ID"][:12] for entry in entries if entry["State"] == "running" and entry["Health"] == "healthy"}

    def recreate(self):
        old = self.hosts()
        self.project.up("--force-recreate", "--no-deps", "--wait", "php", timeout=300)
        self.assertFalse(old & self.hosts(), "php was not recreated")

    def scale(self, number):
        self.project.up("--no-recreate", "--no-deps", "--wait", "--scale", f"php={number}", "php", timeout=300)
        self.assertEqual(len(self.hosts()), number)

    def kill(self):
        """Ends the only php as a crash does; gives the moments when that began and when it was dead."""
        pid = self.project.pid("php")
        dying = kill(pid)
        wait_until(lambda: len(self.hosts()) == 1 and self.project.pid("php") != pid, 60, "another php")
        return dying

    def check_nginx(self):
        self.assertEqual(self.project.pid("nginx"), self.nginx, "nginx was started again")


@needs_root
@needs_our_own
class VirtualAddress(UpstreamCase):
    """endpoint_mode: vip: nobody notices but those whose request was in the container that was killed."""
    deploy, name = "endpoint_mode: vip", "e2e-upstream-vip"

    @long_run("nginx and php of Debian's packages")
    def test_only_what_was_in_the_killed_container_fails(self):
        with Load(lambda: Visitor(self.port)) as load:
            load.more()
            self.recreate()
            load.more()
            self.assertEqual(load.failures, [], "while php was recreated")
            self.scale(5)
            wait_until(lambda: len([host for host in self.hosts() if host in load.hosts]) == 5, 60, "answers of all five")
            self.scale(1)
            load.more()
            self.assertEqual(load.failures, [], "while php was scaled")
            dying = self.kill()
            load.more()
        self.assertEqual(load.failures_outside(dying), [], "asked before the kill, or after it")
        self.check_nginx()
        print(f"        {load.answers} answers, {len(load.failures)} in flight failed, slowest {load.slowest:.1f} s")

    @long_run("two minutes of wrk")
    def test_two_minutes_of_wrk(self):
        if not shutil.which("wrk"):
            self.skipTest("needs wrk (Debian's package wrk)")
        connections = 16
        wrk = subprocess.Popen(["wrk", "-t1", f"-c{connections}", "-d120s", "--timeout", "60s", "--latency",
                                f"http://127.0.0.1:{self.port}/"], stdout=subprocess.PIPE, text=True)
        end, kills = time.monotonic() + 100, 0
        while time.monotonic() < end:
            self.recreate()
            self.scale(5)
            self.scale(1)
            self.kill()
            kills += 1
        said = wrk.communicate(timeout=180)[0]
        failed = int((re.search(r"Non-2xx or 3xx responses: (\d+)", said) or [0, 0])[1])
        print(f"{said}\n{kills} kills, {failed} failed")
        self.assertNotIn("Socket errors", said)
        # Each may have one request in the dying container and one asked again at once.
        self.assertLessEqual(failed, 2 * kills * connections)
        self.check_nginx()


@needs_root
@needs_our_own
class StableAddress(UpstreamCase):
    """Without any setting: the address stays, so nginx finds the next container where the last one was."""
    name = "e2e-upstream-plain"

    @long_run("php recreated, scaled and killed without endpoint_mode")
    def test_nginx_needs_no_reload(self):
        with Load(lambda: Visitor(self.port)) as load:
            for change in (self.recreate, lambda: (self.scale(5), self.scale(1)), self.kill):
                before = len(load.failures)
                load.more()
                change()
                load.more()
                wait_until(lambda: not load.failures or time.monotonic() - load.failures[-1][1] > 1, 60, "no failures")
                print(f"        {len(load.failures) - before} failures")
        self.check_nginx()
