"""In a real terminal: an attached up with its menu, exec and run, Ctrl-C, resizing, a narrow screen."""
import re

from compose import Project, wait_until
from e2e import TestCase, needs_our_own, needs_root, workspace
from terminal import Terminal

STACK = """\
services:
  talker:
    image: busybox
    command: sh -c "trap 'echo good bye; exit 0' TERM; echo apple one; echo pear two; while :; do sleep 1000 & wait $$!; done"
  stubborn:
    image: busybox
    command: sh -c "trap '' TERM INT; echo ready; while :; do sleep 1; done"
    stop_grace_period: 60s
    profiles: [stubborn]
  shell: {image: busybox, command: sh, tty: true, stdin_open: true, stop_signal: KILL, profiles: [shell]}
"""

MENU = "d Detach   w Watch   r Restart   l Filter   s Stop"


@needs_root
@needs_our_own
class InATerminal(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.before = workspace().snapshot()
        cls.project = Project.of_text(workspace(), "e2e-terminal", STACK)
        cls.addClassCleanup(lambda: cls.project.run("--profile", "*", "down", "-t", "0", check=False))

    def terminal(self, *arguments, **size):
        terminal = Terminal([self.project.program, *self.project.options, *arguments], self.project.environment,
                            self.project.directory, **size)
        self.addCleanup(terminal.close)
        return terminal

    def tearDown(self):
        self.project.run("--profile", "*", "down", "-t", "0")

    def test_01_menu_and_detach(self):
        up = self.terminal("up", "talker")
        up.until("apple one")
        up.until(re.escape(MENU))
        up.type("?")
        up.until("d: leave, all goes on")
        up.type("\r")
        up.type("d")
        self.assertEqual(up.wait(), 0)
        self.assertEqual(self.project.container("talker")["State"], "running")
        # The menu was taken away: the last line is empty.
        self.assertTrue(up.screen.endswith("\r\x1b[2K"), up.screen[-80:])

    def test_02_filter(self):
        up = self.terminal("up", "talker")
        up.until("pear two")
        up.until(re.escape(MENU))
        up.type("l")
        up.until("show only lines with: ")
        up.type("peaX\x7fr\r")
        up.until('Only lines with "pear" are shown')
        seen = up.seen
        wait_until(lambda: self.project.container("talker")["State"] == "running")  # its output may come first
        self.project.exec("talker", "sh", "-c", "echo apple three > /proc/1/fd/1; echo pear four > /proc/1/fd/1")
        up.until("pear four")
        self.assertNotIn("apple three", up.screen[seen:])
        up.type("l\r")
        up.until("All lines are shown")
        up.type("d")
        self.assertEqual(up.wait(), 0)

    def test_03_restart_and_watch(self):
        up = self.terminal("up", "talker")
        up.until("pear two")
        up.until(re.escape(MENU))
        first = self.project.pid("talker")
        up.type("r")
        up.until("good bye")
        up.until("apple one")
        self.assertNotIn(self.project.pid("talker"), (None, first))
        up.type("w")
        up.until("watch: none of the selected services is configured for watch")
        up.type("d")
        self.assertEqual(up.wait(), 0)

    def test_04_interrupt_once(self):
        up = self.terminal("up", "talker")
        up.until("apple one")  # its trap is set
        up.type("\x03")
        up.until("Gracefully Stopping... press Ctrl\\+C again to force")
        up.until("good bye")
        self.assertEqual(up.wait(), 130)
        self.assertEqual(self.project.container("talker")["ExitCode"], 0)

    def test_05_interrupt_twice(self):
        up = self.terminal("--profile", "*", "up", "stubborn")
        up.until("ready")
        up.type("\x03")
        up.until("Gracefully Stopping")
        up.type("\x03")
        self.assertEqual(up.wait(), 130)
        wait_until(lambda: self.project.container("stubborn")["State"] == "exited", 10, "an exited container")
        self.assertEqual(self.project.container("stubborn")["ExitCode"], 137)

    def test_06_thirty_columns(self):
        up = self.terminal("up", "talker", columns=30, rows=10)
        up.until("apple one")
        up.until(re.escape("d w r l s ?"))
        up.type("d")
        self.assertEqual(up.wait(), 0)
        # What we draw fits; what containers write is theirs.
        for line in up.lines():
            if "|" not in line and "Attaching" not in line:
                self.assertLessEqual(len(line.rstrip()), 30, line)

    def test_07_exec_shell_and_resize(self):
        self.project.run("up", "-d", "talker")
        shell = self.terminal("exec", "-it", "talker", "sh", columns=93, rows=31)
        shell.type("stty size; test -t 0 && echo is-a-terminal\n")
        shell.until("31 93")
        shell.until("is-a-terminal")
        shell.resize(57, 19)
        shell.type("sleep 0.2; stty size\n")
        shell.until("19 57")
        shell.type("echo before; cat\n")
        shell.until("\nbefore\r\n")
        shell.type("typed\n")
        shell.until("typed\r\ntyped")
        shell.type("\x03")  # interrupts cat, not us
        shell.until(r"\^C[\s\S]*# ")
        shell.type("echo code $?\n")
        shell.until("code 130")
        shell.type("exit 7\n")
        self.assertEqual(shell.wait(), 7)

    def test_08_run_with_a_pager(self):
        pager = self.terminal("run", "--rm", "-q", "talker", "sh", "-c", "seq 1 200 | more", columns=40, rows=12)
        pager.until("--More--")
        self.assertNotIn("\n50\r", pager.screen)
        pager.type(" ")
        pager.until("--More--")
        pager.type("q")
        self.assertEqual(pager.wait(), 0)
        vi = self.terminal("run", "--rm", "-q", "talker", "vi", "/tmp/file", columns=40, rows=12)
        vi.until("~")
        vi.type("ihello")
        vi.until("hello")
        vi.type("\x1b")
        vi.until("- /tmp/file")
        vi.type(":wq\r")
        self.assertEqual(vi.wait(), 0)

    def test_09_attach_detach_attach(self):
        self.project.run("--profile", "*", "up", "-d", "shell")
        for _ in range(2):
            attached = self.terminal("attach", "--detach-keys", "ctrl-x,x", "shell")
            attached.type("echo sum $((40+2))\n")
            attached.until("sum 42")
            attached.type("\x18x")
            self.assertEqual(attached.wait(), 0)
            self.assertEqual(self.project.container("shell")["State"], "running")

    def test_10_the_terminal_is_given_back_as_it_was(self):
        self.project.run("up", "-d", "talker")
        for words in (("exec", "-it", "talker", "true"), ("run", "--rm", "-q", "talker", "true"), ("up", "talker")):
            inside = self.project.program + " " + " ".join([*self.project.options, *words])
            shell = Terminal(["/bin/sh", "-c", f"stty -g; {inside}; echo; stty -g"], self.project.environment,
                             self.project.directory)
            self.addCleanup(shell.close)
            if words[0] == "up":
                shell.until("d Detach|d w r")
                shell.type("d")
            shell.wait()
            settings = re.findall(r"\b[0-9a-f]+(?::[0-9a-f]+){10,}", shell.screen)
            self.assertEqual(len(settings), 2, shell.screen)
            self.assertEqual(settings[0], settings[1], words)

    def test_11_progress_fits_and_is_coloured(self):
        up = self.terminal("up", "-d", "talker", columns=30, rows=8)
        self.assertEqual(up.wait(), 0)
        self.assertIn("\x1b[32m", up.screen)
        self.assertIn("✔", up.screen)
        for line in up.lines():
            self.assertLessEqual(len(line.rstrip()), 30, line)
        plain = self.terminal("--ansi", "never", "down", "-t", "0")
        self.assertEqual(plain.wait(), 0)
        self.assertNotIn("\x1b", plain.screen)

    def test_12_ps_as_a_live_view(self):
        view = self.terminal("ps", "--watch", "-a", columns=60, rows=8)
        view.until("NAME")
        self.project.run("up", "-d", "talker")
        view.until(r"-talker-1[^\n]* Up ")  # the state is seen on a narrow terminal, too
        self.project.run("stop", "-t", "0", "talker")
        view.until("e2e-terminal-talker-1")
        view.type("\x03")
        self.assertEqual(view.wait(), 130)
        self.assertTrue(view.screen.rstrip().endswith("\x1b[?25h"), "the cursor is shown again")
        for line in view.lines():
            self.assertLessEqual(len(line), 60)

    def test_13_nothing_is_left(self):
        self.project.run("--profile", "*", "down", "-t", "0")
        self.assert_nothing_left(self.before)
