"""Images go between us and the other tools, both ways, with equal digests: Docker, podman, skopeo and umoci, where
../shared/peers has set them up."""
import json
import os
import shutil
import unittest

import compose
import registry
from test_registry import RegistryTest, gzipped, noise, tar_of
from e2e import needs_root

PEER = os.path.join(os.path.dirname(compose.TOP), "shared/peers/peer")
# One folder, by its name here and by its name among the peers.
HERE = os.path.join(os.environ.get("PEERS", os.path.expanduser("~/.cache/compose-peers")), "work/registry-exchange")
THERE = "/work/registry-exchange"


def peer(*command, check=True):
    return compose.run([PEER, *command], check=check, timeout=120)


def absent():
    if not os.path.exists(PEER):
        return "../shared/peers is not there"
    try:
        return "" if peer("docker", "version", check=False).returncode == 0 else "the peers are not running (peers/setup)"
    except (OSError, AssertionError) as why:
        return f"the peers do not answer: {why}"


@needs_root
class Exchange(RegistryTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        reason = absent()
        if reason:
            raise unittest.SkipTest(reason)

    def setUp(self):
        super().setUp()
        shutil.rmtree(HERE, ignore_errors=True)
        os.makedirs(HERE)
        self.addCleanup(shutil.rmtree, HERE, True)

    def docker(self, *arguments, **options):
        return peer("docker", *arguments, **options).stdout.strip()

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
        LABEL from=us
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
        self.addCleanup(lambda: peer("podman", "rmi", "-f", name, check=False))
        peer("podman", "pull", "-q", "--tls-verify=false", name)
        self.assertEqual("sha256:" + peer("podman", "image", "inspect", "--format", "{{.Id}}", name).stdout.strip(), own)
        said = json.loads(peer("skopeo", "inspect", "--tls-verify=false", "docker://" + name).stdout)
        self.assertEqual(said["Digest"], digest)
        # What they push: we have the same image under the same digest.
        for tool, options in (("docker", []), ("podman", ["--tls-verify=false"])):
            with self.subTest(tool):
                theirs = f"{server.host}/team/{tool}:1"
                peer(tool, "tag", name, theirs)
                self.addCleanup(peer, tool, "rmi", "-f", theirs, check=False)
                peer(tool, "push", "-q", *options, theirs)
                there.image("pull", theirs)
                self.assertEqual(there.inspect(theirs)["Id"], own)
                said = json.loads(peer("skopeo", "inspect", "--tls-verify=false", "docker://" + theirs).stdout)
                self.assertIn(f"{server.host}/team/{tool}@{said['Digest']}", there.inspect(theirs)["RepoDigests"])

    def test_through_archives(self):
        server, here = self.start(), self.store("a")
        name = self.made(server, here)
        own = here.inspect(name)["Id"]
        here.image("save", "-o", f"{HERE}/ours.tar", name)
        self.addCleanup(lambda: self.docker("rmi", "-f", name, check=False))
        self.addCleanup(lambda: peer("podman", "rmi", "-f", name, check=False))
        self.docker("load", "-q", "-i", f"{THERE}/ours.tar")
        self.assertEqual(self.docker("image", "inspect", "-f", "{{.Id}}", name), own)
        peer("podman", "load", "-q", "-i", f"{THERE}/ours.tar")
        self.assertEqual("sha256:" + peer("podman", "image", "inspect", "--format", "{{.Id}}", name).stdout.strip(), own)
        peer("skopeo", "copy", "-q", f"docker-archive:{THERE}/ours.tar", f"oci:{THERE}/skopeo:one")
        peer("skopeo", "copy", "-q", f"oci-archive:{THERE}/ours.tar", f"oci:{THERE}/skopeo-oci:one")
        self.docker("save", "-o", f"{THERE}/docker.tar", name)
        peer("podman", "save", "-q", "-o", f"{THERE}/podman.tar", name)
        peer("podman", "save", "-q", "--format", "oci-archive", "-o", f"{THERE}/podman-oci.tar", name)
        for number, path in enumerate(("docker.tar", "podman.tar", "podman-oci.tar", "skopeo", "skopeo-oci")):
            with self.subTest(path):
                fresh = self.store(f"from-{number}")
                fresh.image("load", "-i", f"{HERE}/{path}")
                self.assertEqual(fresh.image("ls", "-q", "--no-trunc").stdout.strip(), own)

    def test_umoci_reads_and_writes_what_we_do(self):
        server, here, there = self.start(), self.store("a"), self.store("b")
        name = self.made(server, here)
        here.image("save", "-o", f"{HERE}/ours.tar", name)
        peer("skopeo", "copy", "-q", f"oci-archive:{THERE}/ours.tar", f"oci:{THERE}/layout:one")
        peer("umoci", "unpack", "--image", f"{THERE}/layout:one", f"{THERE}/bundle")
        status = os.stat(f"{HERE}/bundle/rootfs/a/b/setuid")
        self.assertEqual((status.st_mode & 0o7777, status.st_uid, status.st_gid), (0o4755, 12, 34))
        with open(f"{HERE}/bundle/rootfs/added", "w", encoding="ascii") as file:
            file.write("by umoci")
        os.unlink(f"{HERE}/bundle/rootfs/etc/base")
        peer("umoci", "repack", "--image", f"{THERE}/layout:two", f"{THERE}/bundle")
        # Ours and the new one are in the layout; each has its layers.
        there.image("load", "-i", f"{HERE}/layout")
        images = there.image("ls", "-q", "--no-trunc").stdout.split()
        self.assertIn(here.inspect(name)["Id"], images)
        layers = [len(there.inspect(image)["RootFS"]["Layers"]) for image in images]
        self.assertEqual(sorted(layers), [2, 3])


if __name__ == "__main__":
    unittest.main()
