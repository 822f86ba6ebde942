"""Images from and to registries: Debian's docker-registry on loopback, and everything that may go wrong on the way."""
import contextlib
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import unittest

import compose
import machine
import registry
from compose import Project, run
from e2e import TestCase, needs_our_own, needs_root, workspace


def tar_of(files, mode=0o644):
    """An uncompressed layer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = mode
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def gzipped(tar):
    return (tar, gzip.compress(tar, 1, mtime=0), "+gzip")


def noise(size, seed=1):
    """Bytes that do not compress."""
    import random
    return random.Random(seed).randbytes(size)


def peak_memory(command, **options):
    """Runs a command; returns the most memory it had, in MB. A small process in between starts it: what a large one
    starts inherits its peak (getrusage(2), maxrss over execve)."""
    script = ("import resource, subprocess, sys; code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode; "
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)")
    return int(run([sys.executable, "-c", script, *command], timeout=600, **options).stdout) // 1024


class Store:
    """An image store of its own, with its own settings."""

    def __init__(self, name):
        self.directory = workspace().folder(name)
        self.root = os.path.join(self.directory, "root")
        self.environment = {**workspace().environment, "COMPOSE_ROOT": self.root,
                            "COMPOSE_REGISTRIES": os.path.join(self.directory, "registries.yaml"),
                            "DOCKER_CONFIG": os.path.join(self.directory, "docker"), "HOME": self.directory}
        for name_of_proxy in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "NO_PROXY"):
            self.environment.pop(name_of_proxy, None)
        os.makedirs(self.environment["DOCKER_CONFIG"], exist_ok=True)

    def image(self, *arguments, **options):
        return run([compose.PROGRAM, "image", *arguments], env=self.environment, cwd=self.directory, **options)

    def inspect(self, name):
        return json.loads(self.image("inspect", name).stdout)[0]

    def settings(self, text):
        with open(self.environment["COMPOSE_REGISTRIES"], "w", encoding="utf-8") as file:
            file.write(text)

    def login(self, host, name_and_password, helper=""):
        import base64
        document = {"auths": {host: {"auth": base64.b64encode(name_and_password.encode()).decode()}}}
        if helper:
            document = {"credHelpers": {host: helper}}
        with open(os.path.join(self.environment["DOCKER_CONFIG"], "config.json"), "w", encoding="utf-8") as file:
            json.dump(document, file)

    def make(self, name, files):
        path = os.path.join(self.directory, "made.tar")
        with open(path, "wb") as file:
            file.write(tar_of(files))
        self.image("import", path, name)

    def layers(self):
        return sorted(os.listdir(os.path.join(self.root, "layers")))

    def leftovers(self):
        """Unfinished work; the locks of ended pulls are swept with it."""
        return [name for name in os.listdir(os.path.join(self.root, "tmp")) if not name.endswith(".lock")]

    def project(self, name, text):
        project = Project.of_text(workspace(), name, text)
        project.environment = self.environment
        return project


@needs_root
@needs_our_own
@unittest.skipIf(registry.missing(), registry.missing() or "")
class RegistryTest(TestCase):
    def setUp(self):
        self.name = self.id().rsplit(".", 1)[1].replace("_", "-")
        self.closing = []

    def start(self, kind=registry.Registry, *arguments, **options):
        if kind is registry.Between:
            made = kind(*arguments, **options)
        else:
            made = kind(os.path.join(workspace().folder("registry-" + self.name), str(len(self.closing))), *arguments, **options)
        self.closing.append(made)
        self.addCleanup(made.close)
        return made

    def store(self, name="store"):
        return Store(self.name + "-" + name)

    def assert_clean(self, store, before=()):
        """Nothing of a failed pull is in the store."""
        self.assertEqual(store.layers(), sorted(before))
        self.assertEqual(store.leftovers(), [])
        self.assertEqual(store.image("ls", "-q").stdout, "")

    def refused(self, store, *arguments):
        done = store.image(*arguments, check=False, timeout=60)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        return done.stderr


class PushAndPull(RegistryTest):
    def test_an_image_goes_there_and_back(self):
        server, here, there = self.start(), self.store("a"), self.store("b")
        name = f"{server.host}/team/app"
        here.make(f"{name}:1", {"etc/app": b"one", "big": noise(300_000)})
        said = here.image("push", f"{name}:1")
        self.assertIn("Pushed", said.stderr)
        digest = said.stdout.split("digest: ")[1].strip()
        pulled = there.image("pull", f"{name}:1")
        self.assertIn(f"Digest: {digest}", pulled.stdout)
        self.assertIn("Downloaded newer image", pulled.stdout)
        self.assertEqual(here.inspect(f"{name}:1")["Id"], there.inspect(f"{name}:1")["Id"])
        self.assertEqual(there.inspect(f"{name}:1")["RepoDigests"], [f"{name}@{digest}"])
        again = there.image("pull", f"{name}:1")
        self.assertIn("Image is up to date", again.stdout)
        self.assertIn("Already exists", again.stderr)
        # What a registry gave keeps its digest, under another name and in another repository of the registry too.
        there.image("tag", f"{name}:1", f"{server.host}/other/name:2")
        moved = there.image("push", f"{server.host}/other/name:2")
        self.assertIn(digest, moved.stdout)
        self.assertIn("already exists", moved.stderr)

    def test_layers_are_taken_over_from_another_repository(self):
        server, here = self.start(), self.store()
        first, second = f"{server.host}/a/one:1", f"{server.host}/b/two:1"
        here.make(first, {"file": noise(100_000)})
        here.image("push", first)
        here.image("tag", first, second)
        self.assertIn("Mounted from a/one", here.image("push", second).stderr)

    def test_by_digest(self):
        server, here, there = self.start(), self.store("a"), self.store("b")
        name = f"{server.host}/team/app"
        here.make(f"{name}:1", {"file": b"one"})
        digest = here.image("push", f"{name}:1").stdout.split("digest: ")[1].strip()
        there.image("pull", f"{name}@{digest}")
        self.assertEqual(there.inspect(f"{name}@{digest}")["Id"], here.inspect(f"{name}:1")["Id"])
        self.assertEqual(there.inspect(f"{name}@{digest}")["RepoTags"], [])
        wrong = "sha256:" + "0" * 64
        said = self.refused(there, "pull", f"{name}@{wrong}")
        self.assertIn(wrong, said)

    def test_platforms_of_an_index(self):
        server, here = self.start(), self.store()
        descriptors = []
        for architecture, content in (("amd64", b"x"), ("arm64", b"arm")):
            descriptor = server.put_image("team/multi", architecture, [gzipped(tar_of({"file": content}))], architecture,
                                          kind="oci" if architecture == "amd64" else "docker")
            descriptors.append({**descriptor, "platform": {"os": "linux", "architecture": architecture}})
        kind = "application/vnd.oci.image.index.v1+json"
        index = server.put_manifest("team/multi", "all", {"schemaVersion": 2, "mediaType": kind, "manifests": descriptors}, kind)
        name = f"{server.host}/team/multi:all"
        self.assertIn(index["digest"], here.image("pull", "--platform", "linux/arm64", name).stdout)
        self.assertEqual(here.inspect(name)["Architecture"], "arm64")
        here.image("pull", "--platform", "amd64", name)
        self.assertEqual(here.inspect(name)["Architecture"], "amd64")
        self.assertEqual(here.inspect(f"{server.host}/team/multi@{index['digest']}")["Architecture"], "amd64")
        here.environment["DOCKER_DEFAULT_PLATFORM"] = "linux/arm64"
        here.image("pull", name)
        self.assertEqual(here.inspect(name)["Architecture"], "arm64")
        said = self.refused(here, "pull", "--platform", "linux/s390x", name)
        self.assertIn("there is no image for linux/s390x (there is: linux/amd64, linux/arm64)", said)

    def test_layers_in_every_compression(self):
        server, here = self.start(), self.store()
        tars = [tar_of({f"file{i}": noise(50_000, i)}) for i in range(3)]
        zstd = subprocess.run(["zstd", "-c"], input=tars[1], capture_output=True, check=True).stdout
        server.put_image("team/mixed", "1", [gzipped(tars[0]), (tars[1], zstd, "+zstd"), (tars[2], tars[2], "")])
        here.image("pull", f"{server.host}/team/mixed:1")
        self.assertEqual(here.inspect(f"{server.host}/team/mixed:1")["RootFS"]["Layers"],
                         [registry.digest_of(tar) for tar in tars])

    def test_two_pull_the_same_image_and_it_comes_once(self):
        server, here = self.start(), self.store()
        layers = [gzipped(tar_of({f"file{i}": noise(400_000, i)})) for i in range(4)]
        server.put_image("team/shared", "1", layers)
        between = self.start(registry.Between, server)
        here.image("ls")
        runs = [subprocess.Popen([compose.PROGRAM, "image", "pull", "-q", f"{between.host}/team/shared:1"],
                                 env=here.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
        for process in runs:
            self.assertEqual((process.wait(timeout=60), process.stderr.read()), (0, b""))
            process.stdout.close()
            process.stderr.close()
        fetched = between.blobs()
        for _, stored, _ in layers:
            self.assertEqual(fetched.count(registry.digest_of(stored)), 1)
        self.assertEqual(here.leftovers(), [])


class Access(RegistryTest):
    def test_passwords(self):
        server, here, there = self.start(password="user:secret"), self.store("a"), self.store("b")
        name = f"{server.host}/team/app:1"
        here.make(name, {"file": b"one"})
        said = self.refused(here, "push", name)
        self.assertIn(f'registry "{server.host}" denies access', said)
        self.assertIn(f'"{here.environment["DOCKER_CONFIG"]}/config.json" has no credentials for it', said)
        here.login(server.host, "user:wrong")
        said = self.refused(here, "push", name)
        self.assertIn("refuses the name and password", said)
        self.assertNotIn("wrong", said)
        here.login(server.host, "user:secret")
        here.image("push", name)
        helper = os.path.join(there.directory, "docker-credential-test")
        with open(helper, "w", encoding="ascii") as file:
            file.write(f'#!/bin/sh\nread -r host\n[ "$1 $host" = "get {server.host}" ] || exit 1\n'
                       'echo \'{"Username":"user","Secret":"secret"}\'\n')
        os.chmod(helper, 0o755)
        there.environment["PATH"] = f"{there.directory}:{there.environment['PATH']}"
        there.login(server.host, "", helper="test")
        there.image("pull", name)
        there.login(server.host, "", helper="missing")
        said = self.refused(there, "pull", name)
        self.assertIn("docker-credential-missing", said)

    def test_tokens(self):
        tokens = self.start(registry.TokenServer)
        server, here, there = self.start(token_server=tokens), self.store("a"), self.store("b")
        name = f"{server.host}/team/app:1"
        here.make(name, {"file": noise(100_000)})
        said = self.refused(here, "push", name)
        self.assertIn("denies access", said)
        here.login(server.host, "user:wrong")
        self.assertIn("wrong password", self.refused(here, "push", name))
        here.login(server.host, "user:secret")
        here.image("push", name)
        asked = len(tokens.asked)
        there.image("pull", name)  # a token for everybody
        self.assertEqual(tokens.asked[asked:], [({"service": ["test-service"], "scope": ["repository:team/app:pull"]}, False)])

    def test_certificates(self):
        server, here = self.start(tls=True), self.store()
        name = f"{server.host}/team/app:1"
        here.make(name, {"file": b"one"})
        said = self.refused(here, "push", name)
        self.assertIn("cannot be trusted", said)
        self.assertIn(f"/etc/docker/certs.d/{server.host}/ca.crt", said)
        here.settings(f"registries:\n  {server.host}:\n    ca: {server.directory}/ca.pem\n")
        here.image("push", name)
        here.settings(f"registries:\n  {server.host}:\n    insecure: true\n")
        here.image("pull", name)
        here.settings(f"registries:\n  127.0.0.2:{server.port}:\n    ca: {server.directory}/ca.pem\n")
        self.assertIn("cannot be trusted", self.refused(here, "pull", name))
        here.settings("registries:\n  x:\n    insecure: maybe\n")
        self.assertIn("registries.yaml:3: \"insecure\" must be true or false", self.refused(here, "pull", name))

    def test_mirrors(self):
        server, here = self.start(), self.store()
        server.put_image("library/thing", "1", [gzipped(tar_of({"file": b"from the mirror"}))])
        here.settings(f"registries:\n  docker.io:\n    mirrors: [http://127.0.0.1:1, http://{server.host}]\n")
        here.image("pull", "thing:1")
        self.assertEqual(here.inspect("thing:1")["RepoTags"], ["thing:1"])


class WhatGoesWrong(RegistryTest):
    def test_names_that_are_not_there(self):
        server, here = self.start(), self.store()
        server.put_image("team/app", "1", [gzipped(tar_of({"file": b"one"}))])
        project = here.project("registry-missing", f"""\
services:
  web:
    image: {server.host}/team/app:nine
""")
        done = project.run("pull", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('compose.yaml:3:12: service "web": ', done.stderr)
        self.assertIn(f'pull "{server.host}/team/app:nine": registry "{server.host}" has no tag "nine" in "team/app"', done.stderr)
        self.assertEqual(project.run("pull", "--ignore-pull-failures").returncode, 0)
        said = self.refused(here, "pull", f"{server.host}/no/thing")
        self.assertIn('has no tag "latest" in "no/thing"', said)
        said = self.refused(here, "pull", "localhost:1/no/thing")
        self.assertIn("Connection refused", said)
        self.assert_clean(here)

    def test_content_that_is_not_what_was_promised(self):
        server, here = self.start(), self.store()
        layer = gzipped(tar_of({"file": noise(200_000)}))
        server.put_image("team/app", "1", [layer])
        digest = registry.digest_of(layer[1])
        between = self.start(registry.Between, server, lambda method, path, offset:
                             ("flip", 150_000) if digest in path and method == "GET" else None)
        said = self.refused(here, "pull", f"{between.host}/team/app:1")
        self.assertIn(digest, said)
        self.assert_clean(here)
        between.fault = lambda method, path, offset: ("flip", 30) if "/manifests/" in path else None
        said = self.refused(here, "pull", f"{between.host}/team/app:1")
        self.assertIn("has the digest", said)
        self.assert_clean(here)

    def test_a_connection_that_breaks_is_resumed(self):
        server, here = self.start(), self.store()
        layer = gzipped(tar_of({"file": noise(900_000)}))
        server.put_image("team/app", "1", [layer])
        digest = registry.digest_of(layer[1])

        def cut_twice(method, path, offset):
            return ("cut", 300_000) if digest in path and method == "GET" and offset < 600_000 else None
        between = self.start(registry.Between, server, cut_twice)
        here.image("pull", f"{between.host}/team/app:1")
        ranges = [wanted for _, path, wanted in between.requests if digest in path]
        self.assertEqual(ranges, ["", "bytes=300000-", "bytes=600000-"])
        self.assertEqual(here.inspect(f"{between.host}/team/app:1")["RootFS"]["Layers"], [registry.digest_of(layer[0])])

    def test_a_connection_that_never_holds(self):
        server, here = self.start(), self.store()
        layer = gzipped(tar_of({"file": noise(900_000)}))
        server.put_image("team/app", "1", [layer])
        digest = registry.digest_of(layer[1])
        between = self.start(registry.Between, server, lambda method, path, offset:
                             ("cut", 0 if offset else 1000) if digest in path and method == "GET" else None)
        said = self.refused(here, "pull", f"{between.host}/team/app:1")
        self.assertIn(digest, said)
        self.assertIn("cut off", said)
        self.assert_clean(here)

    def test_a_registry_that_is_busy_for_a_moment(self):
        server, here = self.start(), self.store()
        server.put_image("team/app", "1", [gzipped(tar_of({"file": b"one"}))])
        left = [503, 429, 502]
        between = self.start(registry.Between, server, lambda method, path, offset:
                             ("status", left.pop()) if left and "/manifests/" in path else None)
        here.image("pull", f"{between.host}/team/app:1")
        self.assertEqual(left, [])

    def test_an_upload_that_breaks_is_begun_again(self):
        server, here = self.start(), self.store()
        broken = []

        def cut_once(method, path, offset):
            if method == "PATCH" and not broken:
                broken.append(path)
                return ("cut-upload", 100_000)
            return None
        between = self.start(registry.Between, server, cut_once)
        # The registry names itself in its answers; through the one between they must stay relative to it.
        name = f"{between.host}/team/app:1"
        here.make(name, {"file": noise(400_000)})
        here.image("push", name)
        self.assertEqual(len(broken), 1)
        here.image("rm", name)
        here.image("pull", name)


class Policies(RegistryTest):
    def test_services_get_their_images(self):
        server, here = self.start(), self.store()
        server.put_image("team/app", "1", [gzipped(tar_of({"file": b"one"}))])
        between = self.start(registry.Between, server)
        name = f"{between.host}/team/app:1"

        def project(policy):
            return here.project("registry-policy", f"""\
services:
  web:
    image: {name}
    pull_policy: {policy}
""")

        def manifests(project, *arguments, **options):
            """How often the registry was asked."""
            begun = len(between.requests)
            done = project.run(*arguments, **options)
            return done, len([path for _, path, _ in between.requests[begun:] if "/manifests/" in path])
        done, asked = manifests(project("never"), "create", check=False)
        self.assertEqual((done.returncode, asked), (1, 0))
        self.assertIn(f'image "{name}" is not on this host', done.stderr)
        for policy, expected in (("missing", 1), ("missing", 0), ("always", 1), ("daily", 0), ("every_1s", None),
                                 ("if_not_present", 0)):
            with self.subTest(policy):
                if expected is None:
                    time.sleep(1.1)
                done, asked = manifests(project(policy), "create", check=False)
                self.assertEqual(asked, 1 if expected is None else expected, done.stderr)
        done, asked = manifests(project("missing"), "create", "--pull", "always", check=False)
        self.assertEqual(asked, 1)
        done, asked = manifests(project("missing"), "pull", "--policy", "always")
        self.assertEqual(asked, 1)
        self.assertIn("Pulled", done.stderr)
        done, asked = manifests(project("missing"), "pull", "--policy", "missing")
        self.assertEqual(asked, 0)
        project("missing").run("down", check=False)

    def test_what_the_flags_of_pull_and_push_choose(self):
        server, here = self.start(), self.store()
        for name in ("a", "b"):
            server.put_image(f"team/{name}", "1", [gzipped(tar_of({"file": name.encode()}))])
        project = here.project("registry-flags", f"""\
services:
  a:
    image: {server.host}/team/a:1
    depends_on: [b]
  b:
    image: {server.host}/team/b:1
  built:
    image: {server.host}/team/built:1
    build:
      dockerfile_inline: "FROM {server.host}/team/a:1"
""")

        def images():
            return {line.split()[0].rsplit("/", 1)[1] for line in here.image("ls").stdout.splitlines()[1:]}
        self.assertEqual(project.run("pull", "--quiet", "a").stderr, "")
        self.assertEqual(images(), {"a"})
        project.run("pull", "--include-deps", "a")
        self.assertEqual(images(), {"a", "b"})
        self.assertIn("Image can be built", project.run("pull", "--ignore-buildable").stderr)
        said = project.run("pull").stderr
        self.assertIn("some images must be built from source", said)
        done = project.run("push", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no such image", done.stderr)
        self.assertEqual(project.run("push", "--ignore-push-failures").returncode, 0)
        project.run("build")
        self.assertEqual(project.run("push", "--quiet").stderr, "")
        self.assertIn("team/built", server.said())
        self.assertIn("Images", here.image("df").stdout)

    def test_push_with_what_a_service_depends_on(self):
        server, here = self.start(), self.store()
        project = here.project("registry-deps", f"""\
services:
  a: {{image: "{server.host}/deps/a:1", build: {{dockerfile_inline: FROM scratch}}, depends_on: [b]}}
  b: {{image: "{server.host}/deps/b:1", build: {{dockerfile_inline: FROM scratch}}}}
""")
        project.run("build")
        project.run("push", "a")
        self.assertNotIn("deps/b", server.said())
        project.run("push", "--include-deps", "a")
        self.assertIn("deps/b", server.said())

    def test_quiet_pulls_and_newer_base_images(self):
        server, here = self.start(), self.store()
        server.put_image("team/app", "1", [gzipped(tar_of({"file": b"one"}))])
        name = f"{server.host}/team/app:1"
        project = here.project("registry-quiet", f"services: {{a: {{image: '{name}'}}}}\n")
        self.addCleanup(project.run, "down", check=False)
        for words in (("create", "--quiet-pull"), ("up", "--quiet-pull", "--no-start"), ("run", "--quiet-pull", "--rm", "-T", "a")):
            for flags, shown in ((words[:1] + words[2:], True), (words, False)):
                with self.subTest(words=flags):
                    here.image("rm", "-f", name, check=False)
                    said = project.run(*flags, check=False).stderr  # "run" ends with 127: there is no program in it
                    self.assertEqual("Pulled" in said, shown, said)
                    self.assertIn(name, here.image("ls", "--format", "{{.Repository}}:{{.Tag}}").stdout)
                    project.run("down", check=False)
        built = here.project("registry-newer", f"services: {{b: {{build: {{dockerfile_inline: 'FROM {name}'}}}}}}\n")
        built.run("build")
        newer = server.put_image("team/app", "1", [gzipped(tar_of({"file": b"two"}))])
        digest = newer["digest"]
        for flags, expected in ((("build",), False), (("build", "--pull"), True)):
            built.run(*flags)
            self.assertEqual(digest in json.dumps(here.inspect(name)), expected, flags)

    def test_digests_in_the_configuration(self):
        server, here = self.start(), self.store()
        digest = server.put_image("team/app", "1", [gzipped(tar_of({"file": b"one"}))])["digest"]
        project = here.project("registry-digests", f"services:\n  web:\n    image: {server.host}/team/app:1\n")
        said = project.run("config", "--resolve-image-digests").stdout
        self.assertIn(f"image: {server.host}/team/app:1@{digest}", said)
        self.assertIn(digest, project.run("config", "--lock-image-digests").stdout)

    @needs_root
    def test_what_is_built_is_pushed_and_what_it_is_built_from_is_pulled(self):
        server, here, there = self.start(), self.store("a"), self.store("b")
        server.put_image("team/base", "1", [gzipped(tar_of({"base": b"below"}))])
        text = f"""\
services:
  web:
    image: {server.host}/team/built:1
    build:
      context: .
      tags: ["{server.host}/team/built:also"]
      dockerfile_inline: |
        FROM {server.host}/team/base:1
        COPY compose.yaml /copied
"""
        project = here.project("registry-build", text)
        project.run("build", "--push")
        self.assertIn("already exists", project.run("push").stderr)
        other = there.project("registry-build", text)
        said = other.run("pull").stderr
        self.assertIn("Pulled", said)
        self.assertEqual(there.inspect(f"{server.host}/team/built:1")["Id"],
                         here.inspect(f"{server.host}/team/built:also")["Id"])


class Interrupted(RegistryTest):
    ROUNDS = int(os.environ.get("KILL_ROUNDS", 240 if os.environ.get("LONG") else 18))
    MOMENTS = 40
    # What only the steps of this test run: its processes are found by it.
    MARKER = f"0.2{os.getpid()}"

    def kill_after(self, seconds, whole_family, command, store, **options):
        """Starts a command and kills it, or it and all it has started, after that time; its end is fine too."""
        process = subprocess.Popen(command, env=store.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   **options)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            for pid in machine.with_descendants(process.pid) if whole_family else [process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()

    def steps_of_killed_builds(self):
        return [line for line in map(machine.command_line, machine.process_ids()) if f"sleep {self.MARKER}" in line]

    def stock(self, server, here):
        """An image that must survive, one that comes and goes, its archive, and a build upon the first."""
        kept, name = f"{server.host}/team/kept:1", f"{server.host}/team/app:1"
        with open("/bin/busybox", "rb") as file:
            shell = file.read()
        server.put_image("team/kept", "1", [gzipped(tar_of({"kept": noise(50_000, 9), "bin/sh": shell, "bin/busybox": shell},
                                                            mode=0o755))])
        server.put_image("team/app", "1", [gzipped(tar_of({f"f{i}/{k}": noise(20_000, 10 * i + k) for k in range(20)}))
                                           for i in range(3)])
        archive = os.path.join(here.directory, "app.tar")
        here.image("pull", kept)
        here.image("pull", name)
        here.image("save", "-o", archive, name)
        here.image("rm", name)
        built = here.project("registry-killed", f"""\
services:
  app:
    image: {name}
    build:
      dockerfile_inline: |
        FROM {kept} AS side
        RUN /bin/busybox sleep {self.MARKER}; echo side > /side
        FROM {kept}
        COPY compose.yaml /one
        RUN --mount=type=cache,target=/c echo ran > /ran; echo again >> /c/f
        ADD app.tar /two
        COPY --from=side /side /side
        WORKDIR /three
""")
        os.link(archive, os.path.join(built.directory, "app.tar"))
        return kept, name, archive, built

    @unittest.skipUnless(os.path.exists("/bin/busybox"), "busybox-static is not installed")
    def test_killed_at_any_moment_the_store_opens_again(self):
        before = workspace().snapshot()
        server, here = self.start(), self.store()
        kept, name, archive, built = self.stock(server, here)
        layers = here.layers()
        begun = time.monotonic()
        built.run("build", "--no-cache")
        whole_build = time.monotonic() - begun
        here.image("rm", name)
        commands = [[compose.PROGRAM, "image", "pull", "-q", name], [compose.PROGRAM, "image", "load", "-q", "-i", archive],
                    [compose.PROGRAM, *built.options, "build", "--no-cache"]]
        for number in range(self.ROUNDS):
            kind, turn = number % 3, number // 3
            # A moment further into the work each time: what is tested is that the moment does not matter.
            longest = whole_build if kind == 2 else 0.12
            moment = longest * (turn * 7 % self.MOMENTS) / self.MOMENTS
            self.kill_after(moment, turn % 2 == 1, commands[kind], here, cwd=built.directory)
            self.assertEqual(here.inspect(kept)["RepoTags"], [kept])
            if here.image("inspect", name, check=False).returncode == 0:
                here.image("save", "-o", os.path.join(here.directory, "again.tar"), name)
                here.image("rm", name)
        here.image("prune", "-f", "--build-cache")
        self.assertEqual(self.steps_of_killed_builds(), [])
        self.assertEqual(here.layers(), layers)
        self.assertEqual(os.listdir(os.path.join(here.root, "tmp")), [])
        here.image("save", "-o", os.path.join(here.directory, "again.tar"), kept)
        here.image("pull", name)
        built.run("build")
        self.assert_nothing_left(before)


@unittest.skipUnless(os.environ.get("LONG"), "a gigabyte of layer: set LONG=1")
class Large(RegistryTest):
    def test_a_gigabyte_in_constant_memory(self):
        server, here = self.start(), self.store()
        block = noise(1 << 24)
        path = os.path.join(here.directory, "big.tar")
        with tarfile.open(path, "w") as archive:
            for number in range(64):
                member = tarfile.TarInfo(f"file{number}")
                member.size = len(block)
                archive.addfile(member, io.BytesIO(block))
        name = f"{server.host}/team/big:1"
        here.image("import", path, name, timeout=300)
        os.unlink(path)
        for command in ("push", "pull"):
            most = peak_memory([compose.PROGRAM, "image", command, "-q", name], env=here.environment)
            print(f"        {command}: {most} MB", flush=True)
            self.assertLess(most, 64)
            if command == "push":
                here.image("rm", name)


if __name__ == "__main__":
    unittest.main()
