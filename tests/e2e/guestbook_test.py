#!/usr/bin/env python3
"""The guestbook from end to end: real processes, counts to the last request.

    guestbook_test.py [NAME...]    only the tests whose name contains one of the words; VIGLA_KEEP=1 keeps the folder
"""
import contextlib
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

from mesh import BUILD, ROOT, VIGLA, Load, Mesh, until
from suite import run

GATEWAY = "istio-ingressgateway"


def settled(function, seconds=10):
    """function() once it says the same for a second: telemetry is on its way for a moment."""
    last, since, end = object(), time.monotonic(), time.monotonic() + seconds
    while time.monotonic() < end:
        value = function()
        if value != last:
            last, since = value, time.monotonic()
        elif time.monotonic() - since > 1.0:
            break
        time.sleep(0.1)
    return last


def difference(after, before, key, field):
    return after.get(key, {}).get(field, 0) - before.get(key, {}).get(field, 0)


def test_counts_are_exact(mesh):
    """Each edge counts exactly what went over it, in metrics, logs and spans alike."""
    before = settled(mesh.edges)
    logged = len(settled(lambda: mesh.server.log_lines('{kind="access_log"} |= "GET /counted"')))
    pages, reads, writes = 300, 120, 60
    assert mesh.requests("/?counted", pages) == [200] * pages
    assert mesh.requests("/guestbook.php?cmd=get&key=messages", reads) == [200] * reads
    assert mesh.requests("/guestbook.php?cmd=set&key=messages&value=a,b", writes) == [200] * writes
    after = settled(mesh.edges)
    requests = pages + reads + writes
    assert difference(after, before, (GATEWAY, "frontend-v1", "http"), "requests") == requests, after
    assert difference(after, before, ("frontend-v1", "redis-slave", "tcp"), "connections") == reads, after
    assert difference(after, before, ("frontend-v1", "redis-master", "tcp"), "connections") == writes, after
    assert ("redis-slave", "redis-master", "tcp") in after, after
    for reporter, workload in (("source", GATEWAY), ("destination", "frontend-v1")):
        lines = mesh.server.log_lines(f'{{kind="access_log", reporter="{reporter}", workload="{workload}"}} |= "/?counted"')
        assert len(lines) == pages, (reporter, len(lines), logged)
    spans = mesh.server.log_lines('{kind="span", workload="frontend-v1"}')
    assert len(spans) >= requests, len(spans)


def test_visible_on_the_graph_soon(mesh):
    """A request is on the graph a moment after it has ended."""
    key = (GATEWAY, "frontend-v1", "http")
    before = settled(mesh.edges).get(key, {}).get("requests", 0)
    mesh.request("/")
    started = time.monotonic()
    until(lambda: mesh.edges()[key]["requests"] == before + 1, 5, "one more request on the edge")
    print(f"    visible after {time.monotonic() - started:.2f} s")


def test_every_graph_type(mesh):
    for kind, names in (("workload", {"frontend-v1", "redis-master", "redis-slave"}), ("app", {"guestbook", "redis"}),
                        ("versionedApp", {"frontend-v1", "redis-master"}),
                        ("service", {"frontend-internal", "redis-master", "redis-slave"})):
        nodes = mesh.graph(graphType=kind)["elements"]["nodes"]
        found = {n["data"].get(k) for n in nodes for k in ("workload", "app", "service")}
        assert names <= found, (kind, found)
        assert all("position" in n for n in nodes if not n["data"].get("isBox")), kind
    for form, start in (("dot", b"digraph"), ("svg", b"<?xml"), ("json", b"{")):
        status, _, body = mesh.server.call("GET", f"/api/topology?format={form}&window=1h")
        assert status == 200 and body.lstrip().startswith(start), (form, status, body[:80])
    assert mesh.server.call("GET", "/api/topology?format=nonsense")[0] == 400


def test_positions_are_stable(mesh):
    def positions():
        return {n["data"]["id"]: n["position"] for n in mesh.graph()["elements"]["nodes"]}
    first = positions()
    mesh.requests("/", 10)
    second = positions()
    assert all(second[i] == p for i, p in first.items() if i in second), (first, second)


def test_log_lines_read_as_istios(mesh):
    mesh.requests("/guestbook.php?cmd=set&key=messages&value=a,b", 1)
    until(lambda: "a,b" in mesh.request("/guestbook.php?cmd=get&key=messages")[1], 10, "the replicas have the value")
    mesh.requests("/guestbook.php?cmd=get&key=messages", 2)
    pod = mesh.pods("frontend-v1")[0]["name"]

    def line():
        out = mesh.cli("logs", pod, "-c", "istio-proxy").stdout
        found = [entry for entry in out.splitlines() if "outbound|6379||redis-slave" in entry and " 27 9 " in entry]
        return found and found[-1]
    text = until(line, 10, "the sidecar's line of a Redis read")
    assert re.match(r'^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] "- - -" 0 - \S+ \S+ "-" 27 9 \d+ - "-" "-" "-" "-" '
                    r'"127\.10\.\d+\.\d+:6379" outbound\|6379\|\|redis-slave\.guestbook\.svc\.cluster\.local '
                    r'127\.10\.\d+\.\d+:\d+ \S+:6379 \S+ \S+ \S+$', text), text
    until(lambda: '"GET /guestbook.php' in mesh.cli("logs", pod).stdout, 5, "the application's own lines")


def test_one_trace_through_all_hops(mesh):
    """Gateway and sidecar, parent and child, for whoever asks: LogQL, Jaeger's API, the command line."""
    trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    mesh.request("/", {"traceparent": f"00-{trace}-{caller}-01"})
    lines = until(lambda: (found := mesh.server.log_lines(f'{{kind="access_log"}} | trace_id="{trace}"')) and len(found) >= 2
                  and found, 10, "two hops of one trace")
    assert len(lines) == 2, lines

    def found():
        status, _, body = mesh.server.call("GET", f"/jaeger/api/traces/{trace}")
        data = json.loads(body)["data"] if status == 200 else []
        return data and len(data[0]["spans"]) >= 2 and data[0]
    data = until(found, 10, "the trace with both spans")
    gateway, sidecar = data["spans"]
    names = [data["processes"][span["processID"]]["serviceName"] for span in (gateway, sidecar)]
    assert names == ["istio-ingressgateway.istio-system", "guestbook.guestbook"], names
    assert [r["spanID"] for r in gateway["references"]] == [caller], gateway
    assert [r["spanID"] for r in sidecar["references"]] == [gateway["spanID"]], (gateway, sidecar)
    kinds = [next(t["value"] for t in span["tags"] if t["key"] == "span.kind") for span in (gateway, sidecar)]
    assert kinds == ["client", "server"], kinds
    assert gateway["startTime"] <= sidecar["startTime"] and gateway["duration"] >= sidecar["duration"], data
    searched = mesh.server.get("/jaeger/api/traces", service=names[1], lookback="1h", limit=1000,
                               tags='{"guid:x-request-id":"%s"}' % next(t["value"] for t in sidecar["tags"]
                                                                        if t["key"] == "guid:x-request-id"))
    assert [t["traceID"] for t in searched["data"]] == [trace], searched
    called = {(d["parent"], d["child"]) for d in mesh.server.get("/jaeger/api/dependencies")["data"]}
    assert tuple(names) in called, called
    assert {"name": sidecar["operationName"], "spanKind": "server"} in mesh.server.get(
        "/jaeger/api/operations", service=names[1])["data"]


def test_exemplars_link_to_traces(mesh):
    """Both of a proxy's metrics that carry them, at both ends; each names a trace that is there."""
    def exemplars(metric):
        return [x for series in mesh.server.get("/api/v1/query_exemplars", query=metric)["data"] for x in series["exemplars"]]
    for metric in ("istio_requests_total", "istio_request_duration_milliseconds_bucket"):
        for reporter in ("source", "destination"):
            mesh.request("/")
            found = until(lambda m=metric, r=reporter: exemplars(f'{m}{{reporter="{r}"}}'), 10, f"an exemplar of {metric}")
            labels = found[-1]["labels"]
            data = mesh.server.get(f"/jaeger/api/traces/{labels['trace_id']}")["data"][0]
            assert labels["span_id"] in {span["spanID"] for span in data["spans"]}, (labels, data)


def test_metrics_are_their_rows(mesh):
    """What a metric counts over a window are rows that can be looked at: as many, whatever the selector."""
    mesh.requests("/?behind", 40)
    mesh.requests("/missing", 15)
    mesh.requests("/guestbook.php?cmd=get&key=messages", 10)
    settled(lambda: mesh.server.total("istio_requests_total"))
    time.sleep(1)  # nothing is under way when the window ends
    now = time.time()
    selectors = ("istio_requests_total", 'istio_requests_total{reporter="destination"}',
                 'istio_requests_total{response_code="404",reporter="source"}', 'istio_requests_total{response_code=~"2.."}',
                 'istio_requests_total{response_code!~"2..|404"}', 'istio_requests_total{source_workload="unknown"}',
                 'istio_requests_total{destination_service_name="frontend-internal",source_workload!="unknown"}',
                 'istio_requests_total{response_flags="-"}', 'istio_requests_total{job="guestbook.guestbook"}',
                 "istio_request_duration_milliseconds_count", 'istio_request_duration_milliseconds_bucket{le="1"}',
                 'istio_tcp_connections_closed_total{destination_service_name="redis-slave"}')
    counted = 0
    for selector in selectors:
        series = mesh.server.get("/api/v1/query", query=f"sum(increase({selector}[1h] anchored))", time=now)["data"]["result"]
        rows = mesh.server.get("/api/events", match=selector, window="1h", time=now, limit=5)
        expected = round(float(series[0]["value"][1])) if series else 0
        assert rows["count"] == expected, (selector, rows["count"], expected)
        assert len(rows["events"]) == min(5, rows["count"]), rows
        counted += rows["count"] > 0
    assert counted >= len(selectors) - 2, counted
    row = mesh.server.get("/api/events", match='{response_code="404",reporter="source"}', window="1h")["events"][0]
    assert row["path"] == "/missing" and row["response_code"] == 404, row
    assert mesh.server.call("GET", "/api/events?match=up")[0] == 501


def test_dashboards_have_data(mesh):
    """Every query of every dashboard is understood, and all but those of failures find something."""
    mesh.requests("/guestbook.php?cmd=get&key=messages", 5)
    for name in sorted(os.listdir(os.path.join(ROOT, "dashboards"))):
        with open(os.path.join(ROOT, "dashboards", name), encoding="utf-8") as f:
            panels = json.load(f)["panels"]
        for panel in panels:
            for target in panel["targets"]:
                query = target["expr"].replace("$namespace", ".*")
                until(lambda q=query, p=panel: mesh.server.prom(q) or "Failed" in p["title"], 10, f"{name}: {query}")


def test_bad_yaml_changes_nothing(mesh):
    before = mesh.server.get("/api/mesh/objects")["version"]
    bad = ("apiVersion: networking.istio.io/v1alpha3\nkind: VirtualService\nmetadata:\n  name: guestbook\nspec:\n"
           "  hosts: [guestbook.lvh.me]\n  gateways: [guestbook-gateway]\n  http:\n  - route:\n"
           "    - destination: {host: frontend-internal}\n      weight: heavy\n")
    done = mesh.cli("apply", "-f", "-", check=False, stdin=bad)
    assert done.returncode == 1, done
    assert re.search(r"^-:11: error: VirtualService guestbook/guestbook: spec\.http\[0\]\.route\[0\]\.weight: ", done.stderr,
                     re.M), done.stderr
    done = mesh.cli("apply", "-f", "-", check=False, stdin="a: [1,\nb: }")
    assert done.returncode == 1 and re.search(r"^-:\d+: error", done.stderr, re.M), done.stderr
    assert mesh.server.get("/api/mesh/objects")["version"] == before
    assert mesh.request("/")[0] == 200


def test_bad_telemetry_is_refused_with_a_reason(mesh):
    protobuf = {"Content-Type": "application/x-protobuf"}
    call = mesh.server.call
    assert call("POST", "/v1/metrics", b"\x0a\xff\xff", protobuf)[0] == 400
    status, _, body = call("POST", "/v1/logs", b"{\"resourceLogs\": [", {"Content-Type": "application/json"})
    assert status == 400 and b"message" in body, (status, body)
    assert call("POST", "/v1/traces", b"x", {"Content-Type": "text/plain"})[0] == 415
    with socket.create_connection(("127.0.0.1", mesh.server.port), timeout=30) as s:
        s.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
                  b"Content-Length: %d\r\n\r\n" % (33 << 20))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the server need not read all of it
            s.sendall(b"\x00" * (33 << 20))
        assert s.recv(100).startswith(b"HTTP/1.1 413 ")
    assert call("GET", "/no/such/path")[0] == 404
    status, headers, _ = call("DELETE", "/api/v1/query")
    assert status == 405 and "GET" in headers.get("Allow", ""), headers


def test_objects_on_the_command_line(mesh):
    assert "guestbook" in mesh.cli("get", "virtualservice").stdout
    assert "kind: VirtualService" in mesh.cli("get", "vs", "guestbook", "-o", "yaml").stdout
    assert "Versions:" in mesh.cli("describe", "vs", "guestbook").stdout
    pods = mesh.cli("pods").stdout
    assert len(re.findall(r"redis-slave-\S+\s+2/2", pods)) == 2, pods
    assert "SYNCED" in mesh.cli("proxy-status").stdout
    assert "unchanged" in mesh.apply("step_2_gateway").stdout
    mesh.cli("apply", "-f", "-", stdin="apiVersion: v1\nkind: Service\nmetadata: {name: short-lived}\nspec:\n  ports: [{port: 81}]\n")
    mesh.cli("delete", "service", "short-lived")
    assert mesh.cli("get", "service", "short-lived", check=False).returncode == 1
    assert "frontend-v1" in mesh.cli("graph", "--window", "1h").stdout


def test_the_server_tells_of_itself(mesh):
    status, _, body = mesh.server.call("GET", "/metrics")
    assert status == 200 and b"\nvigla_" in body, body[:300]
    for path in ("/-/healthy", "/-/ready"):
        assert mesh.server.call("GET", path)[0] == 200, path
    if shutil.which("promtool"):
        checked = subprocess.run(["promtool", "check", "metrics"], input=body, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT)
        assert checked.returncode == 0 and not checked.stdout.strip(), checked.stdout
    done = subprocess.run([VIGLA, "serve", "--data", os.path.join(mesh.folder, "data"), "--listen", "127.0.0.1:0"],
                          stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, timeout=20)
    assert done.returncode == 1 and str(mesh.server.process.child.pid) in done.stderr, done


def test_console_in_the_browser(mesh):
    if not shutil.which("chromium") or not shutil.which("node"):
        print("skipped: console in the browser: no chromium or node")
        return
    with Load(mesh, "/guestbook.php?cmd=get&key=messages", threads=1, pause=0.05):
        time.sleep(1.5)
        done = subprocess.run(["node", os.path.join(ROOT, "tests/e2e/console.test.mjs")], cwd=ROOT, text=True, timeout=240,
                              env={**os.environ, "VIGLA_URL": mesh.server.url, "OUT": BUILD},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print("\n".join("    " + line for line in done.stdout.splitlines()[-40:]))
    assert done.returncode == 0 and re.search(r"[1-9]\d* passed, 0 failed", done.stdout), "the browser test failed"


def test_steps_switch_without_a_failed_request(mesh):
    """URI, header and weights, each applied under load: no request fails."""
    with Load(mesh, "/", threads=2) as load:
        mesh.apply("step_3_uri")
        until(lambda: "GREEN" in mesh.request("/v2")[1], 20, "/v2 shows the second version")
        assert "GREEN" not in mesh.request("/")[1]
        mesh.apply("step_4_header")
        assert "GREEN" in mesh.request("/", {"source": "terminal"})[1]
        assert "GREEN" not in mesh.request("/", {"source": "other"})[1]
        mesh.apply("step_5_weights")
        until(lambda: "V3" in "".join(mesh.request("/")[1] for _ in range(5)), 20, "the third version answers")
        time.sleep(0.5)
    assert not load.errors and set(load.statuses) == {200}, (load.errors[:3], {s: load.statuses.count(s) for s in set(load.statuses)})
    count = 600
    share = sum("V3" in mesh.request("/")[1] for _ in range(count)) / count
    bound = 4 * math.sqrt(0.7 * 0.3 / count)
    assert abs(share - 0.7) < bound, f"{share:.3f} went to v3, should be 0.7 ± {bound:.3f}"
    edges = settled(mesh.edges)
    assert {(GATEWAY, "frontend-v1", "http"), (GATEWAY, "frontend-v2", "http"), (GATEWAY, "frontend-v3", "http")} <= set(edges)


def test_delay_and_timeout(mesh):
    mesh.apply("step_6_delay")
    started = time.monotonic()
    status, _, _ = mesh.request("/")
    assert status == 200 and 9.99 <= time.monotonic() - started < 12, (status, time.monotonic() - started)
    mesh.apply("step_7_timeout")
    started = time.monotonic()
    assert mesh.request("/")[0] == 200 and time.monotonic() - started < 1.5
    stopped = [int(pid) for version in ("v1", "v3") for pid in application_pids(mesh, f"frontend-{version}")]
    assert stopped
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        started = time.monotonic()
        status, body, _ = mesh.request("/")
        assert status == 504 and body == "upstream request timeout", (status, body)
        assert 1.9 <= time.monotonic() - started < 4, time.monotonic() - started
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    mesh.apply("step_2_gateway")


def application_pids(mesh, deployment):
    """Processes of the guestbook whose environment names a Pod of the Deployment."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                environment = f.read().split(b"\0")
            with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
                name = f.read().strip()
        except OSError:
            continue
        if name == "guestbook" and any(e.startswith(b"POD_NAME=" + deployment.encode() + b"-") for e in environment) and \
                any(e.startswith(b"DATA=" + mesh.folder.encode()) for e in environment):
            found.append(pid)
    return found


def test_server_killed_in_the_middle(mesh):
    """kill -9 of the server under load: the mesh goes on, nothing is lost, nothing counted twice."""
    mesh.apply("step_2_gateway")
    key = (GATEWAY, "frontend-v1", "http")
    path = "/?killed"
    versions = [v for v in ("frontend-v1", "frontend-v3")]

    def total():
        edges = mesh.edges()
        return sum(edges.get((GATEWAY, v, "http"), {}).get("requests", 0) for v in versions)
    before = settled(total)
    with Load(mesh, path, threads=2, pause=0.002) as load:
        for pause in (0.0, 1.5):
            time.sleep(1.0)
            mesh.server.kill_and_restart(pause)
        time.sleep(1.0)
    assert not load.errors and set(load.statuses) == {200}, (key, load.errors[:3], set(load.statuses))
    sent = len(load.statuses)
    until(lambda: total() - before >= sent, 20, f"all {sent} requests on the graph, not {total() - before}")
    assert settled(total) - before == sent
    for reporter in ("source", "destination"):
        lines = settled(lambda: len(mesh.server.log_lines(f'{{kind="access_log", reporter="{reporter}"}} |= "{path}"')))
        assert lines == sent, (reporter, lines, sent)
    print(f"    {sent} requests through two kills")


def test_proxies_without_a_server(mesh):
    """Without a server the mesh serves, and a sidecar that starts finds its configuration in its cache."""
    mesh.server.process.stop(signal.SIGKILL)
    try:
        assert mesh.request("/")[0] == 200
        def sidecars():
            return {p for p in os.listdir("/proc") if p.isdigit() and is_sidecar(p, mesh, "frontend-v1")}
        before = sidecars()
        assert len(before) == 1, before
        os.kill(int(*before), signal.SIGKILL)
        until(lambda: sidecars() - before, 15, "another sidecar is started")
        until(lambda: mesh.request("/")[0] == 200, 15, "it serves, from its cache")
    finally:
        mesh.server.start(mesh.server.port)
    until(lambda: mesh.cli("proxy-status").stdout.count("SYNCED") >= 5, 20, "the proxies found the server again")


def is_sidecar(pid, mesh, deployment):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            words = f.read().split(b"\0")
    except OSError:
        return False
    return words[0].endswith(b"vigla-proxy") and f"{deployment}.guestbook".encode() in words and \
        any(w.startswith(mesh.folder.encode()) for w in words)


def test_a_dead_frontend_shows_as_errors(mesh):
    """Each failed answer is an error on the gateway's edge, to the frontend or to nobody where none was left to ask."""
    key = (GATEWAY, "frontend-v1", "http")

    def errors():
        edges = mesh.edges()
        return sum(v["errors"] for (source, target, _), v in edges.items()
                   if source == GATEWAY and (target == "frontend-v1" or target not in ("frontend-v2", "frontend-v3")))
    before = settled(errors)
    pids = until(lambda: len(found := application_pids(mesh, "frontend-v1")) == 1 and found, 10, "one process of frontend-v1")
    os.kill(int(pids[0]), signal.SIGKILL)
    statuses = [mesh.request("/")[0] for _ in range(20)]
    failed = sum(status >= 500 for status in statuses)
    assert 503 in statuses, statuses
    until(lambda: errors() - before >= failed, 10, f"{failed} errors more than {before} on {key}, there are {errors()}")
    until(lambda: mesh.request("/")[0] == 200, 20, "the frontend is started again")


def main():
    with Mesh() as mesh:
        failed = run(globals(), mesh)
        if failed:
            for log in ("server.log", "mesh.log"):
                with open(os.path.join(mesh.folder, log), encoding="utf-8", errors="replace") as f:
                    print(f"--- {log}\n" + "".join(f.readlines()[-15:]))
    return failed


if __name__ == "__main__":
    sys.exit(main())
