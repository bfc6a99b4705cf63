#!/usr/bin/env python3
"""Active health checks through a real vigla-proxy, as EnvoyFilters merge them into clusters.

    health_test.py [NAME...]        only the tests whose name contains one of these

Backends, proxy and world are proxy_test.py's and resilience_test.py's. Closing line: N passed, N failed, N skipped.
"""
import sys
import threading
import time

import proxy_test
import resilience_test
from proxy_test import Handler, WAIT, expect, until
from suite import run
from resilience_test import Names

SOON = "interval: 0.05s, no_traffic_interval: 0.05s, timeout: 10s, unhealthy_threshold: 2, healthy_threshold: 2"
HTTP = f"{{{SOON}, http_health_check: {{path: /healthz, host: health.test}}}}"
TCP = f"{{{SOON}, tcp_health_check: {{}}}}"
PING = f"{{{SOON}, tcp_health_check: {{send: {{text: '50494e47'}}, receive: [{{text: '50'}}, {{text: '4e47'}}]}}}}"
APP = "service: app.default.svc.cluster.local"
EJECTS = "    outlierDetection: {consecutive5xxErrors: 0}"    # its minHealthPercent of 0 takes the place of Envoy's 50
NONE = "    loadBalancer: {simple: RANDOM}"


def envoy_filter(check, match=APP):
    return f"""
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: checks, namespace: istio-system}}
spec:
  configPatches:
  - applyTo: CLUSTER
    match: {{context: GATEWAY, cluster: {{{match}}}}}
    patch: {{operation: MERGE, value: {{health_checks: [{check}]}}}}
---"""


class Patient(Handler):
    """Answers /healthz as its server feels."""

    def answer(self, method, path, fields, digest, size):
        me = self.server
        if path != "/healthz":
            return super().answer(method, path, fields, digest, size)
        with me.lock:
            me.asked = getattr(me, "asked", 0) + 1
            me.asked_for = (method, fields)
        status = getattr(me, "status", 200)
        if status is None:
            me.gate.opened.wait(WAIT)
            return False
        self.wfile.write(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".encode())
        return False


class Hesitant(Patient):
    """Says something else first, in a segment of its own."""

    def answer(self, method, path, fields, digest, size):
        if path == "/healthz":
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            time.sleep(0.1)
        return super().answer(method, path, fields, digest, size)


class World(resilience_test.World):
    def __init__(self, check=HTTP, match=APP, policy=NONE, handler=Patient, **more):
        self.filter = envoy_filter(check, match)
        super().__init__(policy, handler=handler, **more)

    def config(self, hosts):
        return super().config(hosts) + self.filter

    def flags(self):
        """Each host's health flags; a host that is well has none."""
        lines = [line.split("::") for line in self.told("/clusters").splitlines() if "::health_flags::" in line]
        return [line[3].replace("healthy", "") for line in sorted(lines) if "|app.default" in line[0]]

    def becomes(self, *flags):
        until(lambda: self.flags() == list(flags), f"flags {flags}, not {self.flags()}")

    def counted(self, name):
        line = f"cluster.outbound|{self.port}||app.default.svc.cluster.local.health_check.{name}: "
        return next((int(found[len(line):]) for found in self.told("/stats").splitlines() if found.startswith(line)), 0)


FAILED = "/failed_active_hc"


def test_bad_status():
    """A bad status is enough; of successes it takes as many as the threshold says."""
    with World(hosts=3) as w:
        w.becomes("", "", "")
        w.backends[0].status = 503
        w.becomes(FAILED, "", "")
        expect(set(w.who(30)), {"h1", "h2"})
        method, fields = w.backends[0].asked_for
        expect((method, fields["host"], fields["user-agent"]), ("GET", "health.test", "Envoy/HC"))
        w.backends[0].status = 200
        w.becomes("", "", "")
        expect(set(w.who(60)), {"h0", "h1", "h2"})
        assert w.counted("attempt") >= w.counted("success") + w.counted("failure") > 6, w.told("/stats")
        expect((w.counted("failure") > 0, w.counted("network_failure")), (True, 0))


def test_statuses():
    check = HTTP.replace("path: /healthz", "path: /healthz, expected_statuses: [{start: 200, end: 300}], method: HEAD")
    with World(check, hosts=2) as w:
        w.backends[0].status = 299
        w.backends[1].status = 300
        w.becomes("", FAILED)
        expect(w.backends[0].asked_for[0], "HEAD")


def test_interim_answers_do_not_count():
    with World(hosts=2, handler=Hesitant) as w:
        w.becomes("", "")
        w.backends[0].status = 503
        w.becomes(FAILED, "")


def test_dead_host():
    with World(hosts=2) as w:
        w.becomes("", "")
        w.backends[1].stop()
        w.becomes("", FAILED)
        expect(w.who(10), {"h0": 10})
        assert w.counted("network_failure") >= 2, w.told("/stats")


def test_no_answer():
    with World(HTTP.replace("timeout: 10s", "timeout: 0.5s"), hosts=2) as w:
        w.becomes("", "")
        w.backends[0].status = None
        w.becomes(FAILED, "")
        expect(w.who(10), {"h1": 10})


def test_all_workers_know():
    with World(hosts=2, threads=4) as w:
        w.becomes("", "")
        w.backends[0].status = 500
        w.becomes(FAILED, "")
        expect(w.who(40), {"h1": 40})


def test_new_hosts_count_once_they_pass():
    with World(hosts=2) as w:
        w.backends[1].status = 503
        w.proxy.reload(w.config([0]))
        w.becomes("")
        w.proxy.reload(w.config([0, 1]))
        w.becomes("", FAILED)
        expect(w.who(10), {"h0": 10})
        w.backends[1].status = 200
        w.becomes("", "")


def test_reload_keeps_what_is_known():
    """A host that fails does not come back with a snapshot, and nothing is asked anew."""
    slow = HTTP.replace("interval: 0.05s, no_traffic_interval: 0.05s", "interval: 3600s, no_traffic_interval: 3600s")
    with World(slow, hosts=2) as w:
        w.backends[0].status = 503
        w.proxy.reload(w.config([0]))      # whether it was asked well or not before, it is one that fails from now on
        w.proxy.reload(w.config([0, 1]))
        until(lambda: "/pending" not in "".join(w.flags()), "each host has been asked")
        before, asked = w.flags(), w.counted("attempt")
        for _ in range(3):
            w.proxy.reload(w.config([0, 1]))
        expect((w.flags(), w.counted("attempt")), (before, asked))


def test_filter_goes_away():
    with World(hosts=2) as w:
        w.backends[0].status = 503
        w.becomes(FAILED, "")
        w.filter = ""
        w.proxy.reload(w.config(range(2)))
        w.becomes("", "")
        expect(set(w.who(30)), {"h0", "h1"})
        asked = w.counted("attempt")
        w.proxy.reload(w.config(range(2)))
        expect(w.counted("attempt"), asked)


def test_panic():
    """With fewer than half of the hosts well all are used, as Envoy does; where outlier detection is on, Istio says none."""
    for policy, seen in ((NONE, {"h0", "h1"}), (EJECTS, {503})):
        with World(policy=policy, hosts=2) as w:
            for backend in w.backends:
                backend.status = 503
            w.becomes(FAILED, FAILED)
            expect(set(w.who(20)), seen)
            if seen == {503}:
                assert " 503 UH " in w.proxy.lines(20)[0], w.proxy.lines(20)[0]


class Pong(Handler):
    """A server of lines that are no HTTP."""

    def handle(self):
        asked = self.request.recv(4)
        self.request.sendall(b"+PO" if asked == b"PING" else b"-ERR")
        if asked == b"PING" and getattr(self.server, "whole", True):
            threading.Event().wait(0.02)
            self.request.sendall(b"NG\r\n")


def test_tcp():
    with World(TCP, hosts=2) as w:
        w.becomes("", "")
        w.backends[0].stop()
        w.becomes(FAILED, "")


def test_tcp_with_an_answer():
    with World(PING, hosts=2, handler=Pong, port_name="tcp") as w:
        w.becomes("", "")
        w.backends[0].whole = False
        w.becomes(FAILED, "")


def test_match():
    """Another service's, port's or subset's checks are not ours."""
    for match in ("service: other.default.svc.cluster.local", "portNumber: 1", "subset: v2", "name: nobody"):
        with World(match=match) as w:
            expect((w.flags(), w.counted("attempt")), ([""], 0), match)


def test_names():
    """A name's addresses are checked as they come and go."""
    port = proxy_test.free_port()
    backends = [proxy_test.Backend(f"127.8.1.{i + 1}", port, f"h{i}", Patient) for i in range(2)]
    backends[1].status = 503
    config = (resilience_test.service_entry("ext.test", port, "DNS") + proxy_test.gateway() +
              proxy_test.virtual_service("  - route: [{destination: {host: ext.test}}]\n    retries: {attempts: 0}") +
              envoy_filter(HTTP, "service: ext.test"))
    with Names(ext="127.8.1.1") as names, proxy_test.Proxy(config, "--dns-refresh", "100ms", env=names.env) as p:
        until(lambda: getattr(backends[0], "asked", 0) > 1, "the first address is asked")
        names.set(ext="127.8.1.1 127.8.1.2")
        until(lambda: getattr(backends[1], "asked", 0) > 1, "the second one, too")
        expect(resilience_test.answered_by(p, 20), {"h0": 20})
        names.set(ext="127.8.1.2")
        def given_up():
            asked = backends[0].asked
            threading.Event().wait(0.2)
            return backends[0].asked == asked
        until(given_up, "the first one is asked no more")
    for backend in backends:
        backend.stop()


if __name__ == "__main__":
    sys.exit(run(globals()))
