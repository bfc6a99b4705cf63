#!/usr/bin/env python3
"""RFC 9113 and 7541 as a table: frames that go to vigla-proxy by HTTP/2, and what must come of them.

    http2_rfc_test.py [NAME...]    only the cases whose name contains one of these

A case's result is one of
  answered(...)   the statuses of streams 1, 3, …
  stream(...)     stream 1 is reset with one of these errors, or refused with a 400; the connection goes on
  UNSEEN          nothing comes of the last of its requests
  connection(...) GOAWAY with one of these errors, and the end; an error of a stream may be taken for one, too
Behind a case that the connection survives one more request is answered. The origin speaks HTTP/1 and reads without mercy:
what it sees has one meaning, and it sees as many requests as are answered with 200.
The binary is $VIGLA_PROXY (build/vigla-proxy). Closing line: N passed, N failed, N skipped.
"""
import contextlib
import struct
import sys

from framing_test import ORIGIN_IP, Origin, answer_ok
from http2_frames import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PUSH, RST_STREAM,
                          SETTINGS, WINDOW_UPDATE, Raw, frame, head, literal)
from proxy_test import Proxy, expect, gateway, pod, service, virtual_service

PRIORITY, PADDED, HAS_PRIORITY = 2, 8, 32
NO_ERROR, PROTOCOL, INTERNAL, FLOW_CONTROL, TIMEOUT, CLOSED, FRAME_SIZE, REFUSED, CANCELLED, COMPRESSION = range(10)
WHOLE = END_STREAM | END_HEADERS
LAST = 101                  # the stream of the request behind a case


def answered(*statuses):
    return "answered", statuses


def stream(*errors):
    return "stream", errors


def connection(*errors):
    return "connection", errors


MALFORMED = stream(PROTOCOL)
UNSEEN = "unseen", ()


def u32(n):
    return struct.pack(">I", n)


def get(block=None, sid=1, flags=WHOLE, **how):
    return frame(HEADERS, flags, sid, head(**how) if block is None else block)


def post(more=(), sid=1, **how):
    return frame(HEADERS, END_HEADERS, sid, head(method="POST", more=more, **how))


def data(payload=b"", flags=END_STREAM, sid=1):
    return frame(DATA, flags, sid, payload)


def setting(name, value):
    return frame(SETTINGS, 0, 0, struct.pack(">HI", name, value))


def field(name, value="x"):
    """A GET with one more field, whose name and value may be anything."""
    name, value = (t.encode("latin-1") for t in (name, value))
    return get(head() + b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value)


def block(*fields):
    return get(b"".join(literal(n, v) for n, v in fields))


M, S, A, P = (":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")
LONG = b"".join(literal(f"x-{i}", "y" * 100) for i in range(200))

CASES = [
    # name, section, frames, result
    # --- frames (4, 5.1)
    ("plain", "8.1", [get()], answered(200)),
    ("body", "8.1", [post(), data(b"hello")], answered(200)),
    ("empty_data_ends", "6.1", [post(), data(b"hello", 0), data()], answered(200)),
    ("unknown_kind", "4.1", [frame(0xee, 0xff, 0, b"x"), get()], answered(200)),
    ("unknown_kind_on_stream", "4.1", [post(), frame(0xee, 0xff, 1, b"x"), data(b"x")], answered(200)),
    ("unknown_kind_in_block", "5.5", [frame(HEADERS, END_STREAM, 1, head()), frame(0xee, 0, 1)], connection(PROTOCOL)),
    ("unknown_flags", "4.1", [frame(PING, 0xfe, 0, b"12345678"), get()], answered(200)),
    ("reserved_bit", "4.1", [frame(HEADERS, WHOLE, 0x80000001, head())], answered(200)),
    ("larger_than_allowed", "4.2", [post(), data(b"x" * 16385)], connection(FRAME_SIZE)),
    ("headers_larger_than_allowed", "4.2", [frame(HEADERS, WHOLE, 1, b"\0" * 16385)], connection(FRAME_SIZE)),
    ("settings_not_first", "3.4", "raw", connection(PROTOCOL)),
    # --- streams (5.1)
    ("even_stream", "5.1.1", [get(sid=2)], connection(PROTOCOL)),
    ("stream_0", "6.2", [get(sid=0)], connection(PROTOCOL)),
    ("lower_stream", "5.1.1", [get(sid=5), get(sid=3)], UNSEEN),   # closed by 5, and so may be passed over
    ("same_stream", "5.1.1", [get(), get()], connection(PROTOCOL, CLOSED)),
    ("data_on_stream_0", "6.1", [data(b"x", sid=0)], connection(PROTOCOL)),
    ("data_on_idle", "5.1", [data(b"x")], connection(PROTOCOL)),
    ("data_behind_the_end", "5.1", [post(), data(b"x"), data(b"y")], connection(CLOSED)),
    ("headers_behind_the_end", "5.1", [post(), data(b"x"), frame(HEADERS, WHOLE, 1, literal("x", "y"))], connection(CLOSED)),
    ("reset_idle", "5.1", [frame(RST_STREAM, 0, 1, u32(CANCELLED))], connection(PROTOCOL)),
    ("window_of_idle", "5.1", [frame(WINDOW_UPDATE, 0, 1, u32(1))], connection(PROTOCOL)),
    ("push_by_client", "8.4", [post(), frame(PUSH, END_HEADERS, 1, u32(2) + head())], connection(PROTOCOL)),
    # --- DATA, HEADERS, padding (6.1, 6.2)
    ("padded_data", "6.1", [post(), data(b"\x03abc\0\0\0", PADDED | END_STREAM)], answered(200)),
    ("padding_too_long", "6.1", [post(), data(b"\x05abc", PADDED | END_STREAM)], connection(PROTOCOL)),
    ("padding_without_length", "6.1", [post(), data(b"", PADDED | END_STREAM)], connection(PROTOCOL, FRAME_SIZE)),
    ("padded_headers", "6.2", [frame(HEADERS, WHOLE | PADDED, 1, b"\x02" + head() + b"\0\0")], answered(200)),
    ("headers_padding_too_long", "6.2", [frame(HEADERS, WHOLE | PADDED, 1, b"\xff" + head())], connection(PROTOCOL)),
    ("headers_with_priority", "6.2", [frame(HEADERS, WHOLE | HAS_PRIORITY, 1, u32(0) + b"\x10" + head())], answered(200)),
    # --- PRIORITY, RST_STREAM (6.3, 6.4)
    ("priority_idle", "6.3", [frame(PRIORITY, 0, 99, u32(0) + b"\x10"), get()], answered(200)),
    ("priority_stream_0", "6.3", [frame(PRIORITY, 0, 0, u32(1) + b"\x10")], connection(PROTOCOL)),
    ("priority_length", "6.3", [post(), frame(PRIORITY, 0, 1, u32(0))], stream(FRAME_SIZE)),
    ("reset_stream_0", "6.4", [frame(RST_STREAM, 0, 0, u32(CANCELLED))], connection(PROTOCOL)),
    ("reset_length", "6.4", [post(), frame(RST_STREAM, 0, 1, b"\0\0\0")], connection(FRAME_SIZE)),
    # --- SETTINGS (6.5)
    ("settings_on_stream", "6.5", [frame(SETTINGS, 0, 1)], connection(PROTOCOL)),
    ("settings_length", "6.5", [frame(SETTINGS, 0, 0, b"\0\3\0\0\0")], connection(FRAME_SIZE)),
    ("settings_ack_with_payload", "6.5", [frame(SETTINGS, ACK, 0, b"\0" * 6)], connection(FRAME_SIZE)),
    ("settings_unknown", "6.5.2", [setting(0xff, 1), get()], answered(200)),
    ("settings_push", "6.5.2", [setting(2, 2)], connection(PROTOCOL)),
    ("settings_window", "6.5.2", [setting(4, 0x80000000)], connection(FLOW_CONTROL)),
    ("settings_frame_small", "6.5.2", [setting(5, 16383)], connection(PROTOCOL)),
    ("settings_frame_large", "6.5.2", [setting(5, 16777216)], connection(PROTOCOL)),
    ("settings_no_table", "6.5.2", [setting(1, 0), get()], answered(200)),
    ("settings_grow_a_window_over", "6.9.2", [post(), frame(WINDOW_UPDATE, 0, 1, u32(0x7fffffff - 65535)),
                                              setting(4, 0x7fffffff)], stream(FLOW_CONTROL)),
    # --- PING, GOAWAY (6.7, 6.8)
    ("ping", "6.7", [frame(PING, 0, 0, b"12345678"), get()], answered(200)),
    ("ping_on_stream", "6.7", [frame(PING, 0, 1, b"12345678")], connection(PROTOCOL)),
    ("ping_length", "6.7", [frame(PING, 0, 0, b"1234567")], connection(FRAME_SIZE)),
    ("goaway_on_stream", "6.8", [frame(GOAWAY, 0, 1, b"\0" * 8)], connection(PROTOCOL)),
    ("goaway_short", "6.8", [frame(GOAWAY, 0, 0, b"\0" * 7)], connection(FRAME_SIZE)),
    # --- WINDOW_UPDATE (6.9)
    ("window_zero", "6.9", [frame(WINDOW_UPDATE, 0, 0, u32(0))], connection(PROTOCOL)),
    ("window_zero_of_stream", "6.9", [post(), frame(WINDOW_UPDATE, 0, 1, u32(0))], stream(PROTOCOL)),
    ("window_over", "6.9.1", [frame(WINDOW_UPDATE, 0, 0, u32(0x7fffffff))], connection(FLOW_CONTROL)),
    ("window_over_of_stream", "6.9.1", [post(), frame(WINDOW_UPDATE, 0, 1, u32(0x7fffffff))], stream(FLOW_CONTROL)),
    ("window_length", "6.9", [frame(WINDOW_UPDATE, 0, 0, b"\0\0\1")], connection(FRAME_SIZE)),
    # --- CONTINUATION (6.10)
    ("continued", "6.10", [frame(HEADERS, END_STREAM, 1, head()[:9]), frame(CONTINUATION, 0, 1, head()[9:20]),
                           frame(CONTINUATION, END_HEADERS, 1, head()[20:])], answered(200)),
    ("continuation_alone", "6.10", [frame(CONTINUATION, END_HEADERS, 1, head())], connection(PROTOCOL)),
    ("continuation_behind_the_end", "6.10", [get(), frame(CONTINUATION, END_HEADERS, 1, head())], connection(PROTOCOL)),
    ("continuation_of_another", "6.10", [frame(HEADERS, END_STREAM, 1, head()[:9]),
                                         frame(CONTINUATION, END_HEADERS, 3, head()[9:])], connection(PROTOCOL)),
    ("data_in_block", "6.10", [post(sid=1), frame(HEADERS, 0, 3, head()), data(b"x")], connection(PROTOCOL)),
    ("headers_in_block", "6.10", [frame(HEADERS, 0, 1, head()), get(sid=3)], connection(PROTOCOL)),
    ("settings_in_block", "6.10", [frame(HEADERS, 0, 1, head()), frame(SETTINGS, 0, 0)], connection(PROTOCOL)),
    # --- HPACK (7541)
    ("hpack_index_0", "7541 6.1", [get(b"\x80")], connection(COMPRESSION)),
    ("hpack_index_beyond", "7541 2.3.3", [get(head() + b"\xff\x10")], connection(COMPRESSION)),
    ("hpack_table_too_large", "7541 6.3", [get(b"\x3f\xe2\x1f" + head())], connection(COMPRESSION)),
    ("hpack_table_at_the_end", "7541 4.2", [get(head() + b"\x20")], connection(COMPRESSION)),
    ("hpack_cut", "7541 5.2", [get(head() + b"\x00\x05ab")], connection(COMPRESSION)),
    ("hpack_number_too_large", "7541 5.1", [get(head() + b"\x7f" + b"\xff" * 12)], connection(COMPRESSION)),
    ("hpack_huffman_padding", "7541 5.2", [get(head() + b"\x00\x81\x00\x01a")], connection(COMPRESSION)),
    ("hpack_huffman_eos", "7541 5.2", [get(head() + b"\x00\x84\xff\xff\xff\xff\x01a")], connection(COMPRESSION)),
    ("hpack_dynamic", "7541 6.2.1", [get(head() + b"\x40\x01x\x01y"), get(head() + b"\xbe", sid=3)], answered(200, 200)),
    # --- pseudo-fields (8.3)
    ("no_method", "8.3.1", [block(S, A, P)], MALFORMED),
    ("no_scheme", "8.3.1", [block(M, A, P)], MALFORMED),
    ("no_path", "8.3.1", [block(M, S, A)], MALFORMED),
    ("no_authority_but_host", "8.3.1", [block(M, S, P, ("host", "a"))], answered(200)),
    ("no_authority", "8.3.1", [block(M, S, P)], MALFORMED),
    ("method_twice", "8.3.1", [block(M, M, S, A, P)], MALFORMED),
    ("path_twice", "8.3.1", [block(M, S, A, P, P)], MALFORMED),
    ("authority_twice", "8.3.1", [block(M, S, A, A, P)], MALFORMED),
    ("scheme_twice", "8.3.1", [block(M, S, S, A, P)], MALFORMED),
    ("unknown_pseudo", "8.3", [block(M, S, A, P, (":x", "y"))], MALFORMED),
    ("status_in_request", "8.3", [block(M, S, A, P, (":status", "200"))], MALFORMED),
    ("pseudo_behind_field", "8.3", [block(M, S, A, ("x", "y"), P)], MALFORMED),
    ("pseudo_in_trailers", "8.1", [post(), data(b"x", 0), frame(HEADERS, WHOLE, 1, literal(":path", "/y"))], MALFORMED),
    ("trailers_without_end", "8.1", [post(), data(b"x", 0), frame(HEADERS, END_HEADERS, 1, literal("x", "y"))], MALFORMED),
    ("method_empty", "8.3.1", [block((":method", ""), S, A, P)], MALFORMED),
    ("path_empty", "8.3.1", [block(M, S, A, (":path", ""))], MALFORMED),
    ("path_without_slash", "8.3.1", [block(M, S, A, (":path", "x"))], MALFORMED),
    ("path_absolute", "8.3.1", [block(M, S, A, (":path", "http://b/"))], MALFORMED),
    ("asterisk", "8.3.1", [block((":method", "OPTIONS"), S, A, (":path", "*"))], answered(200)),
    ("asterisk_with_get", "8.3.1", [block(M, S, A, (":path", "*"))], MALFORMED),
    ("asterisk_with_get_and_other_scheme", "8.3.1", [block(M, (":scheme", "x"), A, (":path", "*"))], MALFORMED),
    ("authority_userinfo", "8.3.1", [block(M, S, (":authority", "u@a"), P)], MALFORMED),
    ("authority_other_than_host", "8.3.1", [block(M, S, A, P, ("host", "b"))], MALFORMED),
    ("authority_as_host", "8.3.1", [block(M, S, A, P, ("host", "A"))], answered(200)),
    ("host_twice", "8.3.1", [block(M, S, A, P, ("host", "a"), ("host", "a"))], MALFORMED),
    ("connect", "8.5", [block((":method", "CONNECT"), (":authority", "a:80"))], answered(501)),
    ("connect_with_path", "8.5", [block((":method", "CONNECT"), S, A, P)], MALFORMED),
    ("connect_without_authority", "8.5", [block((":method", "CONNECT"))], MALFORMED),
    ("connect_extended_other", "8441 4", [block((":method", "CONNECT"), S, A, P, (":protocol", "connect-udp"))], answered(501)),
    ("protocol_of_get", "8441 4", [block(M, S, A, P, (":protocol", "websocket"))], MALFORMED),
    # --- fields (8.2)
    ("name_upper_case", "8.2.1", [field("X-A")], MALFORMED),
    ("name_empty", "8.2.1", [field("")], MALFORMED),
    ("name_space", "8.2.1", [field("x a")], MALFORMED),
    ("name_colon", "8.2.1", [field("x:a")], MALFORMED),
    ("name_crlf", "8.2.1", [field("x\r\ny")], MALFORMED),
    ("name_nul", "8.2.1", [field("x\0")], MALFORMED),
    ("name_obs_text", "8.2.1", [field("x\xe9")], MALFORMED),
    ("value_crlf", "8.2.1", [field("x", "y\r\nz: a")], MALFORMED),
    ("value_lf", "8.2.1", [field("x", "y\nz: a")], MALFORMED),
    ("value_cr", "8.2.1", [field("x", "y\rz")], MALFORMED),
    ("value_nul", "8.2.1", [field("x", "y\0")], MALFORMED),
    ("value_blank_before", "8.2.1", [field("x", " y")], MALFORMED),
    ("value_blank_behind", "8.2.1", [field("x", "y\t")], MALFORMED),
    ("value_obs_text", "8.2.1", [field("x", "\xe9")], answered(200)),
    ("connection", "8.2.2", [field("connection", "close")], MALFORMED),
    ("connection_that_nominates", "8.2.2", [field("connection", "x-forwarded-for")], MALFORMED),
    ("keep_alive", "8.2.2", [field("keep-alive", "timeout=5")], MALFORMED),
    ("proxy_connection", "8.2.2", [field("proxy-connection", "close")], MALFORMED),
    ("transfer_encoding", "8.2.2", [field("transfer-encoding", "chunked")], MALFORMED),
    ("transfer_encoding_identity", "8.2.2", [field("transfer-encoding", "identity")], MALFORMED),
    ("upgrade", "8.2.2", [field("upgrade", "websocket")], MALFORMED),
    ("te_trailers", "8.2.2", [field("te", "trailers")], answered(200)),
    ("te_gzip", "8.2.2", [field("te", "gzip")], MALFORMED),
    ("cookie_crumbs", "8.2.3", [get(more=[("cookie", "a=b"), ("cookie", "c=d")])], answered(200)),
    # --- what would be something else in HTTP/1 (10.3)
    ("method_is_a_request", "10.3", [block((":method", "GET / HTTP/1.1\r\nx: y"), S, A, P)], MALFORMED),
    ("method_space", "10.3", [block((":method", "GET /x"), S, A, P)], MALFORMED),
    ("path_space", "10.3", [block(M, S, A, (":path", "/ HTTP/1.1"))], MALFORMED),
    ("path_crlf", "10.3", [block(M, S, A, (":path", "/ HTTP/1.1\r\nx: y"))], MALFORMED),
    ("path_tab", "10.3", [block(M, S, A, (":path", "/\tx"))], MALFORMED),
    ("path_nul", "10.3", [block(M, S, A, (":path", "/\0"))], MALFORMED),
    ("path_obs_text", "10.3", [block(M, S, A, (":path", "/\xe9"))], MALFORMED),
    ("path_fragment", "10.3", [block(M, S, A, (":path", "/#x"))], MALFORMED),
    ("path_dots", "10.3", [block(M, S, A, (":path", "/a/../b"))], answered(200)),
    ("authority_crlf", "10.3", [block(M, S, (":authority", "a\r\nx: y"), P)], MALFORMED),
    ("authority_space", "10.3", [block(M, S, (":authority", "a b"), P)], MALFORMED),
    ("authority_slash", "10.3", [block(M, S, (":authority", "a/b"), P)], MALFORMED),
    ("authority_list", "10.3", [block(M, S, (":authority", "a,b"), P)], MALFORMED),
    ("authority_port", "10.3", [block(M, S, (":authority", "a:99999"), P)], MALFORMED),
    ("host_crlf", "10.3", [block(M, S, P, ("host", "a\r\nx: y"))], MALFORMED),
    ("length_with_underscore", "10.3", [get(more=[("content_length", "5")])], MALFORMED),
    ("coding_with_underscore", "10.3", [get(more=[("transfer_encoding", "chunked")])], MALFORMED),
    ("trailer_crlf", "10.3", [post(), data(b"x", 0), frame(HEADERS, WHOLE, 1, literal("x", "y\r\nz: a"))], MALFORMED),
    ("trailer_connection", "10.3", [post(), data(b"x", 0), frame(HEADERS, WHOLE, 1, literal("connection", "x"))], MALFORMED),
    ("trailer_length", "10.3", [post(), data(b"x", 0), frame(HEADERS, WHOLE, 1, literal("x-content-length", "5"))],
     answered(200)),
    # --- lengths (8.1.1)
    ("length", "8.1.1", [post([("content-length", "5")]), data(b"hello")], answered(200)),
    ("length_too_long", "8.1.1", [post([("content-length", "50")]), data(b"hello")], MALFORMED),
    ("length_too_short", "8.1.1", [post([("content-length", "3")]), data(b"hello")], MALFORMED),
    ("length_too_short_by_a_request", "8.1.1", [post([("content-length", "1")]),
                                                data(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")], MALFORMED),
    ("length_without_body", "8.1.1", [get(more=[("content-length", "5")])], MALFORMED),
    ("length_without_body_but_trailers", "8.1.1", [post([("content-length", "5")]),
                                                   frame(HEADERS, WHOLE, 1, literal("x", "y"))], MALFORMED),
    ("length_twice", "8.1.1", [post([("content-length", "5"), ("content-length", "6")]), data(b"hello")], MALFORMED),
    ("length_list", "8.1.1", [post([("content-length", "5, 5")]), data(b"hello")], MALFORMED),
    ("length_signed", "8.1.1", [post([("content-length", "+5")]), data(b"hello")], MALFORMED),
    ("length_empty", "8.1.1", [post([("content-length", "")]), data(b"hello")], MALFORMED),
    ("length_overflow", "8.1.1", [post([("content-length", "18446744073709551621")]), data(b"hello")], MALFORMED),
    ("length_zero_and_body", "8.1.1", [post([("content-length", "0")]), data(b"")], answered(200)),
    # --- what HTTP itself says (9110)
    ("trace_with_body", "9110 9.3.8", [frame(HEADERS, END_HEADERS, 1, head(method="TRACE")), data(b"x")], answered(400)),
    ("expect_other", "9110 10.1.1", [get(more=[("expect", "x")])], answered(417)),
    ("head_fields_too_many", "6585 5", [frame(HEADERS, END_STREAM, 1, (head() + LONG)[:16000]),
                                        frame(CONTINUATION, END_HEADERS, 1, (head() + LONG)[16000:])], answered(431)),
]


class Answers:
    """What has come back: a status for each stream, resets, and GOAWAY."""

    def __init__(self):
        self.status, self.reset, self.goaway, self.ended = {}, {}, None, False
        self.done = set()

    def take(self, f):
        kind, flags, sid, payload = f
        if kind == HEADERS and sid not in self.status and (status := status_of(payload)) >= 200:
            self.status[sid] = status
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.done.add(sid)
        if kind == RST_STREAM:
            self.reset[sid] = int.from_bytes(payload, "big")
            self.done.add(sid)
        if kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")


def status_of(payload):
    """The first field of a head, which is an index of HPACK's static table, or a literal; behind a table's new size 0."""
    payload = payload.lstrip(b"\x20")
    if payload[0] & 0x80:
        return {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}[payload[0] & 0x7f]
    text = payload[2:2 + (payload[1] & 0x7f)]
    return huffman_digits(text) if payload[1] & 0x80 else int(text)


def huffman_digits(text):
    """Three digits in HPACK's code (RFC 7541 B): 0, 1, 2 have five bits, the others six."""
    bits, digits = "".join(f"{b:08b}" for b in text), ""
    while len(digits) < 3:
        n = 5 if bits[:5] in ("00000", "00001", "00010") else 6
        digits += str(int(bits[:5], 2) if n == 5 else int(bits[:6], 2) - 0x19 + 3)
        bits = bits[n:]
    return int(digits)


def talk(proxy, frames, streams):
    """Sends a case and, behind it, one more request; reads until all of it is answered or the connection has ended."""
    a = Answers()
    r = Raw(proxy) if frames != "raw" else None
    if not r:
        r = Raw.__new__(Raw)
        r.s, r.buffer = proxy.connect(), b""
        frames = [PREFACE, get()]
    with r.s, contextlib.suppress(ConnectionError):
        r.send(*frames)
        r.send(frame(HEADERS, WHOLE, LAST if streams < LAST else streams + 2, head(path="/probe")))
        while LAST not in a.done or not set(range(1, streams + 1, 2)) <= a.done | set(a.status):
            f = r.read()
            if not f:
                a.ended = True
                break
            a.take(f)
    return a


def judge(a, result):
    kind, wanted = result
    if kind == "answered":
        expect([a.status.get(1 + 2 * i) for i in range(len(wanted))], list(wanted), "statuses")
    elif kind == "unseen":
        expect(a.goaway, None, "GOAWAY")
    elif kind == "stream" and a.goaway is None:
        assert a.reset.get(1) in wanted or a.status.get(1) == 400, f"stream 1: {a.status.get(1)}, reset {a.reset.get(1)}"
    else:
        assert a.goaway in wanted, f"GOAWAY {a.goaway}, want {wanted}; resets {a.reset}, statuses {a.status}"
        return
    expect(a.status.get(LAST), 200, "the request behind it")


def run_case(proxy, origin, frames, result):
    origin.seen.clear()
    streams = {"answered": 2 * len(result[1]) - 1, "unseen": 0}.get(result[0], 1)
    a = talk(proxy, frames, streams)
    judge(a, result)
    expect(origin.wrong, [], "what the origin cannot read")
    if result[0] != "connection" and a.goaway is None:
        expect([m.target for m in origin.seen].count("/probe"), 1, "requests behind it at the origin")
        expect(len(origin.seen), {"answered": list(result[1]).count(200), "unseen": 1}.get(result[0], 0) + 1,
               "requests at the origin")
    assert not any(m.target == "/smuggled" for m in origin.seen), "smuggled"


def check_too_many_streams(proxy):
    """5.1.2: from a client that has not seen the limit yet the one above it is refused, and none of the others is harmed."""
    with contextlib.closing(Raw(proxy)) as r:
        r.send(*(post(sid=1 + 2 * i) for i in range(101)))
        f = r.until(RST_STREAM)
        expect((f[2], int.from_bytes(f[3], "big")), (201, REFUSED), "the reset")
        r.send(*(data(b"x", sid=1 + 2 * i) for i in range(100)))
        done = set()
        while len(done) < 100:
            f = r.read()
            assert f, f"the end behind {len(done)} answers"
            if f[0] == DATA and f[1] & END_STREAM:
                done.add(f[2])


def main():
    words = sys.argv[1:]
    origin = Origin(answer_ok)
    config = (service("app", origin.port, "app") + pod("app-1", "app", "v1", ORIGIN_IP, origin.port) + gateway() +
              virtual_service("  - route: [{destination: {host: app}}]\n    retries: {attempts: 0}"))
    passed = failed = 0
    with Proxy(config, "--threads", "1") as proxy:
        cases = [(name, section, lambda f=frames, r=result: run_case(proxy, origin, f, r))
                 for name, section, frames, result in CASES]
        cases.append(("too_many_streams", "5.1.2", lambda: check_too_many_streams(proxy)))
        for name, section, run in cases:
            if words and not any(w in name for w in words):
                continue
            try:
                run()
                passed += 1
            except (AssertionError, OSError, KeyError) as e:
                failed += 1
                origin.wrong.clear()
                print(f"FAIL  {name} (RFC {section}): {e!r}", flush=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
