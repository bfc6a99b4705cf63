#!/usr/bin/env python3
"""Runs the shared conformance suites against the programs just built, where the suites are present.

CONFORMANCE_DIR (default ../shared/conformance) holds them; without it each is skipped by name. Checks in API_LATER need what
this version does not offer; they are skipped by name, too.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.append(os.path.join(ROOT, "tests", "e2e"))
from mesh import free_port  # noqa: E402

DATA = os.path.abspath(os.path.join(ROOT, os.environ.get("CONFORMANCE_DIR", "../shared/conformance")))
BUILD = os.path.abspath(os.environ.get("VIGLA_BUILD", os.path.join(ROOT, "build")))
PROXY = os.path.join(BUILD, "vigla-proxy")
VIGLA = os.path.join(BUILD, "vigla")
COUNTS = re.compile(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?")

# Checks of Prometheus' API, by the beginning of their names.
API_LATER = {
    "rules: ": "rules",
    "alerts: ": "rules",
    "write 2.0: ": "remote write 2.0",
    "remote read: ": "remote read",
}

# A gateway that sends everything to one Pod, which is the suite's own backend.
FRAMING = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: all, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all, namespace: default}
spec:
  hosts: ["*"]
  gateways: [all]
  http: [{route: [{destination: {host: backend}}]}]
---
apiVersion: v1
kind: Service
metadata: {name: backend, namespace: default}
spec:
  selector: {app: backend}
  ports: [{name: http, port: 80, targetPort: BACKEND}]
---
apiVersion: v1
kind: Pod
metadata: {name: backend, namespace: default, labels: {app: backend}}
spec: {containers: [{name: app, image: none, ports: [{containerPort: BACKEND}]}]}
status: {podIP: 127.0.0.1, conditions: [{type: Ready, status: "True"}]}
"""


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1500)
    found = COUNTS.findall(done.stdout)
    counts = [int(n or 0) for n in found[-1]] if found else [int(done.returncode == 0), int(done.returncode != 0), 0]
    if counts[1] or done.returncode:
        lines = done.stdout.splitlines()
        failed = [line for line in lines[:-40] if line.startswith("FAIL")]
        print("\n".join("    " + line for line in failed + lines[-40:]))
    return counts


def routing(script):
    return run([sys.executable, script, "--proxy", PROXY])


def framing(script):
    backend, port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        config, out = os.path.join(folder, "all.yaml"), os.path.join(folder, "out")
        with open(config, "w", encoding="utf-8") as f:
            f.write(FRAMING.replace("BACKEND", str(backend)))
        with open(out, "wb") as log:
            proxy = subprocess.Popen([PROXY, "--config", config, "--gateway", "istio-ingressgateway.istio-system", "--port-map",
                                      f"80={port}", "--telemetry", "none"], stdout=log, stderr=log)
        try:
            for _ in range(200):
                with open(out, encoding="utf-8") as log:
                    if "ready" in log.read():
                        break
                time.sleep(0.05)
            return run([sys.executable, script, "127.0.0.1", str(port), "--backend-port", str(backend)])
        finally:
            proxy.send_signal(signal.SIGTERM)
            proxy.wait(10)


def serve_command(data, port):
    """The server's command line: {dir} and {port} stay for who fills them in. It shall open no other port than its own."""
    known = subprocess.run([VIGLA, "serve", "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    alone = ["--otlp-grpc", "none"] if "--otlp-grpc" in known else []
    return [VIGLA, "serve", "--data", data, "--listen", f"127.0.0.1:{port}", "--enable-admin-api", *alone]


def promql(script):
    """Native histograms and start timestamps are skipped by the runner itself, and counted."""
    return run([sys.executable, script, "--start", " ".join(serve_command("{dir}", "{port}")),
                os.path.join(DATA, "promql")])


def api(script):
    listed = subprocess.run([sys.executable, script, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout
    names = [re.sub(r"^\[.*?\]\s+", "", line).strip() for line in listed.splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(serve_command(os.path.join(folder, "data"), 0), stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
        try:
            url = server.stdout.readline().split()[1]
            later = "|".join(re.escape(name) for name in API_LATER)
            counts = run([sys.executable, script, url, "--admin", "--only", f"^(?!{later})"])
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(10)
            server.stdout.close()
    for name in names:
        for beginning, what in API_LATER.items():
            if name.startswith(beginning):
                print(f"skipped: promapi {name}: {what}: later")
                counts[2] += 1
    return counts


SUITES = [("istio-routing", "istio-routing/run.py", routing), ("http1", "http1/smuggling_run.py", framing),
          ("promql", "promqltest.py", promql), ("promapi", "promapi.py", api)]


def main():
    totals = [0, 0, 0]
    for name, script, function in SUITES:
        path = os.path.join(DATA, script)
        if not os.path.exists(path):
            print(f"skipped: {name}: {path} is not there")
            totals[2] += 1
            continue
        counts = function(path)
        print(f"{name}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped", flush=True)
        totals = [a + b for a, b in zip(totals, counts)]
    print("{} passed, {} failed, {} skipped".format(*totals))
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
