#!/usr/bin/env python3
"""Log lines followed: Loki's tail by a WebSocket client of raw sockets, and vigla logs -f; slow and rude clients."""
import base64
import contextlib
import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse

import suite
from mesh import VIGLA, Process, Server, until

SELECTOR = '{kind="log"}'


class WebSocket:
    """A client that knows RFC 6455 and no more."""

    def __init__(self, server, path, buffer=None, **headers):
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", server.port))
        key = base64.b64encode(os.urandom(16)).decode()
        lines = {"Host": f"127.0.0.1:{server.port}", "Upgrade": "websocket", "Connection": "keep-alive, Upgrade",
                 "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key, **{k.replace("_", "-"): v for k, v in headers.items()}}
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n".encode() + "".join(f"{k}: {v}\r\n" for k, v in lines.items()).encode() + b"\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            byte = self.socket.recv(1)
            assert byte, head
            head += byte
        self.status = int(head.split()[1])
        if self.status == 101:
            want = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
            assert b"Sec-WebSocket-Accept: " + want in head, head

    def bytes(self, n):
        got = b""
        while len(got) < n:
            more = self.socket.recv(n - len(got))
            if not more:
                raise EOFError
            got += more
        return got

    def frame(self):
        first, length = self.bytes(2)
        assert not length & 0x80, "a server must not mask"
        if length == 126:
            length, = struct.unpack(">H", self.bytes(2))
        elif length == 127:
            length, = struct.unpack(">Q", self.bytes(8))
        return first & 15, self.bytes(length)

    def send(self, op, payload=b"", masked=True):
        mask = os.urandom(4)
        head = bytes([0x80 | op, (0x80 if masked else 0) | len(payload)])
        self.socket.sendall(head + (mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if masked else payload))

    def lines(self):
        op, payload = self.frame()
        assert op == 1, (op, payload)
        return [value[1] for stream in json.loads(payload)["streams"] for value in stream["values"]]

    def ends(self):
        """The close frame's code; the connection ends behind it."""
        op, payload = self.frame()
        while op == 1:
            op, payload = self.frame()
        assert op == 8, (op, payload)
        with contextlib.suppress(EOFError, ConnectionResetError):
            self.frame()
            raise AssertionError("a frame behind the close frame")
        return struct.unpack(">H", payload[:2])[0]


@contextlib.contextmanager
def server():
    folder = tempfile.mkdtemp(prefix="vigla-logs-")
    try:
        s = Server(folder)
        yield s
        s.process.stop()
    finally:
        with contextlib.suppress(AssertionError):
            s.process.stop()
        shutil.rmtree(folder, ignore_errors=True)


def push(s, *lines, age=0, **attributes):
    now = time.time_ns() - int(age * 1e9)
    records = [{"timeUnixNano": str(now + i), "body": {"stringValue": line},
                "attributes": [{"key": k, "value": {"stringValue": v}} for k, v in attributes.items()]} for i, line in enumerate(lines)]
    body = {"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "svc"}}]},
                              "scopeLogs": [{"logRecords": records}]}]}
    status, _, answer = s.call("POST", "/v1/logs", json.dumps(body), {"Content-Type": "application/json"})
    assert status == 200, answer


def tail_path(query=SELECTOR, **parameters):
    return "/loki/api/v1/tail?" + urllib.parse.urlencode({"query": query, **parameters})


def test_tail_tells_the_past_and_each_new_line_once():
    with server() as s:
        push(s, "one", "two", "three")
        w = WebSocket(s, tail_path(limit=2))
        assert w.lines() == ["two", "three"]          # the newest, from their oldest on
        push(s, "four")
        assert w.lines() == ["four"]
        push(s, "late", age=1800)                      # older than all before: it is new all the same
        assert w.lines() == ["late"]
        got = []
        for i in range(50):
            push(s, f"n{i}")
        while len(got) < 50:
            got += w.lines()
        assert got == [f"n{i}" for i in range(50)], got
        w.send(9, b"are you there")
        assert w.frame() == (10, b"are you there")
        w.send(8, struct.pack(">H", 1000))
        assert w.ends() == 1000


def test_tail_filters_and_categorises():
    with server() as s:
        w = WebSocket(s, tail_path('{kind="log"} |= "x" | logfmt', limit=0), X_Loki_Response_Encoding_Flags="categorize-labels")
        push(s, "no", "x=1 y=2", user="u")
        _, payload = w.frame()
        body = json.loads(payload)
        assert body["encodingFlags"] == ["categorize-labels"], body
        assert body["streams"][0]["values"][0][1:] == ["x=1 y=2", {"structuredMetadata": {"user": "u"}, "parsed": {"x": "1", "y": "2"}}], body


def test_tail_waits_as_asked():
    with server() as s:
        w = WebSocket(s, tail_path(limit=0, delay_for=1))
        push(s, "second")
        push(s, "first", age=0.5)
        assert w.lines() == ["first", "second"]


def test_tail_refuses():
    with server() as s:
        for path, headers, status in ((tail_path("{kind="), {}, 400), (tail_path("rate({kind=\"log\"}[1m])"), {}, 400),
                                      (tail_path(delay_for=6), {}, 400), (tail_path(limit="x"), {}, 400),
                                      (tail_path(), {"Sec_WebSocket_Version": "12"}, 426), (tail_path(), {"Upgrade": "h2c"}, 400),
                                      (tail_path(), {"Sec_WebSocket_Key": "short"}, 400)):
            assert WebSocket(s, path, **headers).status == status, path
        many = [WebSocket(s, tail_path(limit=0)) for _ in range(10)]
        assert all(w.status == 101 for w in many)
        assert WebSocket(s, tail_path()).status == 429
        many.pop().socket.close()
        until(lambda: WebSocket(s, tail_path(limit=0)).status == 101, 5, "the place of who has gone is free")


def test_tail_cuts_off_who_breaks_the_protocol():
    with server() as s:
        for send, code in ((lambda w: w.send(1, b"x", masked=False), 1002), (lambda w: w.socket.sendall(b"\xf1\x80abcd"), 1002),
                           (lambda w: w.socket.sendall(b"\x81\xff" + b"\x00\x00\x00\x01\x00\x00\x00\x00abcd"), 1009)):
            w = WebSocket(s, tail_path(limit=0))
            send(w)
            assert w.ends() == code
        w = WebSocket(s, tail_path(limit=0))
        w.socket.close()                               # without a word
        push(s, "nobody hears it")
        assert s.call("GET", "/-/ready")[0] == 200


def test_tail_drops_for_a_slow_client_and_says_so():
    with server() as s:
        w = WebSocket(s, tail_path(limit=0), buffer=4096)
        line = "x" * 60000
        for i in range(200):
            push(s, f"{i} {line}")
            time.sleep(0.01)
        time.sleep(1)
        push(s, "last")
        got = dropped = 0
        while got + dropped < 201:                     # each line has come, or is told to have been dropped
            op, payload = w.frame()
            assert op == 1, op
            body = json.loads(payload)
            got += sum(len(stream["values"]) for stream in body["streams"])
            dropped += len(body.get("dropped_entries", []))
        assert got + dropped == 201 and dropped > 0, (got, dropped)


def test_server_says_goodbye():
    with server() as s:
        w = WebSocket(s, tail_path(limit=0))
        assert s.process.stop() == 0
        assert w.ends() == 1001


def test_logs_follows_through_a_restart():
    with server() as s:
        push(s, "one", "two")
        follow = Process([VIGLA, "logs", SELECTOR, "-f", "-o", "raw", "--server", s.url], os.path.join(s.folder, "follow.log"))
        follow.wait_line("^two$", 5)
        push(s, "three")
        follow.wait_line("^three$", 5)
        s.kill_and_restart(0.5)
        push(s, "four")
        follow.wait_line("^four$", 15)
        push(s, "five")
        follow.wait_line("^five$", 5)
        lines = [line for line in follow.text().splitlines() if not line.startswith("vigla: ")]
        assert lines == ["one", "two", "three", "four", "five"], lines
        assert "trying again" in follow.text()
        follow.stop()


def run(*words):
    return subprocess.run([VIGLA, "logs", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)


def test_logs_prints_in_each_form():
    with server() as s:
        at = ("--server", s.url)
        push(s, "level=info n=1", "level=error n=2", user="u")
        table = run(SELECTOR, *at).stdout.splitlines()
        assert len(table) == 2 and table[0].endswith('Z {kind="log", service="svc"} level=info n=1'), table
        assert "\x1b" not in "".join(table)            # colours are for terminals
        assert run(SELECTOR, "--no-labels", *at).stdout.splitlines()[1].endswith("Z level=error n=2")
        assert run(SELECTOR, "-o", "raw", "--limit", "1", *at).stdout == "level=error n=2\n"
        assert run(SELECTOR, "-o", "raw", "--limit", "1", "--forward", *at).stdout == "level=info n=1\n"
        row = json.loads(run(SELECTOR + " | logfmt | n > 1", "-o", "jsonl", *at).stdout)
        assert row["line"] == "level=error n=2" and row["metadata"] == {"user": "u"} and row["parsed"]["n"] == "2", row
        assert json.loads(run(SELECTOR, "-o", "json", *at).stdout)["data"]["resultType"] == "streams"
        assert run("sum(count_over_time({kind=\"log\"}[5m]))", *at).stdout.split()[-1] == "2"
        assert run('{kind="span"}', *at).returncode == 0
        for words, code in ((("{kind=",), 1), (("{kind=", "-f"), 1), ((SELECTOR, "-o", "xml"), 2), ((SELECTOR, "-f", "--forward"), 2), ((), 2)):
            done = run(*words, *at)
            assert done.returncode == code and done.stderr.startswith("vigla: "), (words, done)
        done = run(SELECTOR, "-f", "--server", "http://127.0.0.1:1")
        assert done.returncode == 1 and "vigla serve" in done.stderr, done


if __name__ == "__main__":
    sys.exit(suite.run(globals()))
