#!/usr/bin/env python3
"""nginx, HAProxy, rsyslog and files as senders: the programs of Debian, with the very snippets of docs/senders.

    senders_test.py [NAME...]    only the tests whose name contains one of the words; VIGLA_KEEP=1 keeps the folder
"""
import contextlib
import http.client
import http.server
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time

from mesh import ROOT, Process, Server, free_port, until
from suite import Skipped, run

DOCS = os.path.join(ROOT, "docs", "senders")


def program(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not path:
        raise Skipped(f"there is no {name}")
    return path


def snippet(page, language, number=0):
    with open(os.path.join(DOCS, page), encoding="utf-8") as f:
        return re.findall(rf"```{language}\n(.*?)```", f.read(), re.S)[number]


def port_for_both():
    """A port that is free for UDP and TCP."""
    while True:
        port = free_port()
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as s:
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", port))
                return port


class Backend:
    """An HTTP server that answers /status/N with N, /slow after a second, /hang-up not at all, and all else with 200."""

    def __init__(self, name):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path == "/hang-up":
                    self.close_connection = True
                    return
                if self.path == "/slow":
                    time.sleep(1)
                status = int(self.path.rsplit("/", 1)[1]) if self.path.startswith("/status/") else 200
                body = name.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Scene:
    """A server, a folder, and what is started beside it. A context manager: all of it ends."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="vigla-senders-")
        self.syslog = port_for_both()
        self.shop, self.cart = Backend("shop"), Backend("cart")
        self.ends = []
        self.server = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in reversed(self.ends):
            with contextlib.suppress(AssertionError):
                end()
        if self.server:
            with contextlib.suppress(AssertionError):
                self.server.process.stop()
        self.shop.close()
        self.cart.close()
        if not os.environ.get("VIGLA_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def fit(self, text):
        """The addresses of the pages are replaced by those of this scene."""
        for old, new in (("5514", self.syslog), ("8081", self.shop.port), ("8082", self.cart.port)):
            text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}").replace(f'port="{old}"', f'port="{new}"')
        return text.replace("/var/log/nginx", self.folder).replace("/run/vigla", self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def serve(self, config=None, *options):
        words = ["--config", self.write("vigla.yaml", self.fit(config))] if config else []
        self.server = Server(self.folder, 0, "--otlp-grpc", "none", *words, *options)
        return self.server

    def start(self, command, log, ready_port=None):
        process = Process(command, self.path(log))
        self.ends.append(process.stop)
        if ready_port:
            until(lambda: reachable(ready_port), 10, f"{command[0]} listens: {process.text()[-2000:]}")
        return process

    def rows(self, query, limit=50000):
        """Every row as a dictionary of its labels and metadata, with "line" and "ns"."""
        data = self.server.get("/loki/api/v1/query_range", query=query, limit=limit,
                               start=str(int((time.time() - 3600) * 1e9)), end=str(int((time.time() + 60) * 1e9)))
        return [{**stream["stream"], "line": line, "ns": int(ns)}
                for stream in data["data"]["result"] for ns, line in stream["values"]]

    def wait_rows(self, query, count, seconds=15):
        def there():
            rows = self.rows(query)
            assert len(rows) <= count, f"{query}: {len(rows)} rows, {count} were sent"
            return rows if len(rows) == count else None
        return until(there, seconds, f"{count} rows of {query}, have {len(self.rows(query))}; "
                                     f"log: {self.server.process.text()[-1500:]}")

    def counts(self, query, *by):
        """{(label, ...): value}"""
        return {tuple(r["metric"].get(name, "") for name in by): float(r["value"][1])
                for r in self.server.prom(query) if float(r["value"][1])}

    def metric(self, name):
        _, _, body = self.server.call("GET", "/metrics")
        return sum(float(line.rsplit(" ", 1)[1]) for line in body.decode().splitlines()
                   if re.match(rf"{name}[ {{]", line))

    def edges(self):
        """{(source, destination): requests}, by workload, of the last ten minutes."""
        graph = self.server.get("/api/graph", window="10m", graphType="workload", injectServiceNodes="false",
                                namespaces="edge,default,web")
        name = {n["data"]["id"]: n["data"].get("workload") or n["data"].get("service") for n in graph["elements"]["nodes"]}
        return {(name[e["data"]["source"]], name[e["data"]["target"]]): e["data"].get("traffic", {})
                for e in graph["elements"]["edges"]}


def reachable(port):
    with contextlib.closing(socket.socket()) as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def request(port, path, host="shop.example", method="GET", headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, headers={"Host": host, **(headers or {})})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


# --- nginx ---

def start_nginx(scene, http_part):
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "".join(f"{kind}_temp_path {scene.path('nginx-' + kind)};\n"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf = scene.write("nginx.conf", scene.fit(f"""
{user} daemon off; worker_processes 2; pid {scene.path('nginx.pid')}; error_log stderr;
events {{ worker_connections 256; }}
http {{ {temporary}
{http_part}
server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:8081; }}
    location /cart/ {{ proxy_pass http://127.0.0.1:8082/; }}
    location = /own {{ return 204; }}
}} }}"""))
    return port, scene.start([program("nginx"), "-c", conf, "-p", scene.folder], "nginx.log", port)


TIMES = 12


def send_mix(port, times=TIMES):
    """3 * `times` requests to the shop, of which `times` fail, `times` to the cart, and one that the proxy answers."""
    for i in range(times):
        assert request(port, f"/item/{i}?q=a%20b") == 200
        assert request(port, "/status/404") == 404
        assert request(port, "/status/503") == 503
        assert request(port, "/cart/") == 200


def check_mix(scene, proxy, times, own):
    increase = "increase(istio_requests_total[10m] anchored)"
    want = {("shop-v1", "200"): times, ("shop-v1", "404"): times, ("shop-v1", "503"): times, ("cart-v1", "200"): times}
    if own:
        want[(proxy, "204")] = own
    until(lambda: scene.counts(f"sum by (destination_workload, response_code) ({increase})", "destination_workload",
                               "response_code") == want, 10, f"{want}")
    assert scene.counts(f"sum by (source_workload, source_workload_namespace, reporter) ({increase})", "source_workload",
                        "source_workload_namespace", "reporter") == {(proxy, "edge", "source"): 4 * times + own}
    assert scene.counts("sum by (le) (increase(istio_request_duration_milliseconds_bucket{le=\"+Inf\"}[10m] anchored))",
                        "le") == {("+Inf",): 4 * times + own}
    edges = scene.edges()  # rates per second of ten minutes, with two decimals
    assert edges[proxy, "shop-v1"]["rates"] == {"http": f"{3 * times / 600:.2f}", "http4xx": f"{times / 600:.2f}",
                                                "http5xx": f"{times / 600:.2f}", "httpPercentErr": "66.7",
                                                "httpPercentReq": f"{300 * times / (4 * times + own):.1f}"}, edges
    assert edges[proxy, "cart-v1"]["rates"]["http"] == f"{times / 600:.2f}", edges


def test_nginx_by_syslog():
    program("nginx")
    with Scene() as s:
        s.serve(snippet("nginx.md", "yaml"))
        port, _ = start_nginx(s, snippet("nginx.md", "nginx"))
        started = time.time()
        send_mix(port)
        assert request(port, "/own", headers={"User-Agent": 'a "quoted" \\ one'}) == 204
        rows = s.wait_rows('{kind="access_log"}', 4 * TIMES + 1)
        assert s.metric("vigla_syslog_unmatched_total") == 0
        own = next(r for r in rows if r["path"] == "/own")
        assert own["user_agent"] == 'a "quoted" \\ one' and "upstream_host" not in own, own
        item = next(r for r in rows if r["path"] == "/item/3?q=a%20b")
        want = {"method": "GET", "protocol": "HTTP/1.1", "response_code": "200", "authority": "shop.example",
                "bytes_sent": "4", "upstream_host": f"127.0.0.1:{s.shop.port}", "downstream_remote_address": "127.0.0.1",
                "workload": "nginx", "namespace": "edge", "reporter": "source", "source_workload": "nginx",
                "destination_workload": "shop-v1", "service": "shop",
                "destination_service_namespace": "default", "destination_version": "v1"}
        assert {k: item.get(k) for k in want} == want, item
        assert len(item["request_id"]) == 32 and int(item["bytes_received"]) > 50, item
        assert started - 1 < item["ns"] / 1e9 < time.time() + 1
        check_mix(s, "nginx", TIMES, 1)


def test_nginx_errors_come_as_lines():
    program("nginx")
    with Scene() as s:
        s.serve(snippet("nginx.md", "yaml"))
        port, _ = start_nginx(s, snippet("nginx.md", "nginx"))
        s.shop.close()
        assert request(port, "/") == 502
        rows = s.wait_rows('{kind="log", service="nginx"} |= "connect() failed"', 1)
        assert rows[0]["severity"] == "err" and rows[0]["severity_number"] == "17", rows
        assert rows[0]["syslog.facility"] == "local7" and rows[0]["host.name"], rows
        s.shop = Backend("shop")


def test_nginx_by_its_file():
    program("nginx")
    with Scene() as s:
        s.serve(snippet("nginx.md", "yaml", 1))
        port, nginx = start_nginx(s, "access_log /var/log/nginx/access.log;")
        for i in range(20):
            request(port, f"/one/{i}", headers={"Referer": "http://x/", "User-Agent": "test"})
        os.rename(s.path("access.log"), s.path("access.log.1"))
        for i in range(20):
            request(port, f"/two/{i}")
        nginx.child.send_signal(signal.SIGUSR1)
        until(lambda: os.path.exists(s.path("access.log")), 10, "nginx opens its log again")
        for i in range(20):
            request(port, f"/three/{i}")
        rows = s.wait_rows('{kind="access_log"}', 60)
        assert {r["path"] for r in rows} == {f"/{w}/{i}" for w in ("one", "two", "three") for i in range(20)}
        one = next(r for r in rows if r["path"] == "/one/3")
        assert one["http_referer"] == "http://x/" and one["user_agent"] == "test", one
        until(lambda: s.counts("sum(increase(istio_requests_total[10m] anchored))") == {(): 60}, 10, "60 requests are counted")


# --- HAProxy ---

def haproxy_proxies(port):
    return f"""
frontend web
    bind 127.0.0.1:{port}
    http-request return status 204 if {{ path /own }}
    use_backend cart if {{ path_beg /cart/ }}
    use_backend nobody if {{ path /nobody }}
    use_backend refused if {{ path /refused }}
    default_backend shop
backend shop
    timeout server 600ms
    server s1 127.0.0.1:8081
backend cart
    server c1 127.0.0.1:8082
backend nobody
backend refused
    retries 0
    server r1 127.0.0.1:{free_port()}
"""


def start_haproxy(scene, head):
    port = free_port()
    conf = scene.write("haproxy.cfg", scene.fit(head + haproxy_proxies(port)))
    return port, scene.start([program("haproxy"), "-db", "-f", conf], "haproxy.log", port)


def check_haproxy(s, port):
    started = time.time()
    send_mix(port)
    assert request(port, "/own") == 204
    assert request(port, "/nobody") == 503 and request(port, "/refused") == 503
    assert request(port, "/slow") == 504 and request(port, "/hang-up") == 502
    rows = s.wait_rows('{kind="access_log"}', 4 * TIMES + 5)
    by_path = {r["path"]: r for r in rows}
    flags = {path: by_path[path].get("response_flags", "") for path in ("/nobody", "/refused", "/slow", "/hang-up", "/own")}
    assert flags == {"/nobody": "UH", "/refused": "UF", "/slow": "UT", "/hang-up": "UC", "/own": ""}, flags
    item = by_path["/item/3?q=a%20b"]
    want = {"method": "GET", "protocol": "HTTP/1.1", "response_code": "200", "upstream_cluster": "shop", "upstream_host": "s1",
            "downstream_remote_address": "127.0.0.1", "frontend_name": "web", "termination_state": "----",
            "workload": "haproxy", "destination_workload": "shop-v1", "service": "shop"}
    assert {k: item.get(k) for k in want} == want, item
    assert int(by_path["/slow"]["duration_us"]) >= 600000, by_path["/slow"]
    assert started - 1 < item["ns"] / 1e9 < time.time() + 1
    increase = "increase(istio_requests_total[10m] anchored)"
    assert s.counts(f"sum by (destination_workload) ({increase})", "destination_workload") == \
        {("shop-v1",): 3 * TIMES + 2, ("cart-v1",): TIMES, ("haproxy",): 3}
    assert {("haproxy", "shop-v1"), ("haproxy", "cart-v1")} <= set(s.edges()), s.edges()


def test_haproxy_by_a_tcp_ring():
    program("haproxy")
    with Scene() as s:
        s.serve(snippet("haproxy.md", "yaml"))
        port, _ = start_haproxy(s, snippet("haproxy.md", "haproxy"))
        check_haproxy(s, port)
        assert s.metric('vigla_syslog_messages_total{transport="stream"}') >= 4 * TIMES + 5


def test_haproxy_by_udp():
    program("haproxy")
    with Scene() as s:
        s.serve(snippet("haproxy.md", "yaml"))
        head = re.sub(r"log ring@vigla", "log 127.0.0.1:5514", snippet("haproxy.md", "haproxy"))
        port, _ = start_haproxy(s, re.sub(r"ring vigla.*?(?=defaults)", "", head, flags=re.S))
        check_haproxy(s, port)


def test_haproxy_own_format():
    program("haproxy")
    with Scene() as s:
        form = snippet("haproxy.md", "yaml", 1)
        s.serve(re.sub(r"    format: \{haproxy: httplog\}\n", lambda _: form, snippet("haproxy.md", "yaml")))
        head = snippet("haproxy.md", "haproxy").replace("option httplog", re.search(r"'(log-format .*)'", form).group(1))
        port, _ = start_haproxy(s, head.replace("mode http", "mode http\n    unique-id-format %{+X}o%ci:%cp_%Ts:%rt"))
        assert request(port, "/cart/") == 200
        row = s.wait_rows('{kind="access_log"}', 1)[0]
        assert row["destination_workload"] == "cart-v1" and row["path"] == "/cart/" and ":" in row["request_id"], row


def test_haproxy_tcp():
    program("haproxy")
    with Scene() as s:
        s.serve(snippet("haproxy.md", "yaml").replace("httplog", "tcplog"))
        head = snippet("haproxy.md", "haproxy").replace("httplog", "tcplog").replace("mode http", "mode tcp")
        port = free_port()
        conf = s.write("haproxy.cfg", s.fit(f"{head}\nlisten shop\n    bind 127.0.0.1:{port}\n    server s1 127.0.0.1:8081\n"))
        s.start([program("haproxy"), "-db", "-f", conf], "haproxy.log", port)
        before = len(s.rows('{kind="access_log"}'))
        for _ in range(5):
            assert request(port, "/") == 200
        until(lambda: len(s.rows('{kind="access_log"}')) >= before + 5, 10, "five connections")
        rows = [r for r in s.rows('{kind="access_log"}') if int(r.get("bytes_sent", 0)) > 0]
        assert len(rows) == 5 and {r["request_protocol"] for r in rows} == {"tcp"}, rows
        opened = 'sum(increase(istio_tcp_connections_opened_total{destination_workload="shop-v1"}[10m] anchored))'
        until(lambda: list(s.counts(opened).values()) >= [5], 10, "connections are counted")


# --- rsyslog ---

def start_rsyslog(scene, action):
    socket_path = scene.path("in.sock")
    conf = scene.write("rsyslog.conf", scene.fit(f"""
global(workDirectory="{scene.folder}")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{socket_path}" CreatePath="on" RateLimit.Interval="0")
{action}"""))
    scene.start([program("rsyslogd"), "-n", "-f", conf, "-i", scene.path("rsyslog.pid")], "rsyslog.log")
    until(lambda: os.path.exists(socket_path), 10, "rsyslog listens")
    return socket_path


def say(path, text, kind=socket.SOCK_DGRAM):
    with contextlib.closing(socket.socket(socket.AF_UNIX, kind)) as s:
        s.connect(path)
        s.sendall(text if isinstance(text, bytes) else text.encode())


def test_rsyslog_by_tcp():
    program("rsyslogd")
    with Scene() as s:
        s.serve(None, "--syslog", f"127.0.0.1:{s.syslog}")
        path = start_rsyslog(s, snippet("rsyslog.md", "rsyslog"))
        for i in range(500):
            say(path, f"<86>Nov 26 10:00:00 sshd[{i}]: Failed password for user{i}\n")
        rows = s.wait_rows('{kind="log", service="sshd"} |= "Failed password"', 500)
        assert {r["syslog.procid"] for r in rows} == {str(i) for i in range(500)}
        assert rows[0]["severity"] == "info" and rows[0]["syslog.facility"] == "authpriv", rows[0]
        s.server.process.stop(signal.SIGKILL)
        for i in range(500, 600):
            say(path, f"<86>Nov 26 10:00:00 sshd[{i}]: Failed password for user{i}\n")
        s.server.start(s.server.port)
        until(lambda: {r["syslog.procid"] for r in s.rows('{service="sshd"}')} >= {str(i) for i in range(510, 600)}, 60,
              "rsyslog's queue comes after the restart")


def test_rsyslog_by_udp():
    program("rsyslogd")
    with Scene() as s:
        s.serve(None, "--syslog", f"127.0.0.1:{s.syslog}")
        path = start_rsyslog(s, snippet("rsyslog.md", "rsyslog", 1))
        for i in range(100):
            say(path, f"<13>Nov 26 10:00:00 app: line {i}\n")
        rows = s.wait_rows('{kind="log", service="app"}', 100)
        assert {r["line"] for r in rows} == {f"line {i}" for i in range(100)}, rows[:3]


def test_unix_sockets():
    with Scene() as s:
        s.serve(snippet("rsyslog.md", "yaml") + "  - unix: /run/vigla/stream.sock\n    protocol: stream\n")
        assert os.stat(s.path("syslog.sock")).st_mode & 0o777 == 0o666
        now = time.strftime("%Y-%m-%dT%H:%M:%S.123Z", time.gmtime())
        say(s.path("syslog.sock"), f'<165>1 {now} host app 7 ID47 [x@1 a="b\\"c"] text')
        row = s.wait_rows('{kind="log", service="app"}', 1)[0]
        want = {"line": "text", "x@1.a": 'b"c', "syslog.msgid": "ID47", "syslog.procid": "7", "severity": "notice"}
        assert {k: row.get(k) for k in want} == want, row
        assert row["ns"] % 10**9 == 123000000
        say(s.path("stream.sock"), f"<14>{now} host one: a\n<14>{now} host one: b\n{len(now) + 18} <14>{now} host one: c\nd",
            socket.SOCK_STREAM)
        rows = s.wait_rows('{kind="log", service="one"}', 3)
        assert sorted(r["line"] for r in rows) == ["a", "b", "c\nd"], rows


# --- Prometheus ---

def test_prometheus_yml():
    with Scene() as s:
        port = free_port()
        body = b"# TYPE up_to_date gauge\nup_to_date 1\n"

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        pages = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        s.ends += [pages.server_close, pages.shutdown]
        config = snippet("prometheus.md", "yaml").replace("9100", str(port)).replace("15s", "1s")
        s.serve(config)
        until(lambda: s.counts("up_to_date", "job") == {("node",): 1}, 15, "the target is scraped")


def test_prometheus_remote_write():
    program("prometheus")
    with Scene() as s:
        s.serve()
        port = free_port()
        itself = f"scrape_configs: [{{job_name: itself, scrape_interval: 1s, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
        remote = snippet("prometheus.md", "yaml", 1).replace("127.0.0.1:20001", f"127.0.0.1:{s.server.port}")
        s.start([program("prometheus"), f"--config.file={s.write('prometheus.yml', itself + remote)}",
                 f"--storage.tsdb.path={s.path('prometheus')}", f"--web.listen-address=127.0.0.1:{port}"], "prometheus.log", port)
        until(lambda: s.counts("up", "job") == {("itself",): 1}, 30, "what Prometheus scrapes arrives")


# --- load, limits ---

def test_a_flood_by_tcp_loses_nothing():
    with Scene() as s:
        s.serve(None, "--syslog", f"127.0.0.1:{s.syslog}", "--queue", "256KiB")
        per, senders, now = 20000, 4, time.strftime("%b %e %T").encode()

        def send(k):
            with contextlib.closing(socket.create_connection(("127.0.0.1", s.syslog))) as c:
                for i in range(0, per, 100):
                    c.sendall(b"".join(b"<14>%s flood: %d-%d %s\n" % (now, k, n, b"x" * 100) for n in range(i, i + 100)))
        threads = [threading.Thread(target=send, args=(k,)) for k in range(senders)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        until(lambda: s.metric('vigla_store_events_total{table="log"}') == per * senders, 60, "all lines are stored")
        assert s.metric("vigla_syslog_not_stored_total") == 0


# --- files ---

class Writer(threading.Thread):
    """Writes numbered lines, opening the file again when told, until it is stopped."""

    def __init__(self, path, pause=0.0005):
        super().__init__(daemon=True)
        self.path, self.pause, self.n, self.reopen, self.done = path, pause, 0, False, False
        self.lock = threading.Lock()

    def run(self):
        f = open(self.path, "ab", buffering=0)
        while not self.done:
            with self.lock:
                if self.reopen:
                    f.close()
                    f = open(self.path, "ab", buffering=0)
                    self.reopen = False
                line = b"line %d of many\n" % self.n
                half = self.n % 7 if self.n % 50 == 0 else 0  # now and then a line in two pieces
                f.write(line[:half])
                f.write(line[half:])
                self.n += 1
            time.sleep(self.pause)
        f.close()

    def stop(self):
        self.done = True
        self.join()
        return self.n


def numbers(s):
    return [int(line.split()[1]) for line in s.server.log_lines('{kind="log"}')]


def check_once(s, n):
    until(lambda: len(numbers(s)) >= n, 30, f"{n} lines, have {len(numbers(s))}")
    got = sorted(numbers(s))
    assert got == list(range(n)), (len(got), n, [x for x in range(n) if x not in set(got)][:10])


TAIL = "file_tail:\n- paths: [app.log]\n"


def test_a_file_that_is_rotated_under_load():
    with Scene() as s:
        s.serve(TAIL)
        w = Writer(s.path("app.log"))
        w.start()
        for i in range(5):
            time.sleep(0.4)
            os.rename(s.path("app.log"), s.path(f"app.log.{i}"))
            time.sleep(0.1)  # meanwhile it goes on in the renamed file
            w.reopen = True
        time.sleep(0.3)
        check_once(s, w.stop())


def test_kill_9_in_the_middle():
    with Scene() as s:
        s.serve(TAIL)
        w = Writer(s.path("app.log"))
        w.start()
        for i in range(4):
            time.sleep(0.5)
            if i == 2:
                s.server.process.stop(signal.SIGKILL)
                os.rename(s.path("app.log"), s.path("app.log.1"))
                w.reopen = True
                time.sleep(0.3)
                s.server.start(s.server.port)
            else:
                s.server.kill_and_restart()
        time.sleep(0.3)
        check_once(s, w.stop())


def test_a_file_that_is_truncated():
    with Scene() as s:
        s.serve(TAIL)
        for round_ in range(3):  # the same lines again are lines again: what is read is what was written
            with open(s.path("app.log"), "ab") as f:
                f.write(b"".join(b"line %d of many\n" % (100 * round_ + i) for i in range(100)))
            until(lambda n=round_: len(numbers(s)) == 100 * (n + 1), 10, "lines are read")
            os.truncate(s.path("app.log"), 0)
        s.server.process.stop()
        with open(s.path("app.log"), "ab") as f:
            f.write(b"line 300 of many\n")
        s.server.start(s.server.port)
        check_once(s, 301)


def test_files_that_come_later():
    with Scene() as s:
        s.serve("file_tail:\n- paths: ['logs/*.log']\n  begin: end\n- paths: [old.log]\n  begin: end\n")
        os.mkdir(s.path("logs"))
        s.write("logs/a.log", "line 0 of many\nline 1 of many\nnot yet a li")
        until(lambda: len(numbers(s)) == 2, 10, "a file in a new folder is found")
        with open(s.path("logs/a.log"), "a", encoding="utf-8") as f:
            f.write("ne\n")
        until(lambda: "not yet a line" in s.server.log_lines('{kind="log"}'), 10, "the line is whole")


if __name__ == "__main__":
    sys.exit(run(globals()))
