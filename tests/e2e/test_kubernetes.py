"""compose export kubernetes, import kubernetes and kubernetes apply/diff/status/logs/delete, as users call them. The
cluster is a stand-in for kubectl that writes down how it was called; kustomize is real where a kubectl is."""
import json
import os
import shutil
import stat
import subprocess
import tempfile
import unittest
import urllib.request

import compose
import e2e

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
        self.assertFalse(os.path.exists(self.path("out/overlays/prod/kustomization.yaml")))
        self.assertEqual(self.read("out/base/mine.yaml"), "mine\n")

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

    def test_report_and_strict(self):
        self.write("compose.yaml", FILE + "    ulimits: {nofile: 1024}\n")
        report = json.loads(self.compose("export", "kubernetes", "-o", "-", "--report", "--format", "json").stdout)
        lost = [finding for finding in report["findings"] if finding["fate"] == "dropped"]
        self.assertEqual([(one["path"], one["line"]) for one in lost], [("services.init.ulimits", 12)])
        failed = self.compose("export", "kubernetes", "-o", "out", "--strict", code=1)
        self.assertIn("compose.yaml:12: dropped services.init.ulimits", failed.stdout)
        self.assertFalse(os.path.exists(self.path("out")))

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

    def test_without_kubectl_the_error_says_what_to_do(self):
        failed = self.compose("kubernetes", "apply", code=1, PATH=self.path("state"))
        self.assertIn("kubectl is not on the path: install it (Debian: kubernetes-client)", failed.stderr)


PEER = os.path.join(compose.TOP, "..", "shared", "peers", "peer")
PEER_WORK = os.path.expanduser("~/.cache/compose-peers/work")


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


@e2e.needs_root
@e2e.needs_our_own
@unittest.skipUnless(os.environ.get("LONG") == "1", "takes minutes and real podman: set LONG=1")
@unittest.skipUnless(os.path.exists(PEER), "../shared/peers is not here")
class Podman(unittest.TestCase):
    """podman kube play runs the exported pods. It has no Services, so each pod gets the name of its Service as an alias
    on one network instead, and the pods are started in the order in which a cluster would let them pass their waits."""

    NETWORK = "kubernetes-e2e"

    def setUp(self):
        self.workspace = e2e.workspace()
        self.folder = os.path.join(PEER_WORK, "kubernetes-e2e")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(os.path.join(self.folder, "pause"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.write("containers.conf", '[engine]\ninfra_image = "localhost/kubernetes-e2e-pause"\nruntime = "runc"\n'
                                      'cgroup_manager = "cgroupfs"\n')
        self.workspace.run("image", "save", "-o", os.path.join(self.folder, "busybox.tar"), "busybox")
        self.podman("load", "-i", "/work/kubernetes-e2e/busybox.tar")
        self.write("pause/Dockerfile", 'FROM docker.io/library/busybox\nENTRYPOINT ["/bin/busybox","sleep","100000"]\n')
        self.podman("build", "--pull=never", "-q", "-t", "localhost/kubernetes-e2e-pause", "/work/kubernetes-e2e/pause")
        self.podman("network", "create", self.NETWORK)
        self.addCleanup(self.podman, "network", "rm", "-f", self.NETWORK)
        self.let_through()

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def podman(self, *arguments, check=True):
        command = [PEER, "env", "CONTAINERS_CONF=/work/kubernetes-e2e/containers.conf", "PODMAN_IGNORE_CGROUPSV1_WARNING=1",
                   "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "podman", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if check:
            self.assertEqual(done.returncode, 0, " ".join(arguments) + "\n" + done.stdout + done.stderr)
        return done.stdout

    def let_through(self):
        """Docker's firewall drops what crosses a bridge that is not its own, when the kernel shows it such packets."""
        subnet = json.loads(self.podman("network", "inspect", self.NETWORK))[0]["subnets"][0]["subnet"]
        added = subprocess.run(["nft", "--echo", "--handle", "insert", "rule", "ip", "filter", "DOCKER-USER", "ip", "saddr",
                                subnet, "ip", "daddr", subnet, "accept"], capture_output=True, text=True, check=False)
        if added.returncode == 0:
            handle = added.stdout.rsplit("handle ", 1)[1].split()[0]
            self.addCleanup(subprocess.run, ["nft", "delete", "rule", "ip", "filter", "DOCKER-USER", "handle", handle], check=False)

    def play(self, project, export, order, more=()):
        """Exports and starts the workloads in this order; `more` are documents podman gets beside each."""
        stream = project.run("export", "kubernetes", "-o", "-", *export).stdout
        documents = stream.split("\n---\n")

        def of_kind(*kinds):
            return [one for one in documents if any(f"kind: {kind}" in line for kind in kinds for line in one.split("\n")
                                                    if line.startswith("kind: "))]
        shared = of_kind("ConfigMap", "Secret", "PersistentVolumeClaim") + list(more)
        # podman keeps what it makes of ConfigMaps and Secrets as volumes.
        volumes = [line[8:].split()[0] for one in shared for line in one.split("\n") if line.startswith("  name: ")]
        self.addCleanup(self.podman, "volume", "rm", "-f", *volumes, check=False)
        for name in order:
            workload = [one for one in of_kind("Deployment", "StatefulSet", "Job") if f"\n  name: {name} " in one or f"\n  name: {name}\n" in one]
            self.assertEqual(len(workload), 1, name)
            file = f"{name}.yaml"
            self.write(file, "\n---\n".join(shared + [without_waiting(workload[0])]))
            self.addCleanup(self.podman, "kube", "down", "--force", f"/work/kubernetes-e2e/{file}", check=False)
            self.podman("kube", "play", "--replace", "--network", f"{self.NETWORK}:alias={name}", f"/work/kubernetes-e2e/{file}")
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
