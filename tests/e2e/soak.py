#!/usr/bin/env python3
"""vigla-proxy under everything at once, for as long as one likes: a tool, not a test of the suites.

    soak.py [--time 60s] [--io-uring on|off] [--threads N]

A gateway, a sidecar behind it with mutual TLS, and hosts that answer, stall, reset and close. Kept and new connections,
HTTP/2, TLS, large bodies with fast and slow readers, TCP in bulk, WebSockets, requests that are cut off, slow heads; and
meanwhile configurations that change every 200 ms and another process every few seconds. In the end nothing has failed
that should not, no sanitizer has found anything, descriptors are as in the beginning, and the proxies rest.

Needs python3-grpcio: run it by Debian's /usr/bin/python3. The binary is $VIGLA_BUILD/vigla-proxy (VIGLA_BUILD: build);
with sanitizers, their reports are looked for.
"""
import argparse
import collections
import contextlib
import glob
import http.client
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.environ.get("VIGLA_BUILD", "build")
os.environ["VIGLA_PROXY"] = os.path.join(BUILD, "vigla-proxy")
REPORTS = tempfile.mkdtemp(prefix="vigla-soak-reports-")
# What libraries that were built without ThreadSanitizer order by atomics of their own (OpenSSL) looks like races to it.
for _name, _more in (("ASAN_OPTIONS", ""), ("TSAN_OPTIONS", "ignore_noninstrumented_modules=1"),
                     ("UBSAN_OPTIONS", "print_stacktrace=1")):
    os.environ[_name] = ":".join(filter(None, [os.environ.get(_name), f"log_path={REPORTS}/{_name[:4].lower()}", _more]))

import chaos_test                                                                               # noqa: E402
import tls_test                                                                                 # noqa: E402
from proxy_test import Backend, Echo, Handler, Proxy, WAIT, free_port, pod, receive_all, service, until  # noqa: E402
from restart_test import Upgradable, WebSocketEcho                                              # noqa: E402

MESH_IP, APP_IP, PLAIN_IP, ECHO_IP = "127.7.51.1", "127.7.51.2", "127.7.51.3", "127.7.51.4"
MIB = 1 << 20
UPGRADE_DRAIN_S = 6             # longer than anything here lasts
RELOAD_EVERY_S, UPGRADE_EVERY_S = 0.2, 4
MOST_RESTING_CPU_S = 0.5        # of two seconds, with checks once a second
MOST_KEPT = 96                  # connections to and from hosts that a proxy has behind the load
MOST_GROWTH = 64 * MIB          # of a proxy without sanitizers, which keep what is freed
BAD = ("reset_before_head", "reset_in_head", "reset_in_body", "half_head", "half_body", "garbage", "too_much",
       "too_much_later", "once", "trickle", "many_small", "large_and_more", "large_cut", "large_chunks",
       "large_until_close", "stall_in_head", "stall_in_body")
GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - {{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["*"]}}
  - {{port: {{number: 443, name: https, protocol: HTTPS}}, hosts: ["*"], tls: {tls}}}
  - {{port: {{number: 90, name: tcp, protocol: TCP}}, hosts: ["*"]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: vs, namespace: default}}
spec:
  hosts: ["*"]
  gateways: [gw]
  http:
  - match: [{{uri: {{prefix: /plain}}}}]
    route: [{{destination: {{host: plain}}}}]
  - match: [{{uri: {{prefix: /bad}}}}]
    route: [{{destination: {{host: bad}}}}]
    timeout: 2s
    retries: {{attempts: {attempts}}}
  - route: [{{destination: {{host: srv}}}}]
  tcp:
  - {{match: [{{port: 90}}], route: [{{destination: {{host: echo}}}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: bad, namespace: default}}
spec: {{host: bad, trafficPolicy: {{connectionPool: {{http: {{idleTimeout: {idle}}}}}}}}}
---"""


class World:
    """gateway --mutual TLS--> sidecar --> app, and gateway --> plain, bad, echo"""

    def __init__(self, options):
        self.app_port, self.plain_port, self.echo_port, self.tls, self.tcp = (free_port() for _ in range(5))
        self.backends = [Backend(APP_IP, self.app_port, "app"), Backend(PLAIN_IP, self.plain_port, "plain", WebSocketEcho),
                         Backend(ECHO_IP, self.echo_port, "echo", Echo)]
        self.bad = chaos_test.Host()
        tls_test.WEB.issue("soak", "DNS:app.example")
        more = ("--threads", str(options.threads), "--io-uring", options.io_uring, "--head-time", "2s")
        trust = tls_test.TRUST
        self.sidecar = Proxy(self.config(), "--cert-dir", tls_test.MESH.cert_dir("soak-server", trust + "server"),
                             "--app-address", APP_IP, *more, role=("--workload", "srv-v1.default"))
        self.gateway = Upgradable(self.config(), "--cert-dir", tls_test.MESH.cert_dir("soak-gateway", trust + "gateway"),
                                  "--port-map", f"443={self.tls},90={self.tcp}",
                                  "--upgrade-drain", f"{UPGRADE_DRAIN_S}s", *more)

    def config(self, turn=0):
        return (GATEWAY.format(tls=tls_test.simple("soak"), attempts=turn % 2, idle=("1s", "300ms")[turn % 2]) +
                service("srv", self.app_port, "srv") + tls_test.pod("srv-1", "srv", MESH_IP, self.app_port, "server", True) +
                service("plain", self.plain_port, "plain") + pod("plain-1", "plain", "v1", PLAIN_IP, self.plain_port) +
                service("echo", self.echo_port, "echo", "tcp") + pod("echo-1", "echo", "v1", ECHO_IP, self.echo_port) +
                service("bad", self.bad.port, "bad") + pod("bad-1", "bad", "v1", chaos_test.HOST_IP, self.bad.port))

    def http(self):
        return http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=3 * WAIT)

    def stop(self):
        self.bad.released.set()
        self.gateway.stop()
        self.sidecar.stop()
        for backend in self.backends:
            backend.stop()


class Soak:
    """What is counted, and what has failed."""

    def __init__(self, world, seconds):
        self.w, self.end = world, time.monotonic() + seconds
        self.done, self.failed, self.slowest_s = collections.Counter(), [], 0.0

    def goes_on(self):
        return time.monotonic() < self.end

    def expect(self, kind, got, want):
        self.done[kind] += 1
        if got != want:
            self.failed.append((kind, str(got)[:200], str(want)[:200]))

    def repeat(self, step):
        """Until the end; what raises has failed."""
        rng = random.Random(step.__name__)
        while self.goes_on():
            try:
                step(self, rng)
            except Exception as e:      # noqa: BLE001  every failure counts
                self.failed.append((step.__name__, repr(e), ""))
                time.sleep(0.05)


# --- load ---------------------------------------------------------------------------------------------------------

def run_wrk(s, kind, *args):
    command = ["wrk", "-t1", "-c8", "-d2", "--timeout", f"{3 * WAIT}s", "-H", "Host: app.example", *args]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    s.expect(kind, re.findall(r"Socket errors.*|Non-2xx.*", said), [])


def wrk_kept(s, _):
    run_wrk(s, "wrk kept", f"http://127.0.0.1:{s.w.gateway.port}/")


def wrk_new(s, _):
    run_wrk(s, "wrk new", "-H", "Connection: close", f"http://127.0.0.1:{s.w.gateway.port}/plain")


def wrk_tls(s, rng):
    run_wrk(s, "wrk TLS", *rng.choice([(), ("-H", "Connection: close")]), f"https://127.0.0.1:{s.w.tls}/")


def http2(s, rng):
    """h2load opens no other connection behind a GOAWAY: only what was answered is judged."""
    url = rng.choice([f"http://127.0.0.1:{s.w.gateway.port}", f"https://127.0.0.1:{s.w.tls}"]) + rng.choice(["/", "/plain"])
    command = ["h2load", "-n500", "-c4", "-m10", "-H", ":authority: app.example", url]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    s.expect("h2load", re.findall(r"\d+ 4xx, \d+ 5xx", said), ["0 4xx, 0 5xx"])


def one_by_one(s, rng):
    """On a connection each: the slowest is told of."""
    start = time.monotonic()
    r, _ = s.w.gateway.request(rng.choice(["/", "/plain"]))
    s.expect("one by one", r.status, 200)
    s.slowest_s = max(s.slowest_s, time.monotonic() - start)


def large_up(s, rng):
    with contextlib.closing(s.w.http()) as c:
        for _ in range(3):
            c.request("POST", rng.choice(["/", "/plain"]), b"u" * MIB, {"Host": "app.example"})
            r = c.getresponse()
            s.expect("1 MiB up", (r.status, b'"size": %d' % MIB in r.read()), (200, True))
            if r.will_close:
                break


def large_down(s, rng):
    with contextlib.closing(s.w.http()) as c:
        for _ in range(3):
            c.request("GET", rng.choice(["/", "/plain"]), headers={"Host": "app.example", "X-Test-Bytes": str(MIB)})
            r = c.getresponse()
            s.expect("1 MiB down", (r.status, len(r.read())), (200, MIB))
            if r.will_close:
                break


def slow_reader(s, rng):
    with socket.socket() as c:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        c.settimeout(3 * WAIT)
        c.connect(("127.0.0.1", s.w.gateway.port))
        c.sendall(chaos_test.get(rng.choice(["/", "/plain"]), b"X-Test-Bytes: %d\r\nConnection: close\r\n" % MIB))
        got = 0
        while (data := c.recv(65536)):
            got += len(data)
            time.sleep(0.005)
        s.expect("slow reader", got >= MIB, True)


def slow_writer(s, rng):
    with s.w.gateway.connect() as c:
        c.sendall(chaos_test.post("/plain", MIB).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        left = MIB
        while left:
            n = min(left, rng.choice([1, 1000, 65536, 200_000]))
            c.sendall(b"s" * n)
            left -= n
            time.sleep(0.01)
        s.expect("slow writer", b'"size": %d' % MIB in receive_all(c), True)


def tcp_bulk(s, rng):
    size, got = rng.choice([1, 100, 100_000, 2 * MIB]), bytearray()
    with socket.create_connection(("127.0.0.1", s.w.tcp), 3 * WAIT) as c:
        def send():
            c.sendall(b"t" * size)
            c.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        while (data := c.recv(65536)):
            got += data
        sender.join()
    s.expect("TCP", (len(got), got[-3:]), (size + 3, bytearray(b"END")))


def web_socket(s, rng):
    with s.w.gateway.connect() as c:
        c.sendall(chaos_test.get("/plain", b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"))
        s.expect("WebSocket", c.recv(4096)[:13], b"HTTP/1.1 101 ")
        for _ in range(rng.randrange(20)):
            n, got = rng.choice([1, 1000, 60_000]), 0
            c.sendall(b"w" * n)
            while got < n and (data := c.recv(65536)):
                got += len(data)
            s.expect("WebSocket", got, n)
            time.sleep(0.02)


# --- misconduct ---------------------------------------------------------------------------------------------------

def cut_off(s, rng):
    request = rng.choice([chaos_test.get("/"), chaos_test.post("/plain", MIB) + b"c" * rng.randrange(MIB),
                          chaos_test.get("/plain", b"X-Test-Bytes: 1048576\r\n"), chaos_test.PREFACE + rng.randbytes(50)])
    port = rng.choice([s.w.gateway.port, s.w.gateway.port, s.w.tls, s.w.tcp])
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), WAIT) as c:
        c.settimeout(0.1)
        c.sendall(request[:rng.randrange(1, len(request) + 1)])
        if rng.random() < 0.5:
            c.recv(rng.choice([1, 100_000]))
        if rng.random() < 0.3:
            c.shutdown(socket.SHUT_WR)
            time.sleep(rng.random() / 20)
        if rng.random() < 0.5:
            chaos_test.reset(c)
    s.done["cut off"] += 1


def slow_head(s, rng):
    with s.w.gateway.connect() as c:
        for byte in chaos_test.get("/", b"Connection: close\r\n"):
            c.sendall(bytes([byte]))
            time.sleep(0.005)
        s.expect("slow head", receive_all(c)[:12], b"HTTP/1.1 200")
    with contextlib.suppress(OSError), s.w.gateway.connect() as c:
        c.sendall(b"GET / HT")
        time.sleep(rng.random())
    s.done["head cut off"] += 1


def bad_hosts(s, rng):
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(s.w.http()) as c:
        for _ in range(5):
            c.request("GET", "/bad/" + rng.choice(BAD), headers={"Host": "a"})
            c.getresponse().read()
            s.done["bad host"] += 1


# --- changes ------------------------------------------------------------------------------------------------------

def reload_all(s, _):
    s.done["reload"] += 1
    for proxy, pid in ((s.w.gateway, s.w.gateway.pid()), (s.w.sidecar, s.w.sidecar.process.pid)):
        proxy.write(s.w.config(s.done["reload"]))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGHUP)
    time.sleep(RELOAD_EVERY_S)


def upgrade(s, _):
    time.sleep(UPGRADE_EVERY_S)
    before = s.w.gateway.pid()
    s.w.gateway.signal_upgrade()
    until(lambda: s.w.gateway.pid() != before, "another process", 3 * WAIT)
    s.done["upgrade"] += 1


LOAD = [one_by_one, wrk_kept, wrk_new, wrk_tls, http2, large_up, large_down, slow_reader, slow_writer, tcp_bulk,
        web_socket, cut_off, cut_off, slow_head, bad_hosts, bad_hosts, reload_all, upgrade]


# --- at rest ------------------------------------------------------------------------------------------------------

def descriptors(pid):
    """Apart from pipes: spare ones are kept for large bodies."""
    kinds = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            kinds.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return sum(not kind.startswith("pipe:") for kind in kinds)


def memory(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) * 1024


def check_rest(s, before):
    """The proxies' state some time after the load."""
    pids = {"gateway": s.w.gateway.pid(), "sidecar": s.w.sidecar.process.pid}
    for name, pid in pids.items():
        with contextlib.suppress(AssertionError):
            until(lambda p=pid, n=name: descriptors(p) <= before[n][0] + MOST_KEPT, "descriptors")
        start = chaos_test.cpu_s(pid)
        time.sleep(2)
        used, fds, rss = chaos_test.cpu_s(pid) - start, descriptors(pid), memory(pid)
        print(f"{name}: descriptors {before[name][0]} -> {fds}, memory {before[name][1] // MIB} -> {rss // MIB} MiB, "
              f"{used:.2f} s of CPU in two at rest")
        s.expect(f"{name} rests", used < MOST_RESTING_CPU_S, True)
        s.expect(f"{name}'s descriptors", fds <= before[name][0] + MOST_KEPT, True)
        if BUILD == "build":
            s.expect(f"{name}'s memory", rss < before[name][1] + MOST_GROWTH, True)
    r, _ = s.w.gateway.request("/")
    s.expect("a request in the end", r.status, 200)


def reports(w):
    found = []
    for path in glob.glob(f"{REPORTS}/*"):
        with open(path, encoding="utf-8", errors="replace") as f:
            found.append(f"{path}:\n{f.read()[:6000]}")
    said = w.gateway.errors() + w.sidecar.errors()
    return found + re.findall(r".*(?:runtime error|ERROR: \w+Sanitizer|assert|corrupt).*", said)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--time", default="60s", help="how long, in seconds (60s) or minutes (3m)")
    p.add_argument("--io-uring", default="on", choices=["on", "off"])
    p.add_argument("--threads", type=int, default=3)
    options = p.parse_args()
    w = World(options)
    s = Soak(w, float(options.time[:-1]) * {"s": 1, "m": 60}[options.time[-1]])
    w.gateway.request("/")
    before = {name: (descriptors(pid), memory(pid)) for name, pid in
              (("gateway", w.gateway.pid()), ("sidecar", w.sidecar.process.pid))}
    threads = [threading.Thread(target=s.repeat, args=(step,), daemon=True) for step in LOAD]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check_rest(s, before)
    try:
        w.stop()
    except AssertionError as e:
        s.failed.append(("the end", str(e), ""))
    print(", ".join(f"{kind} {n}" for kind, n in sorted(s.done.items())))
    print(f"the slowest one by one took {s.slowest_s:.2f} s")
    found = reports(w)
    for failure, n in collections.Counter(s.failed).most_common(20):
        print(f"FAILED {n} times:", *failure)
    print("\n".join(found[:5]))
    print(f"{sum(s.done.values())} steps, {len(s.failed)} failed, {len(found)} reports ({REPORTS})")
    return bool(s.failed or found)


if __name__ == "__main__":
    sys.exit(main())
