"""The WordPress example, in a copy of its own."""
import json
import os
import secrets
import shutil
import socket

from compose import TOP, Project, wait_until
from visitor import Site

ENVIRONMENTS = {"dev": "compose.override.yaml", "staging": "staging.yaml", "prod": "prod.yaml"}


def free_port():
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        return probe.getsockname()[1]


class Stack(Project):
    def __init__(self, workspace, environment):
        directory = os.path.join(workspace.directory, f"wordpress-{environment}")
        shutil.copytree(os.path.join(TOP, "examples/wordpress"), directory, ignore=shutil.ignore_patterns("secrets"))
        self.secrets = {name: secrets.token_urlsafe(18)
                        for name in ("db_password", "db_root_password", "wp_admin_password", "wp_salt")}
        os.mkdir(os.path.join(directory, "secrets"), 0o700)
        for name, value in self.secrets.items():
            path = os.path.join(directory, "secrets", name)
            with open(path, "w", encoding="ascii") as file:
                file.write(value + "\n")
            os.chmod(path, 0o644)
        self.port = free_port()
        url = f"http://localhost:{self.port}"
        super().__init__(workspace, f"e2e-{environment}", directory, ("compose.yaml", ENVIRONMENTS[environment]),
                         {"HTTP_PORT": str(self.port), "SITE_URL": url})
        self.mails_are_on_the_web = environment != "prod"
        self.site = Site(url)

    def up(self, *arguments, **options):
        # Images are built once for all copies; their names are the same in each.
        return super().up("--wait", *arguments, timeout=900, **options)

    def mails(self):
        if self.mails_are_on_the_web:
            return Site(self.site.url).get("/mail/messages").json()
        return json.loads(self.exec("mail", "mails", "--json").stdout)

    def mail_about(self, subject, seconds=20):
        """The newest mail whose subject contains the text, waited for."""
        def newest():
            return next((mail for mail in reversed(self.mails()) if subject in mail["subject"]), None)
        return wait_until(newest, seconds, f'a mail about "{subject}"')

    def status(self, service, name):
        """One line of /proc/1/status, seen from inside."""
        for line in self.exec(service, "cat", "/proc/1/status").stdout.splitlines():
            if line.startswith(name + ":"):
                return line.partition(":")[2].split()
        raise AssertionError(f"no {name} in /proc/1/status of {service}")
