"""endpoint_mode: vip under load: whoever has looked the name up once goes on while the service is recreated, scaled and
killed; only the requests inside the killed container fail."""
import os
import socket

from compose import SLOW, Project, wait_until
from dns import ask, socket_in
from e2e import TestCase, import_base_image, long_run, needs_our_own, needs_root, workspace
from load import Load, kill

# Gives every connection the container's name after a moment of work; asked to end, it ends, whoever waits for it.
SERVER = r"""
use IO::Socket::INET; use Sys::Hostname;
$SIG{TERM} = sub { exit; };
my $listener = IO::Socket::INET->new(LocalPort => 9000, Listen => 128, ReuseAddr => 1) or die "listen: $@";
$SIG{CHLD} = 'IGNORE';
while (1) {
  my $client = $listener->accept or next;
  if (fork == 0) { select(undef, undef, undef, 0.02); print $client hostname, "\n"; $client->close; exec '/bin/true'; }
  $client->close;
}
"""


class Visitor:
    """Sits in a container and asks one address, over a new connection each time."""

    def __init__(self, pid, address):
        self.pid, self.address = pid, address

    def ask(self):
        with socket_in(self.pid, socket.SOCK_STREAM) as client:
            client.settimeout(60)
            client.connect((self.address, 9000))
            text = client.makefile("rb").read().decode()
        if not text.endswith("\n"):
            raise ConnectionError(f"answered {text!r}")
        return text.strip()


@needs_root
@needs_our_own
class VirtualAddress(TestCase):
    TEXT = """\
services:
  app:
    image: debian:bookworm-slim
    command: sh -c "sleep {delay}; exec perl /server"
    restart: always
    configs: [{{source: server, target: /server}}]
    healthcheck: {{test: [CMD, perl, -MIO::Socket::INET, -e, "exit !IO::Socket::INET->new('127.0.0.1:9000')"],
                  interval: 300ms, retries: 5, start_period: 60s, start_interval: 300ms}}
    deploy: {{endpoint_mode: vip}}
  asks:
    image: debian:bookworm-slim
    command: [sleep, "3600"]
    stop_signal: KILL
configs:
  server: {{file: ./server}}
"""

    def hosts(self):
        entries = [entry for entry in self.project.containers().values() if entry["Service"] == "app"]
        return {entry["ID"][:12] for entry in entries if entry["State"] == "running" and entry["Health"] == "healthy"}

    def start(self, delay=0):
        """The project, and visitors of its virtual address."""
        import_base_image()
        self.project = project = Project.of_text(workspace(), "e2e-vip", self.TEXT.format(delay=delay))
        with open(os.path.join(project.directory, "server"), "w", encoding="ascii") as file:
            file.write(SERVER)
        self.addCleanup(lambda: project.down("-t", "0", check=False))
        project.up("--wait")
        client = project.pid("asks")
        [address] = ask(client, "app").values
        return project, Load(lambda: Visitor(client, address))

    @long_run("a container that takes its time to start")
    def test_connections_wait_for_a_slow_start(self):
        project, load = self.start(delay=13)
        with load:
            load.more()
            project.up("--force-recreate", "--no-deps", "--wait", "app", timeout=120)
            load.more()
        self.assertEqual(load.failures, [])

    def test_only_what_was_in_the_killed_container_fails(self):
        import_base_image()
        before = workspace().snapshot()
        project, load = self.start()
        with load:
            load.more()
            old = self.hosts()
            project.up("--force-recreate", "--no-deps", "--wait", "app")
            self.assertFalse(old & self.hosts())
            load.more()
            self.assertEqual(load.failures, [], "while it was recreated")
            project.up("--no-recreate", "--no-deps", "--wait", "--scale", "app=5", "app")
            wait_until(lambda: self.hosts() <= load.hosts and len(self.hosts()) == 5, 60 * SLOW, "answers of all five")
            project.up("--no-recreate", "--no-deps", "--wait", "--scale", "app=1", "app")
            load.more()
            self.assertEqual(load.failures, [], "while it was scaled to five and back")
            pid = project.pid("app")
            dying = kill(pid)
            wait_until(lambda: len(self.hosts()) == 1 and project.pid("app") != pid, 60 * SLOW, "another container")
            load.more()
        self.assertEqual(load.failures_outside(dying), [], "asked before the kill, or after it")
        project.down("-t", "0")
        self.assert_nothing_left(before)
