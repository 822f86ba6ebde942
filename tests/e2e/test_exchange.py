"""Images go between us and the other tools, both ways, with equal digests: Docker, podman, skopeo and umoci, where
../shared/peers has set them up."""
import json
import os
import unittest

import peers
from test_registry import RegistryTest, gzipped, noise, tar_of
from e2e import needs_root


@needs_root
class Exchange(RegistryTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if reason := peers.why_not("docker", "version"):
            raise unittest.SkipTest(reason)

    def setUp(self):
        super().setUp()
        self.shared = peers.Shared("registry-exchange")
        self.addCleanup(self.shared.remove)

    def docker(self, *arguments, **options):
        return self.peer("docker", *arguments, **options).stdout.strip()

    def peer(self, *command, **options):
        return self.shared.run(*command, timeout=120, **options)

    def made(self, server, store, name="team/app:1"):
        """An image of two layers, with what layers may have in them."""
        server.put_image("team/base", "1", [gzipped(tar_of({"etc/base": b"base", "big": noise(100_000)}))])
        store.image("pull", f"{server.host}/team/base:1")
        context = store.project("registry-made", f"""\
services:
  app:
    image: {server.host}/{name}
    build:
      dockerfile_inline: |
        FROM {server.host}/team/base:1
        COPY --chown=12:34 --chmod=4755 compose.yaml /a/b/setuid
        LABEL from="us <&>"
""")
        context.run("build")
        return f"{server.host}/{name}"

    def test_through_a_registry(self):
        server, here, there = self.start(), self.store("a"), self.store("b")
        name = self.made(server, here)
        digest = here.image("push", name).stdout.split("digest: ")[1].strip()
        own = here.inspect(name)["Id"]
        # What we push: Docker and podman have the same image, skopeo the same manifest.
        self.addCleanup(lambda: self.docker("rmi", "-f", name, check=False))
        self.docker("pull", name)
        inspected = json.loads(self.docker("image", "inspect", name))[0]
        self.assertEqual(inspected["Id"], own)
        self.assertIn(f"{name.rsplit(':', 1)[0]}@{digest}", inspected["RepoDigests"])
        self.addCleanup(lambda: self.peer("podman", "rmi", "-f", name, check=False))
        self.peer("podman", "pull", "-q", "--tls-verify=false", name)
        self.assertEqual("sha256:" + self.peer("podman", "image", "inspect", "--format", "{{.Id}}", name).stdout.strip(), own)
        said = json.loads(self.peer("skopeo", "inspect", "--tls-verify=false", "docker://" + name).stdout)
        self.assertEqual(said["Digest"], digest)
        # What they push: we have the same image under the same digest.
        for tool, options in (("docker", []), ("podman", ["--tls-verify=false"])):
            with self.subTest(tool):
                theirs = f"{server.host}/team/{tool}:1"
                self.peer(tool, "tag", name, theirs)
                self.addCleanup(self.peer, tool, "rmi", "-f", theirs, check=False)
                self.peer(tool, "push", "-q", *options, theirs)
                there.image("pull", theirs)
                self.assertEqual(there.inspect(theirs)["Id"], own)
                said = json.loads(self.peer("skopeo", "inspect", "--tls-verify=false", "docker://" + theirs).stdout)
                self.assertIn(f"{server.host}/team/{tool}@{said['Digest']}", there.inspect(theirs)["RepoDigests"])

    def test_through_archives(self):
        server, here = self.start(), self.store("a")
        name = self.made(server, here)
        own = here.inspect(name)["Id"]
        here.image("save", "-o", f"{self.shared.here}/ours.tar", name)
        self.addCleanup(lambda: self.docker("rmi", "-f", name, check=False))
        self.addCleanup(lambda: self.peer("podman", "rmi", "-f", name, check=False))
        self.docker("load", "-q", "-i", f"{self.shared.there}/ours.tar")
        self.assertEqual(self.docker("image", "inspect", "-f", "{{.Id}}", name), own)
        self.peer("podman", "load", "-q", "-i", f"{self.shared.there}/ours.tar")
        self.assertEqual("sha256:" + self.peer("podman", "image", "inspect", "--format", "{{.Id}}", name).stdout.strip(), own)
        self.peer("skopeo", "copy", "-q", f"docker-archive:{self.shared.there}/ours.tar", f"oci:{self.shared.there}/skopeo:one")
        self.peer("skopeo", "copy", "-q", f"oci-archive:{self.shared.there}/ours.tar", f"oci:{self.shared.there}/skopeo-oci:one")
        self.docker("save", "-o", f"{self.shared.there}/docker.tar", name)
        self.peer("podman", "save", "-q", "-o", f"{self.shared.there}/podman.tar", name)
        self.peer("podman", "save", "-q", "--format", "oci-archive", "-o", f"{self.shared.there}/podman-oci.tar", name)
        for number, path in enumerate(("docker.tar", "podman.tar", "podman-oci.tar", "skopeo", "skopeo-oci")):
            with self.subTest(path):
                fresh = self.store(f"from-{number}")
                fresh.image("load", "-i", f"{self.shared.here}/{path}")
                self.assertEqual(fresh.image("ls", "-q", "--no-trunc").stdout.strip(), own)

    def test_umoci_reads_and_writes_what_we_do(self):
        server, here, there = self.start(), self.store("a"), self.store("b")
        name = self.made(server, here)
        here.image("save", "-o", f"{self.shared.here}/ours.tar", name)
        self.peer("skopeo", "copy", "-q", f"oci-archive:{self.shared.there}/ours.tar", f"oci:{self.shared.there}/layout:one")
        self.peer("umoci", "unpack", "--image", f"{self.shared.there}/layout:one", f"{self.shared.there}/bundle")
        status = os.stat(f"{self.shared.here}/bundle/rootfs/a/b/setuid")
        self.assertEqual((status.st_mode & 0o7777, status.st_uid, status.st_gid), (0o4755, 12, 34))
        with open(f"{self.shared.here}/bundle/rootfs/added", "w", encoding="ascii") as file:
            file.write("by umoci")
        os.unlink(f"{self.shared.here}/bundle/rootfs/etc/base")
        self.peer("umoci", "repack", "--image", f"{self.shared.there}/layout:two", f"{self.shared.there}/bundle")
        # Ours and the new one are in the layout; each has its layers.
        there.image("load", "-i", f"{self.shared.here}/layout")
        images = there.image("ls", "-q", "--no-trunc").stdout.split()
        self.assertIn(here.inspect(name)["Id"], images)
        layers = [len(there.inspect(image)["RootFS"]["Layers"]) for image in images]
        self.assertEqual(sorted(layers), [2, 3])


if __name__ == "__main__":
    unittest.main()
