"""Networks, names, ports and virtual addresses of whole projects."""
import hashlib
import json
import os
import socket
import subprocess

import compose
from compose import Project, wait_until
from e2e import TestCase, needs_our_own, needs_root, workspace

SERVER = """sh -c "hostname > /tmp/index.html; exec httpd -f -p 80 -h /tmp" """


def free_port():
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::", 0))
        return probe.getsockname()[1]


def fetch(address, port, seconds=5):
    """The body of / at address:port."""
    with socket.create_connection((address, port), timeout=seconds) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        data = b""
        while chunk := connection.recv(4096):
            data += chunk
    return data.partition(b"\r\n\r\n")[2].decode().strip()


@needs_root
@needs_our_own
class NetworkCommands(TestCase):
    def test_a_shared_network_joins_two_projects(self):
        store = workspace()
        before = store.snapshot()
        store.run("network", "create", "--label", "made=here", "e2e-shared")
        self.addCleanup(lambda: store.run("network", "rm", "-f", "e2e-shared", check=False))
        text = """\
services:
  {name}:
    image: busybox
    command: sleep 3600
    networks: {{common: {{aliases: [{name}-alias]}}}}
networks:
  common: {{name: e2e-shared, external: true}}
"""
        one = Project.of_text(store, "e2e-share-one", text.format(name="left"))
        two = Project.of_text(store, "e2e-share-two", text.format(name="right"))
        for project in (one, two):
            self.addCleanup(lambda project=project: project.down("-t", "0", check=False))
            project.up()
        for project, own, other in ((one, "left", "right"), (two, "right", "left")):
            for name in (other, other + "-alias"):
                self.assertIn("bytes from", project.exec(own, "ping", "-c", "1", "-W", "2", name).stdout)
        shown = json.loads(store.run("network", "inspect", "e2e-shared").stdout)[0]
        names = sorted(container["Name"] for container in shown["Containers"].values())
        self.assertEqual(names, ["e2e-share-one-left-1", "e2e-share-two-right-1"])
        refused = store.run("network", "rm", "e2e-shared", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("e2e-share-one-left-1, e2e-share-two-right-1", refused.stderr)
        two.down("-t", "0")
        wait_until(lambda: one.exec("left", "nslookup", "right", check=False).returncode != 0, 10, "the name's end")
        one.down("-t", "0")
        self.assertIn("e2e-shared", store.run("network", "ls", "--filter", "label=made=here").stdout)
        self.assertIn("e2e-shared", store.run("network", "prune", "-f").stdout)
        self.assert_nothing_left(before)

    def test_a_missing_external_network_is_named_with_the_way_to_make_it(self):
        project = Project.of_text(workspace(), "e2e-missing", """\
services: {one: {image: busybox, command: sleep 3600, networks: [gone]}}
networks: {gone: {external: true}}
""")
        self.addCleanup(lambda: project.down("-t", "0", check=False))
        failed = project.up(check=False)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("gone", failed.stderr)
        self.assertIn("network create", failed.stderr)


@needs_root
@needs_our_own
class Ports(TestCase):
    def test_a_taken_port_is_told_before_anything_starts(self):
        before = workspace().snapshot()
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            project = Project.of_text(workspace(), "e2e-taken", f"""\
services:
  first: {{image: busybox, command: sleep 3600}}
  second:
    image: busybox
    command: sleep 3600
    depends_on: [first]
    ports: ["{port}:80"]
""")
            self.addCleanup(lambda: project.down("-t", "0", check=False))
            failed = project.up(check=False)
            self.assertNotEqual(failed.returncode, 0)
            self.assertIn(f"port {port}/tcp is in use by python3 (pid {os.getpid()})", failed.stderr)
            self.assertIn("compose.yaml:7", failed.stderr)
            self.assertNotIn("first-1  Start", failed.stderr)
        project.down("-t", "0", check=False)
        self.assert_nothing_left(before)

    def test_loopbacks_of_both_families_and_what_was_flushed_comes_back(self):
        before = workspace().snapshot()
        port = free_port()
        project = Project.of_text(workspace(), "e2e-loop", f"""\
services:
  web:
    image: busybox
    hostname: webhost
    command: {SERVER}
    ports: ["{port}:80"]
""")
        self.addCleanup(lambda: project.down("-t", "0", check=False))
        project.up()
        for address in ("127.0.0.1", "::1"):
            wait_until(lambda address=address: self.answer(address, port) == "webhost", 10, f"an answer at {address}")
        # Somebody reloads a firewall and our rules are gone with his.
        table = "compose-" + hashlib.sha256(workspace().state_root.encode()).hexdigest()[:8]
        subprocess.run(["nft", "delete", "table", "inet", table], check=True)
        wait_until(lambda: self.answer("127.0.0.1", port) == "webhost", 10, "the rules to be back")
        project.down("-t", "0")
        self.assert_nothing_left(before)

    @staticmethod
    def answer(address, port):
        try:
            return fetch(address, port, 1)
        except OSError:
            return None


@needs_root
@needs_our_own
class Attributes(TestCase):
    def test_what_a_service_says_about_its_interfaces(self):
        before = workspace().snapshot()
        project = Project.of_text(workspace(), "e2e-attributes", """\
services:
  one:
    image: busybox
    command: sleep 3600
    hostname: inner
    domainname: example.test
    extra_hosts: ["fixed:192.0.2.7", "door:host-gateway"]
    dns_search: [example.test]
    networks:
      front:
        interface_name: lan0
        ipv4_address: 10.93.5.5
        mac_address: 02:42:0a:5d:05:99
        link_local_ips: [169.254.9.9]
        driver_opts: {com.docker.network.endpoint.sysctls: net.ipv4.conf.IFNAME.log_martians=1}
        priority: 10
      back: {gw_priority: 5}
  two:
    image: busybox
    command: sleep 3600
    network_mode: service:one
networks:
  front: {ipam: {config: [{subnet: 10.93.0.0/16, ip_range: 10.93.5.0/24, gateway: 10.93.0.9,
                           aux_addresses: {router: 10.93.5.1}}]}}
  back: {enable_ipv6: true}
""")
        self.addCleanup(lambda: project.down("-t", "0", check=False))
        project.up()
        addresses = project.exec("one", "ip", "addr", "show", "lan0").stdout
        for wanted in ("10.93.5.5/16", "169.254.9.9/16", "02:42:0a:5d:05:99"):
            self.assertIn(wanted, addresses)
        routes = project.exec("one", "ip", "route").stdout
        self.assertRegex(routes, r"default via \S+ dev eth1")
        self.assertIn("default via fd", project.exec("one", "ip", "-6", "route").stdout)
        self.assertEqual(project.exec("one", "cat", "/proc/sys/net/ipv4/conf/lan0/log_martians").stdout.strip(), "1")
        hosts = project.exec("one", "cat", "/etc/hosts").stdout
        self.assertIn("192.0.2.7\tfixed", hosts)
        self.assertIn("inner.example.test inner", hosts)
        self.assertRegex(hosts, r"\d+\.\d+\.\d+\.\d+\tdoor")
        self.assertIn("lan0", project.exec("two", "ip", "link").stdout)
        for name in ("host.docker.internal", "gateway.docker.internal"):
            self.assertEqual(project.exec("one", "nslookup", name).returncode, 0, name)
        project.down("-t", "0")
        self.assert_nothing_left(before)
