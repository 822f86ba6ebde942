"""Visitors that ask again and again while something is changed under them."""
import os
import select
import signal
import threading
import time

from compose import SLOW, wait_until

WORKERS = 8


class Load:
    """`visitor()` makes one; its ask() gives the name of the container that answered or raises OSError, and the next
    question is another visitor's then. Every answer is noted."""

    def __init__(self, visitor):
        self.visitor, self.lock, self.over = visitor, threading.Lock(), threading.Event()
        self.answers, self.failures, self.slowest = 0, [], 0.0
        self.hosts = set()
        self.threads = [threading.Thread(target=self.visit, daemon=True) for _ in range(WORKERS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(70)

    def visit(self):
        visitor = None
        while not self.over.is_set():
            begun = time.monotonic()
            try:
                visitor = visitor or self.visitor()
                host, failure = visitor.ask(), None
            except OSError as error:
                visitor, failure = None, repr(error)
            end = time.monotonic()
            with self.lock:
                self.slowest = max(self.slowest, end - begun)
                if failure:
                    self.failures.append((begun, end, failure))
                else:
                    self.answers += 1
                    self.hosts.add(host)

    def more(self, count=3 * WORKERS):
        """Waits until so many more requests were answered."""
        until = self.answers + count
        wait_until(lambda: self.answers >= until, 60 * SLOW, f"{count} more answers; failures: {self.failures[:3]}")

    def failures_outside(self, dying):
        """Failures of requests that cannot have been in a container between two moments."""
        begun, dead = dying
        return [failure for failure in self.failures if failure[0] > dead or failure[1] < begun]


def kill(pid):
    """Kills a container's first process as a crash would; gives the moments when that began and when all of the container
    was dead: who asked until then may have found it alive, and more than once."""
    process = os.pidfd_open(pid)
    begun = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    select.select([process], [], [])  # readable once the last process of its namespace has ended (pid_namespaces(7))
    dead = time.monotonic()
    os.close(process)
    return begun, dead
