"""compose export kubernetes, import kubernetes and kubernetes apply/diff/status/logs/delete, as users call them. The
cluster is a stand-in for kubectl that writes down how it was called; kustomize is real where a kubectl is."""
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import unittest
import urllib.request

import compose
import e2e
import peers
from stack import Stack
from test_registry import RegistryTest

FILE = """\
name: shop
services:
  web:
    image: web:1
    restart: always
    ports: ["8080:80"]
    environment: {MODE: base}
  init:
    image: web:1
    command: [init]
    restart: "no"
"""
PROD = """\
name: shop-prod
services:
  web:
    environment: {MODE: production}
    deploy: {replicas: 3}
  cache: {image: cache, restart: always}
"""
STAND_IN = """\
#!/usr/bin/env python3
import json, os, sys
call = {"arguments": sys.argv[1:]}
if "-" in sys.argv:
    call["input"] = sys.stdin.read()
with open(os.environ["KUBECTL_CALLS"], "a") as calls:
    calls.write(json.dumps(call) + "\\n")
if "--output=name" in sys.argv:
    print("deployment.apps/web\\ndeployment.apps/gone\\nservice/web\\nconfigmap/old-env")
sys.exit(int(os.environ.get("KUBECTL_CODE", "0")))
"""


@e2e.needs_our_own
class Kubernetes(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="compose-kubernetes-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.write("compose.yaml", FILE)
        self.write("prod.yaml", PROD)
        self.environment = dict(os.environ, COMPOSE_ROOT=self.path("state"), COMPOSE_RUN_ROOT=self.path("run"))
        self.calls = self.path("calls")

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def compose(self, *arguments, code=0, **environment):
        done = subprocess.run([compose.PROGRAM, *arguments], cwd=self.folder, env=self.environment | environment,
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def stand_in(self):
        os.mkdir(self.path("bin"))
        self.write("bin/kubectl", STAND_IN)
        os.chmod(self.path("bin/kubectl"), stat.S_IRWXU)
        self.environment |= {"PATH": self.path("bin") + ":" + os.environ["PATH"], "KUBECTL_CALLS": self.calls}

    def recorded(self):
        with open(self.calls, encoding="utf-8") as calls:
            return [json.loads(line) for line in calls]

    def test_export_writes_a_folder_and_replaces_only_what_it_wrote(self):
        self.compose("-f", "compose.yaml", "export", "kubernetes", "-o", "out", "--overlay", "prod=prod.yaml")
        self.assertIn("kind: Deployment  # compose.yaml:3", self.read("out/base/web.yaml"))
        self.assertIn("namespace: shop-prod", self.read("out/overlays/prod/kustomization.yaml"))
        self.write("out/base/mine.yaml", "mine\n")
        self.compose("-f", "compose.yaml", "export", "kubernetes", "-o", "out")
        self.assertFalse(os.path.exists(self.path("out/overlays")))  # nor an empty folder
        self.assertEqual(self.read("out/base/mine.yaml"), "mine\n")

    def test_the_same_files_give_the_same_bytes(self):
        def written(folder):
            self.compose("-f", "compose.yaml", "export", "kubernetes", "-o", folder, "--overlay", "prod=prod.yaml")
            found = {}
            for place, _, names in os.walk(self.path(folder)):
                for name in names:
                    path = os.path.join(place, name)
                    found[os.path.relpath(path, self.path(folder))] = self.read(path)
            return found
        self.assertEqual(written("one"), written("two"))

    def test_a_folder_of_others_is_refused_and_kept(self):
        os.mkdir(self.path("theirs"))
        self.write("theirs/precious", "precious")
        failed = self.compose("export", "kubernetes", "-o", "theirs", code=1)
        self.assertIn("theirs is not empty and no export wrote it", failed.stderr)
        self.assertEqual(os.listdir(self.path("theirs")), ["precious"])

    def test_a_marker_cannot_name_files_outside(self):
        os.mkdir(self.path("out"))
        self.write("out/compose-export.json", json.dumps({"files": ["../compose.yaml"]}))
        failed = self.compose("export", "kubernetes", "-o", "out", code=1)
        self.assertIn("outside of the folder", failed.stderr)
        self.assertEqual(self.read("compose.yaml"), FILE)

    def test_a_marker_cannot_have_folders_removed(self):
        os.makedirs(self.path("out/base"))
        self.write("out/base/mine", "mine")
        self.write("out/compose-export.json", json.dumps({"files": ["base", "base/gone.yaml"]}))
        self.compose("export", "kubernetes", "-o", "out")
        self.assertEqual(self.read("out/base/mine"), "mine")

    def test_two_names_that_come_to_one_are_an_error_with_both_lines(self):
        self.write("compose.yaml", "services:\n  a.b: {image: a}\n  a_b: {image: b}\n")
        failed = self.compose("export", "kubernetes", code=1)
        self.assertIn('compose.yaml:3: services "a.b" and "a_b" would both be called "a-b" in Kubernetes', failed.stderr)

    def test_report_and_strict(self):
        self.write("compose.yaml", FILE + "    ulimits: {nofile: 1024}\n")
        report = json.loads(self.compose("export", "kubernetes", "-o", "-", "--report", "--format", "json").stdout)
        lost = [finding for finding in report["findings"] if finding["fate"] == "dropped"]
        self.assertEqual([(one["path"], one["line"]) for one in lost], [("services.init.ulimits", 12)])
        failed = self.compose("export", "kubernetes", "-o", "out", "--strict", code=1)
        self.assertIn("compose.yaml:12: dropped services.init.ulimits", failed.stdout)
        self.assertFalse(os.path.exists(self.path("out")))

    def test_what_base_and_overlays_have_in_common_is_said_once(self):
        self.write("compose.yaml", FILE + "    ulimits: {nofile: 1024}\n    volumes: ['data:/d']\nvolumes: {data: }\n")
        self.write("more.yaml", "services:\n  web: {stop_signal: SIGHUP}\n")
        done = self.compose("-f", "compose.yaml", "export", "kubernetes", "-o", "out", "--report",
                            "--overlay", "prod=prod.yaml", "--overlay", "more=more.yaml")
        self.assertEqual(done.stderr.count("the claim asks for 1Gi"), 1, done.stderr)
        self.assertEqual(done.stdout.count("dropped services.init.ulimits"), 1, done.stdout)
        self.assertIn("more.yaml:2: dropped services.web.stop_signal", done.stdout)
        self.assertIn("; 2 attributes were dropped", done.stderr)

    def test_a_choice_that_is_missing_is_an_error_with_its_line(self):
        self.write("compose.yaml", "services:\n  web:\n    image: a\n    volumes: ['.:/srv']\n")
        failed = self.compose("export", "kubernetes", code=1)
        self.assertIn("compose.yaml:4: service \"web\" mounts", failed.stderr)

    def test_import_gives_the_project_back(self):
        self.compose("export", "kubernetes", "-o", "out")
        self.compose("import", "kubernetes", "out", "-o", "back.yaml")
        before = json.loads(self.compose("config", "--format", "json").stdout)
        after = json.loads(self.compose("-f", "back.yaml", "config", "--format", "json").stdout)
        self.assertEqual(before, after)
        failed = self.compose("import", "kubernetes", "out", "-o", "back.yaml", code=1)
        self.assertIn("is there already", failed.stderr)

    @e2e.needs_root
    def test_a_service_called_kubernetes_is_still_exported(self):
        failed = self.compose("export", "--", "kubernetes", code=1)
        self.assertIn("no such service: kubernetes", failed.stderr)

    @unittest.skipUnless(shutil.which("kubectl"), "kubectl (Debian: kubernetes-client) is not here")
    def test_kustomize_renders_the_overlay_as_the_files_say(self):
        self.compose("-f", "compose.yaml", "export", "kubernetes", "-o", "out", "--overlay", "prod=prod.yaml")
        rendered = subprocess.run(["kubectl", "kustomize", self.path("out/overlays/prod")], capture_output=True,
                                  text=True, timeout=60, check=True).stdout
        self.write("rendered.yaml", rendered)
        self.compose("import", "kubernetes", "rendered.yaml", "-o", "back.yaml")
        files = ("-p", "shop", "-f", "compose.yaml", "-f", "prod.yaml")
        wanted = json.loads(self.compose(*files, "config", "--format", "json").stdout)
        made = json.loads(self.compose("-f", "back.yaml", "config", "--format", "json").stdout)
        self.assertEqual(wanted, made)
        self.assertEqual(rendered.count("namespace: shop-prod"), rendered.count("\nkind: "))

    @unittest.skipUnless(shutil.which("kubectl"), "kubectl (Debian: kubernetes-client) is not here")
    def test_kustomize_renders_what_the_golden_cases_hold(self):
        """All overlays, and with them their bases; with LONG=1 the bases that have none, too."""
        cases = os.path.join(compose.TOP, "tests/kubernetes/cases")
        rendered = 0
        for place, _, names in sorted(os.walk(cases)):
            if "kustomization.yaml" not in names or ("overlays" not in place.split("/expected/")[1] and os.environ.get("LONG") != "1"):
                continue
            done = subprocess.run(["kubectl", "kustomize", place], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 0, place + ": " + done.stderr)
            self.assertIn("kind: ", done.stdout, place)
            rendered += 1
        self.assertGreaterEqual(rendered, 50 if os.environ.get("LONG") == "1" else 6)

    def test_apply_is_server_side_and_prunes_what_is_gone(self):
        self.stand_in()
        self.compose("kubernetes", "apply", "--context", "c", "-n", "space")
        apply, listed, delete = self.recorded()
        self.assertEqual(apply["arguments"], ["--context=c", "--namespace=space", "apply", "--server-side",
                                              "--field-manager=compose", "--filename", "-"])
        self.assertIn("kind: Deployment", apply["input"])
        self.assertIn("--selector=app.kubernetes.io/part-of=shop,app.kubernetes.io/managed-by=compose", listed["arguments"])
        self.assertNotIn("persistentvolumeclaims", listed["arguments"][3])
        self.assertEqual(delete["arguments"][2:], ["delete", "deployment.apps/gone", "configmap/old-env"])

    def test_apply_can_check_only_and_replace_jobs(self):
        self.stand_in()
        self.compose("kubernetes", "apply", "--dry-run")
        self.assertEqual([call["arguments"][0] for call in self.recorded()], ["apply"])
        self.assertIn("--dry-run=server", self.recorded()[0]["arguments"])
        self.compose("kubernetes", "apply", "--replace-jobs", "--no-prune")
        self.assertEqual([call["arguments"][:2] for call in self.recorded()[1:]], [["delete", "jobs.batch"], ["apply", "--server-side"]])

    def test_diff_hands_kubectls_code_on(self):
        self.stand_in()
        self.compose("kubernetes", "diff", code=1, KUBECTL_CODE="1")
        self.assertEqual(self.recorded()[0]["arguments"][:2], ["diff", "--server-side"])
        self.assertIn("kind: Job", self.recorded()[0]["input"])

    def test_status_logs_and_delete(self):
        self.stand_in()
        self.compose("kubernetes", "status")
        self.compose("kubernetes", "logs", "-f", "--tail", "5", "web")
        self.compose("kubernetes", "delete")
        self.compose("kubernetes", "delete", "--volumes")
        status, logs, delete, all_of_it = (call["arguments"] for call in self.recorded())
        self.assertEqual(status[0], "get")
        self.assertIn("--selector=app.kubernetes.io/part-of=shop,app.kubernetes.io/managed-by=compose,app.kubernetes.io/name in (web)", logs)
        self.assertIn("--tail=5", logs)
        self.assertNotIn("persistentvolumeclaims", delete[1])
        self.assertIn("persistentvolumeclaims", all_of_it[1])

    def test_logs_of_services_that_share_a_pod_are_those_of_their_containers(self):
        self.write("compose.yaml", "name: shop\nservices:\n  web: {image: a, expose: ['80']}\n  db: {image: d}\n"
                                   "  side: {image: b, network_mode: 'service:web'}\n  other: {image: c, profiles: [x]}\n")
        self.stand_in()
        ours = "--selector=app.kubernetes.io/part-of=shop,app.kubernetes.io/managed-by=compose,app.kubernetes.io/name in "

        def asked(*services):
            self.compose("kubernetes", "logs", *services)
            calls = sorted(tuple(call["arguments"][1:3]) for call in self.recorded())
            os.unlink(self.calls)
            return calls
        self.assertEqual(asked("side"), [(ours + "(web)", "--container=side")])
        self.assertEqual(asked("web"), [(ours + "(web)", "--container=web")])
        self.assertEqual(asked("side", "db", "other", "web"), [
            (ours + "(db,other)", "--all-containers"), (ours + "(web)", "--container=side"), (ours + "(web)", "--container=web")])
        self.assertIn("no such service: sde", self.compose("kubernetes", "logs", "sde", code=1).stderr)

    def test_without_kubectl_the_error_says_what_to_do(self):
        failed = self.compose("kubernetes", "apply", code=1, PATH=self.path("state"))
        self.assertIn("kubectl is not on the path: install it (Debian: kubernetes-client)", failed.stderr)

@e2e.needs_root
@e2e.needs_our_own
class Pinned(RegistryTest):
    def export(self, store, image, **options):
        path = os.path.join(store.directory, "compose.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"services:\n  web: {{image: '{image}', restart: always}}\n")
        return compose.run([compose.PROGRAM, "-f", path, "export", "kubernetes", "-o", "-", "--pin-images"], env=store.environment,
                           **options)

    def test_images_are_named_by_the_digest_of_their_own_registry(self):
        first, second, store = self.start(), self.start(), self.store()
        here, elsewhere = f"{first.host}/team/app:1", f"{second.host}/other/app:1"
        store.make(here, {"etc/app": b"one"})
        unknown = self.export(store, here, check=False)
        self.assertEqual(unknown.returncode, 1)
        self.assertIn('compose.yaml:2: the digest of the image of "web" is not known: push it (compose push)', unknown.stderr)
        digest = store.image("push", here).stdout.split("digest: ")[1].strip()
        self.assertIn(f"image: {first.host}/team/app@{digest} ", self.export(store, here).stdout)
        store.image("tag", here, elsewhere)  # not known to that registry
        self.assertEqual(self.export(store, elsewhere, check=False).returncode, 1)
        digest = store.image("push", elsewhere).stdout.split("digest: ")[1].strip()
        for image, name in ((here, f"{first.host}/team/app"), (elsewhere, f"{second.host}/other/app")):
            self.assertIn(f"image: {name}@{digest}", self.export(store, image).stdout)


# In the order in which a cluster would let them pass their waits.
WORDPRESS = ("db", "mail", "wp-init", "php", "cron", "nginx")


def without_waiting(document):
    """The document without its init containers that wait for Services and Jobs of a cluster."""
    kept, inside = [], None
    for line in document.split("\n"):
        indent = len(line) - len(line.lstrip())
        if inside is not None and indent > inside:
            continue
        inside = indent if line.strip() == "initContainers:" else None
        if inside is None:
            kept.append(line)
    return "\n".join(kept)


MEMORY = re.compile(r"(?P<indent> +)- emptyDir:[^\n]*\n(?P=indent)    medium: Memory[^\n]*\n"
                    r"((?P=indent)    sizeLimit: [^\n]*\n)?(?P=indent)  name: (?P<name>\S+)[^\n]*\n")
CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {name}
  annotations:
    volume.podman.io/device: tmpfs
    volume.podman.io/type: tmpfs
    volume.podman.io/mount-options: mode=0777
spec:
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: 1Mi}}}}
"""


def memory_as_a_kubelet_makes_it(document, workload):
    """The document, and claims that stand in for its volumes of memory: podman's belong to root alone, where a kubelet
    lets everybody write (0777)."""
    claims = []

    def claim(found):
        claims.append(f"{workload}-{found['name']}")
        return (f"{found['indent']}- name: {found['name']}\n{found['indent']}  persistentVolumeClaim:\n"
                f"{found['indent']}    claimName: {claims[-1]}\n")
    document = MEMORY.sub(claim, document + "\n")
    return document, claims


@e2e.needs_root
@e2e.needs_our_own
@unittest.skipUnless(os.environ.get("LONG") == "1", "takes minutes and real podman: set LONG=1")
class Podman(unittest.TestCase):
    """podman kube play runs the exported pods. It has no Services, so each pod gets the name of its Service as an alias
    on one network instead, and the pods are started in the order in which a cluster would let them pass their waits."""

    NETWORK = f"kubernetes-e2e-{os.getpid()}"  # of this run alone: one that was killed leaves its own behind

    @classmethod
    def setUpClass(cls):
        if reason := peers.why_not("podman", "version"):
            raise unittest.SkipTest(reason)

    def setUp(self):
        self.workspace = e2e.workspace()
        self.shared = peers.Shared("kubernetes-e2e")
        self.addCleanup(self.shared.remove)
        os.mkdir(os.path.join(self.shared.here, "pause"))
        self.write("containers.conf", '[engine]\ninfra_image = "localhost/kubernetes-e2e-pause"\nruntime = "runc"\n'
                                      'cgroup_manager = "cgroupfs"\n')
        self.bring("busybox")
        self.write("pause/Dockerfile", 'FROM docker.io/library/busybox\nENTRYPOINT ["/bin/busybox","sleep","100000"]\n')
        self.podman("build", "--pull=never", "-q", "-t", "localhost/kubernetes-e2e-pause", "pause")
        self.podman("network", "create", self.NETWORK)
        self.addCleanup(self.podman, "network", "rm", "-f", self.NETWORK)
        self.let_through()

    def bring(self, *images):
        """Images of our store to podman's."""
        archive = os.path.join(self.shared.here, "images.tar")
        self.workspace.run("image", "save", "-o", archive, *images, timeout=600)
        self.podman("load", "-q", "-i", "images.tar")
        os.unlink(archive)

    def write(self, name, text):
        with open(os.path.join(self.shared.here, name), "w", encoding="utf-8") as file:
            file.write(text)

    def podman(self, *arguments, check=True, code=False):
        done = self.shared.run("env", f"CONTAINERS_CONF={self.shared.there}/containers.conf", "podman", *arguments,
                               check=check, timeout=300)
        return done.returncode if code else done.stdout

    def let_through(self):
        """Docker's firewall drops what crosses a bridge that is not its own, when the kernel shows it such packets."""
        subnet = json.loads(self.podman("network", "inspect", self.NETWORK))[0]["subnets"][0]["subnet"]
        rule = ("DOCKER-USER", "-s", subnet, "-d", subnet, "-j", "ACCEPT")
        if self.shared.run("iptables", "-w", "-I", *rule, check=False).returncode == 0:
            self.addCleanup(self.shared.run, "iptables", "-w", "-D", *rule, check=False)

    def play(self, project, export, order, aliases=None):
        """Exports and starts the workloads in this order, each under its own name and its `aliases`."""
        stream = project.run("export", "kubernetes", "-o", "-", *export).stdout
        documents = stream.split("\n---\n")

        def of_kind(*kinds):
            return [one for one in documents if any(f"kind: {kind}" in line for kind in kinds for line in one.split("\n")
                                                    if line.startswith("kind: "))]
        shared = of_kind("ConfigMap", "Secret", "PersistentVolumeClaim")
        # podman keeps what it makes of ConfigMaps and Secrets as volumes.
        volumes = [line[8:].split()[0] for one in shared for line in one.split("\n") if line.startswith("  name: ")]
        self.addCleanup(self.podman, "volume", "rm", "-f", *volumes, check=False)
        for name in order:
            workload = [one for one in of_kind("Deployment", "StatefulSet", "Job") if f"\n  name: {name} " in one or f"\n  name: {name}\n" in one]
            self.assertEqual(len(workload), 1, name)
            document, claims = memory_as_a_kubelet_makes_it(without_waiting(workload[0]), name)
            self.addCleanup(self.podman, "volume", "rm", "-f", *claims, check=False)
            file = f"{name}.yaml"
            self.write(file, "\n---\n".join([*shared, *(CLAIM.format(name=claim) for claim in claims), document]))
            self.addCleanup(self.podman, "kube", "down", "--force", file, check=False)
            names = ",".join(f"alias={one}" for one in [name, *(aliases or {}).get(name, [])])
            self.podman("kube", "play", "--replace", "--network", f"{self.NETWORK}:{names}", file)
            yield name

    def address(self, service):
        members = json.loads(self.podman("ps", "-a", "--format", "json", "--filter", f"name={service}-pod"))
        pod = json.loads(self.podman("pod", "inspect", members[0]["Pod"]))
        pod = pod[0] if isinstance(pod, list) else pod
        infra = json.loads(self.podman("inspect", pod["InfraContainerID"]))[0]
        return infra["NetworkSettings"]["Networks"][self.NETWORK]["IPAddress"]

    def get(self, url, seconds=60, **headers):
        answer = []

        def answered():
            try:
                with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=15) as reply:
                    answer[:] = [reply.read().decode()]
            except OSError as error:
                answer[:] = [str(error)]
                return False
            return True
        try:
            compose.wait_until(answered, seconds, url, every=0.5)
        except AssertionError:
            self.fail(f"{url}: {answer}")
        return answer[0]

    def test_three_services_answer(self):
        text = """\
services:
  kweb:
    image: busybox
    pull_policy: never
    restart: always
    entrypoint: [/bin/busybox, httpd, -f, -p, "80", -h, /www]
    configs: [{source: page, target: /www/cgi-bin/page, mode: 0755}]
    ports: ["8080:80"]
    depends_on: [kapi]
  kapi:
    image: busybox
    pull_policy: never
    restart: always
    entrypoint: [/bin/busybox, httpd, -f, -p, "5000", -h, /www]
    environment: {GREETING: from the environment}
    configs: [{source: api, target: /www/cgi-bin/api, mode: 0755}]
    expose: ["5000"]
    depends_on: [kstore]
  kstore:
    image: busybox
    pull_policy: never
    restart: always
    entrypoint: [/bin/busybox, sh, -c, "echo from the volume > /data/note; exec busybox httpd -f -p 9000 -h /data"]
    volumes: ["knotes:/data"]
    expose: ["9000"]
configs:
  page:
    content: |
      #!/bin/busybox sh
      printf 'Content-Type: text/plain\\r\\n\\r\\n'
      /bin/busybox wget -q -O - http://kapi:5000/cgi-bin/api
  api:
    content: |
      #!/bin/busybox sh
      printf 'Content-Type: text/plain\\r\\n\\r\\n'
      echo "$$GREETING"
      /bin/busybox wget -q -O - http://kstore:9000/note
volumes:
  knotes:
"""
        project = compose.Project.of_text(self.workspace, "kthree", text)
        for _ in self.play(project, (), ("kstore", "kapi", "kweb")):
            pass
        answer = self.get(f"http://{self.address('kweb')}/cgi-bin/page")
        self.assertEqual(answer, "from the environment\nfrom the volume\n")

    def test_wordpress_answers(self):
        """The production environment of the example: no root, no capability, read-only roots."""
        e2e.import_base_image()
        stack = Stack(self.workspace, "prod")
        stack.run("build", timeout=1800)
        images = sorted(set(stack.run("config", "--images").stdout.split()))
        self.bring(*images)
        self.addCleanup(self.podman, "rmi", "-f", *images, check=False)
        never = os.path.join(stack.directory, "never.yaml")
        with open(never, "w", encoding="utf-8") as file:
            file.write("services:\n" + "".join(f"  {name}: {{pull_policy: never}}\n" for name in WORDPRESS))
        stack.options += ["-f", never]
        options = ("--embed-secrets", "--shared-volumes", "rwx")
        for name in self.play(stack, options, WORDPRESS, aliases={"mail": ["smtp"]}):
            # What a cluster does with readiness probes and with Jobs is done here by hand, too.
            container = f"{name}-pod-{name}"
            if name == "wp-init":
                self.assertEqual(self.podman("wait", container).strip(), "0", self.podman("logs", container))
            elif name != "cron":
                compose.wait_until(lambda: self.podman("exec", container, "healthcheck", check=False, code=True) == 0, 180,
                                   f"a healthy {name}", every=1)
        host = f"localhost:{stack.port}"
        page = self.get(f"http://{self.address('nginx')}/", Host=host)
        self.assertIn("Hello world!", page)
        self.assertIn(f"http://{host}/", page)
        login = self.get(f"http://{self.address('nginx')}/wp-login.php", Host=host)
        self.assertIn('name="log"', login)
