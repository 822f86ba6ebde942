"""Layers made to do harm, from a registry that serves them with the right digests: nothing outside the layer changes,
and what is refused leaves nothing behind."""
import gzip
import hashlib
import io
import os
import subprocess
import tarfile
import unittest

import compose
import machine
import registry
from e2e import needs_root, workspace
from test_registry import RegistryTest, gzipped, peak_memory


def layer(*entries):
    """(name, type, link target, content, mode)"""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, kind, target, content, mode in entries:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size, member.mode = kind, target, len(content), mode
            if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
                member.devmajor, member.devminor = 8, 0
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def file(name, content=b"hostile", mode=0o644):
    return (name, tarfile.REGTYPE, "", content, mode)


def link(name, target):
    return (name, tarfile.SYMTYPE, target, b"", 0o777)


def hard(name, target):
    return (name, tarfile.LNKTYPE, target, b"", 0o644)


@needs_root
class Hostile(RegistryTest):
    def setUp(self):
        super().setUp()
        self.server, self.here = self.start(), self.store()
        self.outside = workspace().folder(self.name + "-outside")
        with open(os.path.join(self.outside, "secret"), "w", encoding="ascii") as made:
            made.write("untouched")
        os.chmod(os.path.join(self.outside, "secret"), 0o600)
        self.before = self.look()

    def look(self):
        """Everything about what lies outside."""
        found = []
        for directory, _, names in os.walk(self.outside):
            for name in [".", *names]:
                status = os.lstat(os.path.join(directory, name))
                content = machine.read(os.path.join(directory, name)) if name != "." else ""
                found.append((name, status.st_mode, status.st_uid, status.st_nlink, status.st_mtime_ns, content))
        return found

    def pull(self, name, *layers):
        self.server.put_image("evil/" + name, "1", [gzipped(tar) for tar in layers])
        done = self.here.image("pull", "-q", f"{self.server.host}/evil/{name}:1", check=False)
        self.assertEqual(self.look(), self.before, name)
        self.assertNotIn(done.returncode, (-6, -11, 134, 139), done.stderr)
        self.assertEqual(self.here.leftovers(), [], name)
        return done

    def tree(self, name):
        return self.here.inspect(f"{self.server.host}/evil/{name}:1")["Layers"][-1]["Dir"]

    def test_names_and_links_that_lead_out(self):
        out = self.outside
        up = "../" * 12 + out.lstrip("/")
        refused = {
            "climb": [layer(file(f"{up}/new"))],
            "climb-inside": [layer(file(f"a/../../../../../../../../..{out}/new"))],
            "hard-link": [layer(hard("stolen", f"{up}/secret"), file("stolen"))],
            "hard-link-absolute": [layer(hard("stolen", f"{out}/secret"))],
            "whiteout-of-the-parent": [layer(file("a/.wh..."))],
            "whiteout-of-here": [layer(file("a/.wh.."))],
            "whiteout-of-nothing": [layer(file("a/.wh."))],
            "whiteout-above": [layer(file(f"{up}/.wh.secret", b""))],
        }
        for name, layers in refused.items():
            with self.subTest(name):
                done = self.pull(name, *layers)
                self.assertEqual(done.returncode, 1, "it was accepted")
                self.assertIn("entry ", done.stderr)
                self.assertEqual(self.here.layers(), [])
        inside = {
            "absolute": [layer(file(f"{out}/secret"))],
            "link": [layer(link("door", out), file("door/secret"))],
            "link-climbs": [layer(link("door", up), file("door/secret"))],
            "link-below": [layer(link("door", out)), layer(file("door/secret"))],
            "links-of-links": [layer(link("a", "b"), link("b", out), file("a/secret"))],
            "whiteout-through-a-link": [layer(link("door", out)), layer(file("door/.wh.secret", b""))],
            "opaque-through-a-link": [layer(link("door", out)), layer(file("door/.wh..wh..opq", b""))],
            "file-over-a-link": [layer(link("secret", f"{out}/secret")), layer(file("secret"))],
            "hard-link-of-a-link": [layer(link("l", f"{out}/secret"), hard("h", "l"), file("h"))],
        }
        for name, layers in inside.items():
            with self.subTest(name):
                self.pull(name, *layers)  # taken inside, or refused: never outside

    def test_devices_and_setuid_stay_what_they_are(self):
        done = self.pull("special", layer(("disk", tarfile.BLKTYPE, "", b"", 0o666), ("pipe", tarfile.FIFOTYPE, "", b"", 0o666),
                                          file("su", b"", 0o4755)))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(os.lstat(os.path.join(self.tree("special"), "su")).st_mode & 0o7777, 0o4755)
        # Nobody but root can walk to them.
        self.assertEqual(os.stat(os.path.join(self.here.root, "layers")).st_mode & 0o777, 0o700)

    def test_archive_bombs_end_with_the_disk_in_order(self):
        small = workspace().folder(self.name + "-small")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", small], check=True)
        self.addCleanup(subprocess.run, ["umount", small], check=True)
        self.here.root = self.here.environment["COMPOSE_ROOT"] = small
        self.here.image("ls")
        member = tarfile.TarInfo("zeros")
        member.size = 128 << 20
        plain = hashlib.sha256()
        stored = io.BytesIO()
        with gzip.GzipFile(fileobj=stored, mode="wb", compresslevel=9, mtime=0) as squeezed:
            head = member.tobuf(tarfile.GNU_FORMAT)
            for piece in (head, *[bytes(1 << 20)] * 128, bytes(1024)):
                plain.update(piece)
                squeezed.write(piece)

        class Tar(bytes):
            pass
        tar = Tar()
        original = registry.digest_of
        self.addCleanup(setattr, registry, "digest_of", original)
        registry.digest_of = lambda data: "sha256:" + plain.hexdigest() if isinstance(data, Tar) else original(data)
        self.server.put_image("evil/bomb", "1", [(tar, stored.getvalue(), "+gzip")])
        done = self.here.image("pull", "-q", f"{self.server.host}/evil/bomb:1", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("does not fit on this disk", done.stderr)
        self.assertEqual((self.here.layers(), self.here.leftovers()), ([], []))
        self.assertLess(os.statvfs(small).f_blocks - os.statvfs(small).f_bavail, 256)

    def test_huge_sparse_files_take_no_room(self):
        path = os.path.join(self.here.directory, "hole")
        with open(path, "wb") as hole:
            hole.truncate(1 << 40)
        tar = subprocess.run(["tar", "--create", "--sparse", "--format=pax", "--directory", self.here.directory, "hole"],
                             check=True, capture_output=True).stdout
        self.pull("hole", tar)
        images = self.here.image("ls", "-q").stdout
        if images:
            status = os.stat(os.path.join(self.tree("hole"), "hole"))
            self.assertLess(status.st_blocks, 100)

    @unittest.skipUnless(os.environ.get("LONG"), "a million files: set LONG=1")
    def test_a_million_entries(self):
        pieces = []
        for number in range(1_000_000):
            name = f"d{number // 1000}/f{number}".encode()
            head = bytearray(512)
            head[:len(name)] = name
            head[100:108], head[108:116], head[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
            head[124:136], head[136:148], head[148:156], head[156:157] = b"00000000000\0", b"00000000000\0", b" " * 8, b"0"
            head[257:265] = b"ustar\x0000"
            head[148:156] = b"%06o\0 " % sum(head)
            pieces.append(bytes(head))
        tar = b"".join(pieces) + bytes(1024)
        self.server.put_image("evil/many", "1", [gzipped(tar)])
        most = peak_memory([compose.PROGRAM, "image", "pull", "-q", f"{self.server.host}/evil/many:1"],
                           env=self.here.environment)
        print(f"        a million entries: {most} MB", flush=True)
        self.assertLess(most, 400)


if __name__ == "__main__":
    unittest.main()
