"""Real registries for the tests: Debian's docker-registry on loopback, and what may stand around one (a token server, a
connection that breaks)."""
import base64
import hashlib
import http.client
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.parse

import compose

PROGRAM = "docker-registry"


def missing():
    """What is not installed, or "": a reason to skip."""
    for program in (PROGRAM, "openssl", "htpasswd"):
        if not shutil.which(program):
            return f"{program} is not installed"
    return ""


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_certificates(directory):
    """A CA of our own and a certificate of it for localhost: files ca.pem, server.pem, server.key."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost",
            "-keyout", "server.key", "-out", "server.csr")
    with open(os.path.join(directory, "names"), "w", encoding="ascii") as file:
        file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", "server.pem")


class Registry:
    """One docker-registry on a port of its choice."""

    def __init__(self, directory, tls=False, password="", token_server=None):
        os.makedirs(directory, exist_ok=True)
        self.directory, self.scheme = directory, "https" if tls else "http"
        config = ["version: 0.1", "storage:", "  filesystem:", f"    rootdirectory: {directory}/data", "http:",
                  "  addr: 127.0.0.1:0"]
        if tls:
            make_certificates(directory)
            config += ["  tls:", f"    certificate: {directory}/server.pem", f"    key: {directory}/server.key"]
        if password:
            with open(os.path.join(directory, "htpasswd"), "w", encoding="ascii") as file:
                file.write(subprocess.run(["htpasswd", "-nbB", *password.split(":")], check=True, capture_output=True,
                                          text=True).stdout)
            config += ["auth:", "  htpasswd:", "    realm: test", f"    path: {directory}/htpasswd"]
        if token_server:
            config += ["auth:", "  token:", f"    realm: {token_server.url}/token", "    service: test-service",
                       "    issuer: test-issuer", f"    rootcertbundle: {token_server.directory}/ca.pem"]
        with open(os.path.join(directory, "config.yml"), "w", encoding="ascii") as file:
            file.write("\n".join(config) + "\n")
        self.log = open(os.path.join(directory, "log"), "w+", encoding="utf-8")
        environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
        self.process = subprocess.Popen([PROGRAM, "serve", os.path.join(directory, "config.yml")],
                                        stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, env=environment)
        self.port = compose.wait_until(self._port, 20, "a registry that listens")
        self.host = f"localhost:{self.port}"

    def _port(self):
        if self.process.poll() is not None:
            raise AssertionError("the registry ended: " + self.said())
        found = re.search(r"listening on 127\.0\.0\.1:(\d+)", self.said())
        return int(found.group(1)) if found else 0

    def said(self):
        with open(self.log.name, encoding="utf-8") as file:
            return file.read()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    # What a test puts there by itself (only for registries without TLS and passwords)
    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer, data

    def put_blob(self, repository, data):
        answer, _ = self.request("POST", f"/v2/{repository}/blobs/uploads/")
        place = urllib.parse.urlparse(answer.headers["Location"])
        digest = digest_of(data)
        answer, said = self.request("PUT", f"{place.path}?{place.query}&digest={digest}", data,
                                    {"Content-Type": "application/octet-stream"})
        assert answer.status == 201, said
        return digest

    def put_manifest(self, repository, tag, document, media_type):
        data = json.dumps(document).encode()
        answer, said = self.request("PUT", f"/v2/{repository}/manifests/{tag}", data, {"Content-Type": media_type})
        assert answer.status == 201, said
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}

    def put_image(self, repository, tag, layers, architecture="amd64", kind="oci"):
        """`layers`: (tar, bytes as stored, media type's ending). Returns the manifest's descriptor."""
        config = json.dumps({"architecture": architecture, "os": "linux", "config": {"Cmd": ["/bin/true"]},
                             "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar, _, _ in layers]}}).encode()
        oci = kind == "oci"
        vendor = "application/vnd.oci.image" if oci else "application/vnd.docker"
        manifest = {"schemaVersion": 2, "mediaType": vendor + (".manifest.v1+json" if oci else ".distribution.manifest.v2+json"),
                    "config": {"mediaType": vendor + (".config.v1+json" if oci else ".container.image.v1+json"),
                               "digest": self.put_blob(repository, config), "size": len(config)}, "layers": []}
        for _, stored, ending in layers:
            kind_of_layer = vendor + (".layer.v1.tar" if oci else ".image.rootfs.diff.tar") + ending
            manifest["layers"].append({"mediaType": kind_of_layer, "digest": self.put_blob(repository, stored),
                                       "size": len(stored)})
        return self.put_manifest(repository, tag, manifest, manifest["mediaType"])


class _Server:
    def __init__(self, handler):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.owner = self
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.host = f"localhost:{self.port}"
        self.url = f"http://localhost:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, data=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


class TokenServer(_Server):
    """Gives tokens as the distribution project describes them: to everybody for pulling, to "user" for pushing too."""

    def __init__(self, directory):
        os.makedirs(directory, exist_ok=True)
        self.directory, self.asked = directory, []
        make_certificates(directory)
        owner = self

        class Handler(_Handler):
            def do_GET(self):
                owner.give(self)
        super().__init__(Handler)

    def sign(self, text):
        return subprocess.run(["openssl", "dgst", "-sha256", "-sign", os.path.join(self.directory, "token.key")],
                              input=text, capture_output=True, check=True).stdout

    def give(self, handler):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(handler.path).query)
        login = handler.headers.get("Authorization", "")
        self.asked.append((query, bool(login)))
        user = login == "Basic " + base64.b64encode(b"user:secret").decode()
        if login and not user:
            handler.answer(401, json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]}).encode())
            return
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":")
            allowed = [action for action in actions.split(",") if action == "pull" or user]
            access.append({"type": kind, "name": name, "actions": allowed})
        handler.answer(200, json.dumps({"token": self.token(access), "expires_in": 300}).encode(),
                       [("Content-Type", "application/json")])

    def token(self, access):
        key = os.path.join(self.directory, "token.key")
        if not os.path.exists(key):
            def openssl(*arguments):
                subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)
            openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=token", "-keyout", "token.key", "-out", "token.csr")
            openssl("x509", "-req", "-in", "token.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days",
                    "2", "-out", "token.pem")
        with open(os.path.join(self.directory, "token.pem"), encoding="ascii") as file:
            certificate = "".join(file.read().split("-----")[2].split())

        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")
        now = int(time.time())
        head = part(json.dumps({"typ": "JWT", "alg": "RS256", "x5c": [certificate]}).encode())
        body = part(json.dumps({"iss": "test-issuer", "sub": "user", "aud": "test-service", "exp": now + 300,
                                "nbf": now - 60, "iat": now, "jti": str(now), "access": access}).encode())
        text = head + b"." + body
        return (text + b"." + part(self.sign(text))).decode()


class Between(_Server):
    """Stands between us and a registry, and does what networks do: `fault(method, path, offset)` says None, ("cut", n):
    the connection ends after n bytes of the body, ("flip", n): byte n is another one, or ("status", code)."""

    def __init__(self, registry, fault=lambda method, path, offset: None):
        self.registry, self.fault, self.requests = registry, fault, []
        owner = self

        class Handler(_Handler):
            def do_GET(self):
                owner.forward(self)
            do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = do_GET
        super().__init__(Handler)

    def blobs(self):
        """Digests of the blobs that were asked for."""
        return [path.rsplit("/", 1)[1] for method, path, _ in self.requests if method == "GET" and "/blobs/sha256:" in path]

    def forward(self, handler):
        wanted = handler.headers.get("Range", "")
        offset = int(wanted[6:].split("-")[0]) if wanted.startswith("bytes=") else 0
        self.requests.append((handler.command, handler.path, wanted))
        fault = self.fault(handler.command, handler.path, offset)
        if fault and fault[0] == "status":
            handler.answer(fault[1])
            return
        size = int(handler.headers.get("Content-Length", "0"))
        if fault and fault[0] == "cut-upload":
            handler.rfile.read(min(size, fault[1]))
            handler.close_connection = True
            return
        body = handler.rfile.read(size) if size else None
        headers = {name: value for name, value in handler.headers.items() if name.lower() != "connection"}
        answer, data = self.registry.request(handler.command, handler.path, body, headers)
        kept = [(name, value) for name, value in answer.getheaders()
                if name.lower() not in ("content-length", "transfer-encoding", "connection")]
        if fault and fault[0] == "flip":
            data = data[:fault[1]] + bytes([data[fault[1]] ^ 1]) + data[fault[1] + 1:]
        handler.send_response(answer.status)
        for name, value in kept:
            handler.send_header(name, value)
        handler.send_header("Content-Length", answer.headers.get("Content-Length", str(len(data))))
        handler.end_headers()
        if handler.command == "HEAD":
            return
        if fault and fault[0] == "cut":
            handler.wfile.write(data[:fault[1]])
            handler.close_connection = True
            return
        handler.wfile.write(data)
