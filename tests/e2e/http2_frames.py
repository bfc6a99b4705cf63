"""Frames of HTTP/2 by hand (RFC 9113), for what no well-behaved library would send."""
import contextlib
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PROTOCOL_ERROR, CANCEL, CALM = 1, 8, 11


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A field without indexing and without Huffman coding (RFC 7541 6.2.2); texts below 127 bytes."""
    def text(s):
        assert len(s) < 127
        return bytes([len(s)]) + s
    return b"\x00" + text(name.encode()) + text(value.encode("latin-1"))


def head(path="/", method="GET", authority="app.example", scheme="http", more=()):
    return b"".join(literal(n, v) for n, v in [(":method", method), (":scheme", scheme), (":authority", authority),
                                                (":path", path), *more])


class Raw:
    """A connection that says what it likes."""

    def __init__(self, proxy, window=65535, first=b""):
        self.s = proxy.connect()
        self.s.sendall(first + PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, window)))
        self.buffer = b""

    def send(self, *frames):
        self.s.sendall(b"".join(frames))

    def read(self):
        """The next frame: (kind, flags, stream, payload); None at the end."""
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            with contextlib.suppress(ConnectionResetError):
                if (more := self.s.recv(65536)):
                    self.buffer += more
                    continue
            return None
        n = int.from_bytes(self.buffer[:3], "big")
        kind, flags, stream = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big")
        payload, self.buffer = self.buffer[9:9 + n], self.buffer[9 + n:]
        return kind, flags, stream, payload

    def until(self, kind, stream=None):
        while (f := self.read()):
            if f[0] == kind and stream in (None, f[2]) and not (kind == SETTINGS and f[1] & ACK):
                return f
        raise AssertionError(f"no frame of kind {kind} for stream {stream} before the end")

    def status(self, stream):
        """Of a head whose status is in HPACK's static table, as 200, 204, 400, 404 and 500 are, or a literal one."""
        payload = self.until(HEADERS, stream)[3]
        first = payload[0]
        if first & 0x80:
            return {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}[first & 0x7f]
        size = payload[1]
        return int(payload[2:5]) if not size & 0x80 else "huffman"

    def close(self):
        self.s.close()


@contextlib.contextmanager
def raw(proxy, **how):
    r = Raw(proxy, **how)
    try:
        yield r
    finally:
        r.close()
