"""A program in a terminal of its own (a pty): what a person sees and types."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from compose import SLOW


class Terminal:
    """Starts a command as the foreground process group of a new terminal."""

    def __init__(self, command, environment, directory, columns=80, rows=24):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                self._resize(0, columns, rows)
                os.chdir(directory)
                os.execve(command[0], command, environment)
            finally:
                os._exit(127)
        self.screen = ""  # everything that was ever written
        self.seen = 0     # how far until() has read
        self.code = None

    @staticmethod
    def _resize(descriptor, columns, rows):
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        self._resize(self.master, columns, rows)

    def type(self, text):
        os.write(self.master, text.encode())

    def _read(self, seconds):
        if not select.select([self.master], [], [], max(0, seconds))[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: the last program has gone
            data = b""
        self.screen += data.decode("utf-8", "replace")
        return bool(data)

    def until(self, pattern, seconds=20):
        """Waits until the pattern appears after what was found before; the text up to its end."""
        end = time.monotonic() + seconds * SLOW
        while True:
            found = re.search(pattern, self.screen[self.seen:])
            if found:
                text = self.screen[self.seen:self.seen + found.end()]
                self.seen += found.end()
                return text
            if time.monotonic() > end or not self._read(end - time.monotonic()):
                raise AssertionError(f"the terminal never showed {pattern!r} after {self.screen[:self.seen][-200:]!r}: "
                                     f"{self.screen[self.seen:]!r}")

    def wait(self, seconds=20):
        """The exit code (128 + n after a signal), when all has been read."""
        end = time.monotonic() + seconds * SLOW
        while self.code is None:
            self._read(0.02)
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.code = os.waitstatus_to_exitcode(status)
                if self.code < 0:
                    self.code = 128 - self.code
            elif time.monotonic() > end:
                raise AssertionError(f"still running; the terminal shows {self.screen[-500:]!r}")
        while self._read(0.05):
            pass
        return self.code

    def lines(self):
        """What was written, without escape sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.screen).replace("\r", "\n").split("\n")

    def settings(self):
        """termios of the terminal, to compare."""
        return termios.tcgetattr(self.master)

    def close(self):
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.code = 137
        os.close(self.master)
