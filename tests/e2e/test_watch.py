"""compose watch: changes of files on the host go into the containers."""
import os
import shutil
import signal

from compose import Lines, Project, wait_until
from e2e import TestCase, needs_root, workspace

STACK = """\
services:
  app:
    image: busybox
    user: "1000:1000"
    command: sh -c "echo started; exec sleep 1000"
    init: true
    stop_signal: KILL
    tmpfs: ["/srv:uid=1000,gid=1000"]
    develop:
      watch:
        - {action: sync, path: ./src, target: /srv/src, ignore: ["*.log", cache/], initial_sync: true}
        - {action: sync, path: ./only, target: /srv/only, include: ["**/*.txt"]}
        - {action: sync, path: ./one.conf, target: /srv/conf/one.conf}
        - {action: sync+exec, path: ./hooked, target: /srv/hooked, exec: {command: [sh, -c, 'echo hook ran as $$(id -u); touch /srv/hook']}}
        - {action: sync+restart, path: ./settings, target: /srv/settings}
  again:
    image: busybox
    command: sleep 1000
    stop_signal: KILL
    develop: {watch: [{action: restart, path: ./again}]}
  built:
    build: ./image
    command: sleep 1000
    stop_signal: KILL
    develop: {watch: [{action: rebuild, path: ./image}]}
"""


@needs_root
class Watch(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.before = workspace().snapshot()
        cls.project = Project.of_text(workspace(), "e2e-watch", STACK)
        cls.write("image/Dockerfile", "FROM busybox\nCOPY word /word\n")
        cls.write("image/word", "one\n")
        for folder in ("src/deep", "only", "hooked", "settings", "again"):
            os.makedirs(os.path.join(cls.project.directory, folder))
        cls.write("src/early", "before the watch\n")
        cls.write("src/skipped.log", "no\n")
        cls.write("one.conf", "a\n")
        cls.addClassCleanup(lambda: cls.project.down("-v", "-t", "0", "--rmi", "local", check=False))
        cls.watch = cls.project.popen("watch", "--quiet")
        cls.addClassCleanup(cls.watch.kill)
        cls.lines = Lines(cls.watch.stdout)
        cls.lines.until("Watch enabled")
        cls.lines.until("files differed")  # the initial sync

    @classmethod
    def path(cls, name):
        return os.path.join(cls.project.directory, name)

    @classmethod
    def write(cls, name, text):
        os.makedirs(os.path.dirname(cls.path(name)), exist_ok=True)
        with open(cls.path(name), "w", encoding="ascii") as file:
            file.write(text)

    def inside(self, *command, service="app"):
        return self.project.exec(service, *command, check=False).stdout

    def test_01_initial_sync(self):
        self.assertEqual(self.inside("cat", "/srv/src/early"), "before the watch\n")
        self.assertEqual(self.inside("ls", "/srv/src").split(), ["deep", "early"])

    def test_02_sync_of_what_changes(self):
        self.write("src/cache/no", "ignored")
        self.write("src/more.log", "ignored")
        self.write("src/deep/new folder/file", "made\n")
        os.symlink("early", self.path("src/link"))
        os.chmod(self.path("src/deep"), 0o750)
        self.lines.until("Syncing")
        wait_until(lambda: self.inside("cat", "/srv/src/deep/new folder/file", "/srv/src/link") == "made\nbefore the watch\n")
        self.assertEqual(self.inside("stat", "-c", "%u:%g", "/srv/src/deep/new folder/file", "/srv/src/deep/new folder").split(),
                         ["1000:1000"] * 2)
        self.assertEqual(self.inside("sh", "-c", "ls /srv/src/cache /srv/src/more.log 2>&1 | grep -c 'No such'").strip(), "2")
        os.chmod(self.path("src/early"), 0o741)
        wait_until(lambda: self.inside("stat", "-c", "%a", "/srv/src/early").strip() == "741")

    def test_03_removal_and_renames(self):
        os.rename(self.path("src/deep"), self.path("src/moved"))
        wait_until(lambda: self.inside("cat", "/srv/src/moved/new folder/file") == "made\n")
        self.assertNotIn("deep", self.inside("ls", "/srv/src").split())
        self.write("src/moved/later", "still followed\n")
        wait_until(lambda: self.inside("cat", "/srv/src/moved/later") == "still followed\n")
        shutil.rmtree(self.path("src/moved"))
        wait_until(lambda: "moved" not in self.inside("ls", "/srv/src").split())
        self.write("src/moved", "a file where a folder was\n")
        wait_until(lambda: self.inside("cat", "/srv/src/moved") == "a file where a folder was\n")

    def test_04_include_and_single_files(self):
        self.write("only/a.bin", "no")
        self.write("only/sub/a.txt", "yes\n")
        wait_until(lambda: self.inside("cat", "/srv/only/sub/a.txt") == "yes\n")
        self.assertEqual(self.inside("ls", "/srv/only").split(), ["sub"])
        self.write("one.conf.new", "renamed over\n")
        os.rename(self.path("one.conf.new"), self.path("one.conf"))
        wait_until(lambda: self.inside("cat", "/srv/conf/one.conf") == "renamed over\n")

    def test_05_exec_restart(self):
        self.write("hooked/x", "x")
        self.assertIn("hook ran as 1000", self.lines.until("hook ran"))
        self.assertNotEqual(self.inside("ls", "/srv/hook"), "")
        first = self.project.pid("again")
        self.write("again/x", "x")
        self.lines.until('["again"] restarted')
        self.assertNotIn(self.project.pid("again"), (None, first))
        first = self.project.pid("app")
        self.write("settings/x", "x")
        self.lines.until('["app"] restarted')
        self.assertNotIn(self.project.pid("app"), (None, first))

    def test_06_rebuild(self):
        images = self.project.run("image", "ls", "-q", "--no-trunc").stdout.split()
        first = self.project.container("built")["ID"]
        self.write("image/word", "two\n")
        self.lines.until("successfully built")
        wait_until(lambda: self.inside("cat", "/word", service="built") == "two\n")
        self.assertNotEqual(self.project.container("built")["ID"], first)
        # The replaced image goes, so there are not more than before.
        wait_until(lambda: len(self.project.run("image", "ls", "-q", "--no-trunc").stdout.split()) == len(images))
        self.write("image/Dockerfile", "FROM busybox\nCOPY nothing /word\n")
        self.assertIn("nothing", self.lines.until("cannot rebuild"))
        self.assertEqual(self.inside("cat", "/word", service="built"), "two\n")

    def test_07_a_container_cannot_lead_out(self):
        self.project.exec("app", "sh", "-c", "rm -rf /srv/src; ln -s /etc/../../../../etc /srv/src")
        self.write("src/e2e-watch-escape", "inside\n")
        self.lines.until("Syncing")
        self.assertFalse(os.path.exists("/etc/e2e-watch-escape"))
        wait_until(lambda: "inside" in self.project.run("exec", "-T", "-u", "0", "app", "cat", "/etc/e2e-watch-escape", check=False).stdout)

    def test_08_ends_and_the_services_go_on(self):
        self.watch.send_signal(signal.SIGINT)
        self.watch.communicate(timeout=20)
        self.assertEqual(self.watch.returncode, 130)
        self.assertEqual(self.project.container("again")["State"], "running")

    def test_09_up_with_watch(self):
        up = self.project.popen("up", "--watch", "again")
        try:
            lines = Lines(up.stdout)
            lines.until("Watch enabled")
            self.write("again/y", "y")
            lines.until("restarted")
        finally:
            up.send_signal(signal.SIGINT)
            up.communicate(timeout=30)
        self.assertEqual(up.returncode, 130)

    def test_10_mistakes(self):
        for text, words in (("{image: busybox}", "none of the selected services is configured for watch"),
                            ("{image: busybox, develop: {watch: [{action: rebuild, path: .}]}}", "needs a build section"),
                            ("{image: busybox, develop: {watch: [{action: sync, path: ./no/where, target: /x}]}}", "cannot be watched")):
            project = Project.of_text(workspace(), "e2e-watch-wrong", f"services: {{web: {text}}}\n")
            done = project.run("watch", "--no-up", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)

    def test_11_flags(self):
        """Without an up, without and with the output of builds, and with the replaced image kept."""
        project = Project.of_text(workspace(), "e2e-watch-flags", "services:\n" + STACK[STACK.index("  built:"):])
        self.addCleanup(lambda: project.down("-t", "0", "--rmi", "local", check=False))
        os.makedirs(os.path.join(project.directory, "image"), exist_ok=True)

        def write(text):
            with open(os.path.join(project.directory, "image/Dockerfile"), "w", encoding="ascii") as file:
                file.write(f"FROM busybox\nRUN echo {text} > /word\n")
        write("an image of its own")

        def images():
            return len(project.run("image", "ls", "-q", "--no-trunc").stdout.split())

        def watch(*words):
            process = project.popen(*words)
            self.addCleanup(process.communicate)
            self.addCleanup(process.kill)
            lines = Lines(process.stdout)
            lines.until("Watch enabled")
            return process, lines
        for words in (("watch", "--no-up"), ("alpha", "watch", "--no-up")):
            process, _ = watch(*words)
            self.assertEqual(project.containers(), {})
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
        project.run("up", "-d", "--build")
        for number, (words, loud) in enumerate(((("watch", "--no-up", "--prune=false"), True),
                                                (("alpha", "watch", "--no-up", "--quiet"), False))):
            process, lines = watch("--progress", "plain", *words)
            before = images()
            write(number)
            lines.until("successfully built")
            wait_until(lambda: project.exec("built", "cat", "/word", check=False).stdout == f"{number}\n")
            wait_until(lambda: images() == before + (1 if loud else 0), what=f"{number}: {before} images and one more if not pruned")
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=30)[1]
            self.assertEqual("RUN echo" in said, loud, said)

    def test_12_a_rebuild_that_newer_changes_outdate(self):
        """It is ended and begun anew, and Ctrl-C during one ends the watch."""
        project = Project.of_text(workspace(), "e2e-watch-again", "services:\n" + STACK[STACK.index("  built:"):])
        self.addCleanup(lambda: project.down("-t", "0", "--rmi", "local", check=False))
        os.makedirs(os.path.join(project.directory, "image"), exist_ok=True)

        def write(text):
            with open(os.path.join(project.directory, "image/Dockerfile"), "w", encoding="ascii") as file:
                file.write("FROM busybox\n" + text)
        write("RUN echo first > /word\n")
        watch = project.popen("--progress", "plain", "watch")
        self.addCleanup(watch.communicate)
        self.addCleanup(watch.kill)
        lines, steps = Lines(watch.stdout), Lines(watch.stderr)
        lines.until("Watch enabled")
        write("RUN echo slow begins; sleep 1000\n")
        steps.until("slow begins", 60)
        write("RUN echo second > /word\n")
        lines.until("changed again", 60)
        lines.until("successfully built", 60)
        wait_until(lambda: project.exec("built", "cat", "/word", check=False).stdout == "second\n")
        write("RUN echo slower begins; sleep 1000\n")
        steps.until("slower begins", 60)
        watch.send_signal(signal.SIGINT)
        self.assertEqual(watch.wait(timeout=30), 130)
        self.assertEqual(project.container("built")["State"], "running")

    def test_13_nothing_is_left(self):
        self.project.down("-v", "-t", "0", "--rmi", "local")
        self.assert_nothing_left(self.before)
