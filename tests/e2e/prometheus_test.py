#!/usr/bin/env python3
"""Stock Prometheus clients against the server: Debian's prometheus writes to it and federates from it, promtool asks it.

Needs Debian's packages prometheus and prometheus-node-exporter; what is not there is skipped by name. Their services are not
needed: the programs are started here, on free ports, and end with the test.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse
import urllib.request

from mesh import Process, Server, free_port, until

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, external_labels: {{origin: stock}}}}
scrape_configs:
- job_name: self
  static_configs: [{{targets: ["127.0.0.1:{own}"]}}]
- job_name: node
  static_configs: [{{targets: ["127.0.0.1:{node}"]}}]
- job_name: federated
  metrics_path: /federate
  honor_labels: true
  params: {{"match[]": ['{{job="node",__name__=~"node_(load1|cpu_seconds_total)"}}']}}
  static_configs: [{{targets: ["127.0.0.1:{vigla}"]}}]
  metric_relabel_configs: [{{target_label: came, replacement: back}}]
- job_name: vigla
  static_configs: [{{targets: ["127.0.0.1:{vigla}"]}}]
remote_write:
- url: http://127.0.0.1:{vigla}/api/v1/write
  queue_config: {{batch_send_deadline: 200ms}}
  metadata_config: {{send_interval: 2s}}
"""


def ask(port, query, **more):
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query, **more})
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def values(vector, *without):
    return {tuple(sorted((k, v) for k, v in s["metric"].items() if k not in without)): s["value"] for s in vector}


OWN_CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: own
  static_configs: [{{targets: ["127.0.0.1:{node}"]}}]
"""


class Stock:
    """A server, a node exporter that it scrapes, and a Prometheus that scrapes both and writes to the server. A context
    manager."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="vigla-prometheus-")
        self.processes = []
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def start(self):
        own, node = free_port(), free_port()
        self.server = Server(self.folder, 0, "--config", self.write("vigla.yml", OWN_CONFIG.format(node=node)))
        self.own = own
        config = self.write("prometheus.yml", CONFIG.format(own=own, node=node, vigla=self.server.port))
        self.run("node", ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{node}"])
        self.run("prometheus", ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.folder}/tsdb",
                                f"--web.listen-address=127.0.0.1:{own}"])

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def run(self, name, command):
        self.processes.append(Process(command, os.path.join(self.folder, name + ".log")))

    def __exit__(self, *why):
        for process in [*self.processes, getattr(getattr(self, "server", None), "process", None)]:
            if process:
                process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def check_written(stock):
    """All that the Prometheus has it has written here, with its external label, the same values, and metadata."""
    until(lambda: stock.server.prom('count(up{origin="stock"} == 1) == 4'), 30, "all four targets are up, as written")
    until(lambda: stock.server.get("/api/v1/metadata", metric="node_load1")["data"], 30, "metadata")
    at = time.time()
    time.sleep(3)  # now it is settled at both ends
    query = 'node_cpu_seconds_total{job="node",came=""}'
    here = values(stock.server.get("/api/v1/query", query=query, time=at)["data"]["result"], "origin")
    there = values(ask(stock.own, query, time=at))
    assert here and here == there, (here, there)


def check_no_write_failed(stock):
    for name in ("failed_total", "dropped_total", "retried_total"):
        got = ask(stock.own, f"sum(prometheus_remote_storage_samples_{name})")
        assert got and got[0]["value"][1] == "0", (name, got, stock.processes[-1].text()[-2000:])


def check_federated(stock):
    """The Prometheus reads back what it has written: labels, the sample's own time, no duplicates."""
    got = until(lambda: ask(stock.own, 'node_load1{came="back"}'), 30, "a federated series")
    assert len(got) == 1 and got[0]["metric"]["job"] == "node" and got[0]["metric"]["origin"] == "stock", got
    # A page that does not parse would have put this to 0.
    assert ask(stock.own, 'min_over_time(up{job=~"federated|vigla"}[10s]) == 1'), ask(stock.own, "up")


def promtool(*words, stdin=None):
    return subprocess.run(["promtool", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          input=stdin)


def check_promtool_query(stock):
    url = stock.server.url
    done = promtool("query", "instant", url, 'up{job="node"}')
    assert done.returncode == 0 and '=> 1 @[' in done.stdout, done
    done = promtool("query", "range", f"--start={int(time.time()) - 5}", "--step=1s", url, 'up{job="node"}')
    assert done.returncode == 0 and done.stdout.count("1 @[") >= 1, done
    done = promtool("query", "series", '--match=up{job="node"}', url)
    assert done.returncode == 0 and 'origin="stock"' in done.stdout, done
    done = promtool("query", "labels", url, "job")
    assert done.returncode == 0 and {"node", "self", "federated"} <= set(done.stdout.split()), done
    done = promtool("query", "instant", url, "sum(")
    assert done.returncode != 0 and "unclosed left parenthesis" in done.stdout, done


def check_promtool_metrics(stock):
    """What lints complain about are styles of names; a page that does not parse is another exit status and text."""
    for path in ("/metrics", "/federate?" + urllib.parse.urlencode({"match[]": '{job="node"}'})):
        status, _, page = stock.server.call("GET", path)
        assert status == 200 and page, (path, status)
        done = promtool("check", "metrics", stdin=page.decode())
        assert "error while linting" not in done.stdout and "text format parsing error" not in done.stdout, (path, done)
        if path == "/metrics":
            assert done.returncode == 0, done


def check_targets(stock):
    """What the server scrapes itself, as Prometheus' API tells of it."""
    until(lambda: [t for t in stock.server.get("/api/v1/targets")["data"]["activeTargets"] if t["health"] == "up"], 30,
          "the server's own target is up")
    data = stock.server.get("/api/v1/targets", state="active", scrapePool="own")["data"]
    target = data["activeTargets"][0]
    assert target["labels"]["job"] == target["scrapePool"] == "own" and target["lastError"] == "", target
    assert target["scrapeUrl"].endswith("/metrics") and target["scrapeInterval"] == "1s", target
    assert data["droppedTargets"] == [] and data["droppedTargetCounts"] == {"own": 0}, data
    assert stock.server.get("/api/v1/scrape_pools")["data"]["scrapePools"] == ["own"]
    found = stock.server.get("/api/v1/targets/metadata", metric="node_load1", match_target='{job="own"}')["data"]
    assert found and found[0]["type"] == "gauge" and "metric" not in found[0], found
    assert stock.server.get("/api/v1/targets/metadata", match_target='{job="none"}')["data"] == []


CHECKS = [check_targets, check_written, check_no_write_failed, check_federated, check_promtool_query, check_promtool_metrics]


def main():
    missing = [name for name in ("prometheus", "promtool", "prometheus-node-exporter") if not shutil.which(name)]
    passed = failed = 0
    if missing:
        print(f"skipped: {', '.join(missing)}: not installed\n0 passed, 0 failed, {len(CHECKS)} skipped")
        return 0
    with Stock() as stock:
        for check in CHECKS:
            try:
                check(stock)
                passed += 1
                print(f"ok      {check.__name__}", flush=True)
            except Exception:  # every failure is told
                failed += 1
                print(f"FAILED  {check.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
