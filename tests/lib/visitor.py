"""A visitor and an editor of a WordPress site, over HTTP alone."""
import datetime
import http.cookiejar
import json
import re
import struct
import urllib.error
import urllib.parse
import urllib.request
import zlib


class Answer:
    def __init__(self, status, headers, body, url):
        self.status, self.headers, self.body, self.url = status, headers, body, url

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.text)


class Site:
    def __init__(self, url, timeout=30):
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.forget()

    def forget(self):
        """Becomes a stranger again."""
        self.cookies = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                                  urllib.request.HTTPCookieProcessor(self.cookies))

    def request(self, method, path, data=None, headers=None):
        url = path if "://" in path else self.url + path
        request = urllib.request.Request(url, data=data, headers=headers or {}, method=method)
        try:
            with self.opener.open(request, timeout=self.timeout) as reply:
                return Answer(reply.status, reply.headers, reply.read(), reply.url)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read(), error.url)

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, fields):
        return self.request("POST", path, urllib.parse.urlencode(fields).encode())

    def is_serving(self):
        try:
            return self.get("/").status == 200
        except OSError:
            return False

    def login(self, user, password):
        self.get("/wp-login.php")
        answer = self.post("/wp-login.php", {"log": user, "pwd": password, "testcookie": "1",
                                             "redirect_to": self.url + "/wp-admin/"})
        return answer.status == 200 and "/wp-admin/" in answer.url

    def api(self, method, path, data=None, headers=None):
        """The REST interface, as the logged-in user."""
        nonce = self.get("/wp-admin/admin-ajax.php?action=rest-nonce").text.strip()
        answer = self.request(method, "/wp-json/wp/v2" + path, data, {"X-WP-Nonce": nonce, **(headers or {})})
        if answer.status not in (200, 201):
            raise AssertionError(f"{method} {path}: status {answer.status}: {answer.text[:500]}")
        return answer.json()

    def new_post(self, title, text, picture=None, at=None):
        """Publishes a post, or schedules it for a time (UTC)."""
        fields = {"title": title, "content": text, "status": "publish"}
        if picture:
            fields["featured_media"] = picture
        if at:
            fields.update(status="future", date_gmt=at.strftime("%Y-%m-%dT%H:%M:%S"))
        return self.api("POST", "/posts", json.dumps(fields).encode(), {"Content-Type": "application/json"})

    def upload(self, name, data):
        return self.api("POST", "/media", data, {"Content-Type": "image/png",
                                                 "Content-Disposition": f'attachment; filename="{name}"'})

    def posts(self):
        return {post["title"]["rendered"]: post for post in self.get("/wp-json/wp/v2/posts?per_page=50").json()}

    def ask_for_password_reset(self, user):
        return self.post("/wp-login.php?action=lostpassword", {"user_login": user, "redirect_to": ""})

    def reset_password(self, link, password):
        """Follows the link of the mail and fills in the form."""
        form = self.get(link).text
        key = re.search(r'name="rp_key" value="([^"]*)"', form)
        if not key:
            raise AssertionError(f"no form for a new password at {link}")
        return self.post("/wp-login.php?action=resetpass", {"rp_key": key.group(1), "pass1": password,
                                                            "pass2": password, "pw_weak": "on"})


def reset_link(mail):
    """The link in a mail about a lost password."""
    return re.search(r"(https?://\S*action=rp\S*)", mail["text"]).group(1).rstrip(">")


def picture(width, height):
    """A PNG of a colour gradient, large enough to be scaled down by WordPress."""
    rows = b"".join(b"\0" + bytes(value for x in range(width) for value in (x % 256, y % 256, 128))
                    for y in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def in_seconds(seconds):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
