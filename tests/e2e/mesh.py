"""A server and a guestbook mesh of real processes on free ports, for the end-to-end tests."""
import contextlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BUILD = os.environ.get("VIGLA_BUILD", os.path.join(ROOT, "build"))
VIGLA = os.path.join(BUILD, "vigla")
GUESTBOOK = os.path.join(ROOT, "demo", "guestbook")
HOST = "guestbook.lvh.me"
given_ports = set()


def listening_ports():
    """Those that the kernel does not give to outgoing connections, one of which could take a free one at any moment."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        lowest = int(f.read().split()[0])
    return range(10000, lowest) if lowest > 12000 else range(10000, 65536)


def free_port():
    """A port on which nobody listens, and each time another: several are asked for before the first is used."""
    while True:
        port = random.choice(listening_ports())
        with contextlib.closing(socket.socket()) as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            if port not in given_ports:
                given_ports.add(port)
                return port


def until(condition, seconds, what):
    """Waits until condition() is true and returns it; fails with a sentence."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class Process:
    """A child whose standard output and error go to a file, found again by its text."""

    def __init__(self, command, log):
        self.path = log
        self.offset = os.path.getsize(log) if os.path.exists(log) else 0
        with open(log, "ab") as out:
            self.child = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=ROOT,
                                          start_new_session=True)

    def text(self):
        with open(self.path, encoding="utf-8", errors="replace") as log:
            log.seek(self.offset)
            return log.read()

    def wait_line(self, pattern, seconds):
        def found():
            assert self.child.poll() is None, f"ended: {self.text()[-2000:]}"
            return re.search(pattern, self.text(), re.M)
        return until(found, seconds, f"{pattern!r} in {self.path}: {self.text()[-2000:]}")

    def stop(self, sig=signal.SIGTERM, seconds=15):
        if self.child.poll() is None:
            self.child.send_signal(sig)
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError(f"{self.path}: no end within {seconds} s")


class Server:
    def __init__(self, folder, port=0, *options):
        self.folder, self.options = folder, options
        if "--otlp-grpc" not in options and "--config" not in options:
            self.options += ("--otlp-grpc", "none")  # several run at a time
        self.start(port or free_port())  # one that is there again when it is killed and started anew

    def start(self, port):
        self.process = Process([VIGLA, "serve", "--data", os.path.join(self.folder, "data"), "--listen",
                                f"127.0.0.1:{port}", *self.options], os.path.join(self.folder, "server.log"))
        self.url = self.process.wait_line(r"^ready (http://\S+)$", 20).group(1)
        self.port = urllib.parse.urlsplit(self.url).port

    def kill_and_restart(self, pause=0.0):
        self.process.stop(signal.SIGKILL)
        time.sleep(pause)
        self.start(self.port)

    def call(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def get(self, path, **parameters):
        query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
        status, _, body = self.call("GET", path + query)
        assert status == 200, f"GET {path}{query}: {status} {body[:500]!r}"
        return json.loads(body)

    def prom(self, query):
        return self.get("/api/v1/query", query=query)["data"]["result"]

    def total(self, query):
        return sum(float(series["value"][1]) for series in self.prom(query))

    def log_lines(self, query, limit=50000):
        data = self.get("/loki/api/v1/query_range", query=query, limit=limit,
                        start=str(int((time.time() - 3600) * 1e9)), end=str(int((time.time() + 60) * 1e9)))
        return [line for stream in data["data"]["result"] for _, line in stream["values"]]


class Mesh:
    """The guestbook with its sidecars and an ingress gateway. A context manager: everything ends with it."""

    def __init__(self, steps=("step_1_guestbook", "step_2_gateway")):
        self.folder = tempfile.mkdtemp(prefix="vigla-e2e-")
        self.gateway = free_port()
        self.steps = steps

    def __enter__(self):
        self.server = Server(self.folder)
        try:
            self.start_mesh()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def start_mesh(self):
        files = [word for name in ("platform", *self.steps) for word in ("-f", os.path.join(GUESTBOOK, name))]
        self.mesh = Process([VIGLA, "mesh", "up", "-n", "guestbook", "--server", self.server.url, "--state",
                             os.path.join(self.folder, "mesh"), "--images", os.path.join(GUESTBOOK, "images.yaml"),
                             "--port-map", f"80={self.gateway}", *files], os.path.join(self.folder, "mesh.log"))
        self.mesh.wait_line(r"^ready \d+ pods$", 60)
        until(lambda: self.request("/")[0] == 200, 10, "the guestbook answers through the gateway")

    def __exit__(self, *_):
        with contextlib.suppress(AttributeError, AssertionError):
            self.mesh.stop()
        with contextlib.suppress(AttributeError, AssertionError):
            self.server.process.stop()
        if not os.environ.get("VIGLA_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def cli(self, *words, check=True, stdin=None):
        done = subprocess.run([VIGLA, "-n", "guestbook", *words, "--server", self.server.url], cwd=ROOT, input=stdin,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        assert not check or done.returncode == 0, f"vigla {' '.join(words)}: {done.returncode} {done.stderr}"
        return done

    def apply(self, step):
        return self.cli("apply", "-f", os.path.join(GUESTBOOK, step))

    def request(self, path, headers=None, timeout=30):
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway, timeout=timeout)
        try:
            connection.request("GET", path, headers={"Host": HOST, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace"), dict(answer.getheaders())
        finally:
            connection.close()

    def requests(self, path, count):
        """`count` requests over one connection; returns the statuses."""
        connection, statuses = http.client.HTTPConnection("127.0.0.1", self.gateway, timeout=30), []
        for _ in range(count):
            connection.request("GET", path, headers={"Host": HOST})
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        connection.close()
        return statuses

    def graph(self, **parameters):
        return self.server.get("/api/graph", **{"window": "1h", "namespaces": "guestbook,istio-system", **parameters})

    def edges(self, **parameters):
        """{(source, target, protocol): the edge's own figures}"""
        graph = self.graph(**parameters)["elements"]
        names = {n["data"]["id"]: n["data"].get("workload") or n["data"].get("app") or n["data"].get("service") or "unknown"
                 for n in graph["nodes"]}
        return {(names[e["data"]["source"]], names[e["data"]["target"]], e["data"]["traffic"]["protocol"]): e["data"]["vigla"]
                for e in graph["edges"]}

    def pods(self, deployment):
        items = self.server.get("/api/mesh/objects", kind="Pod", namespace="guestbook")["items"]
        return [item for item in items if item["name"].startswith(deployment + "-")]


class Load:
    """Requests from several threads until told to stop; every answer counts."""

    def __init__(self, mesh, path="/", threads=2, pause=0.0):
        self.mesh, self.path, self.pause = mesh, path, pause
        self.statuses, self.errors, self.stopping = [], [], False
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]

    def run(self):
        connection = None
        while not self.stopping:
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.mesh.gateway, timeout=30)
                connection.request("GET", self.path, headers={"Host": HOST})
                answer = connection.getresponse()
                answer.read()
                self.statuses.append(answer.status)
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
                connection = None
            time.sleep(self.pause)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        for thread in self.threads:
            thread.join(40)
