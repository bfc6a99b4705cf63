/* Which rule a request meets: research/istio's order rules, one row for each. */
#include "tests/unit/mesh/mesh_help.h"

#define META(name) "metadata: {name: " name "}\n"
#define SVC(name, port) "---\napiVersion: v1\nkind: Service\n" META(name) "spec: {ports: [{name: http, port: " port "}]}\n"
#define VS(name)        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n" META(name) "spec:\n"
#define VS_OF(name, year) \
    "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " name \
    ", creationTimestamp: '" year "-01-01T00:00:00Z'}\nspec:\n"
#define DR(name) "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n" META(name) "spec:\n"
#define GW(hosts) \
    "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec:\n  selector: {istio: ingressgateway}\n" \
    "  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [" hosts "]}]\n"
#define TO(name) "route: [{destination: {host: " name "}}]"
#define CLIENT \
    "---\napiVersion: apps/v1\nkind: Deployment\n" META("web") \
    "spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web, version: v1}}, " \
    "spec: {containers: []}}}\n"
#define WORLD CLIENT SVC("a", "80") SVC("b", "80") SVC("c", "9080")

static const struct {
    const char *what, *in;
    enum proxy_role role;
    uint16_t port;
    const char *host, *routes;
} cases[] = {
    { "a service without a VirtualService", WORLD, PROXY_SIDECAR, 80, "a", "-> 80||a.default" },
    { "any form of its name, any case, any port", WORLD, PROXY_SIDECAR, 80, "A.default.SVC:8080", "-> 80||a.default" },
    { "its full name with a dot", WORLD, PROXY_SIDECAR, 80, "a.default.svc.cluster.local.", "-> 80||a.default" },
    { "a host nobody knows", WORLD, PROXY_SIDECAR, 80, "nobody", "none" },
    { "a service of another port", WORLD, PROXY_SIDECAR, 9080, "a", "none" },

    { "first match first; a catch-all ends the list",
      WORLD VS("v") "  hosts: [a]\n  http:\n  - {match: [{uri: {prefix: /x}}], " TO("b") "}\n  - {" TO("a") "}\n  - {match: "
      "[{uri: {exact: /late}}], " TO("b") "}\n",
      PROXY_SIDECAR, 80, "a", "uri^/x -> 80||b.default\n-> 80||a.default" },
    { "prefix / without further conditions catches all, .* too",
      WORLD VS("v") "  hosts: [a]\n  http:\n  - {match: [{uri: {prefix: /}, method: {exact: GET}}, {uri: {regex: '.*'}}], "
      TO("b") "}\n  - {" TO("a") "}\n",
      PROXY_SIDECAR, 80, "a", "uri^/ method=GET -> 80||b.default\nuri~.* -> 80||b.default" },
    { "several matches are several routes",
      WORLD VS("v") "  hosts: [a]\n  http:\n  - {match: [{uri: {prefix: /x}, ignoreUriCase: true}, {headers: {h: {}}}], "
      TO("b") "}\n",
      PROXY_SIDECAR, 80, "a", "urii^/x -> 80||b.default\nh? -> 80||b.default" },
    { "headers, withoutHeaders, query; presence by {} and by *",
      WORLD VS("v") "  hosts: [a]\n  http:\n  - {match: [{headers: {x: {regex: '*'}, uri: {exact: y}}, withoutHeaders: {z: "
      "{exact: '1'}}, queryParams: {q: {prefix: p}}}], " TO("b") "}\n",
      PROXY_SIDECAR, 80, "a", "x? !z=1 ?q^p -> 80||b.default" },

    { "match.port is the listener's",
      WORLD VS("v") "  hosts: [a]\n  http:\n  - {match: [{port: 81}], " TO("b") "}\n  - {" TO("a") "}\n",
      PROXY_SIDECAR, 80, "a", "-> 80||a.default" },
    { "sourceLabels choose the client",
      WORLD VS("v") "  hosts: [a]\n  http:\n  - {match: [{sourceLabels: {app: other}}], " TO("b") "}\n  - {match: "
      "[{sourceLabels: {app: web}}], " TO("a") "}\n",
      PROXY_SIDECAR, 80, "a", "-> 80||a.default" },
    { "sourceNamespace, too",
      WORLD VS("v") "  hosts: [a]\n  http:\n  - {match: [{sourceNamespace: x}], " TO("b") "}\n  - {match: "
      "[{sourceNamespace: default}], " TO("a") "}\n",
      PROXY_SIDECAR, 80, "a", "-> 80||a.default" },
    { "no rule left for this client: the service's default",
      WORLD VS("v") "  hosts: [a]\n  http:\n  - {match: [{sourceLabels: {app: other}}], " TO("b") "}\n",
      PROXY_SIDECAR, 80, "a", "-> 80||a.default" },
    { "match.gateways overrides; source conditions are passed over then",
      WORLD VS("v") "  hosts: [a]\n  gateways: [mesh, gw]\n  http:\n  - {match: [{gateways: [gw]}], " TO("b") "}\n"
      "  - {match: [{gateways: [mesh], sourceLabels: {app: other}}], " TO("c") "}\n",
      PROXY_SIDECAR, 80, "a", "-> 9080||c.default" },
    { "gateways without mesh: not for sidecars",
      WORLD VS("v") "  hosts: [a]\n  gateways: [gw]\n  http: [{" TO("b") "}]\n",
      PROXY_SIDECAR, 80, "a", "-> 80||a.default" },
    { "exportTo another namespace: not here",
      WORLD VS("v") "  hosts: [a]\n  exportTo: [x]\n  http: [{" TO("b") "}]\n",
      PROXY_SIDECAR, 80, "a", "-> 80||a.default" },

    { "in the mesh the oldest VirtualService of a host counts alone",
      WORLD VS_OF("n", "2024") "  hosts: [a]\n  http: [{" TO("b") "}]\n" VS_OF("z", "2023") "  hosts: [a]\n  http: [{match: "
      "[{uri: {prefix: /z}}], " TO("c") "}]\n",
      PROXY_SIDECAR, 80, "a", "uri^/z -> 9080||c.default" },
    { "equal times: by name",
      WORLD VS("n") "  hosts: [a]\n  http: [{" TO("b") "}]\n" VS("m") "  hosts: [a]\n  http: [{" TO("c") "}]\n",
      PROXY_SIDECAR, 80, "a", "-> 9080||c.default" },
    { "an exact host before a wildcard, however old",
      WORLD VS_OF("w", "2020") "  hosts: ['*.default.svc.cluster.local']\n  http: [{" TO("b") "}]\n" VS_OF("z", "2023")
      "  hosts: [a]\n  http: [{" TO("c") "}]\n",
      PROXY_SIDECAR, 80, "a", "-> 9080||c.default" },
    { "the most specific wildcard",
      WORLD VS_OF("w", "2020") "  hosts: ['*.cluster.local']\n  http: [{" TO("b") "}]\n" VS_OF("z", "2023")
      "  hosts: ['*.default.svc.cluster.local']\n  http: [{" TO("c") "}]\n",
      PROXY_SIDECAR, 80, "a", "-> 9080||c.default" },
    { "a host that is no service: on port 80",
      WORLD VS("v") "  hosts: [ext.example]\n  http: [{" TO("c") "}]\n",
      PROXY_SIDECAR, 80, "ext.example", "-> 9080||c.default" },
    { "and there alone",
      WORLD VS("v") "  hosts: [ext.example]\n  http: [{" TO("c") "}]\n", PROXY_SIDECAR, 9080, "ext.example", "none" },

    { "destination.port; a service's only port; the listener's; none of that name",
      WORLD VS("v") "  hosts: [a]\n  http:\n  - route:\n    - {destination: {host: c, port: {number: 1}}, weight: 1}\n"
      "    - {destination: {host: c}, weight: 2}\n    - {destination: {host: x.y}, weight: 3}\n    - {destination: {host: a}}\n",
      PROXY_SIDECAR, 80, "a", "-> 1||c.default*1(none) 9080||c.default*2 80||x.y*3(none)" },
    { "a subset nobody defines has no cluster",
      WORLD VS("v") "  hosts: [a]\n  http: [{route: [{destination: {host: a, subset: v1}}]}]\n",
      PROXY_SIDECAR, 80, "a", "-> 80|v1|a.default(none)" },
    { "one that is defined has",
      WORLD VS("v") "  hosts: [a]\n  http: [{route: [{destination: {host: a, subset: v1}}]}]\n" DR("d")
      "  host: a\n  subsets: [{name: v1}]\n",
      PROXY_SIDECAR, 80, "a", "-> 80|v1|a.default" },

    { "a gateway without a VirtualService serves nothing", WORLD GW("'*'"), PROXY_GATEWAY, 80, "a.example", "none" },
    { "a gateway: exact, longest suffix, then *",
      WORLD GW("'*'") VS("v") "  hosts: ['*']\n  gateways: [gw]\n  http: [{" TO("a") "}]\n" VS("w")
      "  hosts: ['*.x.org']\n  gateways: [gw]\n  http: [{" TO("b") "}]\n" VS("x")
      "  hosts: ['*.y.x.org']\n  gateways: [gw]\n  http: [{" TO("c") "}]\n",
      PROXY_GATEWAY, 80, "Z.Y.X.org:80", "-> 9080||c.default" },
    { "a wildcard is not its own parent",
      WORLD GW("'*'") VS("w") "  hosts: ['*.x.org']\n  gateways: [gw]\n  http: [{" TO("b") "}]\n",
      PROXY_GATEWAY, 80, "x.org", "none" },
    { "a gateway joins VirtualServices by age, catch-alls last",
      WORLD GW("'*'") VS_OF("old", "2023") "  hosts: [h.x]\n  gateways: [gw]\n  http:\n  - {match: [{uri: {prefix: /b}}], "
      TO("a") "}\n  - {" TO("a") "}\n" VS_OF("new", "2024") "  hosts: [h.x]\n  gateways: [gw]\n  http:\n  - {match: [{uri: "
      "{prefix: /b}}], " TO("b") "}\n  - {" TO("b") "}\n",
      PROXY_GATEWAY, 80, "h.x",
      "uri^/b -> 80||a.default\nuri^/b -> 80||b.default\n-> 80||a.default\n-> 80||b.default" },
    { "the narrower of the server's and the VirtualService's host",
      WORLD GW("'*.x.org'") VS("v") "  hosts: ['*']\n  gateways: [gw]\n  http: [{" TO("a") "}]\n",
      PROXY_GATEWAY, 80, "q.x.org", "-> 80||a.default" },
    { "and nothing beyond it",
      WORLD GW("'*.x.org'") VS("v") "  hosts: ['*']\n  gateways: [gw]\n  http: [{" TO("a") "}]\n",
      PROXY_GATEWAY, 80, "q.y.org", "none" },
    { "a server's host may name the namespace",
      WORLD GW("'other/h.x', './i.x'") VS("v") "  hosts: [h.x, i.x]\n  gateways: [gw]\n  http: [{" TO("a") "}]\n",
      PROXY_GATEWAY, 80, "h.x", "none" },
    { "its own is '.'",
      WORLD GW("'other/h.x', './i.x'") VS("v") "  hosts: [h.x, i.x]\n  gateways: [gw]\n  http: [{" TO("a") "}]\n",
      PROXY_GATEWAY, 80, "i.x", "-> 80||a.default" },
    { "a VirtualService of the mesh is not for gateways",
      WORLD GW("'*'") VS("v") "  hosts: [h.x]\n  http: [{" TO("a") "}]\n", PROXY_GATEWAY, 80, "h.x", "none" },
    { "a short name belongs to the rule's namespace",
      WORLD GW("'*'") "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: prod}\n"
      "spec: {hosts: [h.x], gateways: [default/gw], http: [{" TO("a") "}]}\n",
      PROXY_GATEWAY, 80, "h.x", "-> 80||a.prod(none)" },

    { "a delegate's rules within the delegating rule's match",
      WORLD VS("v") "  hosts: [a]\n  http:\n  - {match: [{uri: {prefix: /d}}], delegate: {name: d}}\n  - {" TO("a") "}\n"
      VS("d") "  http:\n  - {match: [{uri: {exact: /d/x}}, {uri: {exact: /other}}], " TO("b") "}\n  - {" TO("c") "}\n",
      PROXY_SIDECAR, 80, "a", "uri=/d/x -> 80||b.default\nuri^/d -> 9080||c.default\n-> 80||a.default" },
};

START_TEST(finds_the_rule)
{
    struct world w;
    struct proxy_identity id = identity(cases[_i].role, cases[_i].role == PROXY_GATEWAY ? "gate.istio-system" : "web.default");
    const char *got;

    world_init(&w);
    world_build(&w, cases[_i].in);
    got = routes_text(&w, world_snapshot(&w, &id), cases[_i].port, cases[_i].host);
    ck_assert_msg(strcmp(got, cases[_i].routes) == 0, "%s:\n%s\nnot\n%s", cases[_i].what, got, cases[_i].routes);
    world_fini(&w);
}
END_TEST

/* The one route of the one rule that is given for host a. */
static const struct route *route_of(struct world *w, const char *rule)
{
    struct proxy_identity id = identity(PROXY_SIDECAR, "web.default");
    struct buf b = BUF_INIT(1 << 16);
    const struct virtual_host *vh;

    buf_printf(&b, "%s" VS("v") "  hosts: [a]\n  http:\n  - %s\n", WORLD, rule);
    buf_putc(&b, '\0');
    world_init(w);
    world_build(w, b.p);
    buf_free(&b);
    vh = listener_host(listener_at(world_snapshot(w, &id), 80), STR("a"));
    ck_assert_uint_eq(vh->nroutes, 1);
    return &vh->routes[0];
}

START_TEST(retries)
{
    static const struct {
        const char *rule;
        unsigned attempts, on;
        size_t codes;
    } rows[] = {
        { "{" TO("a") "}", 2, RETRY_CONNECT_FAILURE | RETRY_REFUSED_STREAM | RETRY_UNAVAILABLE | RETRY_CANCELLED, 0 },
        { "{" TO("a") ", retries: {attempts: 0}}", 0, 15, 0 },
        { "{" TO("a") ", retries: {attempts: 3}}", 3, 15, 0 },
        { "{" TO("a") ", retries: {attempts: 3, retryOn: '5xx, 418,503'}}", 3, RETRY_5XX | RETRY_STATUS_CODES, 2 },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct world w;
        const struct route *r = route_of(&w, rows[i].rule);

        ck_assert_uint_eq(r->retry.attempts, rows[i].attempts);
        ck_assert_uint_eq(r->retry.on, rows[i].on);
        ck_assert_uint_eq(r->retry.ncodes, rows[i].codes);
        ck_assert_int_eq(r->retry.backoff_ms, 25);
        world_fini(&w);
    }
}
END_TEST

START_TEST(faults_and_timeout)
{
    struct world w;
    const struct route *r = route_of(&w, "{" TO("a") ", timeout: 2s, fault: {delay: {percent: 100, fixedDelay: 10s}, "
                                         "abort: {percentage: {value: 0.001}, httpStatus: 418}}}");

    ck_assert_int_eq(r->timeout_ms, 2000);
    ck_assert_uint_eq(r->fault.delay_ppm, 1000000);
    ck_assert_int_eq(r->fault.delay_ms, 10000);
    ck_assert_uint_eq(r->fault.abort_ppm, 10);
    ck_assert_uint_eq(r->fault.abort_status, 418);
    world_fini(&w);
    r = route_of(&w, "{" TO("a") ", fault: {delay: {fixedDelay: 1s}, abort: {grpcStatus: UNAVAILABLE}}}");
    ck_assert_uint_eq(r->fault.delay_ppm, 0);
    ck_assert_uint_eq(r->fault.abort_ppm, 0);
    ck_assert_uint_eq(r->fault.abort_status, 503);
    world_fini(&w);
}
END_TEST

START_TEST(headers)
{
    struct world w;
    const struct route *r = route_of(&w, "{headers: {request: {set: {X-Set: '100%%', host: new.host}, add: {x-add: '1'}, "
                                         "remove: [x-drop]}, response: {set: {x-r: s}}}, route: [{destination: {host: a}, "
                                         "headers: {request: {remove: [x-too], add: {x-dest: d}}}}]}");
    static const struct {
        int op;
        const char *name, *value;
    } want[] = { { HEADER_REMOVE, "x-drop", "" }, { HEADER_REMOVE, "x-too", "" }, { HEADER_SET, "x-set", "100%" },
                 { HEADER_ADD, "x-add", "1" }, { HEADER_ADD, "x-dest", "d" } };

    ck_assert_uint_eq(r->headers.nrequest, COUNT(want));
    for (size_t i = 0; i < COUNT(want); i++) {
        ck_assert_int_eq((int)r->headers.request[i].op, want[i].op);
        ck_assert(str_eqz(r->headers.request[i].name, want[i].name));
        ck_assert(str_eqz(r->headers.request[i].value, want[i].value));
    }
    ck_assert_uint_eq(r->headers.nresponse, 1);
    ck_assert(str_eqz(r->rewrite_authority, "new.host"));
    ck_assert_uint_eq(r->destinations[0].headers.nrequest, 0);
    world_fini(&w);

    r = route_of(&w, "{route: [{destination: {host: a}, weight: 1, headers: {request: {set: {':authority': x.y}}}}, "
                     "{destination: {host: b}, weight: 1}]}");
    ck_assert_uint_eq(r->destinations[0].headers.nrequest, 1);
    ck_assert(str_eqz(r->destinations[0].headers.request[0].name, ":authority"));
    ck_assert_uint_eq(r->destinations[1].headers.nrequest, 0);
    world_fini(&w);
}
END_TEST

START_TEST(weights)
{
    struct world w;
    const struct route *r = route_of(&w, "{route: [{destination: {host: a}, weight: 1}, {destination: {host: b}, weight: 3}, "
                                         "{destination: {host: c}, weight: 0}]}");

    ck_assert_uint_eq(r->ndestinations, 2);
    ck_assert_uint_eq(r->total_weight, 4);
    world_fini(&w);
    r = route_of(&w, "{route: [{destination: {host: a}, weight: 0}]}");
    ck_assert_uint_eq(r->ndestinations, 1);
    ck_assert_uint_eq(r->total_weight, 1);
    world_fini(&w);
}
END_TEST

START_TEST(redirects_and_answers)
{
    struct world w;
    const struct route *r = route_of(&w, "{redirect: {authority: h.x, scheme: https, derivePort: FROM_REQUEST_PORT}}");

    ck_assert_int_eq((int)r->action, ROUTE_REDIRECT);
    ck_assert_uint_eq(r->redirect.status, 301);
    ck_assert_uint_eq(r->redirect.port, 80);
    ck_assert(str_eqz(r->redirect.scheme, "https"));
    world_fini(&w);
    r = route_of(&w, "{directResponse: {status: 418, body: {bytes: c2hvcnQ=}}, headers: {response: {set: {x: y}}}}");
    ck_assert_int_eq((int)r->action, ROUTE_DIRECT);
    ck_assert(str_eqz(r->direct_body, "short"));
    ck_assert_uint_eq(r->headers.nresponse, 1);
    world_fini(&w);
}
END_TEST

START_TEST(rewrites_mirrors_and_cors)
{
    struct world w;
    const struct route *r = route_of(&w, "{" TO("a") ", name: n, rewrite: {uri: /, authority: h.x}, mirror: {host: b}, "
                                         "corsPolicy: {allowOrigins: [{exact: 'https://x'}], allowMethods: [GET, POST], "
                                         "maxAge: 24h, allowCredentials: true}}");

    ck_assert(r->rewrite && str_eqz(r->rewrite_uri, "/") && !r->rewrite_re);
    ck_assert(str_eqz(r->rewrite_authority, "h.x"));
    ck_assert(str_eqz(r->name, "n"));
    ck_assert_uint_eq(r->nmirrors, 1);
    ck_assert_uint_eq(r->mirrors[0].ppm, 1000000);
    ck_assert(str_eqz(r->cors->methods, "GET,POST"));
    ck_assert_int_eq(r->cors->max_age_s, 86400);
    ck_assert(r->cors->credentials && !r->cors->ignore_unmatched);
    world_fini(&w);
    r = route_of(&w, "{" TO("a") ", match: [{name: m, uri: {prefix: /x}}], name: n, mirrorPercentage: {value: 0}, mirror: "
                     "{host: b}, rewrite: {uriRegexRewrite: {match: '^/(x)', rewrite: '/\\\\1'}}}");
    ck_assert(str_eqz(r->name, "n.m"));
    ck_assert_uint_eq(r->nmirrors, 0);
    ck_assert(r->rewrite && r->rewrite_re);
    world_fini(&w);
    r = route_of(&w, "{" TO("a") ", mirrors: [{destination: {host: b}, percentage: {value: 50}}, {destination: {host: c}}]}");
    ck_assert_uint_eq(r->nmirrors, 2);
    ck_assert_uint_eq(r->mirrors[0].ppm, 500000);
    world_fini(&w);
}
END_TEST

START_TEST(https_redirect)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_GATEWAY, "gate.istio-system");
    const struct listener *l;

    world_init(&w);
    world_build(&w, WORLD "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec:\n  servers:\n"
                          "  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [h.x, i.x], tls: {httpsRedirect: "
                          "true}}\n" VS("v") "  hosts: [h.x]\n  gateways: [gw]\n  http: [{" TO("a") "}]\n");
    l = listener_at(world_snapshot(&w, &id), 80);
    ck_assert(listener_host(l, STR("h.x"))->require_tls);
    ck_assert(listener_host(l, STR("i.x"))->require_tls);
    ck_assert_ptr_null(listener_host(l, STR("j.x")));
    world_fini(&w);
}
END_TEST

START_TEST(tcp_routes)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "web.default");
    const struct listener *l;

    world_init(&w);
    world_build(&w, CLIENT "---\napiVersion: v1\nkind: Service\n" META("db") "spec: {ports: [{name: tcp, port: 3306}]}\n"
                           "---\napiVersion: v1\nkind: Service\n" META("db2") "spec: {ports: [{name: mysql, port: 3307}]}\n"
                    VS("v") "  hosts: [db]\n  tcp:\n  - {match: [{sourceLabels: {app: x}}], " TO("db") "}\n  - {match: [{port: "
                            "3306}], route: [{destination: {host: db}, weight: 90}, {destination: {host: db2}, weight: 10}]}\n");
    l = listener_at(world_snapshot(&w, &id), 3306);
    ck_assert_int_eq((int)l->protocol, PROTOCOL_TCP);
    ck_assert_uint_eq(l->ntcp, 2);
    ck_assert_uint_eq(l->tcp_total_weight, 100);
    ck_assert(str_eqz(l->tcp[1].cluster_name, "outbound|3307||db2.default.svc.cluster.local"));
    l = listener_at(world_snapshot(&w, &id), 3307);
    ck_assert_uint_eq(l->ntcp, 1);
    ck_assert_uint_eq(l->nhosts, 0);
    world_fini(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/routes");
    TCase *t = tcase_create("routes");

    tcase_add_loop_test(t, finds_the_rule, 0, COUNT(cases));
    tcase_add_test(t, retries);
    tcase_add_test(t, faults_and_timeout);
    tcase_add_test(t, headers);
    tcase_add_test(t, weights);
    tcase_add_test(t, redirects_and_answers);
    tcase_add_test(t, rewrites_mirrors_and_cors);
    tcase_add_test(t, https_redirect);
    tcase_add_test(t, tcp_routes);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
