#!/usr/bin/env python3
"""HTTP/2 and gRPC through vigla-proxy: curl and grpcio as clients and servers, and frames made by hand for what these would
never send.

    http2_test.py [NAME...]        only the tests whose name contains one of these

Debian's python3-grpcio is needed: /usr/bin/python3. Closing line: N passed, N failed, N skipped.
"""
import base64
import collections
import concurrent.futures
import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import grpc

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from http2_frames import (ACK, CALM, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE,
                          PROTOCOL_ERROR, RST_STREAM, SETTINGS, WINDOW_UPDATE, Raw, frame, head, literal, raw)
from proxy_test import (Backend, Handler, Proxy, WAIT, World, expect, free_port, gateway, metric, pod,  # noqa: E402
                        service, until, virtual_service)
from suite import run  # noqa: E402

# --- curl ---------------------------------------------------------------------------------------------------------

def curl(proxy, path="/", *args):
    done = subprocess.run(["curl", "-s", "--max-time", "20", "--http2-prior-knowledge", "-H", "Host: app.example", *args,
                           f"http://127.0.0.1:{proxy.port}{path}"], capture_output=True, check=False)
    assert done.returncode == 0, f"curl: {done.returncode} {done.stderr.decode()}"
    return done.stdout


def test_requests_and_bodies():
    with World() as w, tempfile.NamedTemporaryFile() as body:
        said = json.loads(curl(w.proxy, "/a?b=c", "-H", "Cookie: x=1"))
        expect((said["method"], said["path"], said["fields"]["host"]), ("GET", "/a?b=c", "app.example"))
        body.write(os.urandom(3_000_000))
        body.flush()
        digest = hashlib.sha256(open(body.name, "rb").read()).hexdigest()
        said = json.loads(curl(w.proxy, "/up", "--data-binary", "@" + body.name))
        expect((said["size"], said["sha256"], said["fields"]["content-length"]), (3_000_000, digest, "3000000"))
        said = json.loads(curl(w.proxy, "/up", "-H", "Content-Length:", "-T", body.name))
        expect((said["method"], said["sha256"], said["fields"].get("transfer-encoding")), ("PUT", digest, "chunked"))
        expect(len(curl(w.proxy, "/down", "-H", "x-test-bytes: 5000000")), 5_000_000)
        expect(curl(w.proxy, "/head", "-I").splitlines()[0].strip(), b"HTTP/2 200")
        line = w.proxy.lines(5)[0]
        assert '"GET /a?b=c HTTP/2" 200' in line, line


def test_the_two_versions_on_one_port():
    with World() as w:
        expect(json.loads(curl(w.proxy))["method"], "GET")
        r, _ = w.proxy.request()
        expect(r.status, 200)


def test_other_clients():
    """nghttp2's own, where they are installed: many streams on many connections, bodies, and priorities of old."""
    with World() as w, tempfile.NamedTemporaryFile() as body:
        body.write(os.urandom(100_000))
        body.flush()
        url = f"http://127.0.0.1:{w.proxy.port}/"
        for tool, *args in (("h2load", "-n2000", "-c10", "-m20"), ("h2load", "-n200", "-c4", "-m8", "-d", body.name),
                            ("h2load", "-n100", "-c2", "-m100", "-w", "10", "-W", "10", "-H", "x-test-bytes: 100000")):
            if shutil.which(tool):
                said = subprocess.run([tool, *args, url], capture_output=True, text=True, timeout=60, check=True).stdout
                total = int(args[0][2:])
                assert f"{total} succeeded, 0 failed" in said and f"status codes: {total} 2xx" in said, said
        if shutil.which("nghttp"):
            said = subprocess.run(["nghttp", "-v", "-a", url, url + "x"], capture_output=True, text=True, timeout=60, check=True)
            expect(said.stdout.count(":status: 200"), 2, said.stdout)


def test_proxy_protocol():
    with World(args=("--proxy-protocol",)) as w, \
            raw(w.proxy, first=b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n") as r:
        r.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, head()))
        expect(json.loads(r.until(DATA, 1)[3])["fields"]["x-forwarded-for"], "192.0.2.1")
        assert "192.0.2.1:56324" in w.proxy.lines(1)[0]


def test_trailers_between_the_versions():
    """HTTP/2's become HTTP/1's and the other way round; what is no trailer stays behind."""
    trailers = literal("x-sum", "7") + literal("authorization", "Bearer x") + literal("x-more", "1")
    with World() as w:
        answer = curl(w.proxy, "/", "-i", "-H", "x-test-chunked: 1", "-H", "te: trailers").decode()
        assert re.search(r"^trailer: X-Trailer\r$", answer, re.M) and "set-cookie" not in answer, answer
        assert re.search(r"}x-trailer: 1\r$", answer, re.M), answer  # curl shows a trailer as soon as it has come
        expect(json.loads(answer[answer.index("{"):answer.rindex("}") + 1])["fields"].get("te"), "trailers")
        with raw(w.proxy) as r:
            r.send(frame(HEADERS, END_HEADERS, 1, head(method="POST", more=[("trailer", "x-sum")])), frame(DATA, 0, 1, b"abc"),
                   frame(HEADERS, END_HEADERS | END_STREAM, 1, trailers))
            said = json.loads(r.until(DATA, 1)[3])
            expect((said["size"], said["trailers"]), (3, ["x-sum: 7", "x-more: 1"]))
            expect((said["fields"].get("trailer"), said["fields"].get("te")), ("x-sum", None))
            # A length is kept as it is: HTTP/1 has no room for trailers then.
            r.send(frame(HEADERS, END_HEADERS, 3, head(method="POST", more=[("content-length", "3")])),
                   frame(DATA, 0, 3, b"abc"), frame(HEADERS, END_HEADERS | END_STREAM, 3, trailers))
            said = json.loads(r.until(DATA, 3)[3])
            expect((said["size"], said["fields"].get("content-length"), said["trailers"]), (3, "3", []))


# --- gRPC -----------------------------------------------------------------------------------------------------------

def grpc_server(ip, port):
    def unary(request, context):
        if request == b"fail":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked")
        context.set_trailing_metadata((("x-trailer", "behind"),))
        return request.upper()

    def stream(requests, context):
        for r in requests:
            yield r.upper()
    methods = {"Unary": grpc.unary_unary_rpc_method_handler(unary), "Chat": grpc.stream_stream_rpc_method_handler(stream)}
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", methods),))
    assert server.add_insecure_port(f"{ip}:{port}")
    server.start()
    return server


@contextlib.contextmanager
def grpc_world(proxy=Proxy):
    """gateway → sidecar → application, all by HTTP/2."""
    port, side_admin, edge_admin = free_port(), free_port(), free_port()
    config = (service("app", port, "app", "grpc") + pod("app-1", "app", "v1", "127.7.21.1", port) + gateway() +
              virtual_service("  - route: [{destination: {host: app}}]"))
    server = grpc_server("127.7.21.2", port)
    with proxy(config, "--app-address", "127.7.21.2", "--bind", "127.7.21.3", "--admin", f"127.0.0.1:{side_admin}",
               role=("--workload", "app-v1.default")) as side, \
            proxy(config, "--admin", f"127.0.0.1:{edge_admin}") as edge:
        side.admin, edge.admin = side_admin, edge_admin
        channel = grpc.insecure_channel(f"127.0.0.1:{edge.port}", (("grpc.default_authority", "app.example"),))
        try:
            yield edge, side, channel
        finally:
            channel.close()
            server.stop(0).wait()


class Health:
    """grpc.health.v1.Health of one server; `statuses` by service: 1 is SERVING, None no such service."""

    def __init__(self, ip, port):
        self.statuses, self.asked = {"shop": 1}, collections.Counter()
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
        methods = {"Check": grpc.unary_unary_rpc_method_handler(self.check)}
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", methods),))
        assert self.server.add_insecure_port(f"{ip}:{port}")
        self.server.start()

    def check(self, request, context):
        service_name = request[2:].decode()          # field 1, its length, the text
        self.asked[service_name] += 1
        status = self.statuses.get(service_name)
        if status is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return bytes([8, status])


HEALTH = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: checks, namespace: istio-system}
spec:
  configPatches:
  - applyTo: CLUSTER
    match: {cluster: {service: app.default.svc.cluster.local}}
    patch:
      operation: MERGE
      value:
        health_checks:
        - {timeout: 1s, interval: 0.05s, no_traffic_interval: 0.05s, unhealthy_threshold: 2, healthy_threshold: 1,
           grpc_health_check: {service_name: shop}}
---"""


def test_grpc_health_checks():
    port, admin = free_port(), free_port()
    config = (service("app", port, "app", "grpc") + pod("app-1", "app", "v1", "127.7.22.1", port) +
              pod("app-2", "app", "v1", "127.7.22.2", port) + gateway() +
              virtual_service("  - route: [{destination: {host: app}}]") + HEALTH)
    hosts = [Health(f"127.7.22.{i}", port) for i in (1, 2)]

    def flags():
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/clusters", timeout=WAIT) as r:
            lines = sorted(r.read().decode().splitlines())
        return [line.rsplit("::", 1)[1] for line in lines if "::health_flags::" in line and "|app." in line]
    with Proxy(config, "--admin", f"127.0.0.1:{admin}"):
        until(lambda: flags() == ["healthy", "healthy"], "both serve")
        for bad in (2, None):                        # NOT_SERVING; no such service
            hosts[0].statuses["shop"] = bad
            until(lambda: flags() == ["/failed_active_hc", "healthy"], f"the first one is out: {bad}")
            hosts[0].statuses["shop"] = 1
            until(lambda: flags() == ["healthy", "healthy"], "and in again")
        expect(set(hosts[0].asked), {"shop"})
        hosts[1].server.stop(0).wait()
        until(lambda: flags() == ["healthy", "/failed_active_hc"], "the second one has gone")
    hosts[0].server.stop(0).wait()


def test_grpc_unary_with_trailers():
    with grpc_world() as (edge, side, channel):
        call = channel.unary_unary("/test.Echo/Unary")
        said, about = call.with_call(b"hello", timeout=WAIT)
        expect(said, b"HELLO")
        expect(dict(about.trailing_metadata())["x-trailer"], "behind")
        try:
            call(b"fail", timeout=WAIT)
            raise AssertionError("a failure came back as a success")
        except grpc.RpcError as e:
            expect((e.code(), e.details()), (grpc.StatusCode.FAILED_PRECONDITION, "as asked"))
        for p in (edge, side):
            lines = p.lines(2)
            assert '"POST /test.Echo/Unary HTTP/2" 200' in lines[0], lines


def test_grpc_messages_are_counted():
    with grpc_world() as (edge, side, channel):
        call = channel.unary_unary("/test.Echo/Unary")
        expect(call(b"x" * 100_000, timeout=WAIT), b"X" * 100_000)
        sent = [b"", b"a", b"b" * 70_000] * 4
        expect(len(list(channel.stream_stream("/test.Echo/Chat")(iter(sent), timeout=WAIT))), 12)
        try:
            call(b"fail", timeout=WAIT)
        except grpc.RpcError as e:
            expect(e.code(), grpc.StatusCode.FAILED_PRECONDITION)
        for p in (edge, side):
            until(lambda p=p: metric(p.admin, "istio_requests_total", 'request_protocol="grpc"') == 3, "three requests counted")
            expect(metric(p.admin, "istio_request_messages_total", 'request_protocol="grpc"', 'grpc_response_status="0"'), 13)
            expect(metric(p.admin, "istio_response_messages_total", 'request_protocol="grpc"', 'grpc_response_status="0"'), 13)
            expect(metric(p.admin, "istio_request_messages_total", 'grpc_response_status="9"'), 1)
            expect(metric(p.admin, "istio_response_messages_total", 'grpc_response_status="9"'), 0)


def test_grpc_answers_a_client_of_http_1():
    with grpc_world() as (edge, _, _):
        answer = edge.raw(b"POST /test.Echo/Unary HTTP/1.1\r\nHost: app.example\r\nContent-Type: application/grpc\r\n"
                          b"Connection: TE, close\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n"
                          b"a\r\n\0\0\0\0\5hello\r\n0\r\n\r\n")
        assert b"a\r\n\0\0\0\0\5HELLO\r\n0\r\n" in answer, answer
        behind = answer[answer.index(b"HELLO"):]
        assert b"\r\ngrpc-status: 0\r\n" in behind and b"\r\nx-trailer: behind\r\n" in behind, behind


def test_our_own_answers_to_grpc():
    """In its own kind of status, whatever the reason is; a plain client gets HTTP's."""
    port = free_port()
    config = (service("app", port, "app", "grpc") + pod("app-1", "app", "v1", "127.7.21.9", port) + gateway() + """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vs, namespace: default}
spec:
  hosts: ["*"]
  gateways: [gw]
  http:
  - {match: [{uri: {prefix: /fault}}], fault: {abort: {percentage: {value: 100}, httpStatus: 429}}, route: [{destination: {host: app}}]}
  - {match: [{uri: {prefix: /direct}}], directResponse: {status: 403, body: {string: "100% no"}}}
  - {match: [{uri: {prefix: /dead}}], route: [{destination: {host: app}}]}
---""")
    with Proxy(config) as p, grpc.insecure_channel(f"127.0.0.1:{p.port}", (("grpc.default_authority", "app.example"),)) as channel:
        for n, (path, code, details) in enumerate((("/fault/X", "UNAVAILABLE", "fault filter abort"),
                                                   ("/direct/X", "PERMISSION_DENIED", "100% no"),
                                                   ("/dead/X", "UNAVAILABLE", "upstream connect error"),
                                                   ("/other/X", "UNIMPLEMENTED", "")), 1):
            try:
                channel.unary_unary(path)(b"x", timeout=WAIT)
                raise AssertionError(f"{path} was served")
            except grpc.RpcError as e:
                expect(e.code().name, code, path)
                assert e.details().startswith(details), (path, e.details())
            assert f'"POST {path} HTTP/2" 200 ' in p.lines(n)[-1], p.lines(n)
        answer = p.raw(b"GET /direct/X HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 403 ") and answer.endswith(b"100% no"), answer


def test_grpc_streams_both_ways_at_once():
    with grpc_world() as (_, _, channel):
        turn, go = [], threading.Semaphore(1)

        def requests():
            for i in range(200):
                go.acquire()
                yield b"message %d" % i
        for i, said in enumerate(channel.stream_stream("/test.Echo/Chat")(requests(), timeout=WAIT)):
            expect(said, b"MESSAGE %d" % i)          # each before the next is sent: nothing waits for the end
            turn.append(i)
            go.release()
        expect(len(turn), 200)


def test_grpc_many_calls_on_one_connection():
    with grpc_world() as (edge, side, channel):
        call = channel.unary_unary("/test.Echo/Unary")
        futures = [call.future(b"x" * (i * 37 % 50000), timeout=20) for i in range(500)]
        for i, f in enumerate(futures):
            expect(len(f.result()), i * 37 % 50000)
        addresses = {re.search(r'(\S+) \S+ \S+ - \S+$', line).group(1) for line in edge.lines(500)}
        assert len(addresses) <= 8, f"500 calls over {len(addresses)} connections: {addresses}"


def test_grpc_client_gives_up():
    with grpc_world() as (edge, _, channel):
        started = threading.Event()

        def requests():
            yield b"one"
            started.set()
            time.sleep(60)
        call = channel.stream_stream("/test.Echo/Chat")(requests(), timeout=WAIT)
        expect(next(call), b"ONE")
        call.cancel()
        line = edge.lines(1)[0]
        assert " DC " in line, line


# --- WebSockets -------------------------------------------------------------------------------------------------------

def websocket_accept(key):
    return base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


class Upgrader(Handler):
    """Takes an upgrade by HTTP/1 and shouts back, until its client closes its half."""

    def answer(self, method, path, fields, digest, size):
        if path == "/no":
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nsad\n")
            return True
        if path == "/page":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhey\n")
            return True
        expect((method, fields["upgrade"], fields["connection"].lower()), ("GET", "websocket", "upgrade"))
        accept = websocket_accept(fields["sec-websocket-key"] if path != "/liar" else "other")
        self.wfile.write(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                         f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n".encode())
        while (data := self.connection.recv(1000)):
            self.wfile.write(data.upper())
        self.wfile.write(b"END")
        return False


class TunnelServer(socketserver.BaseRequestHandler):
    """Speaks HTTP/2 by hand and takes CONNECT if its SETTINGS say so; HTTP/1 like Upgrader."""
    takes = True
    seen = []

    def handle(self):
        first = self.request.recv(len(PREFACE), socket.MSG_WAITALL)
        self.seen.append(first[:3].decode())
        if first == PREFACE:
            self.speak_http2()
            return
        head = first
        while b"\r\n\r\n" not in head:
            head += self.request.recv(1000)
        key = re.search(rb"(?i)sec-websocket-key: (\S+)", head).group(1).decode()
        self.request.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                             b"Sec-WebSocket-Accept: " + websocket_accept(key).encode() + b"\r\n\r\n")
        self.request.sendall(self.request.recv(1000).upper())

    def speak_http2(self):
        r = Raw.of(self.request)
        time.sleep(0.05)         # SETTINGS are waited for
        r.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 8, 1) if self.takes else b""))
        while (f := r.read()):
            kind, flags, stream, payload = f
            if kind == SETTINGS and not flags & ACK:
                r.send(frame(SETTINGS, ACK, 0))
            elif kind == HEADERS:
                r.send(frame(HEADERS, END_HEADERS, stream, b"\x88" + literal("x-from", "http2")))
            elif kind == DATA:
                r.send(frame(DATA, flags & END_STREAM, stream, payload.upper()))


@contextlib.contextmanager
def websocket_world(handler, port_name="http"):
    port = free_port()
    backend = Backend("127.7.22.2", port, "ws", handler)
    config = (service("ws", port, "ws", port_name) + pod("ws-1", "ws", "v1", "127.7.22.2", port) + gateway() +
              virtual_service("  - route: [{destination: {host: ws}}]"))
    with Proxy(config) as p:
        yield p
    backend.stop()


def connect(path="/chat", protocol="websocket", more=()):
    return head(path, "CONNECT", more=more) if not protocol else \
        literal(":method", "CONNECT") + literal(":protocol", protocol) + head(path, more=more)[len(literal(":method", "GET")):]


def test_websocket_over_http2():
    with websocket_world(Upgrader) as p, raw(p) as r:
        settings = r.until(SETTINGS)[3]
        assert struct.pack(">HI", 8, 1) in settings, "SETTINGS_ENABLE_CONNECT_PROTOCOL"
        r.send(frame(HEADERS, END_HEADERS, 1, connect(more=[("sec-websocket-protocol", "chat")])), frame(DATA, 0, 1, b"early "))
        answer = r.until(HEADERS, 1)[3]
        assert answer[0] == 0x88, answer
        expect(r.until(DATA, 1)[3], b"EARLY ")
        for word in (b"one", b"two"):
            r.send(frame(DATA, 0, 1, word))
            expect(r.until(DATA, 1)[3], word.upper())
        r.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, head("/no")))   # beside it, another request
        expect(r.until(DATA, 3)[3], b"sad\n")
        r.send(frame(DATA, END_STREAM, 1, b"three"))
        said = b""
        while not said.endswith(b"END"):
            said += r.until(DATA, 1)[3]
        expect(said, b"THREEEND")
        lines = p.lines(2)
        assert any('"GET /chat HTTP/2" 101 ' in line for line in lines), lines


def test_websocket_over_http2_is_refused():
    with websocket_world(Upgrader) as p:
        for n, (path, status) in enumerate((("/no", "403"), ("/liar", "502"), ("/page", "502")), 1):
            with raw(p) as r:
                r.send(frame(HEADERS, END_HEADERS, 1, connect(path)))
                r.until(HEADERS, 1)
                if path == "/no":
                    expect(r.until(DATA, 1)[3], b"sad\n")
                line = p.lines(n)[-1]
                assert f'"GET {path} HTTP/2" {status} ' in line, line
        with raw(p) as r:
            r.send(frame(HEADERS, END_HEADERS, 1, connect(protocol="connect-udp")))
            r.until(HEADERS, 1)
            assert " 501 DPE " in p.lines(4)[-1], p.lines(4)
            r.send(frame(HEADERS, END_HEADERS, 3, literal(":protocol", "websocket") + head()))
            expect(int.from_bytes(r.until(RST_STREAM, 3)[3], "big"), PROTOCOL_ERROR, "it belongs to CONNECT")
            r.send(frame(HEADERS, END_HEADERS, 5, literal(":method", "CONNECT") + literal(":authority", "a:1")))
            r.until(HEADERS, 5)


def test_websocket_client_gives_up():
    with websocket_world(Upgrader) as p, raw(p) as r:
        r.send(frame(HEADERS, END_HEADERS, 1, connect()))
        expect(r.status(1), 200)
        r.send(frame(RST_STREAM, 0, 1, struct.pack(">I", CANCEL)))
        line = p.lines(1)[0]
        assert '"GET /chat HTTP/2" 101 DC ' in line, line


def ask_by_http1(p):
    key = base64.b64encode(os.urandom(16)).decode()
    with p.connect() as s:
        s.sendall(f"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += s.recv(1000)
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        assert re.search(rb"(?i)sec-websocket-accept: (\S+)", answer).group(1).decode() == websocket_accept(key), answer
        s.sendall(b"frames")
        expect(s.recv(100), b"FRAMES")
    return answer


def ask_by_http2(p):
    with raw(p) as r:
        r.send(frame(HEADERS, END_HEADERS, 1, connect()))
        expect(r.status(1), 200)
        r.send(frame(DATA, 0, 1, b"frames"))
        expect(r.until(DATA, 1)[3], b"FRAMES")


def test_websocket_to_a_host_of_http2():
    class Takes(TunnelServer):
        takes, seen = True, []
    with websocket_world(Takes, "http2") as p:
        assert b"x-from: http2" in ask_by_http1(p)
        ask_by_http2(p)
        ask_by_http1(p)
        expect(set(Takes.seen), {"PRI"})


def test_websocket_to_a_host_without_connect():
    """Its SETTINGS say no: HTTP/1 it is."""
    class Takes(TunnelServer):
        takes, seen = False, []
    with websocket_world(Takes, "http2") as p:
        ask_by_http1(p)
        ask_by_http2(p)
        expect(sorted(Takes.seen)[:2], ["GET", "GET"])


# --- what no client of good will sends -------------------------------------------------------------------------------

def test_malformed_requests():
    bad = {
        "a name in capitals": head(more=[("X-Upper", "1")]),
        "a second path": head(more=[]) + literal(":path", "/b"),
        "a field for one hop": head(more=[("connection", "close")]),
        "transfer-encoding": head(more=[("transfer-encoding", "chunked")]),
        "no path": b"".join(literal(n, v) for n, v in [(":method", "GET"), (":scheme", "http"), (":authority", "a.b")]),
        "a pseudo-field behind a field": literal("x", "1") + head(),
        "an unknown pseudo-field": head() + literal(":other", "1"),
        "a line's end in a value": head(more=[("x", "a\r\nhost: b")]),
    }
    to_be_said = {
        "a blank in the path": head("/a b"),
        "a target without a slash": head("a"),
        "a host that differs": head(more=[("host", "other.example")]),
        "two hosts": head(more=[("host", "app.example"), ("host", "app.example")]),
        "an authority with a user": head(authority="me@app.example"),
    }
    with World() as w:
        for what, block in bad.items():
            with raw(w.proxy) as r:
                r.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, block))
                f = r.until(RST_STREAM, 1)
                expect(int.from_bytes(f[3], "big"), PROTOCOL_ERROR, what)
                r.send(frame(HEADERS, END_STREAM | END_HEADERS, 3, head()))
                expect(r.status(3), 200, f"after {what}: the connection goes on")
        for what, block in to_be_said.items():
            with raw(w.proxy) as r:
                r.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, block))
                f = r.read()
                while f and f[0] not in (HEADERS, RST_STREAM):
                    f = r.read()
                assert f and (f[0] == RST_STREAM or f[3][0] == 0x8c), f"{what}: {f}"
        expect(w.v1.calls + w.v2.calls, len(bad), "only the good ones reached a backend")


def test_length_and_body_disagree():
    with World() as w:
        for body, announced in ((b"12345", "4"), (b"123", "4")):
            with raw(w.proxy) as r:
                r.send(frame(HEADERS, END_HEADERS, 1, head(method="POST", more=[("content-length", announced)])),
                       frame(DATA, END_STREAM, 1, body))
                expect(int.from_bytes(r.until(RST_STREAM, 1)[3], "big"), PROTOCOL_ERROR)


def test_cookie_crumbs_are_joined():
    with World() as w, raw(w.proxy) as r:
        r.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, head(more=[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")])))
        expect(r.status(1), 200)
        said = json.loads(r.until(DATA, 1)[3])
        expect((said["fields"]["cookie"], said["fields"]["x"]), ("a=1; b=2", "y"))


def flood(proxy, piece, rounds):
    """What ends the connection: GOAWAY's code, or "closed"."""
    with raw(proxy) as r:
        with contextlib.suppress(OSError):
            for i in range(rounds):
                r.send(piece(i))
        try:
            return int.from_bytes(r.until(GOAWAY)[3][4:8], "big")
        except (AssertionError, OSError):
            return "closed"


def test_floods_end_the_connection():
    with World() as w:
        def rapid_reset(i):
            return b"".join(frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, head()) +
                            frame(RST_STREAM, 0, 2 * n + 1, struct.pack(">I", CANCEL))
                            for n in range(i * 100, i * 100 + 100))
        floods = {
            "rapid reset": (rapid_reset, 300),
            "ping": (lambda i: frame(PING, 0, 0, b"12345678") * 500, 100),
            "settings": (lambda i: frame(SETTINGS, 0, 0) * 500, 100),
            "empty data": (lambda i: (frame(HEADERS, END_HEADERS, 1, head(method="POST")) if i == 0 else b"") +
                           frame(DATA, 0, 1) * 500, 100),
            "continuation": (lambda i: (frame(HEADERS, 0, 1, head()) if i == 0 else b"") +
                             frame(CONTINUATION, 0, 1, literal("x", "y" * 100)) * 50, 400),
        }
        for what, (piece, rounds) in floods.items():
            end = flood(w.proxy, piece, rounds)
            assert end in (CALM, PROTOCOL_ERROR, "closed", 7, 2), f"{what}: {end}"
            r, _ = w.proxy.request()
            expect(r.status, 200, f"after {what}")
        assert w.v1.calls + w.v2.calls < 20000, "rapid resets were all served"


def test_a_stream_that_stands_still_holds_up_none():
    with World() as w, raw(w.proxy, window=0) as r:
        big = [("x-test-bytes", "3200000")]
        r.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, head(more=big)))
        expect(r.status(1), 200)
        r.send(frame(HEADERS, END_STREAM | END_HEADERS, 3, head()), frame(WINDOW_UPDATE, 0, 3, struct.pack(">I", 100000)))
        expect(r.status(3), 200)
        assert b'"method": "GET"' in r.until(DATA, 3)[3]


def test_large_heads_are_refused():
    with World() as w, raw(w.proxy) as r:
        many = b"".join(literal(f"x-{i}", "v" * 100) for i in range(130))     # more than 100 fields
        block = head() + many
        pieces = [block[i:i + 16000] for i in range(0, len(block), 16000)]
        r.send(frame(HEADERS, END_STREAM | (END_HEADERS if len(pieces) == 1 else 0), 1, pieces[0]),
               *(frame(CONTINUATION, END_HEADERS if p is pieces[-1] else 0, 1, p) for p in pieces[1:]))
        f = r.read()
        while f and f[0] not in (HEADERS, RST_STREAM, GOAWAY):
            f = r.read()
        assert f, "neither an answer nor a reset"
        until(lambda: " 431 " in w.proxy.lines(1)[0] or f[0] != HEADERS, "431 in the log")
        expect(w.v1.calls + w.v2.calls, 0)


# --- the end of connections -------------------------------------------------------------------------------------------

def test_drain_lets_requests_end():
    w = World()
    r = Raw(w.proxy)
    r.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, head(more=[("x-test-delay", "1.5")])))
    time.sleep(0.3)
    stopping = threading.Thread(target=w.proxy.stop)
    stopping.start()
    seen = []
    while (f := r.read()):
        seen.append(f[0])
        if f[0] == DATA and f[1] & END_STREAM:
            seen.append("answered")
    stopping.join()
    r.close()
    assert GOAWAY in seen and "answered" in seen, seen


class Goaway:
    """An HTTP/2 origin that serves three streams of a connection and then says GOAWAY."""

    def __init__(self, ip, port):
        self.listener = socket.create_server((ip, port))
        self.served = self.connections = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        r = Raw.__new__(Raw)
        r.s, r.buffer = s, b""
        with contextlib.suppress(OSError):
            preface = b""
            while len(preface) < len(PREFACE):
                preface += s.recv(len(PREFACE) - len(preface))
            s.sendall(frame(SETTINGS, 0, 0))
            n = 0
            while (f := r.read()):
                if f[0] == SETTINGS and not f[1] & ACK:
                    s.sendall(frame(SETTINGS, ACK, 0))
                if f[0] == HEADERS and n < 3:
                    n += 1
                    self.served += 1
                    s.sendall(frame(HEADERS, END_STREAM | END_HEADERS, f[2], b"\x88"))
                    if n == 3:
                        s.sendall(frame(GOAWAY, 0, 0, struct.pack(">II", f[2], 0)))
        s.close()


def test_goaway_of_a_host_fails_no_request():
    port = free_port()
    origin = Goaway("127.7.22.1", port)
    config = (service("app", port, "app", "grpc") + pod("app-1", "app", "v1", "127.7.22.1", port) + gateway() +
              virtual_service("  - route: [{destination: {host: app}}]"))
    with Proxy(config) as p:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda _: p.request()[0].status, range(60)))
        expect(set(statuses), {200})
        expect(origin.served, 60)
        assert origin.connections >= 20, origin.connections
    origin.listener.close()


if __name__ == "__main__":
    sys.exit(run(globals()))
