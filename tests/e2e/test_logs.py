"""Logs: the drivers, rotation, following, and that no line is lost."""
import json
import os
import re
import socket
import subprocess
import unittest

from compose import Project, wait_until
from e2e import TestCase, needs_our_own, needs_root, workspace
import machine

COUNT = "i=0; while [ $$i -lt {n} ]; do i=$$((i+1)); echo line $$i; done"


@needs_root
@needs_our_own
class Logs(TestCase):
    def project(self, name, body, more=""):
        text = "services:\n  web:\n    image: busybox\n    stop_grace_period: 0s\n" + \
            "".join(f"    {line}\n" for line in body.splitlines()) + more
        project = Project.of_text(workspace(), name, text)
        self.addCleanup(lambda: project.down("-t", "0", check=False))
        return project

    def folder(self, project):
        [name] = os.listdir(os.path.join(workspace().state_root, "projects", project.name, "containers"))
        return os.path.join(workspace().state_root, "projects", project.name, "containers", name)

    def wait_end(self, project):
        wait_until(lambda: project.container("web")["State"] == "exited", 60, "its end")

    def lines(self, project, *arguments):
        return project.run("logs", "--no-log-prefix", *arguments, "web").stdout.splitlines()

    def test_json_file_is_dockers(self):
        options = 'logging: {driver: json-file, options: {max-size: 2k, max-file: "3", tag: "{{.Name}}", labels: tier}}'
        project = self.project("logs-json", f'command: sh -c "{COUNT.format(n=100)}"\nlabels: {{tier: front}}\n{options}')
        project.up()
        self.wait_end(project)
        folder = self.folder(project)
        self.assertEqual(sorted(name for name in os.listdir(folder) if name.startswith("log")), ["log", "log.1", "log.2"])
        entries = [json.loads(line) for line in machine.read(os.path.join(folder, "log")).splitlines()]
        self.assertEqual(entries[-1]["log"], "line 100\n")
        self.assertEqual(entries[-1]["stream"], "stdout")
        self.assertEqual(entries[-1]["attrs"], {"tag": "logs-json-web-1", "tier": "front"})
        self.assertRegex(entries[-1]["time"], r"^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}Z$")
        shown = self.lines(project)
        self.assertEqual(shown, [f"line {i}" for i in range(101 - len(shown), 101)])
        self.assertLess(os.path.getsize(os.path.join(folder, "log.1")), 2100)

    def test_old_parts_are_compressed_and_read_back(self):
        project = self.project("logs-local", f'command: sh -c "{COUNT.format(n=3000)}; sleep 1000"\n'
                               'logging: {driver: local, options: {max-size: 30k, max-file: "9"}}')
        project.up()
        wait_until(lambda: self.lines(project)[-1:] == ["line 3000"], 30, "the last line")
        folder = self.folder(project)
        wait_until(lambda: os.path.exists(os.path.join(folder, "log.2.gz")), 20, "a compressed part")
        self.assertEqual(self.lines(project), [f"line {i}" for i in range(1, 3001)])
        self.assertEqual(self.lines(project, "--tail", "2500"), [f"line {i}" for i in range(501, 3001)])

    def test_follow_goes_over_restarts_and_recreations(self):
        # It is the only service: between its stop and its start nothing runs.
        project = self.project("logs-follow", "command: sh -c 'echo begin $$MODE; exec sleep 1000'\nenvironment: {MODE: a}\n"
                               # Long enough for whoever looks at the files alone to notice.
                               "pre_start: [{command: sleep 0.5}]")
        project.up()
        follower = project.popen("logs", "-f", "--no-log-prefix")
        self.addCleanup(follower.wait)
        self.addCleanup(follower.kill)
        self.assertEqual(follower.stdout.readline(), "begin a\n")
        project.run("restart", "-t", "0", "web")
        self.assertEqual(follower.stdout.readline(), "begin a\n")
        path = os.path.join(project.directory, "compose.yaml")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("MODE: a", "MODE: b"))
        project.up()
        self.assertEqual(follower.stdout.readline(), "begin b\n")
        project.run("stop", "-t", "0")
        self.assertEqual(follower.communicate(timeout=20)[0], "")
        self.assertEqual(follower.returncode, 0)

    def test_syslog_gets_every_line(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(20)
            port = server.getsockname()[1]
            project = self.project("logs-syslog", "command: sh -c 'echo out; echo err >&2'\nlogging: {driver: syslog, "
                                   f"options: {{syslog-address: 'udp://127.0.0.1:{port}', syslog-format: rfc5424, "
                                   "tag: '{{.Name}}', syslog-facility: local1}}")
            project.up()
            got = sorted(server.recv(2000).decode() for _ in range(2))
            self.assertRegex(got[0], r"^<139>1 \d{4}-\S+ \S+ logs-syslog-web-1 \d+ logs-syslog-web-1 - err\n$")
            self.assertRegex(got[1], r"^<142>1 .* - out\n$")
            self.wait_end(project)
            self.assertEqual(sorted(self.lines(project) + project.run("logs", "--no-log-prefix").stderr.splitlines()),
                             ["err", "out"])

    def test_driver_none_keeps_nothing(self):
        project = self.project("logs-none", "command: echo hello\nlogging: {driver: none}")
        project.up()
        self.wait_end(project)
        self.assertEqual(self.lines(project), [])
        self.assertFalse(os.path.exists(os.path.join(self.folder(project), "log")))

    def test_an_unknown_driver_or_option_names_its_place(self):
        for logging, said in (("{driver: gelf}", r"compose\.yaml:6:\d+: .*unknown logging driver \"gelf\""),
                              ("{driver: local, options: {max-seize: 1m}}", r"compose\.yaml:6:\d+: .*max-size")):
            project = self.project("logs-wrong", f"command: sleep 1\nlogging: {logging}")
            done = project.up(check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertRegex(done.stderr, said)

    def test_every_line_of_a_fast_writer(self):
        count = 1_000_000 if os.environ.get("LONG") == "1" else 100_000
        project = self.project("logs-fast", f"command: seq 1 {count}")
        project.up()
        wait_until(lambda: project.container("web")["State"] == "exited", 120, "its end")
        self.assertEqual(self.lines(project), [str(i) for i in range(1, count + 1)])
        self.assertEqual(self.lines(project, "-n", "3"), [str(i) for i in range(count - 2, count + 1)])

    def test_install_service_brings_back_what_should_run(self):
        text = """\
services:
  db: {image: busybox, command: sleep 1000, restart: always, stop_grace_period: 0s}
  web: {image: busybox, command: sleep 1000, restart: unless-stopped, depends_on: [db], stop_grace_period: 0s}
  off: {image: busybox, command: sleep 1000, restart: unless-stopped, stop_grace_period: 0s}
"""
        project = Project.of_text(workspace(), "logs-boot", text)
        self.addCleanup(lambda: project.down("-t", "0", check=False))
        project.up()
        project.run("stop", "off")
        units = project.workspace.folder("units")
        project.run("install-service", "--directory", units)
        unit = os.path.join(units, "compose-logs-boot.service")
        verify = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False) \
            if os.path.exists("/usr/bin/systemd-analyze") else None
        if verify is not None:
            self.assertNotIn("compose-logs-boot.service:", verify.stderr.replace("compose-logs-boot.service: Command", ""))
        self.reboot(project)
        states = {entry["Service"]: entry["State"] for entry in project.containers().values()}
        self.assertEqual(set(states.values()), {"exited"}, states)
        [start] = [line for line in machine.read(unit).splitlines() if line.startswith("ExecStart=")]
        command = start.removeprefix("ExecStart=").replace('"', "").split()
        said = subprocess.run(command, env=project.environment, check=True, stdin=subprocess.DEVNULL, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        self.assertEqual(re.findall(r"Container logs-boot-(\S+)-1 Started", said), ["db", "web"], said)
        self.assertNotIn("waiting", said)
        states = {entry["Service"]: entry["State"] for entry in project.containers().values()}
        self.assertEqual(states, {"db": "running", "web": "running", "off": "exited"})
        project.run("install-service", "--directory", units, "--uninstall")
        self.assertEqual([name for name in os.listdir(units) if name.endswith(".service")], [])

    def reboot(self, project):
        """What a power cut leaves: no process, an empty run folder, another boot id in the records."""
        monitors = [pid for pid in machine.processes_of((workspace().state_root, workspace().run_root))
                    if "logs-boot" in machine.command_line(pid)]
        inside = [project.pid(service) for service in ("db", "web")]
        for pid in project.supervisors():
            os.kill(pid, 9)
        for pid in monitors + inside:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        for pid in project.supervisors():  # one that a monitor may still have started
            os.kill(pid, 9)
        for folder in ("projects/logs-boot", "containers"):
            subprocess.run(["rm", "-rf", os.path.join(workspace().run_root, folder)], check=True)
        root = os.path.join(workspace().state_root, "projects/logs-boot/containers")
        for name in os.listdir(root):
            path = os.path.join(root, name, "record.json")
            record = json.loads(machine.read(path))
            record["boot_id"] = "00000000-0000-0000-0000-000000000000"
            with open(path, "w", encoding="utf-8") as file:
                json.dump(record, file)


if __name__ == "__main__":
    unittest.main()
