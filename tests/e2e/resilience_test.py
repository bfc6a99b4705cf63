#!/usr/bin/env python3
"""DestinationRule's resilience through a real vigla-proxy: limits, queues, ejection, failover, retry budgets, names.

    resilience_test.py [NAME...]        only the tests whose name contains one of these

Backends and proxy are proxy_test.py's. Closing line: N passed, N failed, N skipped.
"""
import collections
import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from mesh import free_port
from proxy_test import Backend, Echo, Handler, Proxy, WAIT, expect, gateway, pod, receive_all, service, until, virtual_service
from suite import run

APP = "  - route: [{destination: {host: app}}]"
NO_RETRIES = APP + "\n    retries: {attempts: 0}"


class Gate:
    """Requests to a Gated backend stay until it opens."""

    def __init__(self):
        self.opened, self.inside, self.most, self.lock = threading.Event(), 0, 0, threading.Lock()

    def __enter__(self):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.opened.wait(WAIT)

    def __exit__(self, *_):
        with self.lock:
            self.inside -= 1


class Gated(Handler):
    def answer(self, *args):
        with self.server.gate:
            return super().answer(*args)


class World:
    """Hosts 127.8.1.1, … of one service behind a gateway, with a DestinationRule."""

    def __init__(self, policy, hosts=1, rules=NO_RETRIES, handler=Handler, threads=1, port_name="http", labels=lambda i: ""):
        self.port, self.policy, self.rules, self.port_name = free_port(), policy, rules, port_name
        self.backends = [Backend(f"127.8.1.{i + 1}", self.port, f"h{i}", handler) for i in range(hosts)]
        for backend in self.backends:
            backend.gate = Gate()
        self.labels = labels
        self.admin = free_port()
        self.proxy = Proxy(self.config(range(hosts)), "--threads", str(threads), "--admin", f"127.0.0.1:{self.admin}")

    def config(self, hosts):
        rule = f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: app, namespace: default}}
spec:
  host: app
  trafficPolicy:
{self.policy}
---"""
        return (service("app", self.port, "app", self.port_name) + gateway() + virtual_service(self.rules) + rule +
                "".join(self.pod(i) for i in hosts))

    def pod(self, i):
        return pod(f"p{i}", "app", "v1", f"127.8.1.{i + 1}", self.port)

    def __enter__(self):
        self.proxy.__enter__()
        return self

    def __exit__(self, *exception):
        for backend in self.backends:
            backend.gate.opened.set()
        self.proxy.__exit__(*exception)
        for backend in self.backends:
            backend.stop()

    def told(self, path):
        """What the admin port says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=WAIT) as r:
            return r.read().decode()

    def who(self, n=1, headers=None):
        """How often each backend answered with 200, and each other status."""
        seen = collections.Counter()
        for _ in range(n):
            r, data = self.proxy.request(headers=headers)
            seen[json.loads(data)["backend"] if r.status == 200 else r.status] += 1
        return seen


class Clients:
    """Requests that are under way all at once."""

    def __init__(self, proxy, n, **request):
        self.pool = concurrent.futures.ThreadPoolExecutor(n)
        self.futures = [self.pool.submit(proxy.request, **request) for _ in range(n)]

    def done(self):
        return [f for f in self.futures if f.done()]

    def statuses(self):
        return collections.Counter(f.result()[0].status for f in self.futures)


OVERFLOW = b"upstream connect error or disconnect/reset before headers. reset reason: overflow"


def test_pending_overflow():
    policy = "    connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 2}}"
    with World(policy, handler=Gated) as w:
        gate = w.backends[0].gate
        first = Clients(w.proxy, 1)
        until(lambda: gate.inside == 1, "the first request is at the backend")
        rest = Clients(w.proxy, 5)
        until(lambda: len(rest.done()) == 3, "three of five find the queue full")
        for f in rest.done():
            r, data = f.result()
            expect((r.status, data, r.getheader("x-envoy-overloaded")), (503, OVERFLOW, "true"))
        lines = w.proxy.lines(3)
        assert all(" 503 UO upstream_reset_before_response_started{overflow} " in line for line in lines), lines
        name = f'{{cluster_name="outbound|{w.port}||app.default.svc.cluster.local"}}'
        stats = w.told("/stats/prometheus")
        assert f"envoy_cluster_upstream_rq_pending_overflow{name} 3\n" in stats, stats
        assert f"envoy_cluster_upstream_rq_pending_active{name} 2\n" in stats, stats
        gate.opened.set()
        expect(first.statuses(), {200: 1})
        expect(rest.statuses(), {200: 2, 503: 3})
        expect((gate.most, len(w.backends[0].connections)), (1, 1), "requests at once, connections")
        expect(w.who(5), {"h0": 5}, "afterwards")


def test_waiting_requests_take_bodies_later():
    policy = "    connectionPool: {tcp: {maxConnections: 1}}"
    with World(policy, handler=Gated) as w:
        body = b"x" * 300000
        all_at_once = Clients(w.proxy, 4, method="POST", body=body)
        until(lambda: w.backends[0].gate.inside == 1, "one is at the backend")
        w.backends[0].gate.opened.set()
        expect([json.loads(f.result()[1])["size"] for f in all_at_once.futures], [len(body)] * 4)
        expect(len(w.backends[0].connections), 1)


def test_a_waiting_client_goes_away():
    policy = "    connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}"
    with World(policy, handler=Gated) as w:
        gate = w.backends[0].gate
        first = Clients(w.proxy, 1)
        until(lambda: gate.inside == 1, "the first request is at the backend")
        s = w.proxy.connect()
        s.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        until(lambda: w.proxy.request()[0].status == 503, "the queue is full")
        s.close()
        until(lambda: any(" 0 DC " in line for line in w.proxy.lines()), "its end in the log")
        second = Clients(w.proxy, 1)                # its place is free again
        gate.opened.set()
        expect(first.statuses() + second.statuses(), {200: 2})


def test_connections_end_and_the_queue_goes_on():
    policy = "    connectionPool: {tcp: {maxConnections: 1}, http: {maxRequestsPerConnection: 1}}"
    with World(policy) as w:
        expect(Clients(w.proxy, 8, headers={"X-Test-Delay": "0.02"}).statuses(), {200: 8})
        expect(len(w.backends[0].connections), 8)
        w.backends[0].stop()
        expect(Clients(w.proxy, 8).statuses(), {503: 8}, "each is told that nobody is there")


def test_max_requests():
    policy = "    connectionPool: {http: {http2MaxRequests: 2}}"
    with World(policy, handler=Gated) as w:
        clients = Clients(w.proxy, 5)
        until(lambda: len(clients.done()) == 3, "three are too many")
        w.backends[0].gate.opened.set()
        expect(clients.statuses(), {200: 2, 503: 3})


def test_a_new_limit_counts_what_is_there():
    with World("    connectionPool: {tcp: {maxConnections: 100}}", handler=Gated) as w:
        gate = w.backends[0].gate
        first = Clients(w.proxy, 3)
        until(lambda: gate.inside == 3, "three at the backend")
        w.policy = "    connectionPool: {tcp: {maxConnections: 3}}"
        w.proxy.reload(w.config([0]))
        second = Clients(w.proxy, 2)
        gate.opened.set()
        expect(first.statuses() + second.statuses(), {200: 5})
        expect((gate.most, len(w.backends[0].connections)), (3, 3))


def test_tcp_connections():
    port = free_port()
    backend = Backend("127.8.1.1", port, "tcp", Echo)
    policy = f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: app, namespace: default}}
spec: {{host: app, trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: 1, maxConnectionDuration: 1s,
  tcpKeepalive: {{time: 7s, interval: 3s, probes: 2}}}}}}}}}}
---"""
    tcp_gateway = f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec: {{selector: {{istio: ingressgateway}}, servers: [{{port: {{number: 80, name: tcp, protocol: TCP}}, hosts: ["*"]}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: vs, namespace: default}}
spec: {{hosts: ["*"], gateways: [gw], tcp: [{{route: [{{destination: {{host: app}}}}]}}]}}
---"""
    config = service("app", port, "app", "tcp") + pod("p", "app", "v1", "127.8.1.1", port) + policy + tcp_gateway
    with Proxy(config, "--threads", "1") as p:
        with p.connect() as a:
            a.sendall(b"one")
            expect(a.recv(100), b"ONE")
            options = sockets_to("127.8.1.1", port)
            assert options and "keepalive" in options[0], options
            expect(p.raw(b"two"), b"", "a second connection")
            assert " 0 UO " in p.lines(1)[0], p.lines(1)
            expect(receive_all(a), b"", "the first, at its age")
        assert " 0 DT " in p.lines(2)[1], p.lines(2)
        with p.connect() as b:
            b.sendall(b"three")
            expect(b.recv(100), b"THREE", "afterwards")
    backend.stop()


def sockets_to(ip, port):
    """What the kernel has to say of connections to an address: its timers."""
    said = subprocess.run(["ss", "-Htno", f"dst {ip}:{port}"], stdout=subprocess.PIPE, text=True, check=False).stdout
    return said.splitlines()


EJECT = """    outlierDetection: {consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 2s, maxEjectionPercent: 100}
    loadBalancer: {simple: ROUND_ROBIN}"""


def test_ejection_and_return():
    with World(EJECT, hosts=2) as w:
        w.backends[1].fail_first = 3
        seen = w.who(6)
        expect(seen, {"h0": 3, 503: 3})
        expect(w.who(20), {"h0": 20}, "without the ejected host")
        flags = re.findall(r"(127.8.1.\d):\d+::health_flags::(\S+)", w.told("/clusters"))
        expect(flags, [("127.8.1.1", "healthy"), ("127.8.1.2", "/failed_outlier_check")])
        until(lambda: w.who()["h1"], "it is back")
        expect(w.who(20), {"h0": 10, "h1": 10})


def test_ejection_is_known_to_all_workers():
    with World(EJECT.replace("baseEjectionTime: 2s", "baseEjectionTime: 60s"), hosts=2, threads=2) as w:
        w.backends[1].fail_first = 1000
        until(lambda: w.who()[503] == 0 and w.backends[1].fail_first <= 997, "three failures, whoever saw them")
        left = w.backends[1].fail_first
        expect(w.who(40), {"h0": 40})
        expect(w.backends[1].fail_first, left)


def test_no_healthy_host():
    with World(EJECT) as w:
        w.backends[0].fail_first = 3
        expect(w.who(3), {503: 3})
        r, data = w.proxy.request()
        expect((r.status, data), (503, b"no healthy upstream"))
        assert " 503 UH no_healthy_upstream " in w.proxy.lines(4)[3]
        w.policy = EJECT.replace("maxEjectionPercent", "minHealthPercent: 50, maxEjectionPercent")
        w.proxy.reload(w.config([0]))
        expect(w.who(3), {"h0": 3}, "too few are healthy: all are taken; the sentence has outlived the snapshot")


def test_dead_host_is_ejected():
    with World(EJECT, hosts=2, rules=APP) as w:
        w.backends[1].stop()
        expect(w.who(20), {"h0": 20}, "retried elsewhere, then not asked any more")
        attempts = [json.loads(w.proxy.request()[1])["fields"]["x-envoy-attempt-count"] for _ in range(6)]
        expect(attempts, ["1"] * 6)


def test_hash_passes_over_an_ejected_host():
    policy = EJECT.replace("{simple: ROUND_ROBIN}", "{consistentHash: {httpHeaderName: x-user}}")
    with World(policy, hosts=3) as w:
        users = [f"user{i}" for i in range(30)]
        before = {user: next(iter(w.who(headers={"X-User": user}))) for user in users}
        expect(set(before.values()), {"h0", "h1", "h2"})
        gone = before[users[0]]
        backend = w.backends[int(gone[1])]
        backend.fail_first = 3
        expect(w.who(3, {"X-User": users[0]}), {503: 3})
        during = {user: next(iter(w.who(headers={"X-User": user}))) for user in users}
        assert gone not in during.values(), during
        assert all(during[user] == before[user] for user in users if before[user] != gone), "nobody else has moved"
        until(lambda: w.who(headers={"X-User": users[0]})[gone], "it is back")
        expect({user: next(iter(w.who(headers={"X-User": user}))) for user in users}, before)


def test_priority_failover():
    policy = EJECT + "\n      localityLbSetting: {enabled: true, failoverPriority: [\"tier=near\"]}"
    policy = policy.replace("{simple: ROUND_ROBIN}", "\n      simple: ROUND_ROBIN")

    class Zoned(World):
        def pod(self, i):
            return super().pod(i).replace("app: app, ", f"app: app, tier: {'near' if i == 0 else 'far'}, ")

    with Zoned(policy, hosts=2) as w:
        expect(w.who(10), {"h0": 10}, "the near one alone")
        w.backends[0].fail_first = 3
        expect(w.who(3), {503: 3})
        expect(w.who(10), {"h1": 10}, "the far one takes over")
        until(lambda: w.who()["h0"], "the near one is back")
        expect(w.who(10), {"h0": 10})


def test_retries_leave_localities():
    policy = ("    loadBalancer:\n      simple: ROUND_ROBIN\n      localityLbSetting: {enabled: true, failoverPriority: [\"tier=near\"]}\n"
              "    outlierDetection: {consecutive5xxErrors: 1000}")

    class Zoned(World):
        def pod(self, i):
            return super().pod(i).replace("app: app, ", f"app: app, tier: {'near' if i == 0 else 'far'}, ")

    rules = APP + "\n    retries: {attempts: 3, retryOn: \"5xx\"%s}"
    for more, seen, calls in (("", {503: 1}, 4), (", retryRemoteLocalities: true", {"h1": 1}, 2)):
        with Zoned(policy, rules=rules % more, hosts=2) as w:
            w.backends[0].fail_first = 100
            expect(w.who(), seen)
            expect(w.backends[0].calls, calls)


def test_retry_budget():
    rules = APP + "\n    retries: {attempts: 5, retryOn: \"5xx\"}"
    policy = "    retryBudget: {percent: 1, minRetryConcurrency: 1}"
    with World(policy, rules=rules) as w:
        w.backends[0].fail_first = 3
        expect(w.who(), {"h0": 1}, "one at a time may")
        expect(w.backends[0].calls, 4)
    with World(policy.replace("minRetryConcurrency: 1", "minRetryConcurrency: 0"), rules=rules) as w:
        w.backends[0].fail_first = 1
        expect(w.who(), {503: 1}, "none may")
        expect(w.backends[0].calls, 1)
        assert " 503 UO via_upstream " in w.proxy.lines()[0], w.proxy.lines()


def test_warm_up():
    policy = "    loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 4s, minimumPercent: 10}}"
    with World(policy, hosts=2) as w:
        w.proxy.reload(w.config([0]))
        expect(w.who(10), {"h0": 10})
        time.sleep(4)                            # h0 is warm
        w.proxy.reload(w.config([0, 1]))
        seen = w.who(22)                         # within the two seconds until it has half of its share
        assert 0 < seen["h1"] < seen["h0"] / 2, seen
        until(lambda: w.who(10) == {"h0": 5, "h1": 5}, "h1 is warm, too")


class Unavailable(Handler):
    """gRPC's way to say no: status 200 and grpc-status in a head without a body."""

    def answer(self, method, path, fields, digest, size):
        with self.server.lock:
            self.server.calls += 1
        if self.server.calls > 2:
            return super().answer(method, path, fields, digest, size)
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nGrpc-Status: 14\r\nContent-Length: 0\r\n\r\n")
        return True


def test_grpc_statuses_are_retried():
    rules = APP + "\n    retries: {attempts: 3, retryOn: \"unavailable\"}"
    with World("    loadBalancer: {simple: RANDOM}", rules=rules, handler=Unavailable) as w:
        expect(w.who(), {"h0": 1})
        expect(w.backends[0].calls, 4, "two refusals, and Handler counts its own answer once more")


def test_client_fields_set_no_retries():
    with World("    loadBalancer: {simple: RANDOM}") as w:
        w.backends[0].fail_first = 1
        expect(w.who(headers={"x-envoy-retry-on": "5xx", "x-envoy-max-retries": "5"}), {503: 1})


# --- HTTP/2 -------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def two_hops(pool):
    """A proxy that speaks HTTP/2 to a second one, in front of a Gated backend. Yields the first, its connections to the
    second as a function, and the backend."""
    with World("    loadBalancer: {simple: RANDOM}", handler=Gated) as w:
        rule = f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: hop, namespace: default}}
spec: {{host: hop, trafficPolicy: {{connectionPool: {pool}}}}}
---"""
        config = (service("hop", w.proxy.port, "hop", "http2") + pod("hop-1", "hop", "v1", "127.0.0.1", w.proxy.port) + rule +
                  gateway() + virtual_service(NO_RETRIES.replace("app", "hop")))
        with Proxy(config, "--threads", "1") as p:
            def connections():
                return len([line for line in sockets_to("127.0.0.1", w.proxy.port) if line.startswith("ESTAB")])
            yield p, connections, w.backends[0]


def test_http2_streams_share_a_connection():
    with two_hops("{http: {http2MaxRequests: 1000}}") as (p, connections, backend):
        clients = Clients(p, 4)
        until(lambda: backend.gate.inside == 4, "all are under way")
        expect(connections(), 1)
        backend.gate.opened.set()
        expect(clients.statuses(), {200: 4})


def test_http2_max_streams():
    with two_hops("{http: {maxConcurrentStreams: 2}}") as (p, connections, backend):
        clients = Clients(p, 5)
        until(lambda: backend.gate.inside == 5, "all are under way")
        expect(connections(), 3, "connections for five requests, two on each")
        backend.gate.opened.set()
        expect(clients.statuses(), {200: 5})


def test_http2_waits_for_a_stream():
    pool = "{tcp: {maxConnections: 1}, http: {maxConcurrentStreams: 2, http1MaxPendingRequests: 2}}"
    with two_hops(pool) as (p, connections, backend):
        first = Clients(p, 2)
        until(lambda: backend.gate.inside == 2, "two are under way")
        rest = Clients(p, 4)
        until(lambda: len(rest.done()) == 2, "two of four find the queue full")
        expect(connections(), 1)
        backend.gate.opened.set()
        expect((first.statuses(), rest.statuses()), ({200: 2}, {200: 2, 503: 2}))
        expect(backend.gate.most, 2, "requests at once")


class Silent(socketserver.BaseRequestHandler):
    """Takes everything and says nothing."""

    def handle(self):
        with contextlib.suppress(OSError):
            while self.request.recv(65536):
                pass


def test_http2_pings():
    policy = "    connectionPool: {http: {http2KeepAlive: {interval: 1s, timeout: 1s}}}"
    with World(policy, handler=Silent, port_name="http2") as w:
        r, _ = w.proxy.request()
        expect(r.status, 503)
        assert " 503 UC upstream_reset_before_response_started{connection_termination} " in w.proxy.lines()[0], w.proxy.lines()
    with two_hops("{http: {http2KeepAlive: {interval: 1s, timeout: 1s}}}") as (p, connections, backend):
        backend.gate.opened.set()
        expect(answered_by(p, headers={"X-Test-Delay": "4"}), {"h0": 1}, "pings that are answered")
        expect(connections(), 1)


# --- names --------------------------------------------------------------------------------------------------------

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* The names of $TEST_HOSTS, "NAME IP [IP]" a line, each answered as two addresses at most; no others. As late as
 * $TEST_DELAY_MS says. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out)
{
    resolver *real = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
    FILE *f = fopen(getenv("TEST_HOSTS"), "r");
    struct addrinfo **tail = out;
    char line[256], name[64], ip[2][64];
    int n, rc = EAI_NONAME;

    if (host && host[0] >= '0' && host[0] <= '9') /* an address is one */
        return real(host, port, hints, out);
    if (getenv("TEST_DELAY_MS"))
        usleep((useconds_t)atoi(getenv("TEST_DELAY_MS")) * 1000);
    while (f && fgets(line, sizeof(line), f))
        if ((n = sscanf(line, "%63s %63s %63s", name, ip[0], ip[1])) > 1 && strcmp(name, host) == 0)
            for (int i = 0; i < n - 1 && (rc = real(ip[i], port, hints, tail)) == 0; i++)
                tail = &(*tail)->ai_next;
    if (f)
        fclose(f);
    return rc;
}
"""


class Names:
    """What names a proxy's resolver knows. Environment for the proxy; `set` changes them."""

    def __init__(self, **hosts):
        self.dir = tempfile.mkdtemp(prefix="vigla-names-")
        self.file = os.path.join(self.dir, "hosts")
        library = os.path.join(self.dir, "names.so")
        subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"], input=SHIM, text=True, check=True)
        self.env = {**os.environ, "LD_PRELOAD": library, "TEST_HOSTS": self.file,
                    "ASAN_OPTIONS": "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")}
        self.set(**hosts)

    def set(self, **hosts):
        with open(self.file + ".new", "w", encoding="ascii") as f:
            f.writelines(f"{name}.test {addresses}\n" for name, addresses in hosts.items())
        os.rename(self.file + ".new", self.file)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir)


def service_entry(host, port, resolution):
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: ext, namespace: default}}
spec:
  hosts: ["{host}"]
  ports: [{{number: {port}, name: http, protocol: HTTP}}]
  resolution: {resolution}
---"""


def answered_by(proxy, n=1, **request):
    seen = collections.Counter()
    for _ in range(n):
        r, data = proxy.request(**request)
        seen[json.loads(data)["backend"] if r.status == 200 else r.status] += 1
    return seen


def test_names_change():
    port = free_port()
    backends = [Backend(f"127.8.1.{i + 1}", port, f"h{i}") for i in range(3)]
    config = gateway() + virtual_service(APP.replace("app", "app.test")) + service_entry("app.test", port, "DNS")
    with Names(app="127.8.1.1 127.8.1.2") as names, Proxy(config, "--dns-refresh", "50ms", env=names.env) as p:
        expect(p.request()[0].status, 200, "the first request waits for the name's first answer")
        expect(set(answered_by(p, 30)), {"h0", "h1"})
        names.set(app="127.8.1.3")
        until(lambda: answered_by(p, 5) == {"h2": 5}, "the name's new address")
        names.set(other="127.8.1.1")
        time.sleep(0.2)
        expect(answered_by(p, 5), {"h2": 5}, "a name that is gone: what was known stays")
    for backend in backends:
        backend.stop()


def test_tcp_waits_for_a_name():
    """The first connection comes before the name's first answer, and with its first bytes; one that nobody answers for ends."""
    port = free_port()
    backend = Backend("127.8.1.1", port, "tcp", Echo)
    config = ("\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: default}\nspec:\n"
              "  selector: {istio: ingressgateway}\n  servers: [{port: {number: %d, name: tcp, protocol: TCP}, hosts: ['*']}]\n---"
              "\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: vs, namespace: default}\nspec:\n"
              "  hosts: ['*']\n  gateways: [gw]\n  tcp: [{route: [{destination: {host: app.test}}]}]\n---")
    for names_known, said in (({"app": "127.8.1.1"}, b"HELLOEND"), ({}, b"")):
        listen = free_port()
        text = config % listen + service_entry("app.test", port, "DNS").replace("name: http, protocol: HTTP", "name: tcp, protocol: TCP")
        with Names(**names_known) as names, Proxy(text, env={**names.env, "TEST_DELAY_MS": "300"}) as p:
            p.port = listen
            expect(p.raw(b"hello", shut=bool(names_known)), said)
            line = p.lines(1)[0]
            assert (" UH " in line) == (not names_known), line
    backend.stop()


def test_first_address_alone():
    port = free_port()
    backends = [Backend(f"127.8.1.{i + 1}", port, f"h{i}") for i in range(2)]
    config = gateway() + virtual_service(APP.replace("app", "app.test")) + service_entry("app.test", port, "DNS_ROUND_ROBIN")
    with Names(app="127.8.1.1 127.8.1.2") as names, Proxy(config, env=names.env) as p:
        expect(len(answered_by(p, 20)), 1)
    for backend in backends:
        backend.stop()


def test_name_without_address():
    config = gateway() + virtual_service(APP.replace("app", "nobody.test")) + service_entry("nobody.test", 8080, "DNS")
    with Names() as names, Proxy(config, env=names.env) as p:
        r, data = p.request()
        expect((r.status, data), (503, b"no healthy upstream"))


def sidecar(config, **more):
    return Proxy(service("known", 80, "known") + config, "--bind", "127.0.0.1", "--threads", "1",
                 role=("--workload", "client-v1.default"), **more)


def test_unknown_hosts_go_where_they_want():
    port = free_port()
    backends = [Backend(f"127.8.1.{i + 1}", port, f"h{i}") for i in range(2)]
    own = pod("client-1", "client", "v1", "127.8.2.1", 8080)
    with Names(out="127.8.1.1", loop="127.0.0.1") as names, sidecar(own, env=names.env) as p:
        expect(answered_by(p, 3, headers={"Host": f"out.test:{port}"}), {"h0": 3}, "by name")
        expect(answered_by(p, 3, headers={"Host": f"127.8.1.2:{port}"}), {"h1": 3}, "by address")
        expect(len(backends[1].connections), 1, "its connection is kept")
        expect(answered_by(p, headers={"Host": f"nobody.test:{port}"}), {503: 1})
        for itself in (f"127.0.0.1:{p.port}", f"loop.test:{p.port}"):
            expect(answered_by(p, headers={"Host": itself}), {503: 1}, "back to ourselves")
        lines = p.lines(9)
        assert "|PassthroughCluster|" in lines[0].replace(" ", "|"), lines[0]
        assert " 503 DF dns_resolution_failure " in lines[6] and " 503 UH " in lines[7], lines[6:8]
    for backend in backends:
        backend.stop()


def test_services_by_the_request_name():
    """Resolution NONE and DYNAMIC_DNS: the name that the client asks for is where it goes, at the service's port."""
    for resolution, host, asked in (("NONE", "one.test", "one.test"), ("NONE", "*.test", "one.test"),
                                    ("DYNAMIC_DNS", "*.test", "one.test")):
        port = free_port()
        backends = [Backend(f"127.8.1.{i + 1}", port, f"h{i}") for i in range(2)]
        config = service_entry(host, port, resolution) + pod("client-1", "client", "v1", "127.8.2.1", 8080)
        with Names(one="127.8.1.1", two="127.8.1.2") as names, sidecar(config, env=names.env) as p:
            for name, backend in ((asked, "h0"), ("two.test", "h1")):
                if host.startswith("*") or name == asked:
                    c = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
                    expect(answered_by(p, 2, headers={"Host": f"{name}:{port}"}, connection=c), {backend: 2}, resolution + " " + host)
                    c.close()
            line = p.lines()[0]
            assert f" outbound|{port}||{host} " in line, line
        for backend in backends:
            backend.stop()


if __name__ == "__main__":
    sys.exit(run(globals()))
