#!/usr/bin/env python3
"""Scraping from end to end: real HTTP servers, a real configuration file, answers by PromQL.

    scrape_test.py [NAME...]    only the tests whose name contains one of the words; VIGLA_KEEP=1 keeps the folder
"""
import base64
import contextlib
import gzip
import http.server
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from mesh import Process, Server, free_port, until
from suite import Skipped, run

FAST = "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"


class Pages:
    """An HTTP server whose pages are functions of the request; remembers requests and counts connections."""

    def __init__(self, context=None):
        pages, self.requests, self.connections, self.page = {}, [], 0, pages_of(self)
        self.pages, self.closed = pages, False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            do_GET = self.page

            def setup(self):
                outer.connections += 1
                super().setup()

            def log_message(self, *_):
                pass

        class Http(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass  # handshakes that fail are a part of the tests

        self.server = Http(("127.0.0.1", 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def set(self, path, body, status=200, kind="text/plain; version=0.0.4", headers=()):
        self.pages[path] = lambda _: (status, kind, body, headers)

    def close(self):
        """Connections that are open end at their next request."""
        self.closed = True
        self.server.shutdown()
        self.server.server_close()


def pages_of(outer):
    def do_get(handler):
        path = handler.path.split("?")[0]
        if outer.closed:
            handler.close_connection = True
            return
        outer.requests.append((handler.path, dict(handler.headers)))
        page = outer.pages.get(path, lambda _: (404, "text/plain", "", ()))
        status, kind, body, headers = page(handler)
        body = body.encode() if isinstance(body, str) else body
        handler.send_response(status)
        if kind:
            handler.send_header("Content-Type", kind)
        for name, value in headers:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
    return do_get


class Scene:
    """A server with a configuration file, and pages for it. A context manager."""

    def __init__(self, config="", context=None):
        self.folder = tempfile.mkdtemp(prefix="vigla-scrape-")
        self.path = os.path.join(self.folder, "prometheus.yml")
        self.pages = Pages(context)
        self.at = self.pages.address
        self.write(config)

    def write(self, config):
        """@ in a configuration stands for the address of the pages."""
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(FAST + config.replace("@", self.at))

    def file(self, name, text):
        """As careful writers do: beside, then renamed."""
        path = os.path.join(self.folder, name)
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(path + ".new", path)
        return path

    def start(self):
        self.server = Server(self.folder, 0, "--config", self.path)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(AttributeError, AssertionError):
            self.server.process.stop()
        self.pages.close()
        if not os.environ.get("VIGLA_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def values(self, query):
        """{sorted labels as one text: value}"""
        return {",".join(f"{k}={v}" for k, v in sorted(r["metric"].items())): float(r["value"][1])
                for r in self.server.prom(query)}

    def wait(self, query, want, seconds=10):
        """Until the query answers exactly `want`, a number for a single series or a dictionary; None: nothing."""
        def there():
            got = self.values(query)
            if want is None:
                return not got
            return got == want if isinstance(want, dict) else list(got.values()) == [want]
        until(there, seconds, f"{query} is {want}, was {self.values(query)}; log: {self.server.process.text()[-1500:]}")

    def reload(self, config):
        self.write(config)
        return self.server.call("POST", "/-/reload")


def job(name="j", extra="", targets="['@']"):
    return f"- job_name: {name}\n  static_configs: [{{targets: {targets}}}]\n{extra}"


def test_page_becomes_series_and_reports():
    with Scene("scrape_configs:\n" + job(extra="  params: {a: [x y, z], b: ['1']}\n")) as s:
        s.pages.set("/metrics", '# HELP a_total Some \\\\ help.\n# TYPE a_total counter\na_total{b="c"} 3\nplain 1e-3\nnever NaN\n')
        s.start()
        s.wait("a_total", {f"__name__=a_total,b=c,instance={s.at},job=j": 3})
        s.wait("plain", 0.001)
        s.wait("up", {f"__name__=up,instance={s.at},job=j": 1})
        s.wait("scrape_samples_scraped", 3)
        s.wait("scrape_samples_post_metric_relabeling", 3)
        s.wait("scrape_series_added", 0)
        s.wait("max_over_time(scrape_series_added[1m])", 3)
        s.wait("scrape_duration_seconds > bool 0", 1)
        s.wait("scrape_timeout_seconds", None)
        until(lambda: len(s.server.prom("count_over_time(plain[1m]) > 8")) == 1, 10, "a scrape each 200 ms")
        path, headers = s.pages.requests[-1]
        assert sorted(path.split("?")[1].split("&")) == ["a=x+y", "a=z", "b=1"], path
        assert headers["User-Agent"].startswith("vigla/") and headers["Accept-Encoding"] == "gzip", headers
        assert headers["X-Prometheus-Scrape-Timeout-Seconds"] == "0.2", headers
        assert headers["Accept"].startswith("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"), headers
        assert s.pages.connections == 1, s.pages.connections
        metadata = s.server.get("/api/v1/metadata")["data"]
        assert metadata["a_total"] == [{"type": "counter", "help": "Some \\ help.", "unit": ""}], metadata
        assert s.server.process.stop(signal.SIGTERM) == 0


def test_a_prometheus_yml_is_taken_whole():
    config = """
  external_labels: {monitor: x}
rule_files: [rules/*.yml]
alerting: {alertmanagers: [{static_configs: [{targets: [a:1]}]}]}
remote_write: [{url: 'http://nowhere'}]
storage: {tsdb: {out_of_order_time_window: 5m}}
scrape_config_files: [more_*.yml]
scrape_configs:
"""
    with Scene() as s:
        with open(s.path, "w", encoding="utf-8") as f:
            f.write(("global:\n  scrape_interval: 200ms" + config + job()).replace("@", s.at))
        s.file("more_1.yml", "scrape_configs:\n" + job("more").replace("@", s.at))
        s.pages.set("/metrics", "a 1\n")
        s.start()
        s.wait("sum(up)", 2)
        for key in ("rule_files", "alerting", "remote_write", "storage"):
            assert f"{key}: ignored" in s.server.process.text(), key


def test_bad_configurations_are_refused_by_place():
    cases = (("scrape_configs:\n- job_name: ''\n", ":3: job_name is empty"),
             ("scrape_configs:\n- job_name: a\n- job_name: a\n", ':4: found multiple scrape configs with job name "a"'),
             ("scrape_configs:\n- job_name: a\n  colour: red\n", ":4: colour: unknown field"),
             ("scrape_configs:\n- job_name: a\n  scrape_timeout: 1s\n", "scrape timeout greater than scrape interval"),
             ("scrape_configs:\n- job_name: a\n  kubernetes_sd_configs: []\n", ":4: kubernetes_sd_configs: not offered"),
             ("scrape_configs:\n- job_name: a\n  relabel_configs:\n  - action: nonsense\n", 'unknown relabel action "nonsense"'),
             ("scrape_configs:\n- job_name: a\n  metric_relabel_configs:\n  - action: replace\n", ":5: relabel configuration for replace"),
             ("scrape_configs:\n- job_name: a\n  file_sd_configs: [{files: [x.txt]}]\n", 'path name "x.txt" is not valid'),
             ("scrape_configs:\n- job_name: a\n  basic_auth: {username: a}\n  bearer_token: b\n", "at most one of basic_auth"),
             ("scrape_configs:\n- job_name: a\n  scheme: ftp\n", "should be http or https"),
             ("scrape_configs: 5\n", ":2: scrape_configs: should be a list"))
    with Scene() as s:
        for config, message in cases:
            s.write(config)
            try:
                s.start()
                raise RuntimeError(f"taken: {config}")
            except AssertionError as refused:
                assert message in str(refused) and s.path in str(refused), (config, refused)


def test_what_is_gone_becomes_stale():
    with Scene("scrape_configs:\n" + job()) as s:
        s.pages.set("/metrics", 'a{i="1"} 1\na{i="2"} 2\n')
        s.start()
        s.wait("count(a)", 2)
        s.pages.set("/metrics", 'a{i="2"} 2\n')
        s.wait("a", 2)
        s.pages.set("/metrics", "", status=500)
        s.wait("up", 0)
        s.wait("a", None)
        s.wait("scrape_samples_scraped", 0)
        assert s.server.process.text().count("server returned HTTP status 500") == 1
        s.pages.set("/metrics", 'a{i="2"} 3\n')
        s.wait("a", 3)
        s.wait("up", 1)
        time.sleep(0.5)
        assert "well again" in s.server.process.text()
        s.pages.set("/metrics", 'a{i="2"} 3\nbroken {\n')
        s.wait("up", 0)
        s.wait("a", None)
        assert "line 2: should be NAME{LABELS} VALUE" in s.server.process.text()
        s.pages.set("/metrics", 'a{i="2"} 4\n')
        s.wait("a", 4)
        s.pages.close()
        s.wait("a", None)
        s.wait("up", 0)


def test_times_of_the_page():
    with Scene("scrape_configs:\n" + job("honest") + job("strict", "  honor_timestamps: false\n  metrics_path: /strict\n")
               + job("tracked", "  track_timestamps_staleness: true\n  metrics_path: /tracked\n")) as s:
        past = int(time.time() * 1000) - 5000
        s.pages.set("/metrics", f"a 1 {past}\n")
        s.pages.set("/strict", f"b 1 {past}\n")
        s.pages.set("/tracked", f"c 1 {past}\n")
        s.start()
        s.wait("timestamp(a)", past / 1000)
        s.wait("time() - timestamp(b) < bool 2", 1)
        s.wait("c", 1)
        for path in ("/metrics", "/strict", "/tracked"):
            s.pages.set(path, "")
        s.wait("b", None)
        s.wait("c", None)
        s.wait("a", 1)


def test_labels_of_target_and_page():
    honor = "  honor_labels: true\n  metrics_path: /honor\n"
    relabel = """
  metrics_path: /relabel
  relabel_configs:
  - {source_labels: [__address__], regex: drop.*, action: drop}
  - {source_labels: [__meta_x, __scheme__], target_label: made, separator: '-'}
  - {action: labelmap, regex: __meta_(map.*), replacement: from_$1}
  - {source_labels: [job, instance], target_label: shard, action: hashmod, modulus: 4}
  - {target_label: __param_q, replacement: 'a b'}
  - {target_label: instance, replacement: here}
  metric_relabel_configs:
  - {source_labels: [__name__], regex: drop_.*, action: drop}
  - {source_labels: [v], regex: '(.)(.)', target_label: v, replacement: '${2}${1}'}
  - {regex: secret, action: labeldrop}
"""
    with Scene() as s:
        s.write("scrape_configs:\n" + job("plain") + job("honor", honor)
                + "- job_name: relabel\n  static_configs: [{targets: ['@', 'drop:1'], labels: {__meta_x: m, __meta_map1: 1, __meta_map2: 2}}]"
                + relabel)
        page = 'a{job="own",instance="i",exported_job="e"} 1\n'
        s.pages.set("/metrics", page)
        s.pages.set("/honor", page)
        s.pages.set("/relabel", 'b{v="xy",secret="s"} 1\ndrop_me 1\n')
        s.start()
        s.wait('a{job="plain"}', {f"__name__=a,exported_exported_job=own,exported_instance=i,exported_job=e,instance={s.at},job=plain": 1})
        s.wait('a{job="own"}', {"__name__=a,exported_job=e,instance=i,job=own": 1})
        s.wait("label_replace(b, 'shard', '', '', '')", {"__name__=b,from_map1=1,from_map2=2,instance=here,job=relabel,made=m-http,v=yx": 1})
        s.wait('count(up{job="relabel"})', 1)
        s.wait('scrape_samples_post_metric_relabeling{job="relabel"}', 1)
        s.wait('scrape_samples_scraped{job="relabel"}', 2)
        assert any(path == "/relabel?q=a+b" for path, _ in s.pages.requests)


def test_two_lines_of_one_series_and_reordered_labels():
    with Scene("scrape_configs:\n" + job()) as s:
        s.pages.set("/metrics", 'a{x="1",y="2"} 1\na{y="2",x="1"} 5\n')
        s.start()
        s.wait("a", 1)
        s.wait("scrape_samples_scraped", 2)
        s.wait("count_over_time(a[1m]) > bool 2", 1)
        assert s.server.process.text().count("1 lines are of series that stand on the page already") == 1
        s.pages.set("/metrics", 'a{y="2",x="1"} 7\n')
        s.wait("a", 7)
        time.sleep(0.5)
        s.wait("a", 7)
        s.wait("changes(a[1m])", 1)


def test_limits():
    page = "".join(f'a{{i="{i}"}} 1\n' for i in range(10))
    limits = ("sample_limit: 9", "label_limit: 3", "label_name_length_limit: 7", "label_value_length_limit: 13",
              "body_size_limit: 90B", "target_limit: 1")
    expect = ("sample limit exceeded", "label_limit exceeded (metric: a, number of labels: 4, limit: 3)",
              "label_name_length_limit exceeded (metric: a, label name: __name__, length: 8, limit: 7)",
              "label_value_length_limit exceeded (metric: a, label name: instance", "body size limit exceeded",
              "target_limit exceeded (number of targets: 2, limit: 1)")
    with Scene() as s:
        config = job("fine", "  sample_limit: 10\n  label_limit: 4\n  body_size_limit: 1KB\n")
        for i, limit in enumerate(limits):
            config += job(f"l{i}", f"  {limit}\n", "['@', '@/']".replace("@/", "localhost:1") if "target" in limit else "['@']")
        s.write("scrape_configs:\n" + config)
        s.pages.set("/metrics", page)
        s.start()
        s.wait('count(a)', 10)
        s.wait('up{job="fine"}', 1)
        for i, message in enumerate(expect):
            s.wait(f'max(up{{job="l{i}"}})', 0)
            assert message in s.server.process.text(), (message, s.server.process.text())
        s.wait('scrape_samples_scraped{job="l0"}', 10)
        s.wait('scrape_samples_post_metric_relabeling{job="l0"}', 10)


def test_formats():
    with Scene() as s:
        jobs = ""
        for name, kind, body, extra in (
                ("om", "application/openmetrics-text; version=1.0.0; charset=utf-8",
                 '# TYPE om counter\nom_total 5 # {trace_id="a"} 1\n{"utf.8","l 1"="é"} 2\n# EOF\n', ""),
                ("cut", "application/openmetrics-text", "cut 1\n", ""), ("html", "text/html", "html 1\n", ""),
                ("none", "", "none 1\n", ""), ("fallback", "", "fallback 1\n", "  fallback_scrape_protocol: PrometheusText0.0.4\n")):
            s.pages.set("/" + name, body, kind=kind)
            jobs += job(name, f"  metrics_path: /{name}\n" + extra)
        s.pages.pages["/zip"] = lambda h: (200, "text/plain", gzip.compress(b"zipped 1\n" * 1),
                                           [("Content-Encoding", "gzip")]) if "gzip" in h.headers.get("Accept-Encoding", "") \
            else (200, "text/plain", "plain 1\n", ())
        jobs += job("zip", "  metrics_path: /zip\n") + job("flat", "  metrics_path: /zip\n  enable_compression: false\n")
        jobs += job("moved", "  metrics_path: /moved\n") + job("stay", "  metrics_path: /moved\n  follow_redirects: false\n")
        s.pages.set("/moved", "", status=302, headers=[("Location", "/om")])
        s.write("scrape_configs:\n" + jobs)
        s.start()
        s.wait("count by (job) (om_total)", {"job=om": 1, "job=moved": 1})
        s.wait('{"utf.8", job="om"}', {f"__name__=utf.8,instance={s.at},job=om,l 1=é": 2})
        s.wait("zipped", 1)
        s.wait("plain", 1)
        s.wait("fallback", 1)
        s.wait("max by (job) (up)", {f"job={name}": float(name not in ("cut", "html", "none", "stay")) for name in
                                     ("om", "cut", "html", "none", "fallback", "zip", "flat", "moved", "stay")})
        log = s.server.process.text()
        for text in ("the text should end with # EOF", 'received unsupported Content-Type "text/html"',
                     "sending blank Content-Type", "server returned HTTP status 302"):
            assert text in log, (text, log)


def test_bounds_have_one_form():
    with Scene("scrape_configs:\n" + job()) as s:
        s.pages.set("/metrics", '# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="0.5"} 1\nh_bucket{le="1000000"} 1\n'
                                'h_bucket{le="+Inf"} 1\n# TYPE s summary\ns{quantile="1"} 2\n# TYPE g gauge\ng{le="1"} 3\n')
        s.start()
        s.wait("count by (le) (h_bucket)", {"le=1.0": 1, "le=0.5": 1, "le=1e+06": 1, "le=+Inf": 1})
        s.wait('s{quantile="1.0"}', 2)
        s.wait('g{le="1"}', 3)


def test_basic_and_bearer():
    with Scene() as s:
        right = {"/basic": "Basic " + base64.b64encode(b"me:pass word").decode(), "/bearer": "Bearer tok", "/custom": "Custom c"}
        for path, want in right.items():
            s.pages.pages[path] = lambda h, want=want: (200, "text/plain", "a 1\n", ()) \
                if h.headers.get("Authorization") == want else (401, "text/plain", "", ())
        s.file("password", "wrong\n")
        s.file("token", "  tok\n")
        s.write("scrape_configs:\n" + job("basic", "  metrics_path: /basic\n  basic_auth: {username: me, password_file: password}\n")
                + job("bearer", "  metrics_path: /bearer\n  authorization: {credentials_file: token}\n")
                + job("old", "  metrics_path: /bearer\n  bearer_token: tok\n")
                + job("custom", "  metrics_path: /custom\n  authorization: {type: Custom, credentials: c}\n  http_headers: {X-Own: {values: [a]}}\n")
                + job("bare", "  metrics_path: /basic\n"))
        s.start()
        s.wait("max by (job) (up)", {"job=basic": 0, "job=bearer": 1, "job=old": 1, "job=custom": 1, "job=bare": 0})
        shown = s.server.get("/api/v1/status/config")["data"]["yaml"]
        assert "tok" not in shown.replace("token", "") and "credentials: c" not in shown and "<secret>" in shown, shown
        s.file("password", "pass word\n")  # read for each scrape
        s.wait('up{job="basic"}', 1)
        assert any(headers.get("X-Own") == "a" for path, headers in s.pages.requests if path == "/custom")
        assert "HTTP status 401 Unauthorized" in s.server.process.text()


def certificate(folder, name, san):
    """A certificate of its own making: PREFIX.pem, PREFIX.key"""
    prefix = os.path.join(folder, name)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", prefix + ".key", "-out", prefix + ".pem", "-days", "2", "-subj", "/CN=" + name,
                    "-addext", "subjectAltName=" + san], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return prefix


def test_tls():
    folder = tempfile.mkdtemp(prefix="vigla-tls-")
    server, client = certificate(folder, "server", "DNS:metrics.example"), certificate(folder, "client", "DNS:me")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server + ".pem", server + ".key")
    context.load_verify_locations(client + ".pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with open(server + ".pem", encoding="utf-8") as f:
        inline = f.read().replace("\n", "\n      ")
    mine = f"cert_file: {client}.pem, key_file: {client}.key"

    def tls(name, settings):
        return job(name, "  scheme: https\n  tls_config: {" + settings + "}\n")
    with Scene(context=context) as s:
        s.pages.set("/metrics", "a 1\n")
        s.write("scrape_configs:\n" + tls("good", f"ca_file: {server}.pem, server_name: metrics.example, {mine}")
                + job("inline", f"  scheme: https\n  tls_config:\n    server_name: metrics.example\n    cert_file: {client}.pem\n"
                                f"    key_file: {client}.key\n    ca: |\n      {inline}\n")
                + tls("blind", f"insecure_skip_verify: true, {mine}") + tls("name", f"ca_file: {server}.pem, {mine}")
                + tls("unknown", f"server_name: metrics.example, {mine}")
                + tls("nocert", f"ca_file: {server}.pem, server_name: metrics.example"))
        s.start()
        s.wait("max by (job) (up)", {"job=good": 1, "job=inline": 1, "job=blind": 1, "job=name": 0, "job=unknown": 0, "job=nocert": 0})
        assert all(headers["Host"] == s.at for _, headers in s.pages.requests), s.pages.requests[0]
    shutil.rmtree(folder)


def test_file_discovery():
    with Scene("scrape_configs:\n- job_name: sd\n  file_sd_configs: [{files: ['sd/*.json', sd/t.yml]}]\n"
               "  relabel_configs: [{source_labels: [__meta_filepath], regex: '.*/(.*)', target_label: file}]\n") as s:
        s.pages.set("/metrics", "a 1\n")
        os.mkdir(os.path.join(s.folder, "sd"))
        s.file("sd/t.yml", "- targets: []\n")
        s.start()
        time.sleep(0.3)
        s.wait("up", None)
        s.file("sd/t.yml", f"- targets: ['{s.at}']\n  labels: {{z: y}}\n")
        s.wait("up", {f"__name__=up,file=t.yml,instance={s.at},job=sd,z=y": 1})
        s.file("sd/one.json", json.dumps([{"targets": [s.at], "labels": {"z": "j"}}]))
        s.wait("count(a)", 2)
        s.file("sd/t.yml", "- targets: [broken\n")
        s.server.process.wait_line(r"discovery: \S+/sd/t.yml:2: ", 5)
        s.wait("count(a)", 2)
        os.remove(os.path.join(s.folder, "sd", "one.json"))
        s.wait("a", {f"__name__=a,file=t.yml,instance={s.at},job=sd,z=y": 1})
        s.wait('up{file="one.json"}', None)
        s.file("sd/t.yml", f"- targets: ['{s.at}']\n  labels: {{instance: i}}\n")
        s.wait("a", {"__name__=a,file=t.yml,instance=i,job=sd": 1})
        s.file("sd/t.yml", f"- targets: ['{s.at.replace('127.0.0.1', 'localhost')}']\n  labels: {{instance: i}}\n")
        end = time.monotonic() + 1.5
        while time.monotonic() < end:  # it has moved, and goes on there
            assert len(s.values("a")) == 1
        until(lambda: s.pages.requests[-1][1]["Host"].startswith("localhost"), 5, "scraped at its new address")
        s.file("sd/t.yml", "[]\n")
        s.wait("a", None)
        s.wait("{job='sd'}", None)


def test_http_discovery():
    with Scene("scrape_configs:\n- job_name: sd\n  http_sd_configs: [{url: 'http://@/sd', refresh_interval: 300ms}]\n") as s:
        s.pages.set("/metrics", "a 1\n")
        s.pages.set("/sd", json.dumps([{"targets": [s.at], "labels": {"l": "1"}}]), kind="application/json; charset=utf-8")
        s.start()
        s.wait("up", {f"__name__=up,instance={s.at},job=sd,l=1": 1})
        s.pages.set("/sd", "oh", status=500)
        s.server.process.wait_line("discovery: .*/sd: server returned HTTP status 500", 5)
        s.wait("up", 1)
        changed = "scrape_configs:\n- {job_name: sd, honor_labels: true, http_sd_configs: [{url: 'http://@/sd', refresh_interval: 300ms}]}\n"
        assert s.reload(changed)[0] == 200  # what the server said last still holds
        s.wait("changes(up[1m])", 0)
        s.wait("up", 1)
        s.pages.set("/sd", "[]", kind="application/json")
        s.wait("up", None)
        assert s.pages.requests[0][1]["X-Prometheus-Refresh-Interval-Seconds"] == "0.3"


def test_reload_keeps_what_is_the_same():
    with Scene("scrape_configs:\n" + job("same") + job("goes", "  metrics_path: /goes\n")) as s:
        s.pages.set("/metrics", 'a{i="1"} 1\n')
        s.pages.set("/goes", "b 1\n")
        s.start()
        s.wait("count(up)", 2)
        s.wait("b", 1)
        assert s.reload("scrape_configs:\n" + job("same") + job("comes", "  metrics_path: /comes\n"))[0] == 200
        s.wait("b", None)
        s.wait("max by (job) (up)", {"job=same": 1, "job=comes": 0})
        status, _, body = s.reload("scrape_configs:\n- job_name: x\n  nonsense: 1\n")
        assert status >= 400 and f"{s.path}:4: nonsense: unknown field".encode() in body, (status, body)
        s.wait("max by (job) (up)", {"job=same": 1, "job=comes": 0})
        changed = job("same", "  metric_relabel_configs: [{target_label: new, replacement: x}]\n")
        s.write("scrape_configs:\n" + changed)
        s.server.process.child.send_signal(signal.SIGHUP)
        s.wait("a", {f"__name__=a,i=1,instance={s.at},job=same,new=x": 1})
        s.wait('changes(up{job="same"}[1m])', 0)  # the target itself has gone on
        s.wait("sum(count_over_time(scrape_series_added[1m])) > bool 4", 1)
        assert s.reload("scrape_configs:\n" + job("same", "  extra_scrape_metrics: true\n"))[0] == 200
        s.wait("scrape_timeout_seconds", 0.2)
        assert s.reload("scrape_configs:\n" + job("same"))[0] == 200
        s.wait("scrape_timeout_seconds", None)
        s.wait("up", 1)
        assert s.reload("")[0] == 200
        s.wait("{job='same'}", None)


def test_a_slow_target_disturbs_nobody():
    with Scene("scrape_configs:\n" + job("slow", "  metrics_path: /slow\n") + job("quick")) as s:
        s.pages.set("/metrics", "a 1\n")
        s.pages.pages["/slow"] = lambda _: (time.sleep(1), (200, "text/plain", "b 1\n", ()))[1]
        hung = socket.create_server(("127.0.0.1", 0))
        s.start()
        s.wait('up{job="slow"}', 0)
        s.wait('up{job="quick"}', 1)
        until(lambda: s.values('count_over_time(up{job="quick"}[5s])').popitem()[1] > 10, 10, "quick scrapes go on")
        assert "context deadline exceeded" in s.server.process.text()
        started = time.monotonic()
        assert s.server.process.stop(signal.SIGTERM) == 0
        assert time.monotonic() - started < 5
        hung.close()


def test_series_go_on_after_a_restart():
    with Scene("scrape_configs:\n" + job()) as s:
        s.pages.set("/metrics", "a 1\n")
        s.start()
        s.wait("a", 1)
        s.server.kill_and_restart()
        s.wait("count_over_time(a[1m]) > bool 3", 1)
        s.wait("a", 1)


def test_node_exporter():
    program = shutil.which("prometheus-node-exporter")
    if not program:
        raise Skipped("there is no prometheus-node-exporter")
    with Scene() as s:
        port = free_port()
        exporter = Process([program, f"--web.listen-address=127.0.0.1:{port}"], os.path.join(s.folder, "exporter.log"))
        try:
            s.at = f"127.0.0.1:{port}"
            s.write("scrape_configs:\n" + job("node").replace("@", s.at))
            s.start()
            s.wait("up", 1)
            s.wait("scrape_samples_scraped > bool 200", 1)
            s.wait("scrape_samples_scraped == bool scrape_samples_post_metric_relabeling", 1)
            s.wait("count(node_uname_info)", 1)
            s.wait("count(node_cpu_seconds_total) > bool 7", 1)
        finally:
            exporter.stop()


if __name__ == "__main__":
    sys.exit(run(globals()))
