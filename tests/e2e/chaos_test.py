#!/usr/bin/env python3
"""vigla-proxy between hosts and clients that misbehave: stall, reset, say half, too much, vanish, trickle, read nothing.

    chaos_test.py [NAME...]        only the tests whose name contains one of these

Behind each test a plain request is answered, and the proxy holds as many sockets as before. The binary is
$VIGLA_PROXY (build/vigla-proxy); one that is built with sanitizers ends with a status other than 0 for what they find.
Closing line: N passed, N failed, N skipped.
"""
import concurrent.futures
import contextlib
import os
import random
import socket
import struct
import sys
import threading
import time

from proxy_test import Proxy, expect, free_port, gateway, pod, receive_all, service, until, virtual_service
from strict_http import Reader
from suite import run

HOST_IP = "127.7.41.1"
MOST_PIPES = 20             # ends of spare ones, and the standard output
HEAD_TIME, IDLE_TIME = "2s", "3s"
RULES = """  - match: [{uri: {prefix: /limited}}]
    route: [{destination: {host: app}}]
    timeout: 1s
    retries: {attempts: 0}
  - route: [{destination: {host: app}}]
    retries: {attempts: 0}"""
REST = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app, namespace: default}
spec: {host: app, trafficPolicy: {connectionPool: {http: {idleTimeout: 1s}}}}
---"""
LARGE = random.Random(3).randbytes(3_000_000)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def get(path, more=b""):
    return b"GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n" % (path.encode(), more)


def post(path, length):
    return b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (path.encode(), length)


def reset(s):
    """Closes a socket as a crash would."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def cpu_s(pid):
    """What a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- the host -----------------------------------------------------------------------------------------------------

class Host:
    """Does what the last part of a request's path says, and keeps the connection where that makes sense."""

    def __init__(self):
        self.port = free_port()
        self.open = self.requests = 0
        self.lock = threading.Lock()
        self.released = threading.Event()      # ends all stalling
        self.listener = socket.create_server((HOST_IP, self.port), backlog=1024)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        reader = Reader()
        with self.lock:
            self.open += 1
        with contextlib.suppress(OSError):
            while (data := s.recv(65536)):
                done = reader.feed(data)
                if not done and reader.message and "early" in reader.message.target:
                    s.sendall(OK.replace(b"200 OK", b"413 Too Large"))
                    break
                for message in done:
                    with self.lock:
                        self.requests += 1
                    if not getattr(self, message.target.split("?")[0].rsplit("/", 1)[-1] or "ok")(s):
                        raise OSError
        s.close()
        with self.lock:
            self.open -= 1

    def stall(self, s):
        """Until the proxy has gone, or the test is over."""
        s.settimeout(0.2)
        while not self.released.is_set():
            with contextlib.suppress(TimeoutError):
                if not s.recv(65536):
                    break

    def ok(self, s):
        s.sendall(OK)
        return True

    def stall_before_head(self, s):
        self.stall(s)

    def stall_in_head(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
        self.stall(s)

    def stall_behind_head(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        self.stall(s)

    def stall_in_body(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        self.stall(s)

    def stall_in_chunk(self, s):
        s.sendall(CHUNKED + b"a\r\nhello")
        self.stall(s)

    def reset_before_head(self, s):
        reset(s)

    def reset_in_head(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
        reset(s)

    def reset_in_body(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        time.sleep(0.05)                       # a reset overtakes what is not read yet
        reset(s)

    def reset_in_chunk(self, s):
        s.sendall(CHUNKED + b"a\r\nhello")
        time.sleep(0.05)
        reset(s)

    def half_body(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")

    def half_chunks(self, s):
        s.sendall(CHUNKED + b"5\r\nhello\r\n")

    def half_head(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\n")

    def garbage(self, s):
        s.sendall(bytes(random.Random(1).randbytes(5000)))

    def garbage_in_chunks(self, s):
        s.sendall(CHUNKED + b"5\r\nhello\r\n" + random.Random(2).randbytes(5000))

    def too_much(self, s):
        s.sendall(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
        return True

    def too_much_later(self, s):
        s.sendall(OK)
        time.sleep(0.02)
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
        return True

    def once(self, s):
        """Closes a connection that it has not said to close."""
        s.sendall(OK)

    def trickle(self, s):
        for byte in CHUNKED + b"5;x=y\r\nhello\r\n0\r\nX-T: 1\r\n\r\n":
            s.sendall(bytes([byte]))
            time.sleep(0.005)
        return True

    def many_small(self, s):
        s.sendall(CHUNKED + b"1\r\nx\r\n" * 20000 + b"0\r\n\r\n")
        return True

    def big(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n")
        for _ in range(512):
            s.sendall(b"x" * 65536)
        return True

    def large_and_more(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE) + LARGE +
                  b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
        return True

    def large_cut(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(LARGE) + 1) + LARGE)

    def large_chunks(self, s):
        s.sendall(CHUNKED + b"".join(b"%x\r\n%s\r\n" % (len(LARGE), LARGE) for _ in range(2)) + b"0\r\n\r\n")
        return True

    def large_chunks_broken(self, s):
        s.sendall(CHUNKED + b"%x\r\n%s0\r\n\r\n" % (len(LARGE), LARGE))

    def large_until_close(self, s):
        s.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + LARGE)


class World:
    """One proxy with short times, one host, and what must be as before behind each test."""

    def __init__(self):
        self.host = Host()
        config = (service("app", self.host.port, "app") + pod("app-1", "app", "v1", HOST_IP, self.host.port) +
                  gateway() + virtual_service(RULES) + REST)
        self.proxy = Proxy(config, "--threads", "1", "--head-time", HEAD_TIME, "--stream-idle-time", IDLE_TIME)
        self.sockets = self.count("socket:")
        self.check_normal()

    def count(self, kind):
        """Descriptors of what connections hold. Others are the threads' own, and may come a moment after "ready"."""
        folder, found = f"/proc/{self.proxy.process.pid}/fd", 0
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                found += os.readlink(os.path.join(folder, name)).startswith(kind)
        return found

    def memory(self):
        with open(f"/proc/{self.proxy.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) * 1024

    def check_normal(self):
        r, data = self.proxy.request("/ok")
        expect((r.status, data), (200, b"ok"), "a plain request")

    def check_after(self):
        self.check_normal()
        until(lambda: self.count("socket:") == self.sockets, f"sockets are {self.sockets} again")
        assert self.count("pipe:") <= MOST_PIPES, f"{self.count('pipe:')} ends of pipes"     # spare ones are kept
        assert self.proxy.process.poll() is None, "the proxy has ended"

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        try:
            if exception[0] is None:
                self.check_after()
        finally:
            self.host.released.set()
            self.proxy.__exit__(*exception)
            self.host.listener.close()


def ask(w, request, head=False):
    """(status, body, complete) of what comes back; status 0: nothing."""
    with w.proxy.connect() as s:
        s.settimeout(30)
        reader = Reader([head])
        with contextlib.suppress(ConnectionResetError):
            s.sendall(request)
            while (data := s.recv(65536)):
                for message in reader.feed(data):
                    return message.status, message.body, True
            if (message := reader.eof()):
                return message.status, message.body, True
    return (reader.message.status, reader.message.body, False) if reader.message else (0, b"", False)


def together(n, f):
    """Calls f(0) … f(n - 1) all at once."""
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return list(pool.map(f, range(n)))


# --- hosts that misbehave -----------------------------------------------------------------------------------------

def test_hosts_that_stall():
    with World() as w:
        cases = {"stall_before_head": (504, True), "stall_in_head": (504, True), "stall_behind_head": (200, False),
                 "stall_in_body": (200, False), "stall_in_chunk": (200, False)}
        paths = [f"{prefix}/{case}" for prefix in ("/limited", "") for case in cases]
        got = together(len(paths), lambda i: ask(w, get(paths[i])))
        for path, (status, _, complete) in zip(paths, got):
            expect((status, complete), cases[path.rsplit("/", 1)[-1]], path)
        until(lambda: w.host.open <= 1, "the proxy lets go of hosts that stall")


def test_hosts_that_break_off():
    with World() as w:
        cases = {"reset_before_head": (503, True), "reset_in_head": (503, True), "reset_in_body": (200, False),
                 "reset_in_chunk": (200, False), "half_head": (503, True), "half_body": (200, False),
                 "half_chunks": (200, False)}
        for path, want in cases.items():
            for _ in range(5):
                status, _, complete = ask(w, get("/" + path))
                if complete or status:         # or it ends before its head has gone out
                    expect((status, complete), want, path)
                w.check_normal()


def test_hosts_that_talk_nonsense():
    with World() as w:
        for _ in range(5):
            expect(ask(w, get("/garbage"))[0], 502, "garbage")
            assert not ask(w, get("/garbage_in_chunks"))[2], "garbage in chunks passes for an answer"
            for path in ("/too_much", "/too_much_later"):
                expect(ask(w, get(path)), (200, b"ok", True), path)
                until(lambda: w.host.open == 0, f"the connection of {path} is given up")
                expect(ask(w, get("/ok")), (200, b"ok", True), f"behind {path}")
        lines = w.proxy.lines(20)
        assert not any("stolen" in line for line in lines)


def test_large_bodies_end_where_they_end():
    with World() as w:
        for _ in range(10):
            with w.proxy.connect() as s:
                s.sendall(get("/large_and_more") + get("/ok", b"Connection: close\r\n"))
                first, second = Reader().feed(receive_all(s))
            assert first.body == LARGE, "another body"
            expect(second.body, b"ok", "behind a large answer")
            assert not ask(w, get("/large_cut"))[2] and not ask(w, get("/large_chunks_broken"))[2]
            expect(ask(w, get("/ok")), (200, b"ok", True))
        for version in (b"HTTP/1.1", b"HTTP/1.0"):
            for path, body in (("/large_chunks", LARGE * 2), ("/large_until_close", LARGE)):
                got = ask(w, get(path).replace(b"HTTP/1.1", version))
                assert got == (200, body, True), \
                    f"{path} in {version}: {got[0]}, {len(got[1])} bytes, complete {got[2]}"
            got = ask(w, get("/large_chunks_broken").replace(b"HTTP/1.1", version))
            assert not got[2], f"broken chunks pass for an answer in {version}"


def test_kept_connections_that_close_at_any_moment():
    with World() as w:
        got = together(8, lambda i: [ask(w, get("/once"))[:2] for _ in range(40)])
        expect({answer for row in got for answer in row}, {(200, b"ok")}, "answers")


def test_answers_in_tiny_pieces():
    with World() as w:
        expect(together(20, lambda i: ask(w, get("/trickle"))), [(200, b"hello", True)] * 20)
        expect(ask(w, get("/many_small")), (200, b"x" * 20000, True))


def test_answers_in_front_of_the_body_s_end():
    with World() as w:
        for _ in range(10):
            with w.proxy.connect() as s:
                s.sendall(post("/early", 10_000_000) + b"x" * 100000)
                answer = receive_all(s)
            assert answer.startswith(b"HTTP/1.1 413 ") and b"connection: close" in answer, answer[:200]


# --- clients that misbehave ---------------------------------------------------------------------------------------

def test_clients_that_vanish():
    """At every point of a request, by an orderly end or a crash."""
    beginnings = [b"", b"G", b"GET /ok HTTP/1.1\r\nHo", get("/ok"), get("/big"), get("/stall_before_head"),
                  get("/stall_in_body"), post("/ok", 100) + b"x" * 50, post("/ok", 10_000_000) + b"x" * 500_000,
                  b"POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
                  get("/ok") * 20, PREFACE, PREFACE + b"\0\0\0\4\0\0\0\0\0\0\0", PREFACE + b"\0\0\x64\1\4\0\0\0\1abc"]
    with World() as w:
        def vanish(i):
            s = w.proxy.connect()
            with contextlib.suppress(OSError):
                s.sendall(beginnings[i % len(beginnings)])
                if i % 3 == 0:
                    s.recv(1)
            if i % 2:
                reset(s)
            else:
                s.close()
        with contextlib.suppress(TimeoutError):
            together(len(beginnings) * 6,
                     lambda i: vanish(i) if i % 3 or b"/ok" in beginnings[i % len(beginnings)] else None)
        until(lambda: w.host.open <= 1, "the proxy lets go of what nobody waits for any more")


def test_clients_that_close_their_half():
    with World() as w:
        for request in (get("/stall_before_head"), get("/stall_in_body"), post("/ok", 100) + b"x", b"GET / HT"):
            with w.proxy.connect() as s:
                s.sendall(request)
                s.shutdown(socket.SHUT_WR)
                receive_all(s)                 # comes to an end
        until(lambda: w.host.open <= 1, "no request is left at the host")


def test_heads_byte_by_byte():
    """Slow ones are cut, whatever their number, and others are served meanwhile."""
    with World() as w:
        clients = [w.proxy.connect() for _ in range(200)]
        head = get("/ok", b"X-Long: " + b"y" * 500)
        left, sent = set(range(len(clients))), 0
        while left and sent < len(head) - 4:
            for i in list(left):
                try:
                    clients[i].sendall(head[sent:sent + 1])
                except OSError:
                    left.discard(i)
            sent += 1
            w.check_normal()
            time.sleep(0.1)
        answers = [receive_all(s) for s in clients]
        expect([a[:12] for a in answers], [b"HTTP/1.1 408"] * len(clients))
        for s in clients:
            s.close()


def test_bodies_that_stop():
    with World() as w:
        got = together(50, lambda i: ask(w, post("/ok", 100) + b"x" * i))
        expect({g[0] for g in got}, {408})


def test_clients_that_do_not_read():
    """What nobody reads waits at its host, not here."""
    with World() as w:
        before = w.memory()
        clients = []
        for _ in range(50):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", w.proxy.port))
            s.sendall(get("/big"))
            clients.append(s)
        most = 0
        for _ in range(20):
            most = max(most, w.memory() - before)
            w.check_normal()
            time.sleep(0.1)
        for s in clients:
            s.close()
        assert most < 100 << 20, f"{most >> 20} MiB for answers that nobody reads"


def test_pipelines_that_are_not_read():
    """Thousands of requests of a client that takes no answer: no more are read than can be answered."""
    with World() as w:
        before = w.memory()
        with w.proxy.connect() as s:
            s.settimeout(1)
            with contextlib.suppress(TimeoutError):
                s.sendall(get("/big") * 200000)
            assert w.memory() - before < 100 << 20
            w.check_normal()


def test_noise():
    with World() as w:
        def noise(i):
            with w.proxy.connect() as s, contextlib.suppress(OSError):
                s.sendall(random.Random(i).randbytes(1 + i * 7 % 3000) + b"\r\n\r\n")
                receive_all(s)
            with w.proxy.connect() as s, contextlib.suppress(OSError):
                s.sendall(PREFACE + random.Random(i).randbytes(1 + i * 13 % 3000) + b"\0" * 20000)
                receive_all(s)
        together(100, noise)


def test_waiting_costs_no_time():
    """News that nobody can act upon yet, of clients that are gone, say more than is taken, or read nothing."""
    with World() as w, contextlib.ExitStack() as held:
        def connect(request, half=False):
            s = held.enter_context(w.proxy.connect())
            s.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                s.sendall(request)
            if half:
                s.shutdown(socket.SHUT_WR)
            return s
        for half in (False, True):
            for _ in range(3):
                connect(get("/stall_before_head"), half)
                connect(get("/stall_in_body"), half)
                connect(get("/big"), half)
                connect(get("/stall_before_head") + get("/ok") * 5000, half)
                connect(post("/stall_in_body", 1000) + b"x" * 500, half)
        for half in (False, True):
            reset(connect(get("/stall_before_head"), half))
            reset(connect(get("/stall_before_head") + get("/ok") * 5000, half))
        before = cpu_s(w.proxy.process.pid)
        time.sleep(1)
        used = cpu_s(w.proxy.process.pid) - before
        assert used < 0.5, f"{used} s of CPU in a second of waiting"


def test_hundreds_of_everything_at_once():
    """Nobody gets what another has asked for, and no half for a whole."""
    whole = {"ok": b"ok", "trickle": b"hello", "once": b"ok", "too_much": b"ok"}
    paths = [*whole, "reset_in_body", "half_chunks", "garbage", "stall_before_head", "reset_before_head",
             "stall_in_chunk"]
    with World() as w:
        def play(i):
            r = random.Random(i)
            for _ in range(5):
                path = r.choice(paths)
                if r.random() < 0.3:
                    s = w.proxy.connect()
                    with contextlib.suppress(OSError):
                        s.sendall(get("/limited/" + path)[:r.randrange(200)])
                    reset(s)
                else:
                    status, body, complete = ask(w, get("/limited/" + path))
                    assert not complete or status >= 500 or (status, body) == (200, whole.get(path)), \
                        (path, status, body)
        together(300, play)


if __name__ == "__main__":
    sys.exit(run(globals()))
