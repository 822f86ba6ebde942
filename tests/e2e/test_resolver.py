"""The resolver at 127.0.0.11 of whole projects: every kind of question, scope, readiness, and the way outside."""
import ipaddress
import os
import shutil

from compose import Project, wait_until
from dns import Stub, ask
from e2e import TestCase, needs_our_own, needs_root, workspace

FIRST, SECOND = "127.77.0.1", "127.77.0.2"  # resolvers of the host: its loopback has all of 127.0.0.0/8


@needs_root
@needs_our_own
class Resolver(TestCase):
    TEXT = """\
services:
  web:
    image: busybox
    command: sh -c "touch /tmp/well; exec sleep 3600"
    stop_signal: KILL
    scale: 3
    expose: ["80", "2000-2039"]
    healthcheck: {test: [CMD, test, -e, /tmp/well], interval: 200ms, retries: 1}
    networks: {front: {aliases: [www]}}
  asks:
    image: busybox
    command: sleep 3600
    stop_signal: KILL
    networks: [front, six]
  six: {image: busybox, command: sleep 3600, stop_signal: KILL, networks: [six]}
  inner: {image: busybox, command: sleep 3600, stop_signal: KILL, networks: [inner]}
  own: {image: busybox, command: sleep 3600, stop_signal: KILL, networks: [inner], dns: [127.0.0.1]}
  idle: {image: busybox, command: sleep 3600, scale: 0, networks: [front]}
  linked:
    image: busybox
    command: sleep 3600
    stop_signal: KILL
    networks: [front]
    links: ["asks:friend"]
    external_links: ["e2e-names-asks-1:outsider"]
    dns_opt: ["ndots:3", "use-vc"]
    dns_search: [corp.test]
networks:
  front:
  six: {enable_ipv6: true}
  inner: {internal: true}
"""

    @classmethod
    def setUpClass(cls):
        cls.before = workspace().snapshot()
        cls.stubs = [Stub(FIRST, "192.0.2.1"), Stub(SECOND, "192.0.2.2")]
        for stub in cls.stubs:
            cls.addClassCleanup(stub.close)
        cls.resolv = os.path.join(workspace().folder("e2e-names"), "resolv.conf")
        cls.use(FIRST)
        cls.project = Project.of_text(workspace(), "e2e-names", cls.TEXT)
        cls.addClassCleanup(lambda: cls.project.down("-t", "0", check=False))
        # The supervisor sees a resolv.conf of its own, as on a host whose only resolver is a stub on its loopback.
        project = Project(workspace(), "e2e-names", cls.project.directory)
        project.program = shutil.which("unshare")
        project.options = ["--mount", "sh", "-c", f'mount --bind {cls.resolv} /etc/resolv.conf && exec "$@"', "sh",
                           cls.project.program, *cls.project.options]
        project.up("--wait")
        cls.pid = {name: cls.project.pid(name) for name in ("asks", "inner", "linked")}

    @classmethod
    def use(cls, address):
        with open(cls.resolv, "w", encoding="ascii") as file:
            file.write(f"nameserver {address}\n")

    def ask(self, name, kind="A", **options):
        return ask(self.pid["asks"], name, kind, **options)

    def test_1_every_kind_of_question(self):
        found = self.ask("web")
        self.assertEqual((found.rcode, len(set(found.values)), found.authoritative), ("NOERROR", 3, True))
        self.assertEqual(set(self.ask("WWW.e2e-names_front").values), set(found.values))
        self.assertEqual(len({self.ask("web").values[0] for _ in range(6)}), 3, "each comes first in turn")
        self.assertEqual(str(self.ask("web", "AAAA")), "NOERROR", "no data, not no name")
        six = self.ask("six", "AAAA")
        self.assertTrue(six.values[0].startswith("fd"), str(six))
        both = self.ask("six", "ANY").values
        self.assertEqual(sorted(":" in value for value in both), [False, True])
        for value in (*found.values, *both):
            names = self.ask(ipaddress.ip_address(value).reverse_pointer, "PTR").values
            self.assertRegex(names[0], r"^e2e-names-(web-[123]|six-1)\.e2e-names_(front|six)$")
        ports = self.ask("_80._tcp.web", "SRV")
        self.assertEqual(sorted(ports.values), [f"e2e-names-web-{i}.e2e-names_front:80" for i in (1, 2, 3)])
        self.assertEqual({value for _, _, _, value in ports.sections[2]}, set(found.values))
        self.assertEqual(str(self.ask("web", "TXT")), "NOERROR")

    def test_2_long_answers_and_transports(self):
        cut = self.ask("web", "SRV")
        self.assertTrue(cut.truncated)
        self.assertLessEqual(cut.size, 512)
        self.assertFalse(cut.edns)
        more = self.ask("web", "SRV", edns=4096)
        self.assertTrue(more.edns)
        self.assertGreater(more.size, 512)
        self.assertLessEqual(more.size, 1232)
        whole = self.ask("web", "SRV", tcp=True)
        self.assertEqual((len(whole.values), whole.truncated), (3 * 41, False))

    def test_3_scope_and_links(self):
        asked = len(self.stubs[0].asked)
        self.assertEqual(str(self.ask("idle")), "NXDOMAIN", "a service of ours that nobody runs")
        self.assertEqual(str(self.ask("inner")), "NXDOMAIN", "no network is shared")
        self.assertEqual(str(ask(self.pid["inner"], "web")), "NXDOMAIN")
        self.assertEqual(str(ask(self.pid["inner"], "example.com")), "NXDOMAIN", "internal: nothing is asked outside")
        self.assertEqual(len(self.stubs[0].asked), asked)
        self.assertEqual(ask(self.pid["linked"], "friend").values, ask(self.pid["linked"], "asks").values)
        self.assertEqual(ask(self.pid["linked"], "outsider").values, ask(self.pid["linked"], "asks").values)
        self.assertEqual(ask(self.pid["linked"], "asks.corp.test").values, ask(self.pid["linked"], "asks").values)
        text = self.project.exec("linked", "cat", "/etc/resolv.conf").stdout
        self.assertIn("nameserver 127.0.0.11", text)
        self.assertRegex(text, r"(?m)^search corp.test$")
        self.assertRegex(text, r"(?m)^options .*ndots:3.*use-vc")

    def test_4_what_is_not_ready_leaves_and_comes_back(self):
        well = self.ask("web").values
        self.project.exec("web", "rm", "/tmp/well")
        wait_until(lambda: len(self.ask("web").values) == 2, 20, "the unhealthy one to leave")
        self.assertLess(set(self.ask("web").values), set(well))
        self.project.exec("web", "touch", "/tmp/well")
        wait_until(lambda: set(self.ask("web").values) == set(well), 20, "the healthy one to come back")

    def test_5_the_way_outside_follows_the_host(self):
        first, second = self.stubs
        self.assertEqual(self.ask("example.com").values, ["192.0.2.1"])
        self.assertEqual(self.ask("example.com").values, ["192.0.2.1"])
        self.assertEqual([name for name, _, _ in first.asked].count("example.com"), 1, "the second time from the cache")
        for number in range(8):
            self.ask(f"n{number}.example.com", tcp=False)
        self.assertGreater(len({(number, peer) for _, number, peer in first.asked}), 7, "ids and ports change")
        self.use(SECOND)
        wait_until(lambda: self.ask("example.com").values == ["192.0.2.2"], 10, "the host's new resolver")
        self.assertIn("example.com", [name for name, _, _ in second.asked])

    def test_6_the_resolvers_of_a_service_are_asked_from_its_container(self):
        pid, asked = self.project.pid("own"), sum(len(stub.asked) for stub in self.stubs)
        stub = Stub("127.0.0.1", "192.0.2.3", pid)
        self.addCleanup(stub.close)
        for _ in range(2):
            self.assertEqual(ask(pid, "example.com").values, ["192.0.2.3"])
        self.assertEqual(len(stub.asked), 1, "the second time from the cache, which is its own")
        self.assertEqual(self.ask("example.com").values, ["192.0.2.2"])
        self.assertNotEqual(ask(pid, "inner").values, [])
        self.assertEqual(str(ask(pid, "web")), "NXDOMAIN", "a name of the project is not asked there")
        self.assertEqual(sum(len(stub.asked) for stub in self.stubs), asked)

    def test_7_nothing_is_left(self):
        self.project.down("-t", "0")
        self.assert_nothing_left(self.before)
