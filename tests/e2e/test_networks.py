"""Networks, names, ports and virtual addresses of whole projects."""
import contextlib
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


def free_ports(count):
    """The first of so many ports in a row that nobody has, at any address and loopback."""
    while True:
        first = free_port()
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True))
                return first
            except OSError:
                continue


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

    def test_every_form_of_a_published_port(self):
        before = workspace().snapshot()
        first = free_ports(8)
        project = Project.of_text(workspace(), "e2e-forms", f"""\
services:
  many:
    image: busybox
    scale: 3
    command: {SERVER}
    stop_signal: KILL
    ports: ["{first}-{first + 2}:80"]
  web:
    image: busybox
    hostname: webhost
    command: {SERVER}
    stop_signal: KILL
    ports:
      - {{target: 80, published: "{first + 3}", protocol: tcp, mode: host, name: front, app_protocol: http}}
      - {{target: 80, published: "{first + 4}", mode: ingress, host_ip: 127.0.0.1}}
      - "[::1]:{first + 5}:80/tcp"
      - "127.0.0.1:{first + 6}-{first + 7}:80-81"
      - "127.0.0.1::80"
      - "80"
""")
        self.addCleanup(lambda: project.down("-t", "0", check=False))
        project.up()
        answers = set()
        for port in range(first, first + 3):
            wait_until(lambda port=port: self.answer("127.0.0.1", port), 10, f"an answer at {port}")
            answers.add(self.answer("::1", port))
        self.assertEqual(len(answers), 3, "each of the three has a port of its own")
        reached = {first + 3: (True, True), first + 4: (True, False), first + 5: (False, True), first + 6: (True, False)}
        published = {publisher["PublishedPort"]: publisher["URL"]
                     for publisher in project.containers()["e2e-forms-web-1"]["Publishers"]}
        chosen = {port: url for port, url in published.items() if port and not first <= port < first + 8}
        self.assertEqual(sorted(url == "127.0.0.1" for url in chosen.values()), [False, True], f"two at random: {published}")
        reached.update({port: (True, url != "127.0.0.1") for port, url in chosen.items()})
        for port, families in reached.items():
            for address, serves in zip(("127.0.0.1", "::1"), families):
                wanted = "webhost" if serves else None
                wait_until(lambda address=address, port=port, wanted=wanted: self.answer(address, port) == wanted, 10,
                           f"{wanted} at {address}, {port}")
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

    def test_every_network_mode_and_what_a_network_says_of_itself(self):
        before = workspace().snapshot()
        project = Project.of_text(workspace(), "e2e-modes", """\
x-sleeper: &sleeper {image: busybox, command: sleep 3600, stop_signal: KILL}
services:
  fixed:
    <<: *sleeper
    mac_address: 02:42:0a:5e:00:99
    dns: [192.0.2.53]
    networks: {plain: {ipv4_address: 10.94.0.7, ipv6_address: "fd00:94::7"}}
  moves: {<<: *sleeper, networks: [plain]}
  bare: {<<: *sleeper, network_mode: none}
  host: {<<: *sleeper, network_mode: host}
  guest: {<<: *sleeper, network_mode: "container:e2e-modes-fixed-1", depends_on: [fixed]}
networks:
  plain:
    enable_ipv6: true
    attachable: true
    labels: {who: tested}
    driver_opts: {com.docker.network.bridge.name: e2emodes0, com.docker.network.driver.mtu: "1400"}
    ipam: {config: [{subnet: 10.94.0.0/24}, {subnet: "fd00:94::/64"}]}
""")
        self.addCleanup(lambda: project.down("-t", "0", check=False))
        project.up()
        namespace = {name: project.exec(name, "readlink", "/proc/self/ns/net").stdout.strip()
                     for name in ("fixed", "bare", "host", "guest")}
        self.assertEqual(namespace["host"], os.readlink("/proc/self/ns/net"))
        self.assertEqual(namespace["guest"], namespace["fixed"])
        self.assertEqual(len(set(namespace.values())), 3)
        self.assertEqual(len(project.exec("bare", "ip", "-o", "link").stdout.splitlines()), 1, "its loopback alone")
        shown = project.exec("guest", "ip", "addr", "show", "eth0").stdout
        for wanted in ("10.94.0.7/24", "fd00:94::7/64", "02:42:0a:5e:00:99", "mtu 1400"):
            self.assertIn(wanted, shown)
        self.assertTrue(os.path.exists("/sys/class/net/e2emodes0/bridge"))
        network = json.loads(project.workspace.run("network", "inspect", "e2e-modes_plain").stdout)[0]
        self.assertEqual((network["Attachable"], network["EnableIPv6"], network["Labels"]["who"]), (True, True, "tested"))
        # The next container at its place has the same addresses, of both families, and the same hardware address.
        addresses = self.addresses(project, "moves")
        self.assertEqual(len(addresses), 3)
        old = project.pid("moves")
        project.up("--force-recreate", "--no-deps", "moves")
        self.assertNotEqual(project.pid("moves"), old)
        self.assertEqual(self.addresses(project, "moves"), addresses)
        for kind in ("-4", "-6"):
            self.assertIn("bytes from", project.exec("fixed", "ping", kind, "-c", "1", "-W", "2", "moves").stdout)
        project.down("-t", "0")
        self.assert_nothing_left(before)

    @staticmethod
    def addresses(project, service):
        """Hardware, IPv4 and IPv6 address, in the words of `ip`."""
        words = project.exec(service, "ip", "addr", "show", "eth0").stdout.split()
        return {words[i + 1] for i, word in enumerate(words) if word in ("link/ether", "inet", "inet6")
                and not words[i + 1].startswith("fe80")}
