#!/usr/bin/env python3
"""Log lines pushed as Loki wants them and spans pushed as Zipkin does, by stock senders (npm's winston-loki, zipkin and
OpenTelemetry's exporter; push/package.json) and by our own bytes; read back with LogQL, Jaeger's API and `vigla traces`."""
import gzip
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

from mesh import VIGLA, Server
from suite import npm, run

SENDERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "push")
JSON = {"Content-Type": "application/json"}


def send(server, what):
    npm(SENDERS, "npm's senders")
    done = subprocess.run(["node", os.path.join(SENDERS, "send.mjs"), server.url, what], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 0, done
    return done.stdout.strip()


# --- Loki -----------------------------------------------------------------------------------------------------------

def varint(n):
    out = b""
    while n >= 128:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def push_request(labels, entries):
    """logproto.PushRequest of one stream; entries are (ns, line, metadata)."""
    def entry(ns, line, metadata):
        stamp = varint(8) + varint(ns // 10**9) + varint(16) + varint(ns % 10**9)
        pairs = b"".join(field(3, field(1, k.encode()) + field(2, v.encode())) for k, v in metadata.items())
        return field(2, field(1, stamp) + field(2, line.encode()) + pairs)
    return field(1, field(1, labels.encode()) + b"".join(entry(*e) for e in entries))


def snappy(data):
    """Snappy's block format of literals alone."""
    out = varint(len(data))
    for at in range(0, len(data), 60):
        piece = data[at:at + 60]
        out += bytes([(len(piece) - 1) << 2]) + piece
    return out


def lines_of(server, query):
    data = server.get("/loki/api/v1/query_range", query=query, limit=5000, start=str(time.time_ns() - 3600 * 10**9),
                      end=str(time.time_ns() + 60 * 10**9))["data"]["result"]
    return sorted((int(ns), line) for stream in data for ns, line in stream["values"])


def test_what_is_pushed_is_found(server):
    """Every line, byte for byte and to the nanosecond, in each encoding."""
    now = time.time_ns() - 10**9
    lines = [(now + i, f"line {i} \"quoted\" é \\ {'x' * (i % 7)}") for i in range(300)]
    document = json.dumps({"streams": [{"stream": {"namespace": "%s", "job": "own"}, "values": [
        [str(ns), line, {"user": "u"}] for ns, line in lines]}]})
    for ns, body, headers in (("json", (document % "json").encode(), JSON),
                              ("gzip", gzip.compress((document % "gzip").encode()), {**JSON, "Content-Encoding": "gzip"}),
                              ("protobuf", snappy(push_request('{namespace="protobuf", job="own"}',
                                                               [(t, line, {"user": "u"}) for t, line in lines])),
                               {"Content-Type": "application/x-protobuf"})):
        status, _, answer = server.call("POST", "/loki/api/v1/push", body, headers)
        assert status == 204, (ns, status, answer)
        assert lines_of(server, f'{{namespace="{ns}"}}') == lines, ns
        assert lines_of(server, f'{{namespace="{ns}"}} | job="own" | user="u"') == lines, ns
        assert lines_of(server, f'{{job="own", namespace="{ns}"}}') == lines, ns  # a label without a column


def test_refusals_are_lokis(server):
    good = [str(time.time_ns()), "kept"]
    body = {"streams": [{"stream": {"namespace": "half"}, "values": [good]}, {"stream": {}, "values": [["1", "x"]]}]}
    status, _, answer = server.call("POST", "/loki/api/v1/push", json.dumps(body), JSON)
    assert status == 400 and answer.startswith(b"error at least one label pair is required per stream"), answer
    assert [line for _, line in lines_of(server, '{namespace="half"}')] == ["kept"]
    for body, headers, code, part in (
            (b"{", JSON, 400, b"json: byte 1"), (b"\xff\xff\xff", {"Content-Type": "application/x-protobuf"}, 400, b"body: "),
            (snappy(b"\x0b"), {"Content-Type": "application/x-protobuf"}, 400, b"protobuf"),
            (snappy(push_request("{a=b}", [(1, "x", {})])), {"Content-Type": "application/x-protobuf"}, 400, b"parse error"),
            (b"x" * (40 << 20), JSON, 413, b""), (b"{}", {**JSON, "Content-Encoding": "br"}, 415, b"gzip")):
        status, _, answer = server.call("POST", "/loki/api/v1/push", body, headers)
        assert status == code and part in answer, (status, answer)


def test_winston_loki(server):
    for form in ("winston-json", "winston-protobuf"):
        send(server, form)
        got = [line for _, line in lines_of(server, f'{{namespace="shop"}} | job="{form}"')]
        assert len(got) == 20 and all('"ü"' in line for line in got), got
        assert len(lines_of(server, f'{{namespace="shop"}} | job="{form}" | severity="error"')) == 4


# --- Zipkin and Jaeger ----------------------------------------------------------------------------------------------

def trace(server, trace_id):
    return server.get(f"/jaeger/api/traces/{trace_id}")["data"][0]


def tags(span):
    return {t["key"]: t["value"] for t in span["tags"]}


def test_zipkins_own_library(server):
    """A client and a server that share a span are two, and the second is the first one's child."""
    found = trace(server, send(server, "zipkin"))
    client, stock = sorted(found["spans"], key=lambda span: len(span["references"]))
    names = [found["processes"][span["processID"]]["serviceName"] for span in (client, stock)]
    assert names == ["zipkin-shop", "zipkin-stock"], found
    assert stock["references"][0]["spanID"] == client["spanID"] != stock["spanID"], found
    assert tags(client)["http.path"] == "/stock" and tags(stock)["error"] is True, found
    assert tags(stock)["otel.status_description"] == "none left", found
    assert {"parent": names[0], "child": names[1], "callCount": 1} in server.get("/jaeger/api/dependencies")["data"]


def test_opentelemetrys_exporter(server):
    found = trace(server, send(server, "opentelemetry"))
    outer, inner = found["spans"]
    assert (outer["operationName"], inner["operationName"]) == ("order", "pay"), found
    assert inner["references"] == [{"refType": "CHILD_OF", "traceID": found["traceID"], "spanID": outer["spanID"]}]
    assert tags(outer) == {**tags(outer), "span.kind": "server", "http.status_code": 500, "cached": False, "error": True,
                           "otel.status_code": "ERROR", "otel.status_description": "declined"}, outer
    assert [f["value"] for log in inner["logs"] for f in log["fields"]] == ["asked"], inner


def push_spans(server, spans):
    status, _, answer = server.call("POST", "/api/v2/spans", json.dumps(spans), JSON)
    assert status == 202, (status, answer)


def chain(prefix, us, services, **more):
    """A trace of one span for each service, each the child of the one before."""
    return [{"traceId": prefix * 16, "id": f"{i + 1:016x}", **({"parentId": f"{i:016x}"} if i else {}), "kind": "SERVER",
             "name": f"op-{service}", "timestamp": us + i * 1000, "duration": 10000 - i * 1000,
             "localEndpoint": {"serviceName": service}, **more} for i, service in enumerate(services)]


def test_who_serves_tells_first(server):
    """Each service sends its own spans, and the called one's come first: the graph has one edge all the same."""
    us = time.time_ns() // 1000

    def span(trace_id, number, parent, kind, service):
        return {"traceId": f"{trace_id:032x}", "id": f"{number:016x}", **({"parentId": f"{parent:016x}"} if parent else {}),
                "kind": kind, "name": "op", "timestamp": us, "duration": 1000, "localEndpoint": {"serviceName": service}}
    traces = range(0x77000, 0x77000 + 25)
    push_spans(server, [span(t, 3, 2, "SERVER", "late-cart") for t in traces])
    push_spans(server, [span(t, n, n - 1, kind, "late-web") for t in traces for n, kind in ((1, "SERVER"), (2, "CLIENT"))])

    elements = server.get("/api/graph", window="10m", graphType="workload")["elements"]
    names = {n["data"]["id"]: n["data"].get("workload") or n["data"].get("service") for n in elements["nodes"]}
    calls = {(names[e["data"]["source"]], names[e["data"]["target"]]): e["data"]["vigla"]["requests"] for e in elements["edges"]}
    late = {pair: n for pair, n in calls.items() if pair[1] in ("late-web", "late-cart")}
    assert late == {("unknown", "late-web"): 25, ("late-web", "late-cart"): 25}, late


def thrift(kind, number, value):
    """A field of Thrift's binary protocol; a struct is a list of fields, a list of structs a list of those."""
    head = struct.pack(">bh", kind, number)
    if kind == 11:
        return head + struct.pack(">i", len(value)) + value.encode()
    if kind == 12:
        return head + b"".join(value) + b"\0"
    if kind == 15:
        return head + struct.pack(">bi", 12, len(value)) + b"".join(b"".join(fields) + b"\0" for fields in value)
    return head + struct.pack({2: ">b", 8: ">i", 10: ">q"}[kind], value)


def jaeger_batch(us):
    """Two spans of one process: jaeger.thrift's Batch as Jaeger's own clients write it."""
    def tag(key, kind, value):
        return [thrift(11, 1, key), thrift(8, 2, kind), thrift({0: 11, 2: 2, 3: 10}[kind], {0: 3, 2: 5, 3: 6}[kind], value)]

    def span(number, parent, name, tags):
        return [thrift(10, 1, 0x463ac35c9f6413ad), thrift(10, 2, 0x5af7183fb1d4cf5f), thrift(10, 3, number), thrift(10, 4, parent),
                thrift(11, 5, name), thrift(8, 7, 1), thrift(10, 8, us + number), thrift(10, 9, 10 - number), thrift(15, 10, tags),
                thrift(15, 11, [[thrift(10, 1, us + number), thrift(15, 2, [tag("event", 0, "seen")])]])]
    process = [thrift(11, 1, "jaeger-shop"), thrift(15, 2, [tag("hostname", 0, "h1")])]
    spans = [span(1, 0, "order", [tag("span.kind", 0, "server"), tag("error", 2, 1), tag("http.status_code", 3, 500)]),
             span(2, 1, "pay", [tag("span.kind", 0, "client")])]
    return thrift(12, 1, process) + thrift(15, 2, spans) + b"\0"


def test_jaegers_thrift(server):
    headers = {"Content-Type": "application/x-thrift"}
    status, _, answer = server.call("POST", "/api/traces?format=jaeger.thrift", jaeger_batch(time.time_ns() // 1000), headers)
    assert status == 202, (status, answer)
    found = trace(server, "5af7183fb1d4cf5f463ac35c9f6413ad")
    outer, inner = found["spans"]
    assert found["processes"][outer["processID"]]["serviceName"] == "jaeger-shop", found
    assert inner["references"][0]["spanID"] == outer["spanID"] == "0" * 15 + "1", found
    assert tags(outer) == {"span.kind": "server", "error": True, "http.status_code": 500, "hostname": "h1",
                           "otel.status_code": "ERROR"}, outer
    assert {f["key"]: f["value"] for f in inner["logs"][0]["fields"]}["event"] == "seen", inner
    assert server.call("POST", "/api/traces", b"\x0b\0\1", headers)[0] == 400
    assert server.call("POST", "/api/traces?format=zipkin.thrift", b"\0", headers)[0] == 400
    assert server.call("POST", "/api/traces", b"\0", {"Content-Type": "text/plain"})[0] == 415


def test_search_by_all_there_is(server):
    us = time.time_ns() // 1000 - 60 * 10**6
    push_spans(server, chain("aa", us, ["web", "cart"], tags={"tenant": "one"}))
    push_spans(server, chain("bb", us + 10**6, ["web", "cart", "db"], tags={"tenant": "two", "error": "full"}))
    push_spans(server, chain("cc", us + 2 * 10**6, ["web"]))

    def search(**parameters):
        answer = server.get("/jaeger/api/traces", **parameters)
        assert answer["errors"] is None, answer
        return [t["traceID"][:2] for t in answer["data"]]
    assert search(service="web") == ["cc", "bb", "aa"]
    assert search(service="web", limit=2) == ["cc", "bb"]
    assert search(service="cart") == ["bb", "aa"] and search(service="db", operation="op-db") == ["bb"]
    assert search(service="web", tags='{"tenant":"one"}') == ["aa"] and search(service="web", tag="tenant:two") == ["bb"]
    assert search(service="web", tags='{"error":"true"}') == ["bb"] and search(service="nobody") == []
    assert search(service="cart", minDuration="9.5ms") == [] and search(service="cart", maxDuration="9ms") == ["bb", "aa"]
    assert search(service="web", start=us, end=us) == ["aa"] and search(service="web", lookback="10s") == []
    assert search(traceID="aa" * 16) == ["aa"]
    assert set(server.get("/jaeger/api/services")["data"]) >= {"web", "cart", "db"}
    assert server.get("/jaeger/api/services/cart/operations")["data"] == ["op-cart"]
    calls = {(d["parent"], d["child"]): d["callCount"] for d in server.get("/jaeger/api/dependencies", lookback=3600000)["data"]}
    assert calls[("web", "cart")] == 2 and calls[("cart", "db")] == 1, calls


def test_v3_is_opentelemetrys_json(server):
    us = time.time_ns() // 1000
    push_spans(server, chain("dd", us, ["v3-web", "v3-cart"], annotations=[{"timestamp": us, "value": "seen"}]))
    answer = server.get("/jaeger/api/v3/traces/" + "dd" * 16)["result"]["resourceSpans"]
    services = [r["resource"]["attributes"][0]["value"]["stringValue"] for r in answer]
    assert services == ["v3-web", "v3-cart"], answer
    span = answer[1]["scopeSpans"][0]["spans"][0]
    assert span["traceId"] == "dd" * 16 and span["parentSpanId"] == "0" * 15 + "1" and span["kind"] == 2, span
    assert int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]) == 9000000, span
    assert span["events"] == [{"timeUnixNano": str(us * 1000), "name": "seen"}], span
    found = server.get("/jaeger/api/v3/traces", **{"query.service_name": "v3-cart", "query.search_depth": 5})
    assert found["result"]["resourceSpans"] == answer
    # What it answers is what OTLP takes.
    status, _, body = server.call("POST", "/v1/traces", json.dumps({"resourceSpans": answer}), JSON)
    assert (status, body) == (200, b"{}"), (status, body)
    assert server.get("/jaeger/api/v3/operations", service="v3-web") == {"operations": [{"name": "op-v3-web", "spanKind": "server"}]}
    status, _, body = server.call("GET", "/jaeger/api/v3/traces/1")
    assert status == 404 and json.loads(body) == {"error": {"httpCode": 404, "message": "trace not found"}}, body


def test_refusals_are_jaegers(server):
    for path, code, words in (("traces", 400, "parameter 'service' is required"), ("traces/abc", 404, "trace not found"),
                              ("traces/xyz", 400, "hexadecimal"), ("operations", 400, "parameter 'service' is required"),
                              ("traces?service=a&tags=x", 400, "malformed 'tags' parameter"),
                              ("traces?service=a&tag=x", 400, "expecting key:value"),
                              ("traces?service=a&minDuration=5", 400, "minDuration"), ("traces?service=a&start=x", 400, "start")):
        status, _, body = server.call("GET", "/jaeger/api/" + path)
        answer = json.loads(body)
        assert status == code and answer["data"] is None and words in answer["errors"][0]["msg"], (path, answer)
    status, _, body = server.call("POST", "/api/v2/spans", b"<spans/>", {"Content-Type": "application/xml"})
    assert status == 415 and b"application/json" in body, body


def test_a_large_trace_comes_whole(server):
    """5,000 spans, more than one piece of an answer, one of them twice."""
    us = time.time_ns() // 1000
    spans = [{"traceId": "ee" * 16, "id": f"{i + 1:016x}", "parentId": f"{i // 10 + 1:016x}", "name": "n", "timestamp": us + i,
              "duration": 5, "localEndpoint": {"serviceName": f"large-{i % 3}"}, "tags": {"i": str(i)}} for i in range(5000)]
    for at in range(0, 5000, 1000):
        push_spans(server, spans[at:at + 1000])
    push_spans(server, spans[:1])
    found = trace(server, "ee" * 16)
    assert sorted(tags(s)["i"] for s in found["spans"]) == list(range(5000))
    v3 = server.get("/jaeger/api/v3/traces/" + "ee" * 16)["result"]["resourceSpans"]
    assert sum(len(r["scopeSpans"][0]["spans"]) for r in v3) == 5000 and len(v3) == 3


def test_many_traces_at_once(server):
    us = time.time_ns() // 1000
    push_spans(server, [{"traceId": f"{i + 1:032x}", "id": "1", "name": "n", "timestamp": us + i, "duration": 5,
                         "localEndpoint": {"serviceName": "many"}} for i in range(2000)])
    found = server.get("/jaeger/api/traces", service="many", limit=5000)["data"]
    assert [int(t["traceID"], 16) for t in found] == list(range(2000, 500, -1))
    v3 = server.get("/jaeger/api/v3/traces", **{"query.service_name": "many", "query.search_depth": 1500})
    spans = [s for r in v3["result"]["resourceSpans"] for s in r["scopeSpans"][0]["spans"]]
    assert [int(s["traceId"], 16) for s in spans] == list(range(2000, 500, -1))


def test_command_line(server):
    push_spans(server, chain("ff", time.time_ns() // 1000, ["cli-web", "cli-cart"], tags={"error": "x"}))

    def cli(*words):
        done = subprocess.run([VIGLA, "traces", *words, "--server", server.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=30)
        return done.returncode, done.stdout, done.stderr
    code, out, _ = cli("--service", "cli-cart", "--tag", "error=true")
    assert code == 0 and out.splitlines()[1].split()[0] == "ff" * 16 and "cli-web,cli-cart" in out, out
    code, out, _ = cli("ff" * 16)
    assert code == 0 and "\033" not in out, out
    head, web, cart = out.splitlines()
    assert head.endswith("10ms  2 spans") and web.startswith("cli-web") and cart.startswith("└─ cli-cart"), out
    assert "+1ms" in cart and "█" in cart and cart.endswith("error"), out
    code, out, _ = cli("ff" * 16, "-o", "json")
    assert code == 0 and len(json.loads(out)["result"]["resourceSpans"]) == 2, out
    assert cli("abc") == (1, "", "vigla: trace not found\n")


def main():
    folder = tempfile.mkdtemp(prefix="vigla-push-")
    server = Server(folder)
    try:
        failed = run(globals(), server)
        server.process.stop()
        return failed
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
