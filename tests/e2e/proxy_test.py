#!/usr/bin/env python3
"""vigla-proxy with real backends: requests and connections in, what comes out and what is logged.

    proxy_test.py [NAME...]        only the tests whose name contains one of these

The binary is $VIGLA_PROXY (build/vigla-proxy). Everything is on 127.0.0.0/8, with ports picked free; no root.
Closing line: N passed, N failed, N skipped.
"""
import collections
import concurrent.futures
import contextlib
import hashlib
import gzip
import http.client
import http.server
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from mesh import free_port
from suite import run

PROXY = os.environ.get("VIGLA_PROXY", "build/vigla-proxy")
WAIT = 10                       # seconds for anything that should come soon


def until(true, what, seconds=WAIT):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


def expect(got, want, what=""):
    assert got == want, f"{what}: got {got!r}, want {want!r}"


# --- backends -----------------------------------------------------------------------------------------------------

class Handler(socketserver.StreamRequestHandler):
    """An HTTP/1.1 origin that says what it received; x-test-* fields say what to do."""
    disable_nagle_algorithm = True

    def head(self):
        line = self.rfile.readline().decode("latin-1")
        if not line:
            return None
        fields = collections.OrderedDict()
        while (field := self.rfile.readline().decode("latin-1").rstrip("\r\n")):
            name, _, value = field.partition(":")
            fields[name.lower()] = ",".join(filter(None, [fields.get(name.lower()), value.strip()]))
        return line.split(), fields

    def body(self, fields):
        digest, size = hashlib.sha256(), 0
        self.trailers = []
        if fields.get("transfer-encoding") == "chunked":
            while (n := int(self.rfile.readline().split(b";")[0], 16)):
                digest.update(self.rfile.read(n))
                self.rfile.readline()
                size += n
            while (line := self.rfile.readline().decode("latin-1").strip()):
                self.trailers.append(line)
        else:
            left = int(fields.get("content-length", 0))
            while left:
                piece = self.rfile.read(min(left, 1 << 16))
                if not piece:
                    return digest, size
                digest.update(piece)
                left -= len(piece)
                size += len(piece)
        return digest, size

    def handle(self):
        with contextlib.suppress(OSError, ValueError):
            while (message := self.head()):
                (method, path, _), fields = message
                digest, size = self.body(fields)
                if not self.answer(method, path, fields, digest, size):
                    return

    def answer(self, method, path, fields, digest, size):
        me = self.server
        with me.lock:
            me.calls += 1
            me.connections.add(self.client_address)
            fail = me.fail_first > 0
            me.fail_first -= fail
        time.sleep(float(fields.get("x-test-delay", 0)))
        if fields.get("x-test-drop"):
            return False
        status = "503 Service Unavailable" if fail else "200 OK"
        said = json.dumps({"backend": me.name, "method": method, "path": path, "fields": fields, "size": size, "trailers": self.trailers,
                           "sha256": digest.hexdigest()}).encode()
        if (bytes_wanted := int(fields.get("x-test-bytes", 0))):
            said = b"0123456789abcdef" * (bytes_wanted // 16)
        if fields.get("x-test-until-close"):
            self.wfile.write(f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n".encode() + said)
            return False
        if fields.get("x-test-chunked"):
            self.wfile.write(f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Trailer\r\n\r\n".encode())
            for at in range(0, len(said), 1000):
                piece = said[at:at + 1000]
                self.wfile.write(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\nX-Trailer: 1\r\nSet-Cookie: a=b\r\n\r\n")
        else:
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(said)}\r\nX-Backend: {me.name}\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n"
            self.wfile.write(head.encode() + (b"" if method == "HEAD" else said))
        return fields.get("connection") != "close"


class Backend(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, ip, port, name, handler=Handler):
        self.name, self.calls, self.connections, self.fail_first, self.lock = name, 0, set(), 0, threading.Lock()
        self.open = []
        super().__init__((ip, port), handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, request, client_address):
        pass                    # a client that goes away is part of the tests

    def process_request(self, request, client_address):
        with self.lock:
            self.open.append(request)
        super().process_request(request, client_address)

    def stop(self):
        """As if its process had ended: its connections end, too (each worker of the proxy may keep one)."""
        self.shutdown()
        self.server_close()
        with self.lock:
            for s in self.open:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)


class Echo(socketserver.BaseRequestHandler):
    """Sends back what comes, in capitals; closes its half after the client has closed its own."""

    def handle(self):
        with contextlib.suppress(OSError):
            while (data := self.request.recv(65536)):
                self.request.sendall(data.upper())
            self.request.sendall(b"END")


class Greeter(socketserver.BaseRequestHandler):
    """Speaks first, like SMTP or MySQL."""

    def handle(self):
        with contextlib.suppress(OSError):
            self.request.sendall(b"220 ready\r\n")
            self.request.sendall(b"250 " + self.request.recv(1000))


# --- the proxy ----------------------------------------------------------------------------------------------------

def service(name, port, app, port_name="http"):
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec:
  selector: {{app: {app}}}
  ports: [{{name: {port_name}, port: {port}, targetPort: {port}}}]
---"""


def pod(name, app, version, ip, port):
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: default, labels: {{app: {app}, version: {version}}},
  ownerReferences: [{{kind: Deployment, name: {app}-{version}}}]}}
spec: {{containers: [{{name: c, ports: [{{containerPort: {port}}}]}}]}}
status: {{podIP: {ip}, conditions: [{{type: Ready, status: "True"}}]}}
---"""


def gateway(port=80):
    return f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: ingressgateway}}
  servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ["*"]}}]
---"""


def virtual_service(rules, name="vs", host="*"):
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: default}}
spec:
  hosts: ["{host}"]
  gateways: [gw]
  http:
{rules}
---"""


class Proxy:
    """One vigla-proxy with its configuration in a folder of its own."""

    def __init__(self, config, *args, role=("--gateway", "gw.istio-system"), env=None, ready=True, program=PROXY):
        self.dir = tempfile.mkdtemp(prefix="vigla-proxy-test-")
        self.port = free_port()
        self.log = os.path.join(self.dir, "access.log")
        self.stderr = os.path.join(self.dir, "stderr")
        self.write(config)
        command = [program, "--config", os.path.join(self.dir, "config.yaml"), *role, "--port-map", f"80={self.port}",
                   "--telemetry", "none", "--access-log", self.log, *args]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=open(self.stderr, "w"), env=env)
        if ready:
            line = self.process.stdout.readline()
            assert line == b"ready\n", f"said {line!r}, not ready: {self.errors()}"

    def write(self, config):
        path = os.path.join(self.dir, "config.yaml")
        with open(path + ".new", "w") as f:
            f.write(config)
        os.rename(path + ".new", path)

    def errors(self):
        with open(self.stderr) as f:
            return f.read()

    def reload(self, config):
        said = self.errors().count("version ") + self.errors().count("the old configuration stays")
        self.write(config)
        self.process.send_signal(signal.SIGHUP)
        until(lambda: self.errors().count("version ") + self.errors().count("the old configuration stays") > said, "a word on the reload")

    def lines(self, n=1):
        """The access log, as soon as it has n lines."""
        def read():
            with contextlib.suppress(FileNotFoundError), open(self.log) as f:
                return f.read().splitlines()
            return []
        until(lambda: len(read()) >= n, f"{n} lines in the access log; there are {len(read())}")
        return read()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(6)
        self.process.stdout.close()
        assert status == 0, f"exit status {status}: {self.errors()[-3000:]}"

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            self.stop()
        except Exception:
            self.process.kill()
            if kind is None:
                raise
        if kind is not None:
            print(f"    {self.dir}: stderr:", self.errors()[-2000:])
        else:
            shutil.rmtree(self.dir)

    def connect(self, timeout=WAIT):
        s = socket.create_connection(("127.0.0.1", self.port), timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def raw(self, data, shut=False):
        """All that comes back on a connection of its own."""
        with self.connect() as s:
            s.sendall(data)
            if shut:
                s.shutdown(socket.SHUT_WR)
            return receive_all(s)

    def request(self, path="/", method="GET", headers=None, body=None, connection=None):
        c = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        chunked = "Transfer-Encoding" in (headers or {})
        c.request(method, path, body, {"Host": "app.example", **(headers or {})}, encode_chunked=chunked)
        r = c.getresponse()
        data = r.read()
        if not connection:
            c.close()
        return r, data


def receive_all(s):
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while (piece := s.recv(65536)):
            data += piece
    return bytes(data)


def metric(admin, name, *labels):
    """The sum of a counter's series that have all of these labels, from the admin port."""
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/stats/prometheus", timeout=WAIT) as r:
        lines = r.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines
               if line.startswith(name + "{") and all(label in line for label in labels))


class World:
    """Two versions of an application behind one gateway."""

    def __init__(self, rules="  - route: [{destination: {host: app}}]", more="", args=(), port=None):
        self.app_port = port or free_port()
        self.v1 = Backend("127.7.1.1", self.app_port, "v1")
        self.v2 = Backend("127.7.1.2", self.app_port, "v2")
        self.more = more
        self.proxy = Proxy(self.config(rules), *args)

    def config(self, rules):
        subsets = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app, namespace: default}
spec:
  host: app
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---"""
        return (service("app", self.app_port, "app") + pod("app-v1", "app", "v1", "127.7.1.1", self.app_port) +
                pod("app-v2", "app", "v2", "127.7.1.2", self.app_port) + subsets + gateway() + virtual_service(rules) + self.more)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        try:
            self.proxy.__exit__(*exception)
        finally:
            for backend in (self.v1, self.v2):
                with contextlib.suppress(OSError):
                    backend.stop()


TO_V1 = "  - route: [{destination: {host: app, subset: v1}}]"

# --- tests --------------------------------------------------------------------------------------------------------


def test_keep_alive_on_both_sides():
    with World(TO_V1) as w:
        c = http.client.HTTPConnection("127.0.0.1", w.proxy.port, timeout=WAIT)
        for _ in range(50):
            r, data = w.proxy.request(connection=c)
            expect(r.status, 200)
        c.close()
        expect(w.v1.calls, 50, "calls")
        expect(len(w.v1.connections), 1, "connections to the backend")
        said = json.loads(data)
        expect(said["fields"]["x-forwarded-for"], "127.0.0.1")
        expect(said["fields"]["x-forwarded-proto"], "http")
        expect(said["fields"]["x-envoy-attempt-count"], "1")
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", said["fields"]["x-request-id"])
        expect(r.headers["server"], "istio-envoy")
        assert r.headers["x-envoy-upstream-service-time"].isdigit() and r.headers["date"].endswith("GMT")
        assert "x-hop" not in r.headers, "a field that Connection nominates"
        line = w.proxy.lines(50)[-1]
        assert re.match(r'\[20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] "GET / HTTP/1.1" 200 - via_upstream - "-" 0 \d+ \d+ \d+ '
                        r'"127.0.0.1" "-" "[0-9a-f-]{36}" "app.example" "127.7.1.1:\d+" '
                        r'outbound\|\d+\|v1\|app.default.svc.cluster.local 127.\S+ 127.0.0.1:\d+ 127.0.0.1:\d+ - -$', line), line


def test_http_1_0():
    with World(TO_V1) as w:
        answer = w.proxy.raw(b"GET / HTTP/1.0\r\nHost: app.example\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer
        answer = w.proxy.raw(b"GET / HTTP/1.0\r\nHost: a\r\nX-Test-Chunked: 1\r\n\r\n")
        assert b"transfer-encoding" not in answer.lower() and answer.endswith(b"}"), answer
        with w.proxy.connect() as s:
            for _ in range(2):
                s.sendall(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
                head, _, rest = s.recv(65536).partition(b"\r\n\r\n")
                assert b"connection: keep-alive" in head, head


def test_head_has_no_body():
    with World(TO_V1) as w:
        answer = w.proxy.raw(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert b"content-length: " in head and rest == b"", answer


def test_chunked_both_ways():
    with World(TO_V1) as w:
        pieces = [b"piece %d " % i * 100 for i in range(50)]
        r, data = w.proxy.request("/", "POST", {"X-Test-Chunked": "1", "Transfer-Encoding": "chunked"}, iter(pieces))
        said = json.loads(data)
        expect(said["size"], sum(map(len, pieces)))
        expect(said["sha256"], hashlib.sha256(b"".join(pieces)).hexdigest())
        expect(said["fields"]["transfer-encoding"], "chunked")
        expect(r.headers["transfer-encoding"], "chunked")
        line = w.proxy.lines(1)[0]
        assert f' {said["size"]} {len(data)} ' in line, line


def test_trailers_both_ways():
    head = b"POST / HTTP/1.1\r\nHost: a\r\nX-Test-Chunked: 1\r\nConnection: TE%s\r\nTE: deflate, trailers\r\n"
    body = b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\nHost: b\r\nX-Hop: 1\r\n\r\n"
    with World(TO_V1) as w:
        answer = w.proxy.raw(head % b", close" + body)
        assert answer.endswith(b"\r\n0\r\nX-Trailer: 1\r\n\r\n"), answer[-100:]
        assert re.search(rb"^trailer: X-Trailer\r$", answer, re.M | re.I), answer
        said = json.loads(answer[answer.index(b"{"):answer.rindex(b"}") + 1])
        expect((said["size"], said["trailers"]), (3, ["X-Sum: 7", "X-Hop: 1"]))
        expect([said["fields"].get(name) for name in ("te", "connection", "trailer")], ["trailers", "te", "X-Sum"])
        # A name that Connection has is for one hop, so none goes on; and HTTP/1.0 has no room for any.
        answer = w.proxy.raw(head % b", X-Hop, close" + body)
        expect(json.loads(answer[answer.index(b"{"):answer.rindex(b"}") + 1])["trailers"], [])
        answer = w.proxy.raw(b"GET / HTTP/1.0\r\nHost: a\r\nX-Test-Chunked: 1\r\n\r\n")
        assert answer.endswith(b"}") and b"railer:" not in answer, answer
        expect(json.loads(answer[answer.index(b"{"):])["fields"].get("te"), None)


def test_body_until_close_becomes_chunked():
    with World(TO_V1) as w:
        c = http.client.HTTPConnection("127.0.0.1", w.proxy.port, timeout=WAIT)
        for _ in range(3):
            r, data = w.proxy.request("/", headers={"X-Test-Until-Close": "1"}, connection=c)
            expect(r.headers["transfer-encoding"], "chunked")
            expect(json.loads(data)["backend"], "v1")
        c.close()


def test_pipelining():
    with World(TO_V1) as w:
        requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n%s\r\n" % (i, b"Connection: close\r\n" if i == 19 else b"")
                            for i in range(20))
        answer = w.proxy.raw(requests)
        expect([int(n) for n in re.findall(rb'"path": "/(\d+)"', answer)], list(range(20)), "order of the answers")


def test_expect_continue():
    with World(TO_V1) as w, w.proxy.connect() as s:
        s.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        expect(s.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
        s.sendall(b"hello")
        answer = s.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200") and b'"size": 5' in answer and b'"expect"' not in answer, answer
    with World("  - directResponse: {status: 403}") as w:
        answer = w.proxy.raw(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 403") and b"connection: close" in answer, answer


def test_large_bodies():
    with World(TO_V1) as w:
        size = 64 << 20
        block = b"0123456789abcdef" * 4096
        digest = hashlib.sha256(block * (size // len(block))).hexdigest()
        r, data = w.proxy.request("/", "POST", {"Content-Length": str(size)}, (block for _ in range(size // len(block))))
        expect(json.loads(data)["sha256"], digest, "request")
        r, data = w.proxy.request("/", headers={"X-Test-Bytes": str(size)})
        expect(hashlib.sha256(data).hexdigest(), digest, "response")


def test_slow_reader_does_not_fill_memory():
    with World(TO_V1) as w, w.proxy.connect() as s:
        def resident():
            with open(f"/proc/{w.proxy.process.pid}/status") as f:
                return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])
        before = resident()
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Test-Bytes: 100000000\r\nConnection: close\r\n\r\n")
        time.sleep(1)
        grown = resident() - before
        assert grown < 8192, f"{grown} KiB more for a client that does not read"
        expect(len(receive_all(s).partition(b"\r\n\r\n")[2]), 100000000, "bytes in the end")


def in_kernel(s):
    """Bytes on their way to a socket of ours: in its own buffer and in its peer's, which is on this machine, too."""
    def text(address):
        return f"{int.from_bytes(socket.inet_aton(address[0]), sys.byteorder):08X}:{address[1]:04X}"
    ours, peer, total = text(s.getsockname()), text(s.getpeername()), 0
    with open("/proc/net/tcp") as f:
        for local, remote, _, queues in (line.split()[1:5] for line in f):
            total += int(queues.split(":")[0], 16) if (local, remote) == (peer, ours) else 0
            total += int(queues.split(":")[1], 16) if (local, remote) == (ours, peer) else 0
    return total


def test_kept_connection_after_a_slow_reader():
    """The host's connection rests while the client is behind. When the response ends meanwhile, it must not rest on."""
    def ask(w, s, size):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", w.proxy.port))
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Test-Bytes: %d\r\n\r\n" % size)
    with World(TO_V1) as w:
        with socket.socket() as s:
            ask(w, s, 100 << 20)
            time.sleep(0.3)
            full = in_kernel(s) + (256 << 10)                # what is taken from the host until it rests: CONN_HIGH
        for size in range(full - (80 << 10), full + (80 << 10), 4 << 10):   # one ends in the piece that makes it rest
            with socket.socket() as s:
                ask(w, s, size)
                time.sleep(0.03)
                expect(w.proxy.request("/")[0].status, 200, f"after {size} bytes that nobody read")


def test_more_fields_than_fit():
    """Nothing is left out in silence: what the configuration adds may be what protects."""
    many = ", ".join(f"x-{i}: a" for i in range(200))
    rules = f"""  - match: [{{uri: {{prefix: /request}}}}]
    route: [{{destination: {{host: app}}}}]
    headers: {{request: {{add: {{{many}}}}}}}
  - route: [{{destination: {{host: app}}}}]
    headers: {{response: {{add: {{{many}}}}}}}"""
    with World(rules) as w:
        expect(w.proxy.request("/request")[0].status, 431)
        expect(w.proxy.request("/response")[0].status, 502)
        assert " UPE response_headers_too_large " in w.proxy.lines(2)[1], w.proxy.lines(2)[1]


def test_retries():
    rules = """  - match: [{uri: {prefix: /retry}}]
    route: [{destination: {host: app, subset: v1}}]
    retries: {attempts: 3, retryOn: "5xx"}
  - route: [{destination: {host: app, subset: v1}}]"""
    with World(rules) as w:
        w.v1.fail_first = 2
        r, data = w.proxy.request("/retry", "POST", body=b"kept")
        expect((r.status, w.v1.calls), (200, 3), "status and calls")
        expect(json.loads(data)["size"], 4, "the body went out again")
        expect(json.loads(data)["fields"]["x-envoy-attempt-count"], "3")
        w.v1.fail_first = 9
        r, _ = w.proxy.request("/retry")
        expect((r.status, w.v1.calls), (503, 7), "status and calls")
        w.v1.fail_first = 1
        r, _ = w.proxy.request("/once")
        expect((r.status, w.v1.calls), (503, 8), "status and calls")
        lines = w.proxy.lines(3)
        assert " 503 URX via_upstream " in lines[1] and " 503 - via_upstream " in lines[2], lines


def test_timeout():
    with World(TO_V1 + "\n    timeout: 0.3s") as w:
        start = time.monotonic()
        r, data = w.proxy.request(headers={"X-Test-Delay": "3"})
        took = time.monotonic() - start
        expect((r.status, data), (504, b"upstream request timeout"))
        assert 0.29 <= took < 1, took
        r, _ = w.proxy.request()
        expect(r.status, 200)
        assert " 504 UT upstream_response_timeout " in w.proxy.lines(2)[0]


def test_faults():
    rules = """  - match: [{uri: {prefix: /delay}}]
    fault: {delay: {fixedDelay: 0.5s, percentage: {value: 100}}}
    route: [{destination: {host: app}}]
    timeout: 0.3s
  - match: [{uri: {prefix: /abort}}]
    fault: {abort: {httpStatus: 418, percentage: {value: 50}}}
    route: [{destination: {host: app}}]"""
    with World(rules) as w:
        start = time.monotonic()
        r, data = w.proxy.request("/delay", "POST", body=b"x" * 100000)
        assert r.status == 200 and time.monotonic() - start >= 0.5, "the delay is not part of the timeout"
        expect(json.loads(data)["size"], 100000)
        c = http.client.HTTPConnection("127.0.0.1", w.proxy.port, timeout=WAIT)
        status = collections.Counter(w.proxy.request("/abort", connection=c)[0].status for _ in range(400))
        c.close()
        assert set(status) == {200, 418} and 160 <= status[418] <= 240, status   # 4 sigma are 40
        lines = w.proxy.lines(401)
        assert ' 200 DI via_upstream ' in lines[0]
        expect(sum(" 418 FI fault_filter_abort " in line for line in lines), status[418])


def test_weights():
    rules = """  - route:
    - {destination: {host: app, subset: v1}, weight: 70}
    - {destination: {host: app, subset: v2}, weight: 30}"""
    with World(rules) as w:
        c = http.client.HTTPConnection("127.0.0.1", w.proxy.port, timeout=WAIT)
        for _ in range(2000):
            w.proxy.request(connection=c)
        c.close()
        expect(w.v1.calls + w.v2.calls, 2000)
        assert 1318 <= w.v1.calls <= 1482, w.v1.calls                            # 4 sigma are 82


def test_header_routing_redirect_rewrite():
    rules = """  - match: [{headers: {source: {exact: terminal}}}]
    route: [{destination: {host: app, subset: v2}}]
  - match: [{uri: {prefix: /old}}]
    redirect: {uri: /new, authority: new.example, redirectCode: 302}
  - match: [{uri: {prefix: /v2}}]
    rewrite: {uri: /}
    route: [{destination: {host: app, subset: v2}}]
  - match: [{uri: {prefix: /}}]
    route: [{destination: {host: app, subset: v1}}]"""
    with World(rules) as w:
        expect(json.loads(w.proxy.request(headers={"Source": "terminal"})[1])["backend"], "v2")
        expect(json.loads(w.proxy.request(headers={"Source": "other"})[1])["backend"], "v1")
        said = json.loads(w.proxy.request("/v2/x?a=b")[1])
        expect((said["backend"], said["path"], said["fields"]["x-envoy-original-path"]), ("v2", "//x?a=b", "/v2/x?a=b"))
        r, _ = w.proxy.request("/old/x?a=b")
        expect((r.status, r.headers["location"]), (302, "http://new.example/new?a=b"))
        assert '"GET /v2/x?a=b HTTP/1.1"' in w.proxy.lines(4)[2], "the log has the path that the client asked for"


def test_trace_context():
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with World(TO_V1) as w:
        fields = json.loads(w.proxy.request(headers={"traceparent": f"00-{trace}-{span}-01"})[1])["fields"]
        assert re.fullmatch(f"00-{trace}-[0-9a-f]{{16}}-01", fields["traceparent"]) and span not in fields["traceparent"]
        assert "b3" not in fields and "x-b3-traceid" not in fields
        fields = json.loads(w.proxy.request(headers={"b3": f"{trace}-{span}-0"})[1])["fields"]
        assert re.fullmatch(f"{trace}-[0-9a-f]{{16}}-0-{span}", fields["b3"]), fields
        fields = json.loads(w.proxy.request()[1])["fields"]
        expect(fields["x-b3-traceid"], fields["traceparent"].split("-")[1])
        expect(fields["x-b3-spanid"], fields["traceparent"].split("-")[2])


def telemetry(spec):
    return f"""
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: all, namespace: istio-system}}
spec: {spec}
"""


def test_telemetry_is_obeyed():
    admin = free_port()
    missing = "  - match: [{uri: {prefix: /no}}]\n    fault: {abort: {percentage: {value: 100}, httpStatus: 404}}\n    route: [{destination: {host: app}}]\n"
    with World(missing + TO_V1, args=("--admin", f"127.0.0.1:{admin}")) as w:
        base = w.config(missing + TO_V1)
        fields = json.loads(w.proxy.request("/before")[1])["fields"]
        assert fields["traceparent"].endswith("-01"), fields
        w.proxy.lines(1)

        w.proxy.reload(base + telemetry("{tracing: [{randomSamplingPercentage: 0}], accessLogging: [{filter: {expression: 'response.code >= 400'}}]}"))
        until(lambda: json.loads(w.proxy.request("/quiet")[1])["fields"]["traceparent"].endswith("-00"), "nothing is sampled")
        w.proxy.request("/fine")
        expect(w.proxy.request("/no")[0].status, 404)
        until(lambda: '"GET /no HTTP/1.1" 404' in w.proxy.lines()[-1], "the failure is logged")
        assert not any("/fine" in line for line in w.proxy.lines()), w.proxy.lines()
        counted = metric(admin, "istio_requests_total")
        assert counted >= 3, counted

        w.proxy.reload(base + telemetry("{tracing: [{disableContextPropagation: true}], accessLogging: [{disabled: true}], metrics: [{overrides: [{match: {metric: REQUEST_COUNT}, disabled: true}]}]}"))
        until(lambda: "traceparent" not in json.loads(w.proxy.request("/untold")[1])["fields"], "no context goes on")
        size = metric(admin, "istio_request_bytes_count")
        w.proxy.request("/sized")
        until(lambda: metric(admin, "istio_request_bytes_count") > size, "sizes are observed")
        before = metric(admin, "istio_requests_total")
        w.proxy.request("/sized")
        until(lambda: metric(admin, "istio_request_bytes_count") > size + 1, "sizes are observed")
        expect(metric(admin, "istio_requests_total"), before)
        w.proxy.reload(base)
        until(lambda: "traceparent" in json.loads(w.proxy.request("/again")[1])["fields"], "the context goes on again")
        until(lambda: '"GET /again' in w.proxy.lines()[-1], "requests are logged again")
        assert not any("/sized" in line for line in w.proxy.lines()), w.proxy.lines()


def test_telemetry_expressions():
    """A filter and labels by expressions over the request, its answer and both ends."""
    admin = free_port()
    rules = """{accessLogging: [{filter: {expression: "request.headers['x-log'] == 'yes' || response.headers['x-backend'] == 'v2'"}}],
  metrics: [{overrides: [{match: {metric: REQUEST_COUNT}, tagOverrides: {
    who: {value: "has(request.headers['x-who']) ? request.headers['x-who'] : 'nobody'"}, backend: {value: "response.headers['x-backend']"},
    class: {value: "response.code / 100"}, destination_version: {operation: REMOVE}}}]}]}"""
    with World("  - match: [{uri: {prefix: /two}}]\n    route: [{destination: {host: app, subset: v2}}]\n" + TO_V1,
               more=telemetry(rules), args=("--admin", f"127.0.0.1:{admin}")) as w:
        w.proxy.request("/one")
        w.proxy.request("/one", headers={"X-Log": "yes", "X-Who": "me"})
        w.proxy.request("/two")
        lines = w.proxy.lines(2)
        assert len(lines) == 2 and '"GET /one ' in lines[0] and '"GET /two ' in lines[1], lines
        until(lambda: metric(admin, "istio_requests_total") == 3, "all are counted")
        expect(metric(admin, "istio_requests_total", 'who="me"', 'backend="v1"'), 1)
        expect(metric(admin, "istio_requests_total", 'who="nobody"', 'backend="v2"'), 1)
        expect(metric(admin, "istio_requests_total", "destination_version="), 0)
        expect(metric(admin, "istio_request_bytes_count", "destination_version="), 3)
        expect(metric(admin, "istio_request_bytes_count", "who="), 0)


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes OTLP."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies[self.path] += body if self.headers.get("Content-Encoding") != "gzip" else gzip.decompress(body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def test_span_tags_by_format():
    collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    collector.bodies = collections.defaultdict(bytes)
    threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    tags = ('{tracing: [{customTags: {told: {formatter: {value: "<%RESP(X-Backend)% %REQ(X-Ask)% %RESPONSE_CODE%>"}}, '
            'wrong: {formatter: {value: "%NO_SUCH%"}}}}]}')
    with World(TO_V1, more=telemetry(tags), args=("--telemetry", f"http://127.0.0.1:{collector.server_port}")) as w:
        w.proxy.request("/a", headers={"X-Ask": "me"})
        until(lambda: b"<v1 me 200>" in collector.bodies["/v1/traces"], "a span with the tag")
        assert b"told" in collector.bodies["/v1/traces"] and b"wrong" not in collector.bodies["/v1/traces"]
        assert 'the tag "wrong" is left out of spans' in w.proxy.errors(), w.proxy.errors()
    collector.shutdown()


def test_access_log_formats():
    text = '%REQ(X-Test?User-Agent):6% "%REQ(:METHOD)% %REQ(:PATH)%" %RESP(X-Backend)% %RESPONSE_CODE% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %METADATA(x)%'
    with World(TO_V1, args=("--access-log-format", text)) as w:
        w.proxy.request("/a", headers={"X-Test": 'say "hi"', "User-Agent": "none"})
        w.proxy.request("/b", headers={"User-Agent": "python"})
        expect(w.proxy.lines(2), ['say \\x22h "GET /a" v1 200 1 -', 'python "GET /b" v1 200 1 -'])
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        f.write('{"code": "%RESPONSE_CODE%", "who": {"agent": "%REQ(User-Agent)%", "test": "%REQ(X-Test)%"}, '
                '"said": "<%RESP(X-Backend)%> %PROTOCOL%", "trailer": "%TRAILER(X-Trailer)%", "path": "%REQ(:PATH)%"}')
        f.flush()
        with World(TO_V1, args=("--access-log-format", f.name)) as w:
            w.proxy.request("/a", headers={"X-Test": 'say "hi"\\', "User-Agent": "python"})
            w.proxy.request("/b", headers={"User-Agent": ""})
            got = [json.loads(line) for line in w.proxy.lines(2)]
            expect(got[0], {"code": 200, "who": {"agent": "python", "test": 'say "hi"\\'}, "said": "<v1> HTTP/1.1", "trailer": None,
                            "path": "/a"})
            expect((got[1]["who"], got[1]["path"]), ({"agent": None, "test": None}, "/b"))
    for wrong, what in (("%NO_SUCH%", b"byte 1, %NO_SUCH%: there is no such operator"), ("/no/such/file", b"or a file with one")):
        done = subprocess.run([PROXY, "--config", "x", "--gateway", "a.b", "--access-log-format", wrong], capture_output=True, check=False)
        assert done.returncode == 2 and what in done.stderr, done.stderr


def test_refused_requests():
    with World(TO_V1) as w:
        for request, status in [(b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/1.1\nHost: a\n\n", 400), (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
                                (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505), (b"\x16\x03\x01\x00\xa5", 400),
                                (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431),
                                (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
                                (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", 400)]:
            answer = w.proxy.raw(request)
            assert answer.startswith(b"HTTP/1.1 %d " % status), (request[:60], answer)
        expect(w.v1.calls, 0)
        assert all(" DPE http1.codec_error " in line for line in w.proxy.lines(8))


def test_upstream_death():
    with World("  - route: [{destination: {host: app, subset: v1}}]\n    retries: {attempts: 0}") as w:
        expect(w.proxy.request()[0].status, 200)
        r, data = w.proxy.request(headers={"X-Test-Drop": "1"}, method="POST", body=b"x")
        expect((r.status, data.split(b". ")[-1]), (503, b"reset reason: connection termination"))
        w.v1.stop()
        r, data = w.proxy.request()
        assert r.status == 503 and data.startswith(b"upstream connect error or disconnect/reset before headers."), data
        lines = w.proxy.lines(3)
        assert " 503 UC upstream_reset_before_response_started{connection_termination} " in lines[1], lines[1]
        assert " 503 UF " in lines[2] and f'"127.7.1.1:{w.app_port}"' in lines[2], lines[2]
        w.v1 = Backend("127.7.1.1", w.app_port, "v1")
        expect(w.proxy.request()[0].status, 200, "after it is back")


def test_one_of_two_hosts_dead():
    with World() as w:
        w.v1.stop()
        status = collections.Counter(w.proxy.request()[0].status for _ in range(60))
        expect(status, {200: 60}, "the default retries find the other host")


def test_kept_connection_closed_by_the_backend():
    """A backend that closes after each answer without saying so: the next request goes out on a new connection."""
    class Rude(Handler):
        def answer(self, *args):
            super().answer(*args)
            return False
    port = free_port()
    backend = Backend("127.7.2.1", port, "rude", Rude)
    config = service("rude", port, "rude") + pod("rude-1", "rude", "v1", "127.7.2.1", port) + gateway() + \
        virtual_service("  - route: [{destination: {host: rude}}]\n    retries: {attempts: 0}")
    with Proxy(config) as p:
        c = http.client.HTTPConnection("127.0.0.1", p.port, timeout=WAIT)
        status = collections.Counter(p.request(connection=c)[0].status for _ in range(200))
        c.close()
        expect(status, {200: 200})
    backend.stop()


def test_no_hosts_no_cluster_no_route():
    rules = """  - match: [{uri: {prefix: /none}}]
    route: [{destination: {host: app, subset: v9}}]
  - match: [{uri: {prefix: /missing}}]
    route: [{destination: {host: missing}}]"""
    with World(rules) as w:
        expect(w.proxy.request("/missing")[0].status, 503)
        expect(w.proxy.request("/none")[0].status, 503)
        expect(w.proxy.request("/")[0].status, 404)
        lines = w.proxy.lines(3)
        assert " 503 NC cluster_not_found " in lines[0] and " 503 NC cluster_not_found " in lines[1], lines
        assert " 404 NR route_not_found " in lines[2], lines


def test_client_goes_away():
    with World(TO_V1) as w:
        with w.proxy.connect() as s:
            s.sendall(b"GET /gone HTTP/1.1\r\nHost: a\r\nX-Test-Delay: 1\r\n\r\n")
            until(lambda: w.v1.calls == 1, "the request at the backend")
        line = w.proxy.lines(1)[0]
        assert '"GET /gone HTTP/1.1" 0 DC downstream_remote_disconnect ' in line, line


def test_mirror():
    rules = TO_V1 + "\n    mirror: {host: app, subset: v2}\n    mirrorPercentage: {value: 100}"
    with World(rules) as w:
        for _ in range(20):
            expect(json.loads(w.proxy.request("/", "POST", body=b"y" * 20000)[1])["backend"], "v1")
        until(lambda: w.v2.calls == 20, f"20 copies, there are {w.v2.calls}")


V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\x09\xdc\4\1\xbb"


def test_trusted_proxies():
    """numTrustedProxies: the client is whom the first of them names, for logs, policies and the next hop."""
    topology = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: gw, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  template:
    metadata: {labels: {istio: ingressgateway}, annotations: {proxy.istio.io/config: '{"gatewayTopology": {"numTrustedProxies": 2}}'}}
    spec: {containers: [{name: istio-proxy}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: not-from-there, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  action: DENY
  rules: [{from: [{source: {remoteIpBlocks: ["203.0.113.66/32"]}}]}]
---"""
    form = "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT% %RESPONSE_CODE%"
    with World(TO_V1, more=topology, args=("--access-log-format", form)) as w:
        def ask(*fields):
            answer = w.proxy.raw(b"".join(b"%s\r\n" % f.encode() for f in ("GET / HTTP/1.1", "Host: a", *fields, "Connection: close", "", "")))
            return json.loads(answer[answer.index(b"{"):])["fields"] if b" 200 " in answer[:20] else int(answer[9:12])
        seen = ask("X-Forwarded-For: 192.0.2.1, 203.0.113.5", "X-Forwarded-For: 10.1.0.2", "X-Forwarded-Proto: https")
        expect((seen["x-forwarded-for"], seen["x-envoy-external-address"], seen["x-forwarded-proto"]),
               ("192.0.2.1, 203.0.113.5,10.1.0.2,127.0.0.1", "203.0.113.5", "https"))
        seen = ask("X-Forwarded-For: 203.0.113.5", "X-Envoy-External-Address: 1.2.3.4")
        expect((seen["x-forwarded-for"], seen.get("x-envoy-external-address")), ("203.0.113.5,127.0.0.1", None), "by one proxy alone")
        expect(ask("X-Forwarded-For: 203.0.113.66, 10.1.0.2"), 403)
        expect(ask("X-Forwarded-For: 203.0.113.66, 203.0.113.5, 10.1.0.2")["x-envoy-external-address"], "203.0.113.5", "a lie")
        expect(ask("X-Forwarded-For: [2001:db8::1], 10.1.0.2").get("x-envoy-external-address"), None, "no address")
        expect(ask("X-Forwarded-For: 2001:db8::1,10.1.0.2")["x-envoy-external-address"], "2001:db8::1")
        lines = w.proxy.lines(6)
        expect(lines[0], "203.0.113.5:0 127.0.0.1 200")
        assert lines[1].startswith("127.0.0.1:") and lines[2] == "203.0.113.66:0 127.0.0.1 403", lines
        expect(lines[5], "[2001:db8::1]:0 127.0.0.1 200")


def test_proxy_protocol_in():
    """Who the header names is in the log, in X-Forwarded-For and in policies; who connected is not."""
    policy = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: istio-system}
spec:
  rules: [{from: [{source: {remoteIpBlocks: [192.0.2.0/24], ipBlocks: [127.0.0.1]}}]}]
---"""
    get = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with World(TO_V1, more=policy, args=("--proxy-protocol",)) as w:
        for header in (b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n", V2):
            answer = w.proxy.raw(header + get)
            expect(json.loads(answer[answer.index(b"{"):])["fields"]["x-forwarded-for"], "192.0.2.1")
        assert b" 403 " in w.proxy.raw(b"PROXY TCP4 198.51.100.1 192.0.2.9 56324 443\r\n" + get)
        with w.proxy.connect() as s:  # byte by byte
            for byte in V2 + get:
                s.sendall(bytes([byte]))
            assert b" 200 OK" in receive_all(s)
        expect(w.proxy.raw(get), b"")
        expect(w.proxy.raw(b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\n" + get), b"")
        lines = w.proxy.lines(4)
        assert "192.0.2.1:56324" in lines[0] and "192.0.2.9:443" in lines[0], lines[0]


def test_proxy_protocol_out():
    """One gateway tells the next; each client has a connection of its own, for HTTP and for TCP."""
    with World(TO_V1, args=("--proxy-protocol",)) as behind:
        for version in ("V1", "V2"):
            rule = f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: next, namespace: default}}
spec: {{host: next, trafficPolicy: {{proxyProtocol: {{version: {version}}}}}}}
---"""
            config = (service("next", behind.proxy.port, "next") + pod("next-1", "next", "v1", "127.0.0.1", behind.proxy.port) + rule +
                      gateway() + virtual_service("  - route: [{destination: {host: next}}]"))
            tcp = config.replace("name: http, protocol: HTTP", "name: tcp, protocol: TCP").replace("  http:\n", "  tcp:\n")
            assert "{number: 80, name: tcp, protocol: TCP}" in tcp, tcp
            for text in (config, tcp):
                with Proxy(text) as front:
                    for last in range(1, 4):
                        with socket.create_connection(("127.0.0.1", front.port), WAIT, (f"127.7.9.{last}", 0)) as s:
                            s.sendall(b"GET / HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n")
                            answer = receive_all(s)
                        said = json.loads(answer[answer.index(b"{"):])["fields"]["x-forwarded-for"]
                        expect(said.split(",")[-1], f"127.7.9.{last}", version)


def test_websocket():
    class Upgrader(Handler):
        def answer(self, method, path, fields, digest, size):
            assert fields["upgrade"] == "websocket" and fields["connection"].lower() == "upgrade"
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            self.wfile.write(self.connection.recv(1000).upper())
            return False
    port = free_port()
    backend = Backend("127.7.2.2", port, "ws", Upgrader)
    config = service("ws", port, "ws") + pod("ws-1", "ws", "v1", "127.7.2.2", port) + gateway() + \
        virtual_service("  - route: [{destination: {host: ws}}]")
    with Proxy(config) as p, p.connect() as s:
        s.sendall(b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n")
        head = s.recv(1000)
        assert head.startswith(b"HTTP/1.1 101 ") and b"upgrade: websocket" in head, head
        s.sendall(b"frames")
        expect(receive_all(s), b"FRAMES")
    backend.stop()


def tcp_world(handler, port_name="tcp"):
    """A sidecar with an outbound listener for one service. The Service's port maps to the proxy's free port."""
    port = free_port()
    backend = Backend("127.7.3.1", port, "tcp", handler)
    config = (service("tcp", port, "tcp", port_name) + pod("tcp-1", "tcp", "v1", "127.7.3.1", port) +
              service("me", 9, "me") + pod("me-1", "me", "v1", "127.7.3.9", 9))
    listen = free_port()
    p = Proxy(config, "--port-map", f"{port}={listen},9={free_port()}", role=("--workload", "me-v1.default"), ready=False)
    p.port = listen
    line = p.process.stdout.readline()
    assert line == b"ready\n", p.errors()
    return p, backend, port


def test_tcp_with_half_close():
    p, backend, port = tcp_world(Echo)
    with p:
        answer = p.raw(b"hello" * 100000, shut=True)
        assert answer == b"HELLO" * 100000 + b"END", (len(answer), answer[-20:])
        line = p.lines(1)[0]
        assert re.match(rf'\[\S+\] "- - -" 0 - - - "-" 500000 500003 \d+ - "-" "-" "-" "-" "127.7.3.1:{port}" '
                        rf'outbound\|{port}\|\|tcp.default.svc.cluster.local 127.7.3.9:\d+ 127.0.0.1:\d+ 127.0.0.1:\d+ - -$', line), line
        backend.stop()
        expect(p.raw(b"x"), b"", "answer of a dead server")
        assert ' 0 UF ' in p.lines(2)[1], p.lines(2)[1]


def test_tcp_in_bulk():
    """Large pieces pass by the kernel alone: all of them arrive, in order, and no descriptor is left over."""
    p, backend, _ = tcp_world(Echo)
    data = random.Random(7).randbytes(8 << 20)

    def descriptors():
        return len(os.listdir(f"/proc/{p.process.pid}/fd"))
    with p:
        before = descriptors()
        for pause in (0, 0.5):                               # the second client is slow at first
            with p.connect() as s:
                sender = threading.Thread(target=lambda s=s: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
                sender.start()
                time.sleep(pause)
                got = receive_all(s)
                sender.join()
                assert got == data.upper() + b"END", (len(got), got[-10:])
        with p.connect() as s:                               # the third goes away in the midst of it
            s.sendall(data[:1 << 20])
            s.recv(1 << 16)
        lines = p.lines(3)
        assert f' {len(data)} {len(data) + 3} ' in lines[0] and f' {len(data)} {len(data) + 3} ' in lines[1], lines
        until(lambda: descriptors() <= before + 2 * 8 * (os.cpu_count() or 1), "descriptors beyond the spare pipes' are closed")
    backend.stop()


def test_tcp_server_speaks_first():
    for port_name in ("tcp", "unnamed"):                     # the second one is sniffed
        p, backend, _ = tcp_world(Greeter, port_name)
        with p, p.connect() as s:
            start = time.monotonic()
            expect(s.recv(100), b"220 ready\r\n")
            assert time.monotonic() - start < 1
            s.sendall(b"helo")
            expect(receive_all(s), b"250 helo")
        backend.stop()


def test_sniffing():
    p, backend, _ = tcp_world(Handler, "unnamed")
    with p:
        with p.connect() as s:
            for piece in (b"G", b"ET / HT", b"TP/1.1\r\nHost: tcp\r\nConnection: close\r\n\r\n"):
                s.sendall(piece)
                time.sleep(0.01)
            assert b"server: istio-envoy" in receive_all(s), "HTTP is served as HTTP"
    backend.stop()
    p, backend, _ = tcp_world(Echo, "unnamed")
    with p:
        expect(p.raw(b"GET key\r\n", shut=True), b"GET KEY\r\nEND", "Redis' inline commands are no HTTP")
        expect(p.raw(b"*1\r\n", shut=True), b"*1\r\nEND")
    backend.stop()


def test_inbound():
    """The sidecar in front of an application: what comes to the Pod's address goes to --app-address."""
    port, other = free_port(), free_port()
    backend = Backend("127.7.4.100", port, "app")
    config = (service("srv", port, "srv") + pod("srv-1", "srv", "v1", "127.7.4.1", port) + service("cli", other, "cli") +
              pod("cli-1", "cli", "v1", "127.7.4.2", other))
    with Proxy(config, "--app-address", "127.7.4.100", "--bind", "127.7.4.3", role=("--workload", "srv-v1.default")) as p:
        c = http.client.HTTPConnection("127.7.4.1", port, timeout=WAIT, source_address=("127.7.4.2", 0))
        r, data = p.request("/in", connection=c)
        c.close()
        expect((r.status, json.loads(data)["path"]), (200, "/in"))
        line = p.lines(1)[0]
        assert f'"127.7.4.100:{port}" inbound|{port}|| ' in line and f" 127.7.4.1:{port} 127.7.4.2:" in line, line
        assert line.endswith(" default"), line
    backend.stop()


class Load:
    """Requests without a pause, on kept connections and on new ones, until told to stop."""

    def __init__(self, p, threads=4):
        self.p, self.stopped, self.failed, self.done = p, False, [], collections.Counter()
        self.pool = concurrent.futures.ThreadPoolExecutor(threads)
        self.futures = [self.pool.submit(self.run, i) for i in range(threads)]

    def run(self, i):
        c = None
        while not self.stopped:
            try:
                c = c or http.client.HTTPConnection("127.0.0.1", self.p.port, timeout=WAIT)
                r, data = self.p.request(connection=c)
                self.done[json.loads(data)["backend"] if r.status == 200 else r.status] += 1
                if r.status != 200:
                    self.failed.append(r.status)
                if i % 2 or r.will_close:
                    c.close()
                    c = None
            except Exception as e:      # noqa: BLE001  every failure counts
                self.failed.append(repr(e))
                c = None

    def stop(self):
        self.stopped = True
        self.pool.shutdown()


def test_reload_under_load():
    with World(TO_V1, args=("--threads", "2")) as w:
        load = Load(w.proxy)
        for i in range(20):
            w.proxy.reload(w.config(TO_V1.replace("v1", f"v{1 + (i + 1) % 2}")))
            time.sleep(0.05)
        load.stop()
        assert not load.failed, load.failed[:5]
        assert load.done["v1"] > 50 and load.done["v2"] > 50, load.done
        expect(json.loads(w.proxy.request()[1])["backend"], "v1", "the last configuration")


def test_bad_file_is_refused():
    with World(TO_V1) as w:
        w.proxy.reload(w.config(TO_V1) + "\napiVersion: v1\nkind: Service\nmetadata: {name: [}\n")
        assert "config.yaml" in w.proxy.errors() and "the old configuration stays" in w.proxy.errors()
        expect(w.proxy.request()[0].status, 200)
        w.proxy.reload(w.config(TO_V1.replace("subset: v1", "subset: v1, colour: red")))
        expect(w.proxy.request()[0].status, 200)
        w.proxy.reload(w.config(TO_V1.replace("v1", "v2")))
        expect(json.loads(w.proxy.request()[1])["backend"], "v2")


def test_listeners_come_and_go():
    mapped = free_port()
    with World(TO_V1, args=("--port-map", f"81={mapped}")) as w:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", mapped))
            raise AssertionError("a listener that is not configured")
        kept = http.client.HTTPConnection("127.0.0.1", w.proxy.port, timeout=WAIT)
        w.proxy.request(connection=kept)
        both = w.config(TO_V1)
        second = gateway(81).replace("name: gw,", "name: gw2,")
        w.proxy.reload(both + second + virtual_service(TO_V1, "vs2").replace("gateways: [gw]", "gateways: [gw2]"))
        c = http.client.HTTPConnection("127.0.0.1", mapped, timeout=WAIT)
        expect(w.proxy.request(connection=c)[0].status, 200, "the new listener")
        w.proxy.reload(both)
        r, _ = w.proxy.request(connection=c)
        expect((r.status, r.headers["connection"]), (200, "close"), "the last answer of a listener that is gone")
        c.close()

        def refused():
            try:
                socket.create_connection(("127.0.0.1", mapped)).close()
            except ConnectionRefusedError:
                return True
            return False
        until(refused, "the listener is closed")
        expect(w.proxy.request(connection=kept)[0].status, 200, "the one that stays")
        kept.close()


def test_sigterm_drains():
    with World(TO_V1) as w:
        with w.proxy.connect() as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Test-Delay: 1\r\n\r\n")
            until(lambda: w.v1.calls == 1, "the request at the backend")
            start = time.monotonic()
            w.proxy.process.send_signal(signal.SIGTERM)
            answer = receive_all(s)
            assert answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer, answer
        expect(w.proxy.process.wait(5), 0)
        assert time.monotonic() - start < 3
        expect(len(w.proxy.lines(1)), 1)


def test_sigterm_ends_in_time():
    p, backend, _ = tcp_world(Echo)
    with p, p.connect() as s:
        s.sendall(b"x")
        expect(s.recv(10), b"X")
        start = time.monotonic()
        p.process.send_signal(signal.SIGTERM)
        expect(p.process.wait(6), 0)
        assert time.monotonic() - start < 5, "a connection that goes on does not hold the proxy"
        assert " 1 1 " in p.lines(1)[0], p.lines(1)
    backend.stop()


def test_thousand_idle_connections():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    with World(TO_V1) as w:
        idle = [w.proxy.connect() for _ in range(1000)]
        for s in idle[:100]:
            s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for s in idle[:100]:
            assert s.recv(65536).startswith(b"HTTP/1.1 200")
        start = time.monotonic()
        expect(w.proxy.request()[0].status, 200)
        assert time.monotonic() - start < 1
        with open(f"/proc/{w.proxy.process.pid}/status") as f:
            resident = int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])
        for s in idle:
            s.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    sanitized = b"__asan_init" in open(PROXY, "rb").read() or b"__tsan_init" in open(PROXY, "rb").read()
    assert sanitized or resident < 32 << 10, f"{resident} KiB with 1,000 connections"


def test_wrong_usage():
    for args, word in [(["--nonsense"], "--nonsense"), (["--gateway", "x.y"], "--config"), (["--gateway", "x"], "NAME.NAMESPACE"),
                       (["--config", "/nowhere"], "--gateway"), (["--gateway", "a.b", "--config", "x", "--threads", "0"], "--threads"),
                       (["--gateway", "a.b", "--config", "x", "--port-map", "80"], "--port-map"),
                       (["--gateway", "a.b", "--control", "x://y"], "--control: URL"),
                       (["--gateway", "a.b", "--config", "x", "--telemetry", "y"], "--telemetry: URL")]:
        r = subprocess.run([PROXY, *args], capture_output=True, text=True, timeout=WAIT)
        assert r.returncode == 2 and word in r.stderr and r.stderr.startswith("vigla-proxy: "), (args, r)
    r = subprocess.run([PROXY, "--gateway", "a.b", "--config", "/nowhere.yaml"], capture_output=True, text=True, timeout=WAIT)
    assert r.returncode == 1 and "/nowhere.yaml" in r.stderr, r
    assert "--outbound-net" in subprocess.run([PROXY, "--help"], capture_output=True, text=True, timeout=WAIT).stdout


def test_port_taken():
    with World(TO_V1) as w:
        r = subprocess.run([PROXY, "--config", os.path.join(w.proxy.dir, "config.yaml"), "--gateway", "gw.x", "--port-map", f"80={w.proxy.port}",
                            "--telemetry", "none"], capture_output=True, text=True, timeout=WAIT)
        assert r.returncode == 1 and f"127.0.0.1:{w.proxy.port}" in r.stderr and "in use" in r.stderr, r


class Control(socketserver.ThreadingTCPServer):
    """The server's side of the configuration protocol, on one thread for each proxy."""
    daemon_threads = allow_reuse_address = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError):
                while (line := self.rfile.readline().decode()):
                    while self.rfile.readline().strip():
                        pass
                    query = dict(part.split("=", 1) for part in line.split()[1].split("?", 1)[1].split("&"))
                    self.serve(query)

        def serve(self, query):
            me = self.server
            me.asked.append(query)
            end = time.monotonic() + 5
            seen = {int(query["version"]), int(query.get("rejected", 0))}
            while me.version in seen and time.monotonic() < end:
                time.sleep(0.02)
            if me.version in seen:
                self.wfile.write(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n")
                return
            body = me.config.encode()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nVigla-Version: %d\r\nContent-Length: %d\r\n\r\n%s" % (me.version, len(body), body))

    def __init__(self, port=0):
        self.asked, self.version, self.config = [], 0, ""
        super().__init__(("127.0.0.1", port), self.Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()


def start_controlled(url, port, cache):
    command = [PROXY, "--control", url, "--cache", cache, "--gateway", "gw.istio-system", "--pod", "gw-1", "--port-map", f"80={port}",
               "--telemetry", "none"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_control():
    with World(TO_V1) as w, tempfile.TemporaryDirectory() as folder:
        control, port, cache = Control(), free_port(), os.path.join(folder, "cache.yaml")
        url = "http://127.0.0.1:%d" % control.server_address[1]
        control.config, control.version = w.config(TO_V1), 7
        p = start_controlled(url, port, cache)

        def backend():
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
            c.request("GET", "/", headers={"Host": "a"})
            said = json.loads(c.getresponse().read())["backend"]
            c.close()
            return said
        try:
            expect(p.stdout.readline(), b"ready\n")
            expect(backend(), "v1")
            control.config, control.version = w.config(TO_V1.replace("v1", "v2")), 8
            until(lambda: backend() == "v2", "the new version")
            until(lambda: control.asked[-1]["version"] == "8", "its acknowledgement")
            expect(control.asked[-1]["node"], "gw-1.istio-system")
            control.config, control.version = "kind: [\n", 9
            until(lambda: control.asked[-1].get("rejected") == "9", "the refusal")
            assert control.asked[-1]["version"] == "8" and control.asked[-1]["error"], control.asked[-1]
            expect(backend(), "v2", "the old version stays")
        finally:
            p.send_signal(signal.SIGTERM)
            expect(p.wait(6), 0)
            p.communicate()
            control.stop()
        with open(cache) as f:
            expect(f.readline(), "# vigla-version 8\n")
        p = start_controlled(url, port, cache)              # the server is away
        try:
            expect(p.stdout.readline(), b"ready\n")
            expect(backend(), "v2", "from the cache")
            control = Control(control.server_address[1])     # and comes back
            control.config, control.version = w.config(TO_V1), 10
            until(lambda: backend() == "v1", "the server's version")
            control.stop()
        finally:
            p.send_signal(signal.SIGTERM)
            expect(p.wait(6), 0)
            p.communicate()


if __name__ == "__main__":
    sys.exit(run(globals()))
