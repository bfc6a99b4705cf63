#!/usr/bin/env python3
"""Keys of tokens that vigla-proxy fetches from a jwksUri: fetched, shared, renewed, and a server of them that is away; by https, and
by way of an issuer's OpenID configuration.

    jwks_test.py [NAME...]        only the tests whose name contains one of these

Keys are made by openssl(1). Closing line: N passed, N failed, N skipped.
"""
import base64
import contextlib
import http.server
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy_test import TO_V1, World, expect, free_port, until  # noqa: E402
from suite import run  # noqa: E402


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """An Ed25519 key that signs tokens."""

    def __init__(self, folder, kid):
        self.kid, self.path = kid, os.path.join(folder, kid)
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.path], check=True, capture_output=True)
        public = subprocess.run(["openssl", "pkey", "-in", self.path, "-pubout", "-outform", "DER"], check=True, capture_output=True)
        self.jwk = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": b64(public.stdout[-32:])}

    def token(self, issuer="https://issuer.example"):
        claims = {"iss": issuer, "sub": "me", "exp": int(time.time()) + 3600}
        text = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "EdDSA", "kid": self.kid}, claims))
        with tempfile.NamedTemporaryFile() as f:
            f.write(text.encode())
            f.flush()
            signed = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", f.name], check=True,
                                    capture_output=True)
        return f"{text}.{b64(signed.stdout)}"


class Issuer(http.server.ThreadingHTTPServer):
    """Serves a set of keys, in chunks, as late as it is told; by https if it has a certificate."""

    def __init__(self, port, keys, delay=0.0, certificate=None):
        self.keys, self.delay, self.calls = keys, delay, 0
        super().__init__(("127.0.0.1", port), IssuerHandler)
        self.base = f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, request, address):
        """Who does not trust it hangs up."""

    def stop(self):
        self.shutdown()
        self.server_close()


class IssuerHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.calls += 1
        time.sleep(self.server.delay)
        said = {"/keys?a=b": {"keys": [k.jwk for k in self.server.keys]},
                "/.well-known/openid-configuration": {"issuer": self.server.base, "jwks_uri": self.server.base + "/keys?a=b"}}
        body = json.dumps(said.get(self.path)).encode()
        self.send_response(200 if self.path in said else 404)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError):
            for at in range(0, len(body), 50):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(body[at:at + 50]), body[at:at + 50]))
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *args):
        pass


def rules(port, scheme="http", timeout="5s"):
    return f"""
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: tokens, namespace: istio-system}}
spec:
  jwtRules: [{{issuer: "https://issuer.example", jwksUri: "{scheme}://127.0.0.1:{port}/keys?a=b", timeout: {timeout}}}]
---"""


def ask(w, token=None, **how):
    r, data = w.proxy.request("/", headers={"Authorization": f"Bearer {token}"} if token else {}, **how)
    return r.status, data


def test_fetched_and_shared():
    with tempfile.TemporaryDirectory() as folder:
        key, other, port = Key(folder, "one"), Key(folder, "other"), free_port()
        issuer = Issuer(port, [key], delay=0.5)
        with World(TO_V1, more=rules(port), args=("--threads", "2")) as w:
            body = [b"a body " * 1000, b"that waits, too"]
            r, data = w.proxy.request("/", "POST", {"Authorization": f"Bearer {key.token()}", "Transfer-Encoding": "chunked"},
                                      iter(body))
            expect((r.status, json.loads(data)["size"]), (200, sum(map(len, body))), "waits until the keys are there")
            expect(ask(w)[0], 200, "no token")
            for _ in range(10):
                expect(ask(w, key.token())[0], 200)
            expect(issuer.calls, 1, "fetched once for all workers")
            status, said = ask(w, other.token())
            expect((status, said), (401, b"Jwks doesn't have key to match kid or alg from Jwt"))
            w.proxy.reload(w.config(TO_V1))
            expect(ask(w, key.token())[0], 200, "a new configuration finds the keys again")
            expect(issuer.calls, 1)
        issuer.stop()


def test_rotated():
    with tempfile.TemporaryDirectory() as folder:
        old, new, port = Key(folder, "old"), Key(folder, "new"), free_port()
        issuer = Issuer(port, [old])
        with World(TO_V1, more=rules(port)) as w:
            expect(ask(w, old.token())[0], 200)
            issuer.keys = [new]
            until(lambda: ask(w, new.token())[0] == 200, "the new key is taken", 30)
            expect(ask(w, old.token())[0], 401)
            issuer.stop()
            expect(ask(w, new.token())[0], 200, "keys stay while their server is away")
            calls = issuer.calls
            assert calls == 2, f"{calls} fetches: tokens of unknown keys may not cause more"


def test_server_away():
    with tempfile.TemporaryDirectory() as folder:
        key, port = Key(folder, "one"), free_port()
        with World(TO_V1, more=rules(port)) as w:
            status, said = ask(w, key.token())
            expect((status, said), (401, b"Jwks remote fetch is failed"))
            expect(ask(w)[0], 200, "no token")
            until(lambda: "keys of tokens: http://127.0.0.1" in w.proxy.errors(), "a word of it")
            issuer = Issuer(port, [key])
            until(lambda: ask(w, key.token())[0] == 200, "keys as soon as the server is there", 30)
            expect(w.proxy.errors().count("Connection refused"), 1, "told once")
            issuer.stop()


def test_slow_server():
    with tempfile.TemporaryDirectory() as folder:
        key, port = Key(folder, "one"), free_port()
        issuer = Issuer(port, [key], delay=3)
        with World(TO_V1, more=rules(port, timeout="200ms")) as w:
            expect(ask(w, key.token())[0], 503, "waits for the rule's timeout only")
            until(lambda: ask(w, key.token())[0] == 200, "the keys in the end", 30)
        issuer.stop()


def certificate(folder, names):
    paths = os.path.join(folder, "cert.pem"), os.path.join(folder, "cert.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=issuer", "-addext", f"subjectAltName={names}", "-out", paths[0], "-keyout", paths[1]],
                   check=True, capture_output=True)
    return paths


def test_https():
    with tempfile.TemporaryDirectory() as folder:
        key, port = Key(folder, "one"), free_port()
        pair = certificate(folder, "IP:127.0.0.1")
        issuer = Issuer(port, [key], certificate=pair)
        with World(TO_V1, more=rules(port, scheme="https"), args=("--jwks-ca", pair[0])) as w:
            expect(ask(w, key.token())[0], 200)
        with World(TO_V1, more=rules(port, scheme="https")) as w:
            expect(ask(w, key.token())[0], 401, "the system does not know who made the certificate")
            until(lambda: "certificate verify failed" in w.proxy.errors(), "a word of it")
        expect(issuer.calls, 1)
        issuer.stop()


def test_found_at_the_issuer():
    with tempfile.TemporaryDirectory() as folder:
        key, port = Key(folder, "one"), free_port()
        pair = certificate(folder, "IP:127.0.0.1")
        issuer = Issuer(port, [key], certificate=pair)
        rule = rules(port).replace("https://issuer.example", issuer.base).replace(f'jwksUri: "http://127.0.0.1:{port}/keys?a=b", ', "")
        assert "jwksUri" not in rule
        with World(TO_V1, more=rule, args=("--jwks-ca", pair[0])) as w:
            expect(ask(w, key.token(issuer.base))[0], 200)
            expect(ask(w, key.token())[0], 401, "another issuer")
            expect(issuer.calls, 2, "the configuration, and the keys")
        issuer.stop()


if __name__ == "__main__":
    sys.exit(run(globals()))
