"""Visitors that ask again and again while something is changed under them."""
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
