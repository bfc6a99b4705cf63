#!/usr/bin/env python3
"""A running vigla-proxy that is replaced, and reconfigured, under load: no request fails, no connection is lost.

    restart_test.py [NAME...]        only the tests whose name contains one of these

Needs python3-grpcio: run it by Debian's /usr/bin/python3. Closing line: N passed, N failed, N skipped.
"""
import collections
import concurrent.futures
import contextlib
import ctypes
import http.client
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import http2_test
import proxy_test
import tls_test
from http2_test import DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Raw, frame, head
from proxy_test import Backend, Echo, Handler, Proxy, WAIT, expect, free_port, pod, receive_all, service, until
from suite import Skipped, run

PR_SET_CHILD_SUBREAPER = 36
PROGRAM = os.path.abspath(proxy_test.PROXY)


# --- the proxy ----------------------------------------------------------------------------------------------------

class Upgradable(Proxy):
    """A proxy whose process changes. Each one's parent ends before it does: they become this process's children."""

    def __init__(self, config, *args, **how):
        self.folder = tempfile.mkdtemp(prefix="vigla-restart-test-")
        self.program = os.path.join(self.folder, "vigla-proxy")
        self.pid_file = os.path.join(self.folder, "pid")
        self.admin = free_port()
        os.symlink(PROGRAM, self.program)
        super().__init__(config, "--pid-file", self.pid_file, "--admin", f"127.0.0.1:{self.admin}", *args,
                         program=self.program, **how)
        until(lambda: os.path.exists(self.pid_file), "the number of the process")
        expect(self.pid(), self.process.pid)
        self.ended = {}

    def pid(self):
        with open(self.pid_file, encoding="ascii") as f:
            return int(f.read())

    def status(self, pid):
        """None while it runs. One that has ended while its parent goes on is known to have ended, no more."""
        if pid == self.process.pid:
            return self.process.poll()
        with contextlib.suppress(ChildProcessError):
            if pid not in self.ended and (found := os.waitpid(pid, os.WNOHANG))[0]:
                self.ended[pid] = os.waitstatus_to_exitcode(found[1])
            return self.ended.get(pid)
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return "unknown" if f.read().rsplit(") ", 1)[1].startswith("Z") else None

    def signal_upgrade(self):
        os.kill(self.pid(), signal.SIGUSR2)

    def upgrade(self, ends=True):
        """Returns the numbers of the process before and the one after."""
        before = self.pid()
        self.signal_upgrade()
        until(lambda: self.pid() != before, f"another process: {self.errors()[-500:]}")
        until(lambda: "has taken over" in self.errors(), "a word on it")
        if ends:
            until(lambda: self.status(before) is not None, f"the end of process {before}")
            expect(self.status(before), 0, "its exit status")
        return before, self.pid()

    def replace_program(self, text):
        os.unlink(self.program)
        with open(self.program, "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(self.program, 0o755)

    def restore_program(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.program)
        os.symlink(PROGRAM, self.program)

    def stop(self):
        pid = self.pid()
        os.kill(pid, signal.SIGTERM)
        until(lambda: self.status(pid) is not None, "the end")
        expect(self.status(pid) in (0, "unknown"), True, f"exit status {self.status(pid)}: {self.errors()[-3000:]}")
        until(lambda: self.process.poll() is not None, "the end of the first one")
        self.process.stdout.close()
        assert not os.path.exists(self.pid_file), "the file with the number stays"
        shutil.rmtree(self.folder)


class WebSocketEcho(Handler):
    """Upgrades what asks for it, and then sends back what comes, in capitals."""

    def answer(self, method, path, fields, digest, size):
        if fields.get("upgrade") != "websocket":
            return super().answer(method, path, fields, digest, size)
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        while (data := self.connection.recv(65536)):
            self.connection.sendall(data.upper())
        return False


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
  - match: [{{uri: {{exact: /weight}}}}]
    directResponse: {{status: 200, body: {{string: "v1 has {v1}"}}}}
  - route:
    - {{destination: {{host: app, subset: v1}}, weight: {v1}}}
    - {{destination: {{host: app, subset: v2}}, weight: {v2}}}
  tcp:
  - {{match: [{{port: 90}}], route: [{{destination: {{host: echo}}}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: app, namespace: default}}
spec:
  host: app
  subsets:
  - {{name: v1, labels: {{version: v1}}}}
  - {{name: v2, labels: {{version: v2}}}}
---"""


class World:
    """One gateway with HTTP, HTTPS and TCP; two versions of an application, and a server that echoes."""

    def __init__(self, *args, backend=WebSocketEcho):
        self.app_port, self.echo_port, self.tls, self.tcp, self.extra = (free_port() for _ in range(5))
        self.backends = [Backend(f"127.7.31.{i}", self.app_port, f"v{i}", backend) for i in (1, 2)]
        self.echo = Backend("127.7.31.3", self.echo_port, "echo", Echo)
        tls_test.WEB.issue("restart", "DNS:app.example")
        maps = f"443={self.tls},90={self.tcp},81={self.extra}"
        self.proxy = Upgradable(self.config(), "--port-map", maps, *args)

    def config(self, v1=50, more=""):
        return (GATEWAY.format(tls=tls_test.simple("restart"), v1=v1, v2=100 - v1) + service("app", self.app_port, "app") +
                pod("app-v1", "app", "v1", "127.7.31.1", self.app_port) + pod("app-v2", "app", "v2", "127.7.31.2", self.app_port) +
                service("echo", self.echo_port, "echo", "tcp") + pod("echo-1", "echo", "v1", "127.7.31.3", self.echo_port) + more)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        try:
            self.proxy.__exit__(*exception)
        finally:
            for backend in (*self.backends, self.echo):
                backend.stop()


# --- load ---------------------------------------------------------------------------------------------------------

def plain(w):
    return http.client.HTTPConnection("127.0.0.1", w.proxy.port, timeout=WAIT)


def secured(w):
    c = http.client.HTTPSConnection("app.example", w.tls, context=tls_test.client_context(), timeout=WAIT)
    c._create_connection = lambda *a: socket.create_connection(("127.0.0.1", w.tls), WAIT)
    return c


class Load:
    """Requests without a pause until told to stop, on kept and on new connections, by HTTP and HTTPS: all are to
    succeed, and none is sent twice."""

    def __init__(self, w):
        self.w, self.stopping, self.failed, self.done = w, False, [], collections.Counter()
        kinds = [("kept", plain, True), ("kept", plain, True), ("new", plain, False), ("new", plain, False),
                 ("tls-kept", secured, True), ("tls-new", secured, False)]
        self.threads = [threading.Thread(target=self.run, args=kind, daemon=True) for kind in kinds]

    def run(self, kind, connect, keep):
        c = None
        while not self.stopping:
            try:
                c = c or connect(self.w)
                c.request("GET", "/", headers={"Host": "app.example"})
                r = c.getresponse()
                r.read()
                self.done[kind] += 1
                if r.status != 200:
                    self.failed.append((kind, r.status))
                if not keep or r.will_close:
                    c.close()
                    c = None
            except Exception as e:      # noqa: BLE001  every failure counts
                self.failed.append((kind, repr(e)))
                c = None
        if c:
            c.close()

    def __enter__(self):
        for t in self.threads:
            t.start()
        self.goes_on()
        return self

    def goes_on(self):
        """Waits until each kind of client has had some more answers."""
        before = dict(self.done)
        until(lambda: all(self.done[kind] >= before.get(kind, 0) + 5 for kind in ("kept", "new", "tls-kept", "tls-new")),
              f"answers: {self.done} after {before}, failures {self.failed[:3]}")

    def __exit__(self, kind, *_):
        self.stopping = True
        for t in self.threads:
            t.join(2 * WAIT)
        if not kind:
            expect(self.failed[:5], [], f"failures ({len(self.failed)}) among {sum(self.done.values())} requests")


def serves(w):
    with contextlib.closing(plain(w)) as c:
        return w.proxy.request(connection=c)[0].status == 200


# --- another process ----------------------------------------------------------------------------------------------

def test_upgrade_under_load():
    with World("--threads", "2") as w, Load(w) as load:
        before, after = w.proxy.upgrade()
        load.goes_on()
        assert before != after and w.proxy.status(after) is None, (before, after)
        with urllib.request.urlopen(f"http://127.0.0.1:{w.proxy.admin}/ready", timeout=WAIT) as r:
            expect(r.status, 200)


def test_chain_of_upgrades():
    with World("--threads", "2") as w, Load(w) as load:
        pids = {w.proxy.pid()}
        for _ in range(5):
            pids.add(w.proxy.upgrade()[1])
            load.goes_on()
        expect(len(pids), 6)
        expect(sum(w.proxy.status(pid) is None for pid in pids), 1, "processes that run")


def test_wrk_sees_no_error():
    with World("--threads", "2") as w:
        wrk = subprocess.Popen(["wrk", "-t1", "-c20", "-d3", "-H", "Host: app.example", f"http://127.0.0.1:{w.proxy.port}/"],
                               stdout=subprocess.PIPE, text=True)
        for _ in range(3):
            time.sleep(0.5)
            w.proxy.upgrade()
        said = wrk.communicate(timeout=2 * WAIT)[0]
        assert "Socket errors" not in said and "Non-2xx" not in said and "requests in" in said, said


def test_what_is_long_outlives_its_process():
    with World("--threads", "2") as w, w.proxy.connect() as ws, w.proxy.connect() as slow, \
            socket.create_connection(("127.0.0.1", w.tcp), WAIT) as tcp:
        ws.sendall(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n")
        assert ws.recv(1000).startswith(b"HTTP/1.1 101 ")
        tcp.sendall(b"before")
        expect(tcp.recv(100), b"BEFORE")
        slow.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Test-Delay: 2\r\n\r\n")
        until(lambda: sum(b.calls for b in w.backends) >= 1, "the request at its backend")
        before, after = w.proxy.upgrade(ends=False)
        assert serves(w)
        for word in (b"after", b"again"):
            for s in (ws, tcp):
                s.sendall(word)
                expect(s.recv(100), word.upper())
        answer = receive_all(slow)
        assert answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer, answer
        expect(w.proxy.status(before), None, "the process before, which still has two connections")
        expect(w.proxy.upgrade(ends=False)[0], after)
        ws.sendall(b"third")
        expect(ws.recv(100), b"THIRD")
        ws.close()
        tcp.close()
        until(lambda: w.proxy.status(before) is not None, "the end of the process before")
        expect(w.proxy.status(before), 0)
        lines = w.proxy.lines(4)
        assert any('"GET /ws HTTP/1.1" 101' in line for line in lines), lines
        assert all(line.startswith("[") for line in lines), lines


def test_second_signal_ends_what_lingers():
    with World("--threads", "1") as w, socket.create_connection(("127.0.0.1", w.tcp), WAIT) as tcp:
        tcp.sendall(b"x")
        expect(tcp.recv(10), b"X")
        before, _ = w.proxy.upgrade(ends=False)
        os.kill(before, signal.SIGTERM)
        until(lambda: w.proxy.status(before) is not None, "the end, within --drain-time")
        assert serves(w) and os.path.exists(w.proxy.pid_file)


def test_upgrade_drain_is_an_end():
    with World("--threads", "1", "--upgrade-drain", "500ms") as w, \
            socket.create_connection(("127.0.0.1", w.tcp), WAIT) as tcp:
        tcp.sendall(b"x")
        expect(tcp.recv(10), b"X")
        w.proxy.upgrade()
        assert serves(w)


def test_idle_connections_are_told():
    """One that waits between requests gets its next answer, which says that it is the last."""
    with World("--threads", "2") as w, w.proxy.connect() as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert s.recv(65536).startswith(b"HTTP/1.1 200")
        w.proxy.upgrade(ends=False)
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = receive_all(s)
        assert answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer, answer


def test_an_answer_under_way_keeps_its_word():
    """Its head has said that another may follow: that one is answered, and said to be the last."""
    size = 32 << 20
    with World("--threads", "2") as w, w.proxy.connect() as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Test-Bytes: %d\r\n\r\n" % size)
        head_, _, body = s.recv(65536).partition(b"\r\n\r\n")
        assert head_.startswith(b"HTTP/1.1 200") and b"connection: close" not in head_, head_
        w.proxy.upgrade(ends=False)
        got = len(body)
        while got < size:
            got += len(s.recv(1 << 20))
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = receive_all(s)
        assert answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer, answer


def test_http2_is_told():
    with World("--threads", "2") as w, contextlib.closing(Raw(w.proxy)) as r:
        r.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, head(more=[("x-test-delay", "0.7")])))
        until(lambda: sum(b.calls for b in w.backends) == 1, "the request at its backend")
        w.proxy.upgrade(ends=False)
        kinds, answered = [], []
        r.send(frame(HEADERS, END_STREAM | END_HEADERS, 3, head()))     # it was on its way when the word came
        while (f := r.read()):
            kinds.append(f[0])
            if f[0] == DATA and f[1] & END_STREAM:
                answered.append(f[2])
        expect(sorted(answered), [1, 3])
        assert GOAWAY in kinds, kinds


def test_grpc_under_load():
    with http2_test.grpc_world(Upgradable) as (edge, side, channel):
        call, stop, failed, done = channel.unary_unary("/test.Echo/Unary"), threading.Event(), [], [0]

        def load():
            while not stop.is_set():
                try:
                    assert call(b"hello", timeout=WAIT) == b"HELLO"
                    done[0] += 1
                except Exception as e:      # noqa: BLE001
                    failed.append(repr(e))
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            futures = [pool.submit(load) for _ in range(3)]
            try:
                for p in (edge, side, edge):
                    counted = done[0]
                    until(lambda counted=counted: done[0] > counted + 20, f"calls: {failed[:3]}")
                    p.upgrade()
                counted = done[0]
                until(lambda: done[0] > counted + 20, f"calls: {failed[:3]}")
            finally:
                stop.set()
            for f in futures:
                f.result()
        expect(failed[:3], [], f"failures among {done[0]} calls")


def test_failed_upgrades_leave_it_serving():
    with World("--threads", "2") as w, Load(w) as load:
        p, pid = w.proxy, w.proxy.pid()
        configured = w.config()
        cases = [("no program", lambda: os.unlink(p.program), "No such file"),
                 ("no program at all", lambda: p.replace_program("\x7fnonsense"), ""),
                 ("another program", lambda: p.replace_program("#!/bin/sh\nexit 3\n"), "it ended with status 3"),
                 ("one that is killed", lambda: p.replace_program("#!/bin/sh\nkill -9 $$\n"), "it was ended by signal 9"),
                 ("another protocol", lambda: p.replace_program("#!/bin/sh\necho hello >&3\nexec sleep 60\n"), "does not understand"),
                 ("a bad configuration", lambda: p.write("kind: [\n"), "it ended with status 1")]
        for name, break_it, why in cases:
            said = p.errors().count("this one goes on")
            break_it()
            p.signal_upgrade()
            until(lambda said=said: p.errors().count("this one goes on") > said, f"{name}: a word on it")
            assert why in [line for line in p.errors().splitlines() if "this one goes on" in line][-1], (name, p.errors()[-500:])
            expect((p.pid(), p.status(pid)), (pid, None), name)
            p.restore_program()
            p.write(configured)
            load.goes_on()
        expect(p.upgrade()[0], pid, "one that works, after all")
        load.goes_on()


def test_silence_is_a_failure():
    with World("--threads", "1", "--upgrade-timeout", "300ms") as w:
        w.proxy.replace_program("#!/bin/sh\nexec sleep 60\n")
        w.proxy.signal_upgrade()
        until(lambda: "it was not ready in time; this one goes on" in w.proxy.errors(), "a word on it")
        assert serves(w)


def test_listeners_and_threads_may_differ():
    """The configuration has changed since it was read, and so has the number of workers (which comes from the command
    line: a program before the proxy gives another)."""
    second = proxy_test.gateway(81).replace("name: gw,", "name: gw2,") + \
        proxy_test.virtual_service("  - route: [{destination: {host: app}}]", "vs2").replace("gateways: [gw]", "gateways: [gw2]")
    with World("--threads", "3") as w, Load(w) as load:
        for threads, more in ((1, second), (4, ""), (2, second)):
            w.proxy.replace_program(f'#!/bin/sh\nexec {PROGRAM} "$@" --threads {threads}\n')
            w.proxy.write(w.config(more=more))
            w.proxy.upgrade()
            load.goes_on()
            with socket.socket() as s:
                s.settimeout(WAIT)
                expect(s.connect_ex(("127.0.0.1", w.extra)) == 0, bool(more), "whether somebody listens at the other port")
            with concurrent.futures.ThreadPoolExecutor(8) as pool:     # all the sockets of the port are served
                assert all(pool.map(lambda _: serves(w), range(64)))


def test_with_a_server_and_without():
    """The new process asks the server itself; when that is away, it starts with what the server said last."""
    control = proxy_test.Control()
    control.config, control.version = "# nothing of its own", 7
    with tempfile.TemporaryDirectory() as folder:
        url, cache = f"http://127.0.0.1:{control.server_address[1]}", os.path.join(folder, "cache.yaml")
        with World("--threads", "1", "--control", url, "--cache", cache) as w:
            until(lambda: any(q["version"] == "7" for q in control.asked), "the configuration in force")
            asked = len(control.asked)
            w.proxy.upgrade()
            until(lambda: any(q["version"] == "0" for q in control.asked[asked:]), "a question by the new process")
            control.stop()
            w.proxy.upgrade()
            assert serves(w) and "started with version 7 of" in w.proxy.errors(), w.proxy.errors()


def test_supervisors_are_told():
    folder = tempfile.mkdtemp(prefix="vigla-notify-")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(os.path.join(folder, "notify"))
        s.settimeout(WAIT)
        os.environ["NOTIFY_SOCKET"] = os.path.join(folder, "notify")
        try:
            with World("--threads", "1") as w:
                expect(s.recv(100), b"READY=1")
                _, after = w.proxy.upgrade()
                expect(s.recv(100), f"MAINPID={after}".encode())
        finally:
            del os.environ["NOTIFY_SOCKET"]
            shutil.rmtree(folder)


# --- another configuration ----------------------------------------------------------------------------------------

RELOADS = 1000


def test_thousand_reloads():
    second = proxy_test.gateway(81).replace("name: gw,", "name: gw2,") + \
        proxy_test.virtual_service("  - route: [{destination: {host: app}}]", "vs2").replace("gateways: [gw]", "gateways: [gw2]")
    with World("--threads", "2", "--log-level", "info") as w, Load(w) as load:
        configs = [w.config(v1, more) for v1, more in ((0, ""), (100, second), (30, ""), (70, second))]
        p, seen = w.proxy, 0
        with open(p.stderr, encoding="utf-8") as log:
            for i in range(RELOADS):
                p.write(configs[i % len(configs)])
                p.process.send_signal(signal.SIGHUP)
                end = time.monotonic() + WAIT
                while seen <= i + 1 and time.monotonic() < end:
                    seen += sum("version " in line for line in log.readlines())
                    time.sleep(0.001)
                assert seen > i + 1, f"reload {i} has no effect"
        load.goes_on()
        with socket.socket() as s:
            expect(s.connect_ex(("127.0.0.1", w.extra)), 0, "the last configuration's listener")


def test_pools_survive_reloads():
    """A connection to a host of both configurations is used before and after; one that is not wanted any more goes."""
    with World("--threads", "1") as w, contextlib.closing(plain(w)) as c:
        v1, v2 = w.backends
        for i in range(20):
            w.proxy.reload(w.config(100 if i % 2 else 99))
            for _ in range(3):
                expect(w.proxy.request(connection=c)[0].status, 200)
        assert v1.calls > 40, v1.calls
        expect(len(v1.connections), 1, "connections to v1")
        w.proxy.reload(w.config().replace(pod("app-v1", "app", "v1", "127.7.31.1", w.app_port), "").replace(
            "subset: v1", "subset: v2"))
        expect(w.proxy.request(connection=c)[0].status, 200)
        until(lambda: v1.open[0].fileno() < 0, "the end of the connection to v1")


def test_ten_thousand_idle_connections():
    wanted = 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted + 500:
        raise Skipped(f"the limit of descriptors is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted + 500, hard))
    request = b"GET /weight HTTP/1.1\r\nHost: app.example\r\n\r\n"
    idle = []
    try:
        with World("--threads", "2") as w:
            for i in range(wanted):
                s = socket.socket()
                s.bind((f"127.0.1.{1 + i % 4}", 0))
                s.connect(("127.0.0.1", w.proxy.port))
                s.settimeout(WAIT)
                s.sendall(request)
                idle.append(s)
                assert s.recv(65536).endswith(b"v1 has 50"), i
            w.proxy.reload(w.config(0))
            for i, s in enumerate(idle):
                s.sendall(request)
                answer = s.recv(65536)
                assert answer.endswith(b"v1 has 0"), (i, answer)
    finally:
        for s in idle:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    sys.exit(run(globals()))
