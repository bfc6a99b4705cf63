#!/usr/bin/env python3
"""WebSocket and gRPC for long, through two sidecars with mutual TLS between them.

    streams_test.py [NAME...]      only the tests whose name contains one of these

Those of gRPC need Debian's python3-grpcio (/usr/bin/python3), and are skipped without it.
Closing line: N passed, N failed, N skipped.
"""
import base64
import concurrent.futures
import hashlib
import os
import socket
import struct
import sys
import threading
import time

try:
    import grpc
except ImportError:
    grpc = None

from proxy_test import WAIT, Handler, expect, until
from suite import Skipped, run
from tls_test import Mesh, peer_authentication

STRICT = peer_authentication("STRICT")
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"      # RFC 6455 1.3


# --- WebSocket (RFC 6455) -----------------------------------------------------------------------------------------

def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()


def masked(payload, mask):
    """Masking and unmasking are the same; as one large number, for bytes one by one take long."""
    n = len(payload)
    whole = (mask * (n // 4 + 1))[:n]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(n, "big")


def message(kind, payload, mask=None):
    n = len(payload)
    size = bytes([n]) if n < 126 else b"\x7e" + struct.pack(">H", n) if n < 65536 else b"\x7f" + struct.pack(">Q", n)
    if mask:
        size = bytes([size[0] | 0x80]) + size[1:] + mask
        payload = masked(payload, mask)
    return bytes([0x80 | kind]) + size + payload


class End:
    """One end of a WebSocket: what comes is read from `read(n)`, which gives n bytes, or fewer at the end."""

    def __init__(self, read, write, client):
        self.read, self.write, self.client = read, write, client

    def send(self, kind, payload=b""):
        self.write(message(kind, payload, os.urandom(4) if self.client else None))

    def receive(self):
        """(kind, payload); None at the end."""
        first = self.read(2)
        if len(first) < 2:
            return None
        n = first[1] & 0x7f
        if n >= 126:
            n = int.from_bytes(self.read(2 if n == 126 else 8), "big")
        mask = self.read(4) if first[1] & 0x80 else b""
        assert bool(mask) != self.client, "masked by the server, or not by the client"
        payload = self.read(n)
        return first[0] & 0xf, masked(payload, mask) if mask else payload


class Chatter(Handler):
    """Sends messages back; "leave" and "crash" are what it does then; /plain is refused."""
    told = []

    def answer(self, method, path, fields, digest, size):
        if path == "/plain":
            return super().answer(method, path, fields, digest, size)
        if path == "/no":
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
            return True
        self.wfile.write(("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          f"Sec-WebSocket-Accept: {accept_of(fields['sec-websocket-key'])}\r\n\r\n").encode())
        self.chat(End(self.rfile.read, self.wfile.write, False))
        return False

    def chat(self, end):
        while (came := end.receive()):
            kind, payload = came
            if kind == PING:
                end.send(PONG, payload)
            elif kind == CLOSE:
                end.send(CLOSE, payload)
                self.told.append("closed")
                return
            elif payload == b"leave":
                end.send(CLOSE, struct.pack(">H", 1001) + b"bye")
            elif payload == b"crash":
                return
            else:
                end.send(kind, payload)
        self.told.append("gone")


class Client(End):
    def __init__(self, mesh, path="/chat"):
        self.s = socket.create_connection(("127.7.23.2", mesh.listen), WAIT)
        self.file = self.s.makefile("rb")
        super().__init__(self.file.read, self.s.sendall, True)
        key = base64.b64encode(os.urandom(16)).decode()
        self.s.sendall((f"GET {path} HTTP/1.1\r\nHost: srv\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
                        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self.status = int(self.file.readline().split()[1])
        self.fields = dict(iter(lambda: self.file.readline().decode().strip().lower().partition(": ")[::2], ("", "")))
        if self.status == 101:
            expect(self.fields["sec-websocket-accept"], accept_of(key).lower(), "accept")

    def close(self):
        self.file.close()
        self.s.close()


def chat_mesh():
    Chatter.told = []
    return Mesh(STRICT, handler=Chatter)


def test_websocket_messages():
    with chat_mesh() as m:
        c = Client(m)
        expect((c.status, c.fields["upgrade"], c.fields["connection"]), (101, "websocket", "upgrade"))
        for kind, payload in ((TEXT, b"hello"), (TEXT, b""), (BINARY, os.urandom(125)), (BINARY, os.urandom(126)),
                              (BINARY, os.urandom(65536)), (BINARY, os.urandom(3_000_000))):
            c.send(kind, payload)
            got = c.receive()
            assert got == (kind, payload), f"{len(payload)} bytes came back as {len(got[1])}"
        c.send(PING, b"are you there")
        expect(c.receive(), (PONG, b"are you there"))
        c.send(CLOSE, struct.pack(">H", 1000) + b"done")
        expect(c.receive(), (CLOSE, struct.pack(">H", 1000) + b"done"))
        expect(c.receive(), None, "what follows a close")
        c.close()
        until(lambda: Chatter.told == ["closed"], "the server saw the close")
        line = m.server.lines(1)[0]
        assert '"GET /chat HTTP/1.1" 101' in line, line


def test_websocket_both_ways_at_once():
    with chat_mesh() as m:
        c = Client(m)
        sent = [b"%d " % i * (i % 100 + 1) for i in range(2000)]
        writer = threading.Thread(target=lambda: [c.send(TEXT, p) for p in sent])
        writer.start()
        for payload in sent:
            expect(c.receive(), (TEXT, payload))
        writer.join()
        c.close()


def test_websocket_closed_by_the_server():
    with chat_mesh() as m:
        c = Client(m)
        c.send(TEXT, b"leave")
        expect(c.receive(), (CLOSE, struct.pack(">H", 1001) + b"bye"))
        c.send(CLOSE, struct.pack(">H", 1001))
        expect(c.receive(), (CLOSE, struct.pack(">H", 1001)), "the close, echoed")
        expect(c.receive(), None)
        c.close()


def test_websocket_ends_that_vanish():
    with chat_mesh() as m:
        c = Client(m)
        c.send(TEXT, b"crash")
        expect(c.receive(), None, "behind the server's end")
        c.close()
        c = Client(m)
        c.send(TEXT, b"hello")
        expect(c.receive(), (TEXT, b"hello"))
        c.close()
        until(lambda: Chatter.told == ["gone"], "the server saw the client's end")


def test_websocket_refused():
    """Without 101 it stays HTTP, and the connection serves on."""
    with chat_mesh() as m:
        c = Client(m, "/no")
        expect((c.status, c.file.read(2)), (403, b"no"))
        c.s.sendall(b"GET /plain HTTP/1.1\r\nHost: srv\r\n\r\n")
        assert c.file.readline().startswith(b"HTTP/1.1 200 ")
        c.close()


def test_many_websockets():
    with chat_mesh() as m:
        def talk(i):
            c = Client(m)
            for k in range(20):
                c.send(TEXT, b"%d %d" % (i, k))
                expect(c.receive(), (TEXT, b"%d %d" % (i, k)))
            c.send(CLOSE)
            expect(c.receive(), (CLOSE, b""))
            c.close()
        with concurrent.futures.ThreadPoolExecutor(60) as pool:
            list(pool.map(talk, range(60)))


# --- gRPC ---------------------------------------------------------------------------------------------------------

class GrpcApp:
    """Capitals; the sum of sizes; counting up; capitals one by one."""

    def __init__(self, port):
        methods = {"Unary": grpc.unary_unary_rpc_method_handler(self.unary),
                   "Sum": grpc.stream_unary_rpc_method_handler(lambda them, c: b"%d" % sum(map(len, them))),
                   "Count": grpc.unary_stream_rpc_method_handler(lambda n, c: (b"%d" % i for i in range(int(n)))),
                   "Chat": grpc.stream_stream_rpc_method_handler(lambda them, c: (one.upper() for one in them))}
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(16), options=(("grpc.max_receive_message_length", -1),))
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.All", methods),))
        assert self.server.add_insecure_port(f"127.7.23.100:{port}")
        self.server.start()
        self.cancelled = threading.Event()

    def unary(self, request, context):
        if request == b"fail":
            context.abort(grpc.StatusCode.NOT_FOUND, "nothing of that name: \u00e9 %")
        if request == b"wait":
            context.add_callback(self.cancelled.set)
            self.cancelled.wait(WAIT)
        context.set_trailing_metadata((("x-text", "behind"), ("x-bytes-bin", b"\0\1\xff")))
        return request.upper()

    def stop(self):
        self.server.stop(0).wait()


class GrpcMesh(Mesh):
    def __init__(self):
        if not grpc:
            raise Skipped("no python3-grpcio")
        super().__init__(STRICT, app=GrpcApp, port_name="grpc")
        self.channel = grpc.insecure_channel(f"127.7.23.2:{self.listen}", (
            ("grpc.default_authority", "srv"), ("grpc.max_receive_message_length", -1)))

    def __exit__(self, *exception):
        self.channel.close()
        super().__exit__(*exception)


def test_grpc_unary():
    with GrpcMesh() as m:
        call = m.channel.unary_unary("/test.All/Unary")
        said, about = call.with_call(b"hello", timeout=WAIT)
        expect((said, {**dict(about.trailing_metadata())}), (b"HELLO", {"x-text": "behind", "x-bytes-bin": b"\0\1\xff"}))
        big = os.urandom(1_500_000).hex().encode()
        expect(call(big, timeout=20), big.upper())
        try:
            call(b"fail", timeout=WAIT)
            raise AssertionError("a failure came back as a success")
        except grpc.RpcError as e:
            expect((e.code(), e.details()), (grpc.StatusCode.NOT_FOUND, "nothing of that name: \u00e9 %"))
        assert all('"POST /test.All/Unary HTTP/2"' in line for line in m.server.lines(3)), m.server.lines(3)


def test_grpc_streams():
    with GrpcMesh() as m:
        sizes = [i * 97 % 5000 for i in range(500)]
        said = m.channel.stream_unary("/test.All/Sum")((b"x" * n for n in sizes), timeout=20)
        expect(said, b"%d" % sum(sizes), "client streaming")
        said = list(m.channel.unary_stream("/test.All/Count")(b"2000", timeout=20))
        expect(said, [b"%d" % i for i in range(2000)], "server streaming")
        go = threading.Semaphore(1)

        def requests():
            for i in range(300):
                go.acquire()
                yield b"message %d" % i
        for i, one in enumerate(m.channel.stream_stream("/test.All/Chat")(requests(), timeout=20)):
            expect(one, b"MESSAGE %d" % i)      # each before the next is sent
            go.release()
        expect(i, 299, "the last one")


def test_grpc_many_streams_at_once():
    with GrpcMesh() as m:
        def chat(i):
            sent = [b"%d %d" % (i, k) for k in range(50)]
            expect(list(m.channel.stream_stream("/test.All/Chat")(iter(sent), timeout=30)), sent)
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            list(pool.map(chat, range(48)))


def test_grpc_deadline_reaches_the_application():
    with GrpcMesh() as m:
        start = time.monotonic()
        try:
            m.channel.unary_unary("/test.All/Unary")(b"wait", timeout=0.5)
            raise AssertionError("no deadline")
        except grpc.RpcError as e:
            expect(e.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        assert m.app.cancelled.wait(WAIT), f"the application waits on, {time.monotonic() - start:.1f} s"


if __name__ == "__main__":
    sys.exit(run(globals()))
