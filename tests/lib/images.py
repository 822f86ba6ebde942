"""The images tests start from; there is no registry to take them from."""
import os
import shutil
import subprocess
import tempfile

from compose import TOP, run

CACHE = os.environ.get("BASE_IMAGE_CACHE", os.path.join(TOP, "build/cache"))
BASE = "debian:bookworm-slim"
BUSYBOX = "busybox:latest"


def base_archive():
    """The Debian base of the examples; made once, half a minute."""
    path = os.path.join(CACHE, "debian-bookworm-slim.tar")
    if not os.path.exists(path):
        run([os.path.join(TOP, "examples/wordpress/base-image"), path], timeout=600)
    return path


def busybox_archive(directory):
    """A root file system of nothing but busybox, from the machine's own static one."""
    path = os.path.join(directory, "busybox.tar")
    if os.path.exists(path):
        return path
    busybox = shutil.which("busybox")
    if not busybox:
        raise AssertionError("busybox-static is not installed")
    with tempfile.TemporaryDirectory() as root:
        for name in ("bin", "etc", "tmp", "root"):
            os.mkdir(os.path.join(root, name))
        shutil.copy(busybox, os.path.join(root, "bin/busybox"))
        for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                os.symlink("busybox", os.path.join(root, "bin", applet))
        for name, text in (("passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n"),
                           ("group", "root:x:0:\nuser:x:1000:\n")):
            with open(os.path.join(root, "etc", name), "w", encoding="ascii") as file:
                file.write(text)
        os.chmod(os.path.join(root, "tmp"), 0o1777)
        os.chmod(root, 0o755)  # users in the container look up names in it
        subprocess.run(["tar", "--create", "--file", path, "--owner=0", "--group=0", "--directory", root, "."],
                       check=True)
    return path
