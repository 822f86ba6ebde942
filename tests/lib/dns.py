"""Asks the resolver of a container from inside its network, and plays a resolver of the host."""
import contextlib
import ctypes
import os
import socket
import struct
import threading

TYPES = {"A": 1, "PTR": 12, "TXT": 16, "AAAA": 28, "SRV": 33, "OPT": 41, "ANY": 255}
NAMES = {number: name for name, number in TYPES.items()}
RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")
CLONE_NEWNET = 0x40000000


def socket_in(pid, kind):
    """A socket of the network namespace of a process; only a thread of its own ever goes there."""
    made = []

    def work():
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            made.append(socket.socket(socket.AF_INET, kind))
        finally:
            os.close(namespace)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return made[0]


def encode(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def decode(message, offset):
    """The name at an offset, and the offset behind it."""
    parts, end = [], None
    while message[offset]:
        if message[offset] & 0xC0:
            end = end or offset + 2
            offset = (message[offset] & 0x3F) << 8 | message[offset + 1]
            continue
        size = message[offset]
        parts.append(message[offset + 1:offset + 1 + size].decode())
        offset += size + 1
    return ".".join(parts), end or offset + 1


def query(name, kind, number=0x1234, edns=0):
    message = struct.pack(">6H", number, 0x100, 1, 0, 0, 1 if edns else 0) + encode(name) + struct.pack(">2H", TYPES[kind], 1)
    return message + (b"\0" + struct.pack(">2HIH", TYPES["OPT"], edns, 0, 0) if edns else b"")


class Answer:
    """A reply, read."""

    def __init__(self, message):
        self.size = len(message)
        number, flags, questions, *counts = struct.unpack(">6H", message[:12])
        self.id, self.rcode = number, RCODES[flags & 15]
        self.authoritative, self.truncated = bool(flags & 0x400), bool(flags & 0x200)
        offset, self.sections, self.edns = 12, [[], [], []], False
        for _ in range(questions):
            offset = decode(message, offset)[1] + 4
        for section, count in zip(self.sections, counts):
            for _ in range(count):
                owner, offset = decode(message, offset)
                kind, _, ttl, size = struct.unpack(">2HIH", message[offset:offset + 10])
                offset += 10
                if kind == TYPES["OPT"]:
                    self.edns = True
                else:
                    section.append((owner, NAMES.get(kind, str(kind)), ttl, self.value(message, offset, size, kind)))
                offset += size

    @staticmethod
    def value(message, offset, size, kind):
        if kind == TYPES["A"]:
            return socket.inet_ntop(socket.AF_INET, message[offset:offset + 4])
        if kind == TYPES["AAAA"]:
            return socket.inet_ntop(socket.AF_INET6, message[offset:offset + 16])
        if kind == TYPES["PTR"]:
            return decode(message, offset)[0]
        if kind == TYPES["SRV"]:
            return decode(message, offset + 6)[0] + ":" + str(struct.unpack(">H", message[offset + 4:offset + 6])[0])
        return message[offset:offset + size]

    @property
    def values(self):
        return [value for _, _, _, value in self.sections[0]]

    def __str__(self):
        return " ".join([self.rcode, *map(str, self.values)])


def ask(pid, name, kind="A", tcp=False, edns=0, seconds=15):
    """What 127.0.0.11 tells the container whose first process is `pid`."""
    with socket_in(pid, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as asker:
        asker.settimeout(seconds)
        asker.connect(("127.0.0.11", 53))
        message = query(name, kind, edns=edns)
        if not tcp:
            asker.send(message)
            return Answer(asker.recv(65535))
        asker.sendall(struct.pack(">H", len(message)) + message)
        stream = asker.makefile("rb")
        return Answer(stream.read(struct.unpack(">H", stream.read(2))[0]))


class Stub:
    """A resolver on the loopback, of the host or of the namespace of a process, that gives every name one address, and
    notes what it was asked."""

    def __init__(self, address, gives, pid=None):
        self.gives, self.asked = gives, []
        self.socket = socket_in(pid or os.getpid(), socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            message, peer = self.socket.recvfrom(4096)
            if not message:
                return
            name, end = decode(message, 12)
            self.asked.append((name, message[:2], peer))
            head = message[:2] + struct.pack(">5H", 0x8180, 1, 1, 0, 0)
            record = b"\xc0\x0c" + struct.pack(">2HIH", 1, 1, 60, 4) + socket.inet_aton(self.gives)
            self.socket.sendto(head + message[12:end + 4] + record, peer)

    def close(self):
        with contextlib.suppress(OSError):  # it is not connected, but whoever reads from it wakes up
            self.socket.shutdown(socket.SHUT_RD)
        self.thread.join(10)
        self.socket.close()
