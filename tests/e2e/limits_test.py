#!/usr/bin/env python3
"""Local rate limits through a real vigla-proxy, as Istio's users configure them: by EnvoyFilters.

    limits_test.py [NAME...]        only the tests whose name contains one of these

Buckets here are filled once an hour: how they fill is rate_limit_test.c's. Backends and proxy are proxy_test.py's.
Closing line: N passed, N failed, N skipped.
"""
import collections
import concurrent.futures
import http.client
import sys
import urllib.request

from mesh import free_port
from proxy_test import Backend, Echo, Proxy, WAIT, expect, gateway, pod, service, virtual_service
from suite import run

LIMIT = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
ALWAYS = "default_value: {numerator: 100, denominator: HUNDRED}"


def bucket(tokens):
    return f"{{max_tokens: {tokens}, tokens_per_fill: {tokens}, fill_interval: 3600s}}"


def envoy_filter(patches, name="limits", namespace="istio-system", selector="", priority=0):
    return f"""
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  priority: {priority}
{selector}
  configPatches:
{patches}
---"""


def http_filter(tokens, context="GATEWAY", more="", enforced=ALWAYS, sub="", prefix="http_local_rate_limiter"):
    """A patch as Istio's task has it, with the configuration as a TypedStruct."""
    return f"""
    - applyTo: HTTP_FILTER
      match:
        context: {context}
        listener: {{filterChain: {{filter: {{name: envoy.filters.network.http_connection_manager{sub}}}}}}}
      patch:
        operation: INSERT_BEFORE
        value:
          name: envoy.filters.http.local_ratelimit
          typed_config:
            "@type": type.googleapis.com/udpa.type.v1.TypedStruct
            type_url: type.googleapis.com/{LIMIT}
            value:
              stat_prefix: {prefix}
              token_bucket: {bucket(tokens)}
              filter_enabled: {{runtime_key: local_rate_limit_enabled, {ALWAYS}}}
              filter_enforced: {{runtime_key: local_rate_limit_enforced, {enforced}}}
              response_headers_to_add:
              - {{append: false, header: {{key: x-local-rate-limit, value: "true"}}}}
{more}"""


class World:
    """An application behind a gateway."""

    def __init__(self, filters, rules="  - route: [{destination: {host: app}}]", threads=1, more=""):
        self.app_port, self.admin, self.rules, self.more = free_port(), free_port(), rules, more
        self.backend = Backend("127.9.1.1", self.app_port, "app")
        self.proxy = Proxy(self.config(filters), "--threads", str(threads), "--admin", f"127.0.0.1:{self.admin}")

    def config(self, filters):
        return (service("app", self.app_port, "app") + pod("app-1", "app", "v1", "127.9.1.1", self.app_port) + gateway() +
                virtual_service(self.rules) + self.more + filters)

    def __enter__(self):
        self.proxy.__enter__()
        return self

    def __exit__(self, *exception):
        self.proxy.__exit__(*exception)
        self.backend.stop()

    def statuses(self, n=1, path="/", headers=None):
        return [self.proxy.request(path, headers=headers)[0].status for _ in range(n)]

    def stats(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/stats", timeout=WAIT) as r:
            return dict(line.split(": ", 1) for line in r.read().decode().splitlines() if ": " in line)


def counted(stats, prefix="http_local_rate_limiter"):
    return [int(stats[f"{prefix}.http_local_rate_limit.{name}"]) for name in ("enabled", "ok", "rate_limited", "enforced")]


def test_refusal():
    with World(envoy_filter(http_filter(3))) as w:
        expect(w.statuses(3), [200] * 3)
        r, data = w.proxy.request()
        expect((r.status, data), (429, b"local_rate_limited"))
        expect((r.getheader("x-envoy-ratelimited"), r.getheader("x-local-rate-limit")), ("true", "true"))
        assert " 429 RL local_rate_limited - " in w.proxy.lines(4)[3], w.proxy.lines(4)
        expect(counted(w.stats()), [4, 3, 1, 1])
        with urllib.request.urlopen(f"http://127.0.0.1:{w.admin}/stats/prometheus", timeout=WAIT) as answer:
            text = answer.read().decode()
        sample = 'envoy_http_local_rate_limit_rate_limited{envoy_local_http_ratelimit_prefix="http_local_rate_limiter"} 1\n'
        assert sample in text, text


def test_bucket_is_all_workers():
    with World(envoy_filter(http_filter(20)), threads=4) as w, concurrent.futures.ThreadPoolExecutor(8) as pool:
        seen = collections.Counter(r[0].status for r in pool.map(lambda _: w.proxy.request(), range(60)))
        expect(seen, {200: 20, 429: 40})
        expect(counted(w.stats()), [60, 20, 40, 40])


def test_not_enforced():
    with World(envoy_filter(http_filter(1, enforced="default_value: {numerator: 0}"))) as w:
        expect(w.statuses(3), [200] * 3)
        expect(counted(w.stats()), [3, 1, 2, 0])


def test_state_survives_a_reload():
    """A bucket goes on where it was as long as its definition is the same."""
    with World(envoy_filter(http_filter(2))) as w:
        expect(w.statuses(3), [200, 200, 429])
        w.rules = "  - match: [{uri: {prefix: /new}}]\n    directResponse: {status: 418}\n" + w.rules
        w.proxy.reload(w.config(envoy_filter(http_filter(2))))
        expect(w.statuses(2), [429, 429])
        w.proxy.reload(w.config(envoy_filter(http_filter(1))))
        expect(w.statuses(2), [200, 429])
        w.proxy.reload(w.config(""))
        expect(w.statuses(2), [200, 200])


ROUTES = """  - name: slow
    match: [{uri: {prefix: /slow}}]
    route: [{destination: {host: app}}]
  - name: rest
    route: [{destination: {host: app}}]"""


def own_limit(target, match, tokens, actions="", more=""):
    return f"""
    - applyTo: {target}
      match: {{context: GATEWAY, routeConfiguration: {{vhost: {match}}}}}
      patch:
        operation: MERGE
        value:
          {actions}
          typed_per_filter_config:
            envoy.filters.http.local_ratelimit:
              "@type": type.googleapis.com/{LIMIT}
              stat_prefix: own
              token_bucket: {bucket(tokens)}
              filter_enabled: {{{ALWAYS}}}
              filter_enforced: {{{ALWAYS}}}
{more}"""


BARE = f"""
    - applyTo: HTTP_FILTER
      match: {{context: GATEWAY}}
      patch:
        operation: INSERT_BEFORE
        value:
          name: envoy.filters.http.local_ratelimit
          typed_config: {{"@type": type.googleapis.com/{LIMIT}, stat_prefix: off}}"""


def test_limit_of_a_route():
    """A filter that is off, and a route that has its own limit: the others have none."""
    with World(envoy_filter(BARE + own_limit("HTTP_ROUTE", "{route: {name: slow}}", 1)), rules=ROUTES) as w:
        expect(w.statuses(2, "/slow"), [200, 429])
        expect(w.statuses(5), [200] * 5)
        expect(counted(w.stats(), "own"), [2, 1, 1, 1])


def test_limit_of_a_virtual_host():
    """The host's limit takes the filter's place, a route's the host's."""
    own = own_limit("VIRTUAL_HOST", '{name: "*:80"}', 2) + own_limit("HTTP_ROUTE", "{route: {name: slow}}", 1)
    with World(envoy_filter(http_filter(100) + own), rules=ROUTES) as w:
        expect(w.statuses(2, "/slow"), [200, 429])
        expect(w.statuses(3), [200, 200, 429])
        expect(counted(w.stats()), [0, 0, 0, 0])


def descriptor(entries, tokens):
    return f"              - {{entries: [{entries}], token_bucket: {bucket(tokens)}}}\n"


def test_descriptors():
    """Requests are told apart by what actions make of them; the slowest bucket decides."""
    actions = """route:
            rate_limits:
            - actions:
              - header_value_match:
                  descriptor_value: productpage
                  headers: [{name: ":path", string_match: {prefix: /PRODUCT, ignore_case: true}}]
            - actions:
              - request_headers: {header_name: X-User, descriptor_key: user}
              - generic_key: {descriptor_value: any}"""
    more = ("              descriptors:\n" + descriptor("{key: header_match, value: productpage}", 1) +
            descriptor("{key: user, value: bob}, {key: generic_key, value: any}", 2))
    with World(envoy_filter(BARE + own_limit("HTTP_ROUTE", "{route: {action: ANY}}", 7, actions, more))) as w:
        expect(w.statuses(2, "/productpage"), [200, 429])
        expect(w.statuses(3, headers={"X-User": "bob"}), [200, 200, 429])
        expect(w.statuses(5, headers={"X-User": "eve"}), [200, 200, 200, 200, 429], "what is left of the common bucket")


def test_headers_that_tell():
    with World(envoy_filter(http_filter(2, more="              enable_x_ratelimit_headers: DRAFT_VERSION_03\n"))) as w:
        told = []
        for _ in range(3):
            r, _ = w.proxy.request()
            told.append((r.status, r.getheader("x-ratelimit-limit"), r.getheader("x-ratelimit-remaining")))
            assert 3500 < int(r.getheader("x-ratelimit-reset")) <= 3600, r.getheaders()
        expect(told, [(200, "2", "1"), (200, "2", "0"), (429, "2", "0")])


DENY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: istio-system}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/secret]}}]}]}
---"""


def test_place():
    """Ahead of everything what a policy denies takes a token, too; ahead of the router it does not."""
    for sub, seen in (("", [403, 429]), (", subFilter: {name: envoy.filters.http.router}", [403, 200])):
        with World(envoy_filter(http_filter(1, sub=sub)), more=DENY) as w:
            expect(w.statuses(1, "/secret") + w.statuses(), seen, sub)


def test_whose_it_is():
    """The root namespace's filters are for all, others for their own; a selector narrows both down."""
    def selector(value):
        return f"  workloadSelector: {{labels: {{istio: {value}}}}}"
    for options, limited in (({}, True), ({"namespace": "default"}, False), ({"selector": selector("ingressgateway")}, True),
                             ({"selector": selector("egressgateway")}, False)):
        with World(envoy_filter(http_filter(1), **options)) as w:
            expect(w.statuses(2)[1], 429 if limited else 200, str(options))


def test_order():
    """Of two that speak of one route the later counts: the one with the higher priority."""
    for first, second, allowed in ((1, 2, 3), (2, 1, 1)):
        one = envoy_filter(BARE + own_limit("HTTP_ROUTE", "{route: {action: ANY}}", 1), "one", priority=first)
        two = envoy_filter(own_limit("HTTP_ROUTE", "{route: {action: ANY}}", 3), "two", priority=second)
        with World(one + two) as w:
            expect(w.statuses(4).count(200), allowed)


def sidecar(app_port, other, filters):
    config = (service("srv", app_port, "srv") + pod("srv-1", "srv", "v1", "127.9.4.1", app_port) +
              service("cli", other, "cli") + pod("cli-1", "cli", "v1", "127.9.4.2", other) + filters)
    return Proxy(config, "--app-address", "127.9.4.100", "--bind", "127.9.4.3", role=("--workload", "srv-v1.default"))


def test_inbound():
    """Istio's own sample: an inbound virtual host's name has the service's port."""
    port, other = free_port(), free_port()
    backend = Backend("127.9.4.100", port, "app")
    own = own_limit("HTTP_ROUTE", f'{{name: "inbound|http|{port}", route: {{action: ANY}}}}', 2)
    filters = envoy_filter((BARE + own).replace("GATEWAY", "SIDECAR_INBOUND"), namespace="istio-system",
                           selector="  workloadSelector: {labels: {app: srv}}")
    with sidecar(port, other, filters) as p:
        seen = []
        for _ in range(3):
            c = http.client.HTTPConnection("127.9.4.1", port, timeout=WAIT)
            seen.append(p.request(connection=c)[0].status)
            c.close()
        expect(seen, [200, 200, 429])
    backend.stop()


def test_inbound_by_address():
    """Behind the edge a request's remote address is the last one in X-Forwarded-For."""
    port, other = free_port(), free_port()
    backend = Backend("127.9.4.100", port, "app")
    actions = "route: {rate_limits: [{actions: [{remote_address: {}}]}]}"
    more = "              descriptors:\n" + descriptor("{key: remote_address, value: 10.0.0.9}", 1)
    own = own_limit("HTTP_ROUTE", "{route: {action: ANY}}", 100, actions, more)
    with sidecar(port, other, envoy_filter((BARE + own).replace("GATEWAY", "SIDECAR_INBOUND"))) as p:
        seen = []
        for xff in ("10.0.0.9, 10.0.0.1", "10.0.0.1, 10.0.0.9", "10.0.0.1, 10.0.0.9", "10.0.0.9, 10.0.0.1"):
            c = http.client.HTTPConnection("127.9.4.1", port, timeout=WAIT)
            seen.append(p.request(headers={"X-Forwarded-For": xff}, connection=c)[0].status)
            c.close()
        expect(seen, [200, 200, 429, 200])
    backend.stop()


CONNECTIONS = """
    - applyTo: NETWORK_FILTER
      match: {{context: SIDECAR_OUTBOUND, listener: {{portNumber: {port}, filterChain: {{filter: {{name: envoy.filters.network.tcp_proxy}}}}}}}}
      patch:
        operation: INSERT_BEFORE
        value:
          name: envoy.filters.network.local_ratelimit
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit
            stat_prefix: connections
            token_bucket: {{max_tokens: 2, fill_interval: 3600s}}"""


def test_connections():
    port, listen, admin = free_port(), free_port(), free_port()
    backend = Backend("127.9.3.1", port, "tcp", Echo)
    config = (service("tcp", port, "tcp", "tcp") + pod("tcp-1", "tcp", "v1", "127.9.3.1", port) + service("me", 9, "me") +
              pod("me-1", "me", "v1", "127.9.3.9", 9) + envoy_filter(CONNECTIONS.format(port=port)))
    with Proxy(config, "--port-map", f"{port}={listen},9={free_port()}", "--admin", f"127.0.0.1:{admin}",
               role=("--workload", "me-v1.default")) as p:
        p.port = listen
        expect([p.raw(b"x", shut=True) for _ in range(4)], [b"XEND", b"XEND", b"", b""])
        assert " URX local_ratelimit_close_over_rate_limit " in p.lines(4)[2], p.lines(4)
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/stats", timeout=WAIT) as r:
            assert "local_rate_limit.connections.rate_limited: 2\n" in r.read().decode()
    backend.stop()


if __name__ == "__main__":
    sys.exit(run(globals()))
