"""Builds: what they take from the network, the network of their steps, stages side by side, and how they end."""
import contextlib
import functools
import hashlib
import http.server
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import time
import unittest

import machine
from compose import Project, wait_until
from e2e import TestCase, needs_our_own, needs_root, workspace
from stack import free_port


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def web_server(folder, address="127.0.0.1"):
    server = http.server.ThreadingHTTPServer((address, 0), functools.partial(QuietHandler, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def git_server(folder):
    port = free_port()
    daemon = subprocess.Popen(["git", "daemon", "--export-all", f"--base-path={folder}", "--listen=127.0.0.1",
                               f"--port={port}", "--reuseaddr", "--informative-errors", folder],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def answers():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False
    try:
        wait_until(answers, 10, "git daemon")
        yield port
    finally:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()


def git(folder, *arguments):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
                   "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    return subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True,
                          env=environment).stdout.strip()


@needs_root
@needs_our_own
class Builds(TestCase):
    def setUp(self):
        self.before = workspace().snapshot()

    def project(self, build, **more):
        """A project "e2e-build" with one service that has this `build:`."""
        if isinstance(build, str):
            build = {"dockerfile_inline": build}
        # "$" is for the Dockerfile, not for Compose.
        if "dockerfile_inline" in build:
            build = {**build, "dockerfile_inline": build["dockerfile_inline"].replace("$", "$$")}
        text = json.dumps({"services": {"it": {"image": "e2e-build-it", "build": {"context": ".", **build}}}, **more})
        return Project.of_text(workspace(), "e2e-build", text)

    def build(self, build, *arguments, check=True, **more):
        return self.project(build, **more).run("build", *arguments, check=check, timeout=120)

    def content(self, path):
        """A file of the image that was built."""
        archive = os.path.join(workspace().directory, "e2e-build.image")
        workspace().run("image", "save", "-o", archive, "e2e-build-it")
        found = None
        with tarfile.open(archive) as outer:
            for layer in json.load(outer.extractfile("manifest.json"))[0]["Layers"]:
                with tarfile.open(fileobj=io.BytesIO(outer.extractfile(layer).read())) as tar:
                    with contextlib.suppress(KeyError):
                        found = (tar.extractfile(path.lstrip("/")).read().decode(), tar.getmember(path.lstrip("/")))
        os.unlink(archive)
        self.assertIsNotNone(found, f"there is no {path} in the image")
        return found

    # What comes from the network

    def test_add_takes_files_by_http(self):
        folder = workspace().folder("e2e-web")
        with open(os.path.join(folder, "file.txt"), "w", encoding="ascii") as file:
            file.write("fetched")
        os.utime(os.path.join(folder, "file.txt"), (1_000_000_000, 1_000_000_000))
        with tarfile.open(os.path.join(folder, "a.tar"), "w") as tar:
            tar.add(os.path.join(folder, "file.txt"), "inside")
        good = hashlib.sha256(b"fetched").hexdigest()
        with web_server(folder) as port:
            url = f"http://127.0.0.1:{port}"
            self.build(f"FROM busybox\nADD {url}/file.txt /d/\nADD --checksum=sha256:{good} --chmod=644 {url}/file.txt /named\n"
                       f"ADD {url}/a.tar /a.tar\nADD --unpack=true {url}/a.tar /out/\n")
            text, member = self.content("/d/file.txt")
            self.assertEqual((text, member.mode, member.mtime, member.uid), ("fetched", 0o600, 1_000_000_000, 0))
            self.assertEqual(self.content("/named")[1].mode, 0o644)
            self.assertEqual(self.content("/a.tar")[1].mode, 0o600)
            self.assertEqual(self.content("/out/inside")[0], "fetched")
            wrong = self.build(f"FROM busybox\nADD --checksum=sha256:{'0' * 64} {url}/file.txt /\n", check=False)
            self.assertIn("has the checksum sha256:" + good, wrong.stderr)
            missing = self.build(f"FROM busybox\nADD {url}/nothing /\n", check=False)
            self.assertIn("answered 404", missing.stderr)
            self.assertIn("dockerfile_inline:2", missing.stderr)
            copied = self.build(f"FROM busybox\nCOPY {url}/file.txt /\n", check=False)
            self.assertIn("ADD fetches", copied.stderr)
        self.assert_nothing_left(self.before)

    def repository(self):
        folder = workspace().folder("e2e-git")
        if os.path.exists(folder + "/app"):
            return folder
        work = folder + "/app"
        os.makedirs(work + "/sub")
        for name, text in (("Dockerfile", "FROM busybox\nCOPY . /src/\n"), ("one", "1"), ("sub/two", "2"),
                           ("sub/Dockerfile", "FROM busybox\nCOPY two /two\n")):
            with open(os.path.join(work, name), "w", encoding="ascii") as file:
                file.write(text)
        git(work, "init", "-q", "-b", "main")
        git(work, "add", "-A")
        git(work, "commit", "-q", "-m", "first")
        git(work, "tag", "v1")
        with open(work + "/one", "w", encoding="ascii") as file:
            file.write("changed")
        git(work, "commit", "-q", "-a", "-m", "second")
        return folder

    @unittest.skipUnless(shutil.which("git"), "git is not installed")
    def test_git_as_a_source_and_as_the_context(self):
        folder = self.repository()
        commit = git(folder + "/app", "rev-parse", "v1^{commit}")
        with git_server(folder) as port:
            url = f"git://127.0.0.1:{port}/app"
            self.build(f"FROM busybox\nADD {url} /new/\nADD {url}#v1:sub /sub/\nADD --keep-git-dir=true --checksum={commit} {url}#v1 /old/\n")
            self.assertEqual(self.content("/new/one")[0], "changed")
            self.assertEqual(self.content("/sub/two")[0], "2")
            self.assertEqual(self.content("/old/one")[0], "1")
            self.assertTrue(self.content("/old/.git/HEAD")[0])
            wrong = self.build(f"FROM busybox\nADD --checksum={'0' * 40} {url} /\n", check=False)
            self.assertIn("has the checksum", wrong.stderr)
            self.build({"context": f"{url}#v1"})
            self.assertEqual(self.content("/src/one")[0], "1")
            self.build({"context": f"{url}#:sub"})
            self.assertEqual(self.content("/two")[0], "2")
            self.build({"dockerfile_inline": "FROM busybox\nCOPY --from=code one /one\n",
                        "additional_contexts": {"code": f"{url}#{commit}"}})
            self.assertEqual(self.content("/one")[0], "1")
            missing = self.build({"context": f"{url}#nobranch"}, check=False)
            self.assertIn("nobranch", missing.stderr)
        self.assert_nothing_left(self.before)

    @unittest.skipUnless(shutil.which("git"), "git is not installed")
    def test_a_submodule_cannot_be_a_folder_of_the_host(self):  # CVE-2022-39253
        folder = workspace().folder("e2e-git-submodule")
        for name in ("secret", "app"):
            os.makedirs(os.path.join(folder, name))
            git(f"{folder}/{name}", "init", "-q", "-b", "main")
            with open(f"{folder}/{name}/Dockerfile", "w", encoding="ascii") as file:
                file.write("FROM busybox\nCOPY . /src/\n")
            git(f"{folder}/{name}", "add", "-A")
            git(f"{folder}/{name}", "commit", "-q", "-m", "first")
        git(folder + "/app", "-c", "protocol.file.allow=always", "submodule", "-q", "add", folder + "/secret", "inner")
        git(folder + "/app", "commit", "-q", "-m", "second")
        with git_server(folder) as port:
            refused = self.build({"context": f"git://127.0.0.1:{port}/app"}, check=False)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("transport 'file' not allowed", refused.stderr)
        self.assert_nothing_left(self.before)

    def test_archives_and_dockerfiles_as_the_context(self):
        folder = workspace().folder("e2e-web-context")
        with open(os.path.join(folder, "plain"), "w", encoding="ascii") as file:
            file.write("FROM busybox\nRUN echo alone > /f\n")
        with tarfile.open(os.path.join(folder, "context.tar.gz"), "w:gz") as tar:
            for name, text in (("Dockerfile", b"FROM busybox\nCOPY f /f\n"), ("f", b"packed")):
                info = tarfile.TarInfo(name)
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text))
        with web_server(folder) as port:
            self.build({"context": f"http://127.0.0.1:{port}/context.tar.gz"})
            self.assertEqual(self.content("/f")[0], "packed")
            self.build({"context": f"http://127.0.0.1:{port}/plain"})
            self.assertEqual(self.content("/f")[0], "alone\n")
        self.assert_nothing_left(self.before)

    # The network of steps

    def test_steps_have_a_network_of_their_own(self):
        folder = workspace().folder("e2e-web-steps")
        with open(os.path.join(folder, "f"), "w", encoding="ascii") as file:
            file.write("from the host")
        with web_server(folder, "0.0.0.0") as port:
            self.build({"dockerfile_inline": f"FROM busybox\nRUN ls /sys/class/net > /links && wget -q -O /f http://host:{port}/f && "
                        f"! wget -q -T 2 -O /no http://127.0.0.1:{port}/f && rm -f /no\n",
                        "extra_hosts": ["host=host-gateway"]}, "--no-cache")
            self.assertEqual(self.content("/links")[0].split(), ["eth0", "lo"])
            self.assertEqual(self.content("/f")[0], "from the host")
            self.build({"dockerfile_inline": f"FROM busybox\nRUN wget -q -O /f http://127.0.0.1:{port}/f\n",
                        "network": "host"}, "--no-cache")
            self.assertEqual(self.content("/f")[0], "from the host")
        self.build({"dockerfile_inline": "FROM busybox\nRUN ls /sys/class/net > /links\n", "network": "none"}, "--no-cache")
        self.assertEqual(self.content("/links")[0].split(), ["lo"])
        self.assert_nothing_left(self.before)

    @unittest.skipUnless(shutil.which("ssh-agent"), "ssh-agent (openssh-client) is not installed")
    def test_ssh_agents_and_keys_can_be_reached(self):
        folder = workspace().folder("e2e-ssh")
        key, path = os.path.join(folder, "key"), os.path.join(folder, "agent")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        text = ("FROM busybox\nRUN adduser -D -u 1000 app || true\nUSER 1000\nRUN --mount=type=ssh,required,uid=1000,mode=0600 "
                "--mount=type=ssh,id=two,required test -S $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK > /tmp/f && "
                "stat -c '%u %a' /run/buildkit/ssh_agent.0 /run/buildkit/ssh_agent.1 >> /tmp/f\n")
        with socket.socket(socket.AF_UNIX) as agent:
            agent.bind(path)
            agent.listen()
            self.build({"dockerfile_inline": text, "ssh": [f"two={path}"]}, "--ssh", f"default={key}")
        os.unlink(path)
        self.assertEqual(self.content("/tmp/f")[0], "/run/buildkit/ssh_agent.0\n1000 600\n0 600\n")
        said = self.build({"dockerfile_inline": text, "ssh": [f"two={key}", f"default={folder}/none"]}, "--no-cache", check=False)
        self.assertIn('build.ssh "default"', said.stderr)
        self.assertIn(f"{folder}/none", said.stderr)
        self.assert_nothing_left(self.before)

    # Side by side

    RENDEZVOUS = """
FROM busybox AS one
RUN --mount=type=cache,target=/c,id=e2e-meet touch /c/one; until [ -e /c/two ]; do sleep 0.1; done; echo met > /one
FROM busybox AS two
RUN --mount=type=cache,target=/c,id=e2e-meet touch /c/two; until [ -e /c/one ]; do sleep 0.1; done; echo met > /two
FROM busybox
COPY --from=one /one /
COPY --from=two /two /
"""

    def test_independent_stages_run_at_once(self):
        """Each of two stages waits for the other."""
        self.build(self.RENDEZVOUS)
        self.assertEqual(self.content("/one")[0] + self.content("/two")[0], "met\nmet\n")

    def test_what_a_new_stage_made_the_same_is_not_copied_again(self):
        text = "FROM busybox AS one\nRUN echo {} > /other; echo same > /f\nFROM busybox\nCOPY --from=one /f /f\nRUN echo x > /x\n"
        self.build(text.format("first"))
        done = self.build(text.format("second"))
        self.assertEqual((done.stderr.count("CACHED"), done.stderr.count("DONE")), (4, 1), done.stderr)

    def test_a_failure_ends_the_other_stages(self):
        begun = time.monotonic()
        done = self.build("FROM busybox AS long\nRUN sleep 1000\nFROM busybox AS bad\nRUN sleep 0.5; exit 7\nFROM busybox\n"
                          "COPY --from=long / /\nCOPY --from=bad / /\n", check=False)
        self.assertIn("dockerfile_inline:4: RUN sleep 0.5; exit 7: exit code 7", done.stderr)
        self.assertLess(time.monotonic() - begun, 60)
        self.assert_nothing_left(self.before)

    def test_caches_travel(self):
        folder = workspace().folder("e2e-cache")
        text = "FROM busybox AS one\nRUN echo one > /one\nFROM busybox\nCOPY --from=one /one /\nRUN echo two > /two\n"
        self.build({"dockerfile_inline": text, "cache_to": [f"type=local,dest={folder},mode=max", "type=inline"]})
        steps = os.path.join(workspace().state_root, "build/steps")

        def forget():
            for name in os.listdir(steps):
                os.unlink(os.path.join(steps, name))
        forget()
        done = self.build({"dockerfile_inline": text, "cache_from": [f"type=local,src={folder}"]})
        self.assertEqual((done.stderr.count("CACHED"), done.stderr.count("DONE")), (5, 0), done.stderr)
        text = "FROM busybox\nRUN echo two > /two\nRUN echo three > /three\n"
        self.build({"dockerfile_inline": text, "args": {"BUILDKIT_INLINE_CACHE": "1"}})
        forget()
        done = self.build({"dockerfile_inline": text, "cache_from": ["e2e-build-it"]})
        self.assertEqual((done.stderr.count("CACHED"), done.stderr.count("DONE")), (3, 0), done.stderr)
        forget()
        done = self.build({"dockerfile_inline": text, "cache_from": ["127.0.0.1:1/nobody/has-this"]})
        self.assertIn("nobody/has-this", done.stderr)
        refused = self.build({"dockerfile_inline": text, "cache_to": ["type=s3"]}, check=False)
        self.assertIn("build.cache_to", refused.stderr)

    def test_what_a_cache_keeps_is_counted(self):
        self.build("FROM busybox\nRUN --mount=type=cache,target=/c dd if=/dev/urandom of=/c/x bs=1M count=3\n")
        rows = [json.loads(line) for line in workspace().run("image", "df", "--format", "json").stdout.splitlines()]
        [cache] = [row for row in rows if row["Type"] == "Build Cache"]
        self.assertGreaterEqual(int(cache["TotalCount"]), 2, "the step and what it keeps")
        self.assertRegex(cache["Size"], r"^([3-9]|\d\d+)[.\d]*MB$|GB$")
        self.assertEqual(cache["Reclaimable"], cache["Size"] + " (100%)")

    # How builds end

    def begin(self, text):
        """A build that has come to its sleep."""
        running = self.project(text).popen("--progress", "plain", "build", "--no-cache")
        for line in running.stderr:
            if "here it sleeps" in line and "RUN" not in line:
                return running
        raise AssertionError("the build ended")

    SLEEP = f"sleep 1000.{os.getpid()}"
    SLEEPER = f"FROM busybox\nRUN --mount=type=secret,id=none echo here it sleeps; {SLEEP}\n"

    def sleepers(self):
        return [pid for pid in machine.process_ids() if machine.command_line(pid) == self.SLEEP]

    def test_ctrl_c_ends_a_build(self):
        running = self.begin(self.SLEEPER)
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=30)[1]
        self.assertEqual(running.returncode, 130, said)
        self.assertIn("canceled", said)
        self.assert_nothing_left(self.before)

    def test_what_a_killed_build_leaves_goes_with_the_next_or_prune(self):
        for what in ("build", "prune"):
            for with_the_runtime in (False, True):
                with self.subTest(what, with_the_runtime=with_the_runtime):
                    running = self.begin(self.SLEEPER)
                    wait_until(self.sleepers, 10, "the step's process")
                    for pid in machine.with_descendants(running.pid) if with_the_runtime else [running.pid]:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                    running.communicate()
                    if what == "build":
                        self.build("FROM busybox\nLABEL a=1\n")
                    else:
                        workspace().run("image", "prune", "-f")
                    wait_until(lambda: not self.sleepers(), 10, "the end of the step's process")
                    self.assert_nothing_left(self.before, 10)

    # What belongs together

    def test_the_image_of_another_service_is_a_context(self):
        """It is built first, though nobody asked for that service."""
        project = Project.of_text(workspace(), "e2e-build", json.dumps({"services": {
            "base": {"image": "e2e-build-base",
                     "build": {"dockerfile_inline": "FROM busybox\nRUN echo below > /base\n"}},
            "it": {"image": "e2e-build-it", "build": {
                "additional_contexts": {"other": "service:base"},
                "dockerfile_inline": "FROM other\nCOPY --from=other /base /copied\n"}}}}))
        project.run("build", "it", timeout=120)
        self.assertEqual(self.content("/copied")[0], "below\n")

    def test_up_builds_for_this_machine_alone(self):
        machine_here = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
        project = self.project({"dockerfile_inline": "FROM busybox\nCMD true\n",
                                "platforms": ["linux/s390x", f"linux/{machine_here}"]})
        done = project.run("build", check=False)
        self.assertIn('build.platforms: images are built for', done.stderr)
        self.assertIn('"linux/s390x"', done.stderr)
        project.run("create", "--build", timeout=120)
        project.down("-v", "-t", "0")

    # What cannot be had

    def test_what_cannot_be_had_is_refused(self):
        for build, arguments, part in (({"platforms": ["linux/riscv64"]}, (), "linux/riscv64"),
                                       ({"provenance": "mode=max"}, (), "build.provenance"),
                                       ({}, ("--sbom", "true"), "build.sbom"),
                                       ({"isolation": "hyperv"}, (), "hyperv"),
                                       ({"entitlements": ["everything"]}, (), "everything"),
                                       ({}, ("--builder", "other"), "builder")):
            with self.subTest(build=build, arguments=arguments):
                done = self.build({"dockerfile_inline": "FROM busybox\n", **build}, *arguments, check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(part, done.stderr)
        self.build({"dockerfile_inline": "FROM busybox\n", "provenance": "false"}, "--sbom", "false")

    def test_steps_of_a_privileged_build_have_every_right(self):
        text = "FROM busybox\nRUN grep CapEff /proc/self/status > /rights\n"
        with open("/proc/self/status", encoding="ascii") as file:
            ours = next(line for line in file if line.startswith("CapEff"))
        for privileged in (False, True):
            self.build({"dockerfile_inline": text, "privileged": privileged})
            self.assertEqual(self.content("/rights")[0] == ours, privileged)

    def test_checks(self):
        done = self.build("FROM busybox\nMAINTAINER me\nCMD x\n", "--check", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/",
                      done.stdout)
        self.assertIn("Check complete, 2 warnings have been found!", done.stdout)
        done = self.build('FROM busybox\nCMD ["x"]\n', "--check")
        self.assertEqual(done.stdout, "Check complete, no warnings found.\n")
        done = self.build("# check=error=true\nFROM busybox\nCMD x\n", check=False)
        self.assertIn("JSONArgsRecommended", done.stderr)

    def test_a_volume_of_an_image(self):
        self.build("FROM busybox\nRUN mkdir /data && echo gone > /data/g && echo old > /data/f\n"
                   "RUN echo inside > /data/f && rm /data/g\n")
        project = Project.of_text(workspace(), "e2e-build-volume", json.dumps({"services": {"it": {
            "image": "busybox", "command": "sh -c 'cat /whole/data/f /part/f; touch /whole/x 2>&1; echo end'",
            "volumes": [{"type": "image", "source": "e2e-build-it", "target": "/whole"},
                        {"type": "image", "source": "e2e-build-it", "target": "/part", "image": {"subpath": "data"}}]}}}))
        self.addCleanup(lambda: project.down("-v", "-t", "0", check=False))
        project.up()
        wait_until(lambda: "end" in project.run("logs", "--no-log-prefix").stdout, 10, "the service")
        said = project.run("logs", "--no-log-prefix").stdout
        self.assertEqual(said.count("inside\n"), 2, said)
        self.assertIn("Read-only file system", said)
        project.down("-v", "-t", "0")
        self.assert_nothing_left(self.before)
