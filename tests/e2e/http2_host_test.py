#!/usr/bin/env python3
"""Hosts of HTTP/2 that misbehave, as a table (RFC 9113): frames that a host answers with, and what a client of HTTP/1 gets.

    http2_host_test.py [NAME...]   only the cases whose name contains one of these

A case's result is (status, body), FAILED (a 502 or 503 of the proxy's own), or CUT (the client sees that something is
missing). Behind each case a plain request is answered. What the client gets is read without mercy.
The binary is $VIGLA_PROXY (build/vigla-proxy). Closing line: N passed, N failed, N skipped.
"""
import contextlib
import socket
import struct
import sys
import threading

from framing_test import ORIGIN_IP, Client, expect
from http2_frames import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PUSH, RST_STREAM,
                          SETTINGS, WINDOW_UPDATE, Raw, frame, literal)
from proxy_test import Proxy, free_port, gateway, pod, service, virtual_service
from strict_http import Ambiguous

WHOLE = END_STREAM | END_HEADERS
NO_ERROR, PROTOCOL, INTERNAL, REFUSED, CANCELLED, CALM = 0, 1, 2, 7, 8, 11
FAILED, CUT = "failed", "cut"
END = object()                   # the host closes the connection


def fields(*pairs):
    return b"".join(literal(n, v) for n, v in pairs)


def head(*more, status="200", flags=END_HEADERS):
    """A function of the stream, as are the others."""
    return lambda sid: frame(HEADERS, flags, sid, fields((":status", status), *more))


def whole(*pairs):
    return lambda sid: frame(HEADERS, WHOLE, sid, fields(*pairs))


def data(payload=b"", flags=END_STREAM):
    return lambda sid: frame(DATA, flags, sid, payload)


def trailers(*pairs, flags=WHOLE):
    return lambda sid: frame(HEADERS, flags, sid, fields(*pairs))


def reset(error):
    return lambda sid: frame(RST_STREAM, 0, sid, struct.pack(">I", error))


def raw(f):
    return lambda sid: f


def goaway(last, error):
    return lambda sid: frame(GOAWAY, 0, 0, struct.pack(">II", sid if last is None else last, error))


OK = (":status", "200")
HELLO = [head(), data(b"hello")]
LENGTH = ("content-length", "5")

CASES = [
    ("plain", "8.1", HELLO, (200, b"hello")),
    ("length", "8.1.1", [head(LENGTH), data(b"hello")], (200, b"hello")),
    ("no_body", "8.1", [whole(OK)], (200, b"")),
    ("trailers", "8.1", [head(), data(b"hello", 0), trailers(("x", "y"))], (200, b"hello")),
    ("empty_frames", "6.1", [head(), data(b"", 0), data(b"hello", 0), data(b"", 0), data()], (200, b"hello")),
    ("padded", "6.1", [head(), lambda sid: frame(DATA, 8 | END_STREAM, sid, b"\x02hello\0\0")], (200, b"hello")),
    ("early_hints", "8.1", [head(("link", "</a>"), status="103"), *HELLO], (200, b"hello")),
    ("continue_unasked", "8.1", [head(status="100"), *HELLO], (200, b"hello")),
    ("continued", "6.10", [lambda sid: frame(HEADERS, 0, sid, fields(OK)),
                           lambda sid: frame(CONTINUATION, WHOLE, sid, fields(("x", "y"))), data(b"hello")], (200, b"hello")),
    ("unknown_frames", "4.1", [raw(frame(0xee, 0, 0, b"x")), head(), lambda sid: frame(0xee, 0, sid), data(b"hello")],
     (200, b"hello")),
    ("ping_between", "6.7", [head(), raw(frame(PING, 0, 0, b"12345678")), data(b"hello")], (200, b"hello")),
    # --- heads
    ("no_status", "8.3.2", [whole(("x", "y"))], FAILED),
    ("status_twice", "8.3.2", [whole(OK, OK)], FAILED),
    ("status_behind_field", "8.3", [whole(("x", "y"), OK)], FAILED),
    ("status_letters", "8.3.2", [head(status="abc", flags=WHOLE)], FAILED),
    ("status_two_digits", "8.3.2", [head(status="20", flags=WHOLE)], FAILED),
    ("status_four_digits", "8.3.2", [head(status="2000", flags=WHOLE)], FAILED),
    ("status_empty", "8.3.2", [head(status="", flags=WHOLE)], FAILED),
    ("status_000", "9110 15", [head(status="000", flags=WHOLE)], FAILED),
    ("status_600", "9110 15", [head(status="600", flags=WHOLE)], FAILED),
    ("switching_protocols", "8.6", [head(status="101"), data(b"x")], FAILED),
    ("request_s_pseudo", "8.3", [whole(OK, (":path", "/"))], FAILED),
    ("unknown_pseudo", "8.3", [whole(OK, (":x", "y"))], FAILED),
    ("interim_ends", "8.1", [head(status="103", flags=WHOLE)], FAILED),
    ("data_first", "8.1", [data(b"hello")], FAILED),
    ("name_upper_case", "8.2.1", [whole(OK, ("X", "y"))], FAILED),
    ("name_space", "8.2.1", [whole(OK, ("x y", "z"))], FAILED),
    ("value_crlf", "10.3", [whole(OK, ("x", "y\r\nset-cookie: a=b"))], FAILED),
    ("value_lf", "10.3", [whole(OK, ("x", "y\nz"))], FAILED),
    ("value_nul", "10.3", [whole(OK, ("x", "\0"))], FAILED),
    ("connection", "8.2.2", [whole(OK, ("connection", "close"))], FAILED),
    ("transfer_encoding", "8.2.2", [whole(OK, ("transfer-encoding", "chunked"))], FAILED),
    ("upgrade", "8.2.2", [whole(OK, ("upgrade", "h2c"))], FAILED),
    ("head_too_large", "10.5.1", [lambda sid: frame(HEADERS, 0, sid, fields(OK)),
                                  *[lambda sid, i=i: frame(CONTINUATION, WHOLE if i == 19 else 0, sid,
                                                           fields(*[(f"x-{i}-{k}", "y" * 110) for k in range(50)]))
                                    for i in range(20)]], FAILED),
    ("hpack_broken", "4.3", [lambda sid: frame(HEADERS, WHOLE, sid, b"\x80")], FAILED),
    # --- lengths
    ("length_too_long", "8.1.1", [head(("content-length", "50")), data(b"hello")], CUT),
    ("length_too_short", "8.1.1", [head(("content-length", "3")), data(b"hello")], CUT),
    ("length_twice", "8.1.1", [head(LENGTH, ("content-length", "6")), data(b"hello")], FAILED),
    ("length_list", "8.1.1", [head(("content-length", "5, 5")), data(b"hello")], FAILED),
    ("length_signed", "8.1.1", [head(("content-length", "+5")), data(b"hello")], FAILED),
    ("length_overflow", "8.1.1", [head(("content-length", "18446744073709551621")), data(b"hello")], FAILED),
    ("length_of_nothing", "8.1.1", [head(LENGTH, flags=WHOLE)], FAILED),
    ("no_content_with_body", "9110 15.3.5", [head(status="204"), data(b"hello")], (204, b"")),
    ("not_modified", "9110 15.4.5", [head(LENGTH, status="304", flags=WHOLE)], (304, b"")),
    # --- trailers
    ("trailers_with_pseudo", "8.1", [head(), data(b"hello", 0), trailers(OK)], CUT),
    ("trailers_without_end", "8.1", [head(), data(b"hello", 0), trailers(("x", "y"), flags=END_HEADERS)], CUT),
    ("trailers_crlf", "10.3", [head(), data(b"hello", 0), trailers(("x", "y\r\nz: a"))], CUT),
    ("trailers_length", "9110 6.5.1", [head(), data(b"hello", 0), trailers(("content-length", "50"))], CUT),
    ("two_trailers", "8.1", [head(), data(b"hello", 0), trailers(("x", "y")), trailers(("x", "y"))], (200, b"hello")),
    # --- ends
    ("reset_before_head", "8.1", [reset(INTERNAL)], FAILED),
    ("reset_no_error_before_head", "8.1", [reset(NO_ERROR)], FAILED),
    ("reset_in_body", "8.1", [head(), data(b"hel", 0), reset(INTERNAL)], CUT),
    ("reset_cancelled_in_body", "8.1", [head(LENGTH), data(b"hel", 0), reset(CANCELLED)], CUT),
    ("reset_no_error_in_body", "8.1", [head(), data(b"hel", 0), reset(NO_ERROR)], CUT),
    ("reset_behind_the_end", "8.1", [*HELLO, reset(NO_ERROR)], (200, b"hello")),
    ("closed_before_head", "9.1", [END], FAILED),
    ("closed_in_body", "9.1", [head(), data(b"hel", 0), END], CUT),
    ("closed_in_frame", "9.1", [head(), lambda sid: data(b"hello")(sid)[:11], END], CUT),
    ("closed_in_block", "9.1", [lambda sid: frame(HEADERS, 0, sid, fields(OK)), END], FAILED),
    ("goaway_and_answer", "6.8", [goaway(None, NO_ERROR), *HELLO], (200, b"hello")),
    ("goaway_in_body", "6.8", [head(), goaway(None, NO_ERROR), data(b"hello")], (200, b"hello")),
    ("goaway_and_end", "6.8", [goaway(0, CALM), END], FAILED),
    # --- what breaks the connection
    ("garbage", "4.1", [raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 3)], FAILED),
    ("frame_too_large", "4.2", [head(), lambda sid: frame(DATA, END_STREAM, sid, b"x" * 16385)], CUT),
    ("push", "8.4", [lambda sid: frame(PUSH, END_HEADERS, sid, struct.pack(">I", 2) + fields((":method", "GET")))], FAILED),
    ("window_zero", "6.9", [raw(frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0"))], FAILED),
    ("settings_on_stream", "6.5", [lambda sid: frame(SETTINGS, 0, sid)], FAILED),
    ("data_of_idle", "5.1", [lambda sid: frame(DATA, 0, sid + 2, b"x")], FAILED),
    ("even_stream", "5.1.1", [lambda sid: frame(HEADERS, WHOLE, sid + 1, fields(OK))], FAILED),
    ("continuation_alone", "6.10", [lambda sid: frame(CONTINUATION, WHOLE, sid, fields(OK))], FAILED),
    ("too_much_data", "6.9", [head(), *[data(b"x" * 16384, 0)] * 200, END], CUT),
]


class Host:
    """Speaks HTTP/2 and answers each request with `says`."""

    def __init__(self):
        self.says = HELLO
        self.port = free_port()
        self.listener = socket.create_server((ORIGIN_IP, self.port), backlog=128)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        r = Raw.__new__(Raw)
        r.s, r.buffer = s, b""
        with s, contextlib.suppress(OSError):
            preface = b""
            while len(preface) < len(PREFACE):
                preface += s.recv(len(PREFACE) - len(preface))
            s.sendall(frame(SETTINGS, 0, 0))
            while (f := r.read()):
                if f[0] == SETTINGS and not f[1] & ACK:
                    s.sendall(frame(SETTINGS, ACK, 0))
                if f[0] == HEADERS:
                    for said in self.says:
                        if said is END:
                            return
                        s.sendall(said(f[2]))


def ask(proxy):
    """(status, body) of a request by HTTP/1; CUT."""
    client = Client(proxy)
    try:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.read()
        while answer and answer.complete and answer.status < 200:
            answer = client.read()
    finally:
        client.close()
    return (answer.status, answer.body) if answer and answer.complete else CUT


def run_case(proxy, host, says, result):
    host.says = says
    got = ask(proxy)
    if result is CUT and got is not CUT:
        result = FAILED                 # nothing of it may have gone out yet
    if result is FAILED:
        assert got[0] in (502, 503) or got is CUT, f"got {got!r}, want a 502 or 503"
    else:
        expect(got, result, "the answer")
    host.says = HELLO
    expect(ask(proxy), (200, b"hello"), "the next one")


def main():
    words = sys.argv[1:]
    host = Host()
    config = (service("app", host.port, "app", "http2") + pod("app-1", "app", "v1", ORIGIN_IP, host.port) + gateway() +
              virtual_service("  - route: [{destination: {host: app}}]\n    retries: {attempts: 0}\n    timeout: 5s"))
    passed = failed = 0
    with Proxy(config, "--threads", "1") as proxy:
        for name, section, says, result in CASES:
            if words and not any(w in name for w in words):
                continue
            try:
                run_case(proxy, host, says, result)
                passed += 1
            except (AssertionError, Ambiguous, OSError) as e:
                failed += 1
                print(f"FAIL  {name} (RFC {section}): {e!r}", flush=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
