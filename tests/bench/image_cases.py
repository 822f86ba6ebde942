"""Images: an archive of 300 MB is loaded, a Dockerfile of five steps is built from nothing, after a change, and unchanged."""
import hashlib
import io
import json
import os
import random
import tarfile

MEGABYTE = 1_000_000
LAYERS, FILES = 3, 100  # each layer has as many files that compress as files that do not, of half a megabyte
NAME = "bench-load:latest"
ARCHIVE = "image.tar"

DOCKERFILE = """\
FROM busybox:latest
RUN echo one > /one
COPY file /file
RUN cat /one /file > /two && mkdir -p /d && touch /d/a /d/b
ENV A=1
RUN ls / > /three
"""
BUILD = "services: {b: {image: bench-build, build: .}}\n"


def _layer(number):
    noise, text = random.Random(number), b"a line that comes again and again\n" * (MEGABYTE // 68)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for index in range(FILES):
            for kind, content in (("noise", noise.randbytes(MEGABYTE // 2)), ("text", text)):
                member = tarfile.TarInfo(f"layer{number}/{kind}{index}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _write_archive(path):
    """As `docker save` writes it."""
    with tarfile.open(path, "w") as archive:
        def add(name, content):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        names, digests = [], []
        for number in range(LAYERS):
            layer = _layer(number)
            names.append(f"{number}/layer.tar")
            digests.append("sha256:" + hashlib.sha256(layer).hexdigest())
            add(names[-1], layer)
        add("config.json", json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                                       "rootfs": {"type": "layers", "diff_ids": digests}}).encode())
        add("manifest.json", json.dumps([{"Config": "config.json", "RepoTags": [NAME], "Layers": names}]).encode())


def before_load(project):
    _write_archive(os.path.join(project.directory, ARCHIVE))


def load(project):
    seconds = project.image("load", "-q", "-i", ARCHIVE)
    project.image("rm", "-f", NAME)
    return {"image load, 300 MB": seconds}


def _write_file(project, content):
    with open(os.path.join(project.directory, "file"), "w", encoding="ascii") as file:
        file.write(content)


def before_build(project):
    with open(os.path.join(project.directory, "Dockerfile"), "w", encoding="ascii") as file:
        file.write(DOCKERFILE)
    _write_file(project, "0")


def build(project):
    with open(os.path.join(project.directory, "file"), encoding="ascii") as file:
        number = int(file.read())
    found = {"build --no-cache, 5 steps": project.time("build", "-q", "--no-cache")}
    project.time("build", "-q")  # Docker keeps the results of --no-cache, too; so both begin alike
    _write_file(project, str(number + 1))
    found["build, a file changed"] = project.time("build", "-q")
    found["build, nothing changed"] = project.time("build", "-q")
    return found


def after_build(project):
    project.image("rm", "-f", "bench-build")
