"""HTTP/1 read without mercy (RFC 9112): what a test's origin or client sees must be of one meaning alone."""
import re

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-\"$-~]+) HTTP/1\.([01])")
STATUS_LINE = re.compile(r"HTTP/1\.[01] ([1-5]\d\d)(?: [\t -~\x80-\xff]*)?")
VALUE = re.compile(r"[\t -~\x80-\xff]*")


class Ambiguous(Exception):
    """Bytes that another reader could take for something else, or for nothing."""


class Message:
    def __init__(self, line, fields):
        self.line, self.fields = line, fields
        self.body, self.trailers, self.complete = b"", {}, False
        request = REQUEST_LINE.fullmatch(line)
        status = STATUS_LINE.fullmatch(line)
        if not request and not status:
            raise Ambiguous(f"first line {line!r}")
        self.method, self.target = request.group(1, 2) if request else (None, None)
        self.status = int(status[1]) if status else None

    def field(self, name):
        """The values of all fields of a name, in their order; None when there is none."""
        return ", ".join(self.fields[name]) if name in self.fields else None


def read_fields(lines, what):
    fields = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not TOKEN.fullmatch(name) or not VALUE.fullmatch(value):
            raise Ambiguous(f"{what} {line!r}")
        fields.setdefault(name.lower(), []).append(value.strip(" \t"))
    return fields


class Reader:
    """The messages of one direction of a connection, as bytes come. After an exception it is of no use any more."""

    def __init__(self, heads=()):
        self.buffer, self.message = b"", None
        self.heads = list(heads)        # of responses: whether each of them answers a HEAD
        self.left = None                # of the body or the chunk; None: up to the end of the connection
        self.chunked = False

    def feed(self, data):
        """Returns the messages that these bytes have completed."""
        self.buffer += data
        done = []
        while (message := self.step()):
            done.append(message)
        return done

    def eof(self):
        """Returns the message that ends with the connection; an incomplete one is left in self.message."""
        if not self.message or self.chunked or self.left is not None:
            return None
        self.message.complete = True
        return self.message

    def step(self):
        if not self.message and not self.read_head():
            return None
        whole = self.read_chunks() if self.chunked else self.read_plain()
        if not whole:
            return None
        message, self.message = self.message, None
        message.complete = True
        return message

    def read_head(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            if re.search(rb"(?<!\r)\n|\r(?!\n|\Z)|\0", self.buffer):
                raise Ambiguous(f"head {self.buffer[:200]!r}")
            return False
        line, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
        self.message = Message(line, read_fields(lines, "field"))
        self.buffer = self.buffer[end + 4:]
        self.frame(self.message)
        return True

    def frame(self, m):
        length, coding = m.fields.get("content-length"), m.fields.get("transfer-encoding")
        if length and (coding or len(length) > 1 or not re.fullmatch(r"[0-9]{1,18}", length[0])):
            raise Ambiguous(f"lengths {length}, codings {coding}")
        if coding not in (None, ["chunked"]):
            raise Ambiguous(f"codings {coding}")
        if m.method and len(m.fields.get("host", ())) != 1:
            raise Ambiguous(f"hosts {m.fields.get('host')}")
        bodiless = m.status and (m.status < 200 or m.status in (204, 304) or (self.heads and self.heads[0]))
        if m.status and m.status >= 200 and self.heads:
            self.heads.pop(0)
        if m.status and (m.status < 200 or m.status == 204) and (length or coding):
            raise Ambiguous(f"a {m.status} with a body")
        self.chunked = bool(coding) and not bodiless
        self.left = 0 if bodiless or (m.method and not length) else int(length[0]) if length else None

    def read_plain(self):
        n = len(self.buffer) if self.left is None else min(self.left, len(self.buffer))
        self.message.body += self.buffer[:n]
        self.buffer = self.buffer[n:]
        if self.left is None:
            return False
        self.left -= n
        return self.left == 0

    def read_chunks(self):
        while (end := self.buffer.find(b"\r\n")) >= 0:
            line = self.buffer[:end]
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", line):
                raise Ambiguous(f"chunk size {line!r}")
            size = int(line, 16)
            if size == 0:
                return self.read_trailers(end + 2)
            if len(self.buffer) < end + 2 + size + 2:
                break
            self.message.body += self.buffer[end + 2:end + 2 + size]
            if self.buffer[end + 2 + size:end + 4 + size] != b"\r\n":
                raise Ambiguous("no CR LF behind a chunk")
            self.buffer = self.buffer[end + 4 + size:]
        if b"\n" in self.buffer[:1]:
            raise Ambiguous("LF where a chunk's size is due")
        return False

    def read_trailers(self, at):
        if self.buffer[at:at + 2] == b"\r\n":
            self.buffer = self.buffer[at + 2:]
            return True
        end = self.buffer.find(b"\r\n\r\n", at)
        if end < 0:
            return False
        self.message.trailers = read_fields(self.buffer[at:end].decode("latin-1").split("\r\n"), "trailer")
        self.buffer = self.buffer[end + 4:]
        return True
