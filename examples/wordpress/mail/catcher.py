#!/usr/bin/python3
"""Accepts every mail by SMTP and shows it over HTTP instead of delivering it.

SMTP on port 1025. HTTP on port 8025: / is a page for people, /messages all mails as JSON, /messages/N one of them as
it was sent, DELETE /messages forgets them. The newest LIMIT mails are kept in memory.
"""
import asyncio
import collections
import datetime
import email
import email.policy
import html
import json
import signal

LIMIT = 500
MAX_SIZE = 10 * 1024 * 1024


class Mailbox:
    def __init__(self):
        self.messages = collections.OrderedDict()
        self.count = 0

    def add(self, sender, recipients, raw):
        self.count += 1
        parsed = email.message_from_bytes(raw, policy=email.policy.default)
        body = parsed.get_body(preferencelist=("plain", "html"))
        try:
            text = body.get_content() if body is not None else ""
        except (LookupError, UnicodeError):
            text = body.get_payload()
        self.messages[self.count] = {
            "id": self.count,
            "time": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "from": sender,
            "to": ", ".join(recipients),
            "subject": str(parsed.get("Subject", "")),
            "text": text,
            "raw": raw.decode("utf-8", "replace"),
        }
        while len(self.messages) > LIMIT:
            self.messages.popitem(last=False)
        print(f"mail {self.count} from {sender} to {', '.join(recipients)}: {parsed.get('Subject', '')}")


def address(argument):
    """The address in "FROM:<a@b> SIZE=1"."""
    start, end = argument.find("<"), argument.find(">")
    return argument[start + 1:end] if 0 <= start < end else argument.partition(":")[2].split(" ")[0].strip()


async def read_data(reader):
    lines, size = [], 0
    while True:
        line = await reader.readline()
        if not line:
            raise ConnectionError("connection closed within DATA")
        if line.rstrip(b"\r\n") == b".":
            return None if size > MAX_SIZE else b"".join(lines)
        if line.startswith(b"."):
            line = line[1:]
        size += len(line)
        if size <= MAX_SIZE:
            lines.append(line)


async def serve_smtp(mailbox, reader, writer):
    def say(text):
        writer.write(text.encode() + b"\r\n")

    sender, recipients = None, []
    say("220 mail catcher ESMTP")
    try:
        while True:
            await writer.drain()
            line = await asyncio.wait_for(reader.readline(), 300)
            if not line:
                break
            verb, _, argument = line.decode("utf-8", "replace").strip().partition(" ")
            verb = verb.upper()
            if verb == "HELO":
                say("250 mail")
            elif verb == "EHLO":
                say("250-mail")
                say(f"250-SIZE {MAX_SIZE}")
                say("250-SMTPUTF8")
                say("250 8BITMIME")
            elif verb == "MAIL":
                sender, recipients = address(argument), []
                say("250 OK")
            elif verb == "RCPT":
                recipients.append(address(argument))
                say("250 OK")
            elif verb == "DATA":
                if sender is None or not recipients:
                    say("503 MAIL and RCPT first")
                    continue
                say("354 end with a line with a dot")
                await writer.drain()
                raw = await read_data(reader)
                if raw is None:
                    say("552 too large")
                else:
                    mailbox.add(sender, recipients, raw)
                    say("250 caught")
                sender, recipients = None, []
            elif verb == "RSET":
                sender, recipients = None, []
                say("250 OK")
            elif verb == "NOOP":
                say("250 OK")
            elif verb == "QUIT":
                say("221 bye")
                await writer.drain()
                break
            else:
                say("502 not known here")
    except (ConnectionError, asyncio.TimeoutError, ValueError):
        pass
    finally:
        writer.close()


def page(mailbox):
    rows = "".join(
        "<tr><td>{id}</td><td>{time}</td><td>{to}</td><td><a href='messages/{id}'>{subject}</a></td></tr>".format(
            **{key: html.escape(str(value)) for key, value in message.items()})
        for message in reversed(mailbox.messages.values()))
    return ("<!doctype html><meta charset=utf-8><title>Caught mails</title><h1>Caught mails</h1>"
            f"<table cellpadding=6><tr><th>#<th>time<th>to<th>subject</tr>{rows}</table>")


def answer(mailbox, method, path):
    """Status, content type and body for one request."""
    if path == "/messages" and method == "DELETE":
        mailbox.messages.clear()
        return "204 No Content", "text/plain", ""
    if method not in ("GET", "HEAD"):
        return "405 Method Not Allowed", "text/plain", "GET only\n"
    if path == "/":
        return "200 OK", "text/html; charset=utf-8", page(mailbox)
    if path == "/messages":
        return "200 OK", "application/json", json.dumps(list(mailbox.messages.values()))
    number = path.removeprefix("/messages/")
    if number.isdigit() and int(number) in mailbox.messages:
        return "200 OK", "text/plain; charset=utf-8", mailbox.messages[int(number)]["raw"]
    return "404 Not Found", "text/plain", "no such mail\n"


async def serve_http(mailbox, reader, writer):
    try:
        request = (await asyncio.wait_for(reader.readline(), 10)).decode("latin-1").split()
        while (await asyncio.wait_for(reader.readline(), 10)).strip():
            pass
        if len(request) >= 2:
            status, kind, body = answer(mailbox, request[0], request[1].partition("?")[0])
            data = body.encode()
            head = (f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
                    "Cache-Control: no-store\r\nConnection: close\r\n\r\n")
            writer.write(head.encode() + (b"" if request[0] == "HEAD" else data))
            await writer.drain()
    except (ConnectionError, asyncio.TimeoutError, ValueError):
        pass
    finally:
        writer.close()


async def main():
    mailbox = Mailbox()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    smtp = await asyncio.start_server(lambda r, w: serve_smtp(mailbox, r, w), "0.0.0.0", 1025, limit=MAX_SIZE)
    http = await asyncio.start_server(lambda r, w: serve_http(mailbox, r, w), "0.0.0.0", 8025)
    print("mail catcher: SMTP on 1025, HTTP on 8025")
    async with smtp, http:
        await stop.wait()


asyncio.run(main())
