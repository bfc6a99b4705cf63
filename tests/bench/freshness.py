#!/usr/bin/env python3
"""How soon a request is on the graph, and what the whole costs, while the mesh carries 1,000 requests per second.

    freshness.py [--rate 1000] [--seconds 20]

A paced load goes to frontend-v1. Beside it, single requests go to frontend-v2, whose edge nothing else uses: the time from
the answer until /api/graph counts it is the figure. Then the counts of all edges are compared with what was sent. CPU seconds
are those of the server and of all proxies over the run.
"""
import argparse
import http.client
import os
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from mesh import HOST, Mesh, until  # noqa: E402  (the path is set above)

GATEWAY = "istio-ingressgateway"


class Paced(threading.Thread):
    """Requests at a fixed rate over one connection."""

    def __init__(self, mesh, rate):
        super().__init__(daemon=True)
        self.mesh, self.rate, self.sent, self.late, self.stopping = mesh, rate, 0, 0.0, False

    def run(self):
        connection, due = http.client.HTTPConnection("127.0.0.1", self.mesh.gateway), time.monotonic()
        while not self.stopping:
            due += 1 / self.rate
            time.sleep(max(0, due - time.monotonic()))
            self.late = max(self.late, time.monotonic() - due)
            connection.request("GET", "/", headers={"Host": HOST})
            connection.getresponse().read()
            self.sent += 1


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid):
    with open(f"/proc/{pid}/statm", encoding="utf-8") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def proxies(mesh):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"vigla-proxy") and any(w.startswith(mesh.folder.encode()) for w in words):
            found.append(int(pid))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    with Mesh(("step_1_guestbook", "step_3_uri", "step_2_gateway", "step_3_uri")) as mesh:
        until(lambda: mesh.request("/v2")[0] == 200, 20, "/v2 answers")
        server, sidecars = mesh.server.process.child.pid, proxies(mesh)
        key, v2 = (GATEWAY, "frontend-v1", "http"), (GATEWAY, "frontend-v2", "http")
        until(lambda: v2 in mesh.edges(), 10, "the edge to frontend-v2")
        time.sleep(2)
        before, cpu = mesh.edges(), (cpu_seconds(server), sum(map(cpu_seconds, sidecars)))
        loads = [Paced(mesh, arguments.rate / 4) for _ in range(4)]
        for load in loads:
            load.start()
        delays, end = [], time.monotonic() + arguments.seconds
        while time.monotonic() < end:
            count = mesh.edges()[v2]["requests"]
            assert mesh.request("/v2")[0] == 200
            answered = time.monotonic()
            until(lambda: mesh.edges()[v2]["requests"] > count, 10, "the request on the graph")
            delays.append(time.monotonic() - answered)
        for load in loads:
            load.stopping = True
        for load in loads:
            load.join()
        sent = sum(load.sent for load in loads)
        cpu = (cpu_seconds(server) - cpu[0], sum(map(cpu_seconds, sidecars)) - cpu[1])
        until(lambda: mesh.edges()[key]["requests"] - before[key]["requests"] == sent, 10, "every request counted")
        delays.sort()
        print(f"sent {sent} requests in {arguments.seconds:.0f} s, all counted; latest start {max(l.late for l in loads) * 1e3:.0f} ms late")
        print(f"visible on the graph after: median {statistics.median(delays) * 1e3:.0f} ms, "
              f"p95 {delays[int(len(delays) * 0.95)] * 1e3:.0f} ms, worst {delays[-1] * 1e3:.0f} ms ({len(delays)} probes)")
        print(f"CPU: server {cpu[0]:.2f} s = {cpu[0] / sent * 1e6:.0f} µs per request; {len(sidecars)} proxies {cpu[1]:.2f} s = "
              f"{cpu[1] / sent * 1e6:.0f} µs per request over two hops")
        print(f"resident: server {resident_mib(server):.1f} MiB, proxies {', '.join(f'{resident_mib(p):.1f}' for p in sidecars)} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
