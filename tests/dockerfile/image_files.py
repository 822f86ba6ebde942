"""Build contexts from the table's cases, and images from `docker save` archives as values one can compare."""
import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import tarfile

TIME = 1_600_000_000
COMPRESS = {"": bytes, "gz": lambda data: gzip.compress(data, mtime=0), "bz2": bz2.compress, "xz": lzma.compress}
# What Compose itself puts on images, and what tells one builder from another.
OWN_LABELS = ("com.docker.compose.",)
CONFIG_KEYS = ("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Healthcheck", "Volumes", "WorkingDir", "OnBuild",
               "Labels", "StopSignal", "Shell")


def add_member(tar, name, text, mode, uid, gid):
    info = tarfile.TarInfo(name.rstrip("/"))
    info.mode, info.uid, info.gid, info.mtime = mode, uid, gid, TIME
    if name.endswith("/"):
        info.type = tarfile.DIRTYPE
    info.size = len(text)
    tar.addfile(info, io.BytesIO(text.encode()))


def make_archive(path, compression, entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (text, mode, uid, gid) in entries.items():
            add_member(tar, name, text, mode, uid, gid)
    with open(path, "wb") as output:
        output.write(COMPRESS[compression](buffer.getvalue()))


def write_item(path, item):
    kind = "file" if isinstance(item, str) else item[0]
    os.makedirs(path if kind == "folder" else os.path.dirname(path), exist_ok=True)
    if kind == "link":
        os.symlink(item[1], path)
    elif kind == "archive":
        make_archive(path, item[1], item[2])
    elif kind == "file":
        text, mode = (item, 0o644) if isinstance(item, str) else item[1:]
        with open(path, "wb") as output:
            output.write(text.encode())
        os.chmod(path, mode)
    if kind == "folder":
        os.chmod(path, item[1])


def write_context(folder, case):
    """The case's files and its Dockerfile; returns the `build:` section for it."""
    os.makedirs(folder)
    for name, item in case.files.items():
        write_item(os.path.join(folder, name), item)
    for root, folders, _ in os.walk(folder):
        for name in folders:
            path = os.path.join(root, name)
            given = case.files.get(os.path.relpath(path, folder))
            if not os.path.islink(path) and (given is None or given[0] != "folder"):
                os.chmod(path, 0o755)
    write_item(os.path.join(folder, "Dockerfile"), case.text)
    build = {"context": folder, **case.build}
    if "additional_contexts" in build:
        build["additional_contexts"] = {name: os.path.join(folder, source) if source.startswith("./") else source
                                        for name, source in build["additional_contexts"].items()}
    return build


def write_base(path, busybox):
    """A root file system of busybox with accounts, the same for all builders."""
    with open(busybox, "rb") as source:
        program = source.read()
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        def add(name, kind=tarfile.REGTYPE, data=b"", mode=0o755, target=""):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime, info.linkname, info.size = kind, mode, TIME, target, len(data)
            tar.addfile(info, io.BytesIO(data))
        for name in ("bin", "etc", "root", "proc", "sys", "dev"):
            add(name, tarfile.DIRTYPE)
        add("tmp", tarfile.DIRTYPE, mode=0o1777)
        add("bin/busybox", data=program)
        for applet in ("awk cat chmod chown cp cut df echo env false find grep head hostname id ln ls mkdir mkfifo mknod "
                       "mv printf pwd rm sed sh sleep sort stat tail test touch tr true umask vi wc").split():
            add("bin/" + applet, tarfile.SYMTYPE, target="busybox")
        add("etc/passwd", data=b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1001::/home/user:/bin/sh\n", mode=0o644)
        add("etc/group", data=b"root:x:0:\nuser:x:1001:\n", mode=0o644)


def entry(tar, member):
    owner = f"{member.uid}:{member.gid}"
    mode = f"{member.mode & 0o7777:04o}"
    if member.isdir():
        return f"dir {mode} {owner}"
    if member.issym():
        return f"link {owner} {member.linkname}"
    if member.isfifo():
        return f"fifo {mode} {owner}"
    if member.ischr() or member.isblk():
        return f"device {mode} {owner} {member.devmajor},{member.devminor}"
    data = tar.extractfile(member).read()
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        text = None
    if text is None or len(text) > 200:
        text = "sha256 " + hashlib.sha256(data).hexdigest()[:16]
    return f"file {mode} {owner} {json.dumps(text)}"


def apply_layer(tree, tar):
    for member in tar:
        name = member.name.lstrip("./").rstrip("/") if member.name.startswith("./") else member.name.strip("/")
        if name in ("", "."):
            continue
        folder, _, last = name.rpartition("/")
        if last == ".wh..wh..opq":
            for path in [path for path in tree if path.startswith(folder + "/")]:
                del tree[path]
            continue
        if last.startswith(".wh."):
            gone = (folder + "/" if folder else "") + last[4:]
            for path in [path for path in tree if path == gone or path.startswith(gone + "/")]:
                del tree[path]
            continue
        if member.islnk():
            tree[name] = tree[member.linkname.lstrip("./").strip("/")]
            continue
        described = entry(tar, member)
        if not described.startswith("dir"):
            for path in [path for path in tree if path.startswith(name + "/")]:
                del tree[path]
        tree[name] = described


def read_image(archive):
    """(tree, configuration) of the one image in a `docker save` archive."""
    with tarfile.open(archive) as outer:
        manifest = json.load(outer.extractfile("manifest.json"))[0]
        config = json.load(outer.extractfile(manifest["Config"]))
        tree = {}
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(outer.extractfile(layer).read())) as tar:
                apply_layer(tree, tar)
    return tree, config


def history(config):
    """What made the layers by RUN, COPY and ADD, without the builder's own mark."""
    lines = []
    for item in config.get("history", []):
        text = item.get("created_by", "")
        for mark in (" # buildkit", " # compose"):
            text = text.removesuffix(mark)
        if text.split(" ")[0] in ("RUN", "COPY", "ADD"):
            lines.append(text)
    return lines


def describe(archive, base):
    """The image as the table has it: what differs from the base's tree, and the configuration."""
    tree, config = read_image(archive)
    changes = {path: what for path, what in sorted(tree.items()) if base.get(path) != what}
    # A layer may repeat the folders above what it changes.
    if tree.keys() & base.keys():
        changes.update({path: "removed" for path in sorted(base) if path not in tree})
        whole = False
    else:
        whole = True
    settings = {key: value for key in CONFIG_KEYS if (value := config.get("config", {}).get(key))}
    # Older versions of BuildKit keep a slash at the end.
    if settings.get("WorkingDir", "/") != "/":
        settings["WorkingDir"] = settings["WorkingDir"].rstrip("/")
    labels = {name: value for name, value in settings.pop("Labels", {}).items() if not name.startswith(OWN_LABELS)}
    if labels:
        settings["Labels"] = labels
    if config.get("author"):
        settings["Author"] = config["author"]
    return {"tree": changes, "config": settings, "history": history(config), **({"from": "scratch"} if whole else {})}
