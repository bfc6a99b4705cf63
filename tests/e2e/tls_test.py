#!/usr/bin/env python3
"""TLS at vigla-proxy's doors and towards its hosts: gateways by SNI, mutual TLS of a mesh, certificates that change.

    tls_test.py [NAME...]        only the tests whose name contains one of these

Clients are Python's ssl, curl and openssl s_client; certificates are made by openssl(1) in a temporary folder.
Closing line: N passed, N failed, N skipped.
"""
import atexit
import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import proxy_test
from mesh import free_port
from proxy_test import WAIT, Backend, Echo, Proxy, expect, receive_all, service, until
from resilience_test import Names, answered_by, service_entry, sidecar
from suite import run

FOLDER = tempfile.mkdtemp(prefix="vigla-tls-test-")
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


# --- certificates -------------------------------------------------------------------------------------------------

def openssl(*args, stdin=b""):
    done = subprocess.run(["openssl", *args], input=stdin, capture_output=True, cwd=FOLDER, timeout=30, check=False)
    assert done.returncode == 0, f"openssl {' '.join(args)}: {done.stderr.decode()}"
    return done.stdout


def path(name):
    return os.path.join(FOLDER, name)


class Authority:
    """Signs certificates; each is FILE.pem with its key FILE.key."""

    def __init__(self, name):
        self.name = name
        with open(path("openssl.cnf"), "w", encoding="ascii") as f:
            f.write("[req]\ndistinguished_name = dn\n[dn]\n[ca]\ndefault_ca = late\n[late]\ndatabase = index.txt\n"
                    "serial = serial\nnew_certs_dir = .\ndefault_md = sha256\npolicy = any\ncopy_extensions = copy\n"
                    "[any]\ncommonName = optional\n")
        self.key(name)
        openssl("req", "-x509", "-config", "openssl.cnf", "-key", name + ".key", "-subj", "/CN=" + name, "-days", "30",
                "-addext", "basicConstraints=critical,CA:TRUE", "-out", name + ".pem")
        self.pem = path(name + ".pem")

    @staticmethod
    def key(name):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name + ".key")

    def issue(self, file, san, subject=None):
        self.key(file)
        openssl("req", "-x509", "-config", "openssl.cnf", "-CA", self.pem, "-CAkey", self.name + ".key", "-key", file + ".key",
                "-subj", subject or f"/CN={file}", "-addext", "subjectAltName=" + san, "-days", "2", "-out", file + ".pem")
        return path(file + ".pem"), path(file + ".key")

    def issue_expired(self, file, san):
        self.key(file)
        openssl("req", "-new", "-config", "openssl.cnf", "-key", file + ".key", "-subj", "/CN=" + file, "-addext",
                "subjectAltName=" + san, "-out", file + ".csr")
        for name, text in (("index.txt", ""), ("serial", "01\n")):
            with open(path(name), "w", encoding="ascii") as f:
                f.write(text)
        openssl("ca", "-batch", "-config", "openssl.cnf", "-cert", self.pem, "-keyfile", self.name + ".key", "-notext",
                "-startdate", "20200101000000Z", "-enddate", "20200201000000Z", "-in", file + ".csr", "-out", file + ".pem")
        return path(file + ".pem"), path(file + ".key")

    def cert_dir(self, name, identity, issue=None):
        """Istio's files for a workload."""
        cert, key = (issue or self.issue)(name, "URI:" + identity)
        where = path(name + ".dir")
        os.makedirs(where, exist_ok=True)
        shutil.copy(cert, os.path.join(where, "cert-chain.pem"))
        shutil.copy(key, os.path.join(where, "key.pem"))
        shutil.copy(self.pem, os.path.join(where, "root-cert.pem"))
        return where


WEB, MESH = Authority("web-root"), Authority("mesh-root")


def client_context(ca=WEB, cert=None, alpn=None, check=True):
    c = ssl.create_default_context(cafile=ca.pem)
    c.check_hostname = check
    if not check:
        c.verify_mode = ssl.CERT_NONE
    if cert:
        c.load_cert_chain(*cert)
    if alpn:
        c.set_alpn_protocols(alpn)
    return c


def get(port, name, context, path_="/", ip="127.0.0.1"):
    """A GET with `name` as SNI and Host; (status, the answer's JSON or bytes, the certificate's DNS names)."""
    with socket.create_connection((ip, port), WAIT) as plain, context.wrap_socket(plain, server_hostname=name) as s:
        names = [v for kind, v in (s.getpeercert() or {}).get("subjectAltName", ()) if kind == "DNS"]
        s.sendall(f"GET {path_} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = receive_all(s).partition(b"\r\n\r\n")
    assert head, "no answer"
    status = int(head.split()[1])
    return status, json.loads(body) if status == 200 and body[:1] == b"{" else body, names


def refused(what, *args, **kwargs):
    """Whether a handshake, or what comes right behind it, is refused."""
    try:
        got = get(*args, **kwargs)
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError, AssertionError):
        return
    raise AssertionError(f"{what}: was served: {got[:2]}")


def curl(*args):
    done = subprocess.run(["curl", "-sS", "--max-time", "10", *args], capture_output=True, text=True, timeout=20, check=False)
    return done.stdout + done.stderr


# --- gateways -----------------------------------------------------------------------------------------------------

def server(hosts, tls, name, number=80, protocol="HTTPS"):
    return f"""
  - port: {{number: {number}, name: {name}, protocol: {protocol}}}
    hosts: [{hosts}]
    tls: {tls}"""


def gateway(*servers):
    return f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: ingressgateway}}
  servers:{''.join(servers)}
---"""


def route_to(name, host, kind="http", port=None):
    match = f"match: [{{port: 80, sniHosts: ['{host}']}}], " if kind == "tls" else ""
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name.replace('.', '-')}-{kind}, namespace: default}}
spec:
  hosts: ["{host}"]
  gateways: [gw]
  {kind}: [{{{match}route: [{{destination: {{host: {name}{f', port: {{number: {port}}}' if port else ''}}}}}]}}]
---"""


def pod(name, app, ip, port, account="default", mesh=False):
    labels = f"app: {app}, version: v1" + (", security.istio.io/tlsMode: istio" if mesh else "")
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: default, labels: {{{labels}}}, ownerReferences: [{{kind: Deployment, name: {app}-v1}}]}}
spec: {{serviceAccountName: {account}, containers: [{{name: c, ports: [{{containerPort: {port}}}]}}]}}
status: {{podIP: {ip}, conditions: [{{type: Ready, status: "True"}}]}}
---"""


def simple(file):
    return f"{{mode: SIMPLE, serverCertificate: {path(file + '.pem')}, privateKey: {path(file + '.key')}}}"


@contextlib.contextmanager
def behind_gateway(servers, *args, hosts=("a.example", "b.example"), more=""):
    port = free_port()
    app = Backend("127.7.21.1", port, "app")
    config = (gateway(*servers) + "".join(route_to("app", h).replace("app-http", h.replace(".", "-")) for h in hosts) +
              service("app", port, "app") + pod("app-1", "app", "127.7.21.1", port) + more)
    try:
        with Proxy(config, *args) as p:
            p.app, p.config = app, config
            yield p
    finally:
        app.stop()


def test_simple_by_sni():
    WEB.issue("a", "DNS:a.example")
    WEB.issue("b", "DNS:b.example")
    with behind_gateway([server("a.example", simple("a"), "a"), server("b.example", simple("b"), "b")]) as p:
        for name in ("a.example", "b.example"):
            status, said, names = get(p.port, name, client_context())
            expect((status, names, said["fields"]["x-forwarded-proto"]), (200, [name], "https"))
        refused("a name that nobody serves", p.port, "c.example", client_context())
        refused("no name", p.port, None, client_context(check=False))
        with p.connect() as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
            expect(receive_all(s), b"", "plain text where there is only TLS")
        with p.connect() as s:
            s.sendall(b"\x16\x03\x01\x00\x00")
            expect(receive_all(s), b"", "a malformed hello")
        assert all(' 200 ' in line for line in p.lines(2))


def test_old_versions_are_refused():
    WEB.issue("a", "DNS:a.example")
    with behind_gateway([server("a.example", simple("a"), "a")]) as p:
        for version, works in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
            c = client_context()
            c.set_ciphers("DEFAULT@SECLEVEL=0")
            c.minimum_version = c.maximum_version = version
            if works:
                expect(get(p.port, "a.example", c)[0], 200, version)
            else:
                refused(version, p.port, "a.example", c)


def test_http2():
    WEB.issue("a", "DNS:a.example")
    with behind_gateway([server("a.example", simple("a"), "a")]) as p:
        out = curl("--http2", "--cacert", WEB.pem, "--resolve", f"a.example:{p.port}:127.0.0.1", "-o", "/dev/null", "-w",
                   "%{http_version} %{response_code}", f"https://a.example:{p.port}/")
        expect(out, "2 200")
        out = curl("--http1.1", "--cacert", WEB.pem, "--resolve", f"a.example:{p.port}:127.0.0.1", "-o", "/dev/null", "-w",
                   "%{http_version} %{response_code}", f"https://a.example:{p.port}/")
        expect(out, "1.1 200")


def test_large_bodies():
    WEB.issue("a", "DNS:a.example")
    with behind_gateway([server("a.example", simple("a"), "a")]) as p:
        c = http.client.HTTPSConnection("a.example", p.port, context=client_context(), timeout=WAIT)
        c._create_connection = lambda address, *rest: socket.create_connection(("127.0.0.1", p.port), WAIT)
        for chunked in (False, True):
            for size in (1600, 16384, 2_000_000):
                headers = {"x-test-bytes": str(size), **({"x-test-chunked": "1"} if chunked else {})}
                c.request("GET", "/", headers=headers)
                expect(c.getresponse().read(), (b"0123456789abcdef" * (size // 16)), f"{size} bytes, chunked {chunked}")
            body = os.urandom(3_000_000)
            c.request("POST", "/", iter([body[:100], body[100:]]) if chunked else body, encode_chunked=chunked,
                      headers={"Transfer-Encoding": "chunked"} if chunked else {})
            expect(json.loads(c.getresponse().read())["sha256"], hashlib.sha256(body).hexdigest())
        c.close()


def test_mutual():
    WEB.issue("a", "DNS:a.example")
    ours = WEB.issue("ours", "URI:spiffe://elsewhere/ns/x/sa/ours,DNS:ours.example", "/O=us/CN=ours")
    theirs = MESH.issue("theirs", "DNS:ours.example")
    old = WEB.issue_expired("old", "DNS:ours.example")
    other = WEB.issue("other", "DNS:other.example")
    tls = simple("a").replace("SIMPLE", "MUTUAL")[:-1] + f", caCertificates: {WEB.pem}, subjectAltNames: [ours.example]}}"
    optional = simple("a").replace("SIMPLE", "OPTIONAL_MUTUAL")[:-1] + f", caCertificates: {WEB.pem}}}"
    WEB.issue("b", "DNS:b.example")
    with behind_gateway([server("a.example", tls, "a"), server("b.example", optional.replace("a.pem", "b.pem").replace("a.key", "b.key"), "b")]) as p:
        status, said, _ = get(p.port, "a.example", client_context(cert=ours))
        xfcc = said["fields"]["x-forwarded-client-cert"]
        expect(status, 200)
        assert re.match(r'Hash=[0-9a-f]{64};Cert="-----BEGIN%20CERTIFICATE.*";Subject="CN=ours,O=us";'
                        r'URI=spiffe://elsewhere/ns/x/sa/ours;DNS=ours.example$', xfcc), xfcc
        refused("no certificate", p.port, "a.example", client_context())
        refused("another authority's", p.port, "a.example", client_context(cert=theirs))
        refused("an expired one", p.port, "a.example", client_context(cert=old))
        refused("another name", p.port, "a.example", client_context(cert=other))
        status, said, _ = get(p.port, "b.example", client_context())
        expect((status, "x-forwarded-client-cert" in said["fields"]), (200, False), "optional, none given")
        expect(get(p.port, "b.example", client_context(cert=other))[0], 200, "optional, a good one given")
        refused("optional, a bad one given", p.port, "b.example", client_context(cert=theirs))


def test_certificates_are_told_as_the_topology_says():
    WEB.issue("a", "DNS:a.example")
    ours = WEB.issue("ours", "URI:spiffe://elsewhere/ns/x/sa/ours", "/CN=ours")
    tls = simple("a").replace("SIMPLE", "MUTUAL")[:-1] + f", caCertificates: {WEB.pem}}}"
    mesh = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    defaultConfig:
      gatewayTopology: {forwardClientCertDetails: APPEND_FORWARD}
---"""
    with behind_gateway([server("a.example", tls, "a")], more=mesh) as p:
        s = client_context(cert=ours).wrap_socket(socket.create_connection(("127.0.0.1", p.port), WAIT), server_hostname="a.example")
        s.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-Client-Cert: Hash=00;By=spiffe://far/ns/a/sa/b\r\nConnection: close\r\n\r\n")
        answer = receive_all(s)
        xfcc = json.loads(answer[answer.index(b"{"):])["fields"]["x-forwarded-client-cert"]
        assert re.match(r'Hash=00;By=spiffe://far/ns/a/sa/b,Hash=[0-9a-f]{64};', xfcc), xfcc
        s.close()


def test_told_of_tls():
    """What the access log's format asks of certificates, on both sides of a gateway."""
    WEB.issue("a", "DNS:a.example")
    ours = WEB.issue("ours", "URI:spiffe://elsewhere/ns/x/sa/ours,DNS:ours.example,IP:127.0.0.1", "/O=us/CN=ours")
    tls = simple("a").replace("SIMPLE", "MUTUAL")[:-1] + f", caCertificates: {WEB.pem}}}"
    names = ["TLS_VERSION", "TLS_CIPHER", "PEER_SUBJECT", "PEER_ISSUER", "PEER_SERIAL", "PEER_FINGERPRINT_256", "PEER_URI_SAN",
             "PEER_DNS_SAN", "PEER_IP_SAN", "LOCAL_DNS_SAN", "PEER_CERT_V_END"]
    form = " ".join(f"%DOWNSTREAM_{n}%" for n in names) + " %UPSTREAM_TLS_VERSION% %DOWNSTREAM_PEER_CERT%"
    with behind_gateway([server("a.example", tls, "a")], "--access-log-format", form) as p:
        expect(get(p.port, "a.example", client_context(cert=ours))[0], 200)
        told = dict(zip(names + ["UP", "PEM"], p.lines(1)[0].split(" ")))

        def ask(*what):
            return openssl("x509", "-in", path("ours.pem"), "-noout", *what).decode().strip().split("=", 1)[1]
        expect(told["TLS_VERSION"], "TLSv1.3")
        assert told["TLS_CIPHER"].startswith("TLS_AES_"), told
        expect(told["PEER_SUBJECT"], "CN=ours,O=us")
        expect(told["PEER_ISSUER"], ask("-issuer", "-nameopt", "RFC2253"))
        expect(told["PEER_SERIAL"], ask("-serial").lower())
        expect(told["PEER_FINGERPRINT_256"], ask("-fingerprint", "-sha256").replace(":", "").lower())
        expect((told["PEER_URI_SAN"], told["PEER_DNS_SAN"], told["PEER_IP_SAN"], told["LOCAL_DNS_SAN"]),
               ("spiffe://elsewhere/ns/x/sa/ours", "ours.example", "127.0.0.1", "a.example"))
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$", told["PEER_CERT_V_END"]), told
        expect(told["UP"], "-", "plain text towards the application")
        assert told["PEM"].startswith("-----BEGIN%20CERTIFICATE-----%0A"), told["PEM"]


def test_revoked():
    WEB.issue("a", "DNS:a.example")
    good, bad = WEB.issue("good", "DNS:good.example"), WEB.issue("bad", "DNS:bad.example")
    for name, text in (("index.txt", ""), ("crlnumber", "01\n")):
        with open(path(name), "w", encoding="ascii") as f:
            f.write(text)
    with open(path("crl.cnf"), "w", encoding="ascii") as f:
        f.write("[ca]\ndefault_ca = c\n[c]\ndatabase = index.txt\ncrlnumber = crlnumber\ndefault_md = sha256\ndefault_crl_days = 2\n")
    signer = ("-config", "crl.cnf", "-cert", WEB.pem, "-keyfile", WEB.name + ".key")
    openssl("ca", *signer, "-revoke", bad[0])
    openssl("ca", *signer, "-gencrl", "-out", "crl.pem")
    tls = simple("a").replace("SIMPLE", "MUTUAL")[:-1] + f", caCertificates: {WEB.pem}, caCrl: {path('crl.pem')}}}"
    with behind_gateway([server("a.example", tls, "a")]) as p:
        expect(get(p.port, "a.example", client_context(cert=good))[0], 200)
        refused("a revoked one", p.port, "a.example", client_context(cert=bad))


def test_secrets():
    """credentialName; a Secret that is not there refuses its handshakes and no others."""
    cert, key = WEB.issue("a", "DNS:a.example")
    def indented(file):
        with open(file, encoding="ascii") as f:
            return "\n".join("    " + line for line in f.read().splitlines())
    secret = f"""
apiVersion: v1
kind: Secret
metadata: {{name: a-cert, namespace: istio-system}}
type: kubernetes.io/tls
stringData:
  tls.crt: |
{indented(cert)}
  tls.key: |
{indented(key)}
---"""
    with behind_gateway([server("a.example", "{mode: SIMPLE, credentialName: a-cert}", "a"),
                         server("b.example", "{mode: SIMPLE, credentialName: not-there}", "b")], more=secret) as p:
        expect(get(p.port, "a.example", client_context())[0], 200)
        refused("without its Secret", p.port, "b.example", client_context())
        expect(get(p.port, "a.example", client_context())[0], 200)


class TlsEcho(Echo):
    """The same behind TLS of its own."""
    context = None

    def setup(self):
        with contextlib.suppress(OSError):
            self.request = self.context.wrap_socket(self.request, server_side=True)


def server_context(cert, ca=None, alpn=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(*cert)
    if ca:
        c.load_verify_locations(ca.pem)
        c.verify_mode = ssl.CERT_REQUIRED
    if alpn:
        c.set_alpn_protocols(alpn)
    return c


def test_passthrough():
    port = free_port()
    TlsEcho.context = server_context(WEB.issue("own", "DNS:own.example"))
    own = Backend("127.7.22.1", port, "own", TlsEcho)
    more = (service("own", port, "own", "tls-own") + pod("own-1", "own", "127.7.22.1", port) +
            route_to("own", "own.example", "tls", port))
    WEB.issue("a", "DNS:a.example")
    with behind_gateway([server("a.example", simple("a"), "a"),
                         server("own.example", "{mode: PASSTHROUGH}", "own", protocol="TLS")], more=more) as p:
        with p.connect() as plain, client_context().wrap_socket(plain, server_hostname="own.example") as s:
            expect(s.getpeercert()["subjectAltName"], (("DNS", "own.example"),))
            s.sendall(b"hello")
            expect(s.recv(100), b"HELLO")
        expect(get(p.port, "a.example", client_context())[0], 200)
        refused("neither", p.port, "c.example", client_context())
    own.stop()


# --- reload, resumption -------------------------------------------------------------------------------------------

def serial(port, name):
    with socket.create_connection(("127.0.0.1", port), WAIT) as plain:
        with client_context().wrap_socket(plain, server_hostname=name) as s:
            return s.getpeercert()["serialNumber"]


def test_reload_under_load():
    WEB.issue("r", "DNS:a.example")
    stop, failed, done = threading.Event(), [], [0, 0]

    with behind_gateway([server("a.example", simple("r"), "r")]) as p:
        def load(kept):
            c, context = None, client_context()
            while not stop.is_set():
                try:
                    if not c:
                        c = http.client.HTTPSConnection("a.example", p.port, context=context, timeout=WAIT)
                        c._create_connection = lambda *a: socket.create_connection(("127.0.0.1", p.port), WAIT)
                    c.request("GET", "/")
                    r = c.getresponse()
                    r.read()
                    done[kept] += 1
                    if r.status != 200:
                        failed.append(r.status)
                    if not kept:
                        c.close()
                        c = None
                except Exception as e:      # noqa: BLE001
                    failed.append(repr(e))
                    c = None
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(load, kept) for kept in (0, 0, 1, 1)]
            try:
                for _ in range(2):
                    before, counted = serial(p.port, "a.example"), list(done)
                    WEB.issue("new", "DNS:a.example")
                    os.rename(path("new.key"), path("r.key"))     # for a moment the key is not the certificate's
                    time.sleep(0.1)
                    os.rename(path("new.pem"), path("r.pem"))
                    until(lambda: serial(p.port, "a.example") != before, "the new certificate")
                    until(lambda: all(a > b for a, b in zip(done, counted)), "requests behind it")
            finally:
                stop.set()
            for f in futures:
                f.result()
        expect(failed, [], f"failures among {done}")
        with open(path("r.pem"), "w", encoding="ascii") as f:
            f.write("broken")
        until(lambda: "what was read before stays" in p.errors(), "a word on the broken file")
        expect(get(p.port, "a.example", client_context())[0], 200, "with a broken file")


def sessions(port, *args):
    out = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "a.example", "-CAfile", WEB.pem,
                          *args], input=b"", capture_output=True, timeout=30, check=False).stdout.decode()
    return len(re.findall("^New, ", out, re.M)), len(re.findall("^Reused, ", out, re.M))


def test_resumption():
    """Tickets are good with any worker, and after a change of the configuration that does not touch the certificate."""
    WEB.issue("a", "DNS:a.example")
    with behind_gateway([server("a.example", simple("a"), "a")], "--threads", "3") as p:
        expect(sessions(p.port, "-reconnect", "-tls1_2"), (1, 5), "TLS 1.2")
        c, reused = client_context(), 0
        c.maximum_version = ssl.TLSVersion.TLSv1_3
        session = None
        for i in range(8):
            with p.connect() as plain, c.wrap_socket(plain, server_hostname="a.example", session=session) as s:
                s.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
                receive_all(s)
                reused += s.session_reused
                session = s.session
            if i == 4:
                p.reload(p.config + route_to("app", "c.example").replace("app-http", "c"))
        expect(reused, 7, "TLS 1.3")


# --- a mesh -------------------------------------------------------------------------------------------------------

TRUST = "spiffe://cluster.local/ns/default/sa/"


class Mesh:
    """A client's and a server's sidecar with a certificate each, and the application behind the second one."""

    def __init__(self, extra="", client=None, server_=None, handler=proxy_test.Handler, port_name="http", client_only="",
                 app=None, client_env=None):
        self.port, other, self.listen = free_port(), free_port(), free_port()
        self.admin = {"client": free_port(), "server": free_port()}
        self.app = app(self.port) if app else Backend("127.7.23.100", self.port, "app", handler)
        self.config = (service("srv", self.port, "srv", port_name) + pod("srv-1", "srv", "127.7.23.1", self.port, "server", True) +
                       service("cli", other, "cli") + pod("cli-1", "cli", "127.7.23.2", other, "client", True) + extra.replace("PORT", str(self.port)))
        identity = server_ or MESH.cert_dir("server", TRUST + "server")
        self.server = Proxy(self.config, "--cert-dir", identity, "--app-address", "127.7.23.100", "--bind", "127.7.23.3",
                            "--admin", f"127.0.0.1:{self.admin['server']}", role=("--workload", "srv-v1.default"))
        self.client = Proxy(self.config + client_only, "--cert-dir", client or MESH.cert_dir("client", TRUST + "client"),
                            "--bind", "127.7.23.2", "--threads", "1", "--access-log-format", "json",
                            "--admin", f"127.0.0.1:{self.admin['client']}",
                            "--port-map", f"{self.port}={self.listen},{other}={free_port()}", role=("--workload", "cli-v1.default"), env=client_env)

    def request(self, path_="/", headers=None):
        c = http.client.HTTPConnection("127.7.23.2", self.listen, timeout=WAIT)
        c.request("GET", path_, headers={"Host": "srv", **(headers or {})})
        r = c.getresponse()
        body = r.read()
        c.close()
        return r.status, json.loads(body) if r.status == 200 else body.decode()

    def plain(self):
        """A client without a proxy."""
        with socket.create_connection(("127.7.23.1", self.port), WAIT) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: srv\r\nConnection: close\r\n\r\n")
            return receive_all(s)[:12]

    def requests_total(self, side):
        """The line of istio_requests_total; empty: there is none yet."""
        c = http.client.HTTPConnection("127.0.0.1", self.admin[side], timeout=WAIT)
        c.request("GET", "/stats/prometheus")
        lines = c.getresponse().read().decode().splitlines()
        c.close()
        return next((line for line in lines if line.startswith("istio_requests_total{")), "")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            self.client.__exit__(kind, value, trace)
        finally:
            self.server.__exit__(kind, value, trace)
            self.app.stop()


def peer_authentication(mode):
    return f"""
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default, namespace: istio-system}}
spec: {{mtls: {{mode: {mode}}}}}
---"""


def allow(principal):
    return f"""
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: who, namespace: default}}
spec:
  selector: {{matchLabels: {{app: srv}}}}
  action: ALLOW
  rules: [{{from: [{{source: {{principals: ["{principal}"]}}}}]}}]
---"""


def test_strict():
    with Mesh(peer_authentication("STRICT") + allow("cluster.local/ns/default/sa/client")) as m:
        status, said = m.request(headers={"x-forwarded-client-cert": "By=spiffe://cluster.local/ns/default/sa/liar"})
        expect(status, 200)
        xfcc = said["fields"]["x-forwarded-client-cert"]
        assert re.match(rf'By={TRUST}server;Hash=[0-9a-f]{{64}};Subject="CN=client";URI={TRUST}client$', xfcc), xfcc
        expect(said["fields"]["x-forwarded-proto"], "http")
        expect(m.plain(), b"", "plain text")
        refused("no certificate", m.port, "srv", client_context(check=False), ip="127.7.23.1")
        direct = client_context(ca=MESH, check=False, cert=(path("client.pem"), path("client.key")))
        expect(get(m.port, "srv", direct, ip="127.7.23.1")[0], 200, "with the client's own certificate")
        m.server.reload(m.config.replace("sa/client", "sa/somebody"))
        status, body = m.request()
        expect((status, body), (403, "RBAC: access denied"))


def test_records():
    """Who proved to be whom is told on both sides."""
    with Mesh(peer_authentication("STRICT")) as m:
        expect(m.request()[0], 200)
        for side, policy in (("client", "unknown"), ("server", "mutual_tls")):
            until(lambda side=side: m.requests_total(side), "a metric")
            line = m.requests_total(side)
            for want in (f'source_principal="{TRUST}client"', f'destination_principal="{TRUST}server"',
                         f'connection_security_policy="{policy}"'):
                assert want in line, (side, want, line)


def test_a_workload_by_a_name_of_its_own():
    """A ServiceEntry of the mesh without endpoints: who is known to be at the name's address has a sidecar, and is called so."""
    for location, status in (("MESH_INTERNAL", 200), ("MESH_EXTERNAL", 503)):
        entry = f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: own, namespace: default}}
spec: {{hosts: ["*.test"], location: {location}, resolution: NONE, ports: [{{number: PORT, name: http, protocol: HTTP}}]}}
---"""
        with Names(one="127.7.23.1") as names, Mesh(peer_authentication("STRICT") + entry, client_env=names.env) as m:
            expect(m.request(headers={"Host": f"one.test:{m.port}"})[0], status, location)
            line = json.loads(m.client.lines(1)[0])
            expect((line["upstream_cluster"], line["upstream_host"]), (f"outbound|{m.port}||*.test", f"127.7.23.1:{m.port}"))


def test_permissive():
    with Mesh(allow("cluster.local/ns/default/sa/client") + peer_authentication("PERMISSIVE")) as m:
        expect(m.request()[0], 200, "mutual TLS")
        expect(m.plain(), b"HTTP/1.1 403", "plain text has no principal")
        m.server.reload(m.config.replace(allow("cluster.local/ns/default/sa/client"), ""))
        expect(m.plain(), b"HTTP/1.1 200", "plain text")
        status, said = m.request()
        expect((status, "x-forwarded-client-cert" in said["fields"]), (200, True))


def test_disable():
    with Mesh(peer_authentication("DISABLE") + """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: srv, namespace: default}
spec: {host: srv, trafficPolicy: {tls: {mode: DISABLE}}}
---""") as m:
        status, said = m.request()
        expect((status, "x-forwarded-client-cert" in said["fields"]), (200, False))
        expect(m.plain(), b"HTTP/1.1 200")


def test_who_is_refused():
    strict = peer_authentication("STRICT")
    cases = [("a client of another trust domain", {"client": MESH.cert_dir("c1", "spiffe://elsewhere/ns/default/sa/client")}),
             ("a client of another authority", {"client": WEB.cert_dir("c2", TRUST + "client")}),
             ("an expired client", {"client": MESH.cert_dir("c3", TRUST + "client", MESH.issue_expired)}),
             ("a server of another trust domain", {"server_": MESH.cert_dir("s1", "spiffe://elsewhere/ns/default/sa/server")}),
             ("a server with another account", {"server_": MESH.cert_dir("s2", TRUST + "else")}),
             ("an expired server", {"server_": MESH.cert_dir("s3", TRUST + "server", MESH.issue_expired)})]
    for what, certificates in cases:
        with Mesh(strict, **certificates) as m:
            status, body = m.request()
            expect(status, 503, what)
            entry = json.loads(m.client.lines(1)[0])
            if what.startswith("a server with"):
                assert "TLS_error:" in body and "verify SAN list" in body, body
                expect(entry["response_flags"].split(",")[0], "UF", what)
                assert "verify SAN list:TLS_error_end" in entry["upstream_transport_failure_reason"], entry
            elif what.startswith("an expired server"):
                assert "certificate has expired" in body, body


def test_http2_in_the_mesh():
    """Between the sidecars, by ALPN; the application speaks HTTP/1."""
    with Mesh(peer_authentication("STRICT"), client_only="""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: srv, namespace: default}
spec: {host: srv, trafficPolicy: {connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}}
---""") as m:
        for _ in range(20):
            expect(m.request()[0], 200)
        assert '"GET / HTTP/2"' in m.server.lines(20)[0], m.server.lines(1)[0]


def test_tcp_in_the_mesh():
    with Mesh(peer_authentication("STRICT") + allow("cluster.local/ns/default/sa/client"), handler=Echo, port_name="tcp") as m:
        with socket.create_connection(("127.7.23.2", m.listen), WAIT) as s:
            s.sendall(b"hello" * 100000)
            s.shutdown(socket.SHUT_WR)
            expect(receive_all(s), b"HELLO" * 100000 + b"END")
        m.server.reload(m.config.replace("sa/client", "sa/nobody"))
        with socket.create_connection(("127.7.23.2", m.listen), WAIT) as s:
            s.sendall(b"hello")
            expect(receive_all(s), b"")


def test_server_speaks_first_in_plain_text():
    with Mesh(peer_authentication("PERMISSIVE"), handler=proxy_test.Greeter, port_name="tcp") as m:
        with socket.create_connection(("127.7.23.1", m.port), WAIT) as s:
            expect(s.recv(100), b"220 ready\r\n")


def test_identity_changes():
    """The workload's certificate is replaced: new connections have the new one."""
    with Mesh(peer_authentication("STRICT"), client_only="""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: srv, namespace: default}
spec: {host: srv, trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}}}
---""") as m:
        def shown():
            return re.search("Hash=([0-9a-f]+)", m.request()[1]["fields"]["x-forwarded-client-cert"])[1]
        before = shown()
        expect(shown(), before)
        MESH.cert_dir("client", TRUST + "client")
        m.client.process.send_signal(signal.SIGHUP)
        until(lambda: "has changed and was read" in m.client.errors(), "the new certificate")
        assert shown() != before


# --- towards hosts ------------------------------------------------------------------------------------------------

class TlsBackend(Backend):
    """HTTP/1.1 behind TLS."""

    def __init__(self, ip, port, context, handler=proxy_test.Handler):
        self.context, self.names, self.resumed = context, [], 0
        context.sni_callback = lambda s, name, c: self.names.append(name)
        super().__init__(ip, port, "tls", handler)

    def finish_request(self, request, client_address):
        with contextlib.suppress(OSError), self.context.wrap_socket(request, server_side=True) as s:
            self.resumed += s.session_reused
            super().finish_request(s, client_address)


def to_tls(settings):
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: out, namespace: default}}
spec: {{host: out, trafficPolicy: {{tls: {settings}}}}}
---"""


def plain_gateway(name, port):
    return """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---""" + route_to("out", "*") + service("out", port, "out") + pod("out-1", "out", "127.7.24.1", port)


CHECKED = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: checks, namespace: istio-system}
spec:
  configPatches:
  - applyTo: CLUSTER
    match: {cluster: {service: out.default.svc.cluster.local}}
    patch:
      operation: MERGE
      value:
        health_checks: [{timeout: 1s, interval: 0.05s, no_traffic_interval: 0.05s, unhealthy_threshold: 1, healthy_threshold: 1,
                         http_health_check: {path: /healthz}}]
---"""


def test_health_checks_are_secured():
    """As requests are: a host that cannot prove its name is not well."""
    port, admin = free_port(), free_port()
    backend = TlsBackend("127.7.24.1", port, server_context(WEB.issue("healthy", "DNS:out.example")))
    good = f"{{mode: SIMPLE, sni: asked.example, caCertificates: {WEB.pem}, subjectAltNames: [out.example]}}"
    config = plain_gateway("out", port) + CHECKED

    def flags():
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/clusters", timeout=WAIT) as r:
            return next(line.rsplit("::", 1)[1] for line in r.read().decode().splitlines()
                        if "|out.default" in line and "::health_flags::" in line)
    with Proxy(config + to_tls(good), "--admin", f"127.0.0.1:{admin}") as p:
        until(lambda: flags() == "healthy", "the host is well")
        expect(set(backend.names), {"asked.example"})
        p.reload(config + to_tls(good.replace("[out.example]", "[else.example]")))
        until(lambda: flags() == "/failed_active_hc", "it has another name")
        until(lambda: "verify SAN list" in p.errors(), "the log says why")
    backend.stop()


def test_towards_hosts():
    port = free_port()
    cert = WEB.issue("host", "DNS:out.example")
    own = MESH.issue("own-client", "DNS:us.example")
    other = WEB.issue("mesh-host", "DNS:out.example")
    context = server_context(cert)
    backend = TlsBackend("127.7.24.1", port, context)
    good = f"{{mode: SIMPLE, sni: asked.example, caCertificates: {WEB.pem}, subjectAltNames: [out.example]}}"
    config = plain_gateway("out", port)
    with Proxy(config + to_tls(good)) as p:
        r, data = p.request()
        expect((r.status, json.loads(data)["backend"], backend.names), (200, "tls", ["asked.example"]))
        for what, settings, why in (
                ("another name", good.replace("[out.example]", "[else.example]"), "verify SAN list"),
                ("another authority", good.replace(WEB.pem, MESH.pem), "unable to get local issuer certificate"),
                ("no names: the sni", f"{{mode: SIMPLE, sni: asked.example, caCertificates: {WEB.pem}}}", "verify SAN list")):
            p.reload(config + to_tls(settings))
            r, data = p.request()
            expect(r.status, 503, what)
            assert why in data.decode(), (what, data)
        for what, settings in (("a name among several", good.replace("[out.example]", "[x.example, out.example]")),
                               ("unverified", "{mode: SIMPLE, sni: asked.example, insecureSkipVerify: true}")):
            p.reload(config + to_tls(settings))
            expect(p.request()[0].status, 200, what)
        p.reload(config)
        expect(p.request()[0].status, 503, "plain text to a port with TLS")
        context.load_verify_locations(MESH.pem)
        context.verify_mode = ssl.CERT_REQUIRED
        p.reload(config + to_tls(good))
        expect(p.request()[0].status, 503, "it asks for a certificate")
        p.reload(config + to_tls(good.replace("SIMPLE", f"MUTUAL, clientCertificate: {own[0]}, privateKey: {own[1]}")))
        expect(p.request()[0].status, 200, "and gets one")
        p.reload(config + to_tls(good.replace("SIMPLE", f"MUTUAL, clientCertificate: {other[0]}, privateKey: {other[1]}")))
        expect(p.request()[0].status, 503, "of another authority")
    backend.stop()


def test_sessions_towards_hosts():
    """Each connection after the first resumes."""
    port = free_port()
    backend = TlsBackend("127.7.24.1", port, server_context(WEB.issue("host", "DNS:out.example")))
    settings = f"{{mode: SIMPLE, sni: out.example, caCertificates: {WEB.pem}}}"
    with Proxy(plain_gateway("out", port) + to_tls(settings), "--threads", "1") as p:
        for _ in range(5):
            expect(p.request(headers={"Connection": "close", "x-test-until-close": "1"})[0].status, 200)
        expect(backend.resumed, 4)
    backend.stop()


def test_failed_handshakes_eject_a_host():
    port = free_port()
    good = TlsBackend("127.7.24.1", port, server_context(WEB.issue("host", "DNS:out.example")))
    bad = TlsBackend("127.7.24.2", port, server_context(WEB.issue("bad-host", "DNS:else.example")))
    policy = f"""{{mode: SIMPLE, sni: out.example, caCertificates: {WEB.pem}}}, loadBalancer: {{simple: ROUND_ROBIN}},
  outlierDetection: {{splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 3, baseEjectionTime: 60s,
                     maxEjectionPercent: 100}}"""
    config = plain_gateway("out", port) + pod("out-2", "out", "127.7.24.2", port)
    with Proxy(config + to_tls(policy), "--threads", "1") as p:
        expect(answered_by(p, 20), {"tls": 20}, "retried on the other host")
        expect((len(good.names), len(bad.names)), (1, 3), "handshakes")
    good.stop()
    bad.stop()


def test_towards_names():
    """Hosts that DNS knows, and those that requests name, are secured by their own names."""
    for resolution, host in (("DNS", "one.test"), ("NONE", "one.test"), ("NONE", "*.test"), ("DYNAMIC_DNS", "*.test")):
        port = free_port()
        backend = TlsBackend("127.7.24.1", port, server_context(WEB.issue("host", "DNS:one.test")))
        rule = to_tls(f"{{mode: SIMPLE, caCertificates: {WEB.pem}}}").replace("host: out", f'host: "{host}"')
        own = proxy_test.pod("client-1", "client", "v1", "127.7.24.3", 8080)
        with Names(one="127.7.24.1", two="127.7.24.1") as names, \
                sidecar(service_entry(host, port, resolution) + own + rule, env=names.env) as p:
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
            expect(answered_by(p, 2, headers={"Host": f"one.test:{port}"}, connection=c), {"tls": 2}, resolution + " " + host)
            expect(backend.names, ["one.test"], "its connection is kept")
            if host.startswith("*"):
                expect(answered_by(p, headers={"Host": f"two.test:{port}"}, connection=c), {503: 1}, "a certificate of one.test")
                expect(set(backend.names), {"one.test", "two.test"})
            c.close()
        backend.stop()


if __name__ == "__main__":
    sys.exit(run(globals()))
