#!/usr/bin/env python3
"""OpenTelemetry's own SDK (npm; opentelemetry/package.json) sends metrics of every kind, traces and logs over HTTP, as JSON
and as protobuf, and over gRPC; what arrives is read back by PromQL, LogQL, Jaeger's API and the graph.

    opentelemetry_test.py [NAME...]    only the tests whose name contains one of the words
"""
import os
import shutil
import subprocess
import sys
import tempfile

from mesh import Server, free_port
from suite import Skipped, npm, run, skip_all

SENDERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "opentelemetry")
FORMS = ("http", "proto", "grpc")  # of the exporters: JSON and plain, protobuf and gzip, gRPC and gzip


def send(server, grpc_url):
    npm(SENDERS, "OpenTelemetry's SDK")
    for form in FORMS:
        url = grpc_url if form == "grpc" else server.url
        done = subprocess.run(["node", os.path.join(SENDERS, "send.mjs"), url, form], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)
        assert done.returncode == 0 and not done.stdout, done


def value(server, query):
    result = server.prom(query)
    assert len(result) == 1, (query, result)
    return float(result[0]["value"][1])


def buckets(server, name, form):
    found = server.prom(f'{name}_bucket{{namespace="{form}"}}')
    return {float(s["metric"]["le"]): int(s["value"][1]) for s in found}


def test_counters(server):
    """Cumulative as they are; deltas added up."""
    for form in FORMS:
        for kind in ("cumulative", "delta"):
            for order, count in (("book", 6), ("pen", 4)):
                assert value(server, f'orders_{kind}_total{{namespace="{form}", kind="{order}"}}') == count, (form, kind)
            assert value(server, f'sum(increase(orders_{kind}_total{{namespace="{form}"}}[5m] anchored))') == 10, (form, kind)
            assert value(server, f'open_{kind}{{namespace="{form}"}}') == 2
            assert value(server, f'load_{kind}_ratio{{namespace="{form}"}}') == 0.25
        labels = server.prom(f'orders_cumulative_total{{namespace="{form}", kind="pen"}}')[0]["metric"]
        assert labels == {"__name__": "orders_cumulative_total", "job": f"{form}/web", "instance": "web-1", "pod": "web-1",
                          "namespace": form, "kind": "pen"}, labels
    assert server.get("/api/v1/metadata", metric="orders_cumulative_total")["data"]["orders_cumulative_total"] == [
        {"type": "counter", "help": "Orders.", "unit": ""}]


def test_histograms(server):
    for form in FORMS:
        for kind in ("cumulative", "delta"):
            explicit = buckets(server, f"explicit_{kind}_milliseconds", form)
            assert (explicit[0], explicit[5], explicit[50], explicit[500], explicit[float("inf")]) == (0, 2, 4, 6, 6), explicit
            assert value(server, f'explicit_{kind}_milliseconds_sum{{namespace="{form}"}}') == 666
            exponential = buckets(server, f"exponential_{kind}_seconds", form)
            assert len(exponential) == 26, exponential
            assert [exponential[le] for le in (2**-14, 2**-9, 2**-8, 0.5, 1, 2, 4, float("inf"))] == [2, 2, 4, 4, 8, 8, 10, 10]
            assert value(server, f'exponential_{kind}_seconds_count{{namespace="{form}"}}') == 10


def test_traces(server):
    for form in FORMS:
        found = server.get("/jaeger/api/traces", service="cart", limit=100,
                           tags=f'{{"service.namespace":"{form}"}}')["data"]
        assert len(found) == 20, len(found)
        for trace in found:
            by_name = {span["operationName"]: span for span in trace["spans"]}
            assert sorted(by_name) == ["GET /order", "POST", "POST /cart", "SET"], trace
            for below, above in (("POST", "GET /order"), ("POST /cart", "POST"), ("SET", "POST /cart")):
                assert by_name[below]["references"][0]["spanID"] == by_name[above]["spanID"], trace
            assert len(by_name["POST /cart"]["logs"]) == 1, trace


def test_span_metrics(server):
    """20 calls of each kind; a failure without a code counts as 500; the database that sends nothing goes by its name."""
    for form in FORMS:
        serves = f'job="vigla/spans", reporter="destination", destination_workload_namespace="{form}"'
        calls = f'job="vigla/spans", reporter="source", source_workload_namespace="{form}"'
        for labels, count in ((f'{serves}, destination_workload="web"', 20),
                              (f'{calls}, source_workload="web"', 20),
                              (f'{serves}, source_workload="web", destination_workload="cart"', 20),
                              (f'{serves}, destination_workload="cart", response_code="500"', 4),
                              (f'{calls}, source_workload="cart", destination_service_name="redis", '
                               'destination_service_namespace="data"', 20)):
            assert value(server, f"sum(increase(istio_requests_total{{{labels}}}[5m] anchored))") == count, labels


def test_graph(server):
    """Services that send only traces stand on the graph."""
    elements = server.get("/api/graph", window="10m", namespaces="proto", graphType="workload")["elements"]
    names = {n["data"]["id"]: n["data"].get("workload") or n["data"].get("service") for n in elements["nodes"]}
    edges = {(names[e["data"]["source"]], names[e["data"]["target"]]): e["data"]["vigla"]["requests"] for e in elements["edges"]}
    assert edges[("web", "cart")] == 20, edges
    assert any(source == "cart" and "redis" in (target or "") for source, target in edges), edges


def test_logs(server):
    for form in FORMS:
        lines = server.log_lines(f'{{namespace="{form}", kind="log"}}')
        assert sorted(lines) == sorted(f"line {i} ü" for i in range(50)), lines
        assert len(server.log_lines(f'{{namespace="{form}"}} | user="3" | severity="WARN" | tags=`["a","b"]`')) == 7


def main():
    folder = tempfile.mkdtemp(prefix="vigla-opentelemetry-")
    grpc = f"127.0.0.1:{free_port()}"
    server = Server(folder, 0, "--otlp-grpc", grpc)
    try:
        try:
            send(server, f"http://{grpc}")
        except Skipped as why:
            return skip_all(globals(), why)
        failed = run(globals(), server)
        server.process.stop()
        return failed
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
