#!/usr/bin/python3
"""gRPC from end to end: Debian's python3-grpcio as OpenTelemetry's and Envoy's sender, answers by LogQL and PromQL.

    grpc_test.py [NAME...]    only the tests whose name contains one of the words; VIGLA_KEEP=1 keeps the folder

Messages are made by protobuf's own library from descriptors that stand here field by field, so that they are checked by
somebody else's encoder. Debian's interpreter is asked for by name: another one may not have its packages.
"""
import contextlib
import os
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import time

from mesh import Server, free_port, until
from suite import run

try:
    import grpc
    from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
except ImportError as missing:
    print(f"skipped: grpc: {missing.name} is not there (apt-get install python3-grpcio)\n0 passed, 0 failed, 1 skipped")
    sys.exit(0)

# --- messages: NAME: {field: (number, type)}; a type in brackets is repeated, "map" is of strings ---
SCALARS = {"string": 9, "bytes": 12, "u32": 13, "u64": 4, "i32": 5, "i64": 3, "bool": 8, "double": 1, "fixed64": 6}
SCHEMA = {
    # opentelemetry.proto
    "AnyValue": {"string_value": (1, "string")},
    "KeyValue": {"key": (1, "string"), "value": (2, "AnyValue")},
    "Resource": {"attributes": (1, ["KeyValue"])},
    "LogRecord": {"time_unix_nano": (1, "fixed64"), "severity_text": (3, "string"), "body": (5, "AnyValue")},
    "ScopeLogs": {"log_records": (2, ["LogRecord"])},
    "ResourceLogs": {"resource": (1, "Resource"), "scope_logs": (2, ["ScopeLogs"])},
    "ExportLogs": {"resource_logs": (1, ["ResourceLogs"])},
    "NumberDataPoint": {"start_time_unix_nano": (2, "fixed64"), "time_unix_nano": (3, "fixed64"),
                        "as_double": (4, "double"), "attributes": (7, ["KeyValue"])},
    "Gauge": {"data_points": (1, ["NumberDataPoint"])},
    "Metric": {"name": (1, "string"), "gauge": (5, "Gauge")},
    "ScopeMetrics": {"metrics": (2, ["Metric"])},
    "ResourceMetrics": {"resource": (1, "Resource"), "scope_metrics": (2, ["ScopeMetrics"])},
    "ExportMetrics": {"resource_metrics": (1, ["ResourceMetrics"])},
    "Span": {"trace_id": (1, "bytes"), "span_id": (2, "bytes"), "name": (5, "string"), "kind": (6, "i32"),
             "start_time_unix_nano": (7, "fixed64"), "end_time_unix_nano": (8, "fixed64")},
    "ScopeSpans": {"spans": (2, ["Span"])},
    "ResourceSpans": {"resource": (1, "Resource"), "scope_spans": (2, ["ScopeSpans"])},
    "ExportTraces": {"resource_spans": (1, ["ResourceSpans"])},
    "PartialSuccess": {"rejected": (1, "i64"), "error_message": (2, "string")},
    "ExportResponse": {"partial_success": (1, "PartialSuccess")},
    # envoy.config.core.v3, google.protobuf
    "Struct": {"fields": (1, "valuemap")},
    "Value": {"string_value": (3, "string"), "struct_value": (5, "Struct")},
    "Node": {"id": (1, "string"), "cluster": (2, "string"), "metadata": (3, "Struct")},
    "SocketAddress": {"address": (2, "string"), "port_value": (3, "u32")},
    "Address": {"socket_address": (1, "SocketAddress")},
    "Time": {"seconds": (1, "i64"), "nanos": (2, "i32")},
    "UInt32": {"value": (1, "u32")},
    # envoy.data.accesslog.v3
    "ResponseFlags": {"upstream_connection_failure": (6, "bool"), "upstream_retry_limit_exceeded": (16, "bool")},
    "San": {"uri": (1, "string"), "dns": (2, "string")},
    "Certificate": {"subject_alt_name": (1, ["San"]), "subject": (2, "string")},
    "TLSProperties": {"tls_version": (1, "i32"), "tls_sni_hostname": (3, "string"), "local": (4, "Certificate"),
                      "peer": (5, "Certificate")},
    "Common": {"downstream_remote_address": (2, "Address"), "downstream_local_address": (3, "Address"),
               "tls_properties": (4, "TLSProperties"), "start_time": (5, "Time"),
               "time_to_last_downstream_tx_byte": (12, "Time"), "upstream_remote_address": (13, "Address"),
               "upstream_cluster": (15, "string"), "response_flags": (16, "ResponseFlags"), "route_name": (19, "string"),
               "custom_tags": (22, "map"), "duration": (23, "Time")},
    "Request": {"request_method": (1, "i32"), "scheme": (2, "string"), "authority": (3, "string"), "path": (5, "string"),
                "user_agent": (6, "string"), "request_id": (9, "string"), "request_body_bytes": (12, "u64"),
                "request_headers": (13, "map")},
    "Response": {"response_code": (1, "UInt32"), "response_body_bytes": (3, "u64"), "response_code_details": (6, "string")},
    "HTTPEntry": {"common_properties": (1, "Common"), "protocol_version": (2, "i32"), "request": (3, "Request"),
                  "response": (4, "Response")},
    "Connection": {"received_bytes": (1, "u64"), "sent_bytes": (2, "u64")},
    "TCPEntry": {"common_properties": (1, "Common"), "connection_properties": (2, "Connection")},
    "Identifier": {"node": (1, "Node"), "log_name": (2, "string")},
    "HTTPEntries": {"log_entry": (1, ["HTTPEntry"])},
    "TCPEntries": {"log_entry": (1, ["TCPEntry"])},
    "StreamAccessLogs": {"identifier": (1, "Identifier"), "http_logs": (2, "HTTPEntries"), "tcp_logs": (3, "TCPEntries")},
    # io.prometheus.client, envoy.service.metrics.v3
    "LabelPair": {"name": (1, "string"), "value": (2, "string")},
    "Number": {"value": (1, "double")},
    "Bucket": {"cumulative_count": (1, "u64"), "upper_bound": (2, "double")},
    "Histogram": {"sample_count": (1, "u64"), "sample_sum": (2, "double"), "bucket": (3, ["Bucket"])},
    "PromMetric": {"label": (1, ["LabelPair"]), "gauge": (2, "Number"), "counter": (3, "Number"),
                   "timestamp_ms": (6, "i64"), "histogram": (7, "Histogram")},
    "MetricFamily": {"name": (1, "string"), "help": (2, "string"), "type": (3, "i32"), "metric": (4, ["PromMetric"])},
    "StreamMetrics": {"identifier": (1, "Identifier"), "envoy_metrics": (2, ["MetricFamily"])},
}


def classes():
    file = descriptor_pb2.FileDescriptorProto(name="test.proto", package="t", syntax="proto3")
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            repeated = isinstance(kind, list) or kind in ("map", "valuemap")
            kind = kind[0] if isinstance(kind, list) else kind
            if kind in ("map", "valuemap"):
                entry = message.nested_type.add(name="".join(w.title() for w in field.split("_")) + "Entry")
                entry.options.map_entry = True
                entry.field.add(name="key", number=1, type=9, label=1)
                if kind == "map":
                    entry.field.add(name="value", number=2, type=9, label=1)
                else:
                    entry.field.add(name="value", number=2, type=11, label=1, type_name=".t.Value")
                kind = f"{name}.{entry.name}"
            to = message.field.add(name=field, number=number, label=3 if repeated else 1, type=SCALARS.get(kind, 11))
            if kind not in SCALARS:
                to.type_name = f".t.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return {name: factory.GetPrototype(pool.FindMessageTypeByName(f"t.{name}")) for name in SCHEMA}


CLASSES = classes()


def make(name, value):
    """A message from a dictionary, as JSON would write it."""
    return json_format.ParseDict(value, CLASSES[name]())


EXPORT = {"Logs": "logs.v1.LogsService", "Metrics": "metrics.v1.MetricsService", "Traces": "trace.v1.TraceService"}
ALS = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"


class Scene:
    """A server and a channel to it. A context manager."""

    def __init__(self, *options):
        self.folder = tempfile.mkdtemp(prefix="vigla-grpc-")
        self.port = free_port()
        self.server = Server(self.folder, 0, "--otlp-grpc", f"127.0.0.1:{self.port}", *options)
        self.channel = self.dial()

    def dial(self, *options):
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", options=[("grpc.use_local_subchannel_pool", 1), *options])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()
        with contextlib.suppress(AssertionError):
            self.server.process.stop()
        if not os.environ.get("VIGLA_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def export(self, signal_name, message, channel=None, **how):
        """The response; raises grpc.RpcError."""
        method = (channel or self.channel).unary_unary(
            f"/opentelemetry.proto.collector.{EXPORT[signal_name]}/Export", lambda m: m.SerializeToString(),
            CLASSES["ExportResponse"].FromString)
        return method(message, timeout=how.pop("timeout", 20), **how)

    def stream(self, path, messages, **how):
        return self.channel.stream_unary(path, lambda m: m.SerializeToString())(messages, timeout=20, **how)

    def rows(self, query):
        """[(labels, line)], oldest first."""
        data = self.server.get("/loki/api/v1/query_range", query=query, limit=5000, direction="forward",
                               start=str(int((time.time() - 3600) * 1e9)), end=str(int((time.time() + 60) * 1e9)))
        return [(s["stream"], line) for s in data["data"]["result"] for _, line in s["values"]]


def log_record(body):
    return {"timeUnixNano": str(time.time_ns()), "severityText": "INFO", "body": {"stringValue": body}}


def logs(*bodies):
    return make("ExportLogs", {"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeLogs": [{"logRecords": [log_record(b) for b in bodies]}]}]})


def failure(call):
    try:
        call()
    except grpc.RpcError as e:
        return e
    raise AssertionError("it went well")


# --- OpenTelemetry ---

def test_three_signals():
    now = time.time_ns()
    with Scene() as s:
        for how in ({}, {"compression": grpc.Compression.Gzip}, {"compression": grpc.Compression.Deflate}):
            assert not s.export("Logs", logs("hello"), **how).HasField("partial_success")
        s.export("Metrics", make("ExportMetrics", {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{
            "name": "queue_length", "gauge": {"dataPoints": [{"timeUnixNano": str(now), "asDouble": 7}]}}]}]}]}))
        s.export("Traces", make("ExportTraces", {"resourceSpans": [{"scopeSpans": [{"spans": [{
            "traceId": "W47/95gDgQPSabYzgT/GDA==", "spanId": "7uGbfsPBsXQ=", "name": "op", "kind": 2,
            "startTimeUnixNano": str(now), "endTimeUnixNano": str(now + 1000000)}]}]}]}))
        assert len(s.rows('{kind="log"} |= "hello"')) == 3
        assert s.server.total("queue_length") == 7
        assert [row["name"] for row, _ in s.rows('{kind="span"}')] == ["op"]
        metrics = s.server.call("GET", "/metrics")[2].decode()
        assert 'service="opentelemetry.proto.collector.logs.v1.LogsService",method="Export",code="OK"} 3' in metrics


def test_partial_success():
    with Scene() as s:
        late = logs("good", "bad")
        late.resource_logs[0].scope_logs[0].log_records[1].time_unix_nano = 2**64 - 1
        part = s.export("Logs", late).partial_success
        assert part.rejected == 1 and "2262" in part.error_message, part
        assert [line for _, line in s.rows('{kind="log"}')] == ["good"]


def test_faults_have_codes():
    with Scene("--max-body", "64KiB") as s:
        e = failure(lambda: s.channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Nothing")(b""))
        assert e.code() == grpc.StatusCode.UNIMPLEMENTED
        e = failure(lambda: s.export("Logs", logs("x" * 100000)))
        assert e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "at most 65536" in e.details(), e
        assert "grpc-status-details-bin" not in dict(e.trailing_metadata())
        e = failure(lambda: s.export("Logs", logs("x" * 1000000), compression=grpc.Compression.Gzip))
        assert e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "when unpacked" in e.details(), e
        s.export("Logs", logs("it goes on"))


def test_ten_thousand_calls_at_a_time():
    with Scene() as s:
        channels = [s.dial() for _ in range(4)]
        methods = [c.unary_unary(f"/opentelemetry.proto.collector.{EXPORT['Logs']}/Export") for c in channels]
        body = logs("one of many").SerializeToString()
        calls = [methods[i % 4].future(body, timeout=60) for i in range(10000)]
        for call in calls:
            assert call.exception() is None, call.exception()
        text = s.server.call("GET", "/metrics")[2].decode()
        assert 'vigla_store_events_total{table="log"} 10000' in text
        assert "vigla_grpc_message_bytes 0" in text
        for c in channels:
            c.close()


def test_ten_thousand_open_streams():
    """More than the server takes of one connection: the rest waits at the client, and all end well."""
    with Scene() as s:
        let_go = threading.Event()
        message = envoy_logs("edge", http=[entry()]).SerializeToString()

        def messages():
            yield message
            let_go.wait(60)

        channels = [s.dial() for _ in range(4)]
        calls = [c.stream_unary(ALS).future(messages()) for c in channels for _ in range(25)]
        until(lambda: 'vigla_store_events_total{table="access_log"} 100' in s.server.call("GET", "/metrics")[2].decode(), 30,
              "every stream's message is stored while the streams are open")
        raw = socket.create_connection(("127.0.0.1", s.port))
        raw.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
        for i in range(10000):  # opened and left; beyond the limit each is refused
            raw.sendall(frame(1, 4, 2 * i + 1, request_headers(ALS.encode())))
        s.export("Logs", logs("others are served"))
        assert resident(s) < 200 << 20, resident(s)
        raw.close()
        let_go.set()
        for call in calls:
            assert call.exception() is None, call.exception()


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def request_headers(path):
    def literal(name, value):
        return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
    return (literal(b":method", b"POST") + literal(b":scheme", b"http") + literal(b":path", path) +
            literal(b":authority", b"x") + literal(b"content-type", b"application/grpc"))


def resident(s):
    with open(f"/proc/{s.server.process.child.pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_half_a_frame_disturbs_nobody():
    with Scene() as s:
        raw = []
        for cut in (5, 24, 30, 40):
            connection = socket.create_connection(("127.0.0.1", s.port))
            whole = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 4, 1, request_headers(b"/x"))
            connection.sendall(whole[:cut])
            raw.append(connection)
        s.export("Logs", logs("served"))
        for connection in raw:
            connection.close()


def test_deadline():
    with Scene() as s:
        never = threading.Event()

        def messages():
            never.wait(5)
            yield from ()

        e = failure(lambda: s.channel.stream_unary(ALS)(messages(), timeout=0.2))
        never.set()
        assert e.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_kill_9_loses_nothing_acknowledged():
    with Scene() as s:
        acknowledged, stop = [], threading.Event()

        def send(name):
            channel = s.dial()
            for i in range(100000):
                if stop.is_set():
                    return
                try:
                    s.export("Logs", logs(f"{name}-{i}"), channel=channel, timeout=5)
                except grpc.RpcError:
                    return
                acknowledged.append(f"{name}-{i}")

        senders = [threading.Thread(target=send, args=(f"s{i}",)) for i in range(4)]
        for sender in senders:
            sender.start()
        until(lambda: len(acknowledged) > 300, 30, "300 acknowledged")
        s.server.process.stop(signal.SIGKILL)
        stop.set()
        for sender in senders:
            sender.join()
        s.server.start(s.server.port)
        there = {line for _, line in s.rows('{kind="log"}')}
        assert len(acknowledged) <= 5000, "the query has a limit"
        assert set(acknowledged) <= there, sorted(set(acknowledged) - there)[:5]


def test_stops_with_open_streams():
    with Scene() as s:
        let_go = threading.Event()

        def messages():
            yield envoy_logs("edge", http=[entry()])
            let_go.wait(10)

        call = s.channel.stream_unary(ALS, lambda m: m.SerializeToString()).future(messages())
        until(lambda: s.rows('{kind="access_log"}'), 10, "the row is there while the stream is open")
        started = time.monotonic()
        assert s.server.process.stop() == 0
        assert time.monotonic() - started < 5
        let_go.set()
        assert call.exception().code() == grpc.StatusCode.UNAVAILABLE, call.exception()


# --- Envoy ---

def text(value):
    return {"stringValue": value}


def istio_node(workload, namespace, app):
    labels = {"structValue": {"fields": {"app": text(app), "version": text("v1"),
                                         "service.istio.io/canonical-name": text(app)}}}
    return {"id": f"sidecar~10.0.0.9~{workload}-x.{namespace}~{namespace}.svc.cluster.local", "cluster": f"{app}.{namespace}",
            "metadata": {"fields": {"WORKLOAD_NAME": text(workload), "NAMESPACE": text(namespace), "LABELS": labels}}}


def entry(cluster="backend", code=200, path="/", **common):
    return {"commonProperties": {
                "startTime": {"seconds": str(int(time.time()))}, "upstreamCluster": cluster,
                "downstreamRemoteAddress": {"socketAddress": {"address": "10.0.0.1", "portValue": 4711}},
                "duration": {"nanos": 7000000}, **common},
            "protocolVersion": 2, "request": {"requestMethod": 1, "path": path, "authority": "shop", "userAgent": "curl",
                                              "requestId": "r-1", "requestHeaders": {"x-team": "blue"}},
            "response": {"responseCode": {"value": code}, "responseBodyBytes": "12"}}


def envoy_logs(node, http=(), tcp=()):
    message = {}
    if node:
        node = {"id": node, "cluster": node} if isinstance(node, str) else node
        message["identifier"] = {"node": node, "logName": "als"}
    if http:
        message["httpLogs"] = {"logEntry": list(http)}
    if tcp:
        message["tcpLogs"] = {"logEntry": list(tcp)}
    return make("StreamAccessLogs", message)


def counted(s, query, want):
    until(lambda: s.server.total(query) == want, 10, f"{query} = {want}, is {s.server.prom(query)}")


def test_access_logs_of_envoy():
    with Scene() as s:
        flags = {"upstreamConnectionFailure": True, "upstreamRetryLimitExceeded": True}
        tcp = {"commonProperties": {"startTime": {"seconds": str(int(time.time()))}, "upstreamCluster": "db",
                                    "tlsProperties": {"tlsVersion": 4, "tlsSniHostname": "db.example"}},
               "connectionProperties": {"receivedBytes": "100", "sentBytes": "200"}}
        s.stream(ALS, iter([envoy_logs("edge", http=[entry(path="/a"), entry(path="/b", code=503, responseFlags=flags)]),
                            envoy_logs(None, http=[entry(path="/c", customTags={"team": "red"})]),
                            envoy_logs(None, tcp=[tcp])]))
        rows = {row.get("path", "tcp"): row for row, _ in s.rows('{kind="access_log"}')}
        assert set(rows) == {"/a", "/b", "/c", "tcp"}, rows
        b = rows["/b"]
        assert (b["response_code"], b["response_flags"], b["method"], b["protocol"]) == ("503", "UF,URX", "GET", "HTTP/1.1"), b
        assert (b["workload"], b["destination_service"], b["request_id"]) == ("edge", "backend", "r-1"), b
        assert rows["/c"]["team"] == "red"
        assert rows["tcp"]["requested_server_name"] == "db.example" and rows["tcp"]["bytes_sent"] == "200", rows["tcp"]
        assert [row["path"] for row, _ in s.rows('{kind="access_log"} | response_code >= 500')] == ["/b"]
        counted(s, 'istio_requests_total{source_workload="edge",destination_service="backend",response_code="200"}', 2)
        counted(s, 'istio_requests_total{response_code="503",response_flags="UF,URX"}', 1)
        counted(s, 'istio_tcp_sent_bytes_total{destination_service="db"}', 200)


def test_access_logs_of_istio():
    with Scene() as s:
        out = entry("outbound|80|v1|ratings.shop.svc.cluster.local")
        tls = {"tlsVersion": 4, "local": {"subjectAltName": [{"uri": "spiffe://c/ns/shop/sa/ratings"}]},
               "peer": {"subjectAltName": [{"uri": "spiffe://c/ns/shop/sa/reviews"}]}}
        s.stream(ALS, iter([envoy_logs(istio_node("reviews-v1", "shop", "reviews"), http=[out])]))
        s.stream(ALS, iter([envoy_logs(istio_node("ratings-v1", "shop", "ratings"),
                                       http=[entry("inbound|9080||", tlsProperties=tls)])]))
        counted(s, 'istio_requests_total{reporter="source",source_workload="reviews-v1",'
                   'destination_service="ratings.shop.svc.cluster.local"}', 1)
        counted(s, 'istio_requests_total{reporter="destination",destination_workload="ratings-v1",'
                   'source_principal="spiffe://c/ns/shop/sa/reviews",connection_security_policy="mutual_tls"}', 1)


def test_a_stream_of_many_small_messages():
    with Scene() as s:
        s.stream(ALS, (envoy_logs("edge" if i == 0 else None, http=[entry()]) for i in range(5000)))
        text_of = s.server.call("GET", "/metrics")[2].decode()
        assert 'vigla_store_events_total{table="access_log"} 5000' in text_of
        counted(s, "istio_requests_total", 5000)


def test_metrics_of_envoy():
    with Scene() as s:
        node = {"node": {"id": "envoy-1", "cluster": "edge"}}
        families = [
            {"name": "cluster.upstream_rq_total", "type": 0,
             "metric": [{"label": [{"name": "envoy.cluster_name", "value": "backend"}], "counter": {"value": 7}}]},
            {"name": "server.live", "type": 1, "metric": [{"gauge": {"value": 1}}]},
            {"name": "rq_time", "type": 4, "metric": [{"histogram": {
                "sampleCount": "5", "sampleSum": 6, "bucket": [{"cumulativeCount": "2", "upperBound": 1}]}}]}]
        s.stream("/envoy.service.metrics.v3.MetricsService/StreamMetrics",
                 iter([make("StreamMetrics", {"identifier": node, "envoyMetrics": families})]))
        assert s.server.total('envoy_cluster_upstream_rq_total{envoy_cluster_name="backend",job="edge",instance="envoy-1"}') == 7
        assert s.server.total("envoy_server_live") == 1
        assert s.server.total('envoy_rq_time_bucket{le="+Inf"}') == 5


# --- the option ---

def test_option():
    folder = tempfile.mkdtemp(prefix="vigla-grpc-")
    try:
        with open(os.path.join(folder, "c.yml"), "w", encoding="utf-8") as f:
            f.write("otlp-grpc: none\n")
        server = Server(folder, 0, "--config", os.path.join(folder, "c.yml"))
        assert "vigla_grpc" not in server.call("GET", "/metrics")[2].decode()
        server.process.stop()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(run(globals()))
