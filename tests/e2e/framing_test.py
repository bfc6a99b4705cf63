#!/usr/bin/env python3
"""HTTP/1's framing through vigla-proxy: the cases of tests/http1, in both directions.

    framing_test.py [NAME...]      only the cases whose name contains one of these

requests.json: `send` goes to the proxy; `answers` are the statuses that come back, and an origin that reads without
mercy must have seen what `origin` ("METHOD TARGET" each) says: one request for each 200 unless it says otherwise.
Further: `body`, `trailers` (the names of all), `present` (field: value), `absent` (fields) of the first of them.
The connection is closed behind a refusal and kept behind a 200 unless `closed` says otherwise; kept means that one more
request is answered, and that it is the next that the origin sees.

responses.json: `origin` is what an origin says to `request` (a GET, unless it is given), and does `then` (it waits;
close, reset). The client sees `status`, and of the response `body`, `trailers`, `present`, `absent`, `interim` (the
statuses in front of it). `complete` false: it sees that something is missing,
or that all is. `kept`: whether the proxy uses the
connection to the origin again; `closed`: whether the client's ends.

Texts are bytes as Latin-1; a list is pieces in a row, [piece, n] being n of them, with {i} for their number.
The binary is $VIGLA_PROXY (build/vigla-proxy). Closing line: N passed, N failed, N skipped.
"""
import contextlib
import json
import os
import socket
import struct
import sys
import threading

from mesh import ROOT
from proxy_test import Proxy, expect, free_port, gateway, pod, service, virtual_service
from strict_http import Ambiguous, Reader

CASES = os.path.join(ROOT, "tests", "http1")
ORIGIN_IP = "127.7.31.1"
PROBE = b"GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n"
GET = "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"


def to_bytes(text):
    if isinstance(text, str):
        return text.encode("latin-1")
    return b"".join(p.encode("latin-1") if isinstance(p, str) else
                    b"".join(p[0].replace("{i}", str(i)).encode("latin-1") for i in range(p[1])) for p in text)


class Origin:
    """Reads requests strictly, notes them, and says what `say` does of each: bytes, and what then."""

    def __init__(self, say):
        self.say, self.seen, self.wrong, self.connections = say, [], [], 0
        self.port = free_port()
        self.listener = socket.create_server((ORIGIN_IP, self.port), backlog=128)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self.serve, args=(s, self.connections), daemon=True).start()

    def serve(self, s, number):
        reader = Reader()
        with s, contextlib.suppress(OSError):
            while (data := s.recv(65536)):
                try:
                    done = reader.feed(data)
                except Ambiguous as e:
                    self.wrong.append(str(e))
                    return
                early = [reader.message] if reader.message and reader.message.target.startswith("/early") else []
                for message in done or early:
                    self.seen.append(message)
                    said, then = self.say(message, number)
                    s.sendall(said)
                    if then == "reset":
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    if then:
                        return


class Client:
    """A connection to the proxy, and the strictly read responses on it."""

    def __init__(self, proxy, heads=()):
        self.s = proxy.connect()
        self.reader = Reader(heads)
        self.waiting = []

    def send(self, data):
        with contextlib.suppress(OSError):     # refused already, there is an answer to read
            self.s.sendall(data)

    def read(self):
        """The next response; None: the connection has ended; an incomplete one when it has ended in its midst."""
        while not self.waiting:
            try:
                data = self.s.recv(65536)
            except ConnectionResetError:
                return self.reader.message
            if not data:
                return self.reader.eof() or self.reader.message
            self.waiting += self.reader.feed(data)
        return self.waiting.pop(0)

    def close(self):
        self.s.close()


def check(message, case):
    """What a case says of a message's fields and body."""
    if "body" in case:
        expect(message.body, to_bytes(case["body"]), "body")
    if "trailers" in case:
        expect(sorted(message.trailers), case["trailers"], "trailers")
    for name, value in case.get("present", {}).items():
        expect(message.field(name), value, name)
    for name in case.get("absent", []):
        expect(message.field(name), None, name)


# --- requests -----------------------------------------------------------------------------------------------------

def answer_ok(message, number):
    body = b"" if message.method == "HEAD" else b"ok"
    return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body, None


def run_request(case, proxy, origin):
    origin.seen.clear()
    client = Client(proxy, [to_bytes(case["send"])[:5] == b"HEAD "])
    try:
        client.send(to_bytes(case["send"]))
        got = []
        while len(got) < len(case["answers"]):
            answer = client.read()
            assert answer and answer.complete, f"answers: {got} and the end, want {case['answers']}"
            got.append(answer.status)
        expect(got, case["answers"], "answers")
        closed = case.get("closed", got[-1] >= 400)
        if not closed:
            client.send(PROBE)
        more = client.read()
        expect(more and more.status, None if closed else 200, "what follows")
    finally:
        client.close()
    expect(origin.wrong, [], "what the origin cannot read")
    seen = [f"{m.method} {m.target}" for m in origin.seen if m.complete]
    if not closed:
        expect(seen.pop(), "GET /probe", "what the origin sees next")
    if "origin" in case:
        expect(seen, case["origin"], "what the origin sees")
    expect(len(seen), len(case["origin"]) if "origin" in case else got.count(200), "requests at the origin")
    if seen:
        check(origin.seen[0], case)


# --- responses ----------------------------------------------------------------------------------------------------

class Script:
    def __init__(self):
        self.case = None

    def __call__(self, message, number):
        if message.target == "/after":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Connection: %d\r\n\r\nafter" % number, None
        self.number = number
        return to_bytes(self.case["origin"]), self.case.get("then")


def read_response(client, case):
    interim = []
    answer = client.read()
    while answer and answer.complete and answer.status < 200:
        interim.append(answer.status)
        answer = client.read()
    assert answer or not case.get("complete", True), "the connection's end in place of a response"
    expect(interim, case.get("interim", []), "interim responses")
    return answer


def run_response(case, proxy, origin):
    origin.say.case = case
    request = case.get("request", GET).replace("{path}", "/early" if case.get("closed") else "/case")
    client = Client(proxy, [request.startswith("HEAD ")])
    try:
        client.send(to_bytes(request))
        answer = read_response(client, case)
        if answer:
            expect(answer.status, case["status"], "status")
            check(answer, case)
        complete = answer is not None and answer.complete
        expect(complete, case.get("complete", True), "completeness")
        if not complete or case.get("closed") or " HTTP/1.0\r\n" in request:
            if complete:
                expect(client.read(), None, "what follows")
            client.close()
            client = Client(proxy)
        client.send(PROBE.replace(b"/probe", b"/after"))
        after = client.read()
        expect(after and (after.status, after.body), (200, b"after"), "the next answer")
    finally:
        client.close()
    expect(origin.wrong, [], "what the origin cannot read")
    if "kept" in case:
        expect(after.field("x-connection") == str(origin.say.number), case["kept"], "the origin's connection kept")


def run(kind, run_case, say, words):
    """(passed, failed) of one direction."""
    with open(os.path.join(CASES, kind + ".json"), encoding="utf-8") as f:
        cases = [c for c in json.load(f) if not words or any(w in f"{kind}/{c['name']}" for w in words)]
    origin = Origin(say)
    config = (service("app", origin.port, "app") + pod("app-1", "app", "v1", ORIGIN_IP, origin.port) + gateway() +
              virtual_service("  - route: [{destination: {host: app}}]\n    retries: {attempts: 0}"))
    failed = 0
    with Proxy(config, "--threads", "1") as proxy:
        for case in cases:
            try:
                run_case(case, proxy, origin)
            except (AssertionError, Ambiguous, OSError) as e:
                failed += 1
                origin.wrong.clear()
                print(f"FAIL  {kind}/{case['name']} (RFC {case['rfc']}: {case['why']}): {e!r}", flush=True)
    return len(cases) - failed, failed


def main():
    words = sys.argv[1:]
    results = [run("requests", run_request, answer_ok, words), run("responses", run_response, Script(), words)]
    passed, failed = map(sum, zip(*results))
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
