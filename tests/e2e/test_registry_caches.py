"""Steps of builds that travel through a registry."""
import json
import os
import unittest

import registry
from test_registry import RegistryTest, gzipped, tar_of


@unittest.skipUnless(os.path.exists("/bin/busybox"), "busybox-static is not installed")
class Caches(RegistryTest):
    """build.cache_from and build.cache_to with type=registry and type=inline: what CI machines that begin empty use."""

    def base(self, server):
        with open("/bin/busybox", "rb") as file:
            layer = gzipped(tar_of({"bin/sh": file.read()}, mode=0o755))
        server.put_image("team/base", "1", [layer])
        return registry.digest_of(layer[1])

    def build(self, store, host, last="two", check=True, **build):
        text = {"services": {"web": {"image": f"{host}/team/built:1", "build": {"context": ".", **build, "dockerfile_inline": f"""\
FROM {host}/team/base:1 AS one
RUN echo one > /one && echo more > /more
FROM {host}/team/base:1
COPY --from=one /one /
RUN echo two > /two
RUN echo {last} > /last
"""}}}}
        project = store.project("registry-cache", json.dumps(text))
        return project, project.run("build", check=check)

    def manifest(self, server, reference):
        kinds = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
        return json.loads(server.request("GET", f"/v2/team/cache/manifests/{reference}", headers={"Accept": kinds})[1])

    def steps(self, done):
        return done.stderr.count("CACHED"), done.stderr.count("DONE")

    def test_steps_travel_through_a_registry(self):
        server, here, there, other = self.start(), self.store("a"), self.store("b"), self.store("c")
        between = self.start(registry.Between, server)
        base = self.base(server)
        reference = f"{between.host}/team/cache:main"
        self.build(here, between.host, cache_to=[f"type=registry,ref={reference},mode=max"])
        index = self.manifest(server, "main")
        self.assertEqual(len(index["manifests"]), 2, "one for each stage")
        self.assertEqual(here.image("ls", "-q").stdout.count("\n"), 2, "the cache is no image of the store")
        _, done = self.build(there, between.host, cache_from=[f"type=registry,ref={reference}"])
        self.assertEqual(self.steps(done), (6, 0), done.stderr)
        self.assertEqual(there.inspect(f"{between.host}/team/built:1")["Id"], here.inspect(f"{between.host}/team/built:1")["Id"])
        # Of a cache that does not fit to its end, only the layers come that fit.
        fetched = len(between.blobs())
        _, done = self.build(other, between.host, last="else", cache_from=[reference])
        self.assertEqual(self.steps(done), (5, 1), done.stderr)
        longest = max((self.manifest(server, entry["digest"])["layers"] for entry in index["manifests"]), key=len)
        came = between.blobs()[fetched:]
        self.assertEqual([layer["digest"] in came for layer in longest], [True, True, True, False])
        self.assertEqual(came.count(base), 1)
        self.assertEqual((other.leftovers(), there.leftovers()), ([], []))

    def test_the_smaller_mode_has_the_last_stage_alone(self):
        server, here, there = self.start(), self.store("a"), self.store("b")
        self.base(server)
        reference = f"{server.host}/team/cache:min"
        self.build(here, server.host, cache_to=[f"type=registry,ref={reference}"])
        self.assertEqual(len(self.manifest(server, "min")["manifests"]), 1)
        _, done = self.build(there, server.host, cache_from=[reference])
        self.assertEqual(self.steps(done), (5, 1), done.stderr)

    def test_an_image_that_was_pushed_is_a_cache(self):
        server, here, there = self.start(), self.store("a"), self.store("b")
        self.base(server)
        project, _ = self.build(here, server.host, cache_to=["type=inline"])
        project.run("push")
        _, done = self.build(there, server.host, cache_from=[f"{server.host}/team/built:1"])
        self.assertEqual(self.steps(done), (5, 1), done.stderr)

    def test_caches_that_are_not_there_cost_time_only(self):
        server, here = self.start(), self.store()
        self.base(server)
        caches = [f"{server.host}/team/none:1", "127.0.0.1:1/team/none:1", f"{server.host}/team/base:1", "type=gha"]
        _, done = self.build(here, server.host, cache_from=caches, cache_to=["type=gha,mode=max"])
        for part in ('has no tag "1" in "team/none"', "Connection refused", "holds no steps", '"type=gha": caches are of type',
                     "is left out: only GitHub's own builder has that cache"):
            self.assertIn(part, done.stderr)
        self.assertEqual(self.steps(done)[1], 4)
        nowhere = "type=registry,ref=127.0.0.1:1/team/cache:1"
        _, done = self.build(here, server.host, check=False, cache_to=[nowhere])
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"build\.cache_to: push .*Connection refused")
        _, done = self.build(here, server.host, cache_to=[nowhere + ",ignore-error=true,compression=zstd"])
        self.assertIn("warning: build.cache_to: push", done.stderr)
        self.assertIn('warning: build.cache_to: "compression" has no effect here', done.stderr)
